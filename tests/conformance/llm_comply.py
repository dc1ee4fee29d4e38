"""
Runs llm-comply's tests of the format open-responses against the gateway: ``python -m tests.conformance.llm_comply``.

They are an independent reading of the Open Responses specification in Python: the published schemas, the order of
events, usage and errors. Like the suite of Open Responses itself they run in front of a scripted upstream and of the
real local model. The exit code is 0 if nothing failed that is not excused.
"""

from __future__ import annotations

import asyncio
import importlib.resources
import sys

from llm_comply import ComplianceConfig, SpecLoader, TestRunner, TestStatus
from llm_comply.tests.open_responses import OPEN_RESPONSES_TESTS

from tests.conformance.stage import (
    Outcome,
    Stage,
    before_a_scripted_upstream,
    before_the_local_model,
    failures,
    print_report,
)

__all__ = ["main", "run_suite"]

_SPECIFICATION = "specs/openresponses.json"


async def run_suite(stage: Stage) -> list[Outcome]:
    """What every test said; a test that the suite skipped has not passed, and a warning is an error."""
    return await asyncio.to_thread(_run_suite, stage)


def _run_suite(stage: Stage) -> list[Outcome]:
    config = ComplianceConfig(base_url=stage.base_url, api_key="unused", model=stage.model)
    specification = SpecLoader(str(importlib.resources.files("llm_comply") / _SPECIFICATION))
    results = TestRunner(config, OPEN_RESPONSES_TESTS, specification).run_all().results
    return [
        Outcome(
            test=result.id,
            passed=result.status is TestStatus.PASSED and not result.warnings,
            errors=[*result.errors, *result.warnings],
        )
        for result in results
    ]


async def _run() -> int:
    failed = 0
    for staging in (before_a_scripted_upstream(), before_the_local_model()):
        async with staging as stage:
            outcomes = await run_suite(stage)
        print_report(f"llm-comply, {stage.model}", outcomes, stage.excused)
        failed += len(failures(outcomes, stage.excused))
    return 1 if failed else 0


def main() -> int:
    """The exit code."""
    return asyncio.run(_run())


if __name__ == "__main__":
    sys.exit(main())
