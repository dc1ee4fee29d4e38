"""Replies of the Messages API: what they become, whole and cut anywhere."""

from __future__ import annotations

import msgspec
import pytest

from antiphon.hub.errors import UpstreamBroken, UpstreamError, UpstreamUnavailable
from antiphon.hub.events import OtherEvent, ReplyEnd
from antiphon.hub.items import JsonObject, Private
from antiphon.hub.upstream import Metered
from antiphon.hub.usage import Usage
from antiphon.providers.anthropic import provider
from tests.providers.anthropic_replies import decode_stream, decode_whole, decoder, sse, transcript
from tests.providers.kit.calls import ACCOUNT, function_tool, model_call
from tests.providers.kit.replies import KINDS, outcome, without_ids
from tests.streams.fixed_ids import FAMILY, counting_ids

MODEL = "claude-sonnet-5"
USAGE = Usage(input_tokens=12, output_tokens=5)
PARIS, ROME = '{"city": "Paris"}', '{"city": "Rome"}'


class Expected(msgspec.Struct, frozen=True):
    """What a transcript becomes; ``thoughts`` are the blocks that are kept, by the item's place."""

    items: list[JsonObject]
    end: ReplyEnd
    thoughts: dict[int, list[JsonObject]] = {}


def message(*content: JsonObject, status: str = "completed") -> JsonObject:
    return {"type": "message", "status": status, "content": list(content), "role": "assistant"}


def text(value: str, *annotations: JsonObject) -> JsonObject:
    return {"type": "output_text", "text": value, "annotations": list(annotations), "logprobs": []}


def reasoning(*summary: str, status: str = "completed") -> JsonObject:
    said = [{"type": "summary_text", "text": value} for value in summary]
    return {"type": "reasoning", "status": status, "summary": said}


def call(name: str, arguments: str = "{}", *, status: str = "completed", **more: str) -> JsonObject:
    return {"type": "function_call", "status": status, "arguments": arguments, "name": name, **more}


def custom(name: str, value: str, *, status: str = "completed") -> JsonObject:
    return {"type": "custom_tool_call", "status": status, "name": name, "input": value}


def thinking(value: str, signature: str) -> JsonObject:
    return {"type": "thinking", "thinking": value, "signature": signature}


def completed(usage: Usage = USAGE, service_tier: str | None = None) -> ReplyEnd:
    return ReplyEnd(status="completed", usage=usage, model=MODEL, service_tier=service_tier)


def incomplete(reason: str, usage: Usage = USAGE) -> ReplyEnd:
    return ReplyEnd(status="incomplete", incomplete_reason=reason, usage=usage, model=MODEL)


def url_citation(start: int, end: int, url: str, title: str) -> JsonObject:
    return {"type": "url_citation", "start_index": start, "end_index": end, "url": url, "title": title}


EXPECTED: dict[str, Expected] = {
    "text": Expected([message(text("Hello."))], completed()),
    "text_every_character": Expected([message(text('"Grüß\ndich" 👋\u2028\\\t\r</s>'))], completed()),
    "empty": Expected([], completed(Usage(input_tokens=12, output_tokens=2))),
    "length": Expected([message(text("Once upon"), status="incomplete")], incomplete("max_output_tokens")),
    "stop_sequence": Expected([message(text("Hello."))], msgspec.structs.replace(completed(), stop_sequence="END")),
    "window": Expected([message(text("Once"), status="incomplete")], incomplete("max_output_tokens")),
    "filtered": Expected([message(text("The first step"), status="incomplete")], incomplete("content_filter")),
    "refusal": Expected(
        [message({"type": "refusal", "refusal": "This could do harm."}, status="incomplete")],
        incomplete("content_filter", Usage(input_tokens=12)),
    ),
    "one_call": Expected([call("get_weather", PARIS)], completed()),
    "text_then_call": Expected([message(text("Let me see.")), call("get_weather", PARIS)], completed()),
    "parallel_calls": Expected([call("get_weather", PARIS), call("get_weather", ROME)], completed()),
    "call_without_arguments": Expected([call("ping"), call("get_time")], completed()),
    "call_cut": Expected([call("get_weather", '{"city": "Pa', status="incomplete")], incomplete("max_output_tokens")),
    "thinking_then_text": Expected(
        [reasoning("Two plus two."), message(text("Four."))],
        completed(Usage(input_tokens=12, output_tokens=30, reasoning_tokens=24)),
        {0: [thinking("Two plus two.", "RXVzaWc=")]},
    ),
    "thinking_then_call": Expected(
        [reasoning("Look it up."), call("get_weather", PARIS)],
        completed(),
        {0: [thinking("Look it up.", "RXVzaWc=")]},
    ),
    "thinking_sealed": Expected(
        [reasoning("Then."), message(text("Done."))],
        completed(),
        {
            0: [
                thinking("", "c2lnMQ=="),
                {"type": "redacted_thinking", "data": "ZW5jcnlwdGVk"},
                thinking("Then.", "c2lnMg=="),
            ]
        },
    ),
    "thinking_between": Expected(
        [reasoning("First."), call("get_weather", PARIS), reasoning("Second."), call("ping")],
        completed(),
        {0: [thinking("First.", "c2lnMQ==")], 2: [thinking("Second.", "c2lnMg==")]},
    ),
    "two_thoughts": Expected(
        [reasoning("One.", "Two."), message(text("Ok."))],
        completed(),
        {0: [thinking("One.", "c2lnMQ=="), thinking("Two.", "c2lnMg==")]},
    ),
    "thinking_cut": Expected([reasoning("Let me thi", status="incomplete")], incomplete("max_output_tokens")),
    "cache": Expected(
        [message(text("Hi"))],
        completed(
            Usage(input_tokens=123, cached_tokens=100, cache_write_tokens=20, output_tokens=7), service_tier="default"
        ),
    ),
    "citations": Expected(
        [
            message(
                text(
                    "As known, Paris is big.So",
                    url_citation(10, 22, "https://example.org/a", "A"),
                    url_citation(10, 22, "https://example.org/b", ""),
                    {"type": "file_citation", "file_id": "", "filename": "a.pdf", "index": 25},
                )
            )
        ],
        completed(),
    ),
    "custom_call": Expected([custom("apply_patch", 'say "hi"\n😀'), call("find", namespace="crm")], completed()),
    "custom_call_cut": Expected(
        [custom("apply_patch", '{"input": "ab', status="incomplete")], incomplete("max_output_tokens")
    ),
    "unknown": Expected([message(text("Hi"))], completed()),
}
# What each of the kinds that all dialects have is called here.
TRANSCRIPTS = {
    "text": "text",
    "text with every character": "text_every_character",
    "an empty answer": "empty",
    "cut short": "length",
    "stopped by a filter": "filtered",
    "refusal": "refusal",
    "one call": "one_call",
    "text, then a call": "text_then_call",
    "parallel calls": "parallel_calls",
    "a call without arguments": "call_without_arguments",
    "a call that is cut short": "call_cut",
    "reasoning, then text": "thinking_then_text",
    "reasoning, then a call": "thinking_then_call",
    "reasoning that is sealed": "thinking_sealed",
    "usage with a cache": "cache",
    "unknown fields and kinds": "unknown",
    "an error in the stream": "error",
    "overloaded in the stream": "overloaded",
}
# The arguments of a call in a whole reply are an object, which half an object is not.
ONLY_STREAMED = ("call_cut", "custom_call_cut")
# A stream of the same shape as one of these need not be cut at every byte.
SWEPT = [
    *("text", "text_every_character", "empty", "refusal", "text_then_call", "call_without_arguments", "call_cut"),
    *("thinking_then_call", "thinking_sealed", "thinking_cut", "cache", "citations", "custom_call", "unknown"),
]
WHOLE = [name for name in EXPECTED if name not in ONLY_STREAMED]
FAILING: dict[str, tuple[type[UpstreamError], str]] = {
    "error": (UpstreamUnavailable, "Internal server error"),
    "overloaded": (UpstreamUnavailable, "is overloaded"),
}


def test_every_kind_has_a_transcript() -> None:
    """There is a transcript of each kind of reply that all dialects are held against."""
    assert set(KINDS) == set(TRANSCRIPTS)
    assert set(TRANSCRIPTS.values()) <= {*EXPECTED, *FAILING}


@pytest.mark.parametrize("name", EXPECTED)
def test_stream(name: str) -> None:
    """A stream becomes the items and the end that the API meant."""
    expected = EXPECTED[name]

    items, end = outcome(decode_stream(transcript(f"{name}.sse")))

    assert without_ids(items) == expected.items
    assert end == expected.end
    assert {index: item.private for index, item in enumerate(items) if item.private is not None} == {
        index: Private("anthropic", ACCOUNT, {"blocks": blocks}) for index, blocks in expected.thoughts.items()
    }


@pytest.mark.parametrize("name", WHOLE)
def test_whole_equals_streamed(name: str) -> None:
    """A reply in one piece gives the same items, ids and private state included, and the same end as its stream."""
    assert outcome(decode_whole(transcript(f"{name}.json"))) == outcome(decode_stream(transcript(f"{name}.sse")))


@pytest.mark.parametrize("name", SWEPT)
def test_every_split_gives_the_same_events(name: str) -> None:
    """Where a stream is cut into two, or into single bytes, changes no event."""
    body = transcript(f"{name}.sse")
    expected = decode_stream(body)

    assert decode_stream(*(body[index : index + 1] for index in range(len(body)))) == expected
    for cut in range(len(body)):
        assert decode_stream(body[:cut], body[cut:]) == expected


@pytest.mark.parametrize("name", SWEPT)
def test_a_stream_that_stops_anywhere_is_broken_or_whole(name: str) -> None:
    """A stream cut off at any byte is an error unless its end was there; it is never taken for a shorter reply."""
    body = transcript(f"{name}.sse")
    expected = decode_stream(body)
    ends = []

    for cut in range(len(body)):
        try:
            events = decode_stream(body[:cut])
        except UpstreamBroken:
            continue
        assert events == expected
        ends.append(cut)

    assert ends == [len(body) - 2, len(body) - 1]  # only the blank line behind the last event is missing


@pytest.mark.parametrize("name", WHOLE)
def test_a_body_that_stops_anywhere_is_broken(name: str) -> None:
    """A whole reply cut off at any byte is an error."""
    body = transcript(f"{name}.json").rstrip()

    for cut in range(len(body)):
        with pytest.raises(UpstreamBroken):
            decode_whole(body[:cut])


@pytest.mark.parametrize("name", FAILING)
def test_an_error_in_a_stream(name: str) -> None:
    """An error in the middle of a stream is raised with the API's own words, however the stream is cut."""
    body = transcript(f"{name}.sse")
    kind, words = FAILING[name]

    for cut in range(len(body)):
        with pytest.raises(kind, match=words):
            decode_stream(body[:cut], body[cut:])


@pytest.mark.parametrize("name", FAILING)
def test_an_error_as_the_whole_reply(name: str) -> None:
    """An error that comes in place of a message, with status 200, is raised as well."""
    kind, words = FAILING[name]

    with pytest.raises(kind, match=words):
        decode_whole(transcript(f"{name}.json"))


@pytest.mark.parametrize("name", FAILING)
def test_a_failing_stream_that_stops_anywhere_fails(name: str) -> None:
    """A stream that was going to report an error is an upstream's error wherever it stops."""
    body = transcript(f"{name}.sse")

    for cut in range(len(body)):
        with pytest.raises(UpstreamError):
            decode_stream(body[:cut])


def test_what_came_before_an_error_is_said() -> None:
    """Text that came in the same block as an error is not lost; the error is raised when the stream is finished."""
    reply = decoder()

    events = reply.feed(transcript("overloaded.sse"))

    assert reply.ended
    assert [type(event).__name__ for event in events] == ["OutputItemAdded", "ContentPartAdded", "OutputTextDelta"]
    with pytest.raises(UpstreamUnavailable):
        reply.finish()


def test_the_end_is_known_before_the_connection_closes() -> None:
    """message_stop ends a reply: nobody has to wait for the server to hang up, and what follows is ignored."""
    reply = decoder()
    body = transcript("text.sse")

    reply.feed(body[:-2])
    before = reply.ended
    events = reply.feed(body[-2:] + transcript("error.sse"))

    assert (before, reply.ended) == (False, True)
    assert isinstance(events[-1], ReplyEnd)
    assert (reply.feed(b"data: nonsense\n\n"), reply.finish()) == ((), ())


def test_upstream_ids_never_leave() -> None:
    """The API's ids of messages and calls are nowhere in what is made of them."""
    events = repr(decode_stream(transcript("parallel_calls.sse")))

    assert "toolu_" not in events
    assert "msg_01A" not in events


def test_what_was_counted_is_known_before_the_end() -> None:
    """The input is counted as soon as the stream begins; the output is not, whatever the first event says."""
    reply, body = decoder(), transcript("cache.sse")
    counts = [reply.usage]

    for block in (body[: body.index(b"event: content_block_start")], body):
        reply.feed(block)
        counts.append(reply.usage)

    cached = Usage(input_tokens=123, cached_tokens=100, cache_write_tokens=20)
    assert isinstance(reply, Metered)
    assert counts == [None, cached, msgspec.structs.replace(cached, output_tokens=7)]


def test_a_block_of_the_apis_own_tools_goes_by() -> None:
    """A content block of a kind that the hub does not know is an event of its own, without its id, and no item."""
    events = decode_stream(transcript("unknown.sse"))

    block = {"type": "server_tool_use", "name": "web_search", "input": {}}
    assert [event for event in events if isinstance(event, OtherEvent)] == [
        OtherEvent("anthropic.content_block", {"content_block": block})
    ]


START: JsonObject = {"type": "message_start", "message": {"model": MODEL, "content": []}}
TEXT: JsonObject = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
CALL: JsonObject = {
    "type": "content_block_start",
    "index": 0,
    "content_block": {"type": "tool_use", "id": "t", "name": "look", "input": {}},
}
STOP: JsonObject = {"type": "content_block_stop", "index": 0}
DELTA: JsonObject = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
END: JsonObject = {"type": "message_stop"}


def piece(kind: str, index: int = 0, **fields: str) -> JsonObject:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


BROKEN: dict[str, tuple[bytes, str]] = {
    "no reason": (sse(START, TEXT, STOP, END), "stop_reason"),
    "a reason that nobody knows": (
        sse(START, {"type": "message_delta", "delta": {"stop_reason": "bored"}}, END),
        "'bored'",
    ),
    "an open block": (sse(START, TEXT, DELTA, END), "within a content block"),
    "a block within a block": (sse(START, TEXT, TEXT), "within another"),
    "a piece of no block": (sse(START, piece("text_delta", text="x")), "not open"),
    "a piece of another block": (sse(START, TEXT, piece("text_delta", 1, text="x")), "not open"),
    "a piece of another kind": (sse(START, TEXT, piece("input_json_delta", partial_json="{")), "of text"),
    "the end of no block": (sse(START, STOP), "not open"),
    "a call without a name": (
        sse(START, {**CALL, "content_block": {"type": "tool_use", "id": "t"}}),
        "without a name",
    ),
    "no JSON": (b"data: {half\n\n", "no message of its dialect"),
    "no UTF-8": (b'data: {"type": "content_block_delta", "delta": {"text": "\xff"}}\n\n', "no message of its dialect"),
    "a text that is none": (
        sse(START, TEXT, {**piece("text_delta"), "delta": {"type": "text_delta", "text": 1}}),
        "got `int`",
    ),
    "arguments that are no UTF-8": (
        b'data: {"type": "content_block_start", "content_block": {"type": "tool_use", "name":"a","input":"\xff"}}\n\n',
        "not UTF-8",
    ),
    "a block that cannot be kept": (
        b'data: {"type": "content_block_start", "content_block": {"type": "sum", "of": 123456789012345678901}}\n\n',
        "cannot be kept as JSON",
    ),
    "thinking that cannot be kept": (
        b'data: {"type": "content_block_start", "content_block": {"type": "thinking", "in": '
        + b"[" * 250
        + b"]" * 250
        + b"}}\n\n",
        "cannot be kept as JSON",
    ),
    "nothing": (b"", "message_stop"),
}


@pytest.mark.parametrize(("body", "words"), BROKEN.values(), ids=BROKEN.keys())
def test_a_stream_that_the_api_would_not_send_is_broken(body: bytes, words: str) -> None:
    """Whatever breaks the order of the dialect is an error that says what is wrong."""
    with pytest.raises(UpstreamBroken, match=words):
        decode_stream(body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"{}", id="no content"),
        pytest.param(b'{"content": [1], "stop_reason": "end_turn"}', id="a block that is none"),
        pytest.param(b'{"content": []}', id="no reason"),
        pytest.param(b'{"content": ' + b"[" * 2000 + b"]" * 2000 + b"}", id="nested too deeply"),
    ],
)
def test_a_body_that_is_no_message_is_broken(body: bytes) -> None:
    """What is not a message is an error and no empty answer."""
    with pytest.raises(UpstreamBroken):
        decode_whole(body)


def test_arguments_may_come_with_the_beginning_of_a_call() -> None:
    """Servers that do not stream arguments say them at once; they are not lost."""
    begun = {**CALL, "content_block": {**CALL["content_block"], "input": {"a": 1}}}

    items = outcome(decode_stream(sse(START, begun, STOP, DELTA, END))).items

    assert without_ids(items) == [call("look", '{"a":1}')]


def test_a_citation_is_placed_in_its_own_message() -> None:
    """Places count from the beginning of the message that is cited in, not of the reply."""
    cited = {"type": "web_search_result_location", "url": "https://example.org/a", "title": "A"}
    body = {
        "content": [
            {"type": "text", "text": "Before."},
            {"type": "tool_use", "name": "ping", "input": {}},
            {"type": "text", "text": "Yes", "citations": [cited]},
        ],
        "stop_reason": "end_turn",
    }

    items = outcome(decode_whole(msgspec.json.encode(body))).items

    assert without_ids(items)[2] == message(text("Yes", url_citation(0, 3, "https://example.org/a", "A")))


def test_a_tool_that_is_not_allowed_may_not_be_called() -> None:
    """A call of a tool outside of allowed_tools is a broken reply, as the API promises that there is none."""
    with pytest.raises(UpstreamBroken, match="'get_weather', which 'tool_choice' does not allow"):
        decode_stream(transcript("one_call.sse"), allowed=frozenset({"ping"}))


def test_what_may_be_called_follows_from_the_request() -> None:
    """The provider's decoder knows the tools of the call: what they stand for, and which of them are allowed."""
    tools = (function_tool("get_weather"), function_tool("ping"))
    chosen = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "ping"}]}
    free, held = model_call(tools=tools), model_call(tools=tools, tool_choice=chosen)
    anthropic = provider({})

    items = outcome([*anthropic.decoder(free, counting_ids(), FAMILY).whole(transcript("one_call.json"))]).items

    assert without_ids(items) == [call("get_weather", PARIS)]
    with pytest.raises(UpstreamBroken, match="does not allow"):
        anthropic.decoder(held, counting_ids(), FAMILY).whole(transcript("one_call.json"))


def test_a_stream_may_be_without_blank_lines_of_its_own() -> None:
    """Comments, pings, other line ends and another API's last line change nothing."""
    body = transcript("text.sse")
    padded = b": hello\r\n\r\n" + body.replace(b"\n", b"\r\n").replace(b"event: ping", b"id: 7\r\nevent: ping")

    assert decode_stream(b"data: [DONE]\n\n" + padded) == decode_stream(body)
