"""A part of the sweep over every byte, and proof that it finds what it looks for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from antiphon.hub.errors import StreamOrderViolation, UpstreamBroken
from tests.upstream_faults.cuts import Case, Outcome, outcome_of, sweep
from tests.upstream_faults.golden import golden_streams


def test_cut_and_split_streams() -> None:
    """Wherever a stream is cut or split: one terminal event, a prefix of the truth, and no success without its end."""
    report = sweep(count=4000, seed=7)

    assert report.violations == []
    assert min(report.ends[status] for status in ("completed", "incomplete", "failed")) > 50


def test_the_golden_streams_are_many_and_good() -> None:
    """More than twenty golden streams succeed, and one of them says nothing; a few end in an error of their own."""
    wholes = {name: outcome_of(Case(name, len(data), (), "ended"), data) for name, data in golden_streams().items()}

    succeeded = {name: outcome for name, outcome in wholes.items() if outcome.status != "failed"}
    assert len(succeeded) >= 20
    assert 3 <= len(wholes) - len(succeeded) <= 6
    assert [name for name, outcome in succeeded.items() if not outcome.output] == ["empty"]


def _takes_any_end(case: Case, data: bytes) -> Outcome:
    """A decoder for which the end of the connection is the end of the answer."""
    outcome = outcome_of(case, data)
    return outcome._replace(status="completed", error=None) if case.cut > 200 else outcome


def _says_it_twice(case: Case, data: bytes) -> Outcome:
    """An encoder that repeats the terminal event of a failure."""
    outcome = outcome_of(case, data)
    return outcome._replace(said=outcome.said + outcome.terminal) if outcome.error else outcome


def _forgets_a_border(case: Case, data: bytes) -> Outcome:
    """A parser that loses the byte at a border."""
    if not case.borders or case.borders[0] == 0:
        return outcome_of(case, data)
    border = case.borders[0]
    return outcome_of(case._replace(cut=case.cut - 1, borders=()), data[: border - 1] + data[border:])


def _invents(case: Case, data: bytes) -> Outcome:
    """An accumulator that says more than came."""
    outcome = outcome_of(case, data)
    return outcome._replace(said=outcome.said + b"event: x\n\n") if outcome.error else outcome


def _leaves_open(case: Case, data: bytes) -> Outcome:
    """An accumulator that leaves items open that were cut off."""
    outcome = outcome_of(case, data)
    output = [
        {**item, "status": "in_progress"} if item.get("status") == "incomplete" else item for item in outcome.output
    ]
    return outcome._replace(output=output) if outcome.error else outcome


def _crashes(case: Case, data: bytes) -> Outcome:
    """A decoder with a bug."""
    if case.end == "broken":
        raise KeyError("choices")
    return outcome_of(case, data)


def _blames_us(case: Case, data: bytes) -> Outcome:
    """A decoder whose fault is called the gateway's own."""
    outcome = outcome_of(case, data)
    if not isinstance(outcome.error, UpstreamBroken):
        return outcome
    return outcome._replace(error=StreamOrderViolation("no"))


@pytest.mark.parametrize(
    "planted",
    [_takes_any_end, _says_it_twice, _forgets_a_border, _invents, _leaves_open, _crashes, _blames_us],
    ids=lambda planted: planted.__name__.strip("_").replace("_", " "),
)
def test_a_planted_bug_is_found(planted: Callable[[Case, bytes], Outcome]) -> None:
    """The sweep finds each of these bugs."""
    assert sweep(count=400, seed=3, decode=planted).violations
