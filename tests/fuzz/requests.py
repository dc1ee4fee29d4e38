"""Requests that are nearly good: a good one, changed by a seeded generator in its values, its bytes or its head."""

from __future__ import annotations

import copy
import gzip
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from tests.support.ready_upstream import MODEL

__all__ = ["Request", "RequestMaker"]

JSON = (b"content-type", b"application/json")

_MESSAGE = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
_CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
_OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "done"}
_CHAT_CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
_THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "c2lnbmVk"}
_TOOL_USE = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}
_TOOL_RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "done"}]}
_FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}}

GOOD: Sequence[tuple[str, dict[str, Any]]] = (
    ("/v1/responses", {"model": MODEL, "input": "hi"}),
    (
        "/v1/responses",
        {"model": MODEL, "input": "hi", "stream": True, "stream_options": {"include_obfuscation": False}},
    ),
    ("/v1/responses", {"model": MODEL, "input": "hi", "store": False, "metadata": {"k": "v"}, "temperature": 0.5}),
    (
        "/v1/responses",
        {"model": MODEL, "input": [_MESSAGE, _CALL, _OUTPUT], "tools": [_FUNCTION], "tool_choice": "auto"},
    ),
    (
        "/v1/responses",
        {
            "model": MODEL,
            "input": [_MESSAGE, {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}],
            "instructions": "Be kind.",
            "include": ["reasoning.encrypted_content"],
            "reasoning": {"effort": "low", "summary": "auto"},
            "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}, "verbosity": "low"},
            "truncation": "auto",
            "max_output_tokens": 100,
            "top_p": 1,
            "parallel_tool_calls": True,
            "service_tier": "auto",
            "safety_identifier": "someone",
            "prompt_cache_key": "p",
        },
    ),
    (
        "/v1/responses",
        {
            "model": MODEL,
            "input": [
                {"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,AA=="}]}
            ],
            "tools": [
                {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}},
                {"type": "namespace", "name": "n", "description": "d", "tools": [_FUNCTION]},
            ],
            "tool_choice": {"type": "function", "name": "f"},
        },
    ),
    ("/v1/responses", {"model": MODEL, "input": "hi", "previous_response_id": "resp_" + "0" * 50}),
    ("/v1/responses", {"model": MODEL, "input": "hi", "conversation": {"id": "conv_" + "0" * 50}}),
    ("/v1/responses", {"model": MODEL, "prompt": {"id": "pmpt_" + "0" * 50, "variables": {"a": "b"}}}),
    ("/v1/responses/input_tokens", {"model": MODEL, "input": [_MESSAGE]}),
    ("/v1/responses/compact", {"model": MODEL, "input": [_MESSAGE]}),
    ("/v1/conversations", {"items": [_MESSAGE], "metadata": {"k": "v"}}),
    ("/v1/conversations/conv_" + "0" * 50, {"metadata": {"k": "v"}}),
    ("/v1/conversations/conv_" + "0" * 50 + "/items", {"items": [_MESSAGE]}),
    ("/v1/prompts", {"name": "p", "instructions": "Say {{word}}.", "variables": {"word": {"default": "hi"}}}),
    (
        "/v1/chat/completions",
        {
            "model": MODEL,
            "messages": [
                {"role": "developer", "content": "Be kind."},
                {"role": "user", "content": [{"type": "text", "text": "hi"}], "name": "n"},
                {"role": "assistant", "content": None, "tool_calls": [_CHAT_CALL]},
                {"role": "tool", "tool_call_id": "call_1", "content": "done"},
            ],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
            "tool_choice": "auto",
            "stream": True,
            "stream_options": {"include_usage": True},
            "store": True,
            "metadata": {"k": "v"},
            "stop": ["x"],
            "response_format": {"type": "json_object"},
        },
    ),
    ("/v1/completions", {"model": MODEL, "prompt": ["hi"], "max_tokens": 9, "stream": True, "stop": "x"}),
    (
        "/v1/messages",
        {
            "model": MODEL,
            "max_tokens": 2000,
            "system": [{"type": "text", "text": "Be kind."}],
            "messages": [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": [_THOUGHT, _TOOL_USE]},
                {"role": "user", "content": [_TOOL_RESULT]},
            ],
            "tools": [{"name": "f", "input_schema": {"type": "object"}}],
            "tool_choice": {"type": "auto"},
            "stream": True,
            "stop_sequences": ["x"],
            "metadata": {"user_id": "someone"},
        },
    ),
    (
        "/v1/messages/count_tokens",
        {"model": MODEL, "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]},
    ),
)

PATHS = (
    "/v1/responses", "/v1/responses/resp_" + "0" * 50, "/v1/responses/x/input_items", "/v1/responses/x/cancel",
    "/v1/conversations", "/v1/conversations/x", "/v1/conversations/x/items/y", "/v1/conversations/import", "/v1/models",
    "/v1/models/m", "/v1/prompts/x", "/healthz", "/readyz",
    "/v1/chat/completions", "/v1/chat/completions/x", "/v1/messages", "/v1/messages/x", "/v1/completions",
    "/openapi.json", "/", "/v1", "/v1/", "//v1/responses",
)  # fmt: skip

HOSTILE_TEXT = (
    "", "\x00", "a\x00b", "\r\n\r\nevent: x", "\u2028\u2029", "\ufeff", "\U0001f600" * 50, "e\u0301", "..%2f..",
    "' OR 1=1", "{{word}}", "${x}", "%s%n", "true", "null", "-1", "a" * 70, "a" * 600, "a" * 5000, "resp_" + "0" * 50,
    "resp_" + "z" * 50, "conv_", "conv_" + "0" * 50, "msg_" + "0" * 50, "data:;base64,!!", "<script>", "\x7f\x1b[31m",
    "__proto__",
)  # fmt: skip

HOSTILE_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**63, 2**64 - 1, -(2**63), 0.1, -0.0, 1e308, 5e-324,
    [], {}, [[]], [{}], {"": ""}, {"type": None}, {"type": "function"}, {"id": 1}, [None], ["a"], [1, "a", None],
    {"type": "message", "role": "robot"}, {"type": "item_reference", "id": "msg_" + "0" * 50}, {"type": "unheard_of"},
    *HOSTILE_TEXT,
)  # fmt: skip

HOSTILE_BYTES = (
    b"\x00", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\\ud800", b"\\u0000", b"NaN", b"Infinity", b"1e999", b"9" * 400,
    b"[" * 2000, b'{"a":' * 600, b'"', b"\\", b",", b"}", b"]", b":", b"\n", b"\xef\xbb\xbf", b"/*", b"-", b"0x1",
    b"1_0", b'"model":"m",', b'"a":1,' * 50,
)  # fmt: skip

HOSTILE_HEADERS = (
    (b"content-type", b"text/plain"), (b"content-type", b"application/json; charset=utf-16"),
    (b"content-type", b"\xff"),
    (b"content-encoding", b"gzip"), (b"content-encoding", b"zstd"), (b"content-encoding", b"br"),
    (b"content-length", b"-1"), (b"content-length", b"9" * 40), (b"content-length", b"\xb2"),
    (b"idempotency-key", b""), (b"idempotency-key", b"\xe4" * 10), (b"idempotency-key", b"k" * 300),
    (b"idempotency-key", b"key"), (b"x-antiphon-conversation-wait-ms", b"-1"), (b"x-antiphon-on-disconnect", b"dance"),
    (b"authorization", b"Bearer "), (b"authorization", b"Bearer sk-antiphon-live-x"), (b"authorization", b"\xff"),
    (b"x-api-key", b"\x00"), (b"origin", b"http://evil.example"), (b"origin", b"null"), (b"host", b"evil.example"),
    (b"accept", b"*/*, " * 100), (b"x-request-id", b"\r\n"), (b"cookie", b"a=b"), (b"last-event-id", b"7"),
)  # fmt: skip

HOSTILE_QUERIES = (
    "limit=-1", "limit=" + "9" * 40, "limit=1&limit=2", "after=%00", "after=" + "a" * 300, "order=up", "include[]=x",
    "include=reasoning.encrypted_content", "stream=true&starting_after=-1", "stream=maybe", "%ff=%ff", "a=b" * 200,
    "cascade=true", "metadata[k]=v", "metadata[]=", "model=", "created_after=1e3", "=", "&&&", "x" * 2000,
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """A request as an ASGI server hands it over."""

    method: str
    target: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class RequestMaker:
    """
    Makes requests, the same ones for the same seed.

    Args:
        seed: Of the generator.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - chooses what is tested, hides nothing
        self._ways: Sequence[Callable[[], Request]] = (
            self._with_values, self._with_values, self._with_values, self._with_values,
            self._with_bytes, self._with_bytes, self._with_bytes, self._with_head, self._elsewhere,
        )  # fmt: skip

    def make(self) -> Request:
        """The next one."""
        return self._random.choice(self._ways)()

    def _with_values(self) -> Request:
        target, good = self._random.choice(GOOD)
        body = copy.deepcopy(good)
        for _ in range(self._random.choice((0, 1, 1, 1, 2, 3, 5))):
            self._change(body)
        return Request("POST", target, (JSON,), orjson.dumps(body))

    def _with_bytes(self) -> Request:
        target, good = self._random.choice(GOOD)
        body = bytearray(orjson.dumps(good))
        for _ in range(self._random.choice((1, 1, 2, 4, 16))):
            place = self._random.randrange(len(body) + 1)
            end = min(len(body), place + self._random.choice((0, 0, 1, 2, 10)))
            body[place:end] = self._random.choice((*HOSTILE_BYTES, b"", self._random.randbytes(3), bytes(body[:40])))
        if self._random.random() < 0.1:
            del body[self._random.randrange(len(body) + 1) :]
        return Request("POST", target, (JSON,), bytes(body))

    def _with_head(self) -> Request:
        request = self._with_values()
        added = tuple(self._random.choice(HOSTILE_HEADERS) for _ in range(self._random.choice((1, 1, 2, 4))))
        if (b"content-encoding", b"gzip") in added and self._random.random() < 0.7:
            packed = bytearray(gzip.compress(request.body, 1, mtime=0))
            if self._random.random() < 0.5:
                packed[self._random.randrange(len(packed))] ^= 0x41
            request = replace(request, body=bytes(packed))
        headers = (JSON, *added)
        if self._random.random() < 0.05:
            headers = (*headers, *((b"x-%d" % number, b"a" * 700) for number in range(self._random.choice((90, 110)))))
        return replace(request, headers=headers)

    def _elsewhere(self) -> Request:
        target = self._random.choice(PATHS)
        if self._random.random() < 0.5:
            target = target.replace(
                "x", self._random.choice(("%00", "%2e%2e", "%ff", "resp_" + "0" * 50, "a" * 500, "%"))
            )
        if self._random.random() < 0.7:
            target += "?" + "&".join(self._random.choices(HOSTILE_QUERIES, k=self._random.choice((1, 1, 2))))
        method = self._random.choice(
            ("GET", "GET", "GET", "POST", "DELETE", "OPTIONS", "HEAD", "PUT", "PATCH", "TRACE")
        )
        body = self._random.choice((b"", b"{}", b"[]", b"\xff", b'{"type":"message"}\n' * 3))
        return Request(method, target, (JSON,), body)

    def _change(self, body: dict[str, Any]) -> None:
        """Change one value, name or length somewhere in a body."""
        container: Any = body
        while True:
            keys = list(container) if isinstance(container, dict) else list(range(len(container)))
            if not keys:
                return
            key = self._random.choice(keys)
            inner = container[key]
            if isinstance(inner, dict | list) and inner and self._random.random() < 0.7:
                container = inner
                continue
            break
        match self._random.randrange(6):
            case 0:
                del container[key]
            case 1 if isinstance(container, dict):
                container[self._random.choice(HOSTILE_TEXT)] = copy.deepcopy(self._random.choice(HOSTILE_VALUES))
            case 2 if isinstance(container, list):
                container.extend(copy.deepcopy(inner) for _ in range(self._random.choice((1, 2, 30))))
            case 3:
                container[key] = [inner]
            case 4:
                container[key] = {"a": inner}
            case _:
                container[key] = copy.deepcopy(self._random.choice(HOSTILE_VALUES))
