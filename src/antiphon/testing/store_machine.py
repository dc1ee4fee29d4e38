"""
A store under test and the reference model, doing the same random things and compared after every one.

Derive a machine for a store, and run it with Hypothesis::

    class MyMachine(StoreMachine):
        def make_store(self, clock): return MyStore(..., clock=clock)

    TestMyStore = MyMachine.TestCase

Ids of logs are a store's own affair; they are compared by the order in which they appear.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from antiphon.hub.errors import AntiphonError
from antiphon.hub.ids import Family, ItemId, TenantId
from antiphon.sessions.records import (
    Entry,
    Head,
    Lease,
    NewConversation,
    NewItem,
    NewTurn,
    Page,
    Reference,
    StoredSession,
)
from antiphon.sessions.store import SessionStore, TenantStore
from antiphon.stores.memory import InMemorySessionStore
from antiphon.testing.store_fixture import FAMILY, FixedClock

__all__ = ["END_USERS", "FAMILIES", "StoreMachine", "seal_of"]

_TENANTS = ("acme", "globex")
FAMILIES = (FAMILY, Family("00000000000000bb"))
END_USERS = (b"ann", b"bob")

Work = Callable[[TenantStore, int], Coroutine[Any, Any, object]]

tenants = st.sampled_from(_TENANTS)
numbers = st.integers(min_value=0, max_value=60)
entry_kinds = st.lists(st.sampled_from(["new", "new", "new", "refer", "left_out", "clash"]), max_size=3)
statuses = st.sampled_from(["completed", "completed", "incomplete", "failed", "cancelled"])
lifetimes = st.sampled_from([None, None, None, 5, 20])


def seal_of(number: int) -> bytes:
    """What most of a family are founded with; some bring nothing, and a few what does not fit."""
    return {0: b"other", 1: b"", 2: b""}.get(number % 13, b"seal")


class StoreMachine(RuleBasedStateMachine):
    """Override :meth:`make_store`; :meth:`discard` gets the store, closed, when a run is over."""

    def make_store(self, clock: FixedClock) -> SessionStore:
        """A fresh store that uses *clock*, not yet open."""
        raise NotImplementedError

    def discard(self, store: SessionStore) -> None:
        """Remove what the store left behind."""

    @initialize()
    def begin(self) -> None:
        """Open both stores, empty."""
        self.runner = asyncio.Runner()
        self.clock = FixedClock()
        self.stores: tuple[SessionStore, SessionStore] = (
            InMemorySessionStore(clock=self.clock),
            self.make_store(self.clock),
        )
        for store in self.stores:
            self.runner.run(store.open())
        self.names: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.responses: list[str] = []
        self.conversations: list[str] = []
        self.items: list[str] = []
        self.heads: list[tuple[Head, Head]] = []
        self.leases: list[tuple[Lease, Lease]] = []

    def teardown(self) -> None:
        """Close both stores."""
        if not hasattr(self, "runner"):
            return
        for store in self.stores:
            self.runner.run(store.close())
        self.runner.close()
        self.discard(self.stores[1])

    # Doing the same to both.

    def both(self, tenant: str, work: Work) -> tuple[Any, Any]:
        """Do *work* in both stores and compare what came of it."""
        answers = tuple(self._outcome(index, tenant, work) for index in (0, 1))
        model, store = (self._named(index, answer) for index, answer in enumerate(answers))
        assert model == store, f"the model answered {model}, the store {store}"
        return answers[0], answers[1]

    def _outcome(self, index: int, tenant: str, work: Work) -> Any:
        try:
            return self.runner.run(work(self.stores[index].for_tenant(TenantId(tenant)), index))
        except AntiphonError as error:
            return type(error)

    def _named(self, index: int, value: Any) -> Any:
        """*value* as plain data, with log ids numbered in the order in which this store showed them."""
        if isinstance(value, msgspec.Struct):
            fields = {field: getattr(value, field) for field in value.__struct_fields__}
            if isinstance(fields.get("log"), int):
                fields["log"] = self.names[index].setdefault(fields["log"], len(self.names[index]))
            return {field: self._named(index, each) for field, each in fields.items()}
        if isinstance(value, dict):
            return {key: self._named(index, value[key]) for key in sorted(value)}
        if isinstance(value, list | tuple):
            return [self._named(index, each) for each in value]
        return value

    # Making things up.

    def _fresh(self, known: list[str], prefix: str) -> str:
        known.append(f"{prefix}_{len(known)}")
        return known[-1]

    def _some(self, known: Sequence[Any], number: int) -> Any:
        """One of *known*, the newest ones most likely; None if there are none."""
        return known[-1 - number % len(known)] if known else None

    def _entries(self, kinds: Sequence[str], number: int) -> tuple[Entry, ...]:
        entries: list[Entry] = []
        for offset, kind in enumerate(kinds):
            old = self._some(self.items, number + offset)
            if kind == "refer" and old is not None:
                entries.append(Reference(id=ItemId(old)))
            elif kind == "clash" and old is not None and number % 7 == 0:
                entries.append(NewItem(id=ItemId(old), type="message", payload=b"clash"))
            else:
                new = ItemId(self._fresh(self.items, "msg"))
                entries.append(NewItem(id=new, type="message", payload=new.encode(), left_out=kind == "left_out"))
        return tuple(entries)

    def _turn(self, kinds: Sequence[str], number: int, status: Any, lifetime_s: int | None) -> NewTurn:
        entries = self._entries(kinds, number)
        return NewTurn(
            response_id=self._fresh(self.responses, "resp"),
            family=FAMILIES[number % 7 == 0],
            seal=seal_of(number),
            end_user=(*END_USERS, None)[number % 3],
            attach=None,
            aside=status in ("failed", "cancelled"),
            entries=entries,
            output_index=min(1, len(entries)),
            status=status,
            model="model",
            alias="alias",
            created_at=int(self.clock()) - number % 5,
            expires_at=None if lifetime_s is None else int(self.clock()) + lifetime_s,
            payload=b"response",
        )

    def _commit(self, tenant: str, turns: tuple[NewTurn, NewTurn]) -> None:
        done = self.both(tenant, lambda store, index: store.commit(turns[index]))
        if not isinstance(done[0], type):
            self.heads.append((done[0].head, done[1].head))

    # Turns.

    @rule(tenant=tenants, kinds=entry_kinds, number=numbers, status=statuses, lifetime_s=lifetimes)
    def commit_fresh(self, *, tenant: str, kinds: list[str], number: int, status: str, lifetime_s: int | None) -> None:
        """A turn that stands on nothing."""
        turn = self._turn(kinds, number, status, lifetime_s)
        self._commit(tenant, (turn, turn))

    @precondition(lambda self: self.heads)
    @rule(
        tenant=tenants, kinds=entry_kinds, number=numbers, back=st.integers(0, 3), status=statuses, lifetime_s=lifetimes
    )
    def commit_after(
        self, *, tenant: str, kinds: list[str], number: int, back: int, status: str, lifetime_s: int | None
    ) -> None:
        """A turn on a head that was seen at some time, or a little before it."""
        turn = self._turn(kinds, number, status, lifetime_s)
        heads = self._some(self.heads, number)
        back = back if number % 3 == 0 else 0
        attach = [msgspec.structs.replace(head, position=max(-1, head.position - back)) for head in heads]
        first, second = (msgspec.structs.replace(turn, attach=head) for head in attach)
        self._commit(tenant, (first, second))

    @precondition(lambda self: self.leases)
    @rule(tenant=tenants, kinds=entry_kinds, number=numbers, status=statuses, lifetime_s=lifetimes)
    def commit_in_conversation(
        self, *, tenant: str, kinds: list[str], number: int, status: str, lifetime_s: int | None
    ) -> None:
        """A turn under a lease that is in force, or was; some say what they stand on, and may be mistaken."""
        turn = self._turn(kinds, number, status, lifetime_s)
        leases = self._some(self.leases, number)
        heads = self._some(self.heads, number) if number % 3 == 0 else None
        first, second = (
            msgspec.structs.replace(turn, lease=lease, conversation_id=lease.conversation_id, attach=head)
            for lease, head in zip(leases, heads or (None, None), strict=True)
        )
        self._commit(tenant, (first, second))

    @precondition(lambda self: self.responses)
    @rule(tenant=tenants, number=numbers)
    def delete_response(self, tenant: str, number: int) -> None:
        """Forget a response, known or not."""
        self.both(tenant, lambda store, _: store.delete_response(self._some(self.responses, number)))

    # Sessions.

    @rule(
        tenant=tenants,
        kinds=entry_kinds,
        number=numbers,
        other=numbers,
        place=st.sampled_from(["new", "previous", "conversation", "head"]),
        replaces=st.booleans(),
        status=statuses,
    )
    def put_session(
        self, *, tenant: str, kinds: list[str], number: int, other: int, place: str, replaces: bool, status: Any
    ) -> None:
        """Put a session somewhere, new or in the place of another."""
        old = self._some(self.responses, number)
        heads = self._some(self.heads, other)
        entries = self._entries(kinds, other)
        session = StoredSession(
            response_id=old if replaces and old is not None else self._fresh(self.responses, "resp"),
            family=FAMILY,
            previous_response_id=self._some(self.responses, other) if place == "previous" else None,
            conversation_id=self._some(self.conversations, other) if place == "conversation" else None,
            messages=entries,
            output_index=min(1, len(entries)),
            status=status,
            created_at=int(self.clock()) - other % 5,
            payload=b"put",
        )
        sessions = [session, session]
        if place == "head" and heads is not None:
            sessions = [msgspec.structs.replace(session, head=head) for head in heads]
        self.both(tenant, lambda store, index: store.put_session(sessions[index]))

    @precondition(lambda self: self.responses)
    @rule(tenant=tenants, number=numbers)
    def put_back(self, tenant: str, number: int) -> None:
        """Read a session and put it back."""

        async def work(store: TenantStore, _: int) -> object:
            session = await store.get_by_response_id(self._some(self.responses, number))
            return None if session is None else await store.put_session(session)

        self.both(tenant, work)

    # Conversations.

    @rule(tenant=tenants, kinds=entry_kinds, number=numbers)
    def create_conversation(self, tenant: str, kinds: list[str], number: int) -> None:
        """A conversation with some items."""
        new = NewConversation(
            id=self._fresh(self.conversations, "conv"),
            family=FAMILY,
            seal=seal_of(number),
            created_at=int(self.clock()),
            payload=b"conversation",
            entries=self._entries(kinds, number),
        )
        done = self.both(tenant, lambda store, _: store.create_conversation(new))
        if not isinstance(done[0], type):
            self.heads.append((done[0].head, done[1].head))

    @precondition(lambda self: self.conversations)
    @rule(tenant=tenants, kinds=entry_kinds, number=numbers)
    def append_items(self, tenant: str, kinds: list[str], number: int) -> None:
        """Add items by hand."""
        entries = self._entries(kinds, number)
        its_id = self._some(self.conversations, number)
        self.both(tenant, lambda store, _: store.append_items(its_id, entries))

    @precondition(lambda self: self.conversations and self.items)
    @rule(tenant=tenants, number=numbers, which=numbers)
    def remove_item(self, tenant: str, number: int, which: int) -> None:
        """Remove an item that is in a conversation, if there is one, by its place in the list."""
        its_id = self._some(self.conversations, number)

        async def work(store: TenantStore, _: int) -> object:
            page = await store.list_conversation_items(its_id, Page(limit=50))
            present = [str(entry.id) for entry in page.items] if page is not None else []
            return await store.remove_item(its_id, self._some(present or self.items, which))

        self.both(tenant, work)

    @precondition(lambda self: self.conversations)
    @rule(tenant=tenants, number=numbers)
    def delete_conversation(self, tenant: str, number: int) -> None:
        """Forget a conversation."""
        if number % 3 == 0:
            self.both(tenant, lambda store, _: store.delete_conversation(self._some(self.conversations, number)))

    @precondition(lambda self: self.conversations)
    @rule(tenant=tenants, number=numbers, ttl_s=st.sampled_from([1, 30]))
    def acquire_lease(self, tenant: str, number: int, ttl_s: int) -> None:
        """Take a conversation."""
        its_id, holder = self._some(self.conversations, number), f"holder {len(self.leases)}"
        done = self.both(tenant, lambda store, _: store.acquire_lease(its_id, holder, ttl_s))
        if not isinstance(done[0], type):
            self.leases.append((done[0], done[1]))

    @precondition(lambda self: self.leases)
    @rule(tenant=tenants, number=numbers, renews=st.booleans())
    def use_lease(self, *, tenant: str, number: int, renews: bool) -> None:
        """Renew a lease, or give it back."""
        leases = self._some(self.leases, number)
        if renews:
            self.both(tenant, lambda store, index: store.renew_lease(leases[index], 30))
        else:
            self.both(tenant, lambda store, index: store.release_lease(leases[index]))

    # Time.

    @rule(seconds=st.sampled_from([0.5, 1, 5, 20]))
    def advance(self, seconds: float) -> None:
        """Let time go on."""
        self.clock.advance(seconds)

    @rule()
    def sweep(self) -> None:
        """Erase what has expired."""
        model, store = (self.runner.run(store.sweep()) for store in self.stores)
        assert model == store

    # Looking.

    @invariant()
    def looks_the_same(self) -> None:
        """Every read answers the same in both stores, and neither finds fault with itself."""
        if not hasattr(self, "runner"):
            return
        for tenant in _TENANTS:
            self.both(tenant, lambda store, _: self._everything(store))
        self.check_all()

    def check_all(self) -> None:
        """Neither store finds fault with itself."""
        for store in self.stores:
            assert self.runner.run(store.check()) == []

    async def _everything(self, store: TenantStore) -> list[object]:
        page = Page(limit=4)
        seen: list[object] = [await store.find_items(self.items)]
        for its_id in self.responses:
            seen += [await store.get_by_response_id(its_id), await store.read_head(its_id)]
            seen += [await store.read_history_after(its_id), await store.list_input_items(its_id, page)]
        for its_id in self.conversations:
            seen += [await store.read_conversation(its_id), await store.read_history_of(its_id)]
            seen += [await store.list_conversation_items(its_id, page), await store.get_by_conversation_id(its_id)]
            if seen[-4] is not None:
                seen += [await store.read_conversation_item(its_id, item_id) for item_id in self.items[-5:]]
        return seen
