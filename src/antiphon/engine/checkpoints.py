"""
Compaction items: what is in them, and what a context looks like behind one.

A compaction item holds, sealed, a summary of everything before it. Clients carry it like any other item and see nothing
of it; what was stored is not changed by it. When a context is made for a model, :func:`expand` puts the latest summary
in the place of what it stands for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from antiphon.engine.context import Context
from antiphon.engine.units import call_pairs, with_reasoning
from antiphon.hub.errors import InvalidEncryptedContent
from antiphon.hub.ids import ItemId, TenantId
from antiphon.hub.items import Item

__all__ = ["Checkpoint", "CheckpointSeal", "Sealing", "expand", "summary_message"]

_TYPE = "compaction"
_PURPOSE = "compaction"
_SUMMARY = (
    "This is a summary of the conversation so far. The messages that it stands for are not shown any more.\n\n"
    "{summary}\n\n"
    "End of the summary. Go on from here."
)


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a compaction item holds.

    Attributes:
        v: The version of this form.
        summary: Of everything before the item.
        kept: How many items right before it are shown to the model all the same, word for word.
    """

    v: Literal[1] = 1
    summary: str
    kept: int = 0


class Sealing(Protocol):
    """Authenticated encryption under a tenant's own key, such as :class:`antiphon.crypto.Sealer`."""

    def seal(self, plaintext: bytes, aad: Sequence[str]) -> str:
        """A text that only :meth:`open` with the same key and *aad* can read."""
        ...

    def open(self, text: str, aad: Sequence[str]) -> bytes:
        """
        What was sealed.

        Raises:
            InvalidEncryptedContent: It was not sealed with this key for this *aad*, or was altered since.
        """
        ...


class CheckpointSeal:
    """Writes and reads the ``encrypted_content`` of one tenant's compaction items."""

    def __init__(self, sealing: Sealing, tenant: TenantId) -> None:
        self._sealing = sealing
        self._aad = (_PURPOSE, tenant)

    def item(self, item_id: ItemId, checkpoint: Checkpoint) -> Item:
        """The compaction item that holds *checkpoint*."""
        sealed = self._sealing.seal(msgspec.json.encode(checkpoint), self._aad)
        return Item(item_id, _TYPE, {"id": item_id, "type": _TYPE, "encrypted_content": sealed})

    def open(self, item: Item) -> Checkpoint:
        """
        What a compaction item holds.

        Raises:
            InvalidEncryptedContent: It is not one of this tenant's, or was altered.
        """
        try:
            sealed = self._sealing.open(item.body["encrypted_content"], self._aad)
            return msgspec.json.decode(sealed, type=Checkpoint)
        except (InvalidEncryptedContent, msgspec.DecodeError):
            raise InvalidEncryptedContent(item.id) from None


def expand(items: Sequence[Item], seal: CheckpointSeal, *, input_items: int = 0) -> Context:
    """
    What the model is given of a resolved turn.

    The latest compaction item becomes a message with its summary. What stands before it is left out, earlier compaction
    items included, but for the items that it keeps, and for tool calls that are answered only after it: they follow
    the summary, so that no output is without its call. Without a compaction item everything stays as it is.

    The message is the user's. Every chat template takes one in any place, while many refuse a system message that is
    not the first; and a summary is made of what users and tools said, so it must not speak with more authority.

    Args:
        items: History, then the turn's own input.
        input_items: How many of them are the turn's own input.

    Raises:
        InvalidEncryptedContent: The latest compaction item is not one of this tenant's, or was altered.
    """
    place = _latest(items)
    if place is None:
        return Context(items=tuple(items), input_items=input_items)
    checkpoint = seal.open(items[place])
    partners = _partners(items)
    carried = with_reasoning(items, {call for call in range(place) if partners.get(call, -1) > place})
    first_kept = max(0, place - checkpoint.kept)
    kept = [
        index
        for index in range(first_kept, place)
        if index not in carried and items[index].type != _TYPE and first_kept <= partners.get(index, index) < place
    ]
    shown = [items[index] for index in kept]
    follows = [items[index] for index in sorted(carried)]
    return Context(
        items=(*shown, summary_message(items[place].id, checkpoint.summary), *follows, *items[place + 1 :]),
        input_items=input_items,
        summary=len(shown),
        compacted=place - len(kept) - len(carried),
    )


def summary_message(item_id: ItemId, summary: str) -> Item:
    """A summary as the model reads it."""
    content = [{"type": "input_text", "text": _SUMMARY.format(summary=summary)}]
    body = {"id": item_id, "type": "message", "role": "user", "status": "completed", "content": content}
    return Item(item_id, "message", body)


def _latest(items: Sequence[Item]) -> int | None:
    return next((place for place in range(len(items) - 1, -1, -1) if items[place].type == _TYPE), None)


def _partners(items: Sequence[Item]) -> dict[int, int]:
    """For the place of a call that of its output, and the other way round."""
    answered = {call: output for call, output in call_pairs(items).items() if output is not None}
    return answered | {output: call for call, output in answered.items()}
