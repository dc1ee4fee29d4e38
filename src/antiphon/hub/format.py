"""
The protocol of a client dialect: bytes to a turn's request, events to bytes. No I/O.

The server and the engine know formats only through this.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from antiphon.hub.events import Event, OtherEvent
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import TurnRequest

__all__ = ["Format", "StreamEncoder"]


class StreamEncoder(Protocol):
    """Writes one stream. One instance per turn; the bytes of an event never change once written."""

    def encode(self, events: Iterable[Event | OtherEvent]) -> bytes:
        """Server-sent events, each with its sequence number; whole events only."""
        ...


class Format(Protocol):
    """A dialect that clients speak."""

    def decode(self, body: JsonObject) -> TurnRequest:
        """
        Read a request, checked field by field.

        Raises:
            InvalidRequest: Names the first field that is wrong, in the API's own order of checks.
        """
        ...

    def stream_encoder(self, *, obfuscate: bool) -> StreamEncoder:
        """A new encoder; *obfuscate* pads the deltas so that their length says little."""
        ...

    def encode_response(self, response: JsonObject) -> bytes:
        """The JSON body of a whole response."""
        ...
