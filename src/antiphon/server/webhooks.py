"""The endpoint that shows how webhooks are delivered."""

from __future__ import annotations

from antiphon.engine.gateway import Gateway
from antiphon.hub.format import StateFormat
from antiphon.server.exchange import Exchange
from antiphon.server.lists import page_body

__all__ = ["WebhooksEndpoints"]


class WebhooksEndpoints:
    """List deliveries."""

    def __init__(self, gateway: Gateway, state_format: StateFormat) -> None:
        self._library = gateway.library
        self._state_format = state_format

    async def deliveries(self, exchange: Exchange) -> None:
        """``GET /v1/webhook_deliveries``."""
        wanted = self._state_format.decode_delivery_list(exchange.query)
        page = await self._library.list_deliveries(wanted, exchange.principal)
        await exchange.answer(page_body(page.data, has_more=page.has_more))
