"""
Resolve: find what a turn stands on, before a token is paid for.

One read for the history (one more only if the client sent item ids), then the checks that need it: the parent's status,
duplicate items, tool-call pairing. A turn inside a conversation takes its lease first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from antiphon.hub.errors import (
    ConversationNotFound,
    InvalidRequest,
    NotContinuable,
    PreviousResponseNotFound,
    StoreCorrupt,
)
from antiphon.hub.ids import Family, IdFactory, TenantId
from antiphon.hub.items import Item
from antiphon.hub.turn import TurnRequest
from antiphon.sessions.cache import CachedHistory, HistoryCache
from antiphon.sessions.inputs import InputItem, mint_input, resolve_input, taken_in
from antiphon.sessions.pairing import check_pairing
from antiphon.sessions.payloads import Payloads
from antiphon.sessions.pending import PendingTurn
from antiphon.sessions.records import CONTINUABLE, Head, History, Lease, StoredItem
from antiphon.sessions.reread import reread_if_erased
from antiphon.sessions.store import TenantStore

__all__ = ["ResolvedTurn", "Resolver", "Source", "resolve_stateless"]

Source = Literal["none", "previous_response_id", "conversation", "connection"]


class ResolvedTurn(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a turn stands on.

    Attributes:
        history: Replayed items, oldest first.
        left_out: Cut-off tool calls in the view that are not replayed.
        input: The turn's own input items, with their ids.
        attach: The head of the history; None for a turn that stands on nothing.
        lease: Held for a stored turn inside a conversation.
        source_id: The response or conversation that it was found through.
    """

    tenant: TenantId
    family: Family
    source: Source = "none"
    source_id: str | None = None
    history: tuple[Item, ...] = ()
    history_bytes: int = 0
    left_out: int = 0
    input: tuple[InputItem, ...] = ()
    attach: Head | None = None
    conversation_id: str | None = None
    lease: Lease | None = None

    @property
    def items(self) -> tuple[Item, ...]:
        """The whole context: history, then input."""
        return (*self.history, *[entry.item for entry in self.input])


class _Base(msgspec.Struct, frozen=True, kw_only=True):
    family: Family
    cached: CachedHistory


class Resolver:
    """
    Resolves the turns of one tenant.

    Args:
        max_history_items: The longest history that a turn may stand on; None for any.
    """

    def __init__(
        self,
        *,
        tenant: TenantId,
        store: TenantStore,
        payloads: Payloads,
        ids: IdFactory,
        cache: HistoryCache,
        max_history_items: int | None = None,
    ) -> None:
        self._max_history_items = max_history_items
        self._tenant = tenant
        self._store = store
        self._payloads = payloads
        self._ids = ids
        self._cache = cache

    async def resolve(self, request: TurnRequest, *, lease: Lease | None) -> ResolvedTurn:
        """
        Find the turn's history and give its input items their ids.

        Raises:
            PreviousResponseNotFound: The parent is unknown to this tenant.
            NotContinuable: The parent failed or still runs.
            ConversationNotFound: The conversation is unknown to this tenant.
            ItemNotFound: An item reference is unknown to this tenant.
            InvalidRequest: A duplicate item, a tool call without its output, or a history that is too long.
            StoreCorrupt: The history has a gap.
        """
        turn = await self._stand(request, lease)
        resolved = await resolve_input(
            request.input,
            history=turn.history,
            store=self._store,
            payloads=self._payloads,
            ids=self._ids,
            family=turn.family,
        )
        turn = msgspec.structs.replace(turn, input=resolved)
        check_pairing(turn.items)
        return turn

    async def resume(self, pending: PendingTurn, *, lease: Lease | None) -> ResolvedTurn:
        """
        Find again what a pending turn stands on. Its input keeps the ids that were given out.

        Raises:
            As :meth:`resolve`.
        """
        turn = await self._stand(pending.request, lease)
        turn = msgspec.structs.replace(turn, family=pending.family, input=pending.input)
        check_pairing(turn.items)
        return turn

    async def resolve_after(self, context: Sequence[Item], request: TurnRequest) -> ResolvedTurn:
        """
        Let a turn continue from a context that the store does not have: a connection's own.

        A turn that is to be stored takes the context in as its own input; what of it is stored already is referred to.

        Raises:
            ItemNotFound: An item reference is unknown to this tenant.
            InvalidRequest: A duplicate item, or a tool call without its output.
        """
        family = self._ids.family()
        own = await resolve_input(
            request.input, history=context, store=self._store, payloads=self._payloads, ids=self._ids, family=family
        )
        turn = ResolvedTurn(
            tenant=self._tenant,
            family=family,
            source="connection",
            source_id=request.previous_response_id,
            history=tuple(context),
            input=own,
        )
        check_pairing(turn.items)
        if not request.store:
            return turn
        before = await taken_in(context, store=self._store, ids=self._ids, family=family)
        return msgspec.structs.replace(turn, history=(), input=(*before, *own))

    async def _stand(self, request: TurnRequest, lease: Lease | None) -> ResolvedTurn:
        source: Source
        if request.previous_response_id is not None:
            source, source_id = "previous_response_id", request.previous_response_id
            base = await self._after(source_id)
        elif request.conversation is not None:
            source, source_id = "conversation", request.conversation
            base = await self._in(source_id)
        else:
            return ResolvedTurn(tenant=self._tenant, family=self._ids.family())
        self._check_length(source_id, len(base.cached.items))
        return ResolvedTurn(
            tenant=self._tenant,
            family=base.family,
            source=source,
            source_id=source_id,
            history=base.cached.items,
            history_bytes=base.cached.size_bytes,
            left_out=base.cached.left_out,
            attach=base.cached.head,
            conversation_id=request.conversation,
            lease=lease,
        )

    def _check_length(self, source_id: str, items: int) -> None:
        if self._max_history_items is not None and items > self._max_history_items:
            raise _too_long(source_id, items, self._max_history_items)

    @reread_if_erased
    async def _after(self, response_id: str) -> _Base:
        since = self._cache.moment()
        cached = self._cache.get(self._tenant, response_id)
        if cached is not None:
            head = await self._store.read_head(response_id)
            if head is None or head.ephemeral:
                self._cache.drop(self._tenant, response_id)
                raise PreviousResponseNotFound(response_id)
            if head.head == cached.head and head.status in CONTINUABLE:
                return _Base(family=head.family, cached=cached)
        history = await self._store.read_history_after(response_id)
        if history is None or history.ephemeral:
            raise PreviousResponseNotFound(response_id)
        if history.status not in CONTINUABLE:
            raise NotContinuable(response_id, history.status)
        return await self._decoded(response_id, history, since)

    @reread_if_erased
    async def _in(self, conversation_id: str) -> _Base:
        since = self._cache.moment()
        cached = self._cache.get(self._tenant, conversation_id)
        if cached is not None:
            conversation = await self._store.read_conversation(conversation_id)
            if conversation is None:
                self._cache.drop(self._tenant, conversation_id)
                raise ConversationNotFound(conversation_id)
            if conversation.head == cached.head:
                return _Base(family=conversation.family, cached=cached)
        history = await self._store.read_history_of(conversation_id)
        if history is None:
            raise ConversationNotFound(conversation_id)
        return await self._decoded(conversation_id, history, since)

    async def _decoded(self, key: str, history: History, since: int) -> _Base:
        stored = replayed(history)
        self._check_length(key, len(stored))  # before the work of decoding
        items = await self._payloads.items(stored)
        cached = CachedHistory(
            head=history.head,
            items=tuple(items),
            left_out=sum(item.left_out and not item.removed for item in history.items),
            size_bytes=sum(len(item.payload or b"") for item in stored),
        )
        self._cache.put(self._tenant, key, cached, since=since)
        return _Base(family=history.family, cached=cached)


async def resolve_stateless(
    request: TurnRequest, ids: IdFactory, tenant: TenantId, *, context: Sequence[Item] | None = None
) -> ResolvedTurn:
    """
    Resolve a turn of a gateway without a store: all of its context is in the request.

    Args:
        context: What the turn continues from, where a connection remembers that.

    Raises:
        ItemNotFound: The request refers to an item that would have to be stored.
        InvalidRequest: A tool call without its output, or the other way round.
    """
    family = ids.family()
    turn = ResolvedTurn(tenant=tenant, family=family, input=await mint_input(request.input, ids, family))
    if context is not None:
        turn = msgspec.structs.replace(
            turn, source="connection", source_id=request.previous_response_id, history=tuple(context)
        )
    check_pairing(turn.items)
    return turn


def _too_long(source_id: str, items: int, longest: int) -> InvalidRequest:
    return InvalidRequest(
        f"The history of '{source_id}' has {items} items, more than max_history_items ({longest}). Continue from an "
        "earlier point, or begin anew with a compacted context.",
        param="conversation" if source_id.startswith("conv_") else "previous_response_id",
        code="context_length_exceeded",
    )


def replayed(history: History) -> Sequence[StoredItem]:
    """
    The items of a view that are replayed: neither removed nor cut off.

    Raises:
        StoreCorrupt: A position is missing. A history is never shortened in silence.
    """
    if len(history.items) != history.head.position + 1:
        raise StoreCorrupt(
            f"A history has {len(history.items)} of {history.head.position + 1} items: "
            "run `antiphon store check` on the store."
        )
    return [item for item in history.items if not item.removed and not item.left_out]
