"""One turn on a WebSocket: begun like any other, and followed into text frames, one for each event."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from antiphon.engine.gateway import Gateway
from antiphon.engine.plan import TurnOptions
from antiphon.engine.run import Run
from antiphon.hub.errors import AntiphonError
from antiphon.hub.principal import Principal
from antiphon.server.responses import wants_obfuscation
from antiphon.server.ws_lanes import Lanes, SocketRequest

__all__ = ["ReaderTooSlow", "SendFrames", "SocketTurn"]

SendFrames = Callable[[Sequence[bytes]], Awaitable[None]]

_CONTINUABLE = ("completed", "incomplete")


class ReaderTooSlow(Exception):
    """The client does not take what is sent to it; there is no use in telling it more."""


class SocketTurn:
    """
    Args:
        options: What the handshake's headers say about every turn.
        send: Returns when the frames are on their way.
        max_lag_bytes: A client that is further behind than this when a batch of events has been sent is dropped.
    """

    def __init__(
        self,
        gateway: Gateway,
        lanes: Lanes,
        request: SocketRequest,
        *,
        principal: Principal,
        options: TurnOptions,
        send: SendFrames,
        max_lag_bytes: int,
    ) -> None:
        self._gateway = gateway
        self._request = request
        self._principal = principal
        self._send = send
        self._max_lag_bytes = max_lag_bytes
        self._options = msgspec.structs.replace(
            options, request_id=gateway.ids.request(), local=lanes.contexts(), generate=request.frame.generate
        )

    async def perform(self) -> None:
        """
        Run the turn and tell the client everything. The response that it continued from is forgotten if it fails.

        Raises:
            AntiphonError: It was refused, or broken off: its stream has no end.
            ReaderTooSlow: The client is too far behind.
        """
        try:
            begun = await self._gateway.begin(self._request.frame.body, self._principal, self._options)
            await self._follow(begun.run)
        except AntiphonError:
            self._forget_parent()
            raise

    async def _follow(self, run: Run) -> None:
        run.enter()
        reader = run.reader()
        try:
            await asyncio.shield(run.opened)
            obfuscate = wants_obfuscation(self._request.frame.body, run)
            encoder = self._gateway.format.stream_encoder(obfuscate=obfuscate)
            at_end = False
            while not at_end:
                await reader.wait()
                frames = encoder.encode_each(reader.take())
                at_end = reader.at_end
                if at_end and run.has_ended_well:
                    self._settle(run)
                await self._send(self._on_lane(frames))
                if not at_end and sum(map(len, frames)) > self._max_lag_bytes:
                    raise ReaderTooSlow
            run.finished.result()
        finally:
            reader.close()
            run.leave()
            self._gateway.turns.reader_left(run)

    def _settle(self, run: Run) -> None:
        """Remember or forget, before the client hears of the end: it may send the next turn at once."""
        response = run.finished.result()
        if response["status"] in _CONTINUABLE:
            self._request.lane.remember(run.response_id, None if response["store"] else run.context)
        else:
            self._forget_parent()

    def _forget_parent(self) -> None:
        parent = self._request.frame.body.get("previous_response_id")
        self._request.lane.forget(parent if isinstance(parent, str) else None)

    def _on_lane(self, frames: list[bytes]) -> list[bytes]:
        stream_id = self._request.frame.stream_id
        if stream_id is None:
            return frames
        # Its alphabet needs no escapes, and an event is an object with members.
        ending = b',"stream_id":"%b"}' % stream_id.encode()
        return [frame[:-1] + ending for frame in frames]
