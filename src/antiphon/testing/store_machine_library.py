"""The random machine of :mod:`antiphon.testing.store_machine` with lists, forks, rewinds, cascades and prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from antiphon.sessions.library import Filter, NewPrompt
from antiphon.sessions.records import NewConversation, NewTurn, Page
from antiphon.sessions.store import TenantStore
from antiphon.testing.store_fixture import FAMILY
from antiphon.testing.store_machine import StoreMachine, numbers, tenants

__all__ = ["LibraryMachine"]

_TERMS = (b"red", b"green", b"blue")
_PROMPTS = ("pmpt_a", "pmpt_b")

some_terms = st.sets(st.sampled_from(_TERMS)).map(lambda terms: tuple(sorted(terms)))
orders = st.sampled_from(["asc", "desc"])


class LibraryMachine(StoreMachine):
    """Override :meth:`make_store`, as with :class:`StoreMachine`."""

    def _turn(self, kinds: Sequence[str], number: int, status: Any, lifetime_s: int | None) -> NewTurn:
        turn = super()._turn(kinds, number, status, lifetime_s)
        return msgspec.structs.replace(turn, terms=_TERMS[number % 4 :], model=f"model {number % 2}")

    # Forks.

    @precondition(lambda self: self.conversations)
    @rule(tenant=tenants, number=numbers, which=numbers, whole=st.booleans(), terms=some_terms)
    def fork_conversation(self, *, tenant: str, number: int, which: int, whole: bool, terms: tuple[bytes, ...]) -> None:
        """Fork a conversation at its end, or at one of its items."""
        source = self._some(self.conversations, number)
        fork = NewConversation(
            id=self._fresh(self.conversations, "conv"),
            family=FAMILY,
            created_at=int(self.clock()) - which % 3,
            payload=b"fork",
            terms=terms,
        )

        async def work(store: TenantStore, _: int) -> object:
            at = None if whole else await self._present_item(store, source, which)
            return await store.fork_conversation(source, fork, at=at)

        done = self.both(tenant, work)
        if not isinstance(done[0], type):
            self.heads.append((done[0].head, done[1].head))

    @precondition(lambda self: self.conversations)
    @rule(tenant=tenants, number=numbers, which=numbers)
    def rewind_conversation(self, tenant: str, number: int, which: int) -> None:
        """Rewind a conversation to one of its items."""
        its_id = self._some(self.conversations, number)

        async def work(store: TenantStore, _: int) -> object:
            return await store.rewind_conversation(its_id, await self._present_item(store, its_id, which) or "msg_no")

        self.both(tenant, work)

    async def _present_item(self, store: TenantStore, conversation_id: str, which: int) -> str | None:
        page = await store.list_conversation_items(conversation_id, Page(limit=50))
        item_id: str | None = self._some([str(entry.id) for entry in page.items] if page is not None else [], which)
        return item_id

    # Erasing with whatever stands on it.

    @precondition(lambda self: self.responses)
    @rule(tenant=tenants, number=numbers)
    def cascade_response(self, tenant: str, number: int) -> None:
        """Delete a response with what stands on it."""
        if number % 2:
            its_id = self._some(self.responses, number)
            self.both(tenant, lambda store, _: store.delete_response(its_id, cascade=True))

    @precondition(lambda self: self.conversations)
    @rule(tenant=tenants, number=numbers)
    def cascade_conversation(self, tenant: str, number: int) -> None:
        """Delete a conversation with what stands on it."""
        if number % 4 == 0:
            its_id = self._some(self.conversations, number)
            self.both(tenant, lambda store, _: store.delete_conversation(its_id, cascade=True))

    # Finding.

    @precondition(lambda self: self.conversations)
    @rule(tenant=tenants, number=numbers, terms=some_terms)
    def update_conversation(self, tenant: str, number: int, terms: tuple[bytes, ...]) -> None:
        """Replace what a conversation is found by."""
        its_id = self._some(self.conversations, number)
        self.both(tenant, lambda store, _: store.update_conversation(its_id, b"updated", terms))

    @precondition(lambda self: self.responses)
    @rule(tenant=tenants, number=numbers, terms=some_terms, late=st.booleans())
    def update_response(self, *, tenant: str, number: int, terms: tuple[bytes, ...], late: bool) -> None:
        """Replace what a response says and is found by, or try to after somebody else has."""
        its_id = self._some(self.responses, number)

        async def work(store: TenantStore, _: int) -> object:
            session = await store.get_by_response_id(its_id)
            before = b"other" if session is None or late else session.payload
            return await store.update_response(its_id, b"updated %d" % number, terms, instead_of=before)

        self.both(tenant, work)

    @rule(
        tenant=tenants,
        number=numbers,
        limit=st.integers(1, 5),
        order=orders,
        terms=some_terms,
        continues=st.booleans(),
        ages=st.tuples(*[st.none() | st.integers(0, 30)] * 2),
    )
    def list_what_fits(
        self,
        *,
        tenant: str,
        number: int,
        limit: int,
        order: Any,
        terms: tuple[bytes, ...],
        continues: bool,
        ages: tuple[int | None, int | None],
    ) -> None:
        """Ask for a page of each list."""
        now = int(self.clock())
        since, until = (None if age is None else now - age for age in ages)
        wanted = Filter(limit=limit, order=order, terms=terms, created_from=since, created_before=until)
        responses = msgspec.structs.replace(
            wanted,
            model=(None, "alias", "model 1")[number % 3],
            status=(None, "completed", "queued", "in_progress")[number % 4],
            conversation_id=self._some(self.conversations, number) if number % 5 == 0 else None,
            after=self._some(self.responses, number) if continues else None,
        )
        conversations = msgspec.structs.replace(
            wanted, after=self._some(self.conversations, number) if continues else None
        )
        self.both(tenant, lambda store, _: store.list_responses(responses))
        self.both(tenant, lambda store, _: store.list_conversations(conversations))

    # Prompts.

    @rule(tenant=tenants, prompt_id=st.sampled_from(_PROMPTS), number=numbers)
    def add_or_delete_prompt(self, tenant: str, prompt_id: str, number: int) -> None:
        """Add a version to a prompt, or forget it."""
        version = (None, 1, 2, 3)[number % 4]
        now = int(self.clock())
        prompt = NewPrompt(id=prompt_id, version=version, created_at=now, payload=f"prompt {number}".encode())
        if number % 4:
            self.both(tenant, lambda store, _: store.add_prompt(prompt))
        else:
            self.both(tenant, lambda store, _: store.delete_prompt(prompt_id))

    # Looking.

    async def _everything(self, store: TenantStore) -> list[object]:
        seen = await super()._everything(store)
        seen += [await store.list_responses(Filter()), await store.list_conversations(Filter(terms=(b"red",)))]
        seen += [await store.list_prompts(limit=5, after=None), await store.read_prompt(_PROMPTS[0], 2)]
        return seen
