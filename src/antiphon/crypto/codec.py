"""
The codec that seals: every payload is authenticated ciphertext, bound to its place, under a key of its family.

    root key (key service) ─► tenant key (wrapped, in the store) ─► family key (of the family's salt) ─► payloads

:mod:`antiphon.crypto.envelope` says how each step is made. Keys are held in the process for a while
(:class:`~antiphon.crypto.lifetimes.Lifetimes`), so that a turn waits for nothing, and that a key service may be out of
reach for minutes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Final

from antiphon.crypto.envelope import HEADER_BYTES
from antiphon.crypto.family_keys import FamilyCache, UnknownTenantKey
from antiphon.crypto.key_rings import KeyRing, KeyRings
from antiphon.crypto.lifetimes import Lifetimes
from antiphon.crypto.sealed_keys import SealedKeys
from antiphon.crypto.services import KeyService
from antiphon.hub.errors import KeysUnavailable
from antiphon.hub.ids import Family, TenantId
from antiphon.sessions.codec import TENANT_FAMILY, Keys, PlainCodec
from antiphon.sessions.store import SessionStore
from antiphon.telemetry import Log

__all__ = ["SealingCodec", "UnsealedCodec"]

_UNSEALED: Final = (
    "What is in the store is not sealed. Seal it with `antiphon store seal`, or set sealing.key to 'none' to leave it "
    "as it is."
)
_UNFINISHED: Final = (
    "Some of what is in the store is sealed and some is not: sealing it was interrupted. Go on with "
    "`antiphon store seal`, which may be begun again at any time."
)


class SealingCodec:
    """
    See :class:`~antiphon.sessions.codec.Codec`.

    Args:
        store: Keeps the wrapped keys and the families' salts; open before this is.
        clock: Seconds since the epoch, UTC.
        monotonic: Seconds that never run backwards, by which keys grow old.
        takes_plain: Open a store that holds plain payloads, to seal them
            (:func:`~antiphon.crypto.resealing.seal_plain`). Nothing plain is ever decoded.

    Attributes:
        notice: After :meth:`open`: what the operator has to know about a root key that was made; else None.
        lifetimes: How long keys are held here.
    """

    def __init__(
        self,
        store: SessionStore,
        service: KeyService,
        clock: Callable[[], float],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        lifetimes: Lifetimes | None = None,
        takes_plain: bool = False,
        log: Log | None = None,
    ) -> None:
        self.notice: str | None = None
        self.lifetimes = lifetimes or Lifetimes()
        self.service = service
        self.clock = clock
        self._store = store
        self._monotonic = monotonic
        self._takes_plain = takes_plain
        self._rings = KeyRings(
            store, service, clock=clock, monotonic=monotonic, lifetimes=self.lifetimes, log=log or Log()
        )
        self._families = FamilyCache(store, self.lifetimes)

    async def open(self) -> None:
        """
        See that the root keys are there with which the store's keys were wrapped.

        A first root key is made, where the key service can, for a store without wrapped keys only.

        Raises:
            KeysUnavailable: They are not, or the service does not serve, or the store holds what is not sealed.
        """
        used = tuple(use.root_ref for use in await self._store.root_keys_in_use())
        if not self._takes_plain and await self._store.has_plain_payloads():
            raise KeysUnavailable(_UNFINISHED if used else _UNSEALED)
        self.notice = await self._open_service(used)
        missing = [ref for ref in used if not await self.service.has(ref)]
        if missing:
            raise KeysUnavailable(await self._told_missing(missing))
        await self.service.health()

    async def _open_service(self, used: Collection[str]) -> str | None:
        try:
            return await self.service.open(create=not used)
        except KeysUnavailable as fault:
            if not used:
                raise
            raise KeysUnavailable(f"{fault.message} The store needs the root keys {_listed(used)}.") from fault

    async def _told_missing(self, missing: Collection[str]) -> str:
        return (
            f"The store was sealed with the root keys {_listed(missing)}, which are not in {self.service.place}: "
            f"there are {_listed(await self.service.refs()) or 'none'}. Put the right key there, or say in sealing.key "
            "where it is."
        )

    async def keys(
        self, tenant: TenantId, families: Collection[Family], *, payloads: Collection[bytes] = ()
    ) -> SealedKeys:
        """See :meth:`Codec.keys`."""
        now = self._monotonic()
        ring = self._rings.at_hand(tenant, now) or await self._rings.get(tenant)
        try:
            keys = self._at_hand(ring, families, now) or await self._families.load(ring, families, now)
        except UnknownTenantKey:
            ring = await self._newest_ring(tenant)
            keys = await self._families.load(ring, families, now)
        if payloads and not keys.can_open(payloads):
            return await self._look_again(ring, families, payloads)
        return keys

    async def found(self, tenant: TenantId, family: Family, *, is_new: bool = False) -> bytes:
        """See :meth:`Codec.found`."""
        if family == TENANT_FAMILY:
            return b""
        now = self._monotonic()
        ring = self._rings.at_hand(tenant, now) or await self._rings.get(tenant)
        try:
            return await self._families.found(ring, family, now, is_new=is_new)
        except UnknownTenantKey:
            return await self._families.found(await self._newest_ring(tenant), family, now, is_new=is_new)

    async def ring(self, tenant: TenantId) -> KeyRing:
        """
        A tenant's own keys, for who changes them; made, if it has none.

        Raises:
            As :meth:`keys`.
        """
        return self._rings.at_hand(tenant, self._monotonic()) or await self._rings.get(tenant)

    def forget(self, tenant: TenantId) -> None:
        """See :meth:`Codec.forget`."""
        self._rings.forget(tenant)
        self._families.forget(tenant)

    def _at_hand(self, ring: KeyRing, families: Collection[Family], now: float) -> SealedKeys | None:
        if len(families) != 1:
            return None
        (family,) = families
        return ring.whole if family == TENANT_FAMILY else self._families.alone(ring, family, now)

    async def _look_again(self, ring: KeyRing, families: Collection[Family], payloads: Collection[bytes]) -> SealedKeys:
        """Read keys and seals that were added since they were read; what cannot be opened even so says so itself."""
        if not {payload[:HEADER_BYTES] for payload in payloads} <= ring.headers:
            ring = await self._newest_ring(ring.tenant)
        self._families.forget_some(ring.tenant, families)
        return await self._families.load(ring, families, self._monotonic())

    async def _newest_ring(self, tenant: TenantId) -> KeyRing:
        self._rings.forget(tenant)
        return await self._rings.get(tenant)


class UnsealedCodec:
    """
    Plain payloads (``sealing.key: none``). See :class:`~antiphon.sessions.codec.Codec`.

    Args:
        store: Refused if anything in it is sealed.
    """

    notice: str | None = None

    def __init__(self, store: SessionStore) -> None:
        self._store = store
        self._plain = PlainCodec()

    async def open(self) -> None:
        """
        See that nothing in the store is sealed.

        Raises:
            KeysUnavailable: Something is.
        """
        used = [use.root_ref for use in await self._store.root_keys_in_use()]
        if used:
            raise KeysUnavailable(
                f"sealing.key is 'none', and what is in the store was sealed with the root keys {_listed(used)}. "
                "Say in sealing.key where they are."
            )

    async def keys(self, tenant: TenantId, families: Collection[Family], *, payloads: Collection[bytes] = ()) -> Keys:
        """See :meth:`Codec.keys`."""
        return self._plain

    async def found(self, tenant: TenantId, family: Family, *, is_new: bool = False) -> bytes:
        """See :meth:`Codec.found`."""
        return b""

    def forget(self, tenant: TenantId) -> None:
        """See :meth:`Codec.forget`."""


def _listed(refs: Collection[str]) -> str:
    return ", ".join(f"'{ref}'" for ref in refs)
