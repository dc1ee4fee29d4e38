"""The audit trail in a transaction: entries are put at its end, each linked to the one before it."""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from antiphon.hub.ids import TenantId
from antiphon.sessions.directory import AuditEntry, Link
from antiphon.stores.sqlite import directory_queries as queries
from antiphon.stores.sqlite.rows import rows_of

__all__ = ["append_entries", "end_of_trail"]


def append_entries(connection: apsw.Connection, tenant: TenantId, entries: Sequence[AuditEntry], link: Link) -> None:
    """See :meth:`antiphon.sessions.directory.AuditTrailStore.append_audit`."""
    index, before = end_of_trail(connection, tenant)
    for entry in entries:
        index += 1
        before = link(before, index, entry)
        connection.execute(
            queries.ADD_AUDIT_ENTRY,
            (
                tenant,
                index,
                entry.at_ms,
                entry.actor,
                entry.action,
                entry.object_id,
                entry.outcome,
                entry.request_id,
                before,
            ),
        )


def end_of_trail(connection: apsw.Connection, tenant: TenantId) -> tuple[int, bytes]:
    """Index and link of the newest entry; 0 and nothing before the first."""
    rows = rows_of(connection, queries.READ_END_OF_TRAIL, tenant)
    return (rows[0][0], rows[0][1]) if rows else (0, b"")
