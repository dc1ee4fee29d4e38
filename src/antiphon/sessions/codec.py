"""
The seam between what a turn says and the bytes that a store keeps.

Every payload begins with a version byte (0: plain JSON; 1 is reserved for sealed payloads). The codec is told where
the payload will stand, so that a sealing codec can bind it to its place. A payload that cannot be opened is an error,
never a missing item.
"""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec
import orjson

from antiphon.hub.errors import StoreCorrupt
from antiphon.hub.ids import Family, TenantId

__all__ = ["Codec", "Place", "PlainCodec", "Table"]

Table = Literal[
    "items", "responses", "traces", "conversations", "prompts", "pending", "stream_events", "idempotency", "deliveries"
]

_PLAIN = b"\x00"


class Place(msgspec.Struct, frozen=True):
    """Where a payload stands: immutable facts only, so that it never has to be sealed again."""

    tenant: TenantId
    family: Family
    table: Table
    row_id: str


class Codec(Protocol):
    """Turns JSON values into payloads and back."""

    def encode(self, value: object, place: Place) -> bytes:
        """The payload of a JSON-serialisable value."""
        ...

    def decode(self, payload: bytes, place: Place) -> object:
        """
        The value of a payload.

        Raises:
            StoreCorrupt: It is not one of this codec's payloads, or does not belong at this place.
        """
        ...


class PlainCodec:
    """Payloads as plain JSON behind a version byte."""

    def encode(self, value: object, place: Place) -> bytes:
        """See :class:`Codec`."""
        return _PLAIN + orjson.dumps(value)

    def decode(self, payload: bytes, place: Place) -> object:
        """See :class:`Codec`."""
        if payload[:1] != _PLAIN:
            raise StoreCorrupt(f"The stored payload of '{place.row_id}' has an unknown version byte.")
        try:
            return orjson.loads(memoryview(payload)[1:])
        except orjson.JSONDecodeError as error:
            raise StoreCorrupt(f"The stored payload of '{place.row_id}' is not valid JSON.") from error
