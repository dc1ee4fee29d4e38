"""
Conversations as files: export and import.

An export is written while it is read, a page at a time. If it cannot be read to its end, the connection is closed
without the end that HTTP needs, so that nobody takes a part for the whole.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from antiphon.engine.gateway import Gateway
from antiphon.hub.errors import InvalidRequest
from antiphon.hub.format import StateFormat
from antiphon.hub.items import JsonObject
from antiphon.server.body import BodyLimits, read_bytes
from antiphon.server.exchange import Exchange
from antiphon.server.jsonl import MEDIA_TYPE, check_media_type, parse_lines, written_lines
from antiphon.server.once import created_once
from antiphon.server.sse import Watch
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
            first = await anext(groups)  # an id that is unknown is an error, not the beginning of a file
            exchange.answered = True
            headers = [(b"content-type", MEDIA_TYPE), *exchange.closing()]
            await exchange.send({"type": "http.response.start", "status": 200, "headers": headers})
            await _write(exchange, first, groups)

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


async def _write(exchange: Exchange, first: Sequence[JsonObject], groups: AsyncIterator[Sequence[JsonObject]]) -> None:
    watch = Watch(exchange.receive)
    try:
        await _send(exchange, written_lines(first))
        async for lines in groups:
            if watch.has_gone:
                return
            await _send(exchange, written_lines(lines))
        await exchange.send({"type": "http.response.body", "body": b""})
    finally:
        watch.close()


async def _send(exchange: Exchange, body: bytes) -> None:
    if body:
        await exchange.send({"type": "http.response.body", "body": body, "more_body": True})
