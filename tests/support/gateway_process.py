"""
The gateway as a child process on a SQLite file: started, stopped, killed and started again, as an operator would.

What it writes to stderr is kept across restarts; a traceback or a line of level error in it fails the test that
stops the gateway.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from tests.support.recorder import Recorder
from tests.support.recorder_relay import RecordingRelay

__all__ = ["GatewayProcess", "run_antiphon"]

_SOURCE = Path(__file__).parents[2] / "src"
_ANNOUNCEMENT = "listening on "
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 40.0


class GatewayProcess:
    """
    One gateway, at most one process at a time.

    Args:
        store: The SQLite file, which the first start creates.
        upstream: The base URL of the model server; empty where *arguments* lead to one.
        arguments: Further arguments of ``antiphon serve``.

    Attributes:
        root: ``http://HOST:PORT`` of the present process; with :meth:`serving`, of a relay that leads to it.
    """

    def __init__(self, store: Path, upstream: str, *, arguments: Sequence[str] = ()) -> None:
        self.store = store
        self.root = ""
        model_server = ("--upstream", upstream) if upstream else ()
        self._command = ("serve", "--store", f"sqlite:///{store}", *model_server, "--port", "0", *arguments)
        self._stderr = store.with_name(store.name + ".stderr")
        self._child: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[bytes] | None = None
        self._relay: RecordingRelay | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def serving(
        cls, store: Path, upstream: str, *, arguments: Sequence[str] = ()
    ) -> AsyncIterator[GatewayProcess]:
        """
        A gateway for as long as the block runs.

        On the way out it has to drain, to have logged no fault, and to have answered as OpenAI's document says.
        """
        recorder = Recorder()
        gateway = cls(store, upstream, arguments=arguments)
        async with RecordingRelay.serve(recorder) as gateway._relay:
            await gateway.start()
            try:
                yield gateway
            except BaseException:
                await gateway.kill()
                raise
            await gateway.stop()
        recorder.assert_clean()

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its base URL."""
        return f"{self.root}/v1"

    @property
    def log(self) -> str:
        """Everything that all processes of this gateway have written to stderr."""
        return self._stderr.read_text(errors="replace") if self._stderr.exists() else ""

    async def start(self) -> None:
        """Start and wait until it serves."""
        assert self._child is None, "the gateway runs already"
        with self._stderr.open("ab") as stderr:
            self._child = await _spawn(*self._command, stderr=stderr.fileno())
        assert self._child.stdout is not None
        line = (await asyncio.wait_for(self._child.stdout.readline(), _START_TIMEOUT_S)).decode().strip()
        if not line.startswith(_ANNOUNCEMENT):
            await self.kill()
            raise AssertionError(f"The gateway did not start: {line!r}\n{self.log}")
        self.root = line.removeprefix(_ANNOUNCEMENT)
        self._reading = asyncio.ensure_future(self._child.stdout.read())
        if self._relay is not None:
            await self._relay.lead_to(self.root)
            self.root = self._relay.root

    async def kill(self) -> None:
        """End the process at once, in the middle of whatever it does. Nothing happens if it does not run."""
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                self._child.send_signal(signal.SIGKILL)
            await self._ended()

    async def stop(self) -> None:
        """Ask it to drain and end; it has to obey, with exit code 0, and to have logged no fault."""
        assert self._child is not None, "the gateway does not run"
        self._child.send_signal(signal.SIGTERM)
        try:
            code = await asyncio.wait_for(self._ended(), _STOP_TIMEOUT_S)
        except TimeoutError:
            await self.kill()
            raise AssertionError(f"The gateway did not drain.\n{self.log}") from None
        assert code == 0, f"The gateway ended with {code}.\n{self.log}"
        self.assert_quiet()

    def assert_quiet(self) -> None:
        """No traceback and no line of level error on stderr so far."""
        log = self.log
        assert "Traceback" not in log, log
        assert " level=error " not in log, log

    async def _ended(self) -> int:
        child = self._child
        assert child is not None
        code = await child.wait()
        self._child = None
        if self._reading is not None:
            await self._reading
            self._reading = None
        return code


async def run_antiphon(*arguments: str) -> tuple[int, str, str]:
    """Run a command of the command line to its end: exit code, stdout, stderr."""
    child = await _spawn(*arguments, stderr=asyncio.subprocess.PIPE)
    stdout, stderr = await child.communicate()
    assert child.returncode is not None
    return child.returncode, stdout.decode(), stderr.decode()


async def _spawn(*arguments: str, stderr: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "antiphon",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
        env=_environment(),
    )


def _environment() -> dict[str, str]:
    """Ours, with the package on the path and without anything that would configure the gateway."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("ANTIPHON_") and "API_KEY" not in name
    }
    path = kept.get("PYTHONPATH")
    return {**kept, "PYTHONPATH": f"{_SOURCE}{os.pathsep}{path}" if path else str(_SOURCE)}
