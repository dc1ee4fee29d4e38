"""The README's programs run as they are printed, against an upstream of this machine."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.gateway_process import GatewayProcess
from tests.support.scripted_upstream import MODEL, ScriptedUpstream

ROOT = Path(__file__).parents[2]
EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)


async def _run(program: str, folder: Path) -> None:
    """Run a program in a process of its own; it has to end well."""
    (folder / "example.py").write_text(program, encoding="utf-8")
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        "example.py",
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await child.communicate()
    assert child.returncode == 0, output.decode()


async def test_the_clients_example_runs(scripted: ScriptedUpstream, tmp_path: Path) -> None:
    """Two turns with the official client, the second by the id of the first."""
    program = next(example for example in EXAMPLES if "from openai import" in example)
    async with GatewayProcess.serving(tmp_path / "example.db", scripted.url) as gateway:
        await _run(program.replace("http://127.0.0.1:8080/v1", gateway.base_url).replace("llama3.2", MODEL), tmp_path)
    assert [message["content"] for message in scripted.last_messages] == [
        "My name is Ada.",
        scripted.text,
        "Who am I?",
    ]


async def test_the_embedding_example_runs(scripted: ScriptedUpstream, tmp_path: Path) -> None:
    """A turn and a streamed turn through the library, as a program with an event loop of its own."""
    program = next(example for example in EXAMPLES if "from antiphon import" in example)
    program = program.replace("http://127.0.0.1:9000/v1", scripted.url).replace("smollm2-135m", MODEL)
    lines = "".join(f"    {line}\n" for line in [*program.splitlines(), "await gateway.shutdown()"])
    await _run(f"import asyncio\n\nasync def main():\n{lines}\nasyncio.run(main())\n", tmp_path)
    assert [message["content"] for message in scripted.last_messages][-1] == "Who am I?"
    assert len(scripted.last_messages) == 3


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream.serve() as server:
        yield server
