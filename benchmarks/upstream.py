"""
A model server that is never the bottleneck: prebuilt bytes on a raw protocol, no JSON, no task per stream.

It speaks Chat Completions, and by their own paths the other dialects that upstreams may speak, these without pause.

The request decides what is answered. ``model`` says how fast a stream comes: ``instant`` without pause, ``paced-50``
at 50 tokens per second (any number). ``max_tokens``, under any of its names, says how many tokens; 200 without it.
Every event is an HTTP chunk and a write of its own, as model servers send them. A paced token's text carries the
nanosecond at which it was written, so that a reader on the same machine can tell how long it was under way.

It reads just enough of HTTP/1.1 for clients that send ``Content-Length`` and do not pipeline.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import re
import signal
import time
from collections.abc import Sequence

import uvloop

from benchmarks.completions import (
    MODELS,
    closing_events,
    completion,
    model_list,
    opening_event,
    stamped_event,
    token_event,
)
from benchmarks.replies import REPLIES

__all__ = ["EVENTS_PER_WRITE", "Upstream", "main"]

DEFAULT_TOKENS = 200
EVENTS_PER_WRITE = 1  # as a model server writes them; with more, a proxy that reads small blocks gains most
SLOTS_PER_SECOND = 1000  # of a wheel: the finest step that the event loop's timers know

# A quote inside a message's text is escaped, so these match keys only.
_MODEL = re.compile(rb'"model"\s*:\s*"([^"]*)"')
_TOKENS = re.compile(rb'"max(?:_completion|_output|Output)?_?[tT]okens"\s*:\s*(\d+)')
_STREAM = re.compile(rb'"stream"\s*:\s*true')
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_OTHERS = {
    b"POST /v1/responses ": "openai_responses",
    b"POST /v1/messages ": "anthropic",
    b"POST /v1beta/models/": "gemini",
    b"POST /model/": "bedrock",
}
_STREAM_PATH = re.compile(rb"POST \S+(?:streamGenerateContent|converse-stream)")
_PACED = re.compile(r"paced-([1-9]\d*)")

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
_STREAM_HEAD = _HEAD % b"text/event-stream; charset=utf-8"
_STREAM_END = b"0\r\n\r\n"


def _answer(status: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % (status, len(body)) + body


def _chunk(event: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(event), event)


@functools.cache
def _opening(model: str) -> bytes:
    return _STREAM_HEAD + _chunk(opening_event(model))


@functools.cache
def _closing(model: str, tokens: int) -> bytes:
    return b"".join(map(_chunk, closing_events(model, tokens))) + _STREAM_END


@functools.cache
def _blocks(model: str, tokens: int, step: int) -> tuple[bytes, ...]:
    """A whole stream as the writes that it is made of, *step* tokens in each."""
    chunks = [_chunk(token_event(model, number)) for number in range(tokens)]
    blocks = [b"".join(chunks[i : i + step]) for i in range(0, tokens, step)]
    return (_opening(model), *blocks, _closing(model, tokens))


@functools.cache
def _other_blocks(dialect: str, tokens: int, step: int) -> tuple[bytes, ...]:
    """The same in another dialect."""
    opening, events, closing = REPLIES[dialect].stream(tokens)
    chunks = [_chunk(event) for event in events]
    head = _HEAD % REPLIES[dialect].content_type + (_chunk(opening) if opening else b"")
    blocks = [b"".join(chunks[i : i + step]) for i in range(0, tokens, step)]
    return (head, *blocks, _chunk(closing) + _STREAM_END)


@functools.cache
def _stamped(model: str) -> tuple[bytes, bytes]:
    """What stands before and after the time in a paced token's chunk."""
    before, after = stamped_event(model)
    return b"%x\r\n%b" % (len(before) + 19 + len(after), before), after + b"\r\n"


class Pump:
    """Streams without pause: one write for each of them in every turn of the event loop, as long as readers keep up."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._streams: dict[Exchange, list[bytes]] = {}
        self._running = False

    def add(self, exchange: Exchange, blocks: Sequence[bytes]) -> None:
        self._streams[exchange] = list(reversed(blocks))
        self.wake()

    def remove(self, exchange: Exchange) -> None:
        self._streams.pop(exchange, None)

    def wake(self) -> None:
        if not self._running:
            self._running = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        written = False
        for exchange, blocks in list(self._streams.items()):
            if exchange.paused:
                continue
            written = True
            if len(blocks) == 1:
                del self._streams[exchange]
            exchange.write(blocks.pop())
        self._running = False
        if written and self._streams:
            self.wake()


class Wheel:
    """All streams of one rate on one timer: each has a slot of the period, and a tick serves one slot."""

    def __init__(self, loop: asyncio.AbstractEventLoop, rate: int) -> None:
        self._loop = loop
        self._slots: list[dict[Exchange, tuple[str, int, int]]] = [{} for _ in range(max(1, SLOTS_PER_SECOND // rate))]
        self._slots_per_s = rate * len(self._slots)
        self._started = 0
        self._open = 0
        self._served = 0

    def add(self, exchange: Exchange, model: str, tokens: int) -> None:
        # Steps of the golden ratio spread the streams evenly over the period, however many there are.
        slot = int(self._started * 0.618034 % 1 * len(self._slots))
        self._started += 1
        self._slots[slot][exchange] = (model, tokens, tokens)
        exchange.write(_opening(model))
        self._open += 1
        if self._open == 1:
            self._served = self._now()
            self._wait()

    def remove(self, exchange: Exchange) -> None:
        for slot in self._slots:
            if slot.pop(exchange, None):
                self._open -= 1

    def _now(self) -> int:
        """The time in slots. Rounded: the loop's clock has whole milliseconds, and a fraction would make it spin."""
        return round(self._loop.time() * self._slots_per_s)

    def _wait(self) -> None:
        self._loop.call_later(1 / self._slots_per_s, self._turn)

    def _turn(self) -> None:
        now = self._now()
        while self._served < now and self._open:
            self._served += 1
            self._serve(self._slots[self._served % len(self._slots)])
        if self._open:
            self._wait()

    def _serve(self, slot: dict[Exchange, tuple[str, int, int]]) -> None:
        for exchange, (model, tokens, left) in list(slot.items()):
            before, after = _stamped(model)
            token = b"%b%019d%b" % (before, time.monotonic_ns(), after)
            if left > 1:
                slot[exchange] = (model, tokens, left - 1)
                exchange.write(token)
            else:
                del slot[exchange]
                self._open -= 1
                exchange.write(token + _closing(model, tokens))


class Exchange(asyncio.Protocol):
    """One connection: reads a request, has it answered, reads the next."""

    __slots__ = ("_body", "_head", "_missing", "_transport", "_upstream", "paused")

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._transport: asyncio.Transport | None = None
        self._head = b""
        self._body: list[bytes] = []
        self._missing = 0
        self.paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a server's transport is always two-way

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._upstream.forget(self)

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self._upstream.pump.wake()

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._take_body(data)
            return
        data = self._head + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._head = data
            return
        self._head = data[: end + 2]
        length = _LENGTH.search(self._head)
        self._missing = int(length[1]) if length else 0
        self._take_body(data[end + 4 :])

    def _take_body(self, data: bytes) -> None:
        self._body.append(data)
        self._missing -= len(data)
        if self._missing <= 0:
            head, body = self._head, b"".join(self._body)
            self._head, self._missing = b"", 0
            self._body.clear()
            self._upstream.answer(self, head, body)


class Upstream:
    """What all connections share: the pump, a wheel for each rate, and the choice of the answer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, events_per_write: int = EVENTS_PER_WRITE) -> None:
        self._loop = loop
        self._wheels: dict[int, Wheel] = {}
        self._events_per_write = events_per_write
        self.pump = Pump(loop)

    def answer(self, exchange: Exchange, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET /v1/models "):
            exchange.write(_answer(b"200 OK", model_list()))
        elif head.startswith(b"POST /v1/chat/completions "):
            self._complete(exchange, body)
        elif dialect := next((name for path, name in _OTHERS.items() if head.startswith(path)), None):
            self._reply(exchange, dialect, head, body)
        else:
            exchange.write(_answer(b"404 Not Found", b'{"error":{"message":"No such path.","type":"not_found"}}'))

    def forget(self, exchange: Exchange) -> None:
        self.pump.remove(exchange)
        for wheel in self._wheels.values():
            wheel.remove(exchange)

    def _complete(self, exchange: Exchange, body: bytes) -> None:
        found = _MODEL.search(body)
        model = found[1].decode() if found else MODELS[0]
        if _STREAM.search(body) is None:
            exchange.write(_answer(b"200 OK", completion(model)))
            return
        tokens = _asked_tokens(body)
        paced = _PACED.fullmatch(model)
        if paced is None:
            self.pump.add(exchange, _blocks(model, tokens, self._events_per_write))
        else:
            self._wheel(int(paced[1])).add(exchange, model, tokens)

    def _reply(self, exchange: Exchange, dialect: str, head: bytes, body: bytes) -> None:
        if _STREAM_PATH.match(head) or _STREAM.search(body):
            self.pump.add(exchange, _other_blocks(dialect, _asked_tokens(body), self._events_per_write))
        else:
            exchange.write(_answer(b"200 OK", REPLIES[dialect].whole))

    def _wheel(self, rate: int) -> Wheel:
        if rate not in self._wheels:
            self._wheels[rate] = Wheel(self._loop, rate)
        return self._wheels[rate]


def _asked_tokens(body: bytes) -> int:
    limit = _TOKENS.search(body)
    return max(1, int(limit[1])) if limit else DEFAULT_TOKENS


async def serve(port: int, events_per_write: int) -> None:
    """Answer on 127.0.0.1 until SIGTERM or SIGINT; the first line on stdout says where."""
    loop = asyncio.get_running_loop()
    upstream = Upstream(loop, events_per_write=events_per_write)
    server = await loop.create_server(lambda: Exchange(upstream), "127.0.0.1", port, backlog=1024)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    print(f"listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await stopped.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.upstream", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--events-per-write", type=int, default=EVENTS_PER_WRITE, help="of a stream without pause")
    arguments = parser.parse_args()
    uvloop.run(serve(arguments.port, arguments.events_per_write))


if __name__ == "__main__":
    main()
