"""The endpoints of ``/v1/prompts``."""

from __future__ import annotations

from antiphon.engine.gateway import Gateway
from antiphon.hub.format import StateFormat
from antiphon.hub.items import JsonObject
from antiphon.server.body import BodyLimits
from antiphon.server.exchange import Exchange
from antiphon.server.lists import page_body
from antiphon.server.once import created_once
from antiphon.sessions.work import Settle

__all__ = ["PromptsEndpoints"]


class PromptsEndpoints:
    """Create, revise, retrieve, list and delete stored prompts."""

    def __init__(self, gateway: Gateway, state_format: StateFormat, *, body_limits: BodyLimits) -> None:
        self._library = gateway.library
        self._state_format = state_format
        self._body_limits = body_limits

    async def create(self, exchange: Exchange) -> None:
        """``POST /v1/prompts``."""
        body = await exchange.read_json(self._body_limits)
        prompt = self._state_format.decode_prompt(body)

        async def create(settle: Settle | None) -> JsonObject:
            return await self._library.create_prompt(prompt, exchange.principal, settle=settle)

        await exchange.answer(await created_once(exchange, self._library, body, create))

    async def revise(self, exchange: Exchange) -> None:
        """``POST /v1/prompts/{id}``: a new version."""
        body = await exchange.read_json(self._body_limits)
        prompt = self._state_format.decode_prompt(body)

        async def create(settle: Settle | None) -> JsonObject:
            return await self._library.revise_prompt(exchange.params[0], prompt, exchange.principal, settle=settle)

        await exchange.answer(await created_once(exchange, self._library, body, create))

    async def retrieve(self, exchange: Exchange) -> None:
        """``GET /v1/prompts/{id}``."""
        version = self._state_format.decode_prompt_version(exchange.query)
        await exchange.answer(await self._library.retrieve_prompt(exchange.params[0], version, exchange.principal))

    async def list(self, exchange: Exchange) -> None:
        """``GET /v1/prompts``."""
        wanted = self._state_format.decode_prompt_list(exchange.query)
        page = await self._library.list_prompts(wanted, exchange.principal)
        await exchange.answer(page_body(page.data, has_more=page.has_more))

    async def delete(self, exchange: Exchange) -> None:
        """``DELETE /v1/prompts/{id}``, with all its versions."""
        exchange.refuse_query()
        await exchange.answer(await self._library.delete_prompt(exchange.params[0], exchange.principal))
