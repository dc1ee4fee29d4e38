"""The endpoints of ``/v1/end_users``: take out, or erase, all that was made on behalf of one person."""

from __future__ import annotations

from contextlib import aclosing

from antiphon.engine.gateway import Gateway
from antiphon.hub.format import StateFormat
from antiphon.server.exchange import Exchange
from antiphon.server.lines import answer_lines

__all__ = ["EndUsersEndpoints"]


class EndUsersEndpoints:
    """Export and erase end users."""

    def __init__(self, gateway: Gateway, state_format: StateFormat) -> None:
        self._gateway = gateway
        self._state_format = state_format

    async def export(self, exchange: Exchange) -> None:
        """``GET /v1/end_users/{end_user}/export``."""
        exchange.refuse_query()
        async with aclosing(self._gateway.export_end_user(exchange.params[0], exchange.principal)) as groups:
            await answer_lines(exchange, groups)

    async def erase(self, exchange: Exchange) -> None:
        """``DELETE /v1/end_users/{end_user}``."""
        dry_run = self._state_format.decode_erasure(exchange.query)
        await exchange.answer(
            await self._gateway.erase_end_user(exchange.params[0], exchange.principal, dry_run=dry_run)
        )
