"""
The load generator: prepared requests on raw connections, and as little as possible done with the answers.

A stream is taken as whole when its last bytes are the ``[DONE]`` of the dialect and the end of the chunked body; the
tokens in it are not counted on the way, because ``check_stream`` has shown that each stream holds what was asked for.
Every answer that is not 200, and every connection that breaks, fails the run.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

import orjson

__all__ = ["Caller", "LoadFailed", "Result", "Target", "check_stream", "closed_loop"]

STALLED_S = 60.0  # beyond the time that a run was given

_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_BODY_END = b"\r\n0\r\n\r\n"
_TAIL_BYTES = 64  # holds the sentinel and the end of the body, also when they came in chunks of their own
# The time that the upstream wrote into a token, in a delta of either dialect; the closing events repeat the text.
_STAMP = re.compile(rb'"(?:delta|content)":\s?"t=(\d{19});')


class LoadFailed(Exception):
    """The server under test answered something else than was asked for; the message shows it."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where requests go: a server and the path that creates an answer there."""

    host: str
    port: int
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def request(self, body: bytes) -> bytes:
        """The bytes of a POST."""
        lines = [
            f"POST {self.path} HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(kw_only=True)
class Result:
    """
    What a run saw.

    Attributes:
        latencies_s: One for each answer, from the write of the request to the last byte.
        delays_ns: One for each token that carried the time of its sending.
        load_cpu_s: What the load generator itself used.
    """

    answers: int = 0
    received_bytes: int = 0
    wall_s: float = 0.0
    load_cpu_s: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    delays_ns: list[int] = field(default_factory=list)


class Connection(asyncio.Protocol):
    """
    One kept connection with one request at a time.

    Args:
        ended: Called with this connection when an answer is whole.
        failed: Called with what was wrong; nothing is called after it.
        keep: Whether to keep the bytes of the answer.
        on_block: Called with every block of an answer.
    """

    __slots__ = (
        "_ended",
        "_failed",
        "_keep",
        "_missing",
        "_on_block",
        "_tail",
        "_transport",
        "kept",
        "received_bytes",
        "sent_at",
    )

    def __init__(
        self,
        ended: Callable[[Connection], None],
        failed: Callable[[LoadFailed], None],
        *,
        keep: bool = False,
        on_block: Callable[[bytes], None] | None = None,
    ) -> None:
        self._ended = ended
        self._failed = failed
        self._keep = keep
        self._on_block = on_block
        self._transport: asyncio.Transport | None = None
        self._tail = b""
        self._missing: int | None = None  # of a body with a length; None before the head and in a chunked body
        self.kept: list[bytes] = []
        self.received_bytes = 0
        self.sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a client's transport is always two-way

    def connection_lost(self, error: Exception | None) -> None:
        if self._transport is not None:
            self._transport = None
            self._failed(LoadFailed(f"The connection was closed: {error or 'by the server'}."))

    def send(self, request: bytes) -> None:
        assert self._transport is not None
        self._tail = b""
        self._missing = None
        self.kept.clear()
        self.sent_at = time.perf_counter()
        self._transport.write(request)

    def close(self) -> None:
        if self._transport is not None:
            transport, self._transport = self._transport, None
            transport.close()

    def data_received(self, data: bytes) -> None:
        self.received_bytes += len(data)
        if self._keep:
            self.kept.append(data)
        if self._on_block is not None:
            self._on_block(data)
        if self._missing is not None:
            self._missing -= len(data)
        elif not self._tail:
            self._begin(data)
        else:
            self._tail = (self._tail + data[-_TAIL_BYTES:])[-_TAIL_BYTES:]
        if self._missing is None:
            if self._tail.endswith(_BODY_END):
                self._finish_chunked()
        elif self._missing == 0:
            self._ended(self)

    def _begin(self, data: bytes) -> None:
        if not data.startswith(b"HTTP/1.1 200"):
            self.close()
            self._failed(LoadFailed(f"The answer was not 200: {data[:1000].decode(errors='replace')}"))
            return
        end = data.find(b"\r\n\r\n")
        length = _LENGTH.search(data, 0, end + 2)
        if length:
            self._missing = int(length[1]) - (len(data) - end - 4)
        else:
            self._tail = data[-_TAIL_BYTES:]

    def _finish_chunked(self) -> None:
        if self._on_block is None or b"[DONE]" in self._tail:
            self._ended(self)
        else:
            self.close()
            self._failed(LoadFailed(f"A stream ended without [DONE]: {self._tail.decode(errors='replace')}"))


class _ClosedLoop:
    """Connections that ask again as soon as they have been answered, until the time is over."""

    def __init__(self, request: bytes, *, seconds: float, limit: int | None) -> None:
        self._request = request
        self._seconds = seconds
        self._limit = limit
        self._deadline = 0.0
        self._asked = 0
        self._under_way = 0
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.result = Result()

    async def run(self, connections: list[Connection]) -> Result:
        cpu, began = time.process_time(), time.perf_counter()
        self._deadline = began + self._seconds
        for connection in connections:
            self._ask(connection)
        async with asyncio.timeout(self._seconds + STALLED_S):
            await self._done
        self.result.wall_s = time.perf_counter() - began
        self.result.load_cpu_s = time.process_time() - cpu
        self.result.received_bytes = sum(connection.received_bytes for connection in connections)
        return self.result

    def ended(self, connection: Connection) -> None:
        now = time.perf_counter()
        self.result.answers += 1
        self.result.latencies_s.append(now - connection.sent_at)
        self._under_way -= 1
        if now < self._deadline and (self._limit is None or self._asked < self._limit):
            self._ask(connection)
        elif not self._under_way and not self._done.done():
            self._done.set_result(None)

    def failed(self, error: LoadFailed) -> None:
        if not self._done.done():
            self._done.set_exception(error)

    def time_tokens(self, block: bytes) -> None:
        now = time.monotonic_ns()
        self.result.delays_ns.extend(now - int(stamp) for stamp in _STAMP.findall(block))

    def _ask(self, connection: Connection) -> None:
        self._asked += 1
        self._under_way += 1
        connection.send(self._request)


async def closed_loop(
    target: Target,
    body: bytes,
    *,
    connections: int,
    seconds: float,
    limit: int | None = None,
    timed: bool = False,
) -> Result:
    """
    Ask the same from *connections* connections until *seconds* are over or *limit* requests were sent.

    What is under way then is finished and counted. With no seconds, every connection asks once.

    Args:
        timed: Also note how long each token of a paced stream was under way.

    Raises:
        LoadFailed: An answer was not 200, or a connection broke.
        TimeoutError: An answer did not end.
    """
    loop = asyncio.get_running_loop()
    run = _ClosedLoop(target.request(body), seconds=seconds, limit=limit)
    opened: list[Connection] = []
    try:
        for _ in range(connections):
            connection = Connection(run.ended, run.failed, on_block=run.time_tokens if timed else None)
            await loop.create_connection(lambda connection=connection: connection, target.host, target.port)  # type: ignore[misc]
            opened.append(connection)
        return await run.run(opened)
    finally:
        for connection in opened:
            connection.close()


class Caller:
    """Asks one thing after the other on one connection and reads the answers."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._answer: asyncio.Future[bytes] | None = None
        self._connection = Connection(self._ended, self._failed, keep=True)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, target: Target) -> AsyncIterator[Caller]:
        caller = cls(target)
        await asyncio.get_running_loop().create_connection(lambda: caller._connection, target.host, target.port)
        try:
            yield caller
        finally:
            caller._connection.close()

    async def post(self, body: bytes) -> tuple[bytes, float]:
        """
        The body of the answer, and the seconds from sending to its last byte.

        Raises:
            LoadFailed: The answer was not 200, or the connection broke.
            TimeoutError: The answer did not end.
        """
        self._answer = asyncio.get_running_loop().create_future()
        self._connection.send(self._target.request(body))
        async with asyncio.timeout(STALLED_S):
            answer = await self._answer
        return answer, time.perf_counter() - self._connection.sent_at

    def _ended(self, connection: Connection) -> None:
        if self._answer is not None and not self._answer.done():
            head, _, body = b"".join(connection.kept).partition(b"\r\n\r\n")
            self._answer.set_result(body if _LENGTH.search(head) else _joined(body))

    def _failed(self, error: LoadFailed) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


async def check_stream(target: Target, body: bytes, tokens: int) -> None:
    """
    Read one stream with care.

    Raises:
        LoadFailed: It does not hold *tokens* deltas and the end of its dialect.
    """
    async with Caller.open(target) as caller:
        answer, _ = await caller.post(body)
    events = [part.rpartition(b"data: ")[2] for part in answer.split(b"\n\n") if part.strip()]
    if events[-1] != b"[DONE]" and b'"message_stop"' not in events[-1]:
        raise LoadFailed(f"A stream ended without its end: {events[-1][:200].decode(errors='replace')}")
    found = sum(_is_token(orjson.loads(event)) for event in events[:-1])
    if found != tokens:
        raise LoadFailed(f"A stream of {tokens} tokens held {found}.")


def _is_token(event: dict[str, object]) -> bool:
    if event.get("type") in ("response.output_text.delta", "content_block_delta"):
        return True
    choices = event.get("choices")
    if not isinstance(choices, list):
        return False
    return any(choice["delta"].get("content") for choice in choices)


def _joined(body: bytes) -> bytes:
    """The content of a chunked body."""
    parts: list[bytes] = []
    at = 0
    while True:
        end = body.index(b"\r\n", at)
        size = int(body[at:end].partition(b";")[0], 16)
        if not size:
            return b"".join(parts)
        parts.append(body[end + 2 : end + 2 + size])
        at = end + 2 + size + 2
