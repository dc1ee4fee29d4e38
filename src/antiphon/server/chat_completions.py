"""The endpoints of stored chat completions: ``/v1/chat/completions`` and what is below it, but for asking for one."""

from __future__ import annotations

from antiphon.engine.gateway import Gateway
from antiphon.hub.completions import CompletionFormat
from antiphon.server.body import BodyLimits
from antiphon.server.exchange import Exchange
from antiphon.server.lists import page_body

__all__ = ["StoredCompletionsEndpoints"]


class StoredCompletionsEndpoints:
    """List, retrieve, update and delete stored completions; list what they were asked for with."""

    def __init__(self, gateway: Gateway, stored_format: CompletionFormat, *, body_limits: BodyLimits) -> None:
        self._completions = gateway.completions(stored_format)
        self._format = stored_format
        self._body_limits = body_limits

    async def list(self, exchange: Exchange) -> None:
        """``GET /v1/chat/completions``."""
        page = await self._completions.list(self._format.decode_list(exchange.query), exchange.principal)
        await exchange.answer(page_body(page.data, has_more=page.has_more))

    async def retrieve(self, exchange: Exchange) -> None:
        """``GET /v1/chat/completions/{completion_id}``."""
        exchange.refuse_query()
        await exchange.answer(await self._completions.retrieve(exchange.params[0], exchange.principal))

    async def messages(self, exchange: Exchange) -> None:
        """``GET /v1/chat/completions/{completion_id}/messages``."""
        wanted = self._format.decode_messages(exchange.query)
        page = await self._completions.messages(exchange.params[0], wanted, exchange.principal)
        await exchange.answer(page_body(page.data, has_more=page.has_more))

    async def update(self, exchange: Exchange) -> None:
        """``POST /v1/chat/completions/{completion_id}``."""
        exchange.refuse_query()
        metadata = self._format.decode_update(await exchange.read_json(self._body_limits))
        await exchange.answer(await self._completions.update(exchange.params[0], metadata, exchange.principal))

    async def delete(self, exchange: Exchange) -> None:
        """``DELETE /v1/chat/completions/{completion_id}``."""
        exchange.refuse_query()
        await exchange.answer(await self._completions.delete(exchange.params[0], exchange.principal))
