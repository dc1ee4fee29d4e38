"""The endpoints of ``/v1/responses``."""

from __future__ import annotations

from typing import Any

from antiphon.engine.gateway import Gateway
from antiphon.engine.run import Run, RunFacts
from antiphon.hub.format import StateFormat
from antiphon.server.body import BodyLimits
from antiphon.server.exchange import Exchange
from antiphon.server.lists import list_body
from antiphon.server.sse import StreamLimits, Watch, write_stream

__all__ = ["ResponsesEndpoints"]

_MAX_HEADER_CHARS = 1024


class ResponsesEndpoints:
    """Create, retrieve, delete, and list the input of responses."""

    def __init__(
        self, gateway: Gateway, state_format: StateFormat, *, body_limits: BodyLimits, stream_limits: StreamLimits
    ) -> None:
        self._gateway = gateway
        self._state_format = state_format
        self._body_limits = body_limits
        self._stream_limits = stream_limits

    async def create(self, exchange: Exchange) -> None:
        """``POST /v1/responses``, as JSON or as a stream."""
        body = await exchange.read_json(self._body_limits)
        stream = body.get("stream") is True
        run = await self._gateway.begin(
            body,
            exchange.principal,
            encode=self._encoder(body) if stream else None,
            request_id=exchange.request_id,
            received_at=exchange.received_at,
        )
        watch = Watch(exchange.receive)
        left = True
        try:
            await (self._answer_stream(exchange, run, watch) if stream else self._answer_json(exchange, run, watch))
            left = watch.has_gone
        finally:
            # A server may also say that the client has gone by cancelling us, or by an error when we write.
            watch.close()
            if left:
                self._gateway.reader_left(run)

    def _encoder(self, body: dict[str, Any]) -> Any:
        options = body.get("stream_options") or {}
        return self._gateway.format.stream_encoder(obfuscate=options.get("include_obfuscation") is not False).encode

    async def _answer_stream(self, exchange: Exchange, run: Run[bytes], watch: Watch) -> None:
        if await watch.outlast(run.opened):
            run.opened.result()
            exchange.answered = True
            headers = (*exchange.closing(), *_facts(run.facts))
            await write_stream(run, exchange.send, watch, headers, self._stream_limits)

    async def _answer_json(self, exchange: Exchange, run: Run[bytes], watch: Watch) -> None:
        if not await watch.outlast(run.finished):
            return
        response = run.finished.result()
        headers = _facts(run.facts)
        if run.error is not None:
            headers.append((b"x-antiphon-response-id", run.response_id.encode()))
            await exchange.answer_error(run.error, headers)
        else:
            await exchange.answer_bytes(self._gateway.format.encode_response(response), headers)

    async def retrieve(self, exchange: Exchange) -> None:
        """``GET /v1/responses/{id}``."""
        response = await self._gateway.retrieve(exchange.params[0], exchange.principal)
        include = self._state_format.decode_include(exchange.query)
        output = [self._state_format.show_item(item, include) for item in response["output"]]
        await exchange.answer_bytes(self._gateway.format.encode_response({**response, "output": output}))

    async def delete(self, exchange: Exchange) -> None:
        """``DELETE /v1/responses/{id}``."""
        exchange.refuse_query()
        await exchange.answer(await self._gateway.delete(exchange.params[0], exchange.principal))

    async def input_items(self, exchange: Exchange) -> None:
        """``GET /v1/responses/{id}/input_items``."""
        page = self._state_format.decode_page(exchange.query)
        listed = await self._gateway.input_items(exchange.params[0], page, exchange.principal)
        await exchange.answer(list_body(listed, page, self._state_format))


def _facts(facts: RunFacts) -> list[tuple[bytes, bytes]]:
    history = f"items={facts.replayed}; source={facts.source}; left_out={facts.left_out}"
    headers = [
        (b"x-antiphon-history", history.encode()),
        (b"x-antiphon-upstream", _header(facts.upstream)),
        (b"x-antiphon-model", _header(facts.alias)),
        (b"x-antiphon-overhead-ms", b"%.3f" % (facts.overhead_s * 1000)),
    ]
    if facts.not_applied:
        headers.append((b"x-antiphon-not-applied", _header(", ".join(facts.not_applied))))
    return headers


def _header(text: str) -> bytes:
    """*text* as a header's value: others chose the words, so nothing in them may end the line or fill the head."""
    shown = "".join(char if char.isprintable() else "?" for char in text[:_MAX_HEADER_CHARS])
    return shown.encode("latin-1", "replace")
