"""The endpoints about the service itself: its models and its health."""

from __future__ import annotations

from antiphon.engine.gateway import Gateway
from antiphon.hub.errors import ModelNotFound
from antiphon.server.exchange import Exchange

__all__ = ["ServiceEndpoints"]


class ServiceEndpoints:
    """Models and health."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def models(self, exchange: Exchange) -> None:
        """``GET /v1/models``."""
        await exchange.answer({"object": "list", "data": await self._gateway.models(exchange.principal)})

    async def model(self, exchange: Exchange) -> None:
        """``GET /v1/models/{id}``."""
        wanted = exchange.params[0]
        for model in await self._gateway.models(exchange.principal):
            if model["id"] == wanted:
                await exchange.answer(model)
                return
        raise ModelNotFound(wanted)

    async def live(self, exchange: Exchange) -> None:
        """``GET /livez``: 200 for as long as the process answers."""
        await exchange.answer({"status": "ok"})

    async def ready(self, exchange: Exchange) -> None:
        """``GET /readyz``: 200 if turns can be taken, else 503 with the reason."""
        await self._gateway.ready()
        await exchange.answer({"status": "ok"})
