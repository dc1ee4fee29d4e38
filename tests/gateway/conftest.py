"""A gateway behind real sockets in the test's own event loop, in front of a scripted upstream."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
import uvicorn
from tests.support.listener import free_listener
from tests.support.recorder import Recorder
from tests.support.scripted_upstream import MODEL, ScriptedUpstream

from antiphon import Gateway, InMemorySessionStore, SQLiteSessionStore, upstream
from antiphon.cli.websocket import websocket_options
from antiphon.server.body import BodyLimits
from antiphon.server.sse import StreamLimits


class Client:
    """Talks to a gateway over HTTP and parses its streams."""

    def __init__(self, base_url: str, gateway: Gateway, scripted: ScriptedUpstream, recorder: Recorder) -> None:
        self.base_url = base_url
        self.gateway = gateway
        self.recorder = recorder
        self.upstream = scripted
        self.http = aiohttp.ClientSession()

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """The status and JSON body of an answer."""
        status, value, _ = await self.full(method, path, body, **headers)
        return status, value

    async def full(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, Any, dict[str, str]]:
        """The status, JSON body and headers of an answer."""
        data = None if body is None else orjson.dumps(body)
        sent = {"content-type": "application/json", **headers}
        async with self.http.request(method, self.base_url + path, data=data, headers=sent) as answer:
            return (
                answer.status,
                orjson.loads(await answer.read()),
                {name.lower(): value for name, value in answer.headers.items()},
            )

    async def respond(self, text: object = "hi", **fields: object) -> Any:
        """A turn as JSON that has to succeed."""
        status, body = await self.call("POST", "/v1/responses", {"model": MODEL, "input": text, **fields})
        assert status == 200, body
        return body

    async def stream(self, text: object = "hi", **fields: object) -> list[Any]:
        """The events of a streamed turn."""
        events, _ = await self.raw_stream(text, **fields)
        return events

    async def raw_stream(self, text: object = "hi", **fields: object) -> tuple[list[Any], bytes]:
        """The events of a streamed turn, and its bytes."""
        request = {"model": MODEL, "input": text, "stream": True, **fields}
        async with self.http.post(self.base_url + "/v1/responses", json=request) as answer:
            raw = await answer.read()
            assert answer.status == 200, raw
        return parse(raw), raw


def parse(raw: bytes) -> list[Any]:
    """The JSON events of a stream; every frame has to be well-formed."""
    events = []
    for frame in raw.decode().split("\n\n"):
        lines = [line for line in frame.split("\n") if line and not line.startswith(":")]
        if not lines or lines == ["data: [DONE]"]:
            continue
        name, data = lines
        value = orjson.loads(data.removeprefix("data: "))
        assert value["type"] == name.removeprefix("event: ")
        events.append(value)
    return events


@contextlib.asynccontextmanager
async def serving(
    gateway: Gateway, scripted: ScriptedUpstream, *, keep_alive_s: float = 15.0, **edge: Any
) -> AsyncIterator[Client]:
    """The gateway on a free port for as long as the block runs; every answer has to be as OpenAI's document says."""
    recorder = Recorder()
    listener = free_listener()
    app = gateway.asgi(stream_limits=StreamLimits(keep_alive_s=keep_alive_s), **edge)
    websocket = websocket_options(max_body_bytes=edge.get("body_limits", BodyLimits()).max_body_bytes)
    config = uvicorn.Config(recorder.around(app), log_level="warning", lifespan="on", **websocket)
    server = uvicorn.Server(config)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(_background(server, listener))
        client = Client(f"http://127.0.0.1:{listener.getsockname()[1]}", gateway, scripted, recorder)
        stack.push_async_callback(client.http.close)
        yield client
        recorder.assert_clean()


@contextlib.asynccontextmanager
async def _background(server: uvicorn.Server, listener: socket.socket) -> AsyncIterator[None]:
    # uvicorn's own main loop looks ten times a second whether to end; a test starts and ends it directly.
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup([listener])
    try:
        yield None
    finally:
        await _end(server, listener)


async def _end(server: uvicorn.Server, listener: socket.socket) -> None:
    """End a server: its own way, but for the tenth of a second that it waits after each of two thousand tests."""
    for _ in range(20):
        if not server.server_state.connections:
            break
        await asyncio.sleep(0.001)  # the client has hung up, and the server hears of it in a moment
    else:
        await server.shutdown([listener])
        return
    for each in server.servers:
        each.close()
    listener.close()
    await server.lifespan.shutdown()


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream.serve() as server:
        yield server


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "memory":
        return InMemorySessionStore()
    return SQLiteSessionStore(tmp_path / "antiphon.db")


@pytest.fixture
async def client(scripted: ScriptedUpstream, store: Any) -> AsyncIterator[Client]:
    gateway = Gateway([upstream(scripted.url, name="scripted")]).with_session_store(store)
    async with serving(gateway, scripted) as client:
        yield client


@pytest.fixture
async def sqlite_client(scripted: ScriptedUpstream, tmp_path: Path) -> AsyncIterator[Client]:
    gateway = Gateway([upstream(scripted.url, name="scripted")]).with_session_store(
        SQLiteSessionStore(tmp_path / "antiphon.db")
    )
    async with serving(gateway, scripted) as client:
        yield client
