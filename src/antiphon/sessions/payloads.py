"""
Items and their payloads: what is inside the bytes that a store keeps.

An item's payload is the JSON array ``[body]``, or ``[body, private]`` for an item that one provider needs something
back with. A response's payload is the response without its output, in the compact form of
:mod:`antiphon.hub.response`, with ``origin`` (its dialect and words) if it was asked for in another dialect. A
conversation's payload is its metadata; the secret's is its bytes in hex.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import cast

import msgspec

from antiphon.hub.errors import StoreCorrupt
from antiphon.hub.ids import Family, ItemId, TenantId
from antiphon.hub.items import Item, JsonObject, Private
from antiphon.hub.origin import Origin
from antiphon.hub.response import expand
from antiphon.sessions.codec import Codec, Keys, Place, Table
from antiphon.sessions.records import Conversation, NewItem, StoredItem
from antiphon.sessions.slices import in_slices
from antiphon.sessions.turn_payloads import TurnPayloads, family_of, written_response

__all__ = ["Payloads"]

_SECRET = "secret"  # noqa: S105 - the id of the one row of its table


class Payloads:
    """
    One tenant's payloads, written and read through a codec.

    A payload's family is the one inside its row's own id, so that it can be opened wherever it is referred to. A family
    has to exist, or to be founded (:meth:`found`), before anything is written in it.

    Every method may wait for keys, and raises:
        KeysUnavailable: The key service does not answer.
        StoreCorrupt: A payload cannot be opened at its place, or its family was erased.
    """

    def __init__(self, codec: Codec, tenant: TenantId) -> None:
        self._codec = codec
        self._tenant = tenant

    async def found(self, family: Family, *, is_new: bool = False) -> bytes:
        """What the store has to keep with a family. See :meth:`Codec.found`."""
        return await self._codec.found(self._tenant, family, is_new=is_new)

    def forget_keys(self) -> None:
        """See :meth:`Codec.forget`."""
        self._codec.forget(self._tenant)

    # Items.

    async def of_turn(self, items: Iterable[Item], response_id: str | None = None) -> TurnPayloads:
        """What writes these new items, and what else is kept of a response."""
        families = {family_of("items", item.id) for item in items}
        if response_id is not None:
            families.add(family_of("responses", response_id))
        return TurnPayloads(await self._keys(families), self._tenant)

    async def new_items(self, items: Sequence[Item], *, of_output: bool = False) -> list[NewItem]:
        """
        The records of items that are stored for the first time.

        Args:
            of_output: They are a turn's output, of which calls that were cut off are left out from then on.
        """
        if not items:
            return []
        return await (await self.of_turn(items)).new_items(items, of_output=of_output)

    async def items(self, stored: Sequence[StoredItem]) -> list[Item]:
        """
        The items of records.

        Raises:
            StoreCorrupt: A payload is gone, or cannot be opened.
        """
        if not stored:
            return []
        families = {family_of("items", item.id or "") for item in stored}
        keys = await self._keys(families, [item.payload for item in stored if item.payload is not None])
        return await in_slices(stored, lambda item: self._item(keys, item))

    async def item(self, stored: StoredItem) -> Item:
        """The item of a record."""
        return (await self.items((stored,)))[0]

    def _item(self, keys: Keys, stored: StoredItem) -> Item:
        if stored.payload is None or stored.id is None:
            raise StoreCorrupt(f"The item at position {stored.position} of a history is gone.")
        value = keys.decode(stored.payload, self._place("items", stored.id))
        if not isinstance(value, list) or not value or not isinstance(value[0], dict):
            raise StoreCorrupt(f"The stored payload of item '{stored.id}' has an unknown form.")
        private = msgspec.convert(value[1], Private) if len(value) > 1 else None
        return Item(ItemId(stored.id), stored.type, value[0], private)

    # Responses.

    async def response(self, response: JsonObject, origin: Origin | None) -> bytes:
        """The payload of a response that is stored already; its output is stored as items."""
        return await self._encode(written_response(response, origin), "responses", response["id"])

    async def open_response(self, payload: bytes, response_id: str) -> JsonObject:
        """A stored response, without its output."""
        return (await self.open_with_origin(payload, response_id))[0]

    async def open_with_origin(self, payload: bytes, response_id: str) -> tuple[JsonObject, Origin | None]:
        """A stored response, without its output; and its origin, if it was asked for in another dialect."""
        written = cast(JsonObject, await self._decode(payload, "responses", response_id))
        origin = written.get("origin")
        return expand(written), None if origin is None else Origin(dialect=origin[0], words=origin[1])

    async def open_trace(self, payload: bytes, response_id: str) -> object:
        """A stored trace."""
        return await self._decode(payload, "traces", response_id)

    async def pending(self, turn: JsonObject, response_id: str) -> bytes:
        """The payload of a pending turn."""
        return await self._encode(turn, "pending", response_id)

    async def open_pending(self, payload: bytes, response_id: str) -> JsonObject:
        """A pending turn."""
        return cast(JsonObject, await self._decode(payload, "pending", response_id))

    async def events(self, events: list[JsonObject], response_id: str, first: int) -> bytes:
        """The payload of a group of events; *first* is the sequence number of the first of them."""
        return await self._encode(events, "stream_events", f"{response_id}/{first}")

    async def open_events(self, payload: bytes, response_id: str, first: int) -> list[JsonObject]:
        """A group of events."""
        return cast(list[JsonObject], await self._decode(payload, "stream_events", f"{response_id}/{first}"))

    # Conversations.

    async def metadata(self, metadata: dict[str, str], conversation_id: str) -> bytes:
        """The payload of a conversation."""
        return await self._encode(metadata, "conversations", conversation_id)

    async def open_metadata(self, conversations: Sequence[Conversation]) -> list[dict[str, str]]:
        """The metadata of each of some conversations."""
        if not conversations:
            return []
        families = {family_of("conversations", conversation.id) for conversation in conversations}
        keys = await self._keys(families, [conversation.payload for conversation in conversations])
        return await in_slices(
            conversations,
            lambda found: cast(dict[str, str], keys.decode(found.payload, self._place("conversations", found.id))),
        )

    # What belongs to the tenant as a whole.

    async def answer(self, answer: JsonObject, key: bytes) -> bytes:
        """The payload of what is kept of an idempotent request's answer; *key* is the hash that it is kept under."""
        return await self._encode(answer, "idempotency", key.hex())

    async def open_answer(self, payload: bytes, key: bytes) -> JsonObject:
        """What was kept of an answer."""
        return cast(JsonObject, await self._decode(payload, "idempotency", key.hex()))

    async def prompt(self, prompt: JsonObject, prompt_id: str, version: int) -> bytes:
        """The payload of a version of a prompt."""
        return await self._encode(prompt, "prompts", f"{prompt_id}/{version}")

    async def open_prompt(self, payload: bytes, prompt_id: str, version: int) -> JsonObject:
        """A version of a prompt."""
        return cast(JsonObject, await self._decode(payload, "prompts", f"{prompt_id}/{version}"))

    async def webhook(self, webhook: JsonObject, delivery_id: str) -> bytes:
        """The payload of a delivery."""
        return await self._encode(webhook, "deliveries", delivery_id)

    async def open_webhook(self, payload: bytes, delivery_id: str) -> JsonObject:
        """A stored webhook."""
        return cast(JsonObject, await self._decode(payload, "deliveries", delivery_id))

    async def secret(self, secret: bytes) -> bytes:
        """The payload of the tenant's secret."""
        return await self._encode(secret.hex(), "secrets", _SECRET)

    async def open_secret(self, payload: bytes) -> bytes:
        """The tenant's secret."""
        value = await self._decode(payload, "secrets", _SECRET)
        try:
            return bytes.fromhex(cast(str, value))
        except (TypeError, ValueError):
            raise StoreCorrupt("The stored secret of a tenant has an unknown form.") from None

    # Keys.

    async def _encode(self, value: object, table: Table, row_id: str) -> bytes:
        place = self._place(table, row_id)
        return (await self._keys((place.family,))).encode(value, place)

    async def _decode(self, payload: bytes, table: Table, row_id: str) -> object:
        place = self._place(table, row_id)
        return (await self._keys((place.family,), (payload,))).decode(payload, place)

    async def _keys(self, families: Collection[Family], payloads: Collection[bytes] = ()) -> Keys:
        return await self._codec.keys(self._tenant, families, payloads=payloads)

    def _place(self, table: Table, row_id: str) -> Place:
        return Place(self._tenant, family_of(table, row_id), table, row_id)
