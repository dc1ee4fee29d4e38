"""
Runs the compliance suite of Open Responses: ``python -m tests.conformance.open_responses --checkout DIR``.

DIR is a checkout of github.com/openresponses/openresponses with its dependencies installed; nothing is downloaded here.
The suite runs twice: in front of a scripted upstream, where every test has to pass, and in front of the real local
model, which is excused from what it cannot do. The exit code is 0 if nothing else failed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.conformance.stage import (
    Outcome,
    Stage,
    before_a_scripted_upstream,
    before_the_local_model,
    failures,
    print_report,
)

__all__ = ["SuiteUnusable", "main", "run_suite"]

_RUNNER = Path("bin") / "compliance-test.ts"
_TIMEOUT_S = 900.0


class SuiteUnusable(Exception):
    """The suite did not run; says why."""


async def run_suite(checkout: Path, bun: str, stage: Stage) -> list[Outcome]:
    """
    What every test of the suite said.

    Raises:
        SuiteUnusable: It ended without a result.
    """
    command = (bun, "run", str(_RUNNER), "--json", "-u", stage.base_url, "-k", "unused", "-m", stage.model)
    child = await asyncio.create_subprocess_exec(
        *command, cwd=checkout, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        stdout, stderr = await asyncio.wait_for(child.communicate(), _TIMEOUT_S)
    except TimeoutError as error:
        child.kill()
        await child.wait()
        raise SuiteUnusable(f"The suite did not end within {_TIMEOUT_S:.0f} s.") from error
    try:
        results = json.loads(stdout)["results"]
    except (ValueError, KeyError) as error:
        raise SuiteUnusable(f"The suite did not run:\n{stdout.decode()}{stderr.decode()}") from error
    return [
        Outcome(test=result["id"], passed=result["status"] == "passed", errors=result.get("errors", []))
        for result in results
    ]


async def _run(stages: Sequence[AbstractAsyncContextManager[Stage]], checkout: Path, bun: str) -> int:
    failed = 0
    for staging in stages:
        async with staging as stage:
            outcomes = await run_suite(checkout, bun, stage)
        print_report(f"Open Responses, {stage.model}", outcomes, stage.excused)
        failed += len(failures(outcomes, stage.excused)) if outcomes else 1
    return 1 if failed else 0


def _bun(checkout: Path, asked: str | None) -> str | None:
    """The bun to run with: the one that was asked for, the checkout's own, or the one on the path."""
    return asked or shutil.which("bun", path=checkout / "node_modules" / ".bin") or shutil.which("bun")


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.open_responses")
    parser.add_argument("--checkout", type=Path, required=True, help="a checkout of openresponses/openresponses")
    parser.add_argument("--bun", help="the bun to run it with (default: the checkout's own, else the one on the path)")
    asked = parser.parse_args(arguments)
    bun = _bun(asked.checkout, asked.bun)
    if not (asked.checkout / _RUNNER).exists():
        parser.error(f"{asked.checkout} has no {_RUNNER}: is it a checkout of openresponses/openresponses?")
    if bun is None:
        parser.error("bun was not found: install it in the checkout, or name it with --bun")
    try:
        return asyncio.run(_run([before_a_scripted_upstream(), before_the_local_model()], asked.checkout, bun))
    except SuiteUnusable as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
