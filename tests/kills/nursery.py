"""
Gateways that are born quickly: one process loads everything, and forks a gateway whenever one is asked for.

What takes most of a gateway's start is loading its modules; a sweep that starts a thousand of them does that once.
``python -m tests.kills.nursery`` reads lines of arguments, forks a child that carries each out, and says when it ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import pkgutil
import signal
import sys
from pathlib import Path

import orjson

from tests.support.gateway_process import GatewayProcess

__all__ = ["Nursery"]

_ANNOUNCEMENT = "listening on "
_START_TIMEOUT_S = 60.0


class Nursery(GatewayProcess):
    """A :class:`~tests.support.gateway_process.GatewayProcess` whose processes are forks. :meth:`close` it."""

    _parent: asyncio.subprocess.Process | None = None
    _pid: int | None = None

    async def start(self) -> None:
        """Start and wait until it serves."""
        assert self._pid is None, "the gateway runs already"
        parent = self._parent = self._parent or await self._opened()
        assert parent.stdin is not None
        parent.stdin.write(orjson.dumps({"arguments": self._command, "stderr": str(self._stderr)}) + b"\n")
        self._pid = int(await self._line("pid "))
        line = await self._line("")
        if not line.startswith(_ANNOUNCEMENT):
            raise AssertionError(f"The gateway did not start: {line!r}\n{self.log}")
        self.root = line.removeprefix(_ANNOUNCEMENT)

    async def kill(self) -> None:
        """End the process at once, in the middle of whatever it does. Nothing happens if it does not run."""
        if self._pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            await self._ended()

    async def stop(self) -> None:
        """Ask it to drain and end; it has to obey, with exit code 0, and to have logged no fault."""
        assert self._pid is not None, "the gateway does not run"
        os.kill(self._pid, signal.SIGTERM)
        code = await self._ended()
        assert code == 0, f"The gateway ended with {code}.\n{self.log}"
        self.assert_quiet()

    async def close(self) -> None:
        """Let go of the process that forks, once no gateway runs."""
        if self._parent is not None:
            assert self._parent.stdin is not None
            self._parent.stdin.close()
            await self._parent.wait()
            self._parent = None

    async def _opened(self) -> asyncio.subprocess.Process:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ANTIPHON_")}
        with self._stderr.open("ab") as stderr:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.kills.nursery",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr.fileno(),
                cwd=Path(__file__).parents[2],
                env=kept,
            )

    async def _line(self, begins: str) -> str:
        assert self._parent is not None
        assert self._parent.stdout is not None
        line = (await asyncio.wait_for(self._parent.stdout.readline(), _START_TIMEOUT_S)).decode().strip()
        assert line.startswith(begins), f"{line!r} instead of {begins!r}\n{self.log}"
        return line.removeprefix(begins)

    async def _ended(self) -> int:
        assert self._parent is not None
        assert self._parent.stdout is not None
        while not (line := (await self._parent.stdout.readline()).decode()).startswith("ended "):
            assert line, f"The nursery has ended.\n{self.log}"
        self._pid = None
        return int(line.removeprefix("ended "))


def main() -> None:
    """Fork a gateway for each line, one at a time, until there are no more."""
    _load_everything()
    for line in sys.stdin.buffer:
        asked = orjson.loads(line)
        child = os.fork()
        if child == 0:
            _be_born(asked["arguments"], asked["stderr"])
        print(f"pid {child}", flush=True)
        _, status = os.waitpid(child, 0)
        print(f"ended {os.waitstatus_to_exitcode(status)}", flush=True)


def _be_born(arguments: list[str], stderr: str) -> None:
    """The child's whole life."""
    # Nothing is announced before the parent has said who was born.
    os.dup2(os.open(stderr, os.O_APPEND | os.O_WRONLY | os.O_CREAT, 0o600), 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    code = 70
    try:
        code = importlib.import_module("antiphon.cli.main").main(arguments)
        sys.stdout.flush()
    finally:
        os._exit(code)


def _load_everything() -> None:
    import antiphon

    for module in pkgutil.walk_packages(antiphon.__path__, "antiphon."):
        if not module.name.startswith(("antiphon.local", "antiphon.testing", "antiphon.__main__")):
            importlib.import_module(module.name)
    for name in ("uvicorn.protocols.http.httptools_impl", "uvicorn.lifespan.on", "uvicorn.loops.auto", "uvloop"):
        importlib.import_module(name)


if __name__ == "__main__":
    main()
