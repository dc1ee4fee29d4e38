"""One tenant's work in a SQLite store: its pending turns, idempotency keys and webhook deliveries."""

from __future__ import annotations

from antiphon.sessions.records import Claim
from antiphon.sessions.work import (
    Delivery,
    EventGroup,
    KeyClaim,
    KeyRecord,
    NewPending,
    Pending,
    Settlement,
)
from antiphon.stores.sqlite import work_queries as queries
from antiphon.stores.sqlite.access import TenantAccess
from antiphon.stores.sqlite.work_rows import delivery_of, group_of, pending_of

__all__ = ["TenantWork"]


class TenantWork(TenantAccess):
    """See the protocols of :mod:`antiphon.sessions.work`."""

    async def read_trace(self, response_id: str) -> bytes | None:
        row = self._read_one(queries.READ_TRACE, response_id, int(self._clock()))
        return None if row is None else row[0]

    # Pending turns.

    async def open_turn(self, turn: NewPending, *, holder: str, ttl_s: float) -> Claim:
        return await self._write(lambda writing: writing.work.open_turn(turn, holder, ttl_s))

    async def read_pending(self, response_id: str) -> Pending | None:
        row = self._read_one(queries.READ_PENDING, response_id)
        return None if row is None else pending_of(row)

    async def append_events(self, claim: Claim, group: EventGroup) -> bool:
        return await self._write(lambda writing: writing.work.append_events(claim, group))

    async def read_events(self, response_id: str, *, first: int) -> tuple[EventGroup, ...]:
        return tuple(map(group_of, self._read_all(queries.READ_EVENTS, response_id, first)))

    async def request_cancel(self, response_id: str) -> bool:
        return await self._write(lambda writing: writing.work.request_cancel(response_id))

    async def drop_turn(self, claim: Claim) -> bool:
        return await self._write(lambda writing: writing.work.drop_turn(claim))

    # Idempotency keys.

    async def take_key(
        self, key: bytes, fingerprint: bytes, *, holder: str, ttl_s: float, expires_at: int
    ) -> KeyClaim | KeyRecord:
        return await self._write(
            lambda writing: writing.work.take_key(key, fingerprint, holder=holder, ttl_s=ttl_s, expires_at=expires_at)
        )

    async def settle_key(self, settlement: Settlement) -> None:
        await self._write(lambda writing: writing.work.settle_key(settlement))

    async def release_key(self, claim: KeyClaim) -> None:
        await self._write(lambda writing: writing.work.release_key(claim))

    # Deliveries.

    async def record_delivery(
        self, delivery_id: str, *, outcome: str, next_at: int | None, delivered_at: int | None
    ) -> None:
        await self._write(
            lambda writing: writing.work.record_delivery(
                delivery_id, outcome=outcome, next_at=next_at, delivered_at=delivered_at
            )
        )

    async def list_deliveries(self, *, limit: int, after: str | None) -> tuple[Delivery, ...]:
        now_s = int(self._clock())
        if after is None:
            rows = self._read_all(queries.LIST_DELIVERIES, now_s, limit)
        else:
            rows = self._read_all(queries.LIST_DELIVERIES_AFTER, now_s, limit, after)
        return tuple(map(delivery_of, rows))
