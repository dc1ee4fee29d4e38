"""
The random machine of :mod:`antiphon.testing.store_machine` with pending turns, idempotency keys and deliveries.

Claims are numbered alike by every store, so they are compared as they are.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from antiphon.sessions.records import Claim, NewConversation, NewDelivery
from antiphon.sessions.store import SessionStore, TenantStore
from antiphon.sessions.work import EventGroup, KeyClaim, NewPending, Settlement
from antiphon.testing.store_fixture import FAMILY
from antiphon.testing.store_machine import (
    END_USERS,
    FAMILIES,
    StoreMachine,
    entry_kinds,
    lifetimes,
    numbers,
    seal_of,
    statuses,
    tenants,
)

__all__ = ["WorkMachine"]

holders = st.sampled_from(["one", "two"])
times_s = st.sampled_from([1, 5, 60])


class WorkMachine(StoreMachine):
    """Override :meth:`make_store`, as with :class:`StoreMachine`."""

    @initialize()
    def begin_work(self) -> None:
        """Nobody works on anything yet."""
        self.claims: list[Claim] = []
        self.key_claims: list[KeyClaim] = []
        self.deliveries: list[str] = []
        self.next_event: dict[str, int] = {}

    def _all(self, work: Any) -> Any:
        """Do *work* in both stores, whatever the tenant, and compare what came of it."""
        model, store = (self.runner.run(self._asked(work, store)) for store in self.stores)
        assert model == store, f"the model answered {model}, the store {store}"
        return model

    async def _asked(self, work: Any, store: SessionStore) -> Any:
        asked: Coroutine[Any, Any, Any] = work(store)
        return list(await asked)

    # Turns.

    @rule(tenant=tenants, number=numbers, holder=holders, ttl_s=times_s, has_key=st.booleans(), again=st.booleans())
    def open_turn(self, *, tenant: str, number: int, holder: str, ttl_s: int, has_key: bool, again: bool) -> None:
        """Begin a turn, with or without a key, sometimes under an id that was used before."""
        old = self._some(self.responses, number) if again and number % 3 == 0 else None
        turn = NewPending(
            response_id=old or self._fresh(self.responses, "resp"),
            family=FAMILIES[number % 7 == 0],
            seal=seal_of(number),
            end_user=(*END_USERS, None)[number % 3],
            background=number % 2 == 0,
            created_at=int(self.clock()) - number % 5,
            payload=b"request",
            key=self._some(self.key_claims, number) if has_key else None,
            conversation_id=self._some(self.conversations, number) if number % 4 else None,
            model=f"model {number % 2}",
            alias="alias",
            terms=(b"red", b"green", b"blue")[number % 4 :],
        )
        done = self.both(tenant, lambda store, _: store.open_turn(turn, holder=holder, ttl_s=ttl_s))
        if not isinstance(done[0], type):
            self.claims.append(done[0])

    @precondition(lambda self: self.claims)
    @rule(tenant=tenants, number=numbers, count=st.sampled_from([0, 1, 1, 2, 3]), is_next=st.booleans())
    def append_events(self, *, tenant: str, number: int, count: int, is_next: bool) -> None:
        """Keep events under a claim that is in force, or was, at the end of its stream or somewhere else."""
        claim = self._some(self.claims, number)
        first = self.next_event.get(claim.response_id, 0) if is_next or number % 3 else number
        group = EventGroup(first=first, count=count, payload=b"events")
        done = self.both(tenant, lambda store, _: store.append_events(claim, group))
        if not isinstance(done[0], type):
            self.next_event[claim.response_id] = first + count

    @precondition(lambda self: self.responses)
    @rule(tenant=tenants, number=numbers)
    def request_cancel(self, tenant: str, number: int) -> None:
        """Ask for a turn's end, pending or not."""
        self.both(tenant, lambda store, _: store.request_cancel(self._some(self.responses, number)))

    @precondition(lambda self: self.claims)
    @rule(tenant=tenants, number=numbers)
    def drop_turn(self, tenant: str, number: int) -> None:
        """Give a turn up."""
        self.both(tenant, lambda store, _: store.drop_turn(self._some(self.claims, number)))

    @precondition(lambda self: self.claims)
    @rule(
        tenant=tenants,
        kinds=entry_kinds,
        number=numbers,
        status=statuses,
        lifetime_s=lifetimes,
        told=st.integers(0, 2),
    )
    def commit_pending(
        self, *, tenant: str, kinds: list[str], number: int, status: str, lifetime_s: int | None, told: int
    ) -> None:
        """Store a turn in place of its pending row, and tell of it."""
        claim = self._some(self.claims, number)
        turn = msgspec.structs.replace(
            self._turn(kinds, number, status, lifetime_s),
            response_id=claim.response_id,
            claim=claim,
            trace=b"trace",
            ephemeral=number % 2 == 0,
            deliveries=tuple(self._delivery(claim.response_id, number) for _ in range(told)),
        )
        self._commit(tenant, (turn, turn))

    def _delivery(self, response_id: str, number: int) -> NewDelivery:
        return NewDelivery(
            id=self._fresh(self.deliveries, "wh"),
            response_id=response_id,
            created_at=int(self.clock()) - number % 5,
            payload=b"webhook",
        )

    # Keys.

    @rule(tenant=tenants, number=numbers, holder=holders, ttl_s=times_s, lifetime_s=times_s)
    def take_key(self, *, tenant: str, number: int, holder: str, ttl_s: int, lifetime_s: int) -> None:
        """Ask for one of a few keys."""
        key, fingerprint = b"key %d" % (number % 3), b"request %d" % (number % 2)
        expires_at = int(self.clock()) + lifetime_s
        done = self.both(
            tenant,
            lambda store, _: store.take_key(key, fingerprint, holder=holder, ttl_s=ttl_s, expires_at=expires_at),
        )
        if isinstance(done[0], KeyClaim):
            self.key_claims.append(done[0])

    @precondition(lambda self: self.key_claims)
    @rule(tenant=tenants, number=numbers, releases=st.booleans())
    def end_key(self, *, tenant: str, number: int, releases: bool) -> None:
        """Settle or release a key under a claim that is in force, or was."""
        claim = self._some(self.key_claims, number)
        if releases:
            self.both(tenant, lambda store, _: store.release_key(claim))
        else:
            about = self._some([*self.responses, *self.conversations], number // 2)
            settlement = Settlement(claim=claim, answer=None if number % 2 else b"answer", about=about)
            self.both(tenant, lambda store, _: store.settle_key(settlement))

    @precondition(lambda self: self.key_claims)
    @rule(tenant=tenants, kinds=entry_kinds, number=numbers, appends=st.booleans())
    def create_under_a_key(self, *, tenant: str, kinds: list[str], number: int, appends: bool) -> None:
        """Create a conversation, or add items to one, and settle a key with it."""
        entries = self._entries(kinds, number)
        its_id = self._some(self.conversations, number) if appends else None
        settlement = Settlement(claim=self._some(self.key_claims, number), answer=b"answer", about=its_id)
        if its_id is not None:
            self.both(tenant, lambda store, _: store.append_items(its_id, entries, settlement=settlement))
            return
        new = NewConversation(
            id=self._fresh(self.conversations, "conv"),
            family=FAMILY,
            created_at=int(self.clock()),
            payload=b"conversation",
            entries=entries,
        )
        self.both(tenant, lambda store, _: store.create_conversation(new, settlement=settlement))

    # All tenants.

    @rule(holder=holders, ttl_s=times_s)
    def renew_claims(self, holder: str, ttl_s: int) -> None:
        """A holder keeps what it has."""
        self._all(lambda store: store.renew_claims(holder, ttl_s))

    @rule(holder=holders, ttl_s=times_s, limit=st.integers(1, 3))
    def take_over(self, holder: str, ttl_s: int, limit: int) -> None:
        """A holder takes what nobody keeps."""
        self.claims += [claim for _, _, claim in self._all(lambda store: store.take_over(holder, ttl_s, limit))]

    @rule(limit=st.integers(1, 3), ttl_s=times_s)
    def take_deliveries(self, limit: int, ttl_s: int) -> None:
        """Somebody delivers."""
        self._all(lambda store: store.take_deliveries(limit, ttl_s=ttl_s))

    @precondition(lambda self: self.deliveries)
    @rule(tenant=tenants, number=numbers, wait_s=st.sampled_from([None, 1, 5]))
    def record_delivery(self, tenant: str, number: int, wait_s: int | None) -> None:
        """Note how a try went."""
        now = int(self.clock())
        self.both(
            tenant,
            lambda store, _: store.record_delivery(
                self._some(self.deliveries, number),
                outcome="204" if wait_s is None else "500",
                next_at=None if wait_s is None else now + wait_s,
                delivered_at=now if wait_s is None else None,
            ),
        )

    # Looking.

    async def _everything(self, store: TenantStore) -> list[object]:
        seen = await super()._everything(store)
        for its_id in self.responses:
            seen += [await store.read_pending(its_id), await store.read_events(its_id, first=1)]
            seen.append(await store.read_trace(its_id))
        seen.append(await store.list_deliveries(limit=4, after=None))
        seen += [await store.list_deliveries(limit=2, after=each) for each in self.deliveries[-3:]]
        return seen
