"""Readers that do not read, and many turns: neither costs the turn its time, nor the process its memory."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

from antiphon import NoKeys
from antiphon.hub.principal import LOCAL
from tests.faults.echo import MODEL, echo_gateway
from tests.faults.life import body_of, principal_of
from tests.support.asgi_client import Application

_READERS = 200
_TURNS = 600
_ACME = principal_of("acme")


class _Stalled:
    """A client that follows a response's stream, takes its head, and reads nothing of the rest."""

    def __init__(self, app: Application, response_id: str) -> None:
        self.stalled = asyncio.Event()
        self._gone = asyncio.Event()
        path = f"/v1/responses/{response_id}"
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"stream=true",
            "root_path": "",
            "headers": [(b"host", b"localhost")],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8080),
            "state": {},
        }
        self._task = asyncio.ensure_future(app(scope, self._receive, self._send))

    async def leave(self) -> None:
        """Hang up."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _receive(self) -> Mapping[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            self.stalled.set()
            await self._gone.wait()


async def test_stalled_readers_cost_neither_time_nor_copies(tmp_path: Path) -> None:
    """Two hundred readers that read nothing of 2 MB do not hold up other turns, and have no copy of it each."""
    text = "x" * 2_000_000
    async with echo_gateway(tmp_path / "store.db") as gateway:
        app = gateway.asgi(authenticator=NoKeys())
        body = {"model": MODEL, "input": text, "background": True, "stream": True, "metadata": {"a": "b"}}
        events = [event async for event in gateway.stream(body, LOCAL)]
        response_id = str(events[0].response["id"])  # type: ignore[union-attr]  # the first is of the response's life
        tracemalloc.start()
        first = _Stalled(app, response_id)
        await first.stalled.wait()
        before, _ = tracemalloc.get_traced_memory()
        readers = [_Stalled(app, response_id) for _ in range(_READERS - 1)]
        for reader in readers:
            await reader.stalled.wait()
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        async with asyncio.timeout(30.0):
            answer = await gateway.respond(body_of("another"), LOCAL)
        assert answer["status"] == "completed"
        for reader in (first, *readers):
            await reader.leave()
        assert grown < _READERS * 128 * 1024, f"{grown / _READERS:.0f} bytes for each reader"


async def test_turns_leave_nothing_behind(tmp_path: Path) -> None:
    """Of turns that are made and erased, however many, nothing stays in memory."""
    async with echo_gateway(tmp_path / "store.db") as gateway:
        root = await gateway.respond(body_of("root"), _ACME)
        body = body_of("again", previous_response_id=root["id"])
        sizes = []
        tracemalloc.start()
        for _ in range(3):
            for _ in range(_TURNS // 3):
                response = await gateway.respond(body, _ACME)
                await gateway.delete(response["id"], _ACME)
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        grown = (sizes[2] - sizes[1]) / (_TURNS // 3)
        assert grown < 256, f"{grown:.0f} bytes for each turn: {sizes}"
        assert len([task for task in asyncio.all_tasks() if "turn" in task.get_name()]) == 0
