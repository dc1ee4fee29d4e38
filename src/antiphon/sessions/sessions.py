"""
Sessions: the state of the API, whatever stores it.

The only place that knows both what an item says and where it is kept. Everything is asked for on behalf of one tenant.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import cast
from weakref import WeakValueDictionary

import msgspec

from antiphon.hub.errors import ItemNotFound, ResponseNotFound
from antiphon.hub.format import PageRequest
from antiphon.hub.ids import IdFactory, TenantId
from antiphon.hub.items import Item, JsonObject
from antiphon.hub.library import ListRequest
from antiphon.hub.turn import TurnRequest
from antiphon.sessions.cache import HistoryCache
from antiphon.sessions.codec import Codec, PlainCodec
from antiphon.sessions.commit import Committer, TurnOutcome
from antiphon.sessions.completions import Completions
from antiphon.sessions.conversations import Conversations, ListedItems
from antiphon.sessions.deliveries import Deliveries
from antiphon.sessions.directory import AuditAppend, Erasure
from antiphon.sessions.end_users import EndUsers
from antiphon.sessions.expiry import Expiry
from antiphon.sessions.kept import AddedItems, CreatedConversation, CreatedPrompt, Kept, UnstoredAnswer
from antiphon.sessions.keys import IdempotencyKeys
from antiphon.sessions.library import ListPage
from antiphon.sessions.payloads import Payloads
from antiphon.sessions.pending import PendingTurn, PendingTurns
from antiphon.sessions.prompts import Prompts
from antiphon.sessions.records import (
    Committed,
    Lease,
    NewItem,
    Page,
    Reference,
    StoredItem,
    StoredSession,
)
from antiphon.sessions.reread import reread_if_erased
from antiphon.sessions.resolve import ResolvedTurn, Resolver
from antiphon.sessions.search import Search
from antiphon.sessions.secret import TenantSecret
from antiphon.sessions.store import SessionStore, Swept, TenantStore
from antiphon.sessions.tenants import TenantRecords

__all__ = ["ListedItems", "Sessions", "TenantSessions", "TurnOutcome"]

# How many tenants' state is held although nobody uses it right now.
_MAX_IDLE_TENANTS = 1000


class Sessions:
    """
    The session store with what it needs to make sense of its payloads.

    Args:
        codec: What payloads are written and read with.
        cache: Decoded histories; shared by all tenants, keyed by tenant.
        retention_days: Responses of a tenant that has no retention of its own are unknown after so many days; None
            keeps them. Conversations have no expiry.
        max_history_items: The longest history that a turn may stand on; None for any.

    Attributes:
        tenants: What is configured of tenants, at most a second old.
    """

    def __init__(
        self,
        store: SessionStore,
        *,
        ids: IdFactory,
        clock: Callable[[], float],
        codec: Codec | None = None,
        cache: HistoryCache | None = None,
        retention_days: float | None = 30,
        max_history_items: int | None = None,
    ) -> None:
        self.store = store
        self._ids = ids
        self._clock = clock
        self._codec = codec or PlainCodec()
        self._cache = cache or HistoryCache()
        self.tenants = TenantRecords(store, on_erased=self.forget)
        self._expiry = Expiry(self.tenants, retention_days=retention_days, clock=clock)
        self._max_history_items = max_history_items
        self._recent: OrderedDict[TenantId, TenantSessions] = OrderedDict()
        # Whatever is in use is found again, so that a tenant's state is one object however many tenants there are.
        self._in_use: WeakValueDictionary[TenantId, TenantSessions] = WeakValueDictionary()

    async def open(self) -> None:
        """
        Open the store, and see that the keys fit it.

        Raises:
            StoreUnavailable: The store cannot be opened.
            KeysUnavailable: What is in it was sealed with other keys, or the key service does not answer.
        """
        await self.store.open()
        try:
            await self._codec.open()
        except BaseException:
            await self.store.close()
            raise

    async def close(self) -> None:
        """Let go of the store."""
        await self.store.close()

    def for_tenant(self, tenant: TenantId) -> TenantSessions:
        """The state of one tenant; the only way to touch it."""
        sessions = self._recent.get(tenant)
        if sessions is None:
            sessions = self._in_use.get(tenant) or self._new(tenant)
            self._recent[tenant] = self._in_use[tenant] = sessions
            if len(self._recent) > _MAX_IDLE_TENANTS:
                self._recent.popitem(last=False)
        else:
            self._recent.move_to_end(tenant)
        return sessions

    def _new(self, tenant: TenantId) -> TenantSessions:
        return TenantSessions(
            tenant=tenant,
            store=self.store.for_tenant(tenant),
            payloads=Payloads(self._codec, tenant),
            ids=self._ids,
            clock=self._clock,
            cache=self._cache,
            max_history_items=self._max_history_items,
            expiry=self._expiry,
        )

    async def sweep(self, limit: int = 500, *, dry_run: bool = False) -> Swept:
        """See :meth:`SessionStore.sweep`. What went is not remembered here any more either."""
        swept = await self.store.sweep(limit, dry_run=dry_run)
        if not dry_run:
            for tenant, erased in swept.erased.items():
                self._cache.drop(tenant, *erased.responses, *erased.conversations)
        return swept

    def forget(self, tenant: TenantId) -> None:
        """Remember nothing of a tenant that was erased: no history, and no secret that went with it."""
        self._recent.pop(tenant, None)
        self._in_use.pop(tenant, None)
        self.tenants.forget(tenant)
        self._codec.forget(tenant)
        self._cache.drop_all(tenant)


class TenantSessions:
    """The state of one tenant. Every id that is not this tenant's is unknown here."""

    def __init__(
        self,
        *,
        tenant: TenantId,
        store: TenantStore,
        payloads: Payloads,
        ids: IdFactory,
        clock: Callable[[], float],
        cache: HistoryCache,
        max_history_items: int | None = None,
        expiry: Expiry,
    ) -> None:
        self._tenant = tenant
        self._store = store
        self._payloads = payloads
        self._cache = cache
        self._secret = TenantSecret(store, payloads)
        self._search = Search(self._secret)
        self.end_users = EndUsers(tenant=tenant, store=store, secret=self._secret, cache=cache)
        self.pending = PendingTurns(store, payloads, self._search, self.end_users)
        self.keys = IdempotencyKeys(store, payloads, self._secret)
        self.deliveries = Deliveries(store, payloads)
        self.completions = Completions(store, payloads, self._search)
        self.prompts = Prompts(store=store, payloads=payloads, ids=ids, clock=clock)
        self.conversations = Conversations(
            tenant=tenant, store=store, payloads=payloads, ids=ids, clock=clock, cache=cache, search=self._search
        )
        self._committer = Committer(
            tenant=tenant,
            store=store,
            payloads=payloads,
            deliveries=self.deliveries,
            search=self._search,
            end_users=self.end_users,
            expiry=expiry,
            cache=cache,
        )
        self._resolver = Resolver(
            tenant=tenant,
            store=store,
            payloads=payloads,
            ids=ids,
            cache=cache,
            max_history_items=max_history_items,
        )

    # Turns.

    async def secret(self) -> bytes:
        """32 random bytes that only this tenant has. See :class:`TenantSecret`."""
        return await self._secret.read()

    async def acquire_lease(self, conversation_id: str, holder: str, ttl_s: float) -> Lease:
        """See :meth:`TenantStore.acquire_lease`."""
        return await self._store.acquire_lease(conversation_id, holder, ttl_s)

    async def renew_lease(self, lease: Lease, ttl_s: float) -> bool:
        """See :meth:`TenantStore.renew_lease`."""
        return await self._store.renew_lease(lease, ttl_s)

    async def release_lease(self, lease: Lease) -> None:
        """See :meth:`TenantStore.release_lease`."""
        await self._store.release_lease(lease)

    async def resolve(self, request: TurnRequest, *, lease: Lease | None = None) -> ResolvedTurn:
        """See :meth:`Resolver.resolve`."""
        return await self._resolver.resolve(request, lease=lease)

    async def resolve_after(self, context: Sequence[Item], request: TurnRequest) -> ResolvedTurn:
        """See :meth:`Resolver.resolve_after`."""
        return await self._resolver.resolve_after(context, request)

    async def resume(self, pending: PendingTurn, *, lease: Lease | None = None) -> ResolvedTurn:
        """
        Find again what a pending turn stands on.

        Raises:
            As :meth:`resolve`.
        """
        return await self._resolver.resume(pending, lease=lease)

    async def commit(self, turn: ResolvedTurn, outcome: TurnOutcome, *, audit: AuditAppend | None = None) -> Committed:
        """
        Store a finished turn, whole and durable, or not at all; and with it what the audit trail says of it.

        Raises:
            BaseErased: What it stands on was deleted while it ran.
            LeaseLost: Its conversation was deleted, or taken by somebody else; or the pending turn was taken over.
            StoreUnavailable: The store could not make it durable.
        """
        return await self._committer.commit(turn, outcome, audit)

    async def recall(self, kept: Kept) -> JsonObject:
        """
        Answer again what was answered to a request with an idempotency key, as it is now.

        Raises:
            NotFound: What it created, or was made of, is gone.
        """
        match kept:
            case CreatedConversation(its_id):
                return await self.conversations.retrieve(its_id)
            case AddedItems():
                return {"items": (await self.conversations.added(kept)).items}
            case CreatedPrompt(its_id, version):
                return await self.prompts.retrieve(its_id, str(version))
            case UnstoredAnswer(answer=answer):
                await self._refuse_unfounded(kept)
                return answer

    async def _refuse_unfounded(self, kept: UnstoredAnswer) -> None:
        if kept.response_id is not None and await self._store.read_head(kept.response_id) is None:
            raise ResponseNotFound(kept.response_id)
        missing = set(kept.item_ids) - (await self._store.find_items(kept.item_ids)).keys() if kept.item_ids else None
        if missing:
            raise ItemNotFound(f"Item with id '{min(missing)}' not found.")

    # Responses.

    @reread_if_erased
    async def retrieve(self, response_id: str) -> JsonObject:
        """
        A stored response with its output.

        Raises:
            ResponseNotFound: This tenant has no such response.
        """
        return await self._response(await self._session(response_id))

    async def has_response(self, response_id: str) -> bool:
        """Whether this tenant has such a response. One statement, and nothing is opened."""
        return await self._store.read_head(response_id) is not None

    @reread_if_erased
    async def exported(self, response_id: str) -> JsonObject:
        """
        A stored response as :meth:`retrieve` answers it, with its own input items as ``input``; and, if it was asked
        for in another dialect, what is kept for that one as ``origin``.

        Raises:
            ResponseNotFound: This tenant has no such response.
        """
        session = await self._session(response_id)
        own = await self._items(session.messages[: session.output_index])
        exported = {**await self._response(session), "input": [item.body for item in own]}
        _, origin = await self._payloads.open_with_origin(session.payload, response_id)
        return exported if origin is None else {**exported, "origin": msgspec.to_builtins(origin)}

    async def _session(self, response_id: str) -> StoredSession:
        session = await self._store.get_by_response_id(response_id)
        if session is None:
            raise ResponseNotFound(response_id)
        return session

    async def _response(self, session: StoredSession) -> JsonObject:
        response = await self._payloads.open_response(session.payload, session.response_id)
        response["created_at"] = session.created_at  # as the commit clamped it, after the payload had been written
        output = await self._items(session.messages[session.output_index :])
        response["output"] = [item.body for item in output]
        return response

    async def _items(self, messages: Sequence[StoredItem | NewItem | Reference]) -> list[Item]:
        return await self._payloads.items(cast(Sequence[StoredItem], messages))  # as a store answers them

    async def retrieve_or_snapshot(self, response_id: str) -> JsonObject:
        """
        A stored response, or one that is pending as it is now.

        Raises:
            ResponseNotFound: This tenant has no such response.
        """
        try:
            return await self.retrieve(response_id)
        except ResponseNotFound:
            pending = await self.pending.find(response_id)
            if pending is None:
                return await self.retrieve(response_id)  # it may have ended in between
            return await self.pending.snapshot(pending)

    @reread_if_erased
    async def trace(self, response_id: str) -> object:
        """
        The trace of a stored response's stream; None for one that was stored without.

        Raises:
            ResponseNotFound: This tenant has no such response.
        """
        payload = await self._store.read_trace(response_id)
        if payload is None:
            raise ResponseNotFound(response_id)
        return await self._payloads.open_trace(payload, response_id) if payload else None

    async def delete(self, response_id: str, *, cascade: bool = False, dry_run: bool = False) -> Erasure:
        """
        Make a response unknown and erase what nothing else stands on; with *cascade*, also what does.

        Args:
            dry_run: Change nothing.

        Returns:
            What went, or would go.

        Raises:
            ResponseNotFound: This tenant has no such response.
            ConversationLocked: With *cascade*, a turn runs in a conversation that would change.
        """
        try:
            erased = await self._store.delete_response(response_id, cascade=cascade, dry_run=dry_run)
        finally:  # it may have been carried out although nobody heard of it
            if cascade and not dry_run:
                self._cache.drop_all(self._tenant)
            elif not dry_run:
                self._cache.drop(self._tenant, response_id)
        if erased is None:
            raise ResponseNotFound(response_id)
        return erased

    async def list_responses(self, wanted: ListRequest) -> ListPage[JsonObject]:
        """
        Stored responses with their output, and background ones that still run as they are now, by their place in lists
        (see :meth:`LibraryStore.list_responses`). One that goes meanwhile is left out.

        Raises:
            ResponseNotFound: The cursor is unknown to this tenant.
        """
        page = await self._store.list_responses(await self._search.filter(wanted))
        found = []
        for response_id in page.data:
            with suppress(ResponseNotFound):
                found.append(await self.retrieve_or_snapshot(response_id))
        return ListPage(data=tuple(found), has_more=page.has_more)

    @reread_if_erased
    async def input_items(self, response_id: str, page: PageRequest) -> ListedItems:
        """
        What the model saw, as one page.

        Raises:
            ResponseNotFound: This tenant has no such response.
            ItemNotFound: The cursor is not among these items.
        """
        found = await self._store.list_input_items(response_id, _page(page))
        if found is None:
            raise ResponseNotFound(response_id)
        items = await self._payloads.items(found.items)
        return ListedItems(tuple(item.body for item in items), found.has_more)


def _page(page: PageRequest) -> Page:
    return Page(limit=page.limit, order=page.order, after=page.after)
