"""
The ``llmock`` server: somebody else's upstream that misbehaves on order, and judges how it was asked.

It comes with a pytest plugin that would load itself into our own run, so it has a virtual environment of its own, made
once and kept in pytest's cache folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

__all__ = ["LLMock", "environment"]

_VERSION = "0.2.2"
_INSTALL_S = 240.0
_START_S = 60.0


class LLMock:
    """
    A running server.

    Attributes:
        base_url: What a gateway takes for its upstream.
    """

    def __init__(self, root: str, http: aiohttp.ClientSession) -> None:
        self.base_url = f"{root}/v1"
        self._control = f"{root}/_llmock"
        self._http = http

    async def order(self, *behaviors: dict[str, Any]) -> None:
        """What the next requests meet, one each."""
        async with self._http.post(f"{self._control}/scenario", json={"behaviors": behaviors}) as answer:
            assert answer.status == 201, await answer.text()

    async def verdict(self) -> dict[str, Any]:
        """What it says of everything that it was asked since the last reset."""
        async with self._http.get(f"{self._control}/verdict") as answer:
            verdict: dict[str, Any] = await answer.json()
            return verdict

    async def reset(self) -> None:
        """Forget orders and requests."""
        async with self._http.post(f"{self._control}/reset") as answer:
            assert answer.status == 200

    @classmethod
    @contextlib.asynccontextmanager
    async def serve(cls, folder: Path) -> AsyncIterator[LLMock]:
        """A server of the environment in *folder*, on a free port, for as long as the block runs."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with tempfile.TemporaryFile() as output:
            child = await asyncio.create_subprocess_exec(
                str(folder / "bin" / "llmock"),
                *("serve", "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"),
                # As a model speaks. At once, its stream could be over before it hears that we have hung up, and it
                # would say that we went on reading what was broken.
                *("--stream-chunk-delay-ms", "20"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output.fileno(),
                stderr=output.fileno(),
                env=_bare(),
            )
            try:
                async with aiohttp.ClientSession() as http:
                    mock = cls(f"http://127.0.0.1:{port}", http)
                    await mock._answers(child)
                    yield mock
            finally:
                if child.returncode is None:
                    child.terminate()
                await asyncio.wait_for(child.wait(), _START_S)

    async def _answers(self, child: asyncio.subprocess.Process) -> None:
        async with asyncio.timeout(_START_S):
            while True:
                assert child.returncode is None, "llmock has ended"
                with contextlib.suppress(aiohttp.ClientConnectionError):
                    await self.verdict()
                    return
                await asyncio.sleep(0.05)


async def environment(cache: Path) -> Path:
    """The folder of an environment that has llmock, in the folder *cache*; made if it is not there."""
    folder = cache / f"llmock-{_VERSION}-py{sys.version_info.major}.{sys.version_info.minor}"
    if not (folder / "made").exists():
        shutil.rmtree(folder, ignore_errors=True)  # one that was begun and not ended
        async with asyncio.timeout(_INSTALL_S):
            await _run(sys.executable, "-m", "venv", str(folder))
            await _run(str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", f"llmock=={_VERSION}")
        (folder / "made").touch()
    return folder


async def _run(*command: str) -> None:
    child = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=_bare(),
    )
    output, _ = await child.communicate()
    assert child.returncode == 0, f"{' '.join(command)}\n{output.decode(errors='replace')}"


def _bare() -> dict[str, str]:
    """Our own environment without what would configure it, or point Python at our packages."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LLMOCK_", "PYTHON")) and name != "VIRTUAL_ENV"
    }
