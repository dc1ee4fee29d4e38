"""
What has to be kept of a stream so that it can be said again once its response is stored.

When a response has ended, its stream is the response and the points where it was cut: every event but the deltas
follows from the final items, and of a delta only the length has to be kept. A trace is this, about one byte for a
delta. What does not follow exactly is kept as it was, so any stream in order comes back whole.

A trace is a JSON array:

    [version, number of events before the terminal one, how the opening response differed, *operations]

An operation is, by its JSON type,

    a number    the event of this code (``trace_rules.CODES``), just as it follows from its item's final body
    a string    a run of deltas of one part: its letter (``trace_rules.LETTERS``), then their lengths in code points
                (``trace_cuts``); each length is followed by the number of log probabilities if the letter is ``l``
    an array    the place of the next event, where it is not the one to be expected: output_index, index of the part,
                number of the annotation
    an object   with ``type`` and ``deltas``: a run of deltas that are no pieces of the final text, and their fields
                with ``type`` and ``fields``: an event that rode along; ``fields`` alone: it differs from the last such
                in these
                with ``type``: an event, and where it differs from what follows
                with ``item`` and no ``type``: the body from which an item's events follow, if the response has another

:class:`TraceRecorder` writes a trace while the stream goes by, :func:`replay` makes the events again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from antiphon.hub.events import (
    Event,
    LifecycleEvent,
    OtherEvent,
    OutputItemDone,
    OutputTextDelta,
    ReasoningSummaryTextDelta,
    ResponseCreated,
)
from antiphon.hub.items import JsonObject
from antiphon.streams.trace_bodies import difference, same
from antiphon.streams.trace_replay import event_count, replay
from antiphon.streams.trace_rules import (
    CODES,
    DELTAS,
    FIELDS,
    PLACED,
    TEXT_OF,
    VERSION,
    Cursor,
    Place,
    changes,
    delta_of,
    derive,
    opening,
    place_of,
    tag_of,
)
from antiphon.streams.trace_runs import Run, RunText

__all__ = ["TraceRecorder", "event_count", "replay"]

_CODE_OF: dict[type, int] = {kind: code for code, kind in enumerate(CODES)}
_NOWHERE: Place = (0, 0, 0)


class TraceRecorder:
    """
    Writes the trace of one stream.

    Note:
        Holds the pieces of a text until its done event and the other events of an item until it is done; after that
        lengths, and references to bodies that the accumulator holds as well.
    """

    def __init__(self) -> None:
        self._entries: list[_Said | Run] = []
        self._slots: dict[int, _Slot] = {}  # items that are open, by output_index
        self._done: dict[int, JsonObject] = {}
        self._life: list[tuple[_Said, LifecycleEvent]] = []
        self._other: OtherEvent | None = None
        self._last = _NO_RUN

    def feed(self, events: Iterable[Event | OtherEvent]) -> None:
        """
        Take events in order: the same that the accumulator takes, from created to the last before the terminal one.

        Nothing in them may change afterwards. They must have passed the order check; what has not is recorded without
        complaint, but need not come back.
        """
        kind: Any  # what it is decides which fields there are
        kind, item_id, index, append = self._last
        event: Any
        for event in events:
            # No calls of our own between two deltas of one part: this is where a stream spends its time.
            if (
                type(event) is kind
                and event.item_id == item_id
                and (index is None or event.content_index == index)
                and not (kind is OutputTextDelta and event.logprobs)
            ):
                append(event.delta)
                continue
            self._last = kind, item_id, index, append = self._take(event)

    def trace(self, response: JsonObject) -> list[Any]:
        """
        What to store beside *response*: a JSON array. Ask once, when nothing more will be said.

        Args:
            response: The response as it ended, with its output. Its ``created_at`` may still change before it is
                stored, nothing else.
        """
        output = response.get("output") or []
        for output_index, slot in self._slots.items():
            slot.settle(_body_at(output, output_index))
        self._slots.clear()
        changed = self._settle_life(response)
        operations: list[Any] = [
            {"output_index": output_index, "item": body}
            for output_index, body in self._done.items()
            if not same(body, _body_at(output, output_index))
        ]
        count = 0
        cursor = Cursor()
        for entry in self._entries:
            count += entry.count
            place = entry.place
            if place is not None:
                if place != cursor.expected(entry.kind):
                    operations.append(list(place if place[2] else place[:2]))
                cursor.move(entry.kind, place)
            operations.append(entry.operation)
        return [VERSION, count, changed, *operations]

    def _take(self, event: Event | OtherEvent) -> _Last:
        """Any event that is not another delta of the last run. Gives the run that it begins or goes on with."""
        kind = type(event)
        if kind in DELTAS:
            return self._delta(event)
        said = _Said(event)
        self._entries.append(said)
        if kind in PLACED:
            self._place(said, event)
        elif isinstance(event, LifecycleEvent):
            self._life.append((said, event))
        elif isinstance(event, OtherEvent):  # the order check lets no other kind pass
            said.operation = _difference(event, self._other)
            self._other = event
        return _NO_RUN

    def _place(self, said: _Said, event: Any) -> None:
        said.place = place = place_of(event)
        slot = self._slot(place[0])
        slot.events.append((said, event))
        if said.kind is OutputItemDone:
            del self._slots[place[0]]
            self._done[place[0]] = event.item
            slot.settle(event.item)
        elif delta := delta_of(said.kind):
            slot.text(delta, place[1]).close(getattr(event, TEXT_OF[delta]))

    def _delta(self, event: Any) -> _Last:
        place = place_of(event)
        logprobs = event.logprobs if isinstance(event, OutputTextDelta) else ()
        run = self._entries[-1] if self._entries else None
        if not (isinstance(run, Run) and run.takes(event, place, logprobs=bool(logprobs))):
            run = Run(type(event), event.item_id, place, logprobs=bool(logprobs))
            self._entries.append(run)
            self._slot(place[0]).text(run.kind, place[1]).runs.append(run)
        run.pieces.append(event.delta)
        if run.logprobs is not None:
            run.logprobs.append(logprobs)
            return _NO_RUN
        return _last(run)

    def _slot(self, output_index: int) -> _Slot:
        slot = self._slots.get(output_index)
        if slot is None:
            slot = self._slots[output_index] = _Slot()
        return slot

    def _settle_life(self, response: JsonObject) -> object:
        """How the opening response differed from what follows."""
        begun = opening(response)
        changed: Any = {}
        for said, event in self._life:
            if said.kind is ResponseCreated:
                changed = difference(event.response, begun)
                begun = event.response
                if isinstance(changed, dict) and "created_at" in begun:
                    changed["created_at"] = begun["created_at"]  # the commit may move that of the stored response
            said.settle(event, begun)
        self._life.clear()
        return changed


# A run that goes on as long as deltas of its kind come, of the same item and part; and where their text is appended.
_Last: TypeAlias = tuple[type[Event] | None, str, int | None, Callable[[str], object]]
_NO_RUN: _Last = (None, "", None, str)  # there are no events of no kind: nothing is called


def _last(run: Run) -> _Last:
    # A summary's index has a name of its own, which the loop does not know: without a kind it asks every time.
    kind = None if run.kind is ReasoningSummaryTextDelta else run.kind
    part = run.place[1] if "content_index" in FIELDS[run.kind] else None
    return kind, run.item_id, part, run.pieces.append


class _Said:
    """An event that is not a delta, and what to write of it, once that is known."""

    __slots__ = ("kind", "operation", "place")

    count = 1

    def __init__(self, event: Event | OtherEvent) -> None:
        self.kind: Any = type(event)
        self.place: Place | None = None
        self.operation: Any = None

    def settle(self, event: Event, body: JsonObject | None) -> None:
        changed = changes(event, derive(self.kind, body, self.place or _NOWHERE))
        code = None if changed else _CODE_OF.get(self.kind)
        self.operation = {"type": tag_of(self.kind), **changed} if code is None else code


class _Slot:
    """An item that is open: what cannot be written before its final body is known."""

    __slots__ = ("events", "texts")

    def __init__(self) -> None:
        self.events: list[tuple[_Said, Event]] = []
        self.texts: dict[tuple[type[Event], int], RunText] = {}

    def text(self, kind: type[Event], part: int) -> RunText:
        text = self.texts.get((kind, part))
        if text is None:
            text = self.texts[kind, part] = RunText(kind, part)
        return text

    def settle(self, body: JsonObject | None) -> None:
        for said, event in self.events:
            said.settle(event, body)
        for text in self.texts.values():
            text.settle(body)


def _difference(event: OtherEvent, last: OtherEvent | None) -> JsonObject:
    """What to write of an event that rides along: its fields, or where they differ from those of the last such."""
    if last is not None and last.type == event.type:
        change = difference(event.fields, last.fields)
        if isinstance(change, dict):
            return {"fields": change}
    return {"type": event.type, "fields": event.fields}


def _body_at(output: list[Any], output_index: int) -> JsonObject | None:
    body = output[output_index] if 0 <= output_index < len(output) else None
    return body if isinstance(body, dict) else None
