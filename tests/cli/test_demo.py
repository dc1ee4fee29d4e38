"""``antiphon demo``: the whole product in one command."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from antiphon.cli.api import Answer
from antiphon.cli.demo import remembered

from .running import SOURCE, ended, finished, first_line, running


@pytest.mark.parametrize(
    ("text", "replayed", "expected"),
    [
        ("The user's name is Ada.", 2, True),
        ("The user's name is Sarah.", 2, False),
        ("The user's name is Ada.", 0, False),
        ("The user's name is Ada.", 4, False),
    ],
    ids=["remembered", "another name", "a guess", "another history"],
)
def test_what_counts_as_remembering(text: str, replayed: int, expected: bool) -> None:
    """The name alone could be guessed: the gateway must also have replayed the first turn, and only that."""
    assert remembered(Answer(id="resp_1", text=text, replayed=replayed)) is expected


async def test_without_the_engine(tmp_path: Path) -> None:
    """Without the extra, the demo says what to install and ends with 1."""
    (tmp_path / "xllamacpp.py").write_text("raise ImportError('not here')\n")

    done = await finished("demo", "--once", cwd=tmp_path, env={"PYTHONPATH": f"{tmp_path}:{SOURCE}"})

    assert done.code == 1
    assert "pip install 'antiphon[local]'" in done.err


@pytest.fixture
def one_core() -> Iterator[None]:
    """
    What is started has one core to itself, where that can be said: on more, the model's threads would wait for one
    another at every step, because all cores are busy with other tests.
    """
    if sys.platform != "linux":
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    yield
    os.sched_setaffinity(0, cores)


@pytest.mark.model
@pytest.mark.usefixtures("one_core")
async def test_once(tmp_path: Path) -> None:
    """Two turns across a restart: the second answer names Ada from a history of two items, and the exit code is 0."""
    done = await finished("demo", "--once", cwd=tmp_path, env={"TMPDIR": str(tmp_path)})

    lines = [line.strip() for line in done.out.splitlines()]
    assert (done.code, done.err) == (0, "")
    assert [line for line in lines if "Ada." in line and line.startswith("answer")]
    assert [line for line in lines if line.endswith("history replayed: 2 items")]
    assert "── the gateway has been stopped, and is started again on the same file" in lines
    assert "── the same question without memory" in lines
    assert "It remembered Ada, across a restart." in lines
    assert "\x1b" not in done.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.model
@pytest.mark.usefixtures("one_core")
async def test_it_goes_on_until_it_is_asked_to_end(tmp_path: Path) -> None:
    """Without --once the gateway keeps serving; Ctrl-C ends everything in order, with 0, and leaves nothing behind."""
    async with running("demo", cwd=tmp_path, env={"TMPDIR": str(tmp_path)}) as process:
        line = ""
        while not line.strip().startswith("base URL"):
            line = await first_line(process)
        base_url = line.split()[-1]
        async with aiohttp.ClientSession() as session, session.get(f"{base_url}/models") as reply:
            assert reply.status == 200
        process.send_signal(signal.SIGINT)
        done = await ended(process)

    assert (done.code, done.err) == (0, "")
    assert "bye" in done.out
    assert list(tmp_path.iterdir()) == []
    host, _, port = base_url.removeprefix("http://").removesuffix("/v1").partition(":")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, int(port))
