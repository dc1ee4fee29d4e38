"""
What clients ask of the library (lists, forks, exports, prompts), decoded; and the dialect that they ask it in.

None of it runs a turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from antiphon.hub.items import JsonObject
from antiphon.hub.prompt import Prompt

__all__ = [
    "AuditRequest",
    "ConversationDraft",
    "CursorPage",
    "Deletion",
    "ForkDraft",
    "ItemLine",
    "LibraryFormat",
    "ListRequest",
]

Query = Mapping[str, Sequence[str]]

# A line of a file of items, with its number from 1.
ItemLine = tuple[int, JsonObject]


class ListRequest(msgspec.Struct, frozen=True, kw_only=True):
    """
    Decoded query parameters of a list of responses or conversations.

    Attributes:
        after: The id of the object after which the page begins.
        metadata: Names and values that an object has to have, all of them.
        created_after: Seconds since the epoch; what was created in that very second is not shown.
        created_before: Likewise.
        model, status, conversation, include: Of responses only.
    """

    limit: int = 20
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None
    include: frozenset[str] = frozenset()
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    created_after: int | None = None
    created_before: int | None = None
    model: str | None = None
    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"] | None = None
    conversation: str | None = None


class CursorPage(msgspec.Struct, frozen=True, kw_only=True):
    """Decoded query parameters of a list that is always newest first: of prompts, of deliveries."""

    limit: int = 20
    after: str | None = None


class Deletion(msgspec.Struct, frozen=True, kw_only=True):
    """
    Decoded query parameters of a deletion.

    Attributes:
        cascade: Whatever stands on it goes too.
        receipt: The answer says what was erased.
        dry_run: Nothing is erased, and the answer says what would be.
    """

    cascade: bool = False
    receipt: bool = False
    dry_run: bool = False


class AuditRequest(msgspec.Struct, frozen=True, kw_only=True):
    """
    Decoded query parameters of the audit trail.

    Attributes:
        after: The index of the entry after which the page begins.
        object_id, actor: Only entries that have these.
    """

    after: int = 0
    limit: int = 100
    object_id: str | None = None
    actor: str | None = None


class ConversationDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A decoded ``POST /v1/conversations``: full items as in :attr:`TurnRequest.input`, and metadata."""

    items: tuple[JsonObject, ...] = ()
    metadata: dict[str, str] = msgspec.field(default_factory=dict)


class ForkDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A decoded ``POST /v1/conversations/{id}/fork``: *at* is the last item that the fork has; None is all of them."""

    at: str | None = None
    metadata: dict[str, str] = msgspec.field(default_factory=dict)


class LibraryFormat(Protocol):
    """The requests and answers of the library. Every ``decode`` raises InvalidRequest and names what is wrong."""

    def decode_shown(self, query: Query) -> frozenset[str]:
        """The ``include`` of a query that has nothing else."""
        ...

    def decode_deletion(self, query: Query) -> Deletion:
        """The query of a response's or conversation's deletion."""
        ...

    def decode_erasure(self, query: Query) -> bool:
        """The ``dry_run`` of ``DELETE /v1/end_users/{end_user}``."""
        ...

    def decode_audit(self, query: Query) -> AuditRequest:
        """The query of ``GET /v1/audit``."""
        ...

    def decode_response_list(self, query: Query) -> ListRequest:
        """The query of ``GET /v1/responses``."""
        ...

    def decode_conversation_list(self, query: Query) -> ListRequest:
        """The query of ``GET /v1/conversations``."""
        ...

    def decode_fork(self, body: JsonObject) -> ForkDraft:
        """``POST /v1/conversations/{id}/fork``."""
        ...

    def decode_rewind(self, body: JsonObject) -> str:
        """``POST /v1/conversations/{id}/rewind``: the id of the item or response that is to be the last."""
        ...

    def decode_import(self, lines: Iterable[ItemLine]) -> ConversationDraft:
        """``POST /v1/conversations/import``: the items have no ids any more."""
        ...

    def decode_prompt(self, body: JsonObject) -> Prompt:
        """``POST /v1/prompts`` and ``POST /v1/prompts/{id}``."""
        ...

    def decode_delivery_list(self, query: Query) -> CursorPage:
        """
        Read the query of ``GET /v1/webhook_deliveries``.

        Raises:
            InvalidRequest: Names the first parameter that is wrong or unknown.
        """
        ...

    def decode_prompt_list(self, query: Query) -> CursorPage:
        """The query of ``GET /v1/prompts``."""
        ...

    def decode_prompt_version(self, query: Query) -> str | None:
        """The ``version`` of ``GET /v1/prompts/{id}``."""
        ...
