"""Replies of Converse: what they become, whole and cut anywhere."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Any

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
from antiphon.hub.events import ReplyEnd
from antiphon.hub.items import JsonObject, Private
from antiphon.hub.upstream import ReplyEvent
from antiphon.hub.usage import Usage
from tests.providers.bedrock_frames import event, exception, frame
from tests.providers.bedrock_replies import TRANSCRIPTS, decoder, frames_of, stream, whole, whole_of
from tests.providers.kit.calls import ACCOUNT
from tests.providers.kit.replies import KINDS, outcome, without_ids


class Expected(msgspec.Struct, frozen=True):
    """What a transcript becomes; ``private`` by the item's place, where an item has any."""

    items: list[JsonObject]
    end: ReplyEnd
    private: dict[int, JsonObject] = {}


def message(*content: JsonObject, status: str = "completed") -> JsonObject:
    return {"type": "message", "status": status, "content": list(content), "role": "assistant"}


def text(value: str, *annotations: JsonObject) -> JsonObject:
    return {"type": "output_text", "text": value, "annotations": list(annotations), "logprobs": []}


def reasoning(*texts: str) -> JsonObject:
    body: JsonObject = {"type": "reasoning", "status": "completed", "summary": []}
    content = [{"type": "reasoning_text", "text": value} for value in texts]
    return {**body, "content": content} if content else body


def call(name: str, arguments: str, *, status: str = "completed", **more: str) -> JsonObject:
    return {"type": "function_call", "status": status, "arguments": arguments, "name": name, **more}


USAGE = Usage(input_tokens=12, output_tokens=5)
COMPLETED = ReplyEnd(status="completed", usage=USAGE)
CUT_SHORT = ReplyEnd(status="incomplete", incomplete_reason="max_output_tokens", usage=USAGE)
PARIS, ROME = '{"city":"Paris"}', '{"city":"Rome"}'
CITATION: JsonObject = {
    "type": "url_citation",
    "start_index": 0,
    "end_index": 0,
    "url": "https://example.org/a",
    "title": "A page",
}

EXPECTED: dict[str, Expected] = {
    "text": Expected([message(text("Paris is it."))], COMPLETED),
    "characters": Expected([message(text('Say "hi"\n\tGrüß 👋\u2028\\ end'))], COMPLETED),
    "empty": Expected([], ReplyEnd(status="completed", usage=Usage(input_tokens=12))),
    "cut_short": Expected([message(text("Once upon"), status="incomplete")], CUT_SHORT),
    "stop_sequence": Expected([message(text("Paris is it."))], msgspec.structs.replace(COMPLETED, stop_sequence="END")),
    "window_exceeded": Expected([message(text("Once"), status="incomplete")], CUT_SHORT),
    "filtered": Expected(
        [message(text("The"), status="incomplete")],
        ReplyEnd(status="incomplete", incomplete_reason="content_filter", usage=USAGE),
    ),
    "guardrail": Expected(
        [message(text("Sorry, I cannot talk about that."), status="incomplete")],
        ReplyEnd(status="incomplete", incomplete_reason="content_filter", usage=Usage()),
    ),
    "call": Expected([call("look", PARIS)], COMPLETED),
    "text_then_call": Expected([message(text("Let me see.")), call("look", PARIS)], COMPLETED),
    "parallel_calls": Expected([call("look", PARIS), call("find", ROME, namespace="crm")], COMPLETED),
    "call_without_arguments": Expected([call("look", "{}"), call("look", "{}")], COMPLETED),
    "call_cut_short": Expected([call("look", '{"city', status="incomplete")], CUT_SHORT),
    "call_cut_before_arguments": Expected([call("look", "", status="incomplete")], CUT_SHORT),
    "custom_call": Expected(
        [{"type": "custom_tool_call", "status": "completed", "name": "patch", "input": 'say "hi"\n😀'}], COMPLETED
    ),
    "reasoning": Expected(
        [reasoning("Two plus two."), message(text("Four."))], COMPLETED, {0: {"blocks": [{"chars": 13}]}}
    ),
    "reasoning_then_call": Expected(
        [reasoning("Which city? 🤔"), call("look", PARIS)],
        COMPLETED,
        {0: {"blocks": [{"chars": 13, "signature": "EqoBCkgIARABGAIiQA=="}]}},
    ),
    "reasoning_sealed": Expected(
        [reasoning("First.", "Then."), message(text("Done.")), reasoning(), message(text(" Really."))],
        COMPLETED,
        {
            0: {
                "blocks": [
                    {"chars": 6, "signature": "c2lnMQ=="},
                    {"redacted": "ZW5jcnlwdGVk"},
                    {"chars": 5, "signature": "c2lnMg=="},
                ]
            },
            2: {"blocks": [{"chars": 0, "signature": "c2lnMw=="}]},
        },
    ),
    "usage_with_cache": Expected(
        [message(text("Hi"))],
        ReplyEnd(
            status="completed",
            usage=Usage(input_tokens=2004, cached_tokens=1200, cache_write_tokens=800, output_tokens=7),
            service_tier="flex",
        ),
    ),
    "routed": Expected(
        [message(text("Hi"))],
        ReplyEnd(
            status="completed",
            usage=USAGE,
            model="arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0",
        ),
    ),
    "cited": Expected([message(text("Paris", CITATION))], COMPLETED),
    "unknown": Expected([message(text("Hi"))], COMPLETED),
}
# The parser of messages has a test of its own that cuts at every byte.
SHORT_BYTES = 600
BLOCK_BYTES = 97
# A whole reply gives a call's arguments as an object, so it has no form for half of one.
ONLY_STREAMED = {"call_cut_short"}
FAILING: dict[str, tuple[type[UpstreamError], str]] = {
    "error_in_stream": (UpstreamUnavailable, r"The model stopped\. Worker lost\."),
    "overloaded_in_stream": (UpstreamRateLimited, "Too many tokens, please wait"),
    "too_long_in_stream": (ContextLengthExceeded, "context window"),
    "malformed": (UpstreamBroken, "malformed_tool_use"),
}
# Converse has no refusal of its own: a model that refuses says so in its text, or is stopped by a filter.
BY_KIND = {
    "text": "text",
    "text with every character": "characters",
    "an empty answer": "empty",
    "cut short": "cut_short",
    "stopped by a filter": "filtered",
    "refusal": None,
    "one call": "call",
    "text, then a call": "text_then_call",
    "parallel calls": "parallel_calls",
    "a call without arguments": "call_without_arguments",
    "a call that is cut short": "call_cut_short",
    "reasoning, then text": "reasoning",
    "reasoning, then a call": "reasoning_then_call",
    "reasoning that is sealed": "reasoning_sealed",
    "usage with a cache": "usage_with_cache",
    "unknown fields and kinds": "unknown",
    "an error in the stream": "error_in_stream",
    "overloaded in the stream": "overloaded_in_stream",
}


def offsets(name: str) -> list[int]:
    """Every offset of a short stream; of a longer one every ninth, and all around the ends of its messages."""
    frames = frames_of(name)
    ends = [*accumulate(map(len, frames))]
    if ends[-1] <= SHORT_BYTES:
        return [*range(ends[-1])]
    around = {end + near for end in ends for near in range(-4, 5)}
    return [cut for cut in range(ends[-1]) if cut in around or cut % 9 == 0]


def test_every_kind_has_a_transcript() -> None:
    """Each kind of reply that the kit knows has a transcript here, and each transcript is tested."""
    assert list(KINDS) == list(BY_KIND)
    named = {*EXPECTED, *FAILING}
    assert {name for name in BY_KIND.values() if name is not None} <= named
    assert {path.stem for path in TRANSCRIPTS.glob("*.jsonl")} == named
    assert {path.stem for path in TRANSCRIPTS.glob("*.json")} == {*EXPECTED} - ONLY_STREAMED


@pytest.mark.parametrize("name", EXPECTED)
def test_stream(name: str) -> None:
    """A stream becomes the items and the end that the service meant."""
    expected = EXPECTED[name]

    items, end = outcome(stream(*frames_of(name)))

    assert without_ids(items) == expected.items
    assert end == expected.end
    assert {index: item.private for index, item in enumerate(items) if item.private is not None} == {
        index: Private("bedrock", ACCOUNT, data) for index, data in expected.private.items()
    }


@pytest.mark.parametrize("name", [name for name in EXPECTED if name not in ONLY_STREAMED])
def test_whole_equals_streamed(name: str) -> None:
    """A reply in one piece gives the same items, ids and private data included, and the same end as its stream."""
    assert outcome(whole(whole_of(name))) == outcome(stream(*frames_of(name)))


@pytest.mark.parametrize("name", EXPECTED)
def test_every_split_gives_the_same_events(name: str) -> None:
    """Where a stream is cut into two, into blocks from any offset on, or into single bytes, changes no event."""
    body = b"".join(frames_of(name))
    expected = stream(body)

    assert stream(*(body[index : index + 1] for index in range(len(body)))) == expected
    for first in range(1, BLOCK_BYTES + 1):
        cuts = [0, *range(first, len(body), BLOCK_BYTES), len(body)]
        assert stream(*(body[start:end] for start, end in pairwise(cuts))) == expected
    for cut in offsets(name):
        assert stream(body[:cut], body[cut:]) == expected


@pytest.mark.parametrize("name", EXPECTED)
def test_a_stream_that_stops_anywhere_is_broken_or_whole(name: str) -> None:
    """A stream that stops is broken, but right behind its messageStop, where all was said and the usage alone lacks."""
    frames = frames_of(name)
    body = b"".join(frames)
    whole_without_usage = len(body) - len(frames[-1])
    ends = {}

    for cut in offsets(name):
        try:
            ends[cut] = outcome(stream(body[:cut]))
        except UpstreamBroken:
            continue

    expected = EXPECTED[name]
    assert list(ends) == [whole_without_usage]
    items, end = ends[whole_without_usage]
    assert without_ids(items) == expected.items
    assert end == msgspec.structs.replace(expected.end, usage=None, model=None, service_tier=None)


@pytest.mark.parametrize("name", [name for name in EXPECTED if name not in ONLY_STREAMED])
def test_a_body_that_stops_anywhere_is_broken(name: str) -> None:
    """A whole reply cut off at any byte is an error."""
    body = whole_of(name).rstrip()

    for cut in range(len(body)):
        with pytest.raises(UpstreamBroken):
            whole(body[:cut])


@pytest.mark.parametrize("name", FAILING)
def test_an_error_in_a_stream(name: str) -> None:
    """An error that the service reports in a stream is raised with its own words, however it is cut."""
    body = b"".join(frames_of(name))
    kind, words = FAILING[name]

    for cut in offsets(name):
        with pytest.raises(kind, match=words):
            stream(body[:cut], body[cut:])


@pytest.mark.parametrize("name", FAILING)
def test_a_failing_stream_that_stops_anywhere_fails(name: str) -> None:
    """A stream that was going to report an error is an upstream's error wherever it stops."""
    body = b"".join(frames_of(name))

    for cut in range(len(body)):
        with pytest.raises(UpstreamError):
            stream(body[:cut])


@pytest.mark.parametrize("name", ["text", "reasoning_then_call"])
def test_a_changed_byte_never_changes_an_answer(name: str) -> None:
    """A stream with any one byte changed is an error: checksums are verified."""
    body = b"".join(frames_of(name))

    for place in range(0, len(body), 3):
        changed = bytearray(body)
        changed[place] ^= 0x40
        with pytest.raises(UpstreamBroken):
            stream(bytes(changed))


def test_what_came_before_a_fault_is_said() -> None:
    """Events before a fault in the same block are said; finish() raises it."""
    reply = decoder()

    events = reply.feed(b"".join(frames_of("overloaded_in_stream")))

    assert [event.delta for event in events if hasattr(event, "delta")] == ["Par"]
    assert reply.ended
    assert reply.feed(b"more") == ()
    with pytest.raises(UpstreamRateLimited):
        reply.finish()


def test_what_follows_the_end_is_ignored() -> None:
    """After the metadata nothing counts any more, in the same block or a later one."""
    body = b"".join(frames_of("text"))
    reply = decoder()

    events: list[ReplyEvent] = [*reply.feed(body + exception("throttlingException", "late")), *reply.feed(b"nonsense")]

    assert reply.ended
    assert [*events, *reply.finish()] == stream(body)


def test_the_end_is_known_before_the_connection_closes() -> None:
    """The metadata ends a reply: nobody has to wait for the service to hang up."""
    *frames, last = frames_of("text")
    reply = decoder()

    reply.feed(b"".join(frames))
    before = reply.ended
    events = reply.feed(last)

    assert (before, reply.ended) == (False, True)
    assert isinstance(events[-1], ReplyEnd)


def test_metadata_before_the_end_ends_nothing() -> None:
    """Metadata that comes before the messageStop brings the usage, and the answer goes on."""
    start, *texts, stop, end, metadata = frames_of("text")

    assert outcome(stream(start, metadata, *texts, stop, end)) == outcome(stream(*frames_of("text")))


def test_upstream_ids_never_leave() -> None:
    """The upstream's ids of calls are nowhere in what is made of them."""
    assert "tooluse" not in repr(stream(*frames_of("parallel_calls")))


def started(place: int = 0, **start: Any) -> bytes:
    return event("contentBlockStart", {"contentBlockIndex": place, "start": start})


def delta(place: int = 0, **value: Any) -> bytes:
    return event("contentBlockDelta", {"contentBlockIndex": place, "delta": value})


BROKEN: dict[str, tuple[list[bytes], str]] = {
    "nothing at all": ([], "messageStop"),
    "a payload that is cut": (
        [frame({":message-type": "event", ":event-type": "contentBlockDelta"}, b"{")],
        "truncated",
    ),
    "a payload that is not UTF-8": (
        [frame({":message-type": "event", ":event-type": "contentBlockDelta"}, b'{"delta":{"text":"\xff"}}')],
        "Converse",
    ),
    "a text that is a number": ([delta(text=5)], "Converse"),
    "a piece of no call": ([delta(toolUse={"input": "{"})], "not open"),
    "a piece of another call": (
        [started(toolUse={"name": "look", "toolUseId": "a"}), delta(1, toolUse={"input": "{"})],
        "not open",
    ),
    "a piece of a call that was left": (
        [started(toolUse={"name": "look"}), delta(1, text="Hm"), delta(0, toolUse={"input": "{"})],
        "not open",
    ),
    "a call without a name": ([started(toolUse={"toolUseId": "a"})], "without a name"),
    "a call of the upstream's own tool": (
        [started(toolUse={"name": "web", "toolUseId": "a", "type": "server_tool_use"})],
        "runs itself",
    ),
    "an image": ([started(image={"format": "png"})], "'image'"),
    "a piece of an image": ([delta(image={"source": {"bytes": "aGk="}})], "'image'"),
    "a result of the upstream's own tool": ([delta(toolResult=[{"text": "x"}])], "'toolResult'"),
    "text after the end": ([event("messageStop", {"stopReason": "end_turn"}), delta(text="more")], "after its"),
    "a call after the end": (
        [event("messageStop", {"stopReason": "end_turn"}), started(toolUse={"name": "look"})],
        "after its",
    ),
    "an end without a reason": ([event("messageStop", {})], "stopReason ''"),
    "an end for an unknown reason": ([event("messageStop", {"stopReason": "bored\nAKIA0123456789ABCDEF"})], "bored"),
    "output that is none": ([event("messageStop", {"stopReason": "malformed_model_output"})], "malformed_model"),
    "a count below nothing": ([event("metadata", {"usage": {"inputTokens": -1}})], "Converse"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_streams_that_are_none(name: str) -> None:
    """What Converse does not allow, or what was not asked for, breaks a reply instead of changing it."""
    frames, words = BROKEN[name]

    with pytest.raises(UpstreamBroken, match=words) as raised:
        stream(*frames)
    assert "AKIA0123456789ABCDEF" not in raised.value.message
    assert "\n" not in raised.value.message


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"output": {"message": {"content": [{"text": "Hi"}]}}},
        {"stopReason": "end_turn"},
        {"output": {}, "stopReason": "end_turn"},
        {"output": {"message": {}}, "stopReason": "end_turn"},
        {"output": {"message": {"content": "Hi"}}, "stopReason": "end_turn"},
        {"output": {"message": {"content": [{"image": {}}]}}, "stopReason": "end_turn"},
        {"message": "The security token included in the request is invalid."},
        [],
    ],
)
def test_bodies_that_are_none(body: Any) -> None:
    """A body without a message or a reason to end, or with what nobody asked for, is broken."""
    with pytest.raises(UpstreamBroken):
        whole(orjson.dumps(body))


@pytest.mark.parametrize(
    "message",
    [
        frame({":message-type": "initial-response"}, b"{}"),
        frame({}, b""),
        event("contentBlockDelta", {"delta": {}}),
        event("contentBlockDelta", {"delta": {"text": ""}}),
        event("contentBlockDelta", {"delta": {"reasoningContent": {"text": ""}}}),
        event("contentBlockDelta", {}),
        event("contentBlockStart", {"start": {}}),
        event("contentBlockStart", {}),
    ],
    ids=["of another type", "without headers", "empty", "no text", "no thought", "no delta", "no kind", "no start"],
)
def test_messages_that_say_nothing(message: bytes) -> None:
    """A message that says nothing, or nothing that is known, changes nothing."""
    first, *rest = frames_of("text")

    assert stream(first, message, *rest) == stream(first, *rest)


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({":message-type": "error", ":error-code": "ThrottlingException", ":error-message": "Slow."}, "429"),
        ({":message-type": "error", ":error-code": "InternalFailure", ":error-message": "Oh."}, "503"),
        ({":message-type": "error"}, "503"),
    ],
)
def test_errors_without_a_payload(headers: dict[str, str], kind: str) -> None:
    """A message of type error has its code and its words in headers."""
    with pytest.raises(UpstreamError) as raised:
        stream(frame(headers))

    assert raised.value.status == int(kind)


def test_a_call_that_is_not_allowed() -> None:
    """A call of a tool that the choice of tools does not allow never reaches the client."""
    with pytest.raises(UpstreamBroken, match="'look', which 'tool_choice' does not allow"):
        decoder(allowed_tools=frozenset({"find"})).feed(b"".join(frames_of("call")))


def test_a_tool_that_nobody_offered() -> None:
    """A call of an unknown tool is shown as it came: the client knows what to say to it."""
    reply = decoder(tools={})

    items, _ = outcome([*reply.feed(b"".join(frames_of("custom_call"))), *reply.finish()])

    assert without_ids(items) == [call("patch", '{"input":"say \\"hi\\"\\n😀"}')]


def test_a_custom_call_whose_arguments_are_others() -> None:
    """A custom tool that is called with anything but its one text gets the arguments as they are."""
    frames = [started(toolUse={"name": "patch"}), delta(toolUse={"input": '{"inputs": 1}'})]

    items, _ = outcome(stream(*frames, *frames_of("call")[-2:]))

    assert items[0].body["input"] == '{"inputs": 1}'


def test_a_message_over_the_limit() -> None:
    """A message that is longer than allowed breaks the reply."""
    with pytest.raises(UpstreamBroken, match="max_message_bytes"):
        decoder(max_message_bytes=50).feed(frames_of("text")[0])
