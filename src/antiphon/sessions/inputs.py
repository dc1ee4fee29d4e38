"""
A turn's own input: from what the client sent to items with ids of ours.

An ``item_reference``, or an inline item that carries an id of this tenant with equal content, stands for the item
where it is stored already; an id with other content, or one that is not ours, gets a new id (design: "References").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from antiphon.hub.errors import DuplicateItem, ItemNotFound
from antiphon.hub.ids import Family, IdFactory
from antiphon.hub.items import Item, JsonObject
from antiphon.sessions.payloads import Payloads
from antiphon.sessions.records import Entry, Reference
from antiphon.sessions.reread import reread_if_erased
from antiphon.sessions.slices import in_slices
from antiphon.sessions.store import TenantStore
from antiphon.sessions.turn_payloads import TurnPayloads

__all__ = ["InputItem", "entries_of", "mint_input", "new_among", "resolve_input", "taken_in"]

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
    found = await _found(known, store, payloads)
    _refuse_duplicates(found, history)
    return tuple(await in_slices(bodies, lambda body: _resolve_one(body, found, ids, family)))


async def mint_input(bodies: Sequence[JsonObject], ids: IdFactory, family: Family) -> tuple[InputItem, ...]:
    """
    Give every item a new id, without looking for any that the client sent.

    Raises:
        ItemNotFound: A reference: there is nothing that it could stand for.
    """
    return tuple(await in_slices(bodies, lambda body: _unknown(body, ids, family)))


async def taken_in(
    context: Sequence[Item], *, store: TenantStore, ids: IdFactory, family: Family
) -> tuple[InputItem, ...]:
    """
    A context that was kept elsewhere, as the input of a turn that is stored: what is stored already is referred to.

    What is not gets an id of the turn's own family, since nothing was ever kept of the one that it has.
    """
    found = await store.find_items([item.id for item in context]) if context else {}

    def take(item: Item) -> InputItem:
        stored = found.get(item.id)
        if stored is None:
            return InputItem(_reminted(item, ids, family))
        return InputItem(item, stored=True, stored_bytes=len(stored.payload or b""))

    return tuple(await in_slices(context, take))


async def entries_of(items: Sequence[InputItem], payloads: Payloads | TurnPayloads) -> list[Entry]:
    """What the store keeps of a turn's input."""
    new = iter(await payloads.new_items(new_among(items)))
    return [Reference(id=entry.item.id) if entry.stored else next(new) for entry in items]


def new_among(items: Sequence[InputItem]) -> list[Item]:
    """The items of a turn's input that do not stand anywhere yet."""
    return [entry.item for entry in items if not entry.stored]


class _Found(msgspec.Struct, frozen=True):
    item: Item
    stored_bytes: int


@reread_if_erased
async def _found(ids: Sequence[str], store: TenantStore, payloads: Payloads) -> dict[str, _Found]:
    stored = await store.find_items(ids)
    items = await payloads.items(list(stored.values()))
    return {
        item_id: _Found(item, len(record.payload or b""))
        for (item_id, record), item in zip(stored.items(), items, strict=True)
    }


def _reminted(item: Item, ids: IdFactory, family: Family) -> Item:
    item_id = ids.item(item.type, family)
    return Item(item_id, item.type, {**item.body, "id": item_id}, item.private)


def _minted(body: JsonObject, ids: IdFactory, family: Family) -> Item:
    item_id = ids.item(body["type"], family)
    return Item(item_id, body["type"], {**body, "id": item_id})


def _refuse_duplicates(found: Mapping[str, _Found], history: Iterable[Item]) -> None:
    if not found:
        return
    for item in history:
        if item.id in found:
            raise DuplicateItem(item.id)


def _resolve_one(
    body: JsonObject,
    found: Mapping[str, _Found],
    ids: IdFactory,
    family: Family,
) -> InputItem:
    item_id = body.get("id")
    stored = found.get(item_id) if item_id is not None else None
    if stored is not None and (body["type"] == "item_reference" or _content(stored.item.body) == _content(body)):
        return InputItem(stored.item, stored=True, stored_bytes=stored.stored_bytes)
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
