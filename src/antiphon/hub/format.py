"""
The protocol of a client dialect: bytes to a turn's request, events to bytes. No I/O.

The server and the engine know formats only through this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from antiphon.hub.events import Event, OtherEvent
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import TurnRequest

__all__ = ["ConversationDraft", "Format", "PageRequest", "StateFormat", "StreamEncoder"]


class ConversationDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A decoded ``POST /v1/conversations``: full items as in :attr:`TurnRequest.input`, and metadata."""

    items: tuple[JsonObject, ...] = ()
    metadata: dict[str, str] = msgspec.field(default_factory=dict)


class PageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Decoded query parameters of a list: ``limit`` 1 to 100, ``order``, ``after`` (an item id), ``include``."""

    limit: int = 20
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None
    include: frozenset[str] = frozenset()


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


class StateFormat(Protocol):
    """The requests and answers of the API's state: responses' items and conversations."""

    def decode_conversation(self, body: JsonObject) -> ConversationDraft:
        """
        Read ``POST /v1/conversations``.

        Raises:
            InvalidRequest: Names the first field that is wrong.
        """
        ...

    def decode_metadata(self, body: JsonObject) -> dict[str, str]:
        """
        Read ``POST /v1/conversations/{id}``; ``metadata: null`` clears.

        Raises:
            InvalidRequest: ``metadata`` is missing or wrong.
        """
        ...

    def decode_items(self, body: JsonObject) -> tuple[JsonObject, ...]:
        """
        Read ``POST /v1/conversations/{id}/items``: 1 to 20 items in their full form.

        Raises:
            InvalidRequest: Names the first field that is wrong.
        """
        ...

    def decode_page(self, query: Mapping[str, Sequence[str]]) -> PageRequest:
        """
        Read the query of a list.

        Raises:
            InvalidRequest: Names the first parameter that is wrong or unknown.
        """
        ...

    def decode_include(self, query: Mapping[str, Sequence[str]]) -> frozenset[str]:
        """
        Read the ``include`` of a retrieval; any other parameter is unknown.

        Raises:
            InvalidRequest: Names the first parameter that is wrong or unknown.
        """
        ...

    def show_item(self, body: JsonObject, include: frozenset[str]) -> JsonObject:
        """An item as a list shows it: image URLs and other bulky fields only if *include* asks for them."""
        ...
