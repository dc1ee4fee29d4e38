"""
The SSE writer: follows a run and writes what it says.

Every body chunk holds whole events (a public conformance runner loses events that are cut), and whatever has gathered
since the last write goes out as one chunk. A reader that cannot keep up is dropped; the turn does not wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from antiphon.engine.run import Reader, Run
from antiphon.server.body import Receive
from antiphon.server.reply import Headers, Send

__all__ = ["StreamLimits", "Watch", "write_stream"]

_DONE = b"data: [DONE]\n\n"
_KEEP_ALIVE = b": keep-alive\n\n"

STREAM_HEADERS: Headers = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)


class StreamLimits:
    """
    Args:
        keep_alive_s: A comment is sent after so much silence, so that proxies and clients do not give up.
        max_reader_lag_bytes: A reader that is further behind than this after a write is dropped.
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
    Notices that the client has gone. One small task for as long as the answer takes.

    Attributes:
        gone: Done when the client has disconnected.
    """

    def __init__(self, receive: Receive) -> None:
        self.gone = asyncio.ensure_future(_disconnected(receive))

    @property
    def has_gone(self) -> bool:
        """Whether the client has disconnected."""
        return self.gone.done()

    def close(self) -> None:
        """Stop watching."""
        self.gone.cancel()


async def _disconnected(receive: Receive) -> None:
    message: Mapping[str, Any] = {"type": ""}
    while message["type"] != "http.disconnect":
        message = await receive()


async def write_stream(run: Run[bytes], send: Send, watch: Watch, headers: Headers, limits: StreamLimits) -> bool:
    """
    Write a run to its end.

    Returns:
        Whether the client was told everything. False if it has gone or was too slow.
    """
    reader = run.reader()
    ticker = _Ticker(reader, limits.keep_alive_s)
    watch.gone.add_done_callback(lambda _: reader.wake())
    try:
        await send({"type": "http.response.start", "status": 200, "headers": [*STREAM_HEADERS, *headers]})
        while not watch.has_gone:
            chunk = b"".join(reader.take())
            at_end = reader.at_end
            if at_end and limits.done_sentinel:
                chunk += _DONE
            elif not chunk and ticker.due():
                chunk = _KEEP_ALIVE
            if chunk or at_end:
                await send({"type": "http.response.body", "body": chunk, "more_body": not at_end})
                ticker.wrote()
            if at_end:
                return True
            if len(chunk) > limits.max_reader_lag_bytes:
                return False
            await reader.wait()
        return False
    finally:
        ticker.close()
        reader.close()


class _Ticker:
    """Wakes a reader after a silence. One timer for each stream, armed anew only when it has fired."""

    def __init__(self, reader: Reader[bytes], every_s: float) -> None:
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
