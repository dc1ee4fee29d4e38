"""
The work of all tenants: claims that are kept or taken over, deliveries that are due.

Each function is a job of the writer: one transaction.
"""

from __future__ import annotations

import apsw
import msgspec

from antiphon.hub.ids import TenantId
from antiphon.sessions.records import Claim
from antiphon.sessions.work import Delivery, Pending
from antiphon.stores.sqlite import work_queries as queries
from antiphon.stores.sqlite.rows import rows_of
from antiphon.stores.sqlite.work_rows import delivery_of, pending_of
from antiphon.stores.work import claim_until_ms, put_off_until

__all__ = ["renew_claims", "take_deliveries", "take_over"]


def renew_claims(connection: apsw.Connection, *, holder: str, ttl_s: float, now_s: float) -> list[tuple[TenantId, str]]:
    """See :meth:`antiphon.sessions.work.WorkStore.renew_claims`."""
    until_ms = claim_until_ms(now_s, ttl_s)
    kept = rows_of(connection, queries.RENEW_PENDING, holder, until_ms)
    connection.execute(queries.RENEW_KEYS, (holder, until_ms))
    return sorted((TenantId(tenant), response_id) for tenant, response_id, cancel_requested in kept if cancel_requested)


def take_over(
    connection: apsw.Connection, *, holder: str, ttl_s: float, limit: int, now_s: float
) -> list[tuple[TenantId, Pending, Claim]]:
    """See :meth:`antiphon.sessions.work.WorkStore.take_over`."""
    taken: list[tuple[TenantId, Pending, Claim]] = []
    for row in rows_of(connection, queries.FIND_ABANDONED, int(now_s * 1000), limit):
        pending, tenant, epoch = pending_of(row), TenantId(row[11]), row[12] + 1
        if pending.status == "in_progress":
            pending = msgspec.structs.replace(pending, attempts=pending.attempts + 1)
        connection.execute(queries.TAKE_PENDING, (tenant, pending.response_id, holder, claim_until_ms(now_s, ttl_s)))
        taken.append((tenant, pending, Claim(response_id=pending.response_id, holder=holder, epoch=epoch)))
    return taken


def take_deliveries(
    connection: apsw.Connection, *, limit: int, ttl_s: float, now_s: float
) -> list[tuple[TenantId, Delivery]]:
    """See :meth:`antiphon.sessions.work.WorkStore.take_deliveries`."""
    next_at = put_off_until(now_s, ttl_s)
    taken: list[tuple[TenantId, Delivery]] = []
    for row in rows_of(connection, queries.FIND_DUE, limit, int(now_s)):
        connection.execute(queries.PUT_OFF_DELIVERY, (row[8], row[0], next_at))
        taken.append((TenantId(row[8]), delivery_of((*row[:5], next_at, *row[6:]))))
    return taken
