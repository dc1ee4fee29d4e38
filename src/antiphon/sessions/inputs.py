"""
A turn's own input: from what the client sent to items with ids of ours.

An ``item_reference``, or an inline item that carries an id of this tenant with equal content, stands for the item
where it is stored already; an id with other content, or one that is not ours, gets a new id (design: "References").
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from antiphon.hub.errors import DuplicateItem, ItemNotFound
from antiphon.hub.ids import Family, IdFactory
from antiphon.hub.items import Item, JsonObject
from antiphon.sessions.payloads import Payloads
from antiphon.sessions.records import Entry, Reference, StoredItem
from antiphon.sessions.store import TenantStore

__all__ = ["InputItem", "entries_of", "in_slices", "mint_input", "resolve_input"]

T = TypeVar("T")
R = TypeVar("R")

# How many items are worked on before the event loop gets a turn: a slice stays under a millisecond or two.
_SLICE = 128

# Fields that an SDK adds or leaves out when it sends an item back; they carry nothing of their own when empty.
_EMPTY: tuple[object, ...] = (None, [], "")


class InputItem(msgspec.Struct, frozen=True):
    """
    An item of a turn's input.

    Attributes:
        stored: It stands somewhere already: the turn keeps a reference, not a copy.
        stored_bytes: Length of its payload where it stands, 0 for a new item.
    """

    item: Item
    stored: bool = False
    stored_bytes: int = 0


async def resolve_input(
    bodies: Sequence[JsonObject],
    *,
    history: Iterable[Item],
    store: TenantStore,
    payloads: Payloads,
    ids: IdFactory,
    family: Family,
) -> tuple[InputItem, ...]:
    """
    Give every input item its identity. One statement if the client sent any id, else none.

    Raises:
        ItemNotFound: A reference to an item that this tenant does not have.
        DuplicateItem: The history has the item already.
    """
    known = [body["id"] for body in bodies if "id" in body]
    if not known:
        return await mint_input(bodies, ids, family)
    found = await store.find_items(known)
    _refuse_duplicates(found, history)
    return tuple(await in_slices(bodies, lambda body: _resolve_one(body, found, payloads, ids, family)))


async def mint_input(bodies: Sequence[JsonObject], ids: IdFactory, family: Family) -> tuple[InputItem, ...]:
    """
    Give every item a new id, without looking for any that the client sent.

    Raises:
        ItemNotFound: A reference: there is nothing that it could stand for.
    """
    return tuple(await in_slices(bodies, lambda body: _unknown(body, ids, family)))


async def entries_of(items: Sequence[InputItem], payloads: Payloads) -> list[Entry]:
    """What the store keeps of a turn's input."""
    return await in_slices(items, lambda entry: _entry(entry, payloads))


async def in_slices(values: Sequence[T], work: Callable[[T], R]) -> list[R]:
    """What *work* makes of each value. The event loop goes on between slices of a list that is long."""
    done: list[R] = []
    for start in range(0, len(values), _SLICE):
        if start:
            await asyncio.sleep(0)
        done.extend([work(value) for value in values[start : start + _SLICE]])
    return done


def _entry(entry: InputItem, payloads: Payloads) -> Entry:
    return Reference(id=entry.item.id) if entry.stored else payloads.new_item(entry.item)


def _minted(body: JsonObject, ids: IdFactory, family: Family) -> Item:
    item_id = ids.item(body["type"], family)
    return Item(item_id, body["type"], {**body, "id": item_id})


def _refuse_duplicates(found: Mapping[str, StoredItem], history: Iterable[Item]) -> None:
    if not found:
        return
    for item in history:
        if item.id in found:
            raise DuplicateItem(item.id)


def _resolve_one(
    body: JsonObject,
    found: Mapping[str, StoredItem],
    payloads: Payloads,
    ids: IdFactory,
    family: Family,
) -> InputItem:
    item_id = body.get("id")
    stored = found.get(item_id) if item_id is not None else None
    if stored is not None:
        item = payloads.item(stored)
        if body["type"] == "item_reference" or _content(item.body) == _content(body):
            return InputItem(item, stored=True, stored_bytes=len(stored.payload or b""))
    return _unknown(body, ids, family)


def _unknown(body: JsonObject, ids: IdFactory, family: Family) -> InputItem:
    if body["type"] == "item_reference":
        raise ItemNotFound(
            f"Item with id '{body['id']}' not found. Items are not persisted when `store` is set to false. "
            "Try again with `store` set to true, or remove this item from your input.",
            param="input",
        )
    return InputItem(_minted(body, ids, family))


def _content(value: object) -> object:
    """A body without what says nothing: equal content compares equal however an SDK wrote it."""
    if isinstance(value, dict):
        return {
            key: _content(part) for key, part in value.items() if part not in _EMPTY and key not in ("id", "status")
        }
    if isinstance(value, list):
        return [_content(part) for part in value]
    return value
