"""Answers of the Messages dialect, whole and as streams: both say the same, in the SDK's types and to its client."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import orjson
import pytest
from anthropic.types import RawMessageStreamEvent
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from antiphon.formats.messages import MessagesTurn, message_id_of, response_id_of
from antiphon.hub import events as ev
from antiphon.hub.format import DialectTurn
from antiphon.hub.items import JsonObject, Private
from antiphon.hub.turn import TurnRequest
from antiphon.streams.assembler import Assembler
from tests.formats.messages_turns import (
    FORMAT,
    USAGE,
    WEATHER,
    Reply,
    asked,
    assistant,
    body,
    check_known,
    of_events,
    read_stream,
    read_whole,
    reply,
    user,
)

Say = Callable[[Assembler], None]

ASKED = asked(tools=[WEATHER])
SIGNED = {"type": "thinking", "thinking": "Hm. So.", "signature": "c2ln"}
REDACTED = {"type": "redacted_thinking", "data": "ZGF0YQ=="}
CITATION = {"type": "url_citation", "start_index": 0, "end_index": 5, "url": "https://x.example", "title": "X"}
FILE = {"type": "file_citation", "file_id": "f", "filename": "a.txt", "index": 3}

_STREAM_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def frames(data: bytes) -> list[JsonObject]:
    """The JSON of each event, after checking the frame around it and the SDK's types."""
    found = []
    for frame in data.decode().removesuffix("\n\n").split("\n\n"):
        match = re.fullmatch(r"event: ([a-z_]+)\ndata: ([^\r\n]+)", frame)
        assert match is not None, frame
        event = orjson.loads(match.group(2))
        assert match.group(1) == event["type"]
        if event["type"] not in ("ping", "error"):
            check_known(_STREAM_EVENT.validate_json(match.group(2), strict=True))
        found.append(event)
    return found


def says(*pieces: Callable[[Assembler], None]) -> Say:
    def say(assembler: Assembler) -> None:
        for piece in pieces:
            piece(assembler)

    return say


def each(piece: Callable[[Assembler, str], None], deltas: Iterable[str]) -> Say:
    def say(assembler: Assembler) -> None:
        for delta in deltas:
            piece(assembler, delta)

    return say


def text(*deltas: str) -> Say:
    return each(Assembler.text, deltas)


def cited(annotation: JsonObject) -> Say:
    return lambda assembler: assembler.annotation(annotation)


def refused(*deltas: str) -> Say:
    return each(Assembler.refusal, deltas)


def thought(*deltas: str, blocks: list[JsonObject] | None = None, provider: str = "anthropic") -> Say:
    def say(assembler: Assembler) -> None:
        for delta in deltas:
            assembler.reasoning_summary(delta)
        if blocks is not None:
            assembler.reasoning_private(Private(provider, "main", {"blocks": blocks}))

    return say


def raw_thought(*deltas: str) -> Say:
    return each(Assembler.reasoning_text, deltas)


def called(key: int, *deltas: str, name: str = "get_weather") -> Say:
    def say(assembler: Assembler) -> None:
        assembler.open_function_call(key, name)
        for delta in deltas:
            assembler.call_delta(key, delta)

    return say


def called_custom(key: int, *deltas: str) -> Say:
    def say(assembler: Assembler) -> None:
        assembler.open_custom_call(key, "shell")
        for delta in deltas:
            assembler.call_delta(key, delta)

    return say


def block(kind: str, **fields: Any) -> JsonObject:
    return {"type": kind, **fields}


def said(value: str, citations: list[JsonObject] | None = None) -> JsonObject:
    return block("text", text=value, citations=citations)


CITED = block("web_search_result_location", cited_text="Hello", encrypted_index="", title="X", url="https://x.example")

# What is said, what the message holds, and why it ends.
ANSWERS: dict[str, tuple[Say, list[JsonObject], str]] = {
    "nothing": (says(), [], "end_turn"),
    "a text": (text("Hel", "lo ✓\n"), [said("Hello ✓\n")], "end_turn"),
    "a citation": (says(text("Hello", " you"), cited(CITATION), cited(FILE)), [said("Hello you", [CITED])], "end_turn"),
    "a refusal": (says(text("Well"), refused("I ca", "n't.")), [said("Well"), said("I can't.")], "refusal"),
    "a summary": (
        says(thought("Hm.", " So."), text("Hi")),
        [block("thinking", thinking="Hm. So.", signature=""), said("Hi")],
        "end_turn",
    ),
    "a signed summary": (says(thought("Hm.", " So.", blocks=[SIGNED]), text("Hi")), [SIGNED, said("Hi")], "end_turn"),
    "a signature alone": (
        says(thought(blocks=[{**SIGNED, "thinking": ""}]), text("Hi")),
        [{**SIGNED, "thinking": ""}, said("Hi")],
        "end_turn",
    ),
    "redacted thinking": (says(thought(blocks=[REDACTED, REDACTED])), [REDACTED, REDACTED], "end_turn"),
    "another provider's": (
        says(thought("Hm.", blocks=[SIGNED], provider="gemini")),
        [block("thinking", thinking="Hm.", signature="")],
        "end_turn",
    ),
    "raw reasoning": (raw_thought("Hm."), [block("thinking", thinking="Hm.", signature="")], "end_turn"),
    "both kinds": (
        says(thought("Short."), raw_thought("Long", ".")),
        [block("thinking", thinking="Short.\n\nLong.", signature="")],
        "end_turn",
    ),
    "calls": (
        says(text("See"), called(1, '{"ci', 'ty": "Å"}'), called(2), called(3, " { } ")),
        [
            said("See"),
            block("tool_use", name="get_weather", input={"city": "Å"}),
            block("tool_use", name="get_weather", input={}),
            block("tool_use", name="get_weather", input={}),
        ],
        "tool_use",
    ),
    "arguments that are none": (
        says(called(1, '{"a": tru'), called(2, "[1]"), called(3, "NaN")),
        [
            block("tool_use", name="get_weather", input={"INVALID_JSON": '{"a": tru'}),
            block("tool_use", name="get_weather", input={"INVALID_JSON": "[1]"}),
            block("tool_use", name="get_weather", input={"INVALID_JSON": "NaN"}),
        ],
        "tool_use",
    ),
    "a custom tool": (
        called_custom(1, "ls", " -l"),
        [block("tool_use", name="shell", input={"input": "ls -l"})],
        "tool_use",
    ),
}


def shown(message: Any) -> list[JsonObject]:
    """A message's blocks, without the ids of calls and what only the SDK knows of them."""
    found: list[JsonObject] = message.model_dump()["content"]
    unset = ("id", "caller", "toolset_name")
    return [{name: value for name, value in part.items() if name not in unset} for part in found]


@pytest.mark.parametrize(("say", "content", "stop_reason"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_is_the_same_message_whole_and_as_a_stream(
    say: Say, content: list[JsonObject], stop_reason: str
) -> None:
    """Both are what the SDK's types allow, and its client makes of the stream what the whole body says."""
    answer = reply(ASKED, say)

    whole = read_whole(answer.whole(ASKED))
    frames(answer.stream(ASKED))
    streamed = read_stream(answer.stream(ASKED))

    assert shown(whole) == content
    assert whole.stop_reason == stop_reason
    assert streamed.model_dump() == whole.model_dump()


EAGER = asked(tools=[{**WEATHER, "eager_input_streaming": True}, {**WEATHER, "name": "patient"}])


def test_input_can_be_said_as_it_is_written() -> None:
    """A client that asks for it gets the pieces of the model, be they an object in the end or not."""
    answer = reply(
        EAGER, says(called(1, '{"a"', ": 1}"), called(2), called(3, "[", "1"), called(4, "{", "}", name="patient"))
    )

    events = [event for event in frames(answer.stream(EAGER)) if event["type"] == "content_block_delta"]

    pieces = [(event["index"], event["delta"]["partial_json"]) for event in events]
    assert pieces == [(0, '{"a"'), (0, ": 1}"), (2, "["), (2, "1"), (3, "{}")]


def test_input_that_is_said_as_it_is_written_is_the_same_in_the_end() -> None:
    """The pieces of an object make the object of the whole body."""
    answer = reply(EAGER, says(called(1, '{"city"', ': "Paris"}'), called(2)))

    assert shown(read_stream(answer.stream(EAGER))) == shown(read_whole(answer.whole(EAGER)))


def test_a_stream_has_the_dialects_order() -> None:
    """The message begins, is alive, says its blocks one by one, and ends with what it has used."""
    answer = reply(ASKED, says(thought("Hm.", blocks=[SIGNED]), text("a", "b"), called(1, "{", "}")))

    events = frames(answer.stream(ASKED))

    assert [(event["type"], event.get("index")) for event in events] == [
        ("message_start", None),
        ("ping", None),
        ("content_block_start", 0),
        ("content_block_delta", 0),
        ("content_block_delta", 0),
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_delta", 1),
        ("content_block_delta", 1),
        ("content_block_stop", 1),
        ("content_block_start", 2),
        ("content_block_delta", 2),
        ("content_block_stop", 2),
        ("message_delta", None),
        ("message_stop", None),
    ]
    assert [event["delta"]["type"] for event in events if event["type"] == "content_block_delta"] == [
        "thinking_delta",
        "signature_delta",
        "text_delta",
        "text_delta",
        "input_json_delta",
    ]


def test_text_is_said_as_it_comes() -> None:
    """Nothing of a text waits for what comes behind it, however the events are handed over."""
    answer = reply(ASKED, text("a", "b"))
    encoder = FORMAT.stream_encoder(ASKED)

    blocks = [encoder.encode([event]) for event in answer.events]

    assert b"".join(blocks) == answer.stream(ASKED)
    with_delta = [index for index, data in enumerate(blocks) if b"text_delta" in data]
    assert with_delta == [index for index, event in enumerate(answer.events) if isinstance(event, ev.OutputTextDelta)]


def test_each_event_can_be_had_without_its_frame() -> None:
    """What has frames of its own gets the same JSON."""
    answer = reply(ASKED, says(text("a"), called(1, "{}")))

    each = FORMAT.stream_encoder(ASKED).encode_each(answer.events)

    assert [orjson.loads(data) for data in each] == frames(answer.stream(ASKED))


def test_items_that_overlap_are_said_one_behind_the_other() -> None:
    """Blocks do not mix: what comes of a later item waits for the end of the earlier one."""
    first, second = reply(ASKED, text("a", "b")).events[2:-1], reply(ASKED, text("c")).events[2:-1]
    moved = [_at_output_index(event, 1) for event in second]
    mixed = [first[0], moved[0], first[1], moved[1], first[2], moved[2], *first[3:], *moved[3:]]

    answer = of_events(ASKED, mixed, ev.ReplyEnd(status="completed", usage=USAGE))

    assert shown(read_stream(answer.stream(ASKED))) == [said("ab"), said("c")]
    assert shown(read_whole(answer.whole(ASKED))) == [said("ab"), said("c")]


def _at_output_index(event: Any, index: int) -> Any:
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    if "item_id" in fields:
        fields["item_id"] += "_2"
    if "item" in fields:
        fields["item"] = {**fields["item"], "id": fields["item"]["id"] + "_2"}
    return type(event)(**{**fields, "output_index": index})


def test_several_thoughts_of_one_item_come_back_as_they_were() -> None:
    """An item of several blocks is shown as one, whose signature brings all of them back."""
    blocks = [{**SIGNED, "thinking": "Hm."}, REDACTED, {**SIGNED, "thinking": "So."}]
    answer = reply(ASKED, thought("Hm.", "\n\n", "So.", blocks=blocks))
    (shown_block,) = shown(read_stream(answer.stream(ASKED)))

    turn = FORMAT.decode(body(user("a"), assistant(shown_block, {"type": "text", "text": "b"}), user("c")))

    assert shown_block["thinking"] == "Hm.\n\nSo."
    assert shown(read_whole(answer.whole(ASKED))) == [shown_block]
    assert turn.private == {1: Private("anthropic", "", {"blocks": blocks})}


@pytest.mark.parametrize(
    ("thinking", "expected"),
    [
        ({"type": "adaptive", "display": "omitted"}, [{**SIGNED, "thinking": ""}]),
        ({"type": "disabled"}, []),
        ({"type": "adaptive"}, [SIGNED]),
    ],
    ids=["omitted", "disabled", "summarized"],
)
def test_thinking_is_shown_as_it_was_asked_for(thinking: JsonObject, expected: list[JsonObject]) -> None:
    """A client that wants no text gets the signature alone; one that wants no thinking gets none."""
    turn = asked(thinking=thinking)
    answer = reply(turn, says(thought("Hm.", " So.", blocks=[SIGNED]), raw_thought()))

    assert shown(read_whole(answer.whole(turn))) == expected
    assert shown(read_stream(answer.stream(turn))) == expected


@pytest.mark.parametrize(
    ("reason", "stop_reason"), [("max_output_tokens", "max_tokens"), ("content_filter", "refusal")]
)
def test_an_answer_that_was_cut_short_says_why(reason: str, stop_reason: str) -> None:
    """A call that was cut off is in it, with what there is of its arguments as text."""
    answer = reply(ASKED, called(1, '{"city": "Par'), status="incomplete", incomplete_reason=reason)

    whole, streamed = read_whole(answer.whole(ASKED)), read_stream(answer.stream(ASKED))

    assert whole.stop_reason == stop_reason
    assert shown(whole) == [block("tool_use", name="get_weather", input={"INVALID_JSON": '{"city": "Par'})]
    assert streamed.model_dump() == whole.model_dump()


def test_a_refusal_explains_itself() -> None:
    """The words are text, for clients that show nothing else, and the explanation of the stop."""
    whole = read_whole(reply(ASKED, refused("I can't.")).whole(ASKED))

    assert whole.stop_details is not None
    assert whole.stop_details.explanation == "I can't."


def test_a_stop_sequence_is_named_where_it_is_known() -> None:
    """An upstream that says at which text it stopped ends the message for that reason."""
    answer = reply(ASKED, text("a"))
    known = {**answer.response, "stop_sequence": "END"}

    whole = read_whole(Reply(answer.events, known, {}).whole(ASKED))
    streamed = read_stream(Reply([*answer.events[:-1], ev.ResponseCompleted(known)], known, {}).stream(ASKED))

    assert (whole.stop_reason, whole.stop_sequence) == ("stop_sequence", "END")
    assert streamed.model_dump() == whole.model_dump()


def test_usage_counts_what_was_cached_on_its_own() -> None:
    """The input of this dialect leaves out what was read from a cache or written to it."""
    usage = read_whole(reply(ASKED, text("a")).whole(ASKED)).usage

    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (20, 7, 3)
    assert usage.output_tokens == 9
    assert usage.output_tokens_details is not None
    assert usage.output_tokens_details.thinking_tokens == 4


def test_an_upstream_that_counts_nothing_counts_zero() -> None:
    """The dialect demands numbers."""
    whole = read_whole(reply(ASKED, text("a"), usage=None).whole(ASKED))

    assert (whole.usage.input_tokens, whole.usage.output_tokens) == (0, 0)


def test_items_of_other_kinds_have_no_block() -> None:
    """What an upstream did by itself goes by, and the blocks behind it count on."""
    hosted = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search"}}
    behind = [_at_output_index(event, 1) for event in reply(ASKED, text("a")).events[2:-1]]
    events = [
        ev.OutputItemAdded(0, {**hosted, "status": "in_progress"}),
        ev.OtherEvent("response.web_search_call.searching", {"item_id": "ws_1", "output_index": 0}),
        ev.OutputItemDone(0, hosted),
        *behind,
    ]

    answer = of_events(ASKED, events, ev.ReplyEnd(status="completed", usage=USAGE))

    assert shown(read_whole(answer.whole(ASKED))) == [said("a")]
    assert shown(read_stream(answer.stream(ASKED))) == [said("a")]


def test_a_message_is_found_by_its_id() -> None:
    """The id that a client sees has the response's own digits."""
    answer = reply(ASKED, text("a"))

    shown_id = read_whole(answer.whole(ASKED)).id

    assert shown_id.startswith("msg_")
    assert shown_id == message_id_of(answer.response["id"])
    assert response_id_of(shown_id) == answer.response["id"]


def test_a_turn_of_another_origin_is_answered_with_the_defaults() -> None:
    """A turn that was not decoded here says nothing of thinking; it is shown."""
    plain = DialectTurn(request=TurnRequest(model="m"))
    answer = reply(MessagesTurn(request=plain.request), thought("Hm."))

    assert shown(read_whole(FORMAT.encode_response(answer.response, plain)))[0]["thinking"] == "Hm."
    assert b"thinking_delta" in FORMAT.stream_encoder(plain).encode(answer.events)


def _pieces(spoken: Iterable[tuple[str, str]]) -> Say:
    def say(assembler: Assembler) -> None:
        for key, (kind, value) in enumerate(spoken):
            match kind:
                case "text":
                    assembler.text(value)
                case "refusal":
                    assembler.refusal(value)
                case "summary":
                    assembler.reasoning_summary(value)
                case "reasoning":
                    assembler.reasoning_text(value)
                case _:
                    assembler.open_function_call(key, "f")
                    assembler.call_delta(key, value)

    return say


_KINDS = st.sampled_from(["text", "refusal", "summary", "reasoning", "call"])
_VALUES = st.text(st.characters(codec="utf-8"), max_size=4) | st.sampled_from(['{"a":1}', "{}", '{"a', "null"])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(_KINDS, _VALUES), max_size=6))
def test_whatever_is_said_is_the_same_whole_and_as_a_stream(spoken: list[tuple[str, str]]) -> None:
    """Whatever an upstream says, in whatever order, the SDK's client makes the whole body's message of the stream."""
    answer = reply(ASKED, _pieces(spoken))

    whole = read_whole(answer.whole(ASKED))

    # Summary and reasoning of one item have an order in the stream that its body does not keep.
    kinds = [kind for kind, value in spoken if value]
    if "reasoning" in kinds and "summary" in kinds:
        return
    assert read_stream(answer.stream(ASKED)).model_dump() == whole.model_dump()
