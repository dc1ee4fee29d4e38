"""
A recorder between any client and a gateway in another process.

The relay passes bytes on unchanged, in both directions, and reads along: requests for their method and path, answers
for what they say. So it does not matter which client speaks, and nothing has to be put into it.
"""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from urllib.parse import urlsplit

import aiohttp
import httptools

from tests.support.recorder import OWN_DOCUMENT, Answer, Recorder

__all__ = ["RecordingRelay"]

_CHUNK_BYTES = 64 * 1024
_LAST_DATA_KIND = 2


class RecordingRelay:
    """
    Use :meth:`serve`.

    Attributes:
        root: ``http://HOST:PORT`` for clients, the same for as long as the relay lives.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.root = ""
        self._recorder = recorder
        self._target = ("", 0)
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @classmethod
    @contextlib.asynccontextmanager
    async def serve(cls, recorder: Recorder) -> AsyncIterator[RecordingRelay]:
        """A relay on a free loopback port; :meth:`lead_to` says where to."""
        relay = cls(recorder)
        server = await asyncio.start_server(relay._connection, "127.0.0.1", 0)
        relay.root = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield relay
        finally:
            server.close()
            for writer in relay._open.values():
                writer.transport.abort()
            await asyncio.gather(*relay._open)

    async def lead_to(self, root: str) -> None:
        """From now on connections go to the gateway at *root*."""
        parts = urlsplit(root)
        self._target = (parts.hostname or "", parts.port or 80)
        async with aiohttp.ClientSession() as session, session.get(root + OWN_DOCUMENT) as answer:
            self._recorder.learn(answer.status, await answer.read())

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        try:
            await self._relay(reader, writer)
        finally:
            del self._open[task]
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            return  # the gateway does not run: the client sees its connection end, as it would without us
        talk = _Conversation(self._recorder)
        ways = [
            asyncio.ensure_future(_pass_on(reader, far_writer, talk.feed_request)),
            asyncio.ensure_future(_pass_on(far_reader, writer, talk.feed_answer)),
        ]
        try:
            # When one side ends, the other has nobody to talk to any more.
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            far_writer.transport.abort()
            writer.transport.abort()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, look: Callable[[bytes], None]) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            look(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


class _Conversation:
    """What is said on one connection: requests, their answers in the same order, at last perhaps a WebSocket."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._requests = _Requests()
        self._answers = _Answers(recorder, self._requests.asked)
        self._socket: _Socket | None = None

    def feed_request(self, data: bytes) -> None:
        # What a client says on a WebSocket is its own affair.
        with contextlib.suppress(httptools.HttpParserUpgrade):
            if self._socket is None:
                self._requests.parser.feed_data(data)

    def feed_answer(self, data: bytes) -> None:
        if self._socket is None:
            try:
                self._answers.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                self._socket = _Socket(self._recorder, self._answers.path)
                data = data[upgrade.args[0] :]
        if self._socket is not None:
            self._socket.feed(data)


class _Requests:
    """Notes what is asked for, oldest first."""

    def __init__(self) -> None:
        self.asked: deque[tuple[str, str]] = deque()
        self.parser = httptools.HttpRequestParser(self)
        self._url = b""

    def on_message_begin(self) -> None:
        self._url = b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_headers_complete(self) -> None:
        self.asked.append((self.parser.get_method().decode(), urlsplit(self._url).path.decode()))


class _Answers:
    """Hands each answer to the recorder, together with what was asked for."""

    def __init__(self, recorder: Recorder, asked: deque[tuple[str, str]]) -> None:
        self.path = ""
        self.parser = httptools.HttpResponseParser(self)
        self._recorder = recorder
        self._asked = asked
        self._content_type = b""
        self._answer: Answer | None = None

    def on_message_begin(self) -> None:
        self._content_type = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"content-type":
            self._content_type = value

    def on_headers_complete(self) -> None:
        status = self.parser.get_status_code()
        if status == HTTPStatus.CONTINUE:
            return
        method, self.path = self._asked.popleft()
        self._answer = Answer(self._recorder, method, self.path, status, self._content_type)

    def on_body(self, data: bytes) -> None:
        assert self._answer is not None
        self._answer.feed(data)

    def on_message_complete(self) -> None:
        if self._answer is not None:
            self._answer.finish()
            self._answer = None


class _Socket:
    """What a server says on a WebSocket: whole messages, inflated where the sides agreed on it (RFC 6455, RFC 7692)."""

    def __init__(self, recorder: Recorder, path: str) -> None:
        self._recorder = recorder
        self._path = path
        self._held = bytearray()
        self._message = b""
        self._is_text = False
        self._is_deflated = False
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)

    def feed(self, data: bytes) -> None:
        """The next bytes."""
        self._held += data
        while (frame := self._frame()) is not None:
            self._take(*frame)

    def _frame(self) -> tuple[int, bytes] | None:
        """The first byte and the payload of the next frame, once it is there; a server's frames have no mask."""
        held = self._held
        if len(held) < 2:
            return None
        size, start = held[1] & 0x7F, 2
        if size >= 126:
            start = 4 if size == 126 else 10
            if len(held) < start:
                return None
            size = int.from_bytes(held[2:start])
        if len(held) < start + size:
            return None
        first, payload = held[0], bytes(held[start : start + size])
        del held[: start + size]
        return first, payload

    def _take(self, first: int, payload: bytes) -> None:
        kind = first & 0x0F
        if kind > _LAST_DATA_KIND:
            return  # ping, pong, close
        if kind:
            self._message, self._is_text, self._is_deflated = b"", kind == 1, bool(first & 0x40)
        self._message += payload
        if first & 0x80 and self._is_text:
            whole = self._message
            if self._is_deflated:
                whole = self._inflate.decompress(whole + b"\x00\x00\xff\xff")
            self._recorder.socket_message(self._path, whole)
