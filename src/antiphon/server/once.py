"""Answering a request that creates something: with an ``Idempotency-Key``, the same answer however often it is sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from antiphon.engine.library import Library
from antiphon.hub.items import JsonObject
from antiphon.server.exchange import Exchange
from antiphon.sessions.keys import KeyedRequest
from antiphon.sessions.work import Settle

__all__ = ["created_once"]


async def created_once(
    exchange: Exchange, library: Library, body: JsonObject, create: Callable[[Settle | None], Awaitable[JsonObject]]
) -> JsonObject:
    """
    What the request creates, or what it created when it came before; a header says the latter.

    Args:
        body: What makes it the same request: everything that it asks for besides its method and path.
    """
    key = exchange.headers.get(b"idempotency-key")
    request = None if key is None else KeyedRequest(key.decode("latin-1"), f"{exchange.method} {exchange.path}", body)
    answered = await library.once(request, create, exchange.principal)
    if answered.replayed:
        exchange.extra.append((b"idempotent-replayed", b"true"))
    return answered.answer
