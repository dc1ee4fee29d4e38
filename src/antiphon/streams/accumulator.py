"""
Folds events into the output of a response. The only thing that builds one.

Deltas are kept as they come and joined when somebody looks. A done event is the truth about what it closes; folding the
deltas gives the same. Events must have passed :class:`antiphon.streams.order.OrderCheck` before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Literal, TypeAlias

from antiphon.hub.events import (
    AnnotationAdded,
    ContentPartAdded,
    ContentPartDone,
    CustomToolCallInputDelta,
    CustomToolCallInputDone,
    Event,
    FunctionCallArgumentsDelta,
    FunctionCallArgumentsDone,
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
)
from antiphon.hub.ids import ItemId
from antiphon.hub.items import CALL_TYPES, Item, JsonObject, Private

__all__ = ["Accumulator"]

# The field of a part, or of a call, that its deltas add to.
_TEXT_FIELDS = {"output_text": "text", "refusal": "refusal", "reasoning_text": "text", "summary_text": "text"}
_VALUE_FIELDS = {"function_call": "arguments", "custom_tool_call": "input"}

_ContentDelta: TypeAlias = RefusalDelta | ReasoningTextDelta
_ContentEvent: TypeAlias = (
    _ContentDelta | OutputTextDone | ReasoningTextDone | RefusalDone | AnnotationAdded | ContentPartDone
)
_CallDelta: TypeAlias = FunctionCallArgumentsDelta | CustomToolCallInputDelta


class _Part:
    """A part of an item: its body as it was opened, and what came since."""

    __slots__ = ("annotations", "body", "done", "logprobs", "pieces")

    def __init__(self, body: JsonObject) -> None:
        self.body = body
        self.pieces: list[str] = [body.get(_TEXT_FIELDS.get(body["type"], "")) or ""]
        self.annotations: list[JsonObject] = list(body.get("annotations") or ())
        self.logprobs: list[JsonObject] = list(body.get("logprobs") or ())
        self.done: JsonObject | None = None

    def fold(self) -> JsonObject:
        if self.done is not None:
            return self.done
        part_type = self.body["type"]
        if part_type not in _TEXT_FIELDS:
            return self.body
        folded = {**self.body, _TEXT_FIELDS[part_type]: "".join(self.pieces)}
        if part_type == "output_text":
            folded["annotations"] = list(self.annotations)
            folded["logprobs"] = list(self.logprobs)
        return folded


class _Slot:
    """An item of the output: its body as it was added, and what came since."""

    __slots__ = ("body", "content", "done", "pieces", "private", "summary")

    def __init__(self, body: JsonObject) -> None:
        self.body = body
        self.content: list[_Part] = []
        self.summary: list[_Part] = []
        self.pieces: list[str] = [body.get(_VALUE_FIELDS.get(body["type"], "")) or ""]
        self.done: JsonObject | None = None
        self.private: Private | None = None

    def fold(self) -> JsonObject:
        if self.done is not None:
            return self.done
        folded = dict(self.body)
        if self.content:
            folded["content"] = [part.fold() for part in self.content]
        if self.summary:
            folded["summary"] = [part.fold() for part in self.summary]
        if folded["type"] in _VALUE_FIELDS:
            folded[_VALUE_FIELDS[folded["type"]]] = "".join(self.pieces)
        return folded

    def close(self, status: str) -> None:
        folded = self.fold()
        if "status" in folded or folded["type"] in CALL_TYPES:
            folded["status"] = status
        self.done = folded


class Accumulator:
    """The output of one response, as far as it has come."""

    def __init__(self) -> None:
        self._slots: list[_Slot] = []

    def feed(self, events: Iterable[Event | OtherEvent]) -> None:
        """Take events in order. Those that are not about items or parts change nothing."""
        folds = self._FOLDS
        slots = self._slots
        for event in events:
            if isinstance(event, OutputTextDelta):  # nearly all events of nearly all streams
                part = slots[event.output_index].content[event.content_index]
                part.pieces.append(event.delta)
                if event.logprobs:
                    part.logprobs += event.logprobs
                continue
            fold = folds.get(type(event))
            if fold is not None:
                fold(self, event)

    @property
    def has_output(self) -> bool:
        """Whether there is any item."""
        return bool(self._slots)

    def output(self) -> list[JsonObject]:
        """
        The ``output`` of the response as a polling client sees it now.

        Returns:
            Items in order. One that is still open has status ``in_progress`` and what has come of it. Nothing in it
            changes with later events.
        """
        return [slot.fold() for slot in self._slots]

    def items(self) -> list[Item]:
        """The output as items to be stored, with what only the provider understands beside them."""
        return [_item(slot) for slot in self._slots]

    def close_open(self, status: Literal["incomplete", "completed"] = "incomplete") -> None:
        """The turn was cut off: end the items that are open, with what has come of them."""
        for slot in self._slots:
            if slot.done is None:
                slot.close(status)

    def _item_added(self, event: OutputItemAdded) -> None:
        self._slots.append(_Slot(event.item))

    def _item_done(self, event: OutputItemDone) -> None:
        slot = self._slots[event.output_index]
        slot.done = event.item
        slot.private = event.private

    def _content_added(self, event: ContentPartAdded) -> None:
        self._slots[event.output_index].content.append(_Part(event.part))

    def _content_done(self, event: ContentPartDone) -> None:
        self._content_part(event).done = event.part

    def _content_delta(self, event: _ContentDelta) -> None:
        self._content_part(event).pieces.append(event.delta)

    def _text_done(self, event: OutputTextDone) -> None:
        part = self._content_part(event)
        part.pieces = [event.text]
        part.logprobs = list(event.logprobs)

    def _reasoning_text_done(self, event: ReasoningTextDone) -> None:
        self._content_part(event).pieces = [event.text]

    def _refusal_done(self, event: RefusalDone) -> None:
        self._content_part(event).pieces = [event.refusal]

    def _annotation(self, event: AnnotationAdded) -> None:
        self._content_part(event).annotations.append(event.annotation)

    def _summary_added(self, event: ReasoningSummaryPartAdded) -> None:
        self._slots[event.output_index].summary.append(_Part(event.part))

    def _summary_done(self, event: ReasoningSummaryPartDone) -> None:
        self._slots[event.output_index].summary[event.summary_index].done = event.part

    def _summary_delta(self, event: ReasoningSummaryTextDelta) -> None:
        self._slots[event.output_index].summary[event.summary_index].pieces.append(event.delta)

    def _summary_text_done(self, event: ReasoningSummaryTextDone) -> None:
        self._slots[event.output_index].summary[event.summary_index].pieces = [event.text]

    def _call_delta(self, event: _CallDelta) -> None:
        self._slots[event.output_index].pieces.append(event.delta)

    def _arguments_done(self, event: FunctionCallArgumentsDone) -> None:
        self._slots[event.output_index].pieces = [event.arguments]

    def _input_done(self, event: CustomToolCallInputDone) -> None:
        self._slots[event.output_index].pieces = [event.input]

    def _content_part(self, event: _ContentEvent) -> _Part:
        return self._slots[event.output_index].content[event.content_index]

    # Each method takes the event type that it is listed under.
    _FOLDS: ClassVar[dict[type, Callable[[Any, Any], None]]] = {
        OutputItemAdded: _item_added,
        OutputItemDone: _item_done,
        ContentPartAdded: _content_added,
        ContentPartDone: _content_done,
        RefusalDelta: _content_delta,
        ReasoningTextDelta: _content_delta,
        OutputTextDone: _text_done,
        ReasoningTextDone: _reasoning_text_done,
        RefusalDone: _refusal_done,
        AnnotationAdded: _annotation,
        ReasoningSummaryPartAdded: _summary_added,
        ReasoningSummaryPartDone: _summary_done,
        ReasoningSummaryTextDelta: _summary_delta,
        ReasoningSummaryTextDone: _summary_text_done,
        FunctionCallArgumentsDelta: _call_delta,
        CustomToolCallInputDelta: _call_delta,
        FunctionCallArgumentsDone: _arguments_done,
        CustomToolCallInputDone: _input_done,
    }


def _item(slot: _Slot) -> Item:
    body = slot.fold()
    return Item(id=ItemId(body["id"]), type=body["type"], body=body, private=slot.private)
