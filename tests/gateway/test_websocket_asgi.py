"""WebSocket mode under an ASGI server of the test's own: what uvicorn does not do, or does too well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from tests.support.scripted_upstream import MODEL, ScriptedUpstream, Wait, chunk, delta, finish, http_stream_head

from antiphon import Gateway, InMemorySessionStore, upstream
from antiphon.server.asgi import Edge
from antiphon.server.body import BodyLimits
from antiphon.server.sse import StreamLimits

_WITHIN_S = 20.0


class _Server:
    """One connection of an ASGI server. It sends what is put into *inbox* and takes what the application says."""

    def __init__(self, edge: Edge, **scope: Any) -> None:
        self.inbox: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        self.said: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        self.fault: Exception | None = None
        self.writable = asyncio.Event()
        self.writable.set()
        self._edge = edge
        self._scope = {"type": "websocket", "path": "/v1/responses", "headers": [(b"host", b"localhost")], **scope}
        self.inbox.put_nowait({"type": "websocket.connect"})

    async def send(self, message: Mapping[str, Any]) -> None:
        await self.writable.wait()
        if self.fault is not None:
            raise self.fault
        self.said.put_nowait(message)

    def run(self) -> asyncio.Task[None]:
        return asyncio.ensure_future(self._edge(self._scope, self.inbox.get, self.send))

    def create(self, **fields: object) -> None:
        frame = {"type": "response.create", "model": MODEL, "input": "hi", **fields}
        self.inbox.put_nowait({"type": "websocket.receive", "text": orjson.dumps(frame).decode()})

    async def next(self) -> Mapping[str, Any]:
        return await asyncio.wait_for(self.said.get(), _WITHIN_S)


@asynccontextmanager
async def _edge(scripted: ScriptedUpstream, **limits: Any) -> AsyncIterator[Edge]:
    async with Gateway([upstream(scripted.url, name="scripted")], store=InMemorySessionStore()) as gateway:
        yield gateway.asgi(**limits)


async def test_a_server_that_cannot_deny_closes(scripted: ScriptedUpstream) -> None:
    """Without the extension for an HTTP answer, the connection is closed before it was accepted."""
    async with _edge(scripted) as edge:
        server = _Server(edge, path="/elsewhere")
        await server.run()
        assert await server.next() == {"type": "websocket.close", "code": 1008}
        assert server.said.empty()


async def test_a_reader_that_falls_behind_is_dropped(scripted: ScriptedUpstream) -> None:
    """A client that is further behind than allowed is told nothing more, and its turn is cancelled."""
    flood = Wait(asyncio.Event())
    end = Wait(asyncio.Event())
    scripted.then(http_stream_head(), flood, *[chunk(delta(content="x" * 10_000))] * 20, end)
    limits = StreamLimits(max_reader_lag_bytes=50_000)
    async with _edge(scripted, stream_limits=limits) as edge:
        server = _Server(edge)
        serving = server.run()
        server.create()
        for kind in ("websocket.accept", "websocket.send", "websocket.send"):
            assert kind == (await server.next())["type"]
        server.writable.clear()
        flood.event.set()
        await end.reached.wait()
        await _has_said(edge, 22)
        server.writable.set()
        messages = [await server.next()]
        while messages[-1]["type"] == "websocket.send":
            messages.append(await server.next())
        assert (messages[-1]["type"], messages[-1]["code"]) == ("websocket.close", 1013)
        await serving
        await asyncio.wait_for(scripted.disconnected.wait(), _WITHIN_S)


async def _has_said(edge: Edge, events: int) -> None:
    """Wait until the one turn that runs has said so much."""
    async with asyncio.timeout(_WITHIN_S):
        while True:
            runs = list(edge._websocket._gateway.turns._runs.values())
            if runs and len(runs[0].events) >= events:
                return
            await asyncio.sleep(0.01)


async def test_a_connection_that_is_lost_while_it_is_told_ends(scripted: ScriptedUpstream) -> None:
    """A server that says by an error that the client has gone is understood; the turn is cancelled."""
    gate = Wait(asyncio.Event())
    scripted.then(http_stream_head(), chunk(delta(content="A")), gate)
    async with _edge(scripted) as edge:
        server = _Server(edge)
        serving = server.run()
        server.create()
        for _ in range(3):
            await server.next()
        server.fault = OSError("gone")
        await gate.reached.wait()
        server.inbox.put_nowait({"type": "websocket.disconnect", "code": 1006})
        await asyncio.wait_for(serving, _WITHIN_S)
        await asyncio.wait_for(scripted.disconnected.wait(), _WITHIN_S)


async def test_an_idle_client_that_goes_leaves_nothing(scripted: ScriptedUpstream) -> None:
    """The application ends, without a word."""
    async with _edge(scripted) as edge:
        server = _Server(edge)
        serving = server.run()
        assert (await server.next())["type"] == "websocket.accept"
        server.inbox.put_nowait({"type": "websocket.disconnect", "code": 1001})
        await asyncio.wait_for(serving, _WITHIN_S)
        assert server.said.empty()


async def test_a_server_may_end_the_application(scripted: ScriptedUpstream) -> None:
    """Cancelling it cancels the turns that it has told of."""
    gate = Wait(asyncio.Event())
    scripted.then(http_stream_head(), chunk(delta(content="A")), gate, chunk(finish()))
    async with _edge(scripted) as edge:
        server = _Server(edge)
        serving = server.run()
        server.create()
        await gate.reached.wait()
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        await asyncio.wait_for(scripted.disconnected.wait(), _WITHIN_S)


async def test_a_server_without_a_limit_of_its_own_is_limited(scripted: ScriptedUpstream) -> None:
    """A frame that is too long is refused, whatever the server lets in."""
    async with _edge(scripted, body_limits=BodyLimits(max_body_bytes=100)) as edge:
        server = _Server(edge)
        serving = server.run()
        await server.next()
        server.create(input="x" * 1000)
        assert orjson.loads((await server.next())["text"])["error"]["code"] == "request_too_large"
        server.inbox.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await asyncio.wait_for(serving, _WITHIN_S)
