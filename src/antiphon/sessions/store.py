"""
The protocol of a session store: what every backend promises, whatever it is made of.

Methods that touch data exist on a tenant's own object only. A store never sees content: payloads are opaque bytes.
Every method is atomic, and what it acknowledged survives the death of the process. The shared suite
(:mod:`antiphon.testing.store_suite`) says in code what these docstrings say in words; a backend passes all of it.

Rules that hold everywhere:

- *View.* A head (log, position, epoch) shows the log's own items up to the position and, below the log's first
  position, its base as of the fork's birth. An item is hidden if a removal in a log on that path names it, with an
  epoch not later than the one that the path has for that log.
- *Erasing.* Content goes when nothing can reach it any more: no response (its own items, and the view below its first
  position), no live conversation, no fork's base that is itself reachable, no reference. A log's length never shrinks
  and positions are never reused. An erased item in the middle of a live view keeps its position, with id and payload
  None.
- *Expired* responses are unknown at once, whether or not the sweeper has been there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from antiphon.hub.ids import TenantId
from antiphon.sessions.directory import AuditAppend, AuditTrailStore, Directory, Erasure
from antiphon.sessions.library import LibraryStore
from antiphon.sessions.records import (
    Committed,
    Conversation,
    Entry,
    History,
    ItemPage,
    Lease,
    NewConversation,
    NewTurn,
    Page,
    Record,
    ResponseHead,
    StoredItem,
    StoredSession,
)
from antiphon.sessions.vault import TenantVault, Vault
from antiphon.sessions.work import DeliveryStore, KeyStore, PendingStore, Settlement, WorkStore

__all__ = ["OfEndUser", "SessionStore", "Swept", "TenantStore"]


class OfEndUser(Record, frozen=True, kw_only=True):
    """What was made on behalf of one end user: ids, oldest first; conversations are those its turns were made in."""

    responses: tuple[str, ...]
    conversations: tuple[str, ...]


class Swept(Record, frozen=True, kw_only=True):
    """
    What a sweep erased, or would.

    Attributes:
        count: How many responses and keys.
        erased: Each tenant's receipt.
    """

    count: int
    erased: Mapping[TenantId, Erasure]


class TenantStore(LibraryStore, PendingStore, KeyStore, DeliveryStore, TenantVault, AuditTrailStore, Protocol):
    """One tenant's data. Nothing of another tenant can be reached through it."""

    # The four named operations.

    async def get_by_response_id(self, response_id: str) -> StoredSession | None:
        """The stored turn, or None."""
        ...

    async def get_by_conversation_id(self, conversation_id: str) -> list[StoredSession]:
        """All stored turns of a conversation, oldest first by (``created_at``, ``insertion_index``)."""
        ...

    async def put_session(self, session: StoredSession) -> StoredSession:
        """
        Insert or replace a stored turn with its items. A wrapper around the one commit.

        It attaches at ``session.head``, else after ``previous_response_id``, else at the end of ``conversation_id`` (by
        hand, so no lease is needed, but a running turn's lease is respected), else to a new log. Replacing keeps the
        ``insertion_index``; the old turn's items are removed from a conversation's view and erased if nothing else
        reaches them.

        Returns:
            The turn as it is now stored, with positions, ``insertion_index`` and the clamped ``created_at``.

        Raises:
            PreviousResponseNotFound: The parent is unknown.
            ConversationNotFound: The conversation is unknown.
            ConversationLocked: A turn holds the conversation.
            StoreConflict: An item id is in use by another item.
        """
        ...

    async def delete_session(self, response_id: str) -> None:
        """Remove a turn. Removing what is not there is not an error."""
        ...

    # Turns.

    async def read_head(self, response_id: str) -> ResponseHead | None:
        """Where a response ends, without its items. One statement."""
        ...

    async def read_history_after(self, response_id: str) -> History | None:
        """The view that a turn after this response stands on, or None if the response is unknown. One statement."""
        ...

    async def read_history_of(self, conversation_id: str) -> History | None:
        """The view of a conversation's present items, or None if it is unknown. One statement."""
        ...

    async def find_items(self, ids: Sequence[str]) -> dict[str, StoredItem]:
        """
        Items of this tenant by id. One statement.

        Unknown ones are absent; so are those of ephemeral responses, since nothing may refer to them.
        """
        ...

    async def commit(self, turn: NewTurn, *, audit: AuditAppend | None = None) -> Committed:
        """
        Store a finished turn: items, response, head, usage and the entries of *audit* in one transaction that is
        durable when this returns.

        Appends to the log of ``turn.attach`` if that is a chain that still ends there, else opens a log whose base is
        the head. A turn with a lease goes to the end of its conversation's log. A turn without entries opens no log
        when it has something to stand on. A turn with a claim takes the place of its pending row, whose events go; its
        deliveries are due at once.

        Raises:
            BaseErased: The items that the turn stands on are gone, or a reference points at nothing.
            LeaseLost: The conversation is gone, its lease belongs to somebody else, or its items were changed since the
                turn began, which a lease that has run out does not prevent; or the pending turn was taken over.
            StoreConflict: The response id, or an item id, is in use.
            StoreUnavailable: The transaction could not be made durable. Nothing is stored.
        """
        ...

    async def read_trace(self, response_id: str) -> bytes | None:
        """Where the stream of a stored response was cut, as its commit gave it; None if the response is unknown."""
        ...

    async def update_response(
        self,
        response_id: str,
        payload: bytes,
        terms: Sequence[bytes] = (),
        *,
        instead_of: bytes,
        audit: AuditAppend | None = None,
    ) -> bool:
        """
        Replace the payload of a stored response, and the terms that it is found by; with it the entries of *audit* are
        written, in one transaction. It keeps its place in lists.

        Args:
            instead_of: The payload that *payload* was made from.

        Returns:
            False if the response is unknown, or has another payload than *instead_of* by now. Nothing was changed.
        """
        ...

    async def delete_response(
        self, response_id: str, *, cascade: bool = False, dry_run: bool = False
    ) -> Erasure | None:
        """
        Make a response unknown and erase what nothing else reaches, wherever it is: items, trace, deliveries, what was
        kept of answers about it; and the key of a family of which nothing is left.

        Args:
            cascade: Whatever stands on it goes too: every response whose view shows one of its own items, and every
                conversation that was forked from there and still shows one. From a living conversation that it was made
                in, its items and those of all later turns are removed; what was added by hand stays, and so do items of
                turns that are not stored any more.
            dry_run: Change nothing, and answer what would go.

        Returns:
            What went; None if it was not there.

        Raises:
            ConversationLocked: With *cascade*, a turn holds a conversation that would change.
        """
        ...

    async def list_input_items(self, response_id: str, page: Page) -> ItemPage | None:
        """
        What the model saw: the history as of the epoch that the turn saw, then the turn's own input.

        Returns:
            None if the response is unknown.

        Raises:
            ItemNotFound: ``page.after`` is not among these items.
        """
        ...

    # Conversations.

    async def create_conversation(
        self, conversation: NewConversation, *, settlement: Settlement | None = None
    ) -> Conversation:
        """
        Create a conversation with its first items.

        Raises:
            StoreConflict: An id is in use.
            LeaseLost: The idempotency key of *settlement* passed to somebody else.
        """
        ...

    async def read_conversation(self, conversation_id: str) -> Conversation | None:
        """The conversation, or None."""
        ...

    async def update_conversation(
        self, conversation_id: str, payload: bytes, terms: Sequence[bytes] = ()
    ) -> Conversation | None:
        """
        Replace the payload and the terms that it is found by. Needs no lease: it changes no item.

        Returns:
            None if the conversation is unknown.
        """
        ...

    async def delete_conversation(
        self, conversation_id: str, *, cascade: bool = False, dry_run: bool = False
    ) -> Erasure | None:
        """
        Make a conversation unknown. Its responses stay readable; items that nothing else reaches are erased.

        A turn that runs in it fails at its commit.

        Args:
            cascade: Its responses go too, and whatever stands on its items: responses that continue from there, and
                conversations that were forked from it.
            dry_run: Change nothing, and answer what would go.

        Returns:
            What went; None if it was not there.

        Raises:
            ConversationLocked: With *cascade*, a turn holds a conversation that would change.
        """
        ...

    async def list_conversation_items(self, conversation_id: str, page: Page) -> ItemPage | None:
        """
        The conversation's present items; None if it is unknown.

        Raises:
            ItemNotFound: ``page.after`` is not among these items.
        """
        ...

    async def read_conversation_item(self, conversation_id: str, item_id: str) -> StoredItem | None:
        """
        One present item of a conversation, or None if it has no such item.

        Raises:
            ConversationNotFound: The conversation is unknown.
        """
        ...

    async def append_items(
        self, conversation_id: str, entries: Sequence[Entry], *, settlement: Settlement | None = None
    ) -> tuple[StoredItem, ...]:
        """
        Add items by hand at the end.

        Raises:
            ConversationNotFound: The conversation is unknown.
            ConversationLocked: A turn holds it.
            StoreConflict: An item id is in use.
            BaseErased: A reference points at nothing.
            LeaseLost: The idempotency key of *settlement* passed to somebody else.
        """
        ...

    async def remove_item(self, conversation_id: str, item_id: str) -> bool:
        """
        Hide an item from the conversation from now on; forks and earlier responses keep it. False if it has none such.

        Raises:
            ConversationNotFound: The conversation is unknown.
            ConversationLocked: A turn holds it.
        """
        ...

    # End users.

    async def list_of_end_user(self, end_user: bytes) -> OfEndUser:
        """What bears this keyed hash."""
        ...

    async def erase_end_user(self, end_user: bytes, *, dry_run: bool = False) -> Erasure:
        """
        Erase the responses that bear this keyed hash and the conversations that they were made in, with all that
        stands on them, as their deletion with ``cascade`` does.

        Raises:
            ConversationLocked: A turn holds a conversation that would change. Nothing was erased.
        """
        ...

    # Leases.

    async def acquire_lease(self, conversation_id: str, holder: str, ttl_s: float) -> Lease:
        """
        Take a conversation for one turn.

        Raises:
            ConversationNotFound: The conversation is unknown.
            ConversationLocked: Somebody else's lease has not run out.
        """
        ...

    async def renew_lease(self, lease: Lease, ttl_s: float) -> bool:
        """Keep a lease. False if it is no longer ours."""
        ...

    async def release_lease(self, lease: Lease) -> None:
        """Give a lease back. A lease that is no longer ours is left alone."""
        ...


class SessionStore(WorkStore, Vault, Directory, Protocol):
    """
    A backend. ``open`` before use, ``close`` after it; both may be called from any running event loop.

    Several gateways may share one: each opens and closes it, and the last one who closes it ends it.
    """

    async def open(self) -> None:
        """
        Make ready: create or migrate the schema.

        Raises:
            StoreUnavailable: It cannot be opened, or its schema is newer than this software knows.
        """
        ...

    async def close(self) -> None:
        """Finish what was accepted and, if nobody else has it open, let go of files and connections."""
        ...

    async def ping(self) -> None:
        """
        Answer if the store can serve.

        Raises:
            StoreUnavailable: It cannot.
        """
        ...

    def for_tenant(self, tenant: TenantId) -> TenantStore:
        """The only object that can touch *tenant*'s data."""
        ...

    async def sweep(self, limit: int = 500, *, dry_run: bool = False) -> Swept:
        """
        Erase at most *limit* expired responses and idempotency keys of all tenants, in one small transaction.

        Deliveries go with the response that they tell of.
        """
        ...

    async def backup(self, path: str) -> None:
        """
        Write a whole and consistent copy while others read and write. What was sealed stays sealed in it.

        Raises:
            StoreUnavailable: There is a file at *path*, it cannot be written, or this store is not in a file.
        """
        ...

    async def check(self) -> list[str]:
        """
        Verify the whole store: positions without gaps, bases and references that exist, whole turns, no garbage.

        Returns:
            One line for each problem; empty if it is sound.
        """
        ...
