"""Seeing that everything that is stored can be opened where it stands."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import msgspec

from antiphon.crypto.codec import SealingCodec
from antiphon.crypto.key_rings import unwrap_key
from antiphon.crypto.resealing import BATCH, TABLES, place_of
from antiphon.hub.errors import StoreCorrupt
from antiphon.hub.ids import Family, TenantId
from antiphon.sessions.store import SessionStore
from antiphon.sessions.vault import Payload, Scanned

__all__ = ["verify"]


class _Read(msgspec.Struct, frozen=True):
    """A payload, and after which place in its table the page begins that it was read with."""

    payload: Payload
    after: bytes | None


async def verify(store: SessionStore, codec: SealingCodec, sample: int | None = None) -> list[str]:
    """
    Open what is stored: every tenant's keys, every family's, and payloads of every table. Others may read and write.

    Args:
        codec: Open.
        sample: At most so many families, and payloads of each table, of each tenant, chosen by chance; None for all.

    Returns:
        One line for each problem, without content; empty if everything could be opened.

    Raises:
        KeysUnavailable: The key service does not answer.
    """
    problems = []
    for tenant in await store.list_tenants_with_data():
        codec.forget(tenant)
        problems += await _Verification(store, codec, tenant, sample).run()
    return problems


class _Verification:
    def __init__(self, store: SessionStore, codec: SealingCodec, tenant: TenantId, sample: int | None) -> None:
        self._store = store.for_tenant(tenant)
        self._codec = codec
        self._tenant = tenant
        self._sample = sample

    async def run(self) -> list[str]:
        problems = await self._keys()
        if problems:
            return problems  # nothing can be opened without, so there is no more to be learnt
        tables: tuple[Scanned, ...] = ("families", *TABLES)
        for table in tables:
            async for read in self._chosen(table):
                fault = await self._fault_of(read.payload)
                if fault is not None and await self._is_still_there(read):
                    problems.append(f"{self._tenant}: {table} '{read.payload.row_id}': {fault}")
        return problems

    async def _keys(self) -> list[str]:
        problems = []
        for record in await self._store.read_keys():
            try:
                await unwrap_key(self._codec.service, self._tenant, record)
            except StoreCorrupt as fault:
                problems.append(f"{self._tenant}: {fault.message}")
        return problems

    async def _fault_of(self, payload: Payload) -> str | None:
        try:
            if payload.table == "families":
                await self._codec.keys(self._tenant, (Family(payload.row_id),))
            elif payload.payload:
                keys = await self._codec.keys(self._tenant, (payload.family,), payloads=(payload.payload,))
                keys.decode(payload.payload, place_of(self._tenant, payload))
        except StoreCorrupt as fault:
            return fault.message
        return None

    async def _is_still_there(self, read: _Read) -> bool:
        """Whether it was not erased or sealed anew while it was looked at."""
        page = await self._store.scan(read.payload.table, after=read.after, limit=BATCH)
        return read.payload in page.payloads

    async def _chosen(self, table: Scanned) -> AsyncIterator[_Read]:
        if self._sample is None:
            async for read in self._all(table):
                yield read
            return
        # Reservoir sampling: each of n payloads is among the k that are kept with the same chance of k in n.
        kept: list[_Read] = []
        count = 0
        async for read in self._all(table):
            count += 1
            if len(kept) < self._sample:
                kept.append(read)
            elif (place := random.randrange(count)) < self._sample:  # noqa: S311 - chooses what is looked at
                kept[place] = read
        for read in kept:
            yield read

    async def _all(self, table: Scanned) -> AsyncIterator[_Read]:
        cursor: bytes | None = None
        while True:
            page = await self._store.scan(table, after=cursor, limit=BATCH)
            for payload in page.payloads:
                yield _Read(payload, cursor)
            cursor = page.cursor
            if cursor is None:
                return
