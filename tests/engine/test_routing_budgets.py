"""How many further requests there may be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from antiphon.engine.budgets import BudgetPolicy, RetryBudget

POLICY = BudgetPolicy(share=0.2, reserve=10)


def taken(budget: RetryBudget, wanted: int, now_s: float) -> int:
    return sum(budget.take(now_s) for _ in range(wanted))


def test_it_begins_full() -> None:
    """A gateway that has just begun can try again as often as after a quiet time."""
    assert taken(RetryBudget(POLICY, 0), 50, 0) == 10


def test_further_requests_are_a_share() -> None:
    """In an outage in which every turn wants two more requests, a fifth of the turns gets one."""
    budget = RetryBudget(POLICY, 0)
    taken(budget, 50, 0)
    further = 0
    for _ in range(1000):
        budget.earn()
        further += taken(budget, 2, 0)
    assert 195 <= further <= 200


def test_a_little_comes_by_itself() -> None:
    """One more each second, also where nobody asks, and never more than the reserve."""
    budget = RetryBudget(POLICY, 0)
    taken(budget, 50, 0)
    assert taken(budget, 50, 3) == 3
    assert taken(budget, 50, 1e9) == 10


def test_a_clock_that_runs_backwards_takes_nothing_away() -> None:
    """What was earned stays."""
    budget = RetryBudget(POLICY, 100)
    assert taken(budget, 4, 50) == 4


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), st.floats(0, 5)), max_size=30))
def test_it_never_gives_more_than_its_share(steps: list[tuple[int, int, float]]) -> None:
    """Whatever happens when: reserve, share of the turns and a second's one bound what was given."""
    budget, now_s, turns, further = RetryBudget(POLICY, 0), 0.0, 0, 0
    for earned, wanted, passed_s in steps:
        now_s += passed_s
        for _ in range(earned):
            budget.earn()
        turns += earned
        further += taken(budget, wanted, now_s)
        assert further <= POLICY.reserve + POLICY.share * turns + now_s + 1e-6
