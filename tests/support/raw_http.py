"""HTTP as bytes over a socket: sends what no client library would, and reads every answer that comes back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson

__all__ = ["RawAnswer", "RawConnection", "answers_in"]

PATIENCE_S = 20.0


@dataclass(frozen=True)
class RawAnswer:
    """One answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        """OpenAI's envelope, which it has to be, with the request's id beside it."""
        assert self.headers["x-request-id"].startswith("req_"), self
        value = orjson.loads(self.body)
        assert set(value["error"]) == {"message", "type", "param", "code"}, self
        error: dict[str, Any] = value["error"]
        return error


class RawConnection:
    """A connection; see :meth:`open`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, port: int) -> AsyncIterator[RawConnection]:
        """Connect to a port of this machine for as long as the block runs."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield cls(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def send(self, data: bytes) -> None:
        """Send bytes. A server that has closed already is no error: what it said can still be read."""
        with contextlib.suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def until_closed(self) -> bytes:
        """Everything that comes until the server closes, which it has to do."""
        received = b""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    block = await self.reader.read(65536)
                except ConnectionError:  # a reset is an end as well
                    return received
                if not block:
                    return received
                received += block

    async def answer(self) -> RawAnswer:
        """The next answer, of a connection that stays open."""
        async with asyncio.timeout(PATIENCE_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
            status, headers = _head(head)
            return RawAnswer(status, headers, await self.reader.readexactly(int(headers["content-length"])))


def answers_in(received: bytes) -> list[RawAnswer]:
    """The answers that bytes consist of, each with a Content-Length; anything else fails."""
    answers = []
    while received:
        head, separator, rest = received.partition(b"\r\n\r\n")
        assert separator, received
        status, headers = _head(head + separator)
        size_bytes = int(headers["content-length"])
        assert len(rest) >= size_bytes, received
        answers.append(RawAnswer(status, headers, rest[:size_bytes]))
        received = rest[size_bytes:]
    return answers


def _head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    assert first.startswith("HTTP/1.1 "), head
    return int(first.split(" ")[1]), {
        name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
    }
