"""
Sessions: the state of the API, whatever stores it.

The only place that knows both what an item says and where it is kept. Everything is asked for on behalf of one tenant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import msgspec

from antiphon.hub.errors import ConversationNotFound, ItemNotFound, ResponseNotFound
from antiphon.hub.format import ConversationDraft, PageRequest
from antiphon.hub.ids import IdFactory, TenantId
from antiphon.hub.items import Item, JsonObject, is_cut_off_call
from antiphon.hub.turn import TurnRequest
from antiphon.hub.usage import Usage
from antiphon.sessions.cache import CachedHistory, HistoryCache
from antiphon.sessions.codec import Codec, PlainCodec
from antiphon.sessions.inputs import entries_of, resolve_input
from antiphon.sessions.payloads import Payloads
from antiphon.sessions.records import (
    CONTINUABLE,
    Committed,
    Conversation,
    Entry,
    Lease,
    NewConversation,
    NewItem,
    NewTurn,
    Page,
    Status,
    StoredItem,
)
from antiphon.sessions.resolve import ResolvedTurn, Resolver
from antiphon.sessions.store import SessionStore, TenantStore

__all__ = ["ListedItems", "Sessions", "TenantSessions", "TurnOutcome"]

_SECONDS_PER_DAY = 86_400


class TurnOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """
    How a turn ended, to be committed.

    Attributes:
        response: The terminal response, its output included.
        output: The output items with what belongs to their provider alone.
        alias: The model name that the client asked for.
        provider: The name of the upstream that answered.
    """

    response: JsonObject
    output: tuple[Item, ...]
    alias: str
    provider: str
    usage: Usage | None = None


class ListedItems(msgspec.Struct, frozen=True):
    """One page of items as clients see them."""

    items: tuple[JsonObject, ...]
    has_more: bool


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
        self._resolver = Resolver(tenant=tenant, store=store, payloads=payloads, ids=ids, cache=cache)

    # Turns.

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

    async def commit(self, turn: ResolvedTurn, outcome: TurnOutcome) -> Committed:
        """
        Store a finished turn, whole and durable, or not at all.

        Raises:
            BaseErased: What it stands on was deleted while it ran.
            LeaseLost: Its conversation was deleted, or taken by somebody else.
            StoreUnavailable: The store could not make it durable.
        """
        response = outcome.response
        status = cast(Status, response["status"])
        entries = await entries_of(turn.input, self._payloads)
        output = [self._payloads.new_item(item, left_out=is_cut_off_call(item.body)) for item in outcome.output]
        committed = await self._store.commit(
            NewTurn(
                response_id=response["id"],
                family=turn.family,
                attach=turn.attach,
                lease=turn.lease,
                aside=status in ("failed", "cancelled"),
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
                expires_at=self._expiry(response["created_at"]),
                payload=self._payloads.response(response),
            )
        )
        if status in CONTINUABLE:
            self._remember(turn, response["id"], committed, outcome.output, (*entries, *output))
        return committed

    def _expiry(self, created_at: int) -> int | None:
        if self._retention_days is None:
            return None
        return created_at + round(self._retention_days * _SECONDS_PER_DAY)

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

    async def delete(self, response_id: str) -> None:
        """
        Make a response unknown and erase what nothing else stands on.

        Raises:
            ResponseNotFound: This tenant has no such response.
        """
        self._cache.drop(self._tenant, response_id)
        if not await self._store.delete_response(response_id):
            raise ResponseNotFound(response_id)

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

    # Conversations.

    async def create_conversation(self, draft: ConversationDraft) -> JsonObject:
        """
        Create a conversation with its first items.

        Raises:
            ItemNotFound: An item reference is unknown to this tenant.
        """
        family = self._ids.family()
        conversation_id = self._ids.conversation(family)
        items = await resolve_input(
            draft.items, history=(), store=self._store, payloads=self._payloads, ids=self._ids, family=family
        )
        conversation = await self._store.create_conversation(
            NewConversation(
                id=conversation_id,
                family=family,
                created_at=int(self._clock()),
                payload=self._payloads.metadata(draft.metadata, conversation_id),
                entries=tuple(await entries_of(items, self._payloads)),
            )
        )
        return self._conversation(conversation)

    async def retrieve_conversation(self, conversation_id: str) -> JsonObject:
        """
        A conversation.

        Raises:
            ConversationNotFound: This tenant has no such conversation.
        """
        return self._conversation(_known(await self._store.read_conversation(conversation_id), conversation_id))

    async def update_conversation(self, conversation_id: str, metadata: dict[str, str]) -> JsonObject:
        """
        Replace a conversation's metadata.

        Raises:
            ConversationNotFound: This tenant has no such conversation.
        """
        payload = self._payloads.metadata(metadata, conversation_id)
        updated = await self._store.update_conversation(conversation_id, payload)
        return self._conversation(_known(updated, conversation_id))

    async def delete_conversation(self, conversation_id: str) -> None:
        """
        Make a conversation unknown. Its responses stay.

        Raises:
            ConversationNotFound: This tenant has no such conversation.
        """
        self._cache.drop(self._tenant, conversation_id)
        if not await self._store.delete_conversation(conversation_id):
            raise ConversationNotFound(conversation_id)

    async def conversation_items(self, conversation_id: str, page: PageRequest) -> ListedItems:
        """
        A conversation's present items, as one page.

        Raises:
            ConversationNotFound: This tenant has no such conversation.
            ItemNotFound: The cursor is not among these items.
        """
        found = await self._store.list_conversation_items(conversation_id, _page(page))
        if found is None:
            raise ConversationNotFound(conversation_id)
        return self._listed(found.items, has_more=found.has_more)

    async def append_items(self, conversation_id: str, bodies: Sequence[JsonObject]) -> ListedItems:
        """
        Add items to a conversation by hand.

        Raises:
            ConversationNotFound: This tenant has no such conversation.
            ConversationLocked: A turn runs in it.
            ItemNotFound: An item reference is unknown to this tenant.
        """
        conversation = _known(await self._store.read_conversation(conversation_id), conversation_id)
        items = await resolve_input(
            bodies,
            history=(),
            store=self._store,
            payloads=self._payloads,
            ids=self._ids,
            family=conversation.family,
        )
        await self._store.append_items(conversation_id, await entries_of(items, self._payloads))
        return ListedItems(tuple(entry.item.body for entry in items), has_more=False)

    async def remove_item(self, conversation_id: str, item_id: str) -> JsonObject:
        """
        Take an item out of a conversation; forks and earlier responses keep it. Answers the conversation.

        Raises:
            ConversationNotFound: This tenant has no such conversation.
            ConversationLocked: A turn runs in it.
            ItemNotFound: The conversation has no such item.
        """
        if not await self._store.remove_item(conversation_id, item_id):
            raise _not_in_conversation(item_id)
        return await self.retrieve_conversation(conversation_id)

    def _conversation(self, conversation: Conversation) -> JsonObject:
        return {
            "id": conversation.id,
            "object": "conversation",
            "created_at": conversation.created_at,
            "metadata": self._payloads.open_metadata(conversation.payload, conversation.id),
        }

    def _listed(self, items: Sequence[StoredItem], *, has_more: bool) -> ListedItems:
        return ListedItems(tuple(self._payloads.item(item).body for item in items), has_more)


def _page(page: PageRequest) -> Page:
    return Page(limit=page.limit, order=page.order, after=page.after)


def _known(conversation: Conversation | None, conversation_id: str) -> Conversation:
    if conversation is None:
        raise ConversationNotFound(conversation_id)
    return conversation


def _not_in_conversation(item_id: str) -> ItemNotFound:
    return ItemNotFound(f"Item with id '{item_id}' not found in conversation.")
