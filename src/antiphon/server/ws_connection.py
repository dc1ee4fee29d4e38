"""
One WebSocket that was accepted: its frames in, its turns' events out, and its end.

It ends when the client has gone, when the server drains, after its lifetime, or when the client takes nothing. The
first two of our own reasons let what runs come to its end and refuse what has not begun; whatever ends a connection
otherwise leaves its turns without a reader, as over HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from antiphon.engine.gateway import Gateway
from antiphon.engine.plan import TurnOptions
from antiphon.hub.errors import (
    AntiphonError,
    GatewayError,
    InvalidRequest,
    KeysUnavailable,
    PayloadTooLarge,
    ShuttingDown,
)
from antiphon.hub.format import CreateFrame, RefusedFrame
from antiphon.hub.principal import Principal
from antiphon.server.body import BodyLimits, ClientDisconnected, Receive, parse_json
from antiphon.server.reply import Send
from antiphon.server.ws_lanes import Lanes, SocketLimits, SocketRequest
from antiphon.server.ws_turn import ReaderTooSlow, SocketTurn

__all__ = ["DRAIN", "Ending", "SocketConnection"]

# What a server that knows how sends instead of `websocket.disconnect` when it drains (see `antiphon.cli.websocket`).
DRAIN = "antiphon.websocket.drain"

_CLOSE_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Ending:
    """
    Why we end a connection.

    Attributes:
        code: Of the close frame. The official client connects again after those that are used here.
        error: What requests are told that have not begun.
        is_told: Whether the client is told that error as a last frame, too.
    """

    code: int
    reason: str
    error: AntiphonError
    is_told: bool = False


class SocketConnection:
    """
    Args:
        authenticate: Who is at the other end; asked for every turn.
        options: What the handshake's headers say about every turn.
        request_id: Of the handshake, for the log.
    """

    def __init__(
        self,
        gateway: Gateway,
        receive: Receive,
        send: Send,
        *,
        authenticate: Callable[[], Awaitable[Principal]],
        options: TurnOptions,
        request_id: str,
        body_limits: BodyLimits,
        limits: SocketLimits,
        max_lag_bytes: int,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._gateway = gateway
        self._receive = receive
        self._send = send
        self._authenticate = authenticate
        self._options = options
        self._request_id = request_id
        self._body_limits = body_limits
        self._limits = limits
        self._max_lag_bytes = max_lag_bytes
        self._lanes = Lanes(limits)
        self._turns: set[asyncio.Task[None]] = set()
        self._ending: asyncio.Future[Ending] = loop.create_future()
        self._dropped: asyncio.Future[None] = loop.create_future()
        self._count = 0

    async def serve(self) -> None:
        """Serve until the connection ends."""
        loop = asyncio.get_running_loop()
        started_at = loop.time()
        expiry = loop.call_later(self._limits.lifetime_s, self._end, _expired(self._limits.lifetime_s))
        receiving = loop.create_task(self._receive_all(), name=f"websocket {self._request_id}")
        try:
            await self._serve(receiving)
        finally:
            expiry.cancel()
            receiving.cancel()
            await self._abandon(receiving)
            self._gateway.log.info(
                "websocket", request=self._request_id, turns=self._count, seconds=round(loop.time() - started_at, 3)
            )

    async def _serve(self, receiving: asyncio.Task[None]) -> None:
        over = (receiving, self._dropped)
        await asyncio.wait((*over, self._ending), return_when=asyncio.FIRST_COMPLETED)
        if any(end.done() for end in over):
            if self._dropped.done():
                await self._close(1013, "The client does not read what is sent to it.")
            return
        ending = self._ending.result()
        with suppress(ClientDisconnected, ReaderTooSlow):
            for request in self._lanes.empty():
                await self._refuse(ending.error, request.frame.stream_id)
            while self._turns and not any(end.done() for end in over):
                await asyncio.wait((*over, *self._turns), return_when=asyncio.FIRST_COMPLETED)
            if ending.is_told:
                await self._refuse(ending.error)
        await self._close(ending.code, ending.reason)

    async def _abandon(self, receiving: asyncio.Task[None]) -> None:
        """Leave the turns: who follows none of them any more lets them be cancelled, if nothing else keeps them."""
        tasks = (receiving, *self._turns)
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            self._note(outcome)

    def _note(self, outcome: object) -> None:
        """Log an error that is not just how a client leaves."""
        if isinstance(outcome, Exception) and not isinstance(outcome, ClientDisconnected | ReaderTooSlow):
            self._gateway.log.crash("websocket_crashed", outcome, request=self._request_id)

    def _end(self, ending: Ending) -> None:
        if not self._ending.done():
            self._ending.set_result(ending)

    def _drop(self) -> None:
        if not self._dropped.done():
            self._gateway.log.warning("websocket_too_slow", request=self._request_id)
            self._dropped.set_result(None)

    # In.

    async def _receive_all(self) -> None:
        """Take frames until the client has gone."""
        while True:
            message = await self._receive()
            match message["type"]:
                case "websocket.receive":
                    try:
                        await self._take(message.get("text"))
                    except AntiphonError as error:
                        await self._refuse(error)
                case "websocket.disconnect":
                    return
                case kind if kind == DRAIN:
                    self._end(_draining())

    async def _take(self, text: str | None) -> None:
        if text is None:
            raise InvalidRequest("Binary frames are not supported: send a JSON object as a text frame.")
        data = text.encode()
        if len(data) > self._body_limits.max_body_bytes:
            raise PayloadTooLarge(
                f"The frame is larger than max_body_bytes ({self._body_limits.max_body_bytes} bytes)."
            )
        match self._gateway.format.decode_frame(await parse_json(data, self._body_limits)):
            case RefusedFrame(answer=answer):
                await self._write([answer])
            case CreateFrame() as frame:
                await self._add(frame, len(data))

    async def _add(self, frame: CreateFrame, size_bytes: int) -> None:
        try:
            if self._ending.done():
                raise self._ending.result().error
            self._lanes.add(frame, size_bytes)
        except AntiphonError as error:
            await self._refuse(error, frame.stream_id)
        else:
            self._begin()

    # Turns.

    def _begin(self) -> None:
        while (request := self._lanes.begin()) is not None:
            self._count += 1
            turn = asyncio.get_running_loop().create_task(self._perform(request))
            self._turns.add(turn)
            turn.add_done_callback(partial(self._ended, request))

    def _ended(self, request: SocketRequest, turn: asyncio.Task[None]) -> None:
        self._turns.discard(turn)
        self._lanes.end(request)
        if turn.cancelled():
            return
        self._note(turn.exception())
        self._begin()

    async def _perform(self, request: SocketRequest) -> None:
        try:
            turn = SocketTurn(
                self._gateway,
                self._lanes,
                request,
                principal=await self._authenticate(),
                options=self._options,
                send=self._write,
                max_lag_bytes=self._max_lag_bytes,
            )
            await turn.perform()
        except AntiphonError as error:
            await self._refuse(error, request.frame.stream_id)
        except ClientDisconnected:
            raise
        except ReaderTooSlow:
            self._drop()
        except Exception as error:  # noqa: BLE001 - a bug: the client is still owed an end, and other lanes go on
            self._gateway.log.crash("websocket_turn_crashed", error, request=self._request_id)
            await self._refuse(_crashed(), request.frame.stream_id)

    # Out.

    async def _refuse(self, error: AntiphonError, stream_id: str | None = None) -> None:
        if isinstance(error, KeysUnavailable):
            self._gateway.log.error("keys_unavailable", request=self._request_id, error=error.message)
        await self._write([self._gateway.format.encode_error(error, stream_id)])

    async def _write(self, frames: Sequence[bytes]) -> None:
        """
        Send text frames.

        Raises:
            ClientDisconnected: There is nobody.
            ReaderTooSlow: The client takes nothing.
        """
        for frame in frames:
            message = {"type": "websocket.send", "text": frame.decode()}
            try:
                async with asyncio.timeout(self._limits.send_timeout_s):
                    await self._send(message)
            except TimeoutError as error:
                self._drop()
                raise ReaderTooSlow from error
            except OSError as error:  # how an ASGI server says that the client has gone
                raise ClientDisconnected from error

    async def _close(self, code: int, reason: str) -> None:
        with suppress(OSError):  # a TimeoutError is one, too: the server closes what we cannot
            async with asyncio.timeout(_CLOSE_WITHIN_S):
                await self._send({"type": "websocket.close", "code": code, "reason": reason})


def _expired(lifetime_s: float) -> Ending:
    error = InvalidRequest(
        f"Responses websocket connection limit reached ({lifetime_s / 60:.0f} minutes). Create a new websocket "
        "connection to continue.",
        code="websocket_connection_limit_reached",
    )
    return Ending(1001, "connection limit reached", error, is_told=True)


def _draining() -> Ending:
    error = ShuttingDown("The gateway is shutting down; open a new WebSocket connection and send the request again.")
    return Ending(1012, "the gateway is shutting down", error)


def _crashed() -> GatewayError:
    return GatewayError("The server had an error while processing your request. Sorry about that!")
