"""
Sessions: the state of the API, whatever stores it.

The only place that knows both what an item says and where it is kept. Everything is asked for on behalf of one tenant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import cast

import msgspec

from antiphon.hub.errors import ItemNotFound, ResponseNotFound
from antiphon.hub.format import PageRequest
from antiphon.hub.ids import IdFactory, TenantId
from antiphon.hub.items import Item, JsonObject, is_cut_off_call
from antiphon.hub.library import ListRequest
from antiphon.hub.turn import TurnRequest
from antiphon.hub.usage import Usage
from antiphon.hub.webhook import Webhook
from antiphon.sessions.cache import CachedHistory, HistoryCache
from antiphon.sessions.codec import Codec, PlainCodec
from antiphon.sessions.conversations import Conversations, ListedItems
from antiphon.sessions.deliveries import Deliveries
from antiphon.sessions.inputs import entries_of
from antiphon.sessions.kept import AddedItems, CreatedConversation, CreatedPrompt, Kept, UnstoredAnswer
from antiphon.sessions.keys import IdempotencyKeys
from antiphon.sessions.library import ListPage
from antiphon.sessions.payloads import Payloads
from antiphon.sessions.pending import PendingTurn, PendingTurns
from antiphon.sessions.prompts import Prompts
from antiphon.sessions.records import (
    CONTINUABLE,
    Claim,
    Committed,
    Entry,
    Lease,
    NewItem,
    NewTurn,
    Page,
    Status,
    StoredItem,
)
from antiphon.sessions.resolve import ResolvedTurn, Resolver
from antiphon.sessions.search import Search
from antiphon.sessions.store import SessionStore, TenantStore

__all__ = ["ListedItems", "Sessions", "TenantSessions", "TurnOutcome"]

_SECONDS_PER_DAY = 86_400

# A background response that is not to be stored is kept for so long after its end, for those who poll it.
EPHEMERAL_S = 600


class TurnOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """
    How a turn ended, to be committed.

    Attributes:
        response: The terminal response, its output included.
        output: The output items with what belongs to their provider alone.
        alias: The model name that the client asked for.
        provider: The name of the upstream that answered.
        trace: Where its stream was cut, for :mod:`antiphon.streams.trace`.
        claim: For a pending turn, whose place the stored one takes.
        webhooks: What tells of it.
    """

    response: JsonObject
    output: tuple[Item, ...]
    alias: str
    provider: str
    usage: Usage | None = None
    trace: object = None
    claim: Claim | None = None
    webhooks: tuple[Webhook, ...] = ()


class Sessions:
    """
    The session store with what it needs to make sense of its payloads.

    Args:
        retention_days: Responses are unknown after so many days; None keeps them. Conversations have no expiry.
        cache: Decoded histories; shared by all tenants, keyed by tenant.
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
    ) -> None:
        self.store = store
        self._ids = ids
        self._clock = clock
        self._codec = codec or PlainCodec()
        self._cache = cache or HistoryCache()
        self._retention_days = retention_days
        self._tenants: dict[TenantId, TenantSessions] = {}

    def for_tenant(self, tenant: TenantId) -> TenantSessions:
        """The state of one tenant; the only way to touch it."""
        sessions = self._tenants.get(tenant)
        if sessions is None:
            sessions = self._tenants[tenant] = TenantSessions(
                tenant=tenant,
                store=self.store.for_tenant(tenant),
                payloads=Payloads(self._codec, tenant),
                ids=self._ids,
                clock=self._clock,
                cache=self._cache,
                retention_days=self._retention_days,
            )
        return sessions


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
        retention_days: float | None,
    ) -> None:
        self._tenant = tenant
        self._store = store
        self._payloads = payloads
        self._ids = ids
        self._clock = clock
        self._cache = cache
        self._retention_days = retention_days
        self._search = Search(store)
        self.pending = PendingTurns(store, payloads, self._search)
        self.keys = IdempotencyKeys(store, payloads)
        self.deliveries = Deliveries(store, payloads)
        self.prompts = Prompts(store=store, payloads=payloads, ids=ids, clock=clock)
        self.conversations = Conversations(
            tenant=tenant, store=store, payloads=payloads, ids=ids, clock=clock, cache=cache, search=self._search
        )
        self._resolver = Resolver(tenant=tenant, store=store, payloads=payloads, ids=ids, cache=cache)

    # Turns.

    async def secret(self) -> bytes:
        """See :meth:`TenantStore.secret`."""
        return await self._store.secret()

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

    async def commit(self, turn: ResolvedTurn, outcome: TurnOutcome) -> Committed:
        """
        Store a finished turn, whole and durable, or not at all.

        Raises:
            BaseErased: What it stands on was deleted while it ran.
            LeaseLost: Its conversation was deleted, or taken by somebody else; or the pending turn was taken over.
            StoreUnavailable: The store could not make it durable.
        """
        response = outcome.response
        status = cast(Status, response["status"])
        entries = await entries_of(turn.input, self._payloads)
        output = [self._payloads.new_item(item, left_out=is_cut_off_call(item.body)) for item in outcome.output]
        ephemeral = not response["store"]
        committed = await self._store.commit(
            NewTurn(
                response_id=response["id"],
                family=turn.family,
                attach=turn.attach,
                lease=turn.lease,
                claim=outcome.claim,
                aside=ephemeral or status in ("failed", "cancelled"),
                ephemeral=ephemeral,
                entries=(*entries, *output),
                output_index=len(entries),
                previous_response_id=response["previous_response_id"],
                conversation_id=turn.conversation_id,
                status=status,
                model=response["model"],
                alias=outcome.alias,
                provider=outcome.provider,
                created_at=response["created_at"],
                completed_at=response["completed_at"],
                usage=outcome.usage,
                expires_at=self._expiry(response),
                payload=self._payloads.response(response),
                trace=b"" if outcome.trace is None else self._payloads.trace(outcome.trace, response["id"]),
                deliveries=tuple(self.deliveries.new(webhook) for webhook in outcome.webhooks),
                terms=await self._search.terms(response["metadata"]),
            )
        )
        if status in CONTINUABLE and not ephemeral:
            self._remember(turn, response["id"], committed, outcome.output, (*entries, *output))
        return committed

    def _expiry(self, response: JsonObject) -> int | None:
        if not response["store"]:
            return int(self._clock()) + EPHEMERAL_S
        if self._retention_days is None:
            return None
        return int(response["created_at"]) + round(self._retention_days * _SECONDS_PER_DAY)

    def _remember(
        self,
        turn: ResolvedTurn,
        response_id: str,
        committed: Committed,
        output: Sequence[Item],
        entries: Sequence[Entry],
    ) -> None:
        kept = [item for item in output if not is_cut_off_call(item.body)]
        grown = CachedHistory(
            head=committed.head,
            items=(*turn.items, *kept),
            left_out=turn.left_out + len(output) - len(kept),
            size_bytes=turn.history_bytes
            + sum(len(entry.payload) for entry in entries if isinstance(entry, NewItem))
            + sum(entry.stored_bytes for entry in turn.input),
        )
        # A fork leaves its parent the newest of its own log; an appended turn takes the parent's place.
        appended = turn.attach is None or committed.head.log == turn.attach.log
        key = turn.source_id if appended and turn.lease is not None and turn.source_id else response_id
        self._cache.put(self._tenant, key, grown, instead_of=turn.source_id if appended else None)

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

    async def retrieve(self, response_id: str) -> JsonObject:
        """
        A stored response with its output.

        Raises:
            ResponseNotFound: This tenant has no such response.
        """
        session = await self._store.get_by_response_id(response_id)
        if session is None:
            raise ResponseNotFound(response_id)
        response = self._payloads.open_response(session.payload, response_id)
        response["created_at"] = session.created_at  # as the commit clamped it, after the payload had been written
        output = session.messages[session.output_index :]
        response["output"] = [self._payloads.item(cast(StoredItem, item)).body for item in output]
        return response

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

    async def trace(self, response_id: str) -> object:
        """
        The trace of a stored response's stream; None for one that was stored without.

        Raises:
            ResponseNotFound: This tenant has no such response.
        """
        payload = await self._store.read_trace(response_id)
        if payload is None:
            raise ResponseNotFound(response_id)
        return self._payloads.open_trace(payload, response_id) if payload else None

    async def delete(self, response_id: str, *, cascade: bool = False) -> None:
        """
        Make a response unknown and erase what nothing else stands on; with *cascade*, also what does.

        Raises:
            ResponseNotFound: This tenant has no such response.
        """
        if not await self._store.delete_response(response_id, cascade=cascade):
            raise ResponseNotFound(response_id)
        if cascade:
            self._cache.drop_all(self._tenant)
        self._cache.drop(self._tenant, response_id)

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
        return self._listed(found.items, has_more=found.has_more)

    def _listed(self, items: Sequence[StoredItem], *, has_more: bool) -> ListedItems:
        return ListedItems(tuple(self._payloads.item(item).body for item in items), has_more)


def _page(page: PageRequest) -> Page:
    return Page(limit=page.limit, order=page.order, after=page.after)
