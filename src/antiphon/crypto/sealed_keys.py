"""Payloads sealed and opened with keys that are at hand. What a turn does dozens of times, so nothing here waits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson

from antiphon.crypto.envelope import HEADER_BYTES, InvalidEnvelope, PayloadCipher
from antiphon.crypto.nonces import next_nonce
from antiphon.hub.errors import StoreCorrupt
from antiphon.hub.ids import Family, TenantId
from antiphon.sessions.codec import PLAIN_VERSION, Place

__all__ = ["FamilyKeys", "SealedKeys"]


class FamilyKeys:
    """
    The keys of one family.

    Args:
        ciphers: By what their payloads begin with.
        sealing: Which of them seals.
        tail: The last part of the associated data.
    """

    __slots__ = ("ciphers", "family", "sealing", "tail")

    def __init__(self, family: Family, ciphers: Mapping[bytes, PayloadCipher], sealing: bytes, tail: bytes) -> None:
        self.family = family
        self.ciphers = ciphers
        self.sealing = ciphers[sealing]
        self.tail = tail


class SealedKeys:
    """
    The keys of some families of one tenant. See :class:`~antiphon.sessions.codec.Keys`.

    Args:
        heads: The first part of the associated data, by table.
    """

    __slots__ = ("_families", "_headers", "_heads", "_tenant")

    def __init__(self, tenant: TenantId, heads: Mapping[str, bytes], *families: FamilyKeys) -> None:
        self._tenant = tenant
        self._heads = heads
        self._families = {keys.family: keys for keys in families}
        self._headers = _common_headers(families)

    def encode(self, value: object, place: Place) -> bytes:
        family, aad = self._at(place)
        return family.sealing.seal(orjson.dumps(value), aad, next_nonce())

    def decode(self, payload: bytes, place: Place) -> Any:
        try:
            return orjson.loads(self.open(payload, place))
        except orjson.JSONDecodeError:
            # Not chained: the error carries the document.
            raise StoreCorrupt(f"The stored payload of '{place.row_id}' is not valid JSON.") from None

    def seal(self, plaintext: bytes, place: Place) -> bytes:
        """
        A payload of any bytes.

        Raises:
            KeysUnavailable: The operating system has no randomness to give.
        """
        family, aad = self._at(place)
        return family.sealing.seal(plaintext, aad, next_nonce())

    def open(self, payload: bytes, place: Place) -> bytes:
        """
        The bytes of a payload.

        Raises:
            StoreCorrupt: It cannot be opened at this place.
        """
        family, aad = self._at(place)
        cipher = family.ciphers.get(payload[:HEADER_BYTES])
        if cipher is None:
            raise StoreCorrupt(f"The stored payload of '{place.row_id}' {_foreign(payload)}.")
        try:
            return cipher.open(payload, aad)
        except InvalidEnvelope as fault:
            raise StoreCorrupt(f"The stored payload of '{place.row_id}' cannot be opened: {fault}.") from None

    def can_open(self, payloads: Collection[bytes]) -> bool:
        """Whether the keys are here that these payloads say they were sealed with."""
        headers = self._headers
        return all(payload[:HEADER_BYTES] in headers for payload in payloads)

    def _at(self, place: Place) -> tuple[FamilyKeys, bytes]:
        """The keys of a place, and the associated data of what stands there."""
        family = self._families.get(place.family)
        if family is None or place.tenant != self._tenant:
            raise StoreCorrupt(f"The payload of '{place.row_id}' is of a family whose keys were not asked for.")
        row_id = place.row_id.encode()
        return family, self._heads[place.table] + len(row_id).to_bytes(4, "big") + row_id + family.tail


def _common_headers(families: Sequence[FamilyKeys]) -> Collection[bytes]:
    """What payloads begin with that can be opened whichever of these families they are of."""
    if len(families) == 1:
        return families[0].ciphers.keys()
    return (
        frozenset[bytes]()
        .union(*(keys.ciphers for keys in families))
        .intersection(*(keys.ciphers for keys in families))
    )


def _foreign(payload: bytes) -> str:
    if payload[:1] == PLAIN_VERSION:
        return "is not sealed, and nothing that is not sealed is trusted here"
    return "was sealed with a key that is not there any more, or is no payload at all"
