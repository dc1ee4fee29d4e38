"""
Answers of JSON Lines that are written while they are read, a group at a time, however long they get.

If one cannot be read to its end, the connection is closed without the end that HTTP needs, so that nobody takes a part
for the whole.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from antiphon.hub.items import JsonObject
from antiphon.server.exchange import Exchange
from antiphon.server.jsonl import MEDIA_TYPE, written_lines
from antiphon.server.sse import Watch

__all__ = ["answer_lines"]


async def answer_lines(exchange: Exchange, groups: AsyncIterator[Sequence[JsonObject]]) -> None:
    """Answer with groups of lines. What the first group raises is the request's error, not the beginning of a file."""
    first = await anext(groups)
    exchange.answered = True
    headers = [(b"content-type", MEDIA_TYPE), *exchange.closing()]
    await exchange.send({"type": "http.response.start", "status": 200, "headers": headers})
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
