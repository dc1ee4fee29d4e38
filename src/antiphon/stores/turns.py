"""
What ``put_session`` makes of a session before it is committed like any other turn. Pure; shared by the stores.

A session that was read and is put again has its items as :class:`StoredItem`; it may carry ids that are in use by the
very turn it replaces. :func:`settle_entries` says which entries become new items and which become references.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from antiphon.hub.errors import BaseErased, LeaseLost, StoreConflict
from antiphon.hub.ids import Family
from antiphon.sessions.records import Head, NewItem, NewTurn, Reference, StoredItem, StoredSession

__all__ = [
    "STANDS_ASIDE",
    "Settled",
    "attach_in_place_of",
    "base_erased",
    "check_family",
    "id_in_use",
    "is_same_place",
    "lease_lost",
    "settle_entries",
    "turn_of",
]

# Turns that are kept in a log of their own, so that the main line stays clean (design: "What enters").
STANDS_ASIDE: frozenset[str] = frozenset({"failed", "cancelled"})

Lookup = Callable[[str], StoredItem | None]


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """One entry, decided: a new item (*payload* given), or a reference to the item at *target*."""

    id: str
    type: str
    payload: bytes | None
    left_out: bool
    target: tuple[int, int] | None = None


def base_erased(reason: str) -> BaseErased:
    """The error of a turn whose ground is gone; *reason* says which part of it."""
    return BaseErased(f"{reason} Nothing was stored. Continue from an earlier response, or start anew.")


def lease_lost() -> LeaseLost:
    """The error of a turn whose lease is not in force any more."""
    return LeaseLost(
        "The conversation was deleted or edited while this turn ran, or its lease passed to another turn. "
        "Nothing was stored."
    )


def id_in_use(kind: str, object_id: str) -> StoreConflict:
    """The error of a new object whose id exists already."""
    return StoreConflict(f"The {kind} id '{object_id}' is in use. Nothing was stored.")


def check_family(family: Family, of_log: Family) -> None:
    """
    Refuse a turn that would stand in a log of another family.

    What is sealed under a family's key can be read as long as the family exists, and a family exists as long as it
    has a log; so a turn's payload must be of the family of its log.

    Raises:
        StoreConflict: The families differ.
    """
    if family != of_log:
        raise StoreConflict(f"The turn is of family '{family}', the log that it goes to of family '{of_log}'.")


def is_same_place(head: Head | None, other: Head) -> bool:
    """Whether *head* names the place of *other*: a session that was read and is put again says where it stood."""
    return head is not None and (head.log, head.position) == (other.log, other.position)


def turn_of(session: StoredSession, *, family: Family, attach: Head | None) -> NewTurn:
    """The turn that *session* describes, without its entries."""
    return NewTurn(
        response_id=session.response_id,
        family=family,
        attach=attach,
        aside=session.status in STANDS_ASIDE,
        output_index=session.output_index,
        previous_response_id=session.previous_response_id,
        conversation_id=session.conversation_id,
        status=session.status,
        model=session.model,
        alias=session.alias,
        provider=session.provider,
        created_at=session.created_at,
        completed_at=session.completed_at,
        usage=session.usage,
        expires_at=session.expires_at,
        ephemeral=session.ephemeral,
        payload=session.payload,
    )


def attach_in_place_of(
    head: Head, first_position: int, base: Head | None, log_first: int, *, is_chain: bool
) -> Head | None:
    """Where a turn that ends at *head* was attached, if its log begins at *log_first* and stands on *base*."""
    if first_position > head.position:
        return head
    # A forked conversation's log may hide what is below it, so it is a ground of its own.
    if first_position > log_first or (base is not None and not is_chain):
        return Head(log=head.log, position=first_position - 1, epoch=head.epoch)
    return base


def settle_entries(
    entries: Sequence[StoredItem | NewItem | Reference],
    find: Lookup,
    *,
    replaced: Mapping[str, StoredItem] | None = None,
) -> list[Settled]:
    """
    Decide for each entry whether it is a new item or a reference.

    Args:
        entries: The turn's own input, then its output.
        find: The item of the tenant that has this id now.
        replaced: Given when a turn is put in another's place: the items that the old turn had. With it, an item whose
            id is in use with equal content is referenced, and a reference to what went with the old turn is stored
            as an item of the new one.

    Raises:
        BaseErased: A reference points at nothing.
        StoreConflict: A new item's id is in use by another item, or given twice.
    """
    settled = [_settle(entry, find, replaced) for entry in entries]
    new = [entry.id for entry in settled if entry.target is None]
    if len(set(new)) != len(new):
        raise StoreConflict("Two new items of this turn have the same id.")
    return settled


def _settle(
    entry: StoredItem | NewItem | Reference, find: Lookup, replaced: Mapping[str, StoredItem] | None
) -> Settled:
    if entry.id is None:
        raise StoreConflict("An erased item cannot be stored again: it has no id.")
    found = find(entry.id)
    if isinstance(entry, Reference):
        lost = replaced.get(entry.id) if found is None and replaced else None
        if lost is not None:
            return _new(lost)
        if found is None:
            raise base_erased(f"The item '{entry.id}' that is referred to does not exist.")
        return _reference(found, left_out=False)
    if found is None:
        return _new(entry)
    if replaced is not None and (found.type, found.payload) == (entry.type, entry.payload):
        return _reference(found, left_out=entry.left_out)
    raise StoreConflict(f"The item id '{entry.id}' is in use by another item.")


def _new(item: StoredItem | NewItem) -> Settled:
    if item.payload is None:
        raise StoreConflict(f"The erased item '{item.id}' cannot be stored again: it has no payload.")
    return Settled(id=str(item.id), type=item.type, payload=item.payload, left_out=item.left_out)


def _reference(found: StoredItem, *, left_out: bool) -> Settled:
    return Settled(
        id=str(found.id), type=found.type, payload=None, left_out=left_out, target=(found.log, found.position)
    )
