"""Conversations as files: export, a page at a time, and import."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import aclosing

from antiphon.engine.gateway import Gateway
from antiphon.hub.errors import InvalidRequest
from antiphon.hub.format import StateFormat
from antiphon.hub.items import JsonObject
from antiphon.server.body import BodyLimits, read_bytes
from antiphon.server.exchange import Exchange
from antiphon.server.jsonl import check_media_type, parse_lines
from antiphon.server.lines import answer_lines
from antiphon.server.once import created_once
from antiphon.sessions.work import Settle

__all__ = ["TransferEndpoints"]


class TransferEndpoints:
    """Export and import conversations."""

    def __init__(self, gateway: Gateway, state_format: StateFormat, *, body_limits: BodyLimits) -> None:
        self._library = gateway.library
        self._state_format = state_format
        self._body_limits = body_limits

    async def export(self, exchange: Exchange) -> None:
        """``GET /v1/conversations/{id}/export``."""
        exchange.refuse_query()
        async with aclosing(self._library.export_conversation(exchange.params[0], exchange.principal)) as groups:
            await answer_lines(exchange, groups)

    async def import_(self, exchange: Exchange) -> None:
        """``POST /v1/conversations/import``."""
        exchange.refuse_query()
        check_media_type(exchange.headers)
        body = await read_bytes(exchange.headers, exchange.receive, self._body_limits)
        lines = await parse_lines(body, self._body_limits)
        if not lines:
            raise InvalidRequest("The body is empty: send the lines of an export, or at least one item.")
        # In a thread: checking thousands of items would hold the event loop.
        draft = await asyncio.to_thread(self._state_format.decode_import, lines)
        digest = await asyncio.to_thread(lambda: hashlib.sha256(body).hexdigest())

        async def create(settle: Settle | None) -> JsonObject:
            return await self._library.create_conversation(draft, exchange.principal, settle=settle)

        await exchange.answer(await created_once(exchange, self._library, {"sha256": digest}, create))
