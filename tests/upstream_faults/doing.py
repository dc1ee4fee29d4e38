"""What the servers of the table do: short ways to write it."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Iterator
from functools import cache

from antiphon.settings import TimeoutSettings
from tests.support.fault_proxy import FaultProxy, Plan, reset
from tests.support.scripted_upstream import delta, finish, sse, text_stream, whole
from tests.transport.servers import CHUNKED, END, Handler, chunk, reply, saying, serving

__all__ = [
    "BOMB",
    "CREDENTIAL",
    "DONE",
    "DOZING",
    "EVENTS",
    "HASTY",
    "HELLO",
    "JSON",
    "SSE",
    "WHOLE",
    "bomb",
    "choice",
    "complaint",
    "cut",
    "error",
    "events",
    "gone_after",
    "html",
    "json_body",
    "prefix",
    "resetting_after",
    "said",
    "streamed",
    "through",
    "trickling",
]

CREDENTIAL = "canary-0123456789-abcdefghij-secret"
"""What the gateway shows to the upstream. It has no prefix that would give it away."""

HASTY = TimeoutSettings(connect_s=0.5, first_byte_s=0.4, idle_s=0.3)
"""For upstreams that are silent from the beginning."""

DOZING = TimeoutSettings(connect_s=10, first_byte_s=10, idle_s=0.3)
"""For upstreams that begin to answer and then fall silent."""

JSON = "content-type: application/json"
SSE = "content-type: text/event-stream"
HELLO = text_stream("Hello there.")
WHOLE = json.dumps(whole("Hello there.")).encode()
DONE = b"data: [DONE]\n\n"
EVENTS = tuple(event + b"\n\n" for event in HELLO.split(b"\n\n")[:-1])
"""Of :data:`HELLO`: role, ``Hello``, `` there.``, finish, usage, [DONE]."""


def error(message: str, *, code: object = None, kind: str = "some_error", **more: object) -> bytes:
    """OpenAI's envelope."""
    return json.dumps({"error": {"message": message, "type": kind, "code": code, **more}}).encode()


def complaint(status: int, message: str = "No.", *headers: str, code: object = None, kind: str = "x") -> Handler:
    """An error in OpenAI's envelope."""
    return saying(reply(error(message, code=code, kind=kind), JSON, *headers, status=f"{status} No"))


def html(status: str) -> Handler:
    """A proxy's page."""
    page = b"<!DOCTYPE html><html><body><h1>Bad gateway</h1>node-7.internal</body></html>"
    return saying(reply(page, "content-type: text/html", status=status))


def json_body(body: bytes, *headers: str) -> Handler:
    """A whole answer."""
    return saying(reply(body, JSON, *headers))


def streamed(*pieces: bytes) -> Handler:
    """A stream that ends as HTTP has it, each piece in a packet of its own."""
    return saying(CHUNKED, *(chunk(piece) for piece in pieces if piece), END)


def events(*values: object) -> bytes:
    """Events of these JSON values."""
    return b"".join(map(sse, values))


def choice(**fields: object) -> dict[str, object]:
    """A chunk with one choice."""
    return {"id": "c", "object": "chat.completion.chunk", "model": "m-1", "choices": [{"index": 0, **fields}]}


def prefix(count: int) -> bytes:
    """The first events of :data:`HELLO`."""
    return b"".join(EVENTS[:count])


def cut(data: bytes) -> Handler:
    """A chunked stream that is closed behind *data*, without the end that HTTP has."""
    return saying(CHUNKED + (chunk(data) if data else b""), then_close=True)


def gone_after(*pieces: bytes) -> Handler:
    """Raw bytes, and then the end of the connection."""
    return saying(*pieces, then_close=True)


def resetting_after(*pieces: bytes) -> Handler:
    """Raw bytes, and then a reset."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await saying(*pieces)(reader, writer)
        reset(writer)
        raise ConnectionError

    return answer


def trickling(data: bytes, *, pause_s: float) -> Handler:
    """A stream of single bytes with pauses between them."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        for at in range(len(data)):
            writer.write(chunk(data[at : at + 1]))
            await writer.drain()
            await asyncio.sleep(pause_s)
        writer.write(END)

    return answer


def through(plan: Plan, answer: bytes) -> Handler:
    """What comes out of the fault proxy when a server behind it says *answer*: the connection is handed on to it."""

    async def relayed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with serving(saying(answer)) as server, FaultProxy.serve(server.port, plan) as proxy:
            answers, questions = await asyncio.open_connection("127.0.0.1", proxy.port)
            questions.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            try:
                while block := await answers.read(65536):
                    writer.write(block)
                    await writer.drain()
            except ConnectionResetError:
                reset(writer)
            finally:
                questions.close()
        raise ConnectionError

    return relayed


BOMB = 64 * 1024 * 1024


@cache
def bomb(coding: str) -> bytes:
    """:data:`BOMB` spaces, compressed."""
    if coding == "gzip":
        return gzip.compress(b" " * BOMB, compresslevel=1)
    return b"".join(_deflated())


def _deflated() -> Iterator[bytes]:
    packer = zlib.compressobj(9)
    for _ in range(BOMB // (1024 * 1024)):
        yield packer.compress(b" " * 1024 * 1024)
    yield packer.flush()


def said(text: str, *, reason: str = "stop") -> bytes:
    """A stream that says one text in one piece."""
    return delta(content=text) + finish(reason)
