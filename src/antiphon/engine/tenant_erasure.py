"""Erasing a tenant with everything that it has, in batches; and what that would be."""

from __future__ import annotations

import asyncio
from collections import Counter

import msgspec

from antiphon.hub.ids import TenantId
from antiphon.sessions.directory import Directory, Erasure
from antiphon.sessions.tenants import NOTICED_AFTER_S
from antiphon.sessions.vault import Scanned, TenantVault

__all__ = ["erase_tenant", "joined", "would_be_erased"]

_BATCH = 500

_BY_ID: tuple[Scanned, ...] = ("responses", "conversations", "prompts")
_FOLLOWING: tuple[Scanned, ...] = ("traces", "pending", "stream_events", "idempotency", "deliveries")


async def erase_tenant(directory: Directory, tenant: TenantId) -> Erasure:
    """
    Erase a tenant: unknown at once, its keys destroyed by the first batch, its record gone with the last.

    Between the first two, every process gets the time to notice. Else one could go on sealing with the keys that it
    remembers, for a new tenant that is given the name at once, and nobody could open what it stored.

    Returns:
        What went; of an erasure that goes on where another was cut off, what was left.

    Note:
        A turn that was under way before may still store its end, which nobody can open or reach. Suspend a busy tenant
        first, and erase it when its turns have ended; or erase it again.
    """
    record = await directory.read_tenant(tenant)
    if record is not None and record.state != "erasing":
        leaving = msgspec.structs.replace(record, state="erasing")
        if not await directory.update_tenant(leaving):  # never created, and has data all the same
            await directory.create_tenant(leaving)
    await asyncio.sleep(NOTICED_AFTER_S)
    total = Erasure()
    while True:
        erased, has_more = await directory.erase_tenant(tenant, limit=_BATCH)
        total = joined(total, erased)
        if not has_more:
            return total


async def would_be_erased(vault: TenantVault) -> Erasure:
    """What the erasure of a whole tenant would take along, by a look at all of its payloads. Nothing is changed."""
    found = {table: await _counted(vault, table) for table in (*_BY_ID, *_FOLLOWING, "items", "secrets", "families")}
    return Erasure(
        responses=found["responses"].ids,
        conversations=found["conversations"].ids,
        prompts=found["prompts"].ids,
        items=found["items"].rows,
        other={table: found[table].rows for table in _FOLLOWING if found[table].rows},
        keys_destroyed=found["families"].rows,
        payload_bytes=sum(of.size_bytes for table, of in found.items() if table != "families"),
    )


class _Count(msgspec.Struct):
    """How much there is of a table. A prompt has a row for each version, ``ID/VERSION``, and one id."""

    rows: int = 0
    size_bytes: int = 0
    ids: tuple[str, ...] = ()


async def _counted(vault: TenantVault, table: Scanned) -> _Count:
    counted = _Count()
    ids: dict[str, None] = {}
    cursor: bytes | None = None
    while True:
        page = await vault.scan(table, after=cursor, limit=_BATCH)
        counted.rows += len(page.payloads)
        counted.size_bytes += sum(len(payload.payload) for payload in page.payloads)
        if table in _BY_ID:
            ids |= dict.fromkeys(payload.row_id.partition("/")[0] for payload in page.payloads)
        cursor = page.cursor
        if cursor is None:
            return msgspec.structs.replace(counted, ids=tuple(ids))


def joined(one: Erasure, other: Erasure) -> Erasure:
    """Two receipts as one."""
    return Erasure(
        responses=one.responses + other.responses,
        conversations=one.conversations + other.conversations,
        prompts=one.prompts + other.prompts,
        items=one.items + other.items,
        other=dict(Counter(one.other) + Counter(other.other)),
        keys_destroyed=one.keys_destroyed + other.keys_destroyed,
        payload_bytes=one.payload_bytes + other.payload_bytes,
    )
