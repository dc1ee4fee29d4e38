"""One tenant's audit trail: entries are added at its end, and that is all that ever happens to it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import apsw
import msgspec

from antiphon.hub.ids import TenantId
from antiphon.sessions.directory import AuditEntry, AuditPage, AuditRecord, Link
from antiphon.stores.sqlite import directory_queries as queries
from antiphon.stores.sqlite.access import TenantAccess
from antiphon.stores.sqlite.rows import Row, rows_of
from antiphon.stores.sqlite.trail import append_entries, end_of_trail

__all__ = ["TenantAudit"]

# Entries between two looks at the event loop: under a millisecond of work.
_WINDOW = 512


class TenantAudit(TenantAccess):
    """See :class:`~antiphon.sessions.directory.AuditTrailStore`."""

    async def append_audit(self, entries: Sequence[AuditEntry], link: Link) -> None:
        await self._run(lambda connection: append_entries(connection, self._tenant, entries, link))

    async def read_audit(
        self, *, after: int = 0, limit: int = 100, object_id: str | None = None, actor: str | None = None
    ) -> AuditPage:
        reading = _Reading(tenant=self._tenant, count=limit + 1, object_id=object_id, actor=actor)
        with self._connections().readers.snapshot() as connection:
            rows = await reading.read(connection, after)
        return AuditPage(records=tuple(map(_record_of, rows[:limit])), has_more=len(rows) > limit)


class _Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for in a trail; *count* entries of it."""

    tenant: TenantId
    count: int
    object_id: str | None
    actor: str | None

    async def read(self, connection: apsw.Connection, after: int) -> list[Row]:
        """The first entries after an index that fit. However rare they are, others are let in meanwhile."""
        found: list[Row] = []
        end, _ = end_of_trail(connection, self.tenant)
        while after < end and len(found) < self.count:
            start, after = after, after + _WINDOW
            found += rows_of(connection, queries.READ_AUDIT, self.tenant, start, after, self.actor, self.object_id)
            await asyncio.sleep(0)
        return found[: self.count]


def _record_of(row: Row) -> AuditRecord:
    index, at_ms, actor, action, object_id, outcome, request_id, link = row
    entry = AuditEntry(
        at_ms=at_ms, actor=actor, action=action, object_id=object_id, outcome=outcome, request_id=request_id
    )
    return AuditRecord(index=index, entry=entry, link=link)
