"""
The SSE writer: follows a run, encodes what it says and writes it.

Every body chunk holds whole events (a public conformance runner loses events that are cut), and whatever has gathered
since the last write goes out as one chunk. A reader that cannot keep up is dropped; the turn does not wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from antiphon.engine.run import Batch, Reader, Run
from antiphon.hub.format import StreamEncoder
from antiphon.server.body import Receive
from antiphon.server.reply import Headers, Send

__all__ = ["KEEP_ALIVE", "StreamLimits", "Watch", "write_stream"]

_DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"
_LOOK_AFTER_S = 0.2

# So many events are encoded before the event loop goes on: about half a millisecond.
_SLICE_EVENTS = 256

STREAM_HEADERS: Headers = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)


class StreamLimits:
    """
    Args:
        keep_alive_s: A comment is sent after so much silence, so that proxies and clients do not give up.
        max_reader_lag_bytes: A reader that falls further behind than this during a write is dropped. What had been
            said before it came does not count.
        done_sentinel: Whether a stream ends with ``data: [DONE]``.
    """

    def __init__(
        self,
        *,
        keep_alive_s: float = 15.0,
        max_reader_lag_bytes: int = 16 * 1024 * 1024,
        done_sentinel: bool = True,
    ) -> None:
        self.keep_alive_s = keep_alive_s
        self.max_reader_lag_bytes = max_reader_lag_bytes
        self.done_sentinel = done_sentinel


class Watch:
    """
    Notices that the client has gone.

    It begins to look after a moment, with one small task: most answers to short requests are out before that.

    Attributes:
        has_gone: Whether the client has disconnected.
    """

    def __init__(self, receive: Receive) -> None:
        self.has_gone = False
        self._receive = receive
        self._task: asyncio.Task[None] | None = None
        self._callbacks: list[Callable[[], None]] = []
        self._timer = asyncio.get_running_loop().call_later(_LOOK_AFTER_S, self._look)

    def on_gone(self, callback: Callable[[], None]) -> None:
        """Call *callback* when the client has disconnected."""
        self._callbacks.append(callback)

    async def outlast(self, future: asyncio.Future[Any]) -> bool:
        """Wait until *future* is done or the client has gone, and say whether it was the future."""
        if not future.done() and not self.has_gone:
            woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

            def wake(_: object = None) -> None:
                if not woken.done():
                    woken.set_result(None)

            future.add_done_callback(wake)
            self.on_gone(wake)
            await woken
        return future.done()

    def close(self) -> None:
        """Stop watching."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _look(self) -> None:
        self._task = asyncio.get_running_loop().create_task(_disconnected(self._receive))
        self._task.add_done_callback(self._went)

    def _went(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        self.has_gone = True
        for callback in self._callbacks:
            callback()


async def _disconnected(receive: Receive) -> None:
    message: Mapping[str, Any] = {"type": ""}
    while message["type"] != "http.disconnect":
        message = await receive()


async def write_stream(
    run: Run,
    encoder: StreamEncoder,
    *,
    send: Send,
    watch: Watch,
    headers: Headers,
    limits: StreamLimits,
    start: int = 0,
    keep_alive: bytes = KEEP_ALIVE,
) -> bool:
    """
    Write a run to its end.

    Args:
        encoder: Begins with event number *start*.
        keep_alive: What is written after a silence.

    Returns:
        Whether the client was told everything. False if it has gone or was too slow, or if the run was broken off.
    """
    reader = run.reader(start)
    ticker = _Ticker(reader, limits.keep_alive_s)
    watch.on_gone(reader.wake)
    has_caught_up = False
    try:
        await send({"type": "http.response.start", "status": 200, "headers": [*STREAM_HEADERS, *headers]})
        while not watch.has_gone:
            events = reader.take()
            at_end = reader.at_end
            size_bytes, events = await _write_slices(events, encoder, send)
            chunk = encoder.encode(events)
            if at_end and limits.done_sentinel and run.has_ended_well:
                chunk += _DONE
            elif not chunk and ticker.due():
                chunk = keep_alive
            if chunk or at_end:
                await send({"type": "http.response.body", "body": chunk, "more_body": not at_end})
                ticker.wrote()
            if at_end:
                return run.has_ended_well
            if has_caught_up and size_bytes + len(chunk) > limits.max_reader_lag_bytes:
                return False
            has_caught_up = True
            await reader.wait()
        return False
    finally:
        ticker.close()
        reader.close()


async def _write_slices(events: Batch, encoder: StreamEncoder, send: Send) -> tuple[int, Batch]:
    """Write all but the last slice of a long batch. Returns how many bytes that was, and the last slice."""
    size_bytes = first = 0
    while len(events) - first > _SLICE_EVENTS:
        chunk = encoder.encode(events[first : first + _SLICE_EVENTS])
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await asyncio.sleep(0)
        size_bytes += len(chunk)
        first += _SLICE_EVENTS
    return size_bytes, events[first:] if first else events


class _Ticker:
    """Wakes a reader after a silence. One timer for each stream, armed anew only when it has fired."""

    def __init__(self, reader: Reader, every_s: float) -> None:
        self._reader = reader
        self._every_s = every_s
        self._loop = asyncio.get_running_loop()
        self._wrote_at = self._loop.time()
        self._timer = self._loop.call_later(every_s, self._fire)

    def wrote(self) -> None:
        self._wrote_at = self._loop.time()

    def due(self) -> bool:
        return self._loop.time() - self._wrote_at >= self._every_s

    def close(self) -> None:
        self._timer.cancel()

    def _fire(self) -> None:
        silence_s = self._loop.time() - self._wrote_at
        wait_s = self._every_s if silence_s >= self._every_s else self._every_s - silence_s
        self._timer = self._loop.call_later(wait_s, self._fire)
        if silence_s >= self._every_s:
            self._reader.wake()
