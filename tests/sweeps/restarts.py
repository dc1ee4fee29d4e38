"""
Restarts in order under load: SIGTERM again and again, while clients go on that try once more when something went wrong.

Nobody who tries a second time sees an error of the server, and every turn that was acknowledged can be read in the end.
Between two processes nobody listens; waiting for the next one is not a try.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from tests.support.gateway_process import GatewayProcess
from tests.support.scripted_upstream import MODEL, ScriptedUpstream
from tests.sweeps.report import Report

__all__ = ["sweep"]

_CLIENTS = 6
_TURNS_BETWEEN = 20
_LIMIT_S = 60.0
_CONFIG = "server: {drain_timeout_s: 5}\n"


async def sweep(folder: Path, *, count: int, seed: int, say: Callable[[str], None] = lambda _: None) -> Report:
    """
    Restart a gateway *count* times.

    Args:
        folder: For the store and its log.
        say: Told about the progress.
    """
    report = Report("restarts", seed)
    async with ScriptedUpstream.serve() as upstream:
        config = folder / "restarts.yaml"
        config.write_text(_CONFIG)
        arguments = ("--config", str(config), "--port", str(_free_port()))
        gateway = GatewayProcess(folder / "restarts.db", upstream.url, arguments=arguments)
        await gateway.start()
        try:
            chance = random.Random(seed)  # noqa: S311 - chooses what is tested, hides nothing
            load = _Load(gateway.base_url, chance, report)
            async with load.running():
                for number in range(count):
                    await load.answered(_TURNS_BETWEEN)
                    await gateway.stop()
                    await gateway.start()
                    report.figures["restarts"] += 1
                    if (number + 1) % 20 == 0:
                        say(str(report))
                await load.answered(_TURNS_BETWEEN)
            await load.check()
            await gateway.stop()
        finally:
            await gateway.kill()
    return report


def _free_port() -> int:
    """A port that the processes can have one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


class _Failed(Exception):
    """A try that a client repeats."""


@dataclass
class _Load:
    base_url: str
    random: random.Random
    report: Report
    acknowledged: list[str] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Clients at work for as long as the block runs; what each has begun is finished."""
        ended = asyncio.Event()
        clients = [asyncio.ensure_future(self._client(ended)) for _ in range(_CLIENTS)]
        try:
            yield
        finally:
            ended.set()
            await asyncio.gather(*clients)

    async def answered(self, turns: int) -> None:
        """Wait until so many more turns were acknowledged."""
        enough = len(self.acknowledged) + turns
        async with asyncio.timeout(_LIMIT_S):
            while len(self.acknowledged) < enough:
                await asyncio.sleep(0.01)

    async def check(self) -> None:
        """Everything that was acknowledged has to be there."""
        async with aiohttp.ClientSession() as http:
            for response_id in self.acknowledged:
                async with http.get(f"{self.base_url}/responses/{response_id}") as answer:
                    if answer.status != 200 or (await answer.json())["status"] != "completed":
                        self.report.complain([f"{response_id} was acknowledged, and now is {answer.status}"])
        self.report.figures["turns acknowledged"] = len(self.acknowledged)

    async def _client(self, ended: asyncio.Event) -> None:
        async with aiohttp.ClientSession() as http:
            while not ended.is_set():
                turn = self._stream if self.random.random() < 0.5 else self._whole
                try:
                    await self._listening(http, turn)
                except _Failed as failed:
                    self.report.figures["second tries"] += 1
                    try:
                        await self._listening(http, turn)
                    except _Failed as again:
                        self.report.complain([f"two tries failed: {failed}, {again}"])

    async def _listening(self, http: aiohttp.ClientSession, turn: Callable[[aiohttp.ClientSession], Any]) -> None:
        async with asyncio.timeout(_LIMIT_S):
            while True:
                try:
                    await turn(http)
                except aiohttp.ClientConnectorError:  # nobody listens
                    await asyncio.sleep(0.02)
                except (aiohttp.ClientError, ConnectionError) as error:
                    raise _Failed(type(error).__name__) from error
                else:
                    return

    async def _whole(self, http: aiohttp.ClientSession) -> None:
        async with http.post(f"{self.base_url}/responses", json={"model": MODEL, "input": "hi"}) as answer:
            if answer.status != 200:
                raise _Failed(f"{answer.status} {await answer.text()}")
            self.acknowledged.append((await answer.json())["id"])

    async def _stream(self, http: aiohttp.ClientSession) -> None:
        body = {"model": MODEL, "input": "hi", "stream": True}
        async with http.post(f"{self.base_url}/responses", json=body) as answer:
            if answer.status != 200:
                raise _Failed(f"{answer.status} {await answer.text()}")
            said = await answer.read()
        [end] = [line for line in said.split(b"\n") if line.startswith(b'data: {"type":"response.completed"')] or [b""]
        if not end:
            raise _Failed("a stream without its end")
        self.acknowledged.append(orjson.loads(end.removeprefix(b"data: "))["response"]["id"])
