"""
What an idempotency key keeps of the answer to its request: the name of what was created, never a copy of it.

So whatever is deleted is gone, with every answer that told of it, and a replayed answer tells of what there is now.
Only the answer to a request that stores nothing is kept itself; it is not given any more when what it was made of is
gone.
"""

from __future__ import annotations

import msgspec

from antiphon.hub.items import JsonObject

__all__ = ["AddedItems", "CreatedConversation", "CreatedPrompt", "Kept", "UnstoredAnswer"]


class CreatedConversation(msgspec.Struct, frozen=True, tag="conversation"):
    """A conversation was created, forked or imported."""

    id: str


class AddedItems(msgspec.Struct, frozen=True, tag="items"):
    """Items were added to a conversation by hand."""

    conversation_id: str
    ids: tuple[str, ...]


class CreatedPrompt(msgspec.Struct, frozen=True, tag="prompt"):
    """A version of a prompt was created."""

    id: str
    version: int


class UnstoredAnswer(msgspec.Struct, frozen=True, kw_only=True, tag="answer"):
    """
    An answer that nothing was stored of.

    Attributes:
        response_id: The response that it was made of.
        item_ids: The items that it was made of, as the client named them.
    """

    answer: JsonObject
    response_id: str | None = None
    item_ids: tuple[str, ...] = ()


Kept = CreatedConversation | AddedItems | CreatedPrompt | UnstoredAnswer
