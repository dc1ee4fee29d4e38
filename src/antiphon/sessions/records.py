"""
The records that a session store keeps and answers, as values.

Towards a store every payload is opaque bytes; what can be searched or ordered by stands beside it. Positions are
integers that begin at 0, grow without gaps along the *whole* path of a log (a fork's first position is the one after
its base), and are never reused: the position of an item is the number of items before it, so a history up to position
p is complete exactly if it has p + 1 entries.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from antiphon.hub.ids import Family, ItemId, LogId
from antiphon.hub.usage import Usage

__all__ = [
    "CONTINUABLE",
    "Claim",
    "Committed",
    "Conversation",
    "Entry",
    "Head",
    "History",
    "ItemPage",
    "Lease",
    "NewConversation",
    "NewDelivery",
    "NewItem",
    "NewTurn",
    "Page",
    "Reference",
    "ResponseHead",
    "Status",
    "StoredItem",
    "StoredSession",
]

Status = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]

# Turns that stand and may be continued (design: "What enters"). Failed and running ones may not.
CONTINUABLE: frozenset[str] = frozenset({"completed", "incomplete", "cancelled"})


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """The root of the records below: immutable, built by keyword."""


class Head(Record, frozen=True, kw_only=True):
    """
    Where a turn attaches.

    Attributes:
        log: The log.
        position: The last item that is part of the history; -1 before the first item.
        epoch: Removals of the log up to this epoch are in force.
    """

    log: LogId
    position: int
    epoch: int = 0


class NewItem(Record, frozen=True, kw_only=True):
    """
    An item to be stored.

    Attributes:
        left_out: Kept for its response only; neither replayed nor listed in a conversation (a tool call that was cut
            off before its arguments were whole).
    """

    id: ItemId
    type: str
    payload: bytes
    left_out: bool = False


class Reference(Record, frozen=True, kw_only=True):
    """An entry that points at an item where it stands already."""

    id: ItemId


Entry = NewItem | Reference


class StoredItem(Record, frozen=True, kw_only=True):
    """
    An item as a log shows it. A reference shows the id, type and payload of what it points at.

    Attributes:
        payload: None if it was erased: the position stays, the content is gone.
        removed: Hidden from the view that was asked for.
    """

    log: LogId
    position: int
    id: ItemId | None
    type: str
    payload: bytes | None
    left_out: bool = False
    removed: bool = False


class Lease(Record, frozen=True, kw_only=True):
    """
    The right to add to a conversation.

    Attributes:
        holder: Who holds it; unique per turn.
        epoch: Fencing number: grows with every acquisition, and a commit under an older one is refused.
    """

    conversation_id: str
    holder: str
    epoch: int


class Claim(Record, frozen=True, kw_only=True):
    """
    The right to work on a pending turn.

    Attributes:
        holder: The process that works on it.
        epoch: Fencing number: grows whenever the turn changes hands; what is written under an older one is refused.
    """

    response_id: str
    holder: str
    epoch: int


class NewDelivery(Record, frozen=True, kw_only=True):
    """A webhook that has to be delivered. *payload* holds everything about it; the store only keeps its time."""

    id: str
    response_id: str
    created_at: int
    payload: bytes


class NewTurn(Record, frozen=True, kw_only=True):
    """
    A finished turn, to be committed whole or not at all.

    Attributes:
        attach: The head that it stands on; None for a turn without history.
        lease: Given for a turn inside a conversation: the turn goes to the end of the conversation's log and is
            refused if the lease was lost, or if that end is not *attach* any more (which may be None: any end will do).
        aside: The turn failed or was cancelled: its items go to a log of their own, based at *attach*, and the main
            line stays as it was.
        entries: The turn's own input, then its output.
        output_index: How many of *entries* are input.
        payload: The response without its output.
        trace: Where its stream was cut, for :mod:`antiphon.streams.trace`.
        expires_at: Seconds since the epoch, or None for ever.
        ephemeral: Kept for a short while for those who poll it: nothing may stand on it.
        terms: What it is found by in lists.
        claim: Given for a pending turn, whose row it replaces.
        deliveries: Webhooks that tell of it.
        seal: What is kept with its family, from the codec. The family is founded with it if it is new; if the store
            has it with another seal, nothing is stored.
        end_user: A keyed hash of the end user on whose behalf it was made; None if none was named.
    """

    response_id: str
    family: Family
    seal: bytes = b""
    end_user: bytes | None = None
    attach: Head | None
    lease: Lease | None = None
    claim: Claim | None = None
    aside: bool = False
    ephemeral: bool = False
    entries: tuple[Entry, ...] = ()
    output_index: int = 0
    previous_response_id: str | None = None
    conversation_id: str | None = None
    status: Status
    model: str
    alias: str
    provider: str = ""
    created_at: int
    completed_at: int | None = None
    usage: Usage | None = None
    expires_at: int | None = None
    payload: bytes
    trace: bytes = b""
    terms: tuple[bytes, ...] = ()
    deliveries: tuple[NewDelivery, ...] = ()


class Committed(Record, frozen=True, kw_only=True):
    """
    What a commit decided.

    Attributes:
        head: The position after this turn: what a continuation stands on.
        created_at: Clamped so that it never runs backwards within a conversation.
    """

    head: Head
    first_position: int
    created_at: int
    insertion_index: int


class StoredSession(Record, frozen=True, kw_only=True):
    """
    One stored turn.

    Attributes:
        messages: This turn's own input items, then its output items. The history before them is reached through
            *head*, never copied. Items whose payload was erased are left out.
        output_index: How many of *messages* are input.
        head: The log and position of the turn's last item (the attach point, if it has none).
        first_position: The position of the turn's first item.
        insertion_index: Per-tenant counter; an overwrite keeps it. 0 on the way in.
        metadata: Always empty towards a store: titles and metadata are inside *payload*, which only the sessions layer
            can open.
        payload: The response without its output, as the codec wrote it.
        ephemeral: See :class:`NewTurn`.
    """

    response_id: str
    conversation_id: str | None = None
    previous_response_id: str | None = None
    messages: tuple[StoredItem | NewItem | Reference, ...] = ()
    output_index: int = 0
    model: str = ""
    alias: str = ""
    provider: str = ""
    status: Status = "completed"
    created_at: int = 0
    completed_at: int | None = None
    insertion_index: int = 0
    expires_at: int | None = None
    usage: Usage | None = None
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    payload: bytes = b""
    ephemeral: bool = False
    family: Family = Family("")
    head: Head | None = None
    first_position: int = 0


class ResponseHead(Record, frozen=True, kw_only=True):
    """Where a stored response ends and whether it may be continued; read without its items."""

    response_id: str
    family: Family
    head: Head
    status: Status
    conversation_id: str | None
    ephemeral: bool = False


class History(Record, frozen=True, kw_only=True):
    """
    Everything that a continuation stands on.

    Attributes:
        items: Oldest first, across the bases of forked logs, one entry for each position from 0 to ``head.position``,
            removed and left-out ones included and marked.
        status: Of the response that is continued; ``completed`` for a conversation.
        last_created_at: Of the newest turn of the conversation; 0 without one.
    """

    head: Head
    family: Family
    status: Status = "completed"
    items: tuple[StoredItem, ...] = ()
    conversation_id: str | None = None
    last_created_at: int = 0
    ephemeral: bool = False


class NewConversation(Record, frozen=True, kw_only=True):
    """
    A conversation to be created, with its first items.

    Attributes:
        payload: Holds the metadata.
        terms: What it is found by in lists.
        seal: As of :class:`NewTurn`.
    """

    id: str
    family: Family
    seal: bytes = b""
    created_at: int
    payload: bytes
    entries: tuple[Entry, ...] = ()
    terms: tuple[bytes, ...] = ()


class Conversation(Record, frozen=True, kw_only=True):
    """A stored conversation. *head* is its present end."""

    id: str
    family: Family
    created_at: int
    payload: bytes
    head: Head


class Page(Record, frozen=True, kw_only=True):
    """
    Which part of a list is asked for.

    Attributes:
        after: The id of the item after which the page begins, in the page's order.
    """

    limit: int = 20
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None


class ItemPage(Record, frozen=True, kw_only=True):
    """One page of a list of items; removed, left-out and erased ones are not in it."""

    items: tuple[StoredItem, ...]
    has_more: bool
