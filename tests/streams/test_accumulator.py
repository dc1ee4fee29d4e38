"""The accumulator: what a response's output is, at any moment of its stream."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.hub import events as e
from antiphon.hub.items import Item, JsonObject, is_cut_off_call
from antiphon.streams.accumulator import Accumulator
from tests.streams.good_stream import DONE_BODIES, PRIVATE, good_stream, item_events


def accumulate(*events: e.Event | e.OtherEvent) -> Accumulator:
    accumulator = Accumulator()
    accumulator.feed(events)
    return accumulator


def until(kind: type, nth: int = 0) -> list[e.Event | e.OtherEvent]:
    """The good stream up to and including an event."""
    events = item_events()
    index = [index for index, event in enumerate(events) if isinstance(event, kind)][nth]
    return events[: index + 1]


def test_the_output_is_what_the_done_events_said() -> None:
    """After a whole stream the output is the items as they were done, in order."""
    assert accumulate(*good_stream()).output() == DONE_BODIES


def test_nothing_was_said() -> None:
    """A response without items has an empty output."""
    assert accumulate(e.ResponseCreated({}), e.ResponseCompleted({})).output() == []


def test_items_keep_what_only_the_provider_understands() -> None:
    """Items to be stored have id, type, body and the private data of their done event."""
    items = accumulate(*good_stream()).items()

    assert items[0] == Item(DONE_BODIES[0]["id"], "reasoning", DONE_BODIES[0], PRIVATE)
    assert [item.private for item in items[1:]] == [None] * 5
    assert [item.body for item in items] == DONE_BODIES


def message(*content: JsonObject, status: str = "in_progress") -> JsonObject:
    return {"id": "msg", "type": "message", "status": status, "content": list(content), "role": "assistant"}


def text(value: str, *, annotations: int = 0, logprobs: int = 0) -> JsonObject:
    return {
        "type": "output_text",
        "text": value,
        "annotations": [{"type": "file_path"}] * annotations,
        "logprobs": [{"token": "ab"}] * logprobs,
    }


PARTIAL: dict[str, tuple[type, int, JsonObject]] = {
    "message-without-parts": (e.OutputItemAdded, 1, message()),
    "text-without-deltas": (e.ContentPartAdded, 1, message(text(""))),
    "text": (e.OutputTextDelta, 0, message(text("a"))),
    "text-with-logprobs": (e.OutputTextDelta, 1, message(text("ab", logprobs=1))),
    "text-with-annotation": (e.AnnotationAdded, 0, message(text("ab", annotations=1, logprobs=1))),
    "refusal": (
        e.RefusalDelta,
        0,
        message(text("ab", annotations=1, logprobs=1), {"type": "refusal", "refusal": "no"}),
    ),
    "function-call": (e.FunctionCallArgumentsDelta, 0, {**DONE_BODIES[2], "status": "in_progress", "arguments": "{"}),
    "custom-call": (e.CustomToolCallInputDelta, 0, {**DONE_BODIES[3], "status": "in_progress", "input": "xy"}),
    "summary": (
        e.ReasoningSummaryTextDelta,
        0,
        {
            "id": "rs",
            "type": "reasoning",
            "status": "in_progress",
            "summary": [{"type": "summary_text", "text": "in "}],
        },
    ),
    "reasoning": (e.ReasoningTextDelta, 0, {**DONE_BODIES[0], "status": "in_progress"}),
    "hosted-tool": (e.OtherEvent, 0, {**DONE_BODIES[4], "status": "in_progress"}),
}


@pytest.mark.parametrize(("kind", "nth", "expected"), PARTIAL.values(), ids=PARTIAL.keys())
def test_an_open_item_is_shown_with_what_has_come(kind: type, nth: int, expected: JsonObject) -> None:
    """A polling client sees the open item in progress, with the text so far."""
    assert accumulate(*until(kind, nth)).output()[-1] == expected


@pytest.mark.parametrize(("kind", "nth", "expected"), PARTIAL.values(), ids=PARTIAL.keys())
def test_a_cut_off_item_becomes_incomplete(kind: type, nth: int, expected: JsonObject) -> None:
    """Ending a turn that was cut off closes the open item with what has come, and leaves the done ones alone."""
    accumulator = accumulate(*until(kind, nth))
    before = accumulator.output()[:-1]

    accumulator.close_open("incomplete")

    assert accumulator.output() == [*before, {**expected, "status": "incomplete"}]


def test_a_cut_off_call_is_known_as_one() -> None:
    """A call that was cut off is stored so that it is not replayed, whatever its body had for a status."""
    accumulator = accumulate(e.OutputItemAdded(0, {"id": "x", "type": "custom_tool_call", "input": "", "name": "c"}))

    accumulator.close_open()

    assert is_cut_off_call(accumulator.items()[0].body)


def test_an_item_without_status_gets_none() -> None:
    """Item types that have no status in the API are not given one."""
    accumulator = accumulate(e.OutputItemAdded(0, {"id": "x", "type": "mcp_list_tools", "tools": []}))

    accumulator.close_open()

    assert accumulator.output() == [{"id": "x", "type": "mcp_list_tools", "tools": []}]


def test_a_snapshot_does_not_change() -> None:
    """What was shown once stays as it was, whatever comes after it."""
    accumulator = accumulate(*until(e.OutputTextDelta))
    shown = accumulator.output()
    expected: Any = [DONE_BODIES[0], message(text("a"))]

    accumulator.feed(item_events()[len(until(e.OutputTextDelta)) :])

    assert shown == expected
    assert accumulator.output() == DONE_BODIES


def test_done_events_are_the_truth() -> None:
    """Where an upstream sent no deltas, the done events of texts, calls and parts say what there is."""
    events = [event for event in item_events() if not isinstance(event, e.OutputItemDone) and not is_delta(event)]

    output = accumulate(*events).output()

    assert [{**body, "status": "completed"} for body in output] == DONE_BODIES


def test_text_done_before_its_part_is_done() -> None:
    """The text of a done event counts before the part that holds it is done."""
    events = [event for event in item_events() if not is_delta(event)]
    dones = (e.OutputItemDone, e.ContentPartDone, e.ReasoningSummaryPartDone)

    output = accumulate(*(event for event in events if not isinstance(event, dones))).output()

    assert [{**body, "status": "completed"} for body in output] == DONE_BODIES


def is_delta(event: e.Event | e.OtherEvent) -> bool:
    return e.type_of(event).endswith(".delta")
