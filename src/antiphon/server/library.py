"""The endpoints that find things: ``GET /v1/responses``. Lists of conversations and prompts are with their own."""

from __future__ import annotations

from antiphon.engine.gateway import Gateway
from antiphon.hub.format import StateFormat
from antiphon.hub.items import JsonObject
from antiphon.server.exchange import Exchange
from antiphon.server.lists import page_body

__all__ = ["LibraryEndpoints"]


class LibraryEndpoints:
    """List responses."""

    def __init__(self, gateway: Gateway, state_format: StateFormat) -> None:
        self._library = gateway.library
        self._state_format = state_format

    async def responses(self, exchange: Exchange) -> None:
        """``GET /v1/responses``; each response as its own retrieval answers it."""
        wanted = self._state_format.decode_response_list(exchange.query)
        page = await self._library.list_responses(wanted, exchange.principal)
        data = [self._shown(response, wanted.include) for response in page.data]
        await exchange.answer(page_body(data, has_more=page.has_more))

    def _shown(self, response: JsonObject, include: frozenset[str]) -> JsonObject:
        output = [self._state_format.show_item(item, include) for item in response["output"]]
        return {**response, "output": output}
