"""One tenant's audit trail in memory."""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.sessions.directory import AuditEntry, AuditPage, AuditRecord, Link
from antiphon.stores.memory_access import TenantAccess

__all__ = ["TenantTrail"]


class TenantTrail(TenantAccess):
    """See :class:`~antiphon.sessions.directory.AuditTrailStore`."""

    async def append_audit(self, entries: Sequence[AuditEntry], link: Link) -> None:
        self._write_down(entries, link)

    def _write_down(self, entries: Sequence[AuditEntry], link: Link) -> None:
        trail, added = self._state.audit, list[AuditRecord]()
        before = trail[-1].link if trail else b""
        for index, entry in enumerate(entries, start=len(trail) + 1):
            before = link(before, index, entry)
            added.append(AuditRecord(index=index, entry=entry, link=before))
        trail.extend(added)

    async def read_audit(
        self, *, after: int = 0, limit: int = 100, object_id: str | None = None, actor: str | None = None
    ) -> AuditPage:
        fitting = [
            record
            for record in self._state.audit[after:]
            if object_id in (None, record.entry.object_id) and actor in (None, record.entry.actor)
        ]
        return AuditPage(records=tuple(fitting[:limit]), has_more=len(fitting) > limit)
