"""The sweeps' HTTP client: it outlives the gateway, hangs up where it is told to, and keeps streams as bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import aiohttp
import orjson

__all__ = ["Answer", "Client", "Gone", "Serving", "Streamed", "event_of", "until"]

T = TypeVar("T")

_TERMINAL = ("response.completed", "response.incomplete", "response.failed")
_LIMIT_S = 120.0


class Gone(Exception):
    """The gateway died, or does not run, while it was asked."""


class Serving(Protocol):
    """A gateway at the place where it is now."""

    @property
    def base_url(self) -> str: ...


@dataclass(frozen=True)
class Answer:
    """A whole JSON answer."""

    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass
class Streamed:
    """
    A stream, as far as it was read.

    Attributes:
        frames: Whole events as they were sent, without comments and the sentinel.
        body: Of an answer that is no stream.
        ended: The sentinel was there.
        begun: Set once the first event has arrived.
    """

    status: int = 0
    frames: list[bytes] = field(default_factory=list)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    ended: bool = False
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def response_id(self) -> str | None:
        """Of the response that it is the stream of, if that much was read."""
        return event_of(self.frames[0])["response"]["id"] if self.frames else None

    @property
    def terminal(self) -> Any:
        """The response as the terminal event has it; None if that was not read."""
        last = event_of(self.frames[-1]) if self.frames else {"type": ""}
        return last["response"] if last["type"] in _TERMINAL else None


def event_of(frame: bytes) -> Any:
    """The event in a frame."""
    return orjson.loads(frame.split(b"\n")[1].removeprefix(b"data: "))


class Client:
    """Talks to a gateway, wherever it is by then."""

    def __init__(self, gateway: Serving, http: aiohttp.ClientSession) -> None:
        self._gateway = gateway
        self._http = http

    @classmethod
    @asynccontextmanager
    async def of(cls, gateway: Serving) -> AsyncIterator[Client]:
        """A client for as long as the block runs."""
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=_LIMIT_S)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
            yield cls(gateway, http)

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """
        A whole answer.

        Raises:
            Gone: There is none.
        """
        try:
            async with self._http.request(method, self._gateway.base_url + path, json=body, headers=headers) as answer:
                return Answer(answer.status, orjson.loads(await answer.read()), _lower(answer.headers))
        except aiohttp.ClientError as error:
            raise Gone from error

    async def stream(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        frames: int | None = None,
        into: Streamed | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Streamed:
        """
        Read a stream until it ends, breaks off, or has so many *frames*: then the client hangs up.

        Args:
            into: Where others can see what has been read so far.
        """
        read = Streamed() if into is None else into
        try:
            url = self._gateway.base_url + path
            async with self._http.request(method, url, json=body, headers=headers) as answer:
                await _read(answer, read, frames)
        except aiohttp.ClientError:
            pass  # what has arrived counts
        return read


async def _read(answer: aiohttp.ClientResponse, read: Streamed, frames: int | None) -> None:
    read.status, read.headers = answer.status, _lower(answer.headers)
    if answer.content_type != "text/event-stream":
        read.body = orjson.loads(await answer.read())
        return
    held = b""
    while frames is None or len(read.frames) < frames:
        if not (block := await answer.content.readany()):
            return
        *whole, held = (held + block).split(b"\n\n")
        for frame in whole:
            if frame == b"data: [DONE]":
                read.ended = True
            elif not frame.startswith(b":"):
                read.frames.append(frame)
                read.begun.set()
    del read.frames[frames:]
    read.ended = False
    answer.close()  # hangs up, where leaving would keep the connection if the stream has ended by now


async def until(look: Callable[[], Awaitable[T | None]], what: str, *, every_s: float = 0.02) -> T:
    """
    Look again and again until there is something.

    Raises:
        AssertionError: There never was; the time allowed is far longer than anything takes that is not stuck.
    """
    try:
        async with asyncio.timeout(_LIMIT_S):
            while (found := await look()) is None:
                await asyncio.sleep(every_s)
            return found
    except TimeoutError:
        raise AssertionError(f"stuck: {what}") from None


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
