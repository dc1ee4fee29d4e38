"""
A Chat Completions server that does what a test tells it to: real sockets, raw bytes, every request recorded.

A script is a list of steps that the next request is answered with: send bytes, wait for an event of the test, or drop
the connection. Without a script every request gets a short, whole answer in the form that was asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Drop", "ScriptedUpstream", "Wait", "chunk", "http_json", "http_stream", "sse", "text_stream", "whole"]

MODEL = "scripted-1"


@dataclass(frozen=True)
class Wait:
    """Go on when the test sets the event; ``reached`` tells the test that everything before it was sent."""

    event: asyncio.Event
    reached: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True)
class Drop:
    """Close the connection here, without the end that HTTP would need."""


Step = bytes | Wait | Drop


@dataclass
class Recorded:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class ScriptedUpstream:
    """Use :meth:`serve`."""

    url: str = ""
    requests: list[Recorded] = field(default_factory=list)
    scripts: list[Sequence[Step]] = field(default_factory=list)
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)
    text: str = "Hello there."
    models: bytes = b""

    @classmethod
    @contextlib.asynccontextmanager
    async def serve(cls) -> AsyncIterator[ScriptedUpstream]:
        """A server on a free loopback port."""
        upstream = cls(models=http_json({"object": "list", "data": [{"id": MODEL, "object": "model"}]}))
        server = await asyncio.start_server(upstream._connection, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        upstream.url = f"http://127.0.0.1:{port}/v1"
        try:
            yield upstream
        finally:
            server.close()
            for task in list(upstream._tasks):
                task.cancel()
            await asyncio.gather(*upstream._tasks, return_exceptions=True)

    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def turns(self) -> list[Recorded]:
        """The requests that asked for an answer of the model."""
        return [request for request in self.requests if request.path.endswith("/chat/completions")]

    @property
    def last_messages(self) -> list[dict[str, Any]]:
        """The messages of the newest turn."""
        messages: list[dict[str, Any]] = self.turns[-1].body["messages"]
        return messages

    def then(self, *steps: Step) -> None:
        """Answer the next turn that has no script yet with these steps."""
        self.scripts.append(steps)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while (request := await _read(reader)) is not None:
                self.requests.append(request)
                if not await self._answer(request, reader, writer):
                    break
        except (ConnectionError, asyncio.CancelledError):
            self.disconnected.set()
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, request: Recorded, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if request.path.endswith("/models"):
            steps: Sequence[Step] = [self.models]
        elif self.scripts and not request.path.endswith("/hook"):  # a webhook may come at any time
            steps = self.scripts.pop(0)
        else:
            steps = self._default(request)
        for step in steps:
            match step:
                case Drop():
                    return False
                case Wait(event, reached):
                    reached.set()
                    if not await _wait(event, reader):
                        self.disconnected.set()
                        return False
                case bytes():
                    writer.write(step)
                    await writer.drain()
        return True

    def _default(self, request: Recorded) -> Sequence[Step]:
        if request.body.get("stream"):
            return [http_stream(text_stream(self.text))]
        return [http_json(whole(self.text))]


async def _wait(event: asyncio.Event, reader: asyncio.StreamReader) -> bool:
    """Wait for the test; False if the other side went away meanwhile."""
    told = asyncio.ensure_future(event.wait())
    gone = asyncio.ensure_future(reader.read(1))
    await asyncio.wait((told, gone), return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if gone.done() and not gone.result():
        return False
    gone.cancel()
    await asyncio.wait((gone, told))
    return True


async def _read(reader: asyncio.StreamReader) -> Recorded | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    lines = head.decode("latin-1").split("\r\n")
    method, path, _ = lines[0].split(" ", 2)
    headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
    raw = await reader.readexactly(int(headers.get("content-length", "0")))
    return Recorded(method, path, headers, json.loads(raw) if raw else None)


def http_json(value: object, *, status: int = 200, headers: str = "") -> bytes:
    """A whole JSON answer."""
    body = json.dumps(value).encode()
    return (
        f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{headers}content-length: {len(body)}\r\n\r\n"
    ).encode() + body


def http_stream_head() -> bytes:
    """The head of a chunked event stream."""
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def http_stream(data: bytes) -> bytes:
    """A whole event stream."""
    return http_stream_head() + chunk(data) + b"0\r\n\r\n"


def sse(value: object) -> bytes:
    """One event."""
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def delta(**fields: object) -> bytes:
    """A chunk with this delta."""
    return sse(_envelope({"index": 0, "delta": fields, "finish_reason": None}))


def finish(reason: str = "stop", *, output_tokens: int = 3) -> bytes:
    """The end of a stream: finish reason, usage, [DONE]."""
    end = sse(_envelope({"index": 0, "delta": {}, "finish_reason": reason}))
    usage = sse({**_envelope(), "choices": [], "usage": usage_body(output_tokens)})
    return end + usage + b"data: [DONE]\n\n"


def usage_body(output_tokens: int = 3) -> dict[str, int]:
    """A usage object."""
    return {"prompt_tokens": 7, "completion_tokens": output_tokens, "total_tokens": 7 + output_tokens}


def text_stream(text: str) -> bytes:
    """A stream that says *text* word by word."""
    words = [word if index == 0 else " " + word for index, word in enumerate(text.split(" "))]
    return delta(role="assistant", content=None) + b"".join(delta(content=word) for word in words) + finish()


def whole(text: str | None, *, finish_reason: str = "stop", **message: object) -> dict[str, object]:
    """A whole completion."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "scripted-1-2026-01-01",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, **message},
                "finish_reason": finish_reason,
            }
        ],
        "usage": usage_body(),
    }


def _envelope(choice: object | None = None) -> dict[str, object]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "scripted-1-2026-01-01",
        "choices": [] if choice is None else [choice],
    }
