"""
Finding what is stored: lists of responses and conversations with filters, forks, and stored prompts.

Metadata is searched by *terms*: keyed hashes of one name and value each. The store compares them and knows no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Literal, Protocol, TypeVar

from antiphon.sessions.records import Conversation, NewConversation, Record, Status
from antiphon.sessions.work import Settlement

__all__ = ["Filter", "LibraryStore", "ListPage", "NewPrompt", "StoredPrompt"]

T = TypeVar("T")


class Filter(Record, frozen=True, kw_only=True):
    """
    Which objects a list shows, and which page of it: newest first unless *order* says otherwise.

    Attributes:
        after: The id of the object after which the page begins, in the page's order.
        created_from: Not older than this, in seconds since the epoch.
        created_before: Older than this.
        terms: All of these have to be among the object's terms.
        model: As the response says it, or as it was asked for. Responses only.
        status: Responses only.
        conversation_id: Responses only.
    """

    limit: int = 20
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None
    created_from: int | None = None
    created_before: int | None = None
    terms: tuple[bytes, ...] = ()
    model: str | None = None
    status: Status | None = None
    conversation_id: str | None = None


class ListPage(Record, Generic[T], frozen=True, kw_only=True):
    """One page of a list."""

    data: tuple[T, ...]
    has_more: bool


class NewPrompt(Record, frozen=True, kw_only=True):
    """
    A version of a stored prompt, to be added.

    Attributes:
        version: What it has to become; None for whichever comes next.
        payload: Holds all of it.
    """

    id: str
    version: int | None = None
    created_at: int
    payload: bytes


class StoredPrompt(Record, frozen=True, kw_only=True):
    """
    A version of a stored prompt.

    Attributes:
        version: From 1, without gaps.
        latest: The newest version that there is.
    """

    id: str
    version: int
    latest: int
    created_at: int
    payload: bytes


class LibraryStore(Protocol):
    """What one tenant can find and fork."""

    async def list_responses(self, wanted: Filter) -> ListPage[str]:
        """
        The ids of stored responses and of pending background turns, ordered by ``insertion_index``.

        A background turn has its index from when it was opened and keeps it, so that it stands at one place in every
        page; unless a later turn of its conversation was stored before it, which gives it a new one.

        Raises:
            ResponseNotFound: ``wanted.after`` is unknown to this tenant.
        """
        ...

    async def list_conversations(self, wanted: Filter) -> ListPage[Conversation]:
        """
        Conversations, ordered by (``created_at``, id).

        Raises:
            ConversationNotFound: ``wanted.after`` is unknown to this tenant.
        """
        ...

    async def fork_conversation(
        self,
        conversation_id: str,
        fork: NewConversation,
        *,
        at: str | None = None,
        settlement: Settlement | None = None,
    ) -> Conversation:
        """
        Create a conversation that begins with another's present items, up to and including the item *at* (None: all).

        Shares their storage: its log's base is that place of the other's log, so it costs O(1). Both can be edited
        afterwards without the other seeing it; an item is erased when neither shows it any more. The fork is of the
        other's family (``fork.family`` and ``fork.id`` say the same) and has no entries of its own. Of an item that
        shows twice, its first place is meant.

        Raises:
            ConversationNotFound: The other conversation is unknown.
            ItemNotFound: It does not show an item *at*.
            StoreConflict: The fork's id is in use, or its family is another.
        """
        ...

    async def rewind_conversation(self, conversation_id: str, item_id: str) -> int:
        """
        Hide everything after an item from a conversation, as if each item had been removed by hand.

        Of an item that shows twice, its first place is meant.

        Returns:
            How many items that were, not counting those that were left out and are in no list.

        Raises:
            ConversationNotFound: The conversation is unknown.
            ItemNotFound: It does not show the item.
            ConversationLocked: A turn holds it.
        """
        ...

    async def add_prompt(self, prompt: NewPrompt, *, settlement: Settlement | None = None) -> StoredPrompt:
        """
        Add a version to a prompt, or create it with version 1.

        Raises:
            StoreConflict: ``prompt.version`` is not the one that comes next.
            LeaseLost: The idempotency key of *settlement* passed to somebody else.
        """
        ...

    async def read_prompt(self, prompt_id: str, version: int | None = None) -> StoredPrompt | None:
        """A version of a prompt (None: the newest), or None."""
        ...

    async def list_prompts(self, *, limit: int, after: str | None) -> Sequence[StoredPrompt]:
        """
        The newest version of each prompt, newest prompt first, from after the one named *after*; at most *limit*.

        Raises:
            PromptNotFound: *after* is unknown to this tenant.
        """
        ...

    async def delete_prompt(self, prompt_id: str) -> bool:
        """Remove a prompt with all its versions. False if it was not there."""
        ...
