"""``antiphon`` as a child process, as a person or a script would run it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).parents[2] / "src"
PATIENCE_S = 60


class Finished(NamedTuple):
    """What a run left behind."""

    code: int
    out: str
    err: str


def environment(**extra: str) -> dict[str, str]:
    """The test's own, without anything that configures a gateway."""
    kept = {name: value for name, value in os.environ.items() if not _configures(name)}
    return {**kept, "PYTHONPATH": str(SOURCE), "PYTHONWARNINGS": "error", **extra}


def _configures(variable: str) -> bool:
    return variable.startswith(("ANTIPHON_", "OPENAI_", "AWS_", "AZURE_")) or variable.endswith(("_API_KEY", "_TOKEN"))


@asynccontextmanager
async def running(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A run that is killed if the test leaves it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "antiphon", *arguments,
        cwd=cwd, env=environment(**(env or {})), stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def finished(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> Finished:
    """A run to its end."""
    async with running(*arguments, cwd=cwd, env=env) as process:
        return await ended(process)


async def ended(process: asyncio.subprocess.Process) -> Finished:
    """Wait for the end of a run and take what it still says."""
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode is not None
    return Finished(process.returncode, out.decode(), err.decode())


async def first_line(process: asyncio.subprocess.Process) -> str:
    """The next line on stdout."""
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)).decode().rstrip("\n")
