"""The endpoints of ``/v1/conversations`` and of the items in them."""

from __future__ import annotations

from antiphon.engine.gateway import Gateway
from antiphon.hub.format import PageRequest, StateFormat
from antiphon.hub.items import JsonObject
from antiphon.server.body import BodyLimits, malformed_body
from antiphon.server.exchange import Exchange
from antiphon.server.lists import list_body, page_body
from antiphon.server.once import created_once
from antiphon.sessions.conversations import ListedItems
from antiphon.sessions.work import Settle

__all__ = ["ConversationsEndpoints"]


class ConversationsEndpoints:
    """Create, retrieve, update, delete, fork and rewind conversations; add, retrieve, list and delete their items."""

    def __init__(self, gateway: Gateway, state_format: StateFormat, *, body_limits: BodyLimits) -> None:
        self._library = gateway.library
        self._state_format = state_format
        self._body_limits = body_limits

    async def create(self, exchange: Exchange) -> None:
        """``POST /v1/conversations``; an empty body makes an empty conversation."""
        body = await self._body(exchange, empty={})
        draft = self._state_format.decode_conversation(body)

        async def create(settle: Settle | None) -> JsonObject:
            return await self._library.create_conversation(draft, exchange.principal, settle=settle)

        await exchange.answer(await created_once(exchange, self._library, body, create))

    async def retrieve(self, exchange: Exchange) -> None:
        """``GET /v1/conversations/{id}``."""
        await exchange.answer(await self._library.retrieve_conversation(exchange.params[0], exchange.principal))

    async def update(self, exchange: Exchange) -> None:
        """``POST /v1/conversations/{id}``."""
        metadata = self._state_format.decode_metadata(await self._body(exchange))
        conversation_id = exchange.params[0]
        await exchange.answer(await self._library.update_conversation(conversation_id, metadata, exchange.principal))

    async def delete(self, exchange: Exchange) -> None:
        """``DELETE /v1/conversations/{id}``."""
        wanted = self._state_format.decode_deletion(exchange.query)
        if wanted.cascade:
            exchange.require("responses:delete")  # those that were made in it go with it
        await exchange.answer(
            await self._library.delete_conversation(
                exchange.params[0],
                exchange.principal,
                cascade=wanted.cascade,
                receipt=wanted.receipt,
                dry_run=wanted.dry_run,
            )
        )

    async def list(self, exchange: Exchange) -> None:
        """``GET /v1/conversations``."""
        wanted = self._state_format.decode_conversation_list(exchange.query)
        page = await self._library.list_conversations(wanted, exchange.principal)
        await exchange.answer(page_body(page.data, has_more=page.has_more))

    async def fork(self, exchange: Exchange) -> None:
        """``POST /v1/conversations/{id}/fork``; an empty body forks at the end."""
        body = await self._body(exchange, empty={})
        draft = self._state_format.decode_fork(body)

        async def create(settle: Settle | None) -> JsonObject:
            return await self._library.fork_conversation(exchange.params[0], draft, exchange.principal, settle=settle)

        await exchange.answer(await created_once(exchange, self._library, body, create))

    async def rewind(self, exchange: Exchange) -> None:
        """``POST /v1/conversations/{id}/rewind``."""
        to = self._state_format.decode_rewind(await self._body(exchange))
        await exchange.answer(await self._library.rewind_conversation(exchange.params[0], to, exchange.principal))

    # Items.

    async def items(self, exchange: Exchange) -> None:
        """``GET /v1/conversations/{id}/items``."""
        page = self._state_format.decode_page(exchange.query)
        listed = await self._library.conversation_items(exchange.params[0], page, exchange.principal)
        await exchange.answer(list_body(listed, page, self._state_format))

    async def add_items(self, exchange: Exchange) -> None:
        """``POST /v1/conversations/{id}/items``: answers the new items alone."""
        include = self._state_format.decode_shown(exchange.query)
        body = await self._body(exchange)
        items = self._state_format.decode_items(body)

        async def create(settle: Settle | None) -> JsonObject:
            added = await self._library.append_items(exchange.params[0], items, exchange.principal, settle=settle)
            return {"items": added.items}

        answer = await created_once(exchange, self._library, body, create)
        added = ListedItems(tuple(answer["items"]), has_more=False)
        await exchange.answer(list_body(added, PageRequest(include=include), self._state_format))

    async def item(self, exchange: Exchange) -> None:
        """``GET /v1/conversations/{id}/items/{item_id}``."""
        include = self._state_format.decode_shown(exchange.query)
        conversation_id, item_id = exchange.params
        item = await self._library.conversation_item(conversation_id, item_id, exchange.principal)
        await exchange.answer(self._state_format.show_item(item, include))

    async def remove_item(self, exchange: Exchange) -> None:
        """``DELETE /v1/conversations/{id}/items/{item_id}``: answers the conversation."""
        exchange.refuse_query()
        conversation_id, item_id = exchange.params
        await exchange.answer(await self._library.remove_item(conversation_id, item_id, exchange.principal))

    async def _body(self, exchange: Exchange, *, empty: JsonObject | None = None) -> JsonObject:
        return await exchange.read_json(self._body_limits, empty=empty, malformed=malformed_body)
