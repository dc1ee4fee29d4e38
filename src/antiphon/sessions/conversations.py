"""
Conversations: kept lists of items that turns read and add to, and that people edit, fork and rewind.

Running a turn in one is :mod:`antiphon.sessions.resolve` and the commit; everything else that can be done with one is
here. Every id that is not this tenant's is unknown.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence

import msgspec

from antiphon.hub.errors import ConversationNotFound, DuplicateItem, ItemNotFound, ResponseNotFound, StoreCorrupt
from antiphon.hub.format import PageRequest
from antiphon.hub.ids import IdFactory, TenantId, family_of
from antiphon.hub.items import Item, JsonObject
from antiphon.hub.library import ConversationDraft, ForkDraft, ListRequest
from antiphon.sessions.cache import HistoryCache
from antiphon.sessions.directory import Erasure
from antiphon.sessions.inputs import InputItem, entries_of, resolve_input
from antiphon.sessions.kept import AddedItems, CreatedConversation
from antiphon.sessions.library import ListPage
from antiphon.sessions.payloads import Payloads
from antiphon.sessions.records import Conversation, Entry, NewConversation, Page
from antiphon.sessions.reread import reread_if_erased
from antiphon.sessions.search import Search
from antiphon.sessions.store import TenantStore
from antiphon.sessions.work import Settle

__all__ = ["Conversations", "ListedItems"]

# Items that an export reads at a time: few enough to be held, many enough that a long list takes few statements.
_EXPORT_PAGE = 500

_EXPORT_VERSION = 1


class ListedItems(msgspec.Struct, frozen=True):
    """One page of items as clients see them."""

    items: tuple[JsonObject, ...]
    has_more: bool


def page_of_items(items: Sequence[Item], page: PageRequest) -> ListedItems:
    """
    One page of the items of a turn that is not stored yet.

    Raises:
        ItemNotFound: The cursor is not among *items*.
    """
    ordered = list(items) if page.order == "asc" else list(reversed(items))
    ids = [str(item.id) for item in ordered]
    if page.after is not None and page.after not in ids:
        raise ItemNotFound(f"Item with id '{page.after}' not found.", param="after")
    start = 0 if page.after is None else ids.index(page.after) + 1
    shown = ordered[start : start + page.limit]
    return ListedItems(tuple(item.body for item in shown), has_more=start + len(shown) < len(ordered))


class Conversations:
    """
    One tenant's conversations.

    What creates something can be given *settle*: with it, an idempotency key is settled in the same transaction.
    """

    def __init__(
        self,
        *,
        tenant: TenantId,
        store: TenantStore,
        payloads: Payloads,
        ids: IdFactory,
        clock: Callable[[], float],
        cache: HistoryCache,
        search: Search,
    ) -> None:
        self._tenant = tenant
        self._store = store
        self._payloads = payloads
        self._ids = ids
        self._clock = clock
        self._cache = cache
        self._search = search

    async def create(
        self, draft: ConversationDraft, *, settle: Settle | None = None, new_id: str | None = None
    ) -> JsonObject:
        """
        Create a conversation with its first items.

        Args:
            new_id: Its id, for whoever has to know it before it is there; of a family that is not in use.

        Raises:
            ItemNotFound: An item reference is unknown to this tenant.
        """
        family = self._ids.family() if new_id is None else family_of(new_id)
        items = await resolve_input(
            draft.items, history=(), store=self._store, payloads=self._payloads, ids=self._ids, family=family
        )
        new = NewConversation(
            id=new_id or self._ids.conversation(family),
            family=family,
            seal=await self._payloads.found(family, is_new=True),
            created_at=int(self._clock()),
            payload=b"",
            entries=tuple(await entries_of(items, self._payloads)),
        )
        new = await self._described(new, draft.metadata)
        settlement = await settle(CreatedConversation(new.id)) if settle else None
        await self._store.create_conversation(new, settlement=settlement)
        return _body(new, draft.metadata)

    @reread_if_erased
    async def retrieve(self, conversation_id: str) -> JsonObject:
        """
        A conversation.

        Raises:
            ConversationNotFound: This tenant has no such conversation.
        """
        return await self._body(await self._known(conversation_id))

    @reread_if_erased
    async def update(self, conversation_id: str, metadata: dict[str, str]) -> JsonObject:
        """
        Replace a conversation's metadata.

        Raises:
            ConversationNotFound: This tenant has no such conversation.
        """
        await self._known(conversation_id)  # what there is not has no key that its metadata could be sealed with
        payload = await self._payloads.metadata(metadata, conversation_id)
        terms = await self._search.terms(metadata)
        updated = await self._store.update_conversation(conversation_id, payload, terms)
        if updated is None:
            raise ConversationNotFound(conversation_id)
        return _body(updated, metadata)

    async def delete(self, conversation_id: str, *, cascade: bool = False, dry_run: bool = False) -> Erasure:
        """
        Make a conversation unknown. Its responses stay, unless *cascade* takes along all that stands on it.

        Args:
            dry_run: Change nothing.

        Returns:
            What went, or would go.

        Raises:
            ConversationNotFound: This tenant has no such conversation.
            ConversationLocked: With *cascade*, a turn runs in a conversation that would change.
        """
        try:
            erased = await self._store.delete_conversation(conversation_id, cascade=cascade, dry_run=dry_run)
        finally:  # it may have been carried out although nobody heard of it
            if cascade and not dry_run:
                self._cache.drop_all(self._tenant)
            elif not dry_run:
                self._cache.drop(self._tenant, conversation_id)
        if erased is None:
            raise ConversationNotFound(conversation_id)
        return erased

    @reread_if_erased
    async def list(self, wanted: ListRequest) -> ListPage[JsonObject]:
        """
        Conversations, by the time of their creation.

        Raises:
            ConversationNotFound: The cursor is unknown to this tenant.
        """
        page = await self._store.list_conversations(await self._search.filter(wanted))
        metadata = await self._payloads.open_metadata(page.data)
        return ListPage(data=tuple(map(_body, page.data, metadata)), has_more=page.has_more)

    async def fork(
        self, conversation_id: str, draft: ForkDraft, *, settle: Settle | None = None, new_id: str | None = None
    ) -> JsonObject:
        """
        Create a conversation that begins with another's present items. Nothing is copied: O(1).

        Args:
            new_id: Its id, for whoever has to know it before it is there; of the other one's family.

        Raises:
            ConversationNotFound: This tenant has no such conversation.
            ItemNotFound: The conversation has no item ``draft.at``.
        """
        origin = await self._known(conversation_id)
        fork = NewConversation(
            id=new_id or self._ids.conversation(origin.family),
            family=origin.family,
            created_at=int(self._clock()),
            payload=b"",
        )
        fork = await self._described(fork, draft.metadata)
        settlement = await settle(CreatedConversation(fork.id)) if settle else None
        await self._store.fork_conversation(conversation_id, fork, at=draft.at, settlement=settlement)
        return _body(fork, draft.metadata)

    async def rewind(self, conversation_id: str, to: str) -> JsonObject:
        """
        Take out everything after an item. Forks and earlier responses keep it.

        Args:
            to: The item that becomes the last; or a response, which stands for the last of its items that shows.

        Returns:
            The conversation, and how many items were taken out as ``removed``.

        Raises:
            ConversationNotFound: This tenant has no such conversation.
            ConversationLocked: A turn runs in it.
            ItemNotFound: The conversation has no such item, or none of the response's.
            ResponseNotFound: This tenant has no such response.
        """
        conversation = await self.retrieve(conversation_id)
        item_id = await self._last_of(to, conversation_id) if to.startswith("resp_") else to
        try:
            removed = await self._store.rewind_conversation(conversation_id, item_id)
        finally:
            self._cache.drop(self._tenant, conversation_id)
        return {**conversation, "removed": removed}

    async def _last_of(self, response_id: str, conversation_id: str) -> str:
        turn = await self._store.get_by_response_id(response_id)
        if turn is None:
            raise ResponseNotFound(response_id)
        for item in reversed(turn.messages):
            item_id = str(item.id)
            if await self._store.read_conversation_item(conversation_id, item_id) is not None:
                return item_id
        raise ItemNotFound(f"No item of the response with id '{response_id}' is in the conversation.")

    # Items.

    @reread_if_erased
    async def items(self, conversation_id: str, page: PageRequest) -> ListedItems:
        """
        A conversation's present items, as one page.

        Raises:
            ConversationNotFound: This tenant has no such conversation.
            ItemNotFound: The cursor is not among these items.
        """
        wanted = Page(limit=page.limit, order=page.order, after=page.after)
        found = await self._store.list_conversation_items(conversation_id, wanted)
        if found is None:
            raise ConversationNotFound(conversation_id)
        return ListedItems(_bodies(await self._payloads.items(found.items)), found.has_more)

    @reread_if_erased
    async def item(self, conversation_id: str, item_id: str) -> JsonObject:
        """
        One of a conversation's present items.

        Raises:
            ConversationNotFound: This tenant has no such conversation.
            ItemNotFound: The conversation has no such item.
        """
        found = await self._store.read_conversation_item(conversation_id, item_id)
        if found is None:
            raise _not_in_conversation(item_id)
        return (await self._payloads.item(found)).body

    async def append(
        self, conversation_id: str, bodies: Sequence[JsonObject], *, settle: Settle | None = None
    ) -> ListedItems:
        """
        Add items to a conversation by hand.

        Raises:
            ConversationNotFound: This tenant has no such conversation.
            ConversationLocked: A turn runs in it.
            ItemNotFound: An item reference is unknown to this tenant.
            DuplicateItem: The conversation has the item already.
        """
        conversation = await self._known(conversation_id)
        await self._refuse_present(conversation_id, bodies)
        items = await resolve_input(
            bodies,
            history=(),
            store=self._store,
            payloads=self._payloads,
            ids=self._ids,
            family=conversation.family,
        )
        entries = await self._entries(items, conversation_id)
        added = AddedItems(conversation_id, tuple(entry.item.id for entry in items))
        settlement = await settle(added) if settle else None
        await self._store.append_items(conversation_id, entries, settlement=settlement)
        return ListedItems(tuple(entry.item.body for entry in items), has_more=False)

    async def _entries(self, items: Sequence[InputItem], conversation_id: str) -> Sequence[Entry]:
        try:
            return await entries_of(items, self._payloads)
        except StoreCorrupt:
            await self._known(conversation_id)  # it may have been deleted in between, and its family's key with it
            raise

    @reread_if_erased
    async def added(self, added: AddedItems) -> ListedItems:
        """
        Items that were added before, wherever they show by now.

        Raises:
            ConversationNotFound: The conversation was deleted.
            ItemNotFound: One of the items was.
        """
        await self._known(added.conversation_id)
        found = await self._store.find_items(added.ids)
        for item_id in added.ids:
            if item_id not in found:
                raise _not_in_conversation(item_id)
        items = await self._payloads.items([found[item_id] for item_id in added.ids])
        return ListedItems(_bodies(items), has_more=False)

    async def _refuse_present(self, conversation_id: str, bodies: Sequence[JsonObject]) -> None:
        for item_id in [body["id"] for body in bodies if "id" in body]:
            if await self._store.read_conversation_item(conversation_id, item_id) is not None:
                raise DuplicateItem(item_id)

    async def remove(self, conversation_id: str, item_id: str) -> JsonObject:
        """
        Take an item out of a conversation; forks and earlier responses keep it. Answers the conversation.

        Raises:
            ConversationNotFound: This tenant has no such conversation.
            ConversationLocked: A turn runs in it.
            ItemNotFound: The conversation has no such item.
        """
        try:
            removed = await self._store.remove_item(conversation_id, item_id)
        finally:
            self._cache.drop(self._tenant, conversation_id)
        if not removed:
            raise _not_in_conversation(item_id)
        return await self.retrieve(conversation_id)

    # Exports.

    async def export(self, conversation_id: str) -> AsyncGenerator[Sequence[JsonObject], None]:
        """
        All of a conversation, in groups of lines: what it is, then its present items, oldest first.

        Reads a page at a time, so that it may be as long as it likes.

        Raises:
            ConversationNotFound: This tenant has no such conversation; or it was deleted meanwhile.
            ItemNotFound: The item that was read last was taken out before the next page was read.
        """
        whole = await self.retrieve(conversation_id)
        yield [{**whole, "object": "conversation.export", "version": _EXPORT_VERSION}]
        after: str | None = None
        while True:
            page = PageRequest(limit=_EXPORT_PAGE, order="asc", after=after)
            found = await self.items(conversation_id, page)
            yield found.items
            if not found.has_more:
                return
            after = found.items[-1]["id"]

    async def _known(self, conversation_id: str) -> Conversation:
        conversation = await self._store.read_conversation(conversation_id)
        if conversation is None:
            raise ConversationNotFound(conversation_id)
        return conversation

    async def _described(self, new: NewConversation, metadata: dict[str, str]) -> NewConversation:
        """The same with its metadata, sealed for its own place, and what it is found by."""
        payload = await self._payloads.metadata(metadata, new.id)
        return msgspec.structs.replace(new, payload=payload, terms=await self._search.terms(metadata))

    async def _body(self, conversation: Conversation) -> JsonObject:
        return _body(conversation, *await self._payloads.open_metadata([conversation]))


def _body(conversation: Conversation | NewConversation, metadata: dict[str, str]) -> JsonObject:
    return {
        "id": conversation.id,
        "object": "conversation",
        "created_at": conversation.created_at,
        "metadata": metadata,
    }


def _bodies(items: Sequence[Item]) -> tuple[JsonObject, ...]:
    return tuple(item.body for item in items)


def _not_in_conversation(item_id: str) -> ItemNotFound:
    return ItemNotFound(f"Item with id '{item_id}' not found in conversation.")
