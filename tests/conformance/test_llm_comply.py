"""
llm-comply's tests of the format open-responses pass, all of them.

The suite runs them before a scripted upstream; ``ANTIPHON_LONG`` adds the local model, which takes minutes for them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from tests.conformance.llm_comply import run_suite
from tests.conformance.stage import Outcome, Stage, before_a_scripted_upstream, before_the_local_model, failures

_TESTS = 13

# llm-comply 0.5.0 resolves references with a class that jsonschema has deprecated; nothing of ours is meant.
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")


_STAGES = [pytest.param(before_a_scripted_upstream, id="scripted")]
if os.environ.get("ANTIPHON_LONG"):
    _STAGES.append(pytest.param(before_the_local_model, id="local-model", marks=pytest.mark.model))


@pytest.mark.parametrize("staging", _STAGES)
async def test_every_test_passes(staging: Callable[[], AbstractAsyncContextManager[Stage]]) -> None:
    """Before a scripted upstream without exception; before the local model but for what it cannot do."""
    async with staging() as stage:
        outcomes = await run_suite(stage)
    assert len(outcomes) == _TESTS
    assert failures(outcomes, stage.excused) == []


def test_only_what_is_excused_may_fail() -> None:
    """A failure counts unless the stage cannot do what the test asks."""
    outcomes = [Outcome(test="a", passed=True), Outcome(test="b", passed=False), Outcome(test="c", passed=False)]
    assert [outcome.test for outcome in failures(outcomes, {"a", "b"})] == ["c"]
