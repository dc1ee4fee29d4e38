"""The small version of ``python -m tests.sweeps routing``, and its checker, shown what a broken gateway would show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.sweeps import routing
from tests.sweeps.routing import Ended, check_load, check_turn, figures_of
from tests.sweeps.routing_upstream import Called


async def test_faults_before_and_within_answers(tmp_path: Path) -> None:
    """Turns over three servers that fail in every way: no word twice, nobody asked after an answer had begun."""
    report = await routing.sweep(tmp_path, count=96, seed=20)
    assert report.violations == []
    figures = report.figures
    assert figures["servers with chains"] > 1
    assert figures["ended as completed"] > figures["turns"] / 2
    assert figures["faults"] == sum(
        count for name, count in figures.items() if name.startswith("fault: ") and name != "fault: none"
    )
    assert figures["fallbacks"] + figures["retries"] == figures["further requests"]
    assert figures["words that a client got twice"] == figures["requests after an answer's first byte"] == 0
    for met in (
        "fallbacks",
        "retries",
        "ended as failed",
        "further requests",
        "fault: dropped",
        "fault: server error",
        "fault: rate limit",
    ):
        assert figures[met], f"{met} was not met: {report}"


_FAILED = Called("a", "t", "server error")
_BEGAN = Called("b", "t", "none", began=True)
_RIGHT = Ended("t", "completed", ("one ", "two "), (_FAILED, _BEGAN), 2, "one two ")
_CUT = replace(_RIGHT, status="failed", words=("one ",), calls=(_FAILED, replace(_BEGAN, fault="cut after a word")))

BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "continued elsewhere": ({"calls": (_BEGAN, _BEGAN)}, "2 servers began"),
    "asked again after it had begun": ({"calls": (_BEGAN, _FAILED)}, "after an answer had begun"),
    "asked again after a refusal": ({"calls": (Called("a", "t", "invalid request"), _BEGAN)}, "had been refused"),
    "a word twice": ({"words": ("one ", "one ", "two ")}, "it was said"),
    "another's word": ({"words": ("one ", "three ")}, "it was said"),
    "told of too few": ({"sent": 1}, "1 requests are told of"),
    "short and completed": ({"words": ("one ",)}, "ended as completed"),
    "failed without a fault": ({"status": "failed"}, "ended as failed"),
    "answered and refused": ({"status": "UpstreamRefused"}, "ended as UpstreamRefused"),
    "a crash": ({"status": "unexpectedly GatewayError"}, "unexpectedly"),
}


@pytest.mark.parametrize("ended", [_RIGHT, _CUT], ids=["answered", "cut"])
def test_a_right_turn_is_not_reported(ended: Ended) -> None:
    """An answer after a fault, and one that broke off."""
    assert check_turn(ended) == []


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_turn_is_reported(name: str) -> None:
    """Every way in which a turn could be said twice, or end otherwise than its answer, is noticed and named."""
    changes, alarm = BROKEN[name]
    flaws = check_turn(replace(_RIGHT, **changes))
    assert any(alarm in flaw for flaw in flaws), flaws


def test_a_multiplied_load_is_reported() -> None:
    """As many further requests as the budgets give are right; more are not."""
    assert check_load(1000, 360, 0) == []
    assert check_load(1000, 400, 0) != []


def test_what_is_told_of_a_turn() -> None:
    """A fallback and a retry are told apart; a word twice and a request after the first byte are told too."""
    retried = Called("a", "t", "dropped")
    right = figures_of(replace(_RIGHT, calls=(retried, _FAILED, _BEGAN), sent=3))
    wrong = figures_of(replace(_RIGHT, calls=(_BEGAN, _FAILED), words=("one ", "one ")))
    assert (right["faults"], right["retries"], right["fallbacks"], right["answers"]) == (2, 1, 1, 1)
    assert right["words that a client got twice"] == right["requests after an answer's first byte"] == 0
    assert wrong["words that a client got twice"] == wrong["requests after an answer's first byte"] == 1
