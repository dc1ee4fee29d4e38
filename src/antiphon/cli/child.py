"""A gateway in a process of its own, as anybody would start it: ``antiphon serve``."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from antiphon.cli.errors import CommandFailed

__all__ = ["GatewayProcess"]

_START_WITHIN_S = 30.0
_STOP_WITHIN_S = 35.0
_LISTENING = "listening on "


class GatewayProcess:
    """
    Starts on entering, drains and stops on leaving.

    Args:
        upstream: The base URL of the model server.
        store: The URL of the session store.
        port: 0 for a free one.
    """

    def __init__(self, *, upstream: str, store: str, port: int = 0) -> None:
        self._arguments = ["--upstream", upstream, "--store", store, "--port", str(port), "--log-level", "warning"]
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[bytes] | None = None
        self.base_url = ""

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "antiphon", "serve", *self._arguments,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, env=_environment(os.environ),
        )  # fmt: skip
        try:
            self.base_url = await self._listening(self._process) + "/v1"
        except BaseException:
            await asyncio.shield(self.stop())
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.shield(self.stop())

    async def wait(self) -> int:
        """Return the exit code when the gateway has ended by itself."""
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> None:
        """Send SIGTERM and wait until it has drained; kill it if it does not end."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_WITHIN_S)
        except TimeoutError:
            process.kill()
            await process.wait()
        if self._reading is not None:
            await self._reading

    async def _listening(self, process: asyncio.subprocess.Process) -> str:
        assert process.stdout is not None
        try:
            line = (await asyncio.wait_for(process.stdout.readline(), _START_WITHIN_S)).decode().strip()
        except TimeoutError as error:
            raise CommandFailed(f"the gateway did not start within {_START_WITHIN_S:.0f} s") from error
        # What it says after that is read and forgotten, so that it never waits for us.
        self._reading = asyncio.create_task(process.stdout.read(), name="gateway stdout")
        if not line.startswith(_LISTENING):
            raise CommandFailed("the gateway did not start; its reason stands above")
        return line.removeprefix(_LISTENING)


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Ours without settings of other gateways, and with this package importable even if it is not installed."""
    source = str(Path(__file__).parents[2])
    kept = {name: value for name, value in ours.items() if not name.startswith("ANTIPHON_")}
    known = kept.get("PYTHONPATH")
    return {**kept, "PYTHONPATH": f"{source}{os.pathsep}{known}" if known else source}
