"""
Items and their payloads: what is inside the bytes that a store keeps.

An item's payload is the JSON array ``[body]``, or ``[body, private]`` for an item that one provider needs something
back with. A response's payload is the response without its output, in the compact form of
:mod:`antiphon.hub.response`. A conversation's payload is its metadata.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from antiphon.hub.errors import StoreCorrupt
from antiphon.hub.ids import Family, ItemId, TenantId
from antiphon.hub.items import Item, JsonObject, Private
from antiphon.hub.response import compact, expand
from antiphon.sessions.codec import Codec, Place, Table
from antiphon.sessions.records import NewItem, StoredItem

__all__ = ["Payloads"]


class Payloads:
    """
    One tenant's payloads, written and read through a codec.

    A payload's family is the one inside its row's own id, so that it can be opened wherever it is referred to.
    """

    def __init__(self, codec: Codec, tenant: TenantId) -> None:
        self._codec = codec
        self._tenant = tenant

    def new_item(self, item: Item, *, left_out: bool = False) -> NewItem:
        """The record of an item that is stored for the first time."""
        value = [item.body] if item.private is None else [item.body, msgspec.to_builtins(item.private)]
        place = self._place("items", item.id)
        return NewItem(id=item.id, type=item.type, payload=self._codec.encode(value, place), left_out=left_out)

    def item(self, stored: StoredItem) -> Item:
        """
        The item of a record.

        Raises:
            StoreCorrupt: The payload is gone or cannot be opened.
        """
        if stored.payload is None or stored.id is None:
            raise StoreCorrupt(f"The item at position {stored.position} of a history is gone.")
        value = self._codec.decode(stored.payload, self._place("items", stored.id))
        if not isinstance(value, list) or not value or not isinstance(value[0], dict):
            raise StoreCorrupt(f"The stored payload of item '{stored.id}' has an unknown form.")
        private = msgspec.convert(value[1], Private) if len(value) > 1 else None
        return Item(ItemId(stored.id), stored.type, value[0], private)

    def response(self, response: JsonObject) -> bytes:
        """The payload of a response; its output is stored as items."""
        return self._codec.encode(compact(response), self._place("responses", response["id"]))

    def open_response(self, payload: bytes, response_id: str) -> JsonObject:
        """A stored response, without its output."""
        value = self._codec.decode(payload, self._place("responses", response_id))
        return expand(cast(JsonObject, value))

    def trace(self, trace: object, response_id: str) -> bytes:
        """The payload of a response's trace."""
        return self._codec.encode(trace, self._place("traces", response_id))

    def open_trace(self, payload: bytes, response_id: str) -> object:
        """A stored trace."""
        return self._codec.decode(payload, self._place("traces", response_id))

    def pending(self, turn: JsonObject, response_id: str) -> bytes:
        """The payload of a pending turn."""
        return self._codec.encode(turn, self._place("pending", response_id))

    def open_pending(self, payload: bytes, response_id: str) -> JsonObject:
        """A pending turn."""
        return cast(JsonObject, self._codec.decode(payload, self._place("pending", response_id)))

    def events(self, events: list[JsonObject], response_id: str) -> bytes:
        """The payload of a group of events."""
        return self._codec.encode(events, self._place("stream_events", response_id))

    def open_events(self, payload: bytes, response_id: str) -> list[JsonObject]:
        """A group of events."""
        return cast(list[JsonObject], self._codec.decode(payload, self._place("stream_events", response_id)))

    def answer(self, answer: JsonObject, key: bytes) -> bytes:
        """The payload of what is kept of an idempotent request's answer; *key* is the hash that it is kept under."""
        return self._codec.encode(answer, self._place("idempotency", key.hex()))

    def open_answer(self, payload: bytes, key: bytes) -> JsonObject:
        """What was kept of an answer."""
        return cast(JsonObject, self._codec.decode(payload, self._place("idempotency", key.hex())))

    def prompt(self, prompt: JsonObject, prompt_id: str) -> bytes:
        """The payload of a version of a prompt."""
        return self._codec.encode(prompt, self._place("prompts", prompt_id))

    def open_prompt(self, payload: bytes, prompt_id: str) -> JsonObject:
        """A version of a prompt."""
        return cast(JsonObject, self._codec.decode(payload, self._place("prompts", prompt_id)))

    def webhook(self, webhook: JsonObject, delivery_id: str) -> bytes:
        """The payload of a delivery."""
        return self._codec.encode(webhook, self._place("deliveries", delivery_id))

    def open_webhook(self, payload: bytes, delivery_id: str) -> JsonObject:
        """A stored webhook."""
        return cast(JsonObject, self._codec.decode(payload, self._place("deliveries", delivery_id)))

    def metadata(self, metadata: dict[str, str], conversation_id: str) -> bytes:
        """The payload of a conversation."""
        return self._codec.encode(metadata, self._place("conversations", conversation_id))

    def open_metadata(self, payload: bytes, conversation_id: str) -> dict[str, str]:
        """A conversation's metadata."""
        value: Any = self._codec.decode(payload, self._place("conversations", conversation_id))
        return cast(dict[str, str], value)

    def _place(self, table: Table, row_id: str) -> Place:
        return Place(self._tenant, Family(row_id[-50:-34]), table, row_id)
