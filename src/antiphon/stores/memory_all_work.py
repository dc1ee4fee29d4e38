"""
The work of all tenants in memory: claims that are kept or taken over, deliveries that are due, keys whose time is over.
"""

from __future__ import annotations

from collections.abc import Mapping

from antiphon.hub.ids import TenantId
from antiphon.sessions.records import Claim
from antiphon.sessions.work import Delivery, Pending
from antiphon.stores.memory_state import State
from antiphon.stores.memory_work import DeliveryRow, PendingRow
from antiphon.stores.work import claim_until_ms, put_off_until

__all__ = ["States", "expired_of", "renew_claims", "take_deliveries", "take_over"]

States = Mapping[TenantId, State]


def renew_claims(states: States, holder: str, *, ttl_s: float, now_s: float) -> list[tuple[TenantId, str]]:
    """See :meth:`antiphon.sessions.work.WorkStore.renew_claims`."""
    until_ms = claim_until_ms(now_s, ttl_s)
    for state in states.values():
        for key in state.work.keys.values():
            if key.holder == holder:
                key.claim_until_ms = until_ms
    kept = [(tenant, row) for tenant, row in _pending(states) if row.holder == holder]
    for _, row in kept:
        row.claim_until_ms = until_ms
    return sorted((tenant, row.new.response_id) for tenant, row in kept if row.cancel_requested)


def take_over(
    states: States, holder: str, *, ttl_s: float, limit: int, now_s: float
) -> list[tuple[TenantId, Pending, Claim]]:
    """See :meth:`antiphon.sessions.work.WorkStore.take_over`."""
    abandoned = [(tenant, row) for tenant, row in _pending(states) if row.claim_until_ms <= int(now_s * 1000)]
    abandoned.sort(key=lambda each: (each[1].new.created_at, each[0], each[1].new.response_id))
    for _, row in abandoned[:limit]:
        row.holder, row.epoch, row.claim_until_ms = holder, row.epoch + 1, claim_until_ms(now_s, ttl_s)
        row.attempts += bool(row.groups)
    return [
        (tenant, row.shown, Claim(response_id=row.new.response_id, holder=holder, epoch=row.epoch))
        for tenant, row in abandoned[:limit]
    ]


def take_deliveries(states: States, limit: int, *, ttl_s: float, now_s: float) -> list[tuple[TenantId, Delivery]]:
    """See :meth:`antiphon.sessions.work.WorkStore.take_deliveries`."""
    due = sorted(
        (row.next_at, row.new.created_at, tenant, row.new.id)
        for tenant, state in states.items()
        for row in state.work.deliveries.values()
        if row.next_at is not None and row.next_at <= now_s and _is_told_of(state, row, now_s)
    )
    taken = [(tenant, states[tenant].work.deliveries[row_id]) for _, _, tenant, row_id in due[:limit]]
    for _, row in taken:
        row.next_at = put_off_until(now_s, ttl_s)
    return [(tenant, row.shown) for tenant, row in taken]


def expired_of(states: States, *, limit: int, now_s: float) -> dict[TenantId, list[str | bytes]]:
    """At most *limit* responses (by id), then idempotency keys, whose time is over: those first that ended first."""
    responses: list[tuple[int, TenantId, str | bytes]] = sorted(
        (row.turn.expires_at, tenant, response_id)
        for tenant, state in states.items()
        for response_id, row in state.responses.items()
        if row.turn.expires_at is not None and row.turn.expires_at <= now_s
    )
    keys: list[tuple[int, TenantId, str | bytes]] = sorted(
        (row.expires_at, tenant, key)
        for tenant, state in states.items()
        for key, row in state.work.keys.items()
        if row.expires_at <= now_s
    )
    expired: dict[TenantId, list[str | bytes]] = {}
    for _, tenant, each in [*responses, *keys][:limit]:
        expired.setdefault(tenant, []).append(each)
    return expired


def _pending(states: States) -> list[tuple[TenantId, PendingRow]]:
    return [(tenant, row) for tenant, state in states.items() for row in state.work.pending.values()]


def _is_told_of(state: State, row: DeliveryRow, now_s: float) -> bool:
    expires_at = state.responses[row.new.response_id].turn.expires_at
    return expires_at is None or expires_at > now_s
