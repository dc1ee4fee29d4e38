"""The endpoint of ``/v1/embeddings``."""

from __future__ import annotations

import asyncio

from antiphon.engine.embeddings import Embedding
from antiphon.engine.gateway import Gateway
from antiphon.engine.run import RunFacts
from antiphon.hub.embedding import EmbeddingFormat, EmbeddingRequest
from antiphon.server.body import BodyLimits, ClientDisconnected
from antiphon.server.exchange import Exchange
from antiphon.server.rates import rate_headers
from antiphon.server.responses import attempts_headers, facts_headers
from antiphon.server.sse import Watch

__all__ = ["EmbeddingsEndpoints"]

_OF_HISTORIES = b"x-antiphon-history"


class EmbeddingsEndpoints:
    """Texts to vectors."""

    def __init__(self, gateway: Gateway, embedding_format: EmbeddingFormat, *, body_limits: BodyLimits) -> None:
        self._gateway = gateway
        self._format = embedding_format
        self._body_limits = body_limits

    async def create(self, exchange: Exchange) -> None:
        """``POST /v1/embeddings``."""
        exchange.refuse_query()
        request = self._format.decode(await exchange.read_json(self._body_limits))
        facts = RunFacts()
        try:
            embedding = await self._embed(request, exchange, facts)
        finally:
            exchange.extra += rate_headers(self._gateway.turns.limiter.rates(exchange.principal))
            exchange.extra += attempts_headers(facts)
        body = self._format.encode(request, embedding.vectors, input_tokens=embedding.input_tokens)
        headers = [header for header in facts_headers(facts) if header[0] != _OF_HISTORIES]
        await exchange.answer_bytes(body, headers)

    async def _embed(self, request: EmbeddingRequest, exchange: Exchange, facts: RunFacts) -> Embedding:
        """
        The vectors, for as long as somebody waits for them: they may be many requests to an upstream.

        Raises:
            ClientDisconnected: Nobody does.
        """
        embedding = self._gateway.embed(request, exchange.principal, facts=facts)
        asking = asyncio.get_running_loop().create_task(embedding, name="antiphon-embedding")
        watch = Watch(exchange.receive)
        try:
            if not await watch.outlast(asking):
                raise ClientDisconnected
        finally:
            watch.close()
            asking.cancel()  # without effect on one that has ended
            await asyncio.gather(asking, return_exceptions=True)
        return asking.result()
