"""The endpoints of ``/v1/conversations``."""

from __future__ import annotations

from antiphon.engine.gateway import Gateway
from antiphon.hub.format import StateFormat
from antiphon.server.body import BodyLimits, malformed_body
from antiphon.server.exchange import Exchange
from antiphon.server.lists import list_body

__all__ = ["ConversationsEndpoints"]


class ConversationsEndpoints:
    """Create, retrieve, update, delete conversations, and list their items."""

    def __init__(self, gateway: Gateway, state_format: StateFormat, *, body_limits: BodyLimits) -> None:
        self._gateway = gateway
        self._state_format = state_format
        self._body_limits = body_limits

    async def create(self, exchange: Exchange) -> None:
        """``POST /v1/conversations``; an empty body makes an empty conversation."""
        body = await exchange.read_json(self._body_limits, empty={}, malformed=malformed_body)
        draft = self._state_format.decode_conversation(body)
        await exchange.answer(await self._gateway.create_conversation(draft, exchange.principal))

    async def retrieve(self, exchange: Exchange) -> None:
        """``GET /v1/conversations/{id}``."""
        await exchange.answer(await self._gateway.retrieve_conversation(exchange.params[0], exchange.principal))

    async def update(self, exchange: Exchange) -> None:
        """``POST /v1/conversations/{id}``."""
        body = await exchange.read_json(self._body_limits, malformed=malformed_body)
        metadata = self._state_format.decode_metadata(body)
        conversation_id = exchange.params[0]
        await exchange.answer(await self._gateway.update_conversation(conversation_id, metadata, exchange.principal))

    async def delete(self, exchange: Exchange) -> None:
        """``DELETE /v1/conversations/{id}``."""
        exchange.refuse_query()
        await exchange.answer(await self._gateway.delete_conversation(exchange.params[0], exchange.principal))

    async def items(self, exchange: Exchange) -> None:
        """``GET /v1/conversations/{id}/items``."""
        page = self._state_format.decode_page(exchange.query)
        listed = await self._gateway.conversation_items(exchange.params[0], page, exchange.principal)
        await exchange.answer(list_body(listed, page, self._state_format))
