"""The endpoints of ``/v1/responses``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from antiphon.engine.counting import Count
from antiphon.engine.droppable import DROP_PARAM
from antiphon.engine.gateway import Gateway
from antiphon.engine.idempotency import Begun
from antiphon.engine.plan import TurnOptions
from antiphon.engine.run import Run, RunFacts
from antiphon.hub.errors import InvalidRequest
from antiphon.hub.format import RetrievalRequest, StateFormat
from antiphon.hub.items import JsonObject
from antiphon.hub.price import plain
from antiphon.hub.turn import OnDisconnect
from antiphon.server.body import BodyLimits, ClientDisconnected
from antiphon.server.exchange import Exchange
from antiphon.server.lists import list_body
from antiphon.server.once import created_once
from antiphon.server.rates import rate_headers
from antiphon.server.sse import StreamLimits, Watch, write_stream
from antiphon.sessions.keys import KeyedRequest
from antiphon.sessions.work import Settle

__all__ = [
    "ResponsesEndpoints",
    "attempts_headers",
    "facts_headers",
    "names_to_drop",
    "token_count_header",
    "turn_options",
    "wants_obfuscation",
]

_WAIT = b"x-antiphon-conversation-wait-ms"
_MAX_WAIT_MS = 60_000
_MAX_WAIT_DIGITS = 20
_TOKEN_COUNT = b"x-antiphon-token-count"
_ON_DISCONNECT = b"x-antiphon-on-disconnect"
_DROP = DROP_PARAM.encode()

_MAX_HEADER_CHARS = 1024


class ResponsesEndpoints:
    """Create, retrieve, cancel, delete, and list the input of responses."""

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
        watch = Watch(exchange.receive)
        try:
            begun = await self._begin(exchange, body, watch)
        except BaseException:
            watch.close()
            raise
        finally:
            self._tell_rates(exchange)
        run = begun.run
        run.enter()
        if begun.replayed:
            exchange.extra.append((b"idempotent-replayed", b"true"))
        try:
            if body.get("stream") is True:
                await self._answer_stream(exchange, run, watch, obfuscate=wants_obfuscation(body, run))
            elif run.background:
                await self._answer_queued(exchange, run)
            else:
                await self._answer_json(exchange, run, watch)
        finally:
            # A server may also say that the client has gone by cancelling us, or by an error when we write.
            watch.close()
            run.leave()
            self._gateway.turns.reader_left(run)

    async def _begin(self, exchange: Exchange, body: JsonObject, watch: Watch) -> Begun:
        """
        Begin a turn. Who waits for a conversation and leaves waits no more: his turn never was.

        Raises:
            ClientDisconnected: He has.
        """
        options = turn_options(exchange, body)
        beginning = self._gateway.begin(body, exchange.principal, options)
        if not options.conversation_wait_s:
            return await beginning
        waiting = asyncio.get_running_loop().create_task(beginning)
        try:
            stayed = await watch.outlast(waiting)
        except asyncio.CancelledError:
            await self._leave(waiting)
            raise
        if not stayed:
            await self._leave(waiting)
            raise ClientDisconnected
        return waiting.result()

    def _tell_rates(self, exchange: Exchange) -> None:
        """Every answer to a request that counts, refused or not, says what is left."""
        exchange.extra += rate_headers(self._gateway.turns.limiter.rates(exchange.principal))

    async def _leave(self, waiting: asyncio.Task[Begun]) -> None:
        """Wait no more for a turn to begin. If it has begun in this very moment, it has lost its reader."""
        waiting.cancel()
        (left,) = await asyncio.gather(waiting, return_exceptions=True)
        if isinstance(left, Begun):
            self._gateway.turns.reader_left(left.run)

    async def _answer_stream(
        self, exchange: Exchange, run: Run, watch: Watch, *, obfuscate: bool, start: int = 0
    ) -> None:
        if await watch.outlast(run.opened):
            exchange.extra += attempts_headers(run.facts)
            run.opened.result()
            exchange.answered = True
            headers = (*exchange.closing(), *facts_headers(run.facts))
            encoder = self._gateway.format.stream_encoder(obfuscate=obfuscate, start=start)
            await write_stream(
                run,
                encoder,
                send=exchange.send,
                watch=watch,
                headers=headers,
                limits=self._stream_limits,
                start=start,
            )

    async def _answer_queued(self, exchange: Exchange, run: Run) -> None:
        response = await run.first_response()
        await exchange.answer_bytes(self._gateway.format.encode_response(response), facts_headers(run.facts))

    async def _answer_json(self, exchange: Exchange, run: Run, watch: Watch) -> None:
        if not await watch.outlast(run.finished):
            return
        exchange.extra += attempts_headers(run.facts)
        response = run.finished.result()
        headers = facts_headers(run.facts)
        error = run.fault
        if error is not None:
            headers.append((b"x-antiphon-response-id", run.response_id.encode()))
            await exchange.answer_error(error, headers)
        else:
            await exchange.answer_bytes(self._gateway.format.encode_response(response), headers)

    async def retrieve(self, exchange: Exchange) -> None:
        """``GET /v1/responses/{id}``, as JSON, or its stream from any event on."""
        response = await self._gateway.retrieve(exchange.params[0], exchange.principal)
        wanted = self._state_format.decode_retrieval(exchange.query)
        if wanted.stream:
            await self._answer_followed(exchange, wanted)
            return
        output = [self._state_format.show_item(item, wanted.include) for item in response["output"]]
        body = self._gateway.format.encode_response({**response, "output": output})
        run = self._gateway.turns.running(exchange.params[0], exchange.principal)
        told = [] if run is None else [*facts_headers(run.facts), *attempts_headers(run.facts)]
        await exchange.answer_bytes(body, told)

    async def _answer_followed(self, exchange: Exchange, wanted: RetrievalRequest) -> None:
        run = await self._gateway.run_of(exchange.params[0], exchange.principal)
        run.enter()
        watch = Watch(exchange.receive)
        try:
            await self._answer_stream(
                exchange, run, watch, obfuscate=wanted.include_obfuscation, start=wanted.starting_after + 1
            )
        finally:
            watch.close()
            run.leave()
            self._gateway.turns.reader_left(run)

    async def cancel(self, exchange: Exchange) -> None:
        """``POST /v1/responses/{id}/cancel``."""
        exchange.refuse_query()
        response = await self._gateway.cancel(exchange.params[0], exchange.principal)
        await exchange.answer_bytes(self._gateway.format.encode_response(response))

    async def compact(self, exchange: Exchange) -> None:
        """``POST /v1/responses/compact``."""
        body = await exchange.read_json(self._body_limits)

        facts = RunFacts()

        async def create(settle: Settle | None) -> JsonObject:
            drop = names_to_drop(exchange.headers)
            return await self._gateway.compact(body, exchange.principal, settle=settle, drop=drop, facts=facts)

        try:
            compacted = await created_once(exchange, self._gateway.library, body, create)
        finally:
            self._tell_rates(exchange)
        await exchange.answer(compacted, _not_applied_headers(facts))

    async def input_tokens(self, exchange: Exchange) -> None:
        """``POST /v1/responses/input_tokens``."""
        request = await exchange.read_json(self._body_limits)
        try:
            drop = names_to_drop(exchange.headers)
            count = await self._gateway.count_input(request, exchange.principal, drop=drop)
        finally:
            self._tell_rates(exchange)
        body = {"object": "response.input_tokens", "input_tokens": count.tokens}
        await exchange.answer(body, (token_count_header(count),))

    async def delete(self, exchange: Exchange) -> None:
        """``DELETE /v1/responses/{id}``."""
        wanted = self._state_format.decode_deletion(exchange.query)
        if wanted.cascade:
            exchange.require("conversations:delete")  # forks that show it go with it
        await exchange.answer(
            await self._gateway.delete(
                exchange.params[0],
                exchange.principal,
                cascade=wanted.cascade,
                receipt=wanted.receipt,
                dry_run=wanted.dry_run,
            )
        )

    async def input_items(self, exchange: Exchange) -> None:
        """``GET /v1/responses/{id}/input_items``."""
        page = self._state_format.decode_page(exchange.query)
        listed = await self._gateway.input_items(exchange.params[0], page, exchange.principal)
        await exchange.answer(list_body(listed, page, self._state_format))


def turn_options(exchange: Exchange, body: JsonObject) -> TurnOptions:
    """
    What a request's headers say about its turn.

    Raises:
        InvalidRequest: A header of ours is malformed; names it.
    """
    key = exchange.headers.get(b"idempotency-key")
    return TurnOptions(
        request_id=exchange.request_id,
        received_at=exchange.received_at,
        conversation_wait_s=_conversation_wait_s(exchange.headers),
        on_disconnect=_on_disconnect(exchange.headers),
        drop=names_to_drop(exchange.headers),
        key=None if key is None else KeyedRequest(key.decode("latin-1"), f"{exchange.method} {exchange.path}", body),
    )


def _conversation_wait_s(headers: Mapping[bytes, bytes]) -> float:
    value = headers.get(_WAIT)
    if value is None:
        return 0.0
    # Python reads no number of thousands of digits.
    if not value.isdigit() or len(value) > _MAX_WAIT_DIGITS or int(value) > _MAX_WAIT_MS:
        raise InvalidRequest(
            f"Invalid '{_WAIT.decode()}': expected milliseconds, 0 to {_MAX_WAIT_MS}.", param=_WAIT.decode()
        )
    return int(value) / 1000


def names_to_drop(headers: Mapping[bytes, bytes]) -> tuple[str, ...]:
    """What a request's header says may be left out of it, unchecked."""
    value = headers.get(_DROP)
    return () if value is None else tuple(name.strip().lower() for name in value.decode("latin-1").split(","))


def _on_disconnect(headers: Mapping[bytes, bytes]) -> OnDisconnect | None:
    match headers.get(_ON_DISCONNECT):
        case None:
            return None
        case b"cancel":
            return "cancel"
        case b"continue":
            return "continue"
    raise InvalidRequest(
        f"Invalid '{_ON_DISCONNECT.decode()}': supported values are 'cancel' and 'continue'.",
        param=_ON_DISCONNECT.decode(),
    )


def wants_obfuscation(body: JsonObject, run: Run) -> bool:
    """Deltas are padded unless the client says no; those of background responses never are."""
    return not run.background and (body.get("stream_options") or {}).get("include_obfuscation") is not False


def facts_headers(facts: RunFacts) -> list[tuple[bytes, bytes]]:
    """What the answer's headers tell about a turn; nothing about one that was carried out elsewhere."""
    if not facts.alias:
        return []
    history = f"items={facts.replayed}; source={facts.source}; left_out={facts.left_out}"
    if facts.truncated:
        history += f"; truncated={facts.truncated}"
    headers = [(b"x-antiphon-history", history.encode()), (b"x-antiphon-model", _header(facts.alias))]
    if facts.upstream:  # not yet, if the answer begins before the upstream's
        headers.append((b"x-antiphon-upstream", _header(facts.upstream)))
        headers.append((b"x-antiphon-overhead-ms", b"%.3f" % (facts.overhead_s * 1000)))
    if facts.cost is not None:
        headers.append((b"x-antiphon-cost", plain(facts.cost).encode()))
    headers += _not_applied_headers(facts)
    if facts.verbatim:
        headers.append((b"x-antiphon-verbatim", b"true"))
    return headers


def _not_applied_headers(facts: RunFacts) -> list[tuple[bytes, bytes]]:
    """What was accepted and had no effect, if there is any of it."""
    if not facts.not_applied:
        return []
    return [(b"x-antiphon-not-applied", _header(", ".join(facts.not_applied)))]


def attempts_headers(facts: RunFacts) -> list[tuple[bytes, bytes]]:
    """Whom a turn has asked, also of one that came to nothing; nothing where nobody was asked, or not yet."""
    if not facts.attempts and not facts.left:
        return []
    left = (f"{name}={why}" for name, why in facts.left)
    return [(b"x-antiphon-attempts", _header("; ".join((f"count={facts.attempts}", *left))))]


def token_count_header(count: Count) -> tuple[bytes, bytes]:
    """Who counted: the model's own server, or nobody."""
    return _TOKEN_COUNT, b"exact" if count.exact else b"estimate"


def _header(text: str) -> bytes:
    """*text* as a header's value: others chose the words, so nothing in them may end the line or fill the head."""
    shown = "".join(char if char.isprintable() else "?" for char in text[:_MAX_HEADER_CHARS])
    return shown.encode("latin-1", "replace")
