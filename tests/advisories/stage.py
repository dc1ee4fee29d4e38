"""The production application with keys and two tenants, in front of an upstream that writes down what it is asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import uvicorn

from antiphon.app.application import Application, build_application
from antiphon.cli.websocket import websocket_options
from antiphon.engine.administration import COMMAND_LINE
from antiphon.engine.administration_requests import NewApiKey, NewTenant
from antiphon.hub.errors import Conflict
from antiphon.server.body import BodyLimits
from antiphon.settings import Settings
from tests.support.asgi_client import Answer, ask
from tests.support.listener import free_listener
from tests.support.scripted_upstream import MODEL, ScriptedUpstream

__all__ = ["UPSTREAM_KEY", "Stage", "Trap", "application", "served", "trap"]

UPSTREAM_KEY = "sk-upstream-CANARY-0123456789"

_PATIENCE_S = 20.0


class Stage:
    """
    An application as ``antiphon serve`` builds it, asked without a socket.

    Attributes:
        application: It.
        upstream: What is behind it.
        victim, attacker: Keys of two tenants, for everything that a tenant's key can be for.
        admin: An administrator's key.
    """

    def __init__(self, application: Application, upstream: ScriptedUpstream) -> None:
        self.application = application
        self.upstream = upstream
        self.victim = ""
        self.attacker = ""
        self.admin = ""

    async def prepare(self) -> None:
        """Make the keys."""
        self.victim = await self.key("victim")
        self.attacker = await self.key("attacker")
        minted = await self._administration.create_admin_key(NewApiKey(name="ops"), COMMAND_LINE)
        self.admin = minted.key.text

    async def key(self, tenant: str, **about: Any) -> str:
        """A new key of a tenant."""
        with contextlib.suppress(Conflict):
            await self._administration.create_tenant(NewTenant(id=tenant), COMMAND_LINE)
        minted = await self._administration.create_key(tenant, NewApiKey(**about), COMMAND_LINE)
        text: str = minted.key.text
        return text

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
        host: bytes = b"localhost",
        admin: bool = False,
    ) -> Answer:
        """An answer of the tenants' listener, or of the administrators' one."""
        listener = self.application.admin if admin else self.application.asgi
        assert listener is not None
        sent = [(b"content-type", b"application/json"), *headers]
        if key is not None:
            sent.append((b"authorization", f"Bearer {key}".encode()))
        data = b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
        return await ask(listener, method, path, headers=sent, chunks=[data], host=host)

    async def turn(self, key: str, text: object = "hi", **fields: object) -> Answer:
        """The answer to a turn."""
        return await self.call("POST", "/v1/responses", {"model": MODEL, "input": text, **fields}, key=key)

    async def respond(self, key: str, text: object = "hi", **fields: object) -> Any:
        """A turn that has to succeed."""
        answer = await self.turn(key, text, **fields)
        assert answer.status == 200, answer.body
        return answer.json

    async def until(self, status: int, method: str, path: str, body: object = None, **about: Any) -> None:
        """Ask until the answer has a status: what administrators change acts within a second."""
        async with asyncio.timeout(_PATIENCE_S):
            while (await self.call(method, path, body, **about)).status != status:
                await asyncio.sleep(0.02)

    @property
    def _administration(self) -> Any:
        administration = self.application.gateway.administration
        assert administration is not None
        return administration


@contextlib.asynccontextmanager
async def application(folder: Path, upstream: ScriptedUpstream, **settings: object) -> AsyncIterator[Stage]:
    """The application on a SQLite file in a folder, with keys, for as long as the block runs."""
    overrides = {
        "store": f"sqlite:///{folder / 'antiphon.db'}",
        "upstreams": [{"name": "scripted", "base_url": upstream.url, "api_key": UPSTREAM_KEY}],
        "auth.mode": "keys",
        "admin.port": 0,
        "log_level": "error",
        **settings,
    }
    built = build_application(Settings.load(None, {}, overrides))
    await built.startup()
    try:
        stage = Stage(built, upstream)
        await stage.prepare()
        yield stage
    finally:
        await built.shutdown()


class Trap:
    """
    A server that nobody has a reason to call.

    Attributes:
        port: Where it listens, on this machine.
        heard: What came of each connection.
    """

    def __init__(self, port: int, heard: list[bytes]) -> None:
        self.port = port
        self.heard = heard

    @property
    def url(self) -> str:
        """A URL of it."""
        return f"http://127.0.0.1:{self.port}/trap.png"


@contextlib.asynccontextmanager
async def trap() -> AsyncIterator[Trap]:
    """A server that nobody has a reason to call, for as long as the block runs."""
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(b"")
        heard[-1] = await reader.read(65536)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server:
        yield Trap(server.sockets[0].getsockname()[1], heard)


@contextlib.asynccontextmanager
async def served(stage: Stage) -> AsyncIterator[str]:
    """The application behind a socket for as long as the block runs; where it is."""
    listener = free_listener()
    websocket = websocket_options(max_body_bytes=BodyLimits().max_body_bytes)
    server = uvicorn.Server(uvicorn.Config(stage.application.asgi, log_level="error", lifespan="off", **websocket))
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup([listener])
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        await server.shutdown([listener])
