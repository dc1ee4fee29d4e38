"""
Says a stream again from its trace and its response; see :mod:`antiphon.streams.trace` for what a trace is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from antiphon.hub.errors import StoreCorrupt
from antiphon.hub.events import Event, OtherEvent, terminal_event
from antiphon.hub.items import JsonObject
from antiphon.streams.trace_bodies import amend
from antiphon.streams.trace_cuts import unpack
from antiphon.streams.trace_rules import (
    CODES,
    FIELDS,
    LETTERS,
    PLACED,
    TYPES,
    VERSION,
    Cursor,
    Place,
    derive,
    holder,
    opening,
    restore,
    text_of,
)

__all__ = ["event_count", "replay"]

_KINDS: dict[object, type[Event]] = dict(enumerate(CODES))


def replay(trace: object, response: JsonObject) -> list[Event | OtherEvent]:
    """
    All events of a stream that has ended, the terminal one included, as they were said first.

    Args:
        trace: What :meth:`antiphon.streams.trace.TraceRecorder.trace` gave, perhaps by an older version.
        response: The response as it is stored, with its output. The events share its bodies.

    Raises:
        StoreCorrupt: The trace has an unknown version, or is not one of this response.

    Note:
        Costs about what it costs to encode these events, all at once.
    """
    match trace:
        case [int(version), int(count), changed, *operations] if version == VERSION:
            pass
        case [int(version), *_] if version != VERSION:
            raise StoreCorrupt(f"A stored trace has the unknown version {version}.")
        case _:
            raise StoreCorrupt("A stored trace has an unknown form.")
    try:
        machine = _Replay(response, changed)
        for operation in operations:
            machine.perform(operation)
        events = machine.finish()
    except (LookupError, TypeError, ValueError, AttributeError) as error:  # whatever a damaged value can lead to
        raise StoreCorrupt("A stored trace does not fit its response.") from error
    if len(events) != count:
        raise StoreCorrupt(f"A stored trace makes {len(events)} events instead of {count}.")
    return [*events, terminal_event(response)]


def event_count(trace: object) -> int:
    """About how many events :func:`replay` makes of a trace; 0 for one that it refuses."""
    match trace:
        case [_, int(count), *_]:
            return count
    return 0


class _Text:
    """The final text of a part, or of a call, as far as deltas have been cut off it."""

    __slots__ = ("_at", "_logprobs", "_logprobs_at", "_text")

    def __init__(self, text: str, logprobs: Sequence[JsonObject]) -> None:
        self._text = text
        self._at = 0
        self._logprobs = logprobs
        self._logprobs_at = 0

    def cut(self, lengths: Sequence[int]) -> list[str]:
        text = self._text
        start = self._at
        pieces = []
        for length in lengths:
            pieces.append(text[start : start + length])
            start += length
        self._at = start
        return pieces

    def cut_logprobs(self, counts: Sequence[int]) -> list[tuple[JsonObject, ...]]:
        start = self._logprobs_at
        cut = []
        for count in counts:
            cut.append(tuple(self._logprobs[start : start + count]))
            start += count
        self._logprobs_at = start
        return cut

    def finish(self) -> None:
        """
        Everything must have been cut off by now, and nothing beyond it.

        Raises:
            ValueError: It was not.
        """
        if self._at != len(self._text) or self._logprobs_at not in (0, len(self._logprobs)):
            raise ValueError("The deltas of a part do not come to its text.")


class _Replay:
    """Performs the operations of one trace."""

    def __init__(self, response: JsonObject, changed: object) -> None:
        self._events: list[Event | OtherEvent] = []
        self._begun = amend(changed, opening(response))
        self._bodies: dict[int, JsonObject] = dict(enumerate(response.get("output") or ()))
        self._cursor = Cursor()
        self._named: Place | None = None
        self._texts: dict[tuple[type[Event], Place], _Text] = {}
        self._other: OtherEvent | None = None

    def perform(self, operation: object) -> None:
        """
        Raises:
            LookupError, TypeError, ValueError, AttributeError: It is damaged, or not of this response.
        """
        match operation:
            case str():
                self._run(operation)
            case int():
                self._event(_KINDS[operation], {})
            case list():
                output_index, part, nth = operation if len(operation) == 3 else (*operation, 0)
                self._named = int(output_index), int(part), int(nth)
            case dict():
                self._say(dict(operation))
            case _:
                raise ValueError("A trace has an unknown operation.")

    def finish(self) -> list[Event | OtherEvent]:
        for text in self._texts.values():
            text.finish()
        return self._events

    def _event(self, kind: type[Event], changed: JsonObject) -> None:
        if kind in PLACED:
            place = self._go(kind)
            body = self._bodies.get(place[0])
        else:
            place, body = (0, 0, 0), self._begun
        self._events.append(restore(kind, changed, derive(kind, body, place)))

    def _say(self, fields: JsonObject) -> None:
        """An operation that is an object: something that does not follow."""
        name = fields.pop("type", None)
        if name is None and "item" in fields:
            self._bodies[fields["output_index"]] = fields["item"]
        elif "fields" in fields:
            self._ride(name, fields["fields"])
        elif "deltas" in fields:
            self._literal_run(TYPES[name], fields.pop("deltas"), fields)
        else:
            self._event(TYPES[name], fields)

    def _ride(self, name: str | None, fields: JsonObject) -> None:
        if name is None:
            if self._other is None:
                raise ValueError("An event differs from one that was not.")
            name, fields = self._other.type, amend(fields, self._other.fields)
        self._other = msgspec.convert({"type": name, "fields": fields}, OtherEvent)
        self._events.append(self._other)

    def _run(self, operation: str) -> None:
        letter, numbers = operation[0], unpack(operation[1:])
        kind: Any = LETTERS[letter]
        place = self._go(kind)
        text = self._text(kind, place)
        where = self._where(kind, place)
        if letter == "l":
            pieces, logprobs = text.cut(numbers[::2]), text.cut_logprobs(numbers[1::2])
            self._events += [kind(*where, piece, some) for piece, some in zip(pieces, logprobs, strict=True)]
        else:
            self._events += [kind(*where, piece) for piece in text.cut(numbers)]

    def _literal_run(self, kind: type[Event], pieces: list[str], fields: JsonObject) -> None:
        place = self._go(kind)
        derived = derive(kind, self._bodies.get(place[0]), place)
        logprobs = fields.pop("logprobs", None)
        for nth, piece in enumerate(pieces):
            some = logprobs[nth] if logprobs is not None else ()
            self._events.append(restore(kind, {**fields, "delta": piece, "logprobs": some}, derived))

    def _go(self, kind: type[Event]) -> Place:
        place = self._named or self._cursor.expected(kind)
        self._named = None
        self._cursor.move(kind, place)
        return place

    def _where(self, kind: type[Event], place: Place) -> tuple[object, ...]:
        item_id = self._bodies[place[0]]["id"]
        return (item_id, *place[:2]) if len(FIELDS[kind]) > 3 else (item_id, place[0])

    def _text(self, kind: type[Event], place: Place) -> _Text:
        if (kind, place) not in self._texts:
            held = holder(kind, self._bodies[place[0]], place[1])
            text = text_of(kind, held)
            if held is None or text is None:
                raise LookupError("The part that a delta was cut off is gone.")
            self._texts[kind, place] = _Text(text, held.get("logprobs") or ())
        return self._texts[kind, place]
