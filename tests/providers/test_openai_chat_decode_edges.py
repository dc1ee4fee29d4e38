"""Chat completions replies at the edges of the dialect: what is put up with, what is refused, and in which words."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.hub.errors import (
    ContextLengthExceeded,
    UpstreamAuthentication,
    UpstreamBroken,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from antiphon.hub.items import JsonObject
from antiphon.hub.usage import Usage
from tests.providers.openai_chat_replies import decoder, frames, outcome, stream, without_ids

FINISH = '{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
DONE = "[DONE]"


def chunk(delta: JsonObject, finish_reason: str | None = None, **more: Any) -> str:
    return json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason, **more}]})


def tool(index: int | None = None, **function: Any) -> JsonObject:
    piece: JsonObject = {"function": function}
    return {"tool_calls": [piece if index is None else {"index": index, **piece}]}


def bodies(*chunks: str, **options: Any) -> list[JsonObject]:
    return without_ids(outcome(stream(frames(*chunks, FINISH, DONE), **options)).items)


def summary(items: list[JsonObject]) -> list[tuple[str, str]]:
    """Type and text of each item."""
    shown = []
    for item in items:
        parts = item.get("content") or item["summary"] if item["type"] in ("message", "reasoning") else []
        said = "|".join(part.get("text") or part.get("refusal") for part in parts)
        shown.append((item["type"], said or item.get("arguments") or item.get("input") or ""))
    return shown


NULLABLE = ["content", "refusal", "tool_calls", "annotations", "reasoning_details", "function_call", "reasoning"]
TOLERATED: dict[str, tuple[list[str], list[tuple[str, str]]]] = {
    "nulls-everywhere": (
        [
            chunk(dict.fromkeys(NULLABLE), logprobs=None),
            '{"choices":[],"usage":null,"model":null,"service_tier":null,"error":null,"x_groq":null}',
            '{"choices":[{"delta":null}]}',
            '{"choices":null}',
            "{}",
            chunk({"content": "a"}),
        ],
        [("message", "a")],
    ),
    "unknown-fields": (
        ['{"new":[{"deep":1}],"choices":[{"index":0,"odd":{},"delta":{"content":"a","odd":[1]}}]}'],
        [("message", "a")],
    ),
    "empty-events": (["", " ", chunk({"content": "a"})], [("message", "a")]),
    "empty-deltas": ([chunk({"content": "", "refusal": "", "reasoning": "", "tool_calls": []})], []),
    "text-again-after-a-call": (
        [chunk({"content": "a"}), chunk(tool(0, name="f", arguments="{}")), chunk({"content": "b"})],
        [("message", "a"), ("function_call", "{}"), ("message", "b")],
    ),
    "everything-in-one-chunk": (
        [chunk({"reasoning": "r", "content": "a", "refusal": "n", **tool(0, name="f", arguments="{}")})],
        [("reasoning", "r"), ("message", "a|n"), ("function_call", "{}")],
    ),
    "reasoning-between-texts": (
        [chunk({"content": "a"}), chunk({"reasoning_text": "r"}), chunk({"content": "b"})],
        [("message", "a"), ("reasoning", "r"), ("message", "b")],
    ),
    "calls-without-index-in-pieces": (
        [
            chunk({"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{"}}]}),
            chunk({"tool_calls": [{"function": {"arguments": "}"}}]}),
            chunk({"tool_calls": [{"id": "b", "function": {"name": "f", "arguments": "["}}]}),
            chunk({"tool_calls": [{"id": "b", "function": {"arguments": "]"}}]}),
        ],
        [("function_call", "{}"), ("function_call", "[]")],
    ),
    "empty-piece-of-a-closed-call": (
        [
            chunk(tool(0, name="f", arguments="{}")),
            chunk(tool(1, name="f", arguments="[]")),
            chunk(tool(0, arguments="")),
        ],
        [("function_call", "{}"), ("function_call", "[]")],
    ),
    "arguments-before-the-name": (
        [chunk(tool(0, arguments="{")), chunk(tool(0, name="f", arguments="}"))],
        [("function_call", "{}")],
    ),
    "call-without-arguments": ([chunk(tool(0, name="f"))], [("function_call", "")]),
    "thinking-as-a-string": (
        [chunk({"content": [{"type": "thinking", "thinking": "r"}, {"type": "text", "text": "a"}]})],
        [("reasoning", "r"), ("message", "a")],
    ),
    "references-of-mistral": (
        [chunk({"content": [{"type": "text", "text": "a"}, {"type": "reference", "reference_ids": [1]}]})],
        [("message", "a")],
    ),
    "finish-reason-in-capitals": ([chunk({"content": "a"}, "STOP")], [("message", "a")]),
    "usage-chunk-without-choices": ([chunk({"content": "a"}), '{"usage":{"prompt_tokens":1}}'], [("message", "a")]),
}


@pytest.mark.parametrize(("chunks", "expected"), TOLERATED.values(), ids=TOLERATED.keys())
def test_what_servers_do(chunks: list[str], expected: list[tuple[str, str]]) -> None:
    """Deviations that leave no doubt about what is meant are understood."""
    assert summary(bodies(*chunks)) == expected


WRAPPED: dict[str, tuple[str, str]] = {
    "plain": ('{"input":"ls"}', "ls"),
    "spaces": (' { "input" : "ls" } ', "ls"),
    "escapes": (r'{"input":"a\n\"b\"\\\u00e9\ud83d\ude00"}', 'a\n"b"\\é😀'),
    "empty": ('{"input":""}', ""),
    "not-json": ("ls -l", "ls -l"),
    "cut-off": ('{"input":"l', '{"input":"l'),
    "not-text": ('{"input":1}', '{"input":1}'),
    "null": ('{"input":null}', '{"input":null}'),
    "something-else": ('{"command":"ls"}', '{"command":"ls"}'),
    "something-more": ('{"input":"ls","cwd":"/"}', '{"input":"ls","cwd":"/"}'),
    "more-behind-it": ('{"input":"ls"} done', '{"input":"ls"} done'),
    "nested-too-deeply": ("[" * 20_000, "[" * 20_000),
}


@pytest.mark.parametrize(("arguments", "expected"), WRAPPED.values(), ids=WRAPPED.keys())
def test_a_wrapped_custom_tool_is_unwrapped(arguments: str, expected: str) -> None:
    """The input comes out of the wrapping; arguments that are not the wrapping come out as they are."""
    assert bodies(chunk(tool(0, name="apply_patch", arguments=arguments))) == [
        {"type": "custom_tool_call", "status": "completed", "name": "apply_patch", "input": expected}
    ]


@given(st.text(max_size=20), st.lists(st.integers(0, 60), max_size=4), st.booleans())
def test_unwrapping_does_not_depend_on_the_pieces(value: str, cuts: list[int], ascii_only: bool) -> None:
    """However the arguments are cut into pieces, the same input comes out."""
    arguments = json.dumps({"input": value}, ensure_ascii=ascii_only)
    bounds = [0, *sorted(min(cut, len(arguments)) for cut in cuts), len(arguments)]
    pieces = [arguments[start:end] for start, end in pairwise(bounds)]
    first, *rest = [tool(0, name="apply_patch", arguments=pieces[0]), *(tool(0, arguments=p) for p in pieces[1:])]

    (item,) = bodies(*(chunk(delta) for delta in (first, *rest)))

    assert item["input"] == value


@pytest.mark.parametrize("after", [{"content": "a"}, {"reasoning": "r"}, {"refusal": "n"}, tool(1, name="f")])
def test_a_wrapped_call_is_whole_before_anything_else_begins(after: JsonObject) -> None:
    """Whatever comes next, the held input of a wrapped call is said in its own item first."""
    items = bodies(chunk(tool(0, name="apply_patch", arguments='{"input":"ls"}')), chunk(after))

    assert summary(items)[0] == ("custom_tool_call", "ls")
    assert len(items) == 2


def test_a_custom_tool_in_a_namespace() -> None:
    """A custom tool that was flattened gets its namespace back as well."""
    (item,) = bodies(chunk({"tool_calls": [{"index": 0, "custom": {"name": "crm__find", "input": "x"}}]}))

    assert (item["type"], item["namespace"], item["name"], item["input"]) == ("custom_tool_call", "crm", "find", "x")


def test_tokens_that_are_part_of_a_character_wait_for_its_text() -> None:
    """Probabilities that come with empty text go with the text that they lead to; those beside reasoning go nowhere."""

    def entry(token: str) -> JsonObject:
        return {"content": [{"token": token, "logprob": -1.0, "bytes": None, "top_logprobs": None}]}

    (reasoned, said) = bodies(
        chunk({"reasoning": "r"}, logprobs=entry("r")),
        chunk({"content": ""}, logprobs=entry("1")),
        chunk({"content": "é"}, logprobs=entry("2")),
    )

    assert reasoned["type"] == "reasoning"
    assert [entry["token"] for entry in said["content"][0]["logprobs"]] == ["1", "2"]
    assert said["content"][0]["logprobs"][0] == {"token": "1", "bytes": [], "logprob": -1.0, "top_logprobs": []}


ANNOTATIONS: dict[str, tuple[JsonObject, JsonObject]] = {
    "nested": (
        {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 1, "end_index": 2}},
        {"type": "url_citation", "url": "u", "title": "t", "start_index": 1, "end_index": 2},
    ),
    "flat": (
        {"type": "url_citation", "url": "u", "title": "t", "start_index": 1, "end_index": 2},
        {"type": "url_citation", "url": "u", "title": "t", "start_index": 1, "end_index": 2},
    ),
    "gaps": (
        {"type": "url_citation", "url_citation": {"url": "u", "title": None}},
        {"type": "url_citation", "url": "u", "title": "", "start_index": 0, "end_index": 0},
    ),
    "another-type": ({"type": "file", "file": {"hash": "h"}}, {"type": "file", "hash": "h"}),
}


@pytest.mark.parametrize(("sent", "expected"), ANNOTATIONS.values(), ids=ANNOTATIONS.keys())
def test_annotations_are_flat(sent: JsonObject, expected: JsonObject) -> None:
    """A citation has the Responses API's form: flat and with all of its fields."""
    (item,) = bodies(chunk({"content": "a"}), chunk({"annotations": [sent]}))

    assert item["content"][0]["annotations"] == [expected]


BROKEN: dict[str, tuple[list[str], str]] = {
    "no-finish-reason": ([chunk({"content": "a"}), DONE], "without a finish_reason"),
    "no-done": ([chunk({"content": "a"}), FINISH], r"without its 'data: \[DONE\]'"),
    "nothing": ([], r"without its 'data: \[DONE\]'"),
    "not-json": (["nonsense"], "not a chat completion"),
    "not-utf8": (['{"choices":[{"delta":{"content":"\udcff"}}]}'], "not UTF-8"),
    "lone-surrogate": ([r'{"choices":[{"delta":{"content":"\ud83d"}}]}'], "not a chat completion"),
    "too-deep": (['{"x":' + "[" * 100_000], "nested too deeply"),
    "wrong-type": ([chunk({"content": 1})], "not a chat completion"),
    "a-list": (["[]"], "not a chat completion"),
    "other-choice": (['{"choices":[{"index":1,"delta":{"content":"a"}}]}'], "several choices"),
    "several-choices": (['{"choices":[{"index":0,"delta":{}},{"index":1,"delta":{}}]}'], "several choices"),
    "unknown-finish-reason": ([chunk({}, "abort")], "finish_reason 'abort'"),
    "error-as-finish-reason": ([chunk({}, "error")], "finish_reason 'error'"),
    "call-without-name": ([chunk(tool(0, arguments="{}")), FINISH, DONE], "without a name"),
    "call-renamed": ([chunk(tool(0, name="f")), chunk(tool(0, name="g"))], "changed the name"),
    "piece-of-a-closed-call": (
        [chunk(tool(0, name="f", arguments="{}")), chunk(tool(1, name="f")), chunk(tool(0, arguments="{"))],
        "after another item had begun",
    ),
    "piece-of-a-closed-wrapped-call": (
        [chunk(tool(0, name="apply_patch")), chunk({"content": "a"}), chunk(tool(0, arguments="{"))],
        "after another item had begun",
    ),
    "content-of-an-unknown-type": ([chunk({"content": [{"type": "hologram"}]})], "unknown type 'hologram'"),
    "text-that-is-none": ([chunk({"content": [{"type": "text", "text": 1}]})], "not a string"),
}


@pytest.mark.parametrize(("chunks", "words"), BROKEN.values(), ids=BROKEN.keys())
def test_what_no_server_may_do(chunks: list[str], words: str) -> None:
    """A reply that leaves a doubt is broken, and the error says why."""
    with pytest.raises(UpstreamBroken, match=words):
        stream("".join(f"data: {data}\n\n" for data in chunks).encode(errors="surrogateescape"))


def test_an_event_over_the_budget() -> None:
    """An event of a stream has a size limit."""
    with pytest.raises(UpstreamBroken, match="max_event_bytes"):
        stream(frames(chunk({"content": "a" * 200})), max_event_bytes=100)


ERRORS: dict[str, tuple[str, type[UpstreamError], str | None]] = {
    "openai": (
        '{"error":{"message":"The server had an error","type":"server_error","param":null,"code":null}}',
        UpstreamUnavailable,
        "upstream_unavailable",
    ),
    "numeric-code": ('{"error":{"code":429,"message":"slow down"}}', UpstreamRateLimited, "rate_limit_exceeded"),
    "numeric-code-as-text": ('{"error":{"code":"401","message":"no"}}', UpstreamAuthentication, None),
    "quota": (
        '{"error":{"message":"no money","code":"insufficient_quota"}}',
        UpstreamRateLimited,
        "insufficient_quota",
    ),
    "rate-limit-by-type": ('{"error":{"message":"x","type":"rate_limit_error"}}', UpstreamRateLimited, None),
    "overloaded": ('{"error":{"message":"x","type":"overloaded_error"}}', UpstreamUnavailable, None),
    "timeout": ('{"error":{"message":"x","code":504}}', UpstreamTimeout, None),
    "invalid": ('{"error":{"message":"bad tool","type":"invalid_request_error"}}', UpstreamRefused, None),
    "context-by-code": (
        '{"error":{"message":"x","code":"context_length_exceeded"}}',
        ContextLengthExceeded,
        "context_length_exceeded",
    ),
    "context-of-llamacpp": (
        '{"error":{"code":400,"message":"too long","type":"exceed_context_size_error","n_prompt_tokens":9,"n_ctx":4}}',
        ContextLengthExceeded,
        "context_length_exceeded",
    ),
    "context-by-words": (
        '{"error":{"message":"This model\'s maximum context length is 4096 tokens.","type":"server_error"}}',
        ContextLengthExceeded,
        "context_length_exceeded",
    ),
    "bare-text": ('{"error":"out of memory"}', UpstreamUnavailable, None),
    "odd-shape": ('{"error":["what"]}', UpstreamUnavailable, None),
    "document-itself": ('{"object":"error","message":"bad","code":400}', UpstreamRefused, None),
    "in-the-choice": (
        '{"choices":[{"index":0,"delta":{},"error":{"code":502,"message":"gone"}}]}',
        UpstreamUnavailable,
        None,
    ),
    "groq": ('{"choices":[],"x_groq":{"error":"over capacity"}}', UpstreamUnavailable, None),
}


@pytest.mark.parametrize(("body", "kind", "code"), ERRORS.values(), ids=ERRORS.keys())
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
def test_errors_under_status_200(body: str, kind: type[UpstreamError], code: str | None, *, streamed: bool) -> None:
    """An error in a chunk, or instead of a reply, is of the class that its code or type says."""
    with pytest.raises(UpstreamError) as raised:
        stream(frames(chunk({"content": "a"}), body)) if streamed else decoder().whole(body.encode())

    assert type(raised.value) is kind
    assert code in (None, raised.value.code)


NAMED: dict[str, tuple[bytes, type[UpstreamError], str]] = {
    "envelope": (b'{"error":{"code":429,"message":"slow down"}}', UpstreamRateLimited, "slow down"),
    "object": (b'{"code":429,"message":"slow down"}', UpstreamRateLimited, "slow down"),
    "text": (b"the engine stopped", UpstreamUnavailable, "the engine stopped"),
    "not-utf8": (b"\xff the engine stopped", UpstreamUnavailable, "the engine stopped"),
}


@pytest.mark.parametrize(("data", "kind", "words"), NAMED.values(), ids=NAMED.keys())
def test_an_event_that_is_called_error(data: bytes, kind: type[UpstreamError], words: str) -> None:
    """An event named error is one, whatever its data looks like."""
    with pytest.raises(kind, match=words):
        stream(b"event: error\ndata: " + data + b"\n\n")


WHOLE_BROKEN: dict[str, tuple[str, str]] = {
    "no-choices": ("{}", "no choices"),
    "empty-choices": ('{"choices":[]}', "no choices"),
    "no-message": ('{"choices":[{"index":0,"finish_reason":"stop"}]}', "no message"),
    "no-finish-reason": ('{"choices":[{"index":0,"message":{"content":"a"}}]}', "without a finish_reason"),
    "several": ('{"choices":[{"message":{}},{"message":{}}]}', "several choices"),
    "not-json": ("<html>", "not a chat completion"),
    "a-stream": ("data: {}\n\n", "not a chat completion"),
    "empty": ("", "not a chat completion"),
}


@pytest.mark.parametrize(("body", "words"), WHOLE_BROKEN.values(), ids=WHOLE_BROKEN.keys())
def test_bodies_that_are_no_reply(body: str, words: str) -> None:
    """A body that is no whole completion is broken, and the error says why."""
    with pytest.raises(UpstreamBroken, match=words):
        decoder().whole(body.encode())


def test_calls_of_a_whole_reply_are_apart_whatever_their_ids() -> None:
    """Two calls with the same id, or none, stay two calls."""
    function = {"name": "f", "arguments": "{}"}
    calls = [{"id": "x", "function": function}, {"id": "x", "function": function}, {"function": function}]
    body = {"choices": [{"index": 0, "message": {"tool_calls": calls}, "finish_reason": "tool_calls"}]}

    items, _ = outcome([*decoder().whole(json.dumps(body).encode())])

    assert [item.type for item in items] == ["function_call"] * 3
    assert len({item.body["call_id"] for item in items}) == 3


@given(st.binary(max_size=80))
def test_any_bytes_end_in_an_upstream_error(body: bytes) -> None:
    """Garbage is an error of the upstream, never an accident of ours and never a reply."""
    with pytest.raises(UpstreamError):
        stream(body)
    with pytest.raises(UpstreamError):
        decoder().whole(body)


def test_a_message_in_one_piece() -> None:
    """A stream that sends its message as a whole completion would is read like one."""
    calls = [{"id": name, "function": {"name": name, "arguments": "{}"}} for name in ("f", "g")]
    sent = {"role": "assistant", "content": "a", "tool_calls": calls}
    choice = {"index": 0, "message": sent, "finish_reason": "tool_calls"}

    items = without_ids(outcome(stream(frames(json.dumps({"choices": [choice]}), DONE))).items)

    assert summary(items) == [("message", "a"), ("function_call", "{}"), ("function_call", "{}")]


def test_a_message_behind_its_pieces() -> None:
    """A stream that repeats at its end what it has said in pieces says it once."""
    repeated = '{"choices":[{"index":0,"message":{"content":"ab"},"finish_reason":"stop"}]}'

    assert summary(bodies(chunk({"content": "a"}), chunk({"content": "b"}), repeated)) == [("message", "ab")]


def test_counts_below_zero() -> None:
    """Servers that write -1 for a count that they do not know have said nothing."""
    usage = {
        "prompt_tokens": 7,
        "completion_tokens": -1,
        "prompt_tokens_details": {"cached_tokens": -1},
        "completion_tokens_details": {"reasoning_tokens": -1},
    }
    counted = outcome(stream(frames(chunk({}, "stop"), json.dumps({"choices": [], "usage": usage}), DONE))).end.usage

    assert counted == Usage(input_tokens=7)


HUGE = 2**64
UNKEEPABLE: dict[str, str] = {
    "usage": json.dumps({"choices": [], "usage": {"prompt_tokens": HUGE}}),
    "usage-detail": json.dumps({"choices": [], "usage": {"prompt_tokens_details": {"cached_tokens": HUGE}}}),
    "annotation": chunk({"content": "a", "annotations": [{"type": "url_citation", "start_index": HUGE}]}),
    "annotation-too-deep": chunk({"content": "a", "annotations": [json.loads('{"a":' * 250 + "1" + "}" * 250)]}),
    "reasoning-detail": chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": HUGE}], "content": "a"}),
    "signature": chunk(
        {"tool_calls": [{"index": 0, "function": {"name": "f"}, "extra_content": {"google": {"signature": HUGE}}}]}
    ),
    "logprob-byte": chunk({"content": "a"}, logprobs={"content": [{"token": "a", "logprob": -1, "bytes": [HUGE]}]}),
}


@pytest.mark.parametrize("sent", UNKEEPABLE.values(), ids=UNKEEPABLE.keys())
def test_what_cannot_be_kept_is_refused(sent: str) -> None:
    """What no response could hold is the upstream's fault, and found before anybody has to write it down."""
    with pytest.raises(UpstreamBroken):
        stream(frames(sent, FINISH, DONE))


@pytest.mark.parametrize(("sent", "expected"), [("flex", "flex"), ("default", "default"), ("on_demand", None)])
def test_only_tiers_of_the_api_are_reported(sent: str, expected: str | None) -> None:
    """Groq's own tier is none that a client of the Responses API would accept."""
    tier = json.dumps({"choices": [], "service_tier": sent})

    assert outcome(stream(frames(tier, FINISH, DONE))).end.service_tier == expected
