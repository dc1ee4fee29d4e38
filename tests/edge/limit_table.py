"""
Every limit of what arrives, as one table: what is sent at the limit, and what is sent beyond it.

The gateway of the table is small where a limit is configurable, so that its cases are cheap; OpenAI's own numbers are
what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from urllib.parse import quote

import orjson

from tests.support.asgi_client import Headers
from tests.support.ready_upstream import MODEL

__all__ = ["CASES", "SMALL", "Case", "Sent"]

TEN_MIB = 10 * 1024 * 1024

SMALL: Mapping[str, int] = {
    "max_body_bytes": 12 * 1024 * 1024,
    "max_json_depth": 16,
    "max_json_members": 3000,
    "max_header_bytes": 2000,
    "max_headers": 20,
    "max_items": 50,
    "max_tools": 30,
    "max_history_items": 12,
}
"""What the gateway of the table is configured with."""


@dataclass(frozen=True)
class Sent:
    """A request."""

    body: object = None
    _: KW_ONLY
    method: str = "POST"
    target: str = "/v1/responses"
    headers: Headers = ()

    @property
    def data(self) -> bytes:
        """The body as bytes; bytes are taken as they are."""
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else orjson.dumps(self.body)


@dataclass(frozen=True)
class Case:
    """
    A limit.

    Attributes:
        what: Its name in the tests' report.
        at: Passes.
        beyond: Is refused.
        says: What the refusal's message has in it: the limit's name, or its number.
    """

    what: str
    at: Sent
    beyond: Sent
    status: int
    code: str | None
    says: str
    param: str | None = field(default=None, kw_only=True)


def turn(**fields: object) -> Sent:
    """A turn that stores nothing unless it says so."""
    return Sent({"model": MODEL, "input": "hi", "store": False, **fields})


def _range(
    name: str, at: float, beyond: float, code: str, wrap: Callable[[float], Mapping[str, object]] | None = None
) -> Case:
    make = wrap or (lambda value: {name: value})
    return Case(f"{name} {beyond}", turn(**make(at)), turn(**make(beyond)), 400, code, "value", param=name)


def _text(what: str, longest: int, make: Callable[[str], Sent], param: str) -> Case:
    return Case(
        f"{what}, {longest} characters", make("a" * longest), make("a" * (longest + 1)),
        400, "string_above_max_length", str(longest), param=param,
    )  # fmt: skip


def _empty(what: str, make: Callable[[str], Sent], param: str) -> Case:
    return Case(f"{what}, empty", make("a"), make(""), 400, "empty_string", "empty", param=param)


def _list(what: str, longest: int, make: Callable[[int], Sent], param: str, says: str = "") -> Case:
    return Case(
        f"{what}, {longest} elements", make(longest), make(longest + 1),
        400, "array_above_max_length", says or str(longest), param=param,
    )  # fmt: skip


def _message(**fields: object) -> dict[str, object]:
    return {"type": "message", "role": "user", "content": "hi", **fields}


def _call(**fields: object) -> dict[str, object]:
    return {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", **fields}


def _output(**fields: object) -> dict[str, object]:
    return {"type": "function_call_output", "call_id": "c", "output": "done", **fields}


def _custom_call(**fields: object) -> dict[str, object]:
    return {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "", **fields}


def _custom_output(**fields: object) -> dict[str, object]:
    return {"type": "custom_tool_call_output", "call_id": "c", "output": "done", **fields}


def _reasoning(**fields: object) -> dict[str, object]:
    return {"type": "reasoning", "summary": [], **fields}


def _items(*items: object) -> Sent:
    return turn(input=list(items))


def _function(name: str = "f", **fields: object) -> dict[str, object]:
    return {"type": "function", "name": name, "parameters": {}, **fields}


def _nested(levels: int) -> object:
    """A list in a list …; a turn adds four levels above it: body, tools, tool, parameters."""
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


def _conversation(**fields: object) -> Sent:
    return Sent(fields, target="/v1/conversations")


def _query(path: str, name: str, value: object) -> Sent:
    return Sent(method="GET", target=f"{path}?{name}={quote(str(value))}")


def _header(name: bytes, value: bytes) -> Sent:
    return Sent({"model": MODEL, "input": "hi", "store": False}, headers=[(name, value)])


def _of_size(size_bytes: int) -> Sent:
    start = orjson.dumps({"model": MODEL, "store": False, "input": "hi"})
    return Sent(start + b" " * (size_bytes - len(start)))


def _head_bytes(size_bytes: int) -> Sent:
    """A head whose fields take so many bytes: besides this one, host and content-type."""
    others = sum(map(len, (b"host", b"localhost", b"content-type", b"application/json", b"x-fill"))) + 3 * 4
    return _header(b"x-fill", b"a" * (size_bytes - others))


_ROLES = ("user", "system", "developer", "assistant")


_TOOLS: Mapping[str, Mapping[str, object]] = {
    "function": {"parameters": {}},
    "custom": {},
    "namespace": {"description": "", "tools": [_function()]},
}


def _edge_cases() -> list[Case]:
    limit = SMALL["max_headers"]
    return [
        Case(
            "max_body_bytes", _of_size(SMALL["max_body_bytes"]), _of_size(SMALL["max_body_bytes"] + 1),
            413, "request_too_large", "max_body_bytes",
        ),
        Case(
            "max_json_depth", turn(tools=[_function(parameters={"a": _nested(12)})]),
            turn(tools=[_function(parameters={"a": _nested(13)})]), 400, "request_too_deep", "max_json_depth",
        ),
        # Besides the list's elements: the body's four members, the tool's three, and one of its parameters.
        Case(
            "max_json_members, elements", turn(tools=[_function(parameters={"a": [0] * (3000 - 9)})]),
            turn(tools=[_function(parameters={"a": [0] * (3000 - 8)})]), 400, "request_too_complex", "max_json_members",
        ),
        Case(
            "max_json_members, members",
            turn(tools=[_function(parameters={f"k{number}": 0 for number in range(3000 - 8)})]),
            turn(tools=[_function(parameters={f"k{number}": 0 for number in range(3000 - 7)})]),
            400, "request_too_complex", "max_json_members",
        ),
        Case(
            "max_json_members, of a large body", turn(input="a," * 200_000),
            turn(tools=[_function(parameters={f"key{number:0100}": [] for number in range(7000)})]),
            400, "request_too_complex", "max_json_members",
        ),
        Case(
            "max_header_bytes", _head_bytes(SMALL["max_header_bytes"]), _head_bytes(SMALL["max_header_bytes"] + 1),
            431, "request_headers_too_large", "max_header_bytes",
        ),
        Case(
            "max_headers", Sent(turn().body, headers=[(b"x-%d" % number, b"") for number in range(limit - 2)]),
            Sent(turn().body, headers=[(b"x-%d" % number, b"") for number in range(limit - 1)]),
            431, "request_headers_too_large", "max_headers",
        ),
        *(
            Case(
                f"{name.decode()}, once", _header(name, value),
                Sent(turn().body, headers=[(name, value), (name, value)]), 400, None, "more than once",
            )
            for name, value in (
                (b"authorization", b"Bearer a"), (b"content-encoding", b"identity"), (b"idempotency-key", b"k-1"),
                (b"content-length", b"50"), (b"origin", b"http://localhost"), (b"transfer-encoding", b"chunked"),
            )
        ),
        Case(
            "Idempotency-Key, 255 characters", _header(b"idempotency-key", b"k" * 255),
            _header(b"idempotency-key", b"k" * 256), 400, None, "1 to 255", param="Idempotency-Key",
        ),
        Case(
            "Idempotency-Key, empty", _header(b"idempotency-key", b"k"), _header(b"idempotency-key", b""),
            400, None, "1 to 255", param="Idempotency-Key",
        ),
        Case(
            "Idempotency-Key, ASCII", _header(b"idempotency-key", b"~"), _header(b"idempotency-key", b"\xe4"),
            400, None, "1 to 255", param="Idempotency-Key",
        ),
        Case(
            "x-antiphon-conversation-wait-ms", _header(b"x-antiphon-conversation-wait-ms", b"60000"),
            _header(b"x-antiphon-conversation-wait-ms", b"9" * 5000), 431, "request_headers_too_large", "max_header",
        ),
        Case(
            "a Content-Length of many digits", _header(b"content-length", b"00000000000000000050"),
            _header(b"content-length", b"9" * 1500), 413, "request_too_large", "max_body_bytes",
        ),
    ]  # fmt: skip


def _turn_cases() -> list[Case]:
    reference = {"id": "pmpt_unknown"}
    return [
        _list("input", SMALL["max_items"], lambda count: turn(input=[_message()] * count), "input", "max_items"),
        _list(
            "tools", SMALL["max_tools"], lambda count: turn(tools=[_function(f"f{number}") for number in range(count)]),
            "tools", "max_tools",
        ),
        _text("input", TEN_MIB, lambda text: turn(input=text), "input"),
        _text("safety_identifier", 64, lambda text: turn(safety_identifier=text), "safety_identifier"),
        _range("temperature", 2, 2.01, "decimal_above_max_value"),
        _range("temperature", 0, -0.01, "decimal_below_min_value"),
        _range("top_p", 1, 1.01, "decimal_above_max_value"),
        _range("top_p", 0, -0.01, "decimal_below_min_value"),
        _range("presence_penalty", 2, 2.01, "decimal_above_max_value"),
        _range("presence_penalty", -2, -2.01, "decimal_below_min_value"),
        _range("frequency_penalty", 2, 2.01, "decimal_above_max_value"),
        _range("frequency_penalty", -2, -2.01, "decimal_below_min_value"),
        _range("max_output_tokens", 16, 15, "integer_below_min_value"),
        _range("top_logprobs", 20, 21, "integer_above_max_value"),
        _range("top_logprobs", 0, -1, "integer_below_min_value"),
        Case(
            "max_tool_calls 0", turn(), turn(max_tool_calls=0), 400, "integer_below_min_value", ">= 1",
            param="max_tool_calls",
        ),
        Case(
            "compact_threshold 999", turn(context_management=[{"type": "compaction", "compact_threshold": 1000}]),
            turn(context_management=[{"type": "compaction", "compact_threshold": 999}]),
            400, "integer_below_min_value", ">= 1000", param="context_management[0].compact_threshold",
        ),
        *(
            _text(f"{kind} name", 128, partial(_with_tool, kind), "tools[0].name")
            for kind in _TOOLS
        ),
        *(_empty(f"{kind} name", partial(_with_tool, kind), "tools[0].name") for kind in _TOOLS),
        _text("text.format.name", 64, lambda text: turn(text={"format": _format(text)}), "text.format.name"),
        _empty("text.format.name", lambda text: turn(text={"format": _format(text)}), "text.format.name"),
        Case(
            "prompt.variables, 128", turn(), turn(prompt={**reference, "variables": {f"v{n}": "" for n in range(129)}}),
            400, "object_above_max_properties", "128", param="prompt.variables",
        ),
    ]  # fmt: skip


def _with_tool(kind: str, name: str) -> Sent:
    return turn(tools=[{"type": kind, "name": name, **_TOOLS[kind]}])


def _format(name: str) -> dict[str, object]:
    return {"type": "json_schema", "name": name, "schema": {}}


def _metadata_cases() -> list[Case]:
    cases = []
    targets: Sequence[tuple[str, Callable[[dict[str, str]], Sent]]] = (
        ("response", lambda value: turn(metadata=value)),
        ("conversation", lambda value: _conversation(metadata=value)),
    )
    for name, make in targets:
        cases += [
            Case(
                f"metadata of a {name}, 16 pairs", make({f"k{number}": "v" for number in range(16)}),
                make({f"k{number}": "v" for number in range(17)}),
                400, "object_above_max_properties", "16", param="metadata",
            ),
            Case(
                f"metadata of a {name}, keys of 64", make({"k" * 64: "v"}), make({"k" * 65: "v"}),
                400, "property_name_above_max_length", "64", param="metadata." + "k" * 65,
            ),
            _text(f"metadata of a {name}, values", 512, partial(_with_value, make), "metadata.k"),
        ]  # fmt: skip
    return cases


def _with_value(make: Callable[[dict[str, str]], Sent], text: str) -> Sent:
    return make({"k": text})


def _message_id(role: str, text: str) -> Sent:
    return _items(_message(role=role, id=text))


@dataclass(frozen=True)
class _Pair:
    """A call and its output."""

    kind: str
    call: Callable[..., dict[str, object]]
    output: Callable[..., dict[str, object]]

    def with_id(self, text: str) -> Sent:
        """The call's own id."""
        return _items(self.call(id=text), self.output())

    def with_output_id(self, text: str) -> Sent:
        """The output's own id."""
        return _items(self.call(), self.output(id=text))

    def with_call_id(self, text: str) -> Sent:
        """What ties the two."""
        return _items(self.call(call_id=text), self.output(call_id=text))


_PAIRS = (
    _Pair("function_call", _call, _output),
    _Pair("custom_tool_call", _custom_call, _custom_output),
)


def _item_cases() -> list[Case]:
    cases = []
    for role in _ROLES:
        cases.append(_text(f"id of a {role} message", 64, partial(_message_id, role), "input[0].id"))
        cases.append(_empty(f"id of a {role} message", partial(_message_id, role), "input[0].id"))
    for pair in _PAIRS:
        cases += [
            _text(f"id of a {pair.kind}", 64, pair.with_id, "input[0].id"),
            _text(f"id of a {pair.kind}_output", 64, pair.with_output_id, "input[1].id"),
            _text(f"call_id of a {pair.kind}", 64, pair.with_call_id, "input[0].call_id"),
            _empty(f"call_id of a {pair.kind}", pair.with_call_id, "input[0].call_id"),
            _empty(f"id of a {pair.kind}_output", pair.with_output_id, "input[1].id"),
        ]
    cases += [
        _text("id of a reasoning item", 64, lambda text: _items(_reasoning(id=text), _message()), "input[0].id"),
        _text(
            "text of a part", TEN_MIB,
            lambda text: _items(_message(content=[{"type": "input_text", "text": text}])), "input[0].content[0].text",
        ),
        _text("output of a call", TEN_MIB, lambda text: _items(_call(), _output(output=text)), "input[1].output"),
    ]  # fmt: skip
    return cases


def _library_cases() -> list[Case]:
    cases = [
        _list(
            "items of a new conversation", 20, lambda count: _conversation(items=[_message()] * count), "items"
        ),
        Case(
            "created_after", _query("/v1/responses", "created_after", 2**53),
            _query("/v1/responses", "created_after", 2**53 + 1), 400, "integer_above_max_value", str(2**53),
            param="created_after",
        ),
        Case(
            "created_before", _query("/v1/conversations", "created_before", 0),
            _query("/v1/conversations", "created_before", -1), 400, "integer_below_min_value", ">= 0",
            param="created_before",
        ),
        _text(
            "name of a prompt", 256,
            lambda text: Sent({"name": text, "instructions": "Be kind."}, target="/v1/prompts"), "name",
        ),
        Case(
            "variables of a prompt", _prompt(128), _prompt(129), 400, "object_above_max_properties", "128",
            param="variables",
        ),
    ]  # fmt: skip
    cases += [
        Case("lines of an import", _import(3000), _import(3001), 400, "request_too_complex", "max_json_members"),
        Case(
            "max_json_members of a line", _import(1), Sent(_LONG_LINE, target=_IMPORT, headers=[_JSONL]),
            400, "request_too_complex", "Line 1: The request body has more than max_json_members",
        ),
    ]  # fmt: skip
    for path in ("/v1/responses", "/v1/conversations", "/v1/prompts"):
        cases += [
            Case(
                f"limit of {path}", _query(path, "limit", 100), _query(path, "limit", 101),
                400, "integer_above_max_value", "<= 100", param="limit",
            ),
            Case(
                f"least limit of {path}", _query(path, "limit", 1), _query(path, "limit", 0),
                400, "integer_below_min_value", ">= 1", param="limit",
            ),
            Case(
                f"limit of {path} of many digits", _query(path, "limit", 2), _query(path, "limit", "9" * 5000),
                400, None, "limit", param="limit",
            ),
        ]  # fmt: skip
    return cases


_IMPORT = "/v1/conversations/import"
_JSONL = (b"content-type", b"application/jsonl")
_LONG_LINE = b'{"type":"message","role":"user","content":[' + b"[]," * 100_000 + b"[]]}"


def _import(lines: int) -> Sent:
    line = orjson.dumps(_message(content=[{"type": "input_text", "text": "hi"}]), option=orjson.OPT_APPEND_NEWLINE)
    return Sent(line * lines, target=_IMPORT, headers=[_JSONL])


def _prompt(variables: int) -> Sent:
    names: dict[str, object] = {f"v{number}": {} for number in range(variables)}
    text = "".join("{{" + name + "}}" for name in names)
    return Sent({"instructions": text, "variables": names}, target="/v1/prompts")


def _json_cases() -> list[Case]:
    """What is JSON, and what nearly is."""
    good = turn()
    near = {
        "NaN": b'{"model":"m","input":"hi","temperature":NaN}',
        "Infinity": b'{"model":"m","input":"hi","temperature":Infinity}',
        "a number beyond a double": b'{"model":"m","input":"hi","temperature":1e999}',
        "a number of many digits": b'{"model":"m","input":"hi","temperature":' + b"9" * 5000 + b"}",
        "a lone high surrogate": b'{"model":"m","input":"\\ud800"}',
        "a lone low surrogate": b'{"model":"m","input":"\\udc00"}',
        "an encoded surrogate": b'{"model":"m","input":"\xed\xa0\x80"}',
        "a byte that is not UTF-8": b'{"model":"m","input":"\xff"}',
        "an overlong encoding": b'{"model":"m","input":"\xc0\x80"}',
        "UTF-8 beyond Unicode": b'{"model":"m","input":"\xf4\x90\x80\x80"}',
        "UTF-16": '{"model":"m","input":"hi"}'.encode("utf-16"),
        "a byte order mark": b"\xef\xbb\xbf" + good.data,
        "a raw newline in a string": b'{"model":"m","input":"a\nb"}',
        "a raw NUL in a string": b'{"model":"m","input":"a\x00b"}',
        "a trailing comma": b'{"model":"m","input":"hi",}',
        "a comment": b'{"model":"m",/* */"input":"hi"}',
        "single quotes": b"{'model':'m'}",
        "two values": good.data + good.data,
        "bytes behind it": good.data + b"\x00",
        "half of it": good.data[: len(good.data) // 2],
        "nothing": b"",
        "blanks": b"  \n",
        "very deep lists": b"[" * 100_000,
        "deep, closed lists": b'{"model":"m","input":' + b"[" * 900 + b"]" * 900 + b"}",
        "deep objects": b'{"a":' * 900 + b"1" + b"}" * 900,
    }
    cases = [Case(what, good, Sent(body), 400, None, "", param=None) for what, body in near.items()]
    for what, body in {
        "a list": b"[]",
        "a string": b'"hi"',
        "null": b"null",
        "a number": b"1",
        "true": b"true",
    }.items():
        cases.append(Case(f"{what} for an object", good, Sent(body), 400, "invalid_type", "expected an object"))
    return cases


def _dialect_cases() -> list[Case]:
    hi = {"role": "user", "content": "hi"}
    items, tools = SMALL["max_items"], SMALL["max_tools"]

    def chat(**fields: object) -> Sent:
        return Sent({"model": MODEL, "messages": [hi], **fields}, target="/v1/chat/completions")

    def named(count: int) -> list[object]:
        return [{"type": "function", "function": {"name": f"f{number}"}} for number in range(count)]

    return [
        _list("chat, messages", items, lambda count: chat(messages=[hi] * count), "messages", "max_items"),
        _list("chat, tools", tools, lambda count: chat(tools=named(count)), "tools", str(tools)),
        Case(
            "completions, max_body_bytes",
            Sent({"model": MODEL, "prompt": "hi"}, target="/v1/completions"),
            Sent(b'{"model":"' + b"a" * SMALL["max_body_bytes"] + b'"}', target="/v1/completions"),
            413, "request_too_large", "max_body_bytes",
        ),
    ]  # fmt: skip


CASES: list[Case] = [
    *_dialect_cases(),
    *_edge_cases(),
    *_turn_cases(),
    *_metadata_cases(),
    *_item_cases(),
    *_library_cases(),
    *_json_cases(),
]
"""The table."""
