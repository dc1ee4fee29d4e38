"""
A TCP proxy that obeys orders: it passes bytes on both ways until it is told not to.

What it does to the bytes of an answer is one :class:`Plan` for each connection. The network is what it breaks; what is
said over it is somebody else's.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

__all__ = ["FaultProxy", "Plan", "reset"]

_BLOCK_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Plan:
    """
    What happens to one connection.

    Attributes:
        accepts: What it does with the connection: pass it on, close it at once (``fin``, ``rst``), or swallow what
            comes and never say a word (``black hole``).
        delay_s: Before each block of the answer.
        cut_after: After so many bytes of the answer; None for never.
        cut: How: the end of the connection, a reset, silence, or an end of the answer alone (``half close``).
        piece_bytes: The answer is passed on in pieces of this size; None for as it came.
    """

    accepts: Literal["relay", "fin", "rst", "black hole"] = "relay"
    delay_s: float = 0.0
    cut_after: int | None = None
    cut: Literal["fin", "rst", "black hole", "half close"] = "fin"
    piece_bytes: int | None = None


class FaultProxy:
    """
    Use :meth:`serve`.

    Attributes:
        plan: For connections that are made from now on.
        connections: How many were made.
    """

    def __init__(self, host: str, port: int, plan: Plan) -> None:
        self.plan = plan
        self.port = 0
        self.connections = 0
        self._target = (host, port)
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def serve(cls, port: int, plan: Plan | None = None, *, host: str = "127.0.0.1") -> AsyncIterator[FaultProxy]:
        """A proxy on a free loopback port, in front of *port*."""
        proxy = cls(host, port, plan or Plan())
        server = await asyncio.start_server(proxy._connected, "127.0.0.1", 0)
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            server.close()
            for task in list(proxy._tasks):
                task.cancel()
            await asyncio.gather(*proxy._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            await self._obey(self.plan, reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # one side has gone, or the test is over
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _obey(self, plan: Plan, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match plan.accepts:
            case "fin":
                return
            case "rst":
                reset(writer)
            case "black hole":
                await _swallow(reader)
            case "relay":
                await self._relay(plan, reader, writer)

    async def _relay(self, plan: Plan, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, questions = await asyncio.open_connection(*self._target)
        asking = asyncio.ensure_future(_pass_on(reader, questions))
        try:
            if await _answer(plan, answers, writer):
                await _cut(plan, reader, writer, asking)
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            questions.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while block := await reader.read(_BLOCK_BYTES):
        writer.write(block)
        await writer.drain()
    writer.close()


async def _answer(plan: Plan, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Pass the answer on as the plan says. Returns whether it has to be cut here; else it has ended by itself."""
    left = plan.cut_after
    while left is None or left > 0:
        block = await reader.read(min(_BLOCK_BYTES, left or _BLOCK_BYTES, plan.piece_bytes or _BLOCK_BYTES))
        if not block:
            return False
        if plan.delay_s:
            await asyncio.sleep(plan.delay_s)
        writer.write(block)
        await writer.drain()
        left = None if left is None else left - len(block)
    return True


async def _cut(
    plan: Plan, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asking: asyncio.Future[None]
) -> None:
    match plan.cut:
        case "fin":
            return
        case "rst":
            reset(writer)
        case "half close":
            writer.write_eof()
            await asking  # until the other side has had enough
        case "black hole":
            await asking


async def _swallow(reader: asyncio.StreamReader) -> None:
    while await reader.read(_BLOCK_BYTES):
        pass


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection as if its process had been killed: the other side gets a reset instead of an end."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
