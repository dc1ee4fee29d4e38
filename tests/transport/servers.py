"""Raw servers on loopback that say exactly what a test tells them to."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """
    One running server.

    Attributes:
        requests: The head of each request that came, as text.
        connections: How many connections were made.
        gone: Set when a client has closed its connection.
    """

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[str] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.gone = asyncio.Event()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


@asynccontextmanager
async def serving(answer: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """A server that reads each request whole and then lets *answer* write what it likes."""
    server = Server()
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        server.connections += 1
        try:
            while await _read_request(reader, server):
                await answer(reader, writer)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass  # the test is over, or the client has left
        finally:
            server.gone.set()
            writer.close()
            tasks.discard(task)

    listening = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read_request(reader: asyncio.StreamReader, server: Server) -> bool:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return False
    server.requests.append(head)
    length = next((line.split(":")[1] for line in head.split("\r\n") if line.lower().startswith("content-length")), "0")
    server.bodies.append(await reader.readexactly(int(length)))
    return True


def saying(*pieces: bytes, then_close: bool = False) -> Handler:
    """A handler that writes *pieces* one after the other, each as a packet of its own."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if then_close:
            writer.close()
            raise ConnectionError

    return answer


async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A handler that closes the connection without a word."""
    raise ConnectionError


async def stalling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A handler that says nothing until the client has gone."""
    await reader.read()
    raise ConnectionError


def stalling_after(*pieces: bytes) -> Handler:
    """A handler that says *pieces* and then nothing until the client has gone."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await saying(*pieces)(reader, writer)
        await stalling(reader, writer)

    return answer


def reply(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A whole answer with its length."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """*data* as one chunk of a chunked body."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"
