"""
A stream in its upstream's own words, for a client who speaks the same dialect.

The hub's events decide what is shown and when: what their turn has taken in, and the end only behind the terminal
event, when the turn is stored. What the client reads are the upstream's events. What fails is told by the dialect's own
encoder, and so is everything if the answer does not come this way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from antiphon.hub.events import (
    Event,
    OtherEvent,
    ResponseCompleted,
    ResponseCreated,
    ResponseFailed,
    ResponseIncomplete,
)
from antiphon.hub.format import StreamEncoder
from antiphon.hub.items import JsonObject
from antiphon.hub.verbatim import Heard

__all__ = ["VerbatimEncoder", "Words"]


class Words(Protocol):
    """
    How a dialect passes on the events of an upstream.

    Attributes:
        opens: Whether a stream begins with an event of its own, which the upstream sends as well.
        mark: What stands behind the last event; empty where that says so itself.
    """

    @property
    def opens(self) -> bool: ...

    @property
    def mark(self) -> bytes: ...

    def begin(self, response: JsonObject, *, is_open: bool) -> None:
        """
        The stream is that of *response*.

        Args:
            is_open: Its beginning has been said already, before anybody knew in whose words it would go on.
        """
        ...

    def shown(self, data: bytes) -> bytes | None:
        """The JSON that the client gets for an event's JSON, in one line; None if it gets none."""
        ...

    def frame(self, shown: bytes) -> bytes:
        """The server-sent event of such JSON."""
        ...


class VerbatimEncoder:
    """
    One stream, for one reader, from its first event on. Implements :class:`~antiphon.hub.format.StreamEncoder`.

    Args:
        heard: What the upstream said.
        words: How the dialect passes it on.
        inner: How the dialect says the hub's events, until and unless the answer comes in the upstream's own words.
    """

    def __init__(self, heard: Heard, words: Words, inner: StreamEncoder) -> None:
        self._heard = heard
        self._words = words
        self._inner = inner
        self._told_events = 0
        self._has_ended = False

    def encode(self, events: Iterable[Event | OtherEvent]) -> bytes:
        """Server-sent events; whole ones only."""
        if not self._heard.has_begun:
            return self._inner.encode(self._as_ours(events))
        blocks = [
            self._words.frame(piece) if isinstance(piece, bytes) else self._inner.encode([piece])
            for piece in self._pieces(events)
        ]
        return b"".join([*blocks, self._take_mark()])

    def encode_each(self, events: Iterable[Event | OtherEvent]) -> list[bytes]:
        """The JSON of each event alone, for a transport that has frames of its own."""
        if not self._heard.has_begun:
            return self._inner.encode_each(self._as_ours(events))
        shown: list[bytes] = []
        for piece in self._pieces(events):
            shown += [piece] if isinstance(piece, bytes) else self._inner.encode_each([piece])
        return shown

    def _as_ours(self, events: Iterable[Event | OtherEvent]) -> Iterator[Event | OtherEvent]:
        """The same events; the upstream's words may still begin behind them."""
        for event in events:
            self._told_events += 1
            if isinstance(event, ResponseCreated):
                self._words.begin(event.response, is_open=True)
            yield event

    def _pieces(self, events: Iterable[Event | OtherEvent]) -> Iterator[bytes | Event | OtherEvent]:
        """What is shown of an answer in the upstream's words: these, and where there are none, our events."""
        for event in events:
            self._told_events += 1
            if isinstance(event, ResponseCreated):
                is_open = not self._words.opens
                self._words.begin(event.response, is_open=is_open)
                if is_open:
                    yield event
            elif isinstance(event, ResponseCompleted | ResponseIncomplete):
                yield from self._shown(self._heard.take_end())
                self._has_ended = True
            elif isinstance(event, ResponseFailed):
                yield from self._shown(self._heard.take(self._told_events))
                yield event
        yield from self._shown(self._heard.take(self._told_events))

    def _shown(self, heard: Iterable[bytes]) -> Iterator[bytes]:
        for data in heard:
            shown = self._words.shown(data)
            if shown is not None:
                yield shown

    def _take_mark(self) -> bytes:
        if not self._has_ended:
            return b""
        self._has_ended = False
        return self._words.mark
