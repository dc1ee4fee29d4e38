"""
The order that a Responses stream must keep, as a table.

Every stream passes here, whoever made it: our own decoders, native upstreams, users' providers. The rules are those
that clients build on: they apply a delta to a part that they have seen open, and take a done event for the truth.

The response    created, then queued and in_progress (each once, in this order, before the first item), then items,
                then one terminal event, then nothing.
Items           ``output_index`` counts from 0 without gaps; ids are unique; an item that is done is the item that was
                added. Items may overlap. Before completed or incomplete all are done; failed may leave some open.
Parts           ``content_index`` and ``summary_index`` count from 0 within their item. A part lives through

                    open --delta*--> open --text done--> said --part done--> closed

                and belongs to the right type of item. A call's arguments or input are a part that is there from the
                beginning and needs no part events. An item is done when every part that was opened is closed.

Everything that decides on order lives in this file. It looks at no content.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, NamedTuple, TypeAlias

from antiphon.hub.errors import StreamOrderViolation
from antiphon.hub.events import (
    AnnotationAdded,
    ContentPartAdded,
    ContentPartDone,
    CustomToolCallInputDelta,
    CustomToolCallInputDone,
    Event,
    FunctionCallArgumentsDelta,
    FunctionCallArgumentsDone,
    LifecycleEvent,
    OtherEvent,
    OutputItemAdded,
    OutputItemDone,
    OutputTextDelta,
    OutputTextDone,
    ReasoningSummaryPartAdded,
    ReasoningSummaryPartDone,
    ReasoningSummaryTextDelta,
    ReasoningSummaryTextDone,
    ReasoningTextDelta,
    ReasoningTextDone,
    RefusalDelta,
    RefusalDone,
    ReplyEnd,
    ResponseCompleted,
    ResponseCreated,
    ResponseFailed,
    ResponseIncomplete,
    ResponseInProgress,
    ResponseQueued,
    type_of,
)
from antiphon.hub.items import JsonObject
from antiphon.hub.upstream import ReplyEvent

__all__ = ["OrderCheck"]

# The states of a part, and of the response.
_OPEN, _SAID, _CLOSED = "open", "said", "closed"
_NEW, _CREATED, _QUEUED, _RUNNING, _ENDED = "not created", "created", "queued", "in progress", "at its end"
_ALIVE = frozenset({_CREATED, _QUEUED, _RUNNING})

# Which type of item a part belongs to. Parts of other types belong anywhere.

_OWNER = {
    "output_text": "message",
    "refusal": "message",
    "reasoning_text": "reasoning",
    "summary_text": "reasoning",
    "arguments": "function_call",
    "input": "custom_tool_call",
}


class _Step(NamedTuple):
    """What an event does to a part: of which kind it must be, and from which state to which it goes."""

    kind: str
    before: str
    after: str


_STEPS: dict[type[Event], _Step] = {
    OutputTextDelta: _Step("output_text", _OPEN, _OPEN),
    OutputTextDone: _Step("output_text", _OPEN, _SAID),
    RefusalDelta: _Step("refusal", _OPEN, _OPEN),
    RefusalDone: _Step("refusal", _OPEN, _SAID),
    ReasoningTextDelta: _Step("reasoning_text", _OPEN, _OPEN),
    ReasoningTextDone: _Step("reasoning_text", _OPEN, _SAID),
    ReasoningSummaryTextDelta: _Step("summary_text", _OPEN, _OPEN),
    ReasoningSummaryTextDone: _Step("summary_text", _OPEN, _SAID),
    FunctionCallArgumentsDelta: _Step("arguments", _OPEN, _OPEN),
    FunctionCallArgumentsDone: _Step("arguments", _OPEN, _CLOSED),
    CustomToolCallInputDelta: _Step("input", _OPEN, _OPEN),
    CustomToolCallInputDone: _Step("input", _OPEN, _CLOSED),
}

_ContentEvent: TypeAlias = (
    OutputTextDelta | OutputTextDone | RefusalDelta | RefusalDone | ReasoningTextDelta | ReasoningTextDone
)
_SummaryEvent: TypeAlias = ReasoningSummaryTextDelta | ReasoningSummaryTextDone
_CallEvent: TypeAlias = (
    FunctionCallArgumentsDelta | FunctionCallArgumentsDone | CustomToolCallInputDelta | CustomToolCallInputDone
)
_ItemEvent: TypeAlias = (
    _ContentEvent
    | _SummaryEvent
    | _CallEvent
    | AnnotationAdded
    | ContentPartAdded
    | ContentPartDone
    | ReasoningSummaryPartAdded
    | ReasoningSummaryPartDone
)

# From which states of the response a lifecycle event may come, and where it leads.
_LIFE: dict[type[Event], tuple[frozenset[str], str]] = {
    ResponseCreated: (frozenset({_NEW}), _CREATED),
    ResponseQueued: (frozenset({_CREATED}), _QUEUED),
    ResponseInProgress: (frozenset({_CREATED, _QUEUED}), _RUNNING),
    ResponseCompleted: (_ALIVE, _ENDED),
    ResponseIncomplete: (_ALIVE, _ENDED),
    ResponseFailed: (_ALIVE, _ENDED),
}


class _Part:
    __slots__ = ("annotations", "kind", "state")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.state = _OPEN
        self.annotations = 0


class _Item:
    __slots__ = ("content", "id", "summary", "type", "value")

    def __init__(self, item_id: str, item_type: str) -> None:
        self.id = item_id
        self.type = item_type
        self.content: list[_Part] = []
        self.summary: list[_Part] = []
        self.value: _Part | None = None  # a call's arguments or input, from their first event on

    def parts(self) -> list[_Part]:
        return [*self.content, *self.summary, *([self.value] if self.value else [])]


class OrderCheck:
    """Follows one stream. One instance per response."""

    def __init__(self) -> None:
        self._life = _NEW
        self._added = 0
        self._open: dict[int, _Item] = {}
        self._ids: set[str] = set()
        self._last_text: OutputTextDelta | None = None  # the event before this one, if it was a delta of text

    def feed(self, events: Iterable[ReplyEvent]) -> None:
        """
        Check that every event is in order.

        Raises:
            StreamOrderViolation: Names the event and the rule that it breaks. None of *events* should be passed on.

        Note:
            O(1) per event.
        """
        handlers = self._HANDLERS
        for event in events:
            last = self._last_text
            if (
                type(event) is OutputTextDelta
                and last is not None
                and event.item_id == last.item_id
                and event.output_index == last.output_index
                and event.content_index == last.content_index
            ):
                continue  # nearly all events of nearly all streams: another delta, right behind one of the same part
            handler = handlers.get(type(event))
            if handler is None:
                raise StreamOrderViolation(f"A provider emitted a '{type(event).__name__}', which is not an event.")
            handler(self, event)
            self._last_text = event if isinstance(event, OutputTextDelta) else None

    # Deltas and done events of parts.

    def _content(self, event: _ContentEvent) -> None:
        content = self._item(event).content
        index = event.content_index
        if not 0 <= index < len(content):
            raise _violation(event, f"content_index {index} is not an open part")
        _advance(content[index], event)

    def _summary(self, event: _SummaryEvent) -> None:
        summary = self._item(event).summary
        index = event.summary_index
        if not 0 <= index < len(summary):
            raise _violation(event, f"summary_index {index} is not an open part")
        _advance(summary[index], event)

    def _call(self, event: _CallEvent) -> None:
        item = self._item(event)
        if item.value is None:
            kind = _STEPS[type(event)].kind
            _check_owner(event, item, kind)
            item.value = _Part(kind)
        _advance(item.value, event)

    def _annotation(self, event: AnnotationAdded) -> None:
        content = self._item(event).content
        index = event.content_index
        if not 0 <= index < len(content) or content[index].state == _CLOSED:
            raise _violation(event, f"content_index {index} is not an open part")
        part = content[index]
        if part.kind != "output_text":
            raise _violation(event, f"the part is of type '{part.kind}'")
        if event.annotation_index != part.annotations:
            raise _violation(event, f"annotation_index must be {part.annotations}, not {event.annotation_index}")
        part.annotations += 1

    # Parts opening and closing.

    def _content_added(self, event: ContentPartAdded) -> None:
        item = self._item(event)
        if event.content_index != len(item.content):
            raise _violation(event, f"content_index must be {len(item.content)}, not {event.content_index}")
        item.content.append(_new_part(event, item, event.part))

    def _content_done(self, event: ContentPartDone) -> None:
        content = self._item(event).content
        index = event.content_index
        if not 0 <= index < len(content):
            raise _violation(event, f"content_index {index} is not an open part")
        _close(content[index], event, event.part)

    def _summary_added(self, event: ReasoningSummaryPartAdded) -> None:
        item = self._item(event)
        if event.summary_index != len(item.summary):
            raise _violation(event, f"summary_index must be {len(item.summary)}, not {event.summary_index}")
        item.summary.append(_new_part(event, item, event.part))

    def _summary_done(self, event: ReasoningSummaryPartDone) -> None:
        summary = self._item(event).summary
        index = event.summary_index
        if not 0 <= index < len(summary):
            raise _violation(event, f"summary_index {index} is not an open part")
        _close(summary[index], event, event.part)

    # Items.

    def _item(self, event: _ItemEvent) -> _Item:
        item = self._open.get(event.output_index)
        if item is None:
            raise _violation(event, f"output_index {event.output_index} is not an open item")
        if item.id != event.item_id:
            raise _violation(event, f"output_index {event.output_index} has another item_id")
        return item

    def _item_added(self, event: OutputItemAdded) -> None:
        self._check_alive(event)
        if event.output_index != self._added:
            raise _violation(event, f"output_index must be {self._added}, not {event.output_index}")
        item = _new_item(event)
        if item.id in self._ids:
            raise _violation(event, "an item of this id was added before")
        self._ids.add(item.id)
        self._open[self._added] = item
        self._added += 1

    def _item_done(self, event: OutputItemDone) -> None:
        item = self._open.get(event.output_index)
        if item is None:
            raise _violation(event, f"output_index {event.output_index} is not an open item")
        if (item.id, item.type) != (event.item.get("id"), event.item.get("type")):
            raise _violation(event, "its id and type must be those that were added")
        for part in item.parts():
            if part.state != _CLOSED:
                raise _violation(event, f"its part of type '{part.kind}' is not done")
        del self._open[event.output_index]

    # The response.

    def _lifecycle(self, event: LifecycleEvent) -> None:
        before, after = _LIFE[type(event)]
        if self._life not in before:
            raise _violation(event, f"the response is {self._life}")
        if self._added and after != _ENDED:
            raise _violation(event, "the output has begun")
        if self._open and isinstance(event, ResponseCompleted | ResponseIncomplete):
            raise _violation(event, f"the item with output_index {min(self._open)} is not done")
        self._life = after
        if after == _ENDED:
            self._open.clear()

    def _other(self, event: OtherEvent) -> None:
        self._check_alive(event)

    def _reply_end(self, event: ReplyEnd) -> None:
        raise StreamOrderViolation("A reply's end must be its last event.")

    def _check_alive(self, event: Event | OtherEvent) -> None:
        if self._life not in _ALIVE:
            raise _violation(event, f"the response is {self._life}")

    # Each handler takes the event type that it is listed under.
    _HANDLERS: ClassVar[dict[type, Callable[[Any, Any], None]]] = {
        OutputTextDelta: _content,
        OutputTextDone: _content,
        RefusalDelta: _content,
        RefusalDone: _content,
        ReasoningTextDelta: _content,
        ReasoningTextDone: _content,
        ReasoningSummaryTextDelta: _summary,
        ReasoningSummaryTextDone: _summary,
        FunctionCallArgumentsDelta: _call,
        FunctionCallArgumentsDone: _call,
        CustomToolCallInputDelta: _call,
        CustomToolCallInputDone: _call,
        AnnotationAdded: _annotation,
        ContentPartAdded: _content_added,
        ContentPartDone: _content_done,
        ReasoningSummaryPartAdded: _summary_added,
        ReasoningSummaryPartDone: _summary_done,
        OutputItemAdded: _item_added,
        OutputItemDone: _item_done,
        ResponseCreated: _lifecycle,
        ResponseQueued: _lifecycle,
        ResponseInProgress: _lifecycle,
        ResponseCompleted: _lifecycle,
        ResponseIncomplete: _lifecycle,
        ResponseFailed: _lifecycle,
        OtherEvent: _other,
        ReplyEnd: _reply_end,
    }


def _advance(part: _Part, event: Event) -> None:
    kind, before, after = _STEPS[type(event)]
    if part.kind != kind:
        raise _violation(event, f"the part is of type '{part.kind}'")
    if part.state != before:
        raise _violation(event, "the part is done")
    part.state = after


def _new_part(event: Event, item: _Item, body: JsonObject) -> _Part:
    kind = body.get("type")
    if not isinstance(kind, str):
        raise _violation(event, "the part has no type")
    if kind in _OWNER:
        _check_owner(event, item, kind)
    return _Part(kind)


def _check_owner(event: Event, item: _Item, kind: str) -> None:
    if item.type != _OWNER[kind]:
        raise _violation(event, f"an item of type '{item.type}' has no part of type '{kind}'")


def _close(part: _Part, event: Event, body: JsonObject) -> None:
    if part.kind != body.get("type"):
        raise _violation(event, f"the part is of type '{part.kind}'")
    if part.state == _CLOSED:
        raise _violation(event, "the part is done")
    # A kind that this version does not know says its text in events that it does not know either.
    if part.state == _OPEN and part.kind in _OWNER:
        raise _violation(event, "the part's text is not done")
    part.state = _CLOSED


def _new_item(event: OutputItemAdded) -> _Item:
    item_id, item_type = event.item.get("id"), event.item.get("type")
    if not isinstance(item_id, str) or not isinstance(item_type, str):
        raise _violation(event, "an item needs an id and a type")
    return _Item(item_id, item_type)


def _violation(event: Event | OtherEvent, rule: str) -> StreamOrderViolation:
    return StreamOrderViolation(f"The event '{type_of(event)}' is out of order: {rule}.")
