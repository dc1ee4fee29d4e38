"""The endpoints of client dialects besides the Responses API: a turn is asked for, and answered, in their words."""

from __future__ import annotations

from collections.abc import Iterable

from antiphon.engine.gateway import Gateway
from antiphon.engine.idempotency import Begun
from antiphon.engine.run import Run
from antiphon.hub.errors import AntiphonError, GatewayError
from antiphon.hub.events import Event, OtherEvent, ResponseFailed
from antiphon.hub.format import ClientDialect, CountingDialect, DialectTurn, StreamEncoder
from antiphon.hub.items import JsonObject
from antiphon.server.body import BodyLimits
from antiphon.server.exchange import Exchange
from antiphon.server.rates import rate_headers
from antiphon.server.responses import (
    attempts_headers,
    facts_headers,
    names_to_drop,
    token_count_header,
    turn_options,
)
from antiphon.server.sse import StreamLimits, Watch, write_stream

__all__ = ["CountingEndpoint", "DialectEndpoint"]


class DialectEndpoint:
    """
    Runs turns for the clients of one dialect.

    Args:
        query: The parameters that a request may have; they mean nothing here.
    """

    def __init__(
        self,
        gateway: Gateway,
        dialect: ClientDialect,
        *,
        body_limits: BodyLimits,
        stream_limits: StreamLimits,
        query: frozenset[str] = frozenset(),
    ) -> None:
        self._gateway = gateway
        self._dialect = dialect
        self._body_limits = body_limits
        # Its encoder knows what its streams end with.
        self._stream_limits = StreamLimits(
            keep_alive_s=stream_limits.keep_alive_s,
            max_reader_lag_bytes=stream_limits.max_reader_lag_bytes,
            done_sentinel=False,
        )
        self._query = query

    async def create(self, exchange: Exchange) -> None:
        """Run a turn, and answer it as JSON or as a stream."""
        exchange.refuse_query(but=self._query)
        body = await exchange.read_json(self._body_limits)
        watch = Watch(exchange.receive)
        try:
            turn, begun = await self._begin(exchange, body)
        except BaseException:
            watch.close()
            raise
        finally:
            exchange.extra += rate_headers(self._gateway.turns.limiter.rates(exchange.principal))
        run = begun.run
        run.enter()
        if begun.replayed:
            exchange.extra.append((b"idempotent-replayed", b"true"))
        try:
            if turn.request.stream:
                await self._answer_stream(exchange, run, watch, turn)
            else:
                await self._answer_json(exchange, run, watch, turn)
        finally:
            # A server may also say that the client has gone by cancelling us, or by an error when we write.
            watch.close()
            run.leave()
            self._gateway.turns.reader_left(run)

    async def _begin(self, exchange: Exchange, body: JsonObject) -> tuple[DialectTurn, Begun]:
        options = turn_options(exchange, body)
        decode, caller = self._dialect.decode, exchange.principal
        turn = await self._gateway.decode(decode, body, caller, request_id=exchange.request_id)
        return turn, await self._gateway.begin(turn, caller, options)

    async def _answer_stream(self, exchange: Exchange, run: Run, watch: Watch, turn: DialectTurn) -> None:
        if not await watch.outlast(run.opened):
            return
        exchange.extra += attempts_headers(run.facts)
        run.opened.result()
        exchange.answered = True
        await write_stream(
            run,
            _ToldEncoder(self._dialect.stream_encoder(turn)),
            send=exchange.send,
            watch=watch,
            headers=(*exchange.closing(), *facts_headers(run.facts)),
            limits=self._stream_limits,
            keep_alive=self._dialect.keep_alive,
        )

    async def _answer_json(self, exchange: Exchange, run: Run, watch: Watch, turn: DialectTurn) -> None:
        if not await watch.outlast(run.finished):
            return
        exchange.extra += attempts_headers(run.facts)
        response = run.finished.result()
        headers = facts_headers(run.facts)
        fault = run.fault or _unfinished(response)
        if fault is not None:
            headers.append((b"x-antiphon-response-id", run.response_id.encode()))
            await exchange.answer_error(fault, headers)
        else:
            body = self._dialect.encode_response(response, turn, private=run.private)
            await exchange.answer_bytes(body, headers)


class CountingEndpoint:
    """
    Counts the tokens of what a turn would be given.

    Args:
        query: The parameters that a request may have; they mean nothing here.
    """

    def __init__(
        self,
        gateway: Gateway,
        dialect: CountingDialect,
        *,
        body_limits: BodyLimits,
        query: frozenset[str] = frozenset(),
    ) -> None:
        self._gateway = gateway
        self._dialect = dialect
        self._body_limits = body_limits
        self._query = query

    async def count(self, exchange: Exchange) -> None:
        """How many tokens a request would be."""
        exchange.refuse_query(but=self._query)
        body = await exchange.read_json(self._body_limits)
        try:
            turn = await self._gateway.decode(
                self._dialect.decode_count,
                body,
                exchange.principal,
                action="context.count",
                request_id=exchange.request_id,
            )
            drop = names_to_drop(exchange.headers)
            count = await self._gateway.count_input(turn, exchange.principal, drop=drop)
        finally:
            exchange.extra += rate_headers(self._gateway.turns.limiter.rates(exchange.principal))
        await exchange.answer_bytes(self._dialect.encode_count(count.tokens), (token_count_header(count),))


class _ToldEncoder:
    """A dialect's encoder whose client is told, within the stream, of what the dialect has no words for."""

    def __init__(self, encoder: StreamEncoder) -> None:
        self._encoder = encoder
        self._has_failed = False

    def encode(self, events: Iterable[Event | OtherEvent]) -> bytes:
        """See :class:`~antiphon.hub.format.StreamEncoder`."""
        if self._has_failed:
            return b""
        try:
            return self._encoder.encode(events)
        except AntiphonError as error:
            self._has_failed = True
            return self._encoder.encode([_failed(error)])

    def encode_each(self, events: Iterable[Event | OtherEvent]) -> list[bytes]:
        """See :class:`~antiphon.hub.format.StreamEncoder`."""
        return self._encoder.encode_each(events)


def _failed(error: AntiphonError) -> ResponseFailed:
    return ResponseFailed({"status": "failed", "error": {"code": error.code or "server_error", "message": error.told}})


def _unfinished(response: JsonObject) -> GatewayError | None:
    """Dialects have whole answers only."""
    if response["status"] in ("completed", "incomplete"):
        return None
    return GatewayError(f"The answer was ended before it was whole: it is {response['status']}.")
