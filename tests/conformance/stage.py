"""A gateway for a suite to run against, and what the suite said of it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from antiphon.local import LocalModel
from tests.conformance import upstream
from tests.support.gateway_process import GatewayProcess

__all__ = ["Outcome", "Stage", "before_a_scripted_upstream", "before_the_local_model", "failures", "print_report"]

_NOT_FOR_THE_LOCAL_MODEL: Mapping[str, str] = {
    "image-input": "the local model reads text only, and the gateway says so",
    "websocket-compact-new-chain": "after a summary the local model rambles until its context is full: incomplete",
    "reasoning-summary": "the suite asks only models that are called like OpenAI's reasoning models",
}


@dataclass(frozen=True, kw_only=True)
class Stage:
    """
    A running gateway.

    Attributes:
        excused: Tests that what stands behind the gateway cannot pass, each with the reason.
    """

    base_url: str
    model: str
    excused: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """
    One test of a suite.

    Attributes:
        errors: In the suite's own words.
    """

    test: str
    passed: bool
    errors: Sequence[str] = ()


@contextlib.asynccontextmanager
async def before_the_local_model() -> AsyncIterator[Stage]:
    """A gateway in front of the real local model."""
    async with LocalModel() as model, _gateway(model.base_url) as base_url:
        yield Stage(base_url=base_url, model=model.name, excused=_NOT_FOR_THE_LOCAL_MODEL)


@contextlib.asynccontextmanager
async def before_a_scripted_upstream() -> AsyncIterator[Stage]:
    """A gateway in front of a server that can do what a suite asks of a model."""
    async with upstream.serving() as url, _gateway(url) as base_url:
        yield Stage(base_url=base_url, model=upstream.MODEL, excused={})


@contextlib.asynccontextmanager
async def _gateway(url: str) -> AsyncIterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        async with GatewayProcess.serving(Path(folder) / "antiphon.db", url) as gateway:
            yield gateway.base_url


def failures(outcomes: Sequence[Outcome], excused: Collection[str]) -> list[Outcome]:
    """The tests that failed without an excuse."""
    return [outcome for outcome in outcomes if not outcome.passed and outcome.test not in excused]


def print_report(title: str, outcomes: Sequence[Outcome], excused: Mapping[str, str]) -> None:
    """One line for each test, with what was wrong below it."""
    print(f"\n{title}: {sum(outcome.passed for outcome in outcomes)} of {len(outcomes)} passed")
    for outcome in outcomes:
        excuse = excused.get(outcome.test)
        if outcome.passed or excuse is None:
            print(f"  {'pass' if outcome.passed else 'FAIL'}  {outcome.test}")
            for error in () if outcome.passed else outcome.errors:
                print(f"        {error}")
        else:
            print(f"  n/a   {outcome.test} ({excuse})")
