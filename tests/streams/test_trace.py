"""The trace: what is kept of a stream is small, and gives every byte of it back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.formats.responses.stream import encode_event
from antiphon.hub import events as e
from antiphon.hub.errors import StoreCorrupt
from antiphon.hub.items import JsonObject
from antiphon.hub.response import compact, expand, opening_response, render
from antiphon.hub.turn import TurnRequest
from antiphon.streams.accumulator import Accumulator
from antiphon.streams.assembler import Assembler
from antiphon.streams.order import OrderCheck
from antiphon.streams.trace import TraceRecorder, replay
from antiphon.streams.trace_cuts import pack, unpack
from tests.streams.fixed_ids import FAMILY, counting_ids
from tests.streams.good_stream import item_events
from tests.streams.legal_streams import AnyEvent, legal_streams

ENDS: dict[str, type[e.LifecycleEvent]] = {
    "completed": e.ResponseCompleted,
    "incomplete": e.ResponseIncomplete,
    "failed": e.ResponseFailed,
    "cancelled": e.ResponseFailed,
}


class Recorded(msgspec.Struct, frozen=True):
    """A stream that has ended: all that was said, and what was stored of it, as it comes back from the store."""

    said: list[AnyEvent]
    trace: Any
    response: JsonObject


def record(
    reply: Sequence[AnyEvent],
    status: str = "completed",
    *,
    background: bool = False,
    blocks: int = 3,
    model: str | None = None,
    moved_s: int = 0,
    conversation_id: str | None = None,
) -> Recorded:
    """A turn with this reply: opened, ended with this status and stored, *moved_s* later than it had said."""
    base = opening_response(
        TurnRequest(model="alias", metadata={"k": "v"}, temperature=0.5),
        id="resp_1",
        created_at=1_760_000_000,
        model="asked",
        conversation_id=conversation_id,
    )
    base["background"] = background
    said = [*opening(base, background=background), *reply]
    accumulator, recorder = Accumulator(), TraceRecorder()
    for start in range(0, len(said), blocks):
        accumulator.feed(said[start : start + blocks])
        recorder.feed(said[start : start + blocks])
    if status in ("failed", "cancelled"):
        accumulator.close_open("incomplete")
    error = {"code": "server_error", "message": "m"} if status == "failed" else None
    response = render(base, status=status, output=accumulator.output(), error=error, completed_at=7, model=model)
    trace = orjson.loads(orjson.dumps(recorder.trace(response)))
    response["created_at"] += moved_s
    OrderCheck().feed([*said, ENDS[status](response)])
    return Recorded([*said, ENDS[status](response)], trace, stored(response))


def opening(base: JsonObject, *, background: bool) -> list[AnyEvent]:
    if not background:
        shown = render(base, status="in_progress", output=[])
        return [e.ResponseCreated(shown), e.ResponseInProgress(shown)]
    queued = render(base, status="queued", output=[])
    return [
        *(e.ResponseCreated(queued), e.ResponseQueued(queued)),
        e.ResponseInProgress(render(base, status="in_progress", output=[])),
    ]


def stored(response: JsonObject) -> JsonObject:
    """The response as a store gives it back."""
    kept: JsonObject = expand(orjson.loads(orjson.dumps(compact(response))))
    return {**kept, "output": orjson.loads(orjson.dumps(response["output"]))}


def in_bytes(events: Sequence[AnyEvent]) -> list[bytes]:
    return [encode_event(event, number, obfuscate=False) for number, event in enumerate(events)]


def public(events: Sequence[AnyEvent]) -> list[AnyEvent]:
    """The events without what never leaves the gateway."""
    return [e.OutputItemDone(x.output_index, x.item) if isinstance(x, e.OutputItemDone) else x for x in events]


def assert_comes_back(recorded: Recorded) -> None:
    again = replay(recorded.trace, recorded.response)
    assert public(recorded.said) == again
    assert in_bytes(recorded.said) == in_bytes(again)


def text_of_deltas(deltas: Sequence[str], logprobs: tuple[JsonObject, ...] = ()) -> list[AnyEvent]:
    """A message of one text, as our own assembler makes it."""
    assembler = Assembler(counting_ids(), FAMILY)
    for delta in deltas:
        assembler.text(delta, logprobs)
    assembler.end(status="completed")
    return [event for event in assembler.take() if not isinstance(event, e.ReplyEnd)]


def size(value: Any) -> int:
    return len(orjson.dumps(value))


# What is legal comes back.


@st.composite
def turns(draw: st.DrawFn) -> Recorded:
    """Turns that ended in any way, foreground and background."""
    status = draw(st.sampled_from([*ENDS]))
    return record(
        draw(legal_streams(whole=status in ("completed", "incomplete"))),
        status,
        background=draw(st.booleans()),
        blocks=draw(st.integers(1, 9)),
        model=draw(st.sampled_from([None, "reported"])),
        moved_s=draw(st.sampled_from([0, 3])),
    )


@settings(deadline=None)
@given(turns())
def test_any_stream_in_order_comes_back(recorded: Recorded) -> None:
    """Whatever passes the order check is replayed event for event and byte for byte, however it was cut into blocks."""
    assert_comes_back(recorded)


@pytest.mark.parametrize("status", ["failed", "cancelled"])
@pytest.mark.parametrize("cut", range(len(item_events()) + 1))
def test_a_stream_that_was_cut_off_comes_back(cut: int, status: str) -> None:
    """A turn that failed or was cancelled after any of its events says the same again."""
    assert_comes_back(record(item_events()[:cut], status))


@pytest.mark.parametrize("conversation_id", [None, "conv_1"])
def test_a_whole_stream_comes_back(conversation_id: str | None) -> None:
    """Every kind of item and part, overlapping items among them, comes back, inside a conversation too."""
    assert_comes_back(record(item_events(), conversation_id=conversation_id))


def test_an_opening_that_nobody_was_shown_comes_back_as_it_was() -> None:
    """An opening event with an unexpected body is kept as it was said."""
    recorder = TraceRecorder()
    recorder.feed([e.ResponseCreated({}), e.ResponseInProgress({"status": "in_progress", "odd": 1})])
    response: JsonObject = {"status": "completed", "output": []}

    events = replay(recorder.trace(response), response)

    assert events == [
        e.ResponseCreated({}),
        e.ResponseInProgress({"status": "in_progress", "odd": 1}),
        e.ResponseCompleted(response),
    ]


def test_an_output_that_is_not_what_was_said_changes_no_event() -> None:
    """If a response is stored with other items than those of its done events, the events still say what they said."""
    recorded = record(text_of_deltas(["a", "b"]))
    recorder = TraceRecorder()
    recorder.feed(recorded.said[:-1])
    response = {**recorded.response, "output": []}

    assert replay(recorder.trace(response), response)[:-1] == recorded.said[:-1]


def test_private_data_is_not_kept() -> None:
    """What only the provider understands is in no trace, and a replayed event has none."""
    recorded = record(item_events())

    assert b"signature" not in orjson.dumps(recorded.trace)
    done = [event for event in replay(recorded.trace, recorded.response) if isinstance(event, e.OutputItemDone)]
    assert [event.private for event in done] == [None] * len(done)


def message(*texts: JsonObject, **more: Any) -> JsonObject:
    return {"id": "msg", "type": "message", "status": "completed", "content": [*texts], "role": "assistant", **more}


def text(value: str, **more: Any) -> JsonObject:
    return {"type": "output_text", "text": value, "annotations": [], "logprobs": [], **more}


def opened(*parts: int, **more: Any) -> list[AnyEvent]:
    """A message with these parts, all of them empty and open."""
    added = e.OutputItemAdded(0, message(status="in_progress", **more))
    return [added, *(e.ContentPartAdded("msg", 0, part, text("")) for part in parts)]


def closed(*texts: JsonObject, said: tuple[JsonObject, ...] = (), **more: Any) -> list[AnyEvent]:
    """The same message with the done events of these parts; *said* is in the done events of their texts."""
    events: list[AnyEvent] = []
    for part, body in enumerate(texts):
        events += [e.OutputTextDone("msg", 0, part, body["text"], said), e.ContentPartDone("msg", 0, part, body)]
    return [*events, e.OutputItemDone(0, message(*texts, **more))]


def said_in(part: int, *pieces: str, logprobs: tuple[JsonObject, ...] = ()) -> list[AnyEvent]:
    return [e.OutputTextDelta("msg", 0, part, piece, logprobs) for piece in pieces]


A, B = {"token": "a"}, {"token": "b"}
CITED = [{"type": "file_path", "index": number} for number in range(3)]
ODD: dict[str, list[AnyEvent]] = {
    "parts whose deltas alternate": [
        *opened(0, 1),
        *(*said_in(0, "a"), *said_in(1, "b", "c"), *said_in(0, "d"), *said_in(1, "")),
        *closed(text("ad"), text("bc")),
    ],
    "deltas that come to another text": [*opened(0), *said_in(0, "a", "b"), *closed(text("a b"))],
    "deltas of the same length as another text": [*opened(0), *said_in(0, "a", "b"), *closed(text("xy"))],
    "no deltas": [*opened(0), *closed(text("whole"))],
    "log probabilities that are not in the part": [
        *(*opened(0), *said_in(0, "a", logprobs=(A,)), *said_in(0, "b")),
        *closed(text("ab", logprobs=[B])),
    ],
    "log probabilities of some deltas": [
        *(*opened(0), *said_in(0, "a", logprobs=(A, B)), *said_in(0, "b"), *said_in(0, "c", "d", logprobs=(B,))),
        *closed(text("abcd", logprobs=[A, B, B, B]), said=(A, B, B, B)),
    ],
    "annotations of two parts, in turn": [
        *opened(0, 1),
        e.AnnotationAdded("msg", 0, 0, 0, CITED[0]),
        e.AnnotationAdded("msg", 0, 1, 0, CITED[1]),
        e.AnnotationAdded("msg", 0, 0, 1, CITED[2]),
        *closed(text("", annotations=[CITED[0], CITED[2]]), text("", annotations=[CITED[1]])),
    ],
    "annotations that the part does not have": [
        *(*opened(0), e.AnnotationAdded("msg", 0, 0, 0, CITED[0])),
        *closed(text("", annotations=[CITED[1]])),
    ],
    "a number that becomes a boolean": [*opened(x=1), *closed(x=True)],
    "a number that becomes a fraction": [*opened(x={"y": 1}), *closed(x={"y": 1.0})],
    "fields that change places": [*opened(x={"y": 1, "z": 2}), *closed(x={"z": 2, "y": 1})],
    "an event of a known name that rides along": [
        e.OtherEvent("response.output_item.done", {"odd": 1}),
        e.OtherEvent("response.output_item.done", {"odd": 1.0}),
    ],
}


@pytest.mark.parametrize("reply", ODD.values(), ids=ODD.keys())
def test_an_odd_reply_comes_back(reply: list[AnyEvent]) -> None:
    """What an upstream may say, though none of ours does, is said again to the byte."""
    assert_comes_back(record(reply))


@pytest.mark.parametrize("reply", ODD.values(), ids=ODD.keys())
def test_a_response_that_lost_its_output_changes_no_event(reply: list[AnyEvent]) -> None:
    """Items that are neither done nor in the response are said as they were."""
    said = [event for event in reply if not isinstance(event, e.OutputItemDone)]
    recorder = TraceRecorder()
    recorder.feed(said)
    response: JsonObject = {"status": "failed", "output": []}

    trace = orjson.loads(orjson.dumps(recorder.trace(response)))

    assert replay(trace, response) == [*said, e.ResponseFailed(response)]


def test_annotations_are_not_kept_twice() -> None:
    """Several citations of one text follow from it, each in its turn."""
    cited = [e.AnnotationAdded("msg", 0, 0, number, CITED[number]) for number in range(3)]

    recorded = record([*opened(0), *cited, *closed(text("", annotations=CITED))])

    assert recorded.trace[3:] == [0, 2, 3, 5, 8, 8, 8, 7, 6, 4]


VERSION_1_TRACE = (
    '[1,39,{"created_at":1760000000},0,2,'
    '3,13,"s35",15,14,5,"h2",12,6,4,'
    '3,5,"t1","l11",8,7,6,5,"r2",9,6,4,'
    '3,"a11",10,4,'
    '3,"i2",11,4,'
    '3,{"type":"response.mcp_call.in_progress","fields":{"output_index":4,"item_id":"mcp"}},3,4,[4,0],4]'
)


def test_what_version_1_wrote_can_be_read() -> None:
    """A trace of this version is written and read as it always was: what it does not say follows from its rules."""
    trace = orjson.loads(VERSION_1_TRACE)
    recorded = record(item_events())

    assert recorded.trace == trace
    assert replay(trace, recorded.response) == public(recorded.said)


# What is kept is small.


def test_a_trace_costs_a_byte_for_each_delta() -> None:
    """The trace of a text of 500 deltas is below 2 % of its events, and one more delta is one more byte."""
    words = [" word", ",", " and", " Straße", "🙂"] * 100

    short, long = record(text_of_deltas(words[:-1])), record(text_of_deltas(words))

    assert size(long.trace) < 0.02 * sum(map(len, in_bytes(long.said)))
    assert size(long.trace) - size(short.trace) == 1


def test_a_short_answer_has_a_short_trace() -> None:
    """Nothing but what cannot be known is kept of a stream that our own assembler made."""
    recorded = record(text_of_deltas(["Hello", " world"]), model="asked")

    assert recorded.trace == [1, 9, {"created_at": 1_760_000_000}, 0, 2, 3, 5, "t56", 7, 6, 4]


def test_log_probabilities_are_not_kept_twice() -> None:
    """Deltas with log probabilities cost two bytes each: they are in the stored part already."""
    logprobs = ({"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []},)
    deltas = ["a"] * 300

    recorded = record(text_of_deltas(deltas, logprobs))

    assert size(recorded.trace) < size(record(text_of_deltas(deltas)).trace) + 310
    assert_comes_back(recorded)


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_cut_off_text_is_not_kept_twice(status: str) -> None:
    """A text without its done events is in the stored output, so its trace is as small as any."""
    events = text_of_deltas(["word "] * 500)[:-3]

    recorded = record(events, status)

    assert size(recorded.trace) < 0.02 * sum(map(len, in_bytes(recorded.said)))
    assert_comes_back(recorded)


def test_events_that_ride_along_are_kept_as_differences() -> None:
    """Many deltas of a kind that this version does not know cost little more than their own text."""
    deltas: list[AnyEvent] = [
        e.OtherEvent("response.code.delta", {"item_id": "ci_" + "0" * 50, "output_index": 0, "delta": f"line {number}"})
        for number in range(100)
    ]
    body = {"id": "ci_" + "0" * 50, "type": "code_interpreter_call", "status": "in_progress"}

    recorded = record([e.OutputItemAdded(0, body), *deltas, e.OutputItemDone(0, {**body, "status": "completed"})])

    assert size(recorded.trace) < 0.25 * sum(map(len, in_bytes(recorded.said)))
    assert_comes_back(recorded)


# What is damaged is said to be.


def damaged(recorded: Recorded) -> dict[str, tuple[Any, JsonObject]]:
    """Traces and responses that do not belong together, by what is wrong with them."""
    trace, response = recorded.trace, recorded.response

    def run_of(letter: str) -> int:
        return next(at for at, made in enumerate(trace) if isinstance(made, str) and made[0] == letter)

    run = run_of("s")

    def put(place: int, *operations: Any) -> Any:
        return [*trace[:place], *operations, *trace[place + 1 :]]

    shorter = orjson.loads(orjson.dumps(response))
    shorter["output"][1]["content"][0]["text"] = "a"
    return {
        "another version": ([2, *trace[1:]], response),
        "no array": ({"v": 1}, response),
        "nothing": ([], response),
        "a string": ("t", response),
        "cut off": (trace[:-1], response),
        "an event more": ([*trace, 4], response),
        "an unknown code": (put(run, 99), response),
        "a negative code": (put(run, -1), response),
        "an unknown letter": (put(run, "?1"), response),
        "an empty run": (put(run, ""), response),
        "a run that ends in a number": (put(run, trace[run] + "!"), response),
        "a run beyond ASCII": (put(run, trace[run] + "é"), response),
        "a delta too long": (put(run, trace[run][:-1] + "9"), response),
        "a delta too short": (put(run, trace[run][:-1] + "0"), response),
        "log probabilities too many": (put(run_of("l"), "l12"), response),
        "log probabilities without a number": (put(run_of("l"), "l1"), response),
        "an unknown operation": (put(run, None), response),
        "an unknown event": (put(run, {"type": "response.unknown"}), response),
        "an unknown object": (put(run, {"odd": 1}), response),
        "a place too long": (put(run, [0, 0, 0, 0]), response),
        "a place that is not there": (put(run, [9, 0], trace[run]), response),
        "a field of another type": (put(run, {"type": "response.output_item.added", "item": 5}), response),
        "a difference from nothing": (put(run, {"fields": {}}), response),
        "an opening that is no body": (put(2, 5), response),
        "an opening with a new field": (put(2, {"odd": 5}), response),
        "no output": (trace, {**response, "output": []}),
        "one item less": (trace, {**response, "output": response["output"][:-1]}),
        "items that are none": (trace, {**response, "output": [5] * 6}),
        "another text": (trace, shorter),
    }


@pytest.mark.parametrize("flaw", damaged(record(item_events())))
def test_a_trace_that_does_not_fit_is_corrupt(flaw: str) -> None:
    """A damaged trace, or one of another response, is an error and never another stream."""
    trace, response = damaged(record(item_events()))[flaw]

    with pytest.raises(StoreCorrupt):
        replay(trace, response)


JUNK = st.recursive(
    st.none() | st.integers(-2, 20) | st.text(max_size=3) | st.sampled_from(["t1", "l11", "a2", "i!"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "fields", "item", "deltas", "output_index", "part"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.lists(JUNK, max_size=6), st.integers(2, 12))
def test_damage_is_never_another_error(junk: list[Any], place: int) -> None:
    """Whatever stands in place of an operation, replaying gives events or says that the store is corrupt."""
    recorded = record(item_events())
    trace = [*recorded.trace[:place], *junk, *recorded.trace[place + 1 :]]

    try:
        events = replay(trace, recorded.response)
    except StoreCorrupt:
        return
    assert len(events) == len(recorded.said)


def test_an_unknown_version_is_named() -> None:
    """An operator can see that a newer version wrote the trace."""
    with pytest.raises(StoreCorrupt, match="version 2"):
        replay([2, 0, {}], {"status": "completed"})


# Numbers in a string.


@given(st.lists(st.integers(0, 2**40) | st.integers(0, 70), max_size=20))
def test_packed_numbers_come_back(numbers: list[int]) -> None:
    """Any list of lengths survives, in characters that JSON writes as they are."""
    packed = pack(numbers)

    assert unpack(packed) == numbers
    assert orjson.dumps(packed) == b'"%b"' % packed.encode()


@pytest.mark.parametrize(("number", "characters"), [(0, 1), (61, 1), (62, 2), (1921, 2), (1922, 3), (10**6, 4)])
def test_a_small_number_is_a_short_string(number: int, characters: int) -> None:
    """Lengths below 62 take one character, those below 1,922 two."""
    assert len(pack([number])) == characters
