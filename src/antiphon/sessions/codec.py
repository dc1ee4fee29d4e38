"""
The seam between what a turn says and the bytes that a store keeps.

Every payload begins with a version byte: 0 is plain JSON, 1 is sealed (:mod:`antiphon.crypto.codec`). The codec is told
where the payload stands, so that a sealing codec can bind it to its place. A payload that cannot be opened is an error,
never a missing item.

Keys are fetched ahead of use and then held: :meth:`Codec.keys` may wait for the store and for a key service, what it
answers encodes and decodes without waiting.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal, Protocol

import msgspec
import orjson

from antiphon.hub.errors import StoreCorrupt
from antiphon.hub.ids import Family, TenantId

__all__ = ["PLAIN_VERSION", "SEALED_VERSION", "TENANT_FAMILY", "Codec", "Keys", "Place", "PlainCodec", "Table"]

Table = Literal[
    "items",
    "responses",
    "traces",
    "conversations",
    "prompts",
    "pending",
    "stream_events",
    "idempotency",
    "deliveries",
    "secrets",
]

# The family of what belongs to a tenant as a whole: prompts, answers under idempotency keys, deliveries, the secret.
# Its key is derived from the tenant's key alone; it has no row and no salt.
TENANT_FAMILY: Final = Family("")

PLAIN_VERSION: Final = b"\x00"
SEALED_VERSION: Final = b"\x01"


class Place(msgspec.Struct, frozen=True):
    """
    Where a payload stands: immutable facts only, so that it never has to be sealed again because it moved.

    Attributes:
        row_id: Names one row of the table, and one only.
    """

    tenant: TenantId
    family: Family
    table: Table
    row_id: str


class Keys(Protocol):
    """The keys of some families of one tenant, at hand."""

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


class Codec(Protocol):
    """Turns JSON values into payloads and back."""

    async def open(self) -> None:
        """
        See that the keys fit the store, which is open, and make them where the store is new.

        Raises:
            KeysUnavailable: They do not; says which key was expected, and where it was looked for.
        """
        ...

    async def keys(self, tenant: TenantId, families: Collection[Family], *, payloads: Collection[bytes] = ()) -> Keys:
        """
        What encodes and decodes in these families of a tenant. Nothing is waited for if it is all at hand.

        Args:
            families: Those that exist, or were founded by :meth:`found`.
            payloads: What is going to be decoded: it may have been sealed under a key that is not in use any more, or
                not known here yet.

        Raises:
            KeysUnavailable: The key service does not answer.
            StoreCorrupt: A family has no key: it was erased, or never was.
        """
        ...

    async def found(self, tenant: TenantId, family: Family, *, is_new: bool = False) -> bytes:
        """
        Begin a family. Returns what the store has to keep with it (its *seal*), from the first payload on; the same
        again until the store has it. For a family that the store has already it returns that one's.

        Args:
            is_new: Its name was made just now, so the store need not be asked whether it has it.
        """
        ...

    def forget(self, tenant: TenantId) -> None:
        """Ask anew for every key of this tenant: they were changed, or destroyed."""
        ...


class PlainCodec:
    """Payloads as plain JSON behind a version byte. Its families need nothing to be kept with them."""

    async def open(self) -> None:
        """See :class:`Codec`."""

    async def keys(self, tenant: TenantId, families: Collection[Family], *, payloads: Collection[bytes] = ()) -> Keys:
        """See :class:`Codec`."""
        return self

    async def found(self, tenant: TenantId, family: Family, *, is_new: bool = False) -> bytes:
        """See :class:`Codec`."""
        return b""

    def forget(self, tenant: TenantId) -> None:
        """See :class:`Codec`."""

    def encode(self, value: object, place: Place) -> bytes:
        """See :class:`Keys`."""
        return PLAIN_VERSION + orjson.dumps(value)

    def decode(self, payload: bytes, place: Place) -> object:
        """See :class:`Keys`."""
        if payload[:1] != PLAIN_VERSION:
            raise StoreCorrupt(f"The stored payload of '{place.row_id}' has an unknown version byte.")
        try:
            return orjson.loads(memoryview(payload)[1:])
        except orjson.JSONDecodeError as error:
            raise StoreCorrupt(f"The stored payload of '{place.row_id}' is not valid JSON.") from error
