"""Replies of Responses upstreams: what they become, whole and cut anywhere."""

from __future__ import annotations

import msgspec
import orjson
import pytest

from antiphon.hub.errors import (
    ContextLengthExceeded,
    UpstreamBroken,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamUnavailable,
)
from antiphon.hub.events import OtherEvent, ReplyEnd, type_of
from antiphon.hub.items import JsonObject, Private
from antiphon.hub.usage import Usage
from tests.providers.kit.calls import ACCOUNT
from tests.providers.kit.replies import KINDS, outcome, without_ids
from tests.providers.openai_responses_replies import decoder, stream, transcript, whole


class Expected(msgspec.Struct, frozen=True):
    """What a transcript becomes; ``private`` by the item's place, where an item has any."""

    items: list[JsonObject]
    end: ReplyEnd
    private: dict[int, JsonObject] = {}


def message(*content: JsonObject, status: str = "completed", **more: str) -> JsonObject:
    return {"type": "message", "status": status, "role": "assistant", "content": list(content), **more}


def text(value: str, *, annotations: tuple[JsonObject, ...] = (), logprobs: tuple[JsonObject, ...] = ()) -> JsonObject:
    return {"type": "output_text", "text": value, "annotations": list(annotations), "logprobs": list(logprobs)}


def call(name: str, arguments: str, *, status: str = "completed", **more: str) -> JsonObject:
    return {"type": "function_call", "status": status, "arguments": arguments, "name": name, **more}


def reasoning(*summary: str, **more: list[JsonObject]) -> JsonObject:
    return {"type": "reasoning", "summary": [{"type": "summary_text", "text": said} for said in summary], **more}


def logprob(token: str, value: float) -> JsonObject:
    entry = {"token": token, "logprob": value, "bytes": list(token.encode())}
    return {**entry, "top_logprobs": [entry]}


def completed(usage: Usage | None = None, model: str = "gpt-5.6-2026-07-01", tier: str | None = "default") -> ReplyEnd:
    return ReplyEnd(status="completed", usage=usage or USAGE, model=model, service_tier=tier)


def incomplete(reason: str) -> ReplyEnd:
    return msgspec.structs.replace(completed(), status="incomplete", incomplete_reason=reason)


USAGE = Usage(input_tokens=12, output_tokens=5)
LOCAL = completed(Usage(input_tokens=9, cached_tokens=4, output_tokens=3), "small", None)
PARIS, ROME = '{"city":"Paris"}', '{"city":"Rome"}'
RAW: JsonObject = {"type": "reasoning_text", "text": "Hm, yes."}
CITATION: JsonObject = {
    "type": "url_citation",
    "start_index": 0,
    "end_index": 5,
    "url": "https://example.org/a",
    "title": "A page",
}
MCP_CALL: JsonObject = {
    "type": "mcp_call",
    "status": "completed",
    "approval_request_id": None,
    "arguments": "{}",
    "error": None,
    "name": "t",
    "output": "ok",
    "server_label": "s1",
}
CODE: JsonObject = {
    "type": "code_interpreter_call",
    "status": "completed",
    "code": "1+1",
    "container_id": "cntr_1",
    "outputs": None,
}


def list_tools(server: str) -> JsonObject:
    return {"type": "mcp_list_tools", "server_label": server, "tools": [{"name": "t", "input_schema": {}}]}


# Each is there as a stream and as a whole body.
EXPECTED: dict[str, Expected] = {
    "text": Expected([message(text("Hello there."))], completed()),
    "every_character": Expected([message(text('"Grüß\n\t dich\\" 👋\u2028\u0001 日本'))], completed()),
    "empty": Expected([message(text(""))], completed(Usage(input_tokens=12))),
    "cut_short": Expected([message(text("Once upon"), status="incomplete")], incomplete("max_output_tokens")),
    "filtered": Expected([message(text("The"), status="incomplete")], incomplete("content_filter")),
    "refusal": Expected([message({"type": "refusal", "refusal": "I can't help."})], completed()),
    "one_call": Expected([call("look", PARIS)], completed()),
    "text_then_call": Expected([message(text("Let me see."), phase="commentary"), call("look", PARIS)], completed()),
    "parallel_calls": Expected([call("look", PARIS), call("find", ROME, namespace="crm")], completed()),
    "call_without_arguments": Expected([call("ping", "{}")], completed()),
    "call_cut_short": Expected([call("look", '{"city', status="incomplete")], incomplete("max_output_tokens")),
    "reasoning_text": Expected(
        [reasoning("Two plus two.", "Is four."), message(text("Four."))],
        completed(Usage(input_tokens=12, output_tokens=30, reasoning_tokens=24)),
    ),
    "reasoning_call": Expected(
        [reasoning("Look."), call("look", PARIS)], completed(), {0: {"encrypted_content": "gAAAsealedA"}}
    ),
    "reasoning_sealed": Expected(
        [reasoning(), message(text("Four."))], completed(), {0: {"encrypted_content": "gAAAsealedB"}}
    ),
    "cache": Expected(
        [message(text("Hi"))],
        completed(
            Usage(input_tokens=82, cached_tokens=64, cache_write_tokens=16, output_tokens=17, reasoning_tokens=4)
        ),
    ),
    "unknown": Expected(
        [
            {**message({**text("Hi"), "tint": 1}), "mood": "calm"},
            {"type": "holograph", "status": "completed", "depth": {"z": 3}},
        ],
        completed(),
    ),
    "custom_call": Expected(
        [{"type": "custom_tool_call", "status": "completed", "input": '*** Begin "Patch"\n', "name": "patch"}],
        completed(),
    ),
    "raw_reasoning": Expected([reasoning(content=[RAW]), message(text("Yes."))], completed()),
    "logprobs": Expected([message(text("Hi!", logprobs=(logprob("Hi", -0.25), logprob("!", -0.5))))], completed()),
    "web_search": Expected(
        [
            {
                "type": "web_search_call",
                "status": "completed",
                "action": {"type": "search", "query": "Paris", "queries": ["Paris"]},
            },
            message(text("Paris", annotations=(CITATION,))),
        ],
        completed(),
        {0: {"id": "ws_u1"}},
    ),
    "code_interpreter": Expected([CODE], completed(), {0: {"id": "ci_u1"}}),
    "mcp": Expected(
        [list_tools("s1"), list_tools("s2"), MCP_CALL],
        completed(),
        {0: {"id": "mcpl_u1"}, 1: {"id": "mcpl_u2"}, 2: {"id": "mcp_u3"}},
    ),
    "mcp_approval": Expected(
        [{"type": "mcp_approval_request", "arguments": "{}", "name": "t", "server_label": "s1"}],
        completed(),
        {0: {"id": "mcpr_u1"}},
    ),
    "shell": Expected(
        [
            {
                "type": "shell_call",
                "status": "completed",
                "action": {"commands": ["ls"], "timeout_ms": None, "max_output_length": None},
            },
            {
                "type": "shell_call_output",
                "status": "completed",
                "output": [{"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
                "max_output_length": None,
            },
        ],
        completed(),
    ),
}

# Streams of servers that leave things out, or say them otherwise.
DEVIATING: dict[str, Expected] = {
    "llamacpp_text": Expected([message(text("Four."))], LOCAL),
    "llamacpp_call": Expected([call("look", PARIS)], LOCAL),
    "vllm_reasoning": Expected(
        [
            {**reasoning(content=[{"type": "reasoning_text", "text": "So."}]), "status": "completed"},
            message(text("A.")),
        ],
        LOCAL,
    ),
    "no_parts": Expected([reasoning("Hm."), message(text("Yes."))], LOCAL),
    "rotating_ids": Expected([message(text("Hi"))], LOCAL),
    "end_alone": Expected([reasoning(), message(text("Hi"))], LOCAL, {0: {"encrypted_content": "gAAAsealedC"}}),
    "left_open": Expected(
        [message(text("Once"), status="incomplete")],
        msgspec.structs.replace(LOCAL, status="incomplete", incomplete_reason="max_output_tokens"),
    ),
}

FAILING: dict[str, tuple[type[UpstreamError], str]] = {
    "error": (UpstreamRateLimited, "Rate limit reached for tokens per min"),
    "error_nested": (ContextLengthExceeded, "exceeds the context window"),
    "overloaded": (UpstreamUnavailable, "currently overloaded"),
    "failed": (UpstreamUnavailable, "The model produced invalid content"),
}

# Which transcript is of which kind.
KIND_OF = {
    "text": "text",
    "text with every character": "every_character",
    "an empty answer": "empty",
    "cut short": "cut_short",
    "stopped by a filter": "filtered",
    "refusal": "refusal",
    "one call": "one_call",
    "text, then a call": "text_then_call",
    "parallel calls": "parallel_calls",
    "a call without arguments": "call_without_arguments",
    "a call that is cut short": "call_cut_short",
    "reasoning, then text": "reasoning_text",
    "reasoning, then a call": "reasoning_call",
    "reasoning that is sealed": "reasoning_sealed",
    "usage with a cache": "cache",
    "unknown fields and kinds": "unknown",
    "an error in the stream": "error",
    "overloaded in the stream": "overloaded",
}

STREAMS = {**EXPECTED, **DEVIATING}


def test_every_kind_of_reply_has_a_transcript() -> None:
    """The kinds of replies that every dialect is held against are all here."""
    assert set(KINDS) == set(KIND_OF)
    assert set(KIND_OF.values()) <= {*EXPECTED, *FAILING}


@pytest.mark.parametrize("name", STREAMS)
def test_stream(name: str) -> None:
    """A stream becomes the items and the end that its server meant, in an order that clients can rely on."""
    expected = STREAMS[name]

    items, end = outcome(stream(transcript(f"{name}.sse")))

    assert without_ids(items) == expected.items
    assert end == expected.end
    assert {index: item.private for index, item in enumerate(items) if item.private is not None} == {
        index: Private("openai_responses", ACCOUNT, data) for index, data in expected.private.items()
    }


@pytest.mark.parametrize("name", EXPECTED)
def test_whole_equals_streamed(name: str) -> None:
    """A reply in one piece gives the same items, ids included, and the same end as its stream."""
    expected = outcome(stream(transcript(f"{name}.sse")))

    assert outcome(whole(transcript(f"{name}.json"))) == expected


@pytest.mark.parametrize("name", EXPECTED)
def test_events_are_the_upstreams_own(name: str) -> None:
    """OpenAI's stream comes through event by event; only what the gateway says itself is left out."""
    said = [event["type"] for event in wire_events(name) if "output_index" in event]

    events = stream(transcript(f"{name}.sse"))[:-1]

    assert [type_of(event) for event in events if not isinstance(event, ReplyEnd)] == said


@pytest.mark.parametrize("name", STREAMS)
def test_every_split_gives_the_same_events(name: str) -> None:
    """Cut into single bytes, or into two wherever a line ends or begins, a stream gives the same events."""
    body = transcript(f"{name}.sse")
    expected = stream(body)

    assert stream(*(body[index : index + 1] for index in range(len(body)))) == expected
    for cut in cuts_at_lines(body):
        assert stream(body[:cut], body[cut:]) == expected


@pytest.mark.parametrize("name", ["llamacpp_call", "no_parts", "left_open"])
def test_a_cut_in_two_anywhere_changes_nothing(name: str) -> None:
    """Of the short streams, every way to cut one into two gives the same events."""
    body = transcript(f"{name}.sse")
    expected = stream(body)

    for cut in range(len(body)):
        assert stream(body[:cut], body[cut:]) == expected


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_stops_anywhere_is_broken_or_whole(name: str) -> None:
    """A stream cut off at any byte is an error unless its end was there; it is never taken for a shorter reply."""
    body = transcript(f"{name}.sse")
    end = body.index(b"\n\n", body.index(b'"type":"response.completed"')) if b"[DONE]" in body else len(body) - 2
    expected = stream(body)
    reply = decoder()

    for cut in range(end):
        # To finish takes up what could be a whole event, so there it is asked of a decoder of its own.
        asked = decoder() if body[:cut].rstrip().endswith(b"}") else reply
        if asked is not reply:
            asked.feed(body[:cut])
        with pytest.raises(UpstreamBroken):
            asked.finish()
        reply.feed(body[cut : cut + 1])

    for cut in range(end, len(body)):
        assert stream(body[:cut]) == expected


@pytest.mark.parametrize("name", EXPECTED)
def test_a_body_that_stops_anywhere_is_broken(name: str) -> None:
    """A whole reply cut off at any byte is an error."""
    body = transcript(f"{name}.json").rstrip()

    for cut in range(len(body)):
        with pytest.raises(UpstreamBroken):
            decoder().whole(body[:cut])


@pytest.mark.parametrize("name", FAILING)
def test_an_error_in_a_stream(name: str) -> None:
    """An error that a server reports in the middle of its stream is raised with its own words, however it is cut."""
    body = transcript(f"{name}.sse")
    kind, words = FAILING[name]

    for cut in (0, *cuts_at_lines(body)):
        with pytest.raises(kind, match=words):
            stream(body[:cut], body[cut:])


@pytest.mark.parametrize("name", FAILING)
def test_a_failing_stream_that_stops_anywhere_fails(name: str) -> None:
    """A stream that was going to report an error is an upstream's error wherever it stops."""
    body = transcript(f"{name}.sse")

    for cut in range(0, len(body), 3):
        with pytest.raises(UpstreamError):
            stream(body[:cut])


def test_what_came_before_an_error_is_said() -> None:
    """Events in front of an error are given out; finish() raises it, also when it is asked twice."""
    reply = decoder()

    events = reply.feed(transcript("error.sse"))

    assert [type_of(event) for event in events if not isinstance(event, ReplyEnd)][-1] == "response.output_text.delta"
    assert reply.ended
    for _ in range(2):
        with pytest.raises(UpstreamRateLimited):
            reply.finish()


def test_a_whole_reply_that_failed() -> None:
    """A body of status failed is the error that it holds."""
    with pytest.raises(UpstreamUnavailable, match="The model produced invalid content"):
        whole(transcript("failed.json"))


def test_what_follows_the_end_is_ignored() -> None:
    """After the terminal event nothing counts any more, in the same block or a later one."""
    body = transcript("text.sse")
    reply = decoder()

    events = [*reply.feed(body + b'data: {"error":{"message":"late"}}\n\n'), *reply.feed(b"data: nonsense\n\n")]

    assert reply.ended
    assert [*events, *reply.finish()] == stream(body)


def test_the_end_is_known_before_the_connection_closes() -> None:
    """The terminal event alone ends a reply: nobody has to wait for the server to hang up."""
    reply = decoder()
    body = transcript("text.sse")

    reply.feed(body[:-2])
    before = reply.ended
    events = reply.feed(body[-2:])

    assert (before, reply.ended) == (False, True)
    assert isinstance(events[-1], ReplyEnd)


@pytest.mark.parametrize("name", STREAMS)
def test_upstream_ids_never_leave(name: str) -> None:
    """The upstream's ids of replies, items and calls are nowhere in what clients see of a reply."""
    events = stream(transcript(f"{name}.sse"))
    shown = repr([msgspec.to_builtins(event) | {"private": None} for event in events])

    assert "resp_up1" not in shown
    assert not [part for part in ("_u1", "_u2", "_u3", "'a1'", "'a6'") if part in shown]


def test_hosted_tools_events_ride_along() -> None:
    """What hosted tools say of themselves comes through under the ids and places of here, without the padding."""
    events = stream(transcript("code_interpreter.sse"))
    others = [event for event in events if isinstance(event, OtherEvent)]
    item = outcome(events).items[0]

    assert [event.type.rpartition(".")[2] for event in others] == [
        "in_progress",
        "delta",
        "done",
        "interpreting",
        "completed",
    ]
    assert others[1].fields == {"item_id": item.id, "output_index": 0, "delta": "1+1"}


def cuts_at_lines(body: bytes) -> list[int]:
    """Where a cut falls right before or behind the end of a line."""
    ends = [index for index, byte in enumerate(body) if byte == 0x0A]
    return sorted({index + near for index in ends for near in (0, 1)})


def wire_events(name: str) -> list[JsonObject]:
    lines = transcript(f"{name}.sse").split(b"\n")
    return [orjson.loads(line.removeprefix(b"data: ")) for line in lines if line.startswith(b"data: ")]
