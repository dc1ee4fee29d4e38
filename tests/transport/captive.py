"""
A network of which nothing leaves this machine: names are answered and connections caught below aiohttp.

The system's name lookup answers what a test says, and else with loopback, which is what an attacker would have. Every
connection that the event loop is asked to make is written down, and then led to one server on loopback.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

__all__ = ["PNG", "PUBLIC", "Captive", "captive_network"]

PUBLIC = "93.184.215.14"
PNG = b"\x89PNG\r\n\x1a\n" + b"pixels"

Answer = Callable[[str], bytes]


def whole(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """An answer with its length."""
    head = "\r\n".join([f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers])
    return head.encode() + b"\r\n\r\n" + body


class Captive:
    """
    The network of one test.

    Attributes:
        names: What DNS answers: a list of addresses, the next of which is used up if it holds several lists.
        attempts: The address and port of each connection that was to be made.
        connections: How many reached the server.
        requests: The head of each request.
        answer: What the server says to a path.
    """

    def __init__(self) -> None:
        self.names: dict[str, list[list[str]]] = {}
        self.lookups: list[str] = []
        self.attempts: list[tuple[str, int]] = []
        self.connections = 0
        self.requests: list[str] = []
        self.answer: Answer = lambda path: whole(PNG, "content-type: image/png")
        self.refused: set[str] = set()
        self.silent: set[str] = set()
        self.port = 0
        self._lookup = socket.getaddrinfo
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def paths(self) -> list[str]:
        """The path of each request."""
        return [head.split(" ")[1] for head in self.requests]

    def look_up(self, host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        """In the place of :func:`socket.getaddrinfo`."""
        self.lookups.append(host)
        with suppress(socket.gaierror):  # a number in any spelling, which the system's lookup understands
            return self._lookup(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        rounds = self.names.get(host.rstrip("."), [["127.0.0.1"]])
        addresses = rounds.pop(0) if len(rounds) > 1 else rounds[0]
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [
            answer
            for address in addresses
            for answer in self._lookup(address, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        ]

    async def connect(self, connect: Callable[..., Any], sock: socket.socket, address: tuple[Any, ...]) -> None:
        """In the place of the event loop's ``sock_connect``."""
        self.attempts.append((address[0], address[1]))
        if address[0] in self.silent:
            await asyncio.Event().wait()
        if address[0] in self.refused or sock.family == socket.AF_INET6:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")
        await connect(sock, ("127.0.0.1", self.port))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.requests.append(head)
            writer.write(self.answer(head.split(" ")[1]))
            await writer.drain()
        writer.close()
        self._tasks.discard(task)

    async def end(self) -> None:
        """Wait for the connections to be over."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def captive_network(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Captive]:
    """The network for as long as the block runs."""
    captive = Captive()
    captive.names = {"public.example": [[PUBLIC]], "other.example": [["151.101.1.69"]]}
    server = await asyncio.start_server(captive.serve, "127.0.0.1", 0)
    captive.port = server.sockets[0].getsockname()[1]
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect

    async def caught(sock: socket.socket, address: tuple[Any, ...]) -> None:
        await captive.connect(connect, sock, address)

    monkeypatch.setattr(loop, "sock_connect", caught)
    monkeypatch.setattr(socket, "getaddrinfo", captive.look_up)
    try:
        yield captive
    finally:
        monkeypatch.undo()
        server.close()
        await captive.end()
