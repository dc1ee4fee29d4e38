"""The order check: what is in order passes, and each way of being out of order is caught and named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from antiphon.hub import events as e
from antiphon.hub.errors import StreamOrderViolation
from antiphon.hub.items import JsonObject
from antiphon.streams.order import OrderCheck
from tests.streams.good_stream import good_stream, item_events

Stream = list[Any]
CREATED = e.ResponseCreated({})
MESSAGE: JsonObject = {"id": "m", "type": "message", "content": []}
TEXT: JsonObject = {"type": "output_text", "text": ""}


def check(events: Stream) -> None:
    OrderCheck().feed(events)


PASSING: dict[str, Stream] = {
    "every-kind": good_stream(),
    "nothing-said": [CREATED, e.ResponseCompleted({})],
    "failed-with-an-open-item": [CREATED, e.OutputItemAdded(0, MESSAGE), e.ResponseFailed({})],
    "whole-items-without-parts": [
        CREATED,
        e.OutputItemAdded(0, {"id": "f", "type": "function_call", "arguments": "{}"}),
        e.OutputItemDone(0, {"id": "f", "type": "function_call", "arguments": "{}"}),
        e.ResponseIncomplete({}),
    ],
    "parts-of-an-unknown-type": [
        CREATED,
        e.OutputItemAdded(0, MESSAGE),
        e.ContentPartAdded("m", 0, 0, {"type": "output_audio"}),
        e.OtherEvent("response.audio.delta", {}),
        e.ContentPartDone("m", 0, 0, {"type": "output_audio"}),
        e.OutputItemDone(0, MESSAGE),
        e.ResponseCompleted({}),
    ],
    "not-ended-yet": [CREATED, e.OutputItemAdded(0, MESSAGE)],
}


@pytest.mark.parametrize("events", PASSING.values(), ids=PASSING.keys())
def test_what_is_in_order_passes(events: Stream) -> None:
    """A stream in order passes, whole and event by event."""
    check(events)
    order = OrderCheck()
    for event in events:
        order.feed([event])


def find(kind: type, nth: int = 0) -> int:
    return [index for index, event in enumerate(good_stream()) if isinstance(event, kind)][nth]


def without(kind: type, nth: int = 0) -> Stream:
    events = good_stream()
    del events[find(kind, nth)]
    return events


def twice(kind: type, nth: int = 0) -> Stream:
    events = good_stream()
    index = find(kind, nth)
    return [*events[: index + 1], *events[index:]]


def swapped(kind: type, nth: int = 0) -> Stream:
    """With the event and the one after it in each other's place."""
    events: Stream = good_stream()
    index = find(kind, nth)
    events[index], events[index + 1] = events[index + 1], events[index]
    return events


def replaced(kind: type, change: Callable[[Any], Any], nth: int = 0) -> Stream:
    events: Stream = good_stream()
    index = find(kind, nth)
    events[index] = change(events[index])
    return events


def appended(*more: Any) -> Stream:
    return [*good_stream(), *more]


def open_message(*more: Any) -> Stream:
    return [CREATED, e.OutputItemAdded(0, MESSAGE), e.ContentPartAdded("m", 0, 0, TEXT), *more]


# Each of these breaks one rule; the words are those that the message must have.
PLANTED: dict[str, tuple[Stream, str]] = {
    "not-created": (without(e.ResponseCreated), "response.queued.*not created"),
    "item-before-created": (item_events(), "output_item.added.*not created"),
    "created-twice": (twice(e.ResponseCreated), "response.created.*created"),
    "queued-after-in-progress": (swapped(e.ResponseQueued), "response.queued.*in progress"),
    "in-progress-after-the-output-began": (swapped(e.ResponseInProgress), "response.in_progress.*output has begun"),
    "completed-twice": (twice(e.ResponseCompleted), "response.completed.*at its end"),
    "item-after-the-end": (appended(e.OutputItemAdded(6, MESSAGE)), "output_item.added.*at its end"),
    "delta-after-the-end": (
        [*open_message(), e.ResponseFailed({}), e.OutputTextDelta("m", 0, 0, "x")],
        "output_text.delta.*not an open item",
    ),
    "other-event-after-the-end": (appended(e.OtherEvent("response.mcp_call.x", {})), "mcp_call.x.*at its end"),
    "other-event-before-created": ([e.OtherEvent("response.x", {}), *good_stream()], "response.x.*not created"),
    "completed-with-an-open-item": (without(e.OutputItemDone, 5), "response.completed.*output_index 4 is not done"),
    "incomplete-with-an-open-item": (
        [*open_message(), e.ResponseIncomplete({})],
        "response.incomplete.*output_index 0 is not done",
    ),
    "item-not-added": (without(e.OutputItemAdded), "reasoning_summary_part.added.*not an open item"),
    "output-index-with-a-gap": (
        replaced(e.OutputItemAdded, lambda event: e.OutputItemAdded(1, event.item)),
        "output_item.added.*must be 0, not 1",
    ),
    "output-index-again": (twice(e.OutputItemAdded, 1), "output_item.added.*must be 2, not 1"),
    "item-id-again": (
        replaced(e.OutputItemAdded, lambda event: e.OutputItemAdded(1, {**event.item, "id": "rs"}), 1),
        "output_item.added.*added before",
    ),
    "item-without-type": (
        replaced(e.OutputItemAdded, lambda _: e.OutputItemAdded(0, {"id": "rs"})),
        "output_item.added.*needs an id and a type",
    ),
    "item-done-twice": (twice(e.OutputItemDone), "output_item.done.*not an open item"),
    "item-done-as-another-type": (
        replaced(e.OutputItemDone, lambda event: e.OutputItemDone(0, {**event.item, "type": "message"})),
        "output_item.done.*id and type",
    ),
    "item-done-under-another-id": (
        replaced(e.OutputItemDone, lambda event: e.OutputItemDone(0, {**event.item, "id": "x"})),
        "output_item.done.*id and type",
    ),
    "delta-of-another-item": (
        replaced(e.OutputTextDelta, lambda _: e.OutputTextDelta("rs", 1, 0, "a")),
        "output_text.delta.*another item_id",
    ),
    "delta-of-a-closed-item": (
        [*good_stream()[:-1], e.OutputTextDelta("msg", 1, 0, "a")],
        "output_text.delta.*output_index 1 is not an open item",
    ),
    "part-not-added": (without(e.ContentPartAdded, 1), "output_text.delta.*content_index 0"),
    "content-index-with-a-gap": (
        replaced(e.ContentPartAdded, lambda event: e.ContentPartAdded("msg", 1, 1, event.part), 1),
        "content_part.added.*must be 0, not 1",
    ),
    "content-index-negative": (
        [*open_message(), e.OutputTextDelta("m", 0, -1, "x")],
        "output_text.delta.*content_index -1",
    ),
    "summary-index-with-a-gap": (
        replaced(e.ReasoningSummaryPartAdded, lambda event: e.ReasoningSummaryPartAdded("rs", 0, 1, event.part)),
        "reasoning_summary_part.added.*must be 0, not 1",
    ),
    "summary-delta-without-part": (
        without(e.ReasoningSummaryPartAdded),
        "reasoning_summary_text.delta.*summary_index 0",
    ),
    "part-of-another-item-type": (
        replaced(e.ContentPartAdded, lambda _: e.ContentPartAdded("rs", 0, 0, TEXT)),
        "content_part.added.*'reasoning' has no part of type 'output_text'",
    ),
    "part-without-type": ([CREATED, e.OutputItemAdded(0, MESSAGE), e.ContentPartAdded("m", 0, 0, {})], "has no type"),
    "refusal-in-a-text": (
        open_message(e.RefusalDelta("m", 0, 0, "no")),
        "refusal.delta.*of type 'output_text'",
    ),
    "delta-after-text-done": (
        open_message(e.OutputTextDone("m", 0, 0, ""), e.OutputTextDelta("m", 0, 0, "x")),
        "output_text.delta.*part is done",
    ),
    "text-done-twice": (twice(e.OutputTextDone), "output_text.done.*part is done"),
    "part-done-before-its-text": (without(e.OutputTextDone), "content_part.done.*text is not done"),
    "part-done-twice": (twice(e.ContentPartDone), "content_part.done.*part is done"),
    "part-done-as-another-type": (
        replaced(e.ContentPartDone, lambda _: e.ContentPartDone("rs", 0, 0, TEXT)),
        "content_part.done.*of type 'reasoning_text'",
    ),
    "part-done-that-is-not-there": (
        open_message(e.ContentPartDone("m", 0, 1, TEXT)),
        "content_part.done.*content_index 1",
    ),
    "summary-done-that-is-not-there": (
        replaced(e.ReasoningSummaryPartDone, lambda event: e.ReasoningSummaryPartDone("rs", 0, 1, event.part)),
        "reasoning_summary_part.done.*summary_index 1",
    ),
    "item-done-before-its-part": (without(e.ContentPartDone, 1), "output_item.done.*'output_text' is not done"),
    "item-done-before-its-summary": (
        without(e.ReasoningSummaryPartDone),
        "output_item.done.*'summary_text' is not done",
    ),
    "annotation-index-with-a-gap": (
        replaced(e.AnnotationAdded, lambda event: e.AnnotationAdded("msg", 1, 0, 1, event.annotation)),
        "annotation.added.*must be 0, not 1",
    ),
    "annotation-of-a-refusal": (
        [
            *(CREATED, e.OutputItemAdded(0, MESSAGE)),
            *(e.ContentPartAdded("m", 0, 0, {"type": "refusal"}), e.AnnotationAdded("m", 0, 0, 0, {})),
        ],
        "annotation.added.*of type 'refusal'",
    ),
    "annotation-without-part": (
        [CREATED, e.OutputItemAdded(0, MESSAGE), e.AnnotationAdded("m", 0, 0, 0, {})],
        "annotation.added.*content_index 0",
    ),
    "arguments-of-a-message": (
        open_message(e.FunctionCallArgumentsDelta("m", 0, "{")),
        "function_call_arguments.delta.*'message' has no part of type 'arguments'",
    ),
    "input-of-a-function-call": (
        replaced(e.FunctionCallArgumentsDelta, lambda _: e.CustomToolCallInputDelta("fc", 2, "x")),
        "custom_tool_call_input.delta.*'function_call' has no part of type 'input'",
    ),
    "arguments-after-they-are-done": (
        [*good_stream()[: find(e.FunctionCallArgumentsDone) + 1], e.FunctionCallArgumentsDelta("fc", 2, "{")],
        "function_call_arguments.delta.*part is done",
    ),
    "call-done-before-its-arguments": (
        without(e.FunctionCallArgumentsDone),
        "output_item.done.*'arguments' is not done",
    ),
    "call-done-before-its-input": (without(e.CustomToolCallInputDone), "output_item.done.*'input' is not done"),
    "reply-end-in-the-middle": ([CREATED, e.ReplyEnd(status="completed")], "must be its last event"),
    "no-event-at-all": ([CREATED, "text"], "'str', which is not an event"),
}


@pytest.mark.parametrize(("events", "rule"), PLANTED.values(), ids=PLANTED.keys())
def test_planted_violations_are_caught(events: Stream, rule: str) -> None:
    """Each planted violation is refused with the event's name and the rule that it breaks."""
    with pytest.raises(StreamOrderViolation, match=rule):
        check(events)


@pytest.mark.parametrize("index", range(len(good_stream())))
def test_no_event_can_be_missing(index: int) -> None:
    """A stream that lost one structural event is refused; deltas and events that stand alone may be absent."""
    events = good_stream()
    lost = events.pop(index)
    optional = (
        *(e.ResponseQueued, e.ResponseInProgress, e.ResponseCompleted, e.OtherEvent, e.AnnotationAdded),
        *(e.OutputTextDelta, e.RefusalDelta, e.ReasoningTextDelta, e.ReasoningSummaryTextDelta),
        *(e.FunctionCallArgumentsDelta, e.CustomToolCallInputDelta),
    )
    if isinstance(lost, optional):
        check(events)
    else:
        with pytest.raises(StreamOrderViolation):
            check(events)
