"""
What an erasure in memory took: the difference between what there was and what there is.

So a receipt cannot forget anything, and a dry run, which is carried out on a copy, cannot promise anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import msgspec

from antiphon.hub.ids import Family
from antiphon.sessions.codec import Table
from antiphon.sessions.directory import Erasure
from antiphon.stores.memory_access import TenantAccess
from antiphon.stores.memory_payloads import PAYLOAD_TABLES, payloads_of
from antiphon.stores.memory_state import State

__all__ = ["Inventory", "erasing", "inventory_of", "receipt_of"]

# The rows that follow from responses and conversations, by the table that they are counted under.
_FOLLOWING: Final[tuple[Table, ...]] = ("stream_events", "pending", "idempotency", "deliveries")
_TERMS: Final = "metadata_index"

T = TypeVar("T", bound=TenantAccess)


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """
    What there is of a tenant.

    Attributes:
        sizes: The length of each payload, by table and row.
        sealed: The families that are kept with a seal.
        terms: How many terms responses and conversations, stored or pending, are found by.
    """

    responses: frozenset[str]
    conversations: frozenset[str]
    prompts: frozenset[str]
    sizes: Mapping[Table, Mapping[str, int]]
    sealed: frozenset[Family]
    terms: int


def inventory_of(state: State) -> Inventory:
    """What there is now."""
    return Inventory(
        responses=frozenset(state.responses.keys() | state.work.pending.keys()),
        conversations=frozenset(state.conversations),
        prompts=frozenset(state.prompts),
        sizes={
            table: {row_id: len(payload) for row_id, payload in payloads_of(state, table).items()}
            for table in PAYLOAD_TABLES
        },
        sealed=frozenset(family for family, seal in state.families.items() if seal),
        terms=_terms_of(state),
    )


def receipt_of(before: Inventory, after: Inventory) -> Erasure:
    """What went between two looks at a tenant to which nothing was added."""
    gone = {
        table: [size for row_id, size in before.sizes[table].items() if row_id not in after.sizes[table]]
        for table in PAYLOAD_TABLES
    }
    other = {str(table): len(gone[table]) for table in _FOLLOWING} | {_TERMS: before.terms - after.terms}
    return Erasure(
        responses=tuple(sorted(before.responses - after.responses)),
        conversations=tuple(sorted(before.conversations - after.conversations)),
        prompts=tuple(sorted(before.prompts - after.prompts)),
        items=len(gone["items"]),
        other={table: count for table, count in other.items() if count},
        keys_destroyed=len(before.sealed - after.sealed),
        payload_bytes=sum(map(sum, gone.values())),
    )


def erasing(tenant: T, erase: Callable[[T], bool], *, dry_run: bool) -> Erasure | None:
    """Carry *erase* out, in a dry run on a copy. Returns what went; None if *erase* found nothing to do (False)."""
    place = tenant.rehearsal() if dry_run else tenant
    before = inventory_of(place.state)
    return receipt_of(before, inventory_of(place.state)) if erase(place) else None


def _terms_of(state: State) -> int:
    found = [row.turn.terms for row in state.responses.values()]
    found += [row.terms for row in state.conversations.values()]
    found += [row.new.terms for row in state.work.pending.values() if row.insertion_index is not None]
    return sum(len(set(terms)) for terms in found)
