"""
Going through every payload of a tenant, and sealing anew what is not sealed as it should be.

A pass begins at the start of every table and misses what is written behind it, so passes are repeated until one finds
nothing. All that is known is in the store: whoever is killed in the middle begins a new pass, and two at once only take
work from each other.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, get_args

from antiphon.crypto.codec import SealingCodec
from antiphon.crypto.envelope import HEADER_BYTES, found_seal
from antiphon.crypto.key_rings import KeyRing
from antiphon.crypto.nonces import random_key
from antiphon.hub.errors import StoreConflict, StoreCorrupt
from antiphon.hub.ids import TenantId
from antiphon.sessions.codec import PLAIN_VERSION, Place, Table
from antiphon.sessions.store import SessionStore, TenantStore
from antiphon.sessions.vault import Payload, Replacement, Scanned

__all__ = ["BATCH", "TABLES", "Resealer", "place_of", "scanned", "seal_plain"]

TABLES: Final[tuple[Table, ...]] = get_args(Table)

# Payloads that are replaced in one transaction: a few milliseconds, for which writers wait.
BATCH: Final = 64

# So many passes over a table that is not written to under an old key would each find less; more mean that it still is.
_MOST_PASSES = 100

Progress = Callable[[str], None]

# A table and a row of it.
Where = tuple[str, str]


class Resealer:
    """
    Seals a tenant's payloads anew.

    Args:
        is_stale: Of a payload's first bytes: it has to be sealed anew.
        prepare: Done before each pass, so that every family has the key that it is to be sealed with.
    """

    def __init__(
        self,
        store: SessionStore,
        codec: SealingCodec,
        tenant: TenantId,
        *,
        is_stale: Callable[[bytes], bool],
        prepare: Callable[[], Awaitable[None]],
    ) -> None:
        self._store = store.for_tenant(tenant)
        self._codec = codec
        self._tenant = tenant
        self._is_stale = is_stale
        self._prepare = prepare
        self.count = 0

    async def run(self) -> None:
        """
        Repeat passes until one finds nothing stale.

        Raises:
            StoreCorrupt: A payload cannot be opened. Everything else was sealed anew, and nothing was lost.
            StoreConflict: Somebody goes on writing what is stale.
        """
        faults: dict[Where, StoreCorrupt] = {}
        for _ in range(_MOST_PASSES):
            await self._prepare()
            stale, faults_before, faults = set[Where](), faults, {}
            for table in TABLES:
                async for page in scanned(self._store, table):
                    stale |= await self._reseal(page, faults)
            if not stale:
                return
            if stale == faults.keys() == faults_before.keys():
                raise next(iter(faults.values()))
        raise StoreConflict(
            f"Payloads of tenant '{self._tenant}' go on being written that are not sealed as they should be."
        )

    async def _reseal(self, page: Sequence[Payload], faults: dict[Where, StoreCorrupt]) -> set[Where]:
        """Seal anew what is stale on a page. Returns what was."""
        stale = [one for one in page if one.payload and self._is_stale(one.payload[:HEADER_BYTES])]
        replacements = []
        for one in stale:
            try:
                replacements.append(Replacement(old=one, payload=await self._sealed_anew(one)))
            except StoreCorrupt as fault:
                # It may have been erased since it was read. If it stands there in the next pass too, it is corrupt.
                faults[one.table, one.row_id] = fault
        if replacements:
            self.count += await self._store.replace(replacements)
        return {(one.table, one.row_id) for one in stale}

    async def _sealed_anew(self, old: Payload) -> bytes:
        place = place_of(self._tenant, old)
        if old.payload[:1] == PLAIN_VERSION:
            keys = await self._codec.keys(self._tenant, (old.family,))
            return keys.seal(old.payload[1:], place)
        keys = await self._codec.keys(self._tenant, (old.family,), payloads=(old.payload,))
        return keys.seal(keys.open(old.payload, place), place)


async def scanned(store: TenantStore, table: Scanned) -> AsyncIterator[Sequence[Payload]]:
    """
    All payloads of a table, a page at a time.

    After each page whoever waits for the store has as long as the page took, so that at most half of it is used up.
    """
    cursor: bytes | None = None
    while True:
        started_at = time.monotonic()
        page = await store.scan(table, after=cursor, limit=BATCH)
        yield page.payloads
        cursor = page.cursor
        if cursor is None:
            return
        await asyncio.sleep(time.monotonic() - started_at)


def place_of(tenant: TenantId, payload: Payload) -> Place:
    """
    Where a payload stands.

    Raises:
        ValueError: It is what is kept with a family, which stands nowhere.
    """
    if payload.table == "families":
        raise ValueError("What is kept with a family is no payload.")
    return Place(tenant, payload.family, payload.table, payload.row_id)


async def seal_plain(store: SessionStore, codec: SealingCodec, progress: Progress | None = None) -> int:
    """
    Seal everything that a store holds in plain, and leave nothing plain on the disk. May be begun again at any time.

    Args:
        codec: Open, and made with ``takes_plain``.
        progress: Told what is done, a line at a time.

    Returns:
        How many payloads were sealed.

    Raises:
        StoreCorrupt: A payload is of a family that the store does not have. Everything else was sealed.
        StoreUnavailable: Another process has the store open, so the disk cannot be cleaned. Begin again without it.
    """
    count = 0
    for tenant in await store.list_tenants_with_data():
        sealed = await _seal_tenant(store, codec, tenant)
        count += sealed
        _say(progress, f"{tenant}: {sealed} payloads sealed")
    if await store.has_plain_payloads():
        raise StoreConflict("Something plain was written meanwhile. Stop every gateway on this store, and begin again.")
    _say(progress, "cleaning what is left on the disk")
    await store.compact(progress=progress)
    return count


async def _seal_tenant(store: SessionStore, codec: SealingCodec, tenant: TenantId) -> int:
    async def found_families() -> None:
        await _found_plain_families(store.for_tenant(tenant), await codec.ring(tenant))
        codec.forget(tenant)

    resealer = Resealer(
        store, codec, tenant, is_stale=lambda header: header[:1] == PLAIN_VERSION, prepare=found_families
    )
    await resealer.run()
    return resealer.count


async def _found_plain_families(vault: TenantStore, ring: KeyRing) -> None:
    """Give families a key that have none. A family's key is in the store before anything is sealed with it."""
    async for page in scanned(vault, "families"):
        founded = [
            Replacement(old=family, payload=found_seal(random_key(), ring.active, ring.keys[ring.active]).encode())
            for family in page
            if not family.payload
        ]
        if founded:
            await vault.replace(founded)


def _say(progress: Progress | None, line: str) -> None:
    if progress is not None:
        progress(line)
