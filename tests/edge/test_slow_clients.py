"""Clients that take their time, or more than their share, while others go on being served."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable

import orjson
import pytest

from antiphon.server.connections import ConnectionLimits, Connections
from tests.edge.test_compression import BLANK_BOMB
from tests.edge.test_smuggling import HOST, JSON, body, chunked, get, in_chunks, post
from tests.support.gateway_process import GatewayProcess
from tests.support.raw_http import PATIENCE_S, RawConnection, answers_in
from tests.support.scripted_upstream import (
    MODEL,
    ScriptedUpstream,
    Wait,
    delta,
    finish,
    http_json,
    http_stream_head,
    whole,
)
from tests.support.scripted_upstream import chunk as http_chunk

pytestmark = pytest.mark.asyncio(loop_scope="module")

SLOW = 20
STREAMED = orjson.dumps({"model": MODEL, "input": "hi", "store": False, "stream": True})


def streamed() -> bytes:
    """A turn that is streamed."""
    return get(HOST + JSON + b"Content-Length: %d\r\n" % len(STREAMED), line=b"POST /v1/responses HTTP/1.1") + STREAMED


@contextlib.asynccontextmanager
async def trickling(connection: RawConnection, data: bytes) -> AsyncIterator[None]:
    """Send a byte every now and then for as long as the block runs."""

    async def trickle() -> None:
        for place in range(len(data)):
            await connection.send(data[place : place + 1])
            await asyncio.sleep(0.05)  # this is how slow it is, and waits for nothing

    task = asyncio.get_running_loop().create_task(trickle())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def slow_head(port: int) -> None:
    """A head byte by byte is 408, and names its limit."""
    head = b"GET /v1/models HTTP/1.1\r\n" + HOST + b"X-Slow: " + b"a" * 10_000
    async with RawConnection.open(port) as connection, trickling(connection, head):
        [answer] = answers_in(await connection.until_closed())
    assert (answer.status, answer.error["code"]) == (408, "request_timeout")
    assert "header_timeout_s" in answer.error["message"]


async def slow_body(port: int) -> None:
    """A body byte by byte is 408, and names its limit."""
    async with RawConnection.open(port) as connection:
        text = "long " * 100
        await connection.send(post(text)[: -len(body(text))])
        async with trickling(connection, body(text)):
            [answer] = answers_in(await connection.until_closed())
    assert (answer.status, answer.error["code"]) == (408, "request_timeout")
    assert "body_timeout_s" in answer.error["message"]


async def idle(port: int) -> None:
    """Who says nothing is told nothing."""
    async with RawConnection.open(port) as connection:
        assert await connection.until_closed() == b""


async def slow_reader(port: int) -> None:
    """Who does not take its answer is dropped before it has all of it."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=16384)
    writer.write(get(target=b"/v1/models", fields=HOST) * 3 + post("a long answer"))
    await writer.drain()
    received = 0
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(PATIENCE_S):
            while block := await reader.read(16384):
                received += len(block)
                await asyncio.sleep(0.05)  # this is how slow it is, and waits for nothing
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    assert received < len(LONG)


LONG = http_json(whole("long " * 2_000_000))


@contextlib.asynccontextmanager
async def good_traffic(port: int) -> AsyncIterator[Callable[[], int]]:
    """Turns one after the other for as long as the block runs; each has to succeed, and there have to be some."""
    served = 0

    async def serve() -> None:
        nonlocal served
        while True:
            async with RawConnection.open(port) as connection:
                await connection.send(post("good"))
                assert (await connection.answer()).status == 200
            served += 1

    task = asyncio.get_running_loop().create_task(serve())
    try:
        yield lambda: served
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("mode", [slow_head, slow_body, idle, slow_reader], ids=lambda mode: mode.__name__)
async def test_slow_clients_are_ended_while_others_are_served(
    port: int, scripted: ScriptedUpstream, mode: Callable[[int], Awaitable[None]]
) -> None:
    """Many connections that are slow in one way end by their limit, and good turns succeed all the while."""
    count = SLOW if mode is not slow_reader else 3
    if mode is slow_reader:
        for _ in range(count):
            scripted.then(LONG)
    async with asyncio.timeout(60):
        slow = [asyncio.ensure_future(mode(port)) for _ in range(count)]
        await asyncio.sleep(0)
        if mode is slow_reader:
            while len(scripted.turns) < count:
                await asyncio.sleep(0.01)
        async with good_traffic(port) as served:
            await asyncio.gather(*slow)
            assert served() > 0


async def test_an_idle_connection_is_closed_between_requests(port: int) -> None:
    """After keep_alive_s without a request the server ends the connection, and says nothing."""
    async with RawConnection.open(port) as connection:
        await connection.send(get())
        assert (await connection.answer()).status == 200
        assert await connection.until_closed() == b""


async def test_what_follows_an_early_answer_is_not_read_for_ever(port: int) -> None:
    """A body without an end, for a path that there is not, is thrown away for a moment; then the connection ends."""
    async with RawConnection.open(port) as connection:
        await connection.send(in_chunks(b"").replace(b"/v1/responses", b"/v1/nowhere"))
        answer = await connection.answer()
        async with trickling(connection, chunked(b"x" * 100_000, end=b"")):
            assert await connection.until_closed() == b""
    assert answer.status == 404


@pytest.mark.parametrize(
    "behind",
    [b"\x00garbage\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nX: ", get() * 40, get(HOST + HOST)],
    ids=["garbage", "no Host", "a head without an end", "more than may wait", "two Hosts"],
)
async def test_what_is_wrong_behind_a_stream_never_gets_into_it(
    port: int, scripted: ScriptedUpstream, behind: bytes
) -> None:
    """A stream ends with its own end, whatever is sent behind its request, and the connection ends with it."""
    wait = Wait(asyncio.Event())
    first, rest = delta(role="assistant", content="one "), delta(content="two") + finish()
    scripted.then(http_stream_head(), http_chunk(first), wait, http_chunk(rest) + b"0\r\n\r\n")
    async with RawConnection.open(port) as connection:
        await connection.send(streamed())
        async with asyncio.timeout(PATIENCE_S):
            await wait.reached.wait()
            received = await connection.reader.readuntil(b"output_text.delta")
        await connection.send(behind)
        if not behind.endswith(b"\r\n\r\n"):
            await asyncio.sleep(2.5)  # longer than a head may take: the limit's end has to have come, and not shown
        wait.event.set()
        received += await connection.until_closed()
    head, _, stream = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert stream.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert received.count(b"HTTP/1.1 ") == 1


async def test_one_address_has_its_share_of_connections(port: int) -> None:
    """The connection beyond max_connections_per_address is 429; when others have gone there is room again."""
    async with contextlib.AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(RawConnection.open(port)) for _ in range(80)]
        answers = []
        for connection in opened:
            received = await connection.until_closed()
            answers += answers_in(received)
    assert 0 < len(answers) <= 80
    for answer in answers:
        assert (answer.status, answer.error["code"]) == (429, "rate_limit_exceeded")
        assert "max_connections" in answer.error["message"]
        assert answer.headers["retry-after"] == "1"
    async with asyncio.timeout(PATIENCE_S), RawConnection.open(port) as connection:
        await connection.send(post("good"))
        assert (await connection.answer()).status == 200


async def test_bombs_leave_the_memory_of_the_process_as_it_was(port: int, limited_gateway: GatewayProcess) -> None:
    """Two dozen bodies that would be 64 MiB each are refused, and the process is not much larger afterwards."""
    request = get(
        HOST + JSON + b"Content-Encoding: zstd\r\nContent-Length: %d\r\n" % len(BLANK_BOMB),
        line=b"POST /v1/responses HTTP/1.1",
    )

    async def throw() -> None:
        async with RawConnection.open(port) as connection:
            await connection.send(request + BLANK_BOMB)
            assert (await connection.answer()).status == 413

    await throw()
    before = resident_bytes(limited_gateway)
    for _ in range(3):
        await asyncio.gather(*(throw() for _ in range(8)))
    assert resident_bytes(limited_gateway) < 1.5 * before


def resident_bytes(gateway: GatewayProcess) -> int:
    """How much memory a gateway's process has."""
    assert gateway._child is not None
    shown = subprocess.run(["ps", "-o", "rss=", "-p", str(gateway._child.pid)], capture_output=True, check=True)
    return int(shown.stdout) * 1024


class Held:
    """A connection that does nothing."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.is_open = True

    def look(self, now: float) -> None:
        """Nothing takes too long."""


async def test_all_addresses_together_have_their_share() -> None:
    """max_connections counts connections from everywhere, WebSockets too, and those that have ended no more."""
    limits = ConnectionLimits(max_connections=3, max_per_address=2, linger_s=0.2)
    connections = Connections(limits)
    held = [Held(f"192.0.2.{number % 3}") for number in range(5)]
    refusals = [connections.enter(connection) for connection in held]
    assert [refusal is None for refusal in refusals] == [True, True, True, False, False]
    assert "max_connections (3)" in str(refusals[3])
    for connection in held[3:]:
        connections.leave(connection)
    connections.upgrade(held[0])
    held[0].is_open = False
    async with asyncio.timeout(PATIENCE_S):
        while len(connections) > 2:
            await asyncio.sleep(0.01)
    for connection in held[1:3]:
        connections.leave(connection)
    assert len(connections) == 0
    assert connections.enter(Held("192.0.2.0")) is None
