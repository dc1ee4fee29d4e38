"""Which of several equal targets a log has as its own."""

from __future__ import annotations

import timeit
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.engine.affinity import ranked, seed_of, seed_of_turn
from antiphon.engine.attempts import Attempts
from antiphon.engine.target import Target, in_order
from antiphon.hub.ids import Family, TenantId
from antiphon.hub.turn import TurnRequest
from antiphon.sessions.resolve import ResolvedTurn
from tests.engine.asked import target
from tests.engine.contexts import user

SEEDS = [seed_of("acme", f"{number:016x}") for number in range(3000)]
ACME, GLOBEX = TenantId("acme"), TenantId("globex")
FAMILY = Family("0123456789abcdef")

seeds = st.integers(0, 2**64 - 1)


@st.composite
def equals(draw: st.DrawFn) -> list[Target]:
    """Two to six targets of one order, of any weights."""
    weights = draw(st.lists(st.floats(0.01, 100), min_size=2, max_size=6))
    return [target(f"replica {number}", order=0, weight=weight) for number, weight in enumerate(weights)]


def firsts(targets: list[Target]) -> Counter[str]:
    return Counter(ranked(targets, seed)[0].upstream.name for seed in SEEDS)


@pytest.mark.parametrize("weights", [(1, 1), (3, 1), (1, 2, 5), (1, 1, 1, 1)], ids=str)
def test_new_logs_spread_by_weight(weights: tuple[float, ...]) -> None:
    """Each target is the first of its share of logs, within four standard deviations."""
    found = firsts([target(str(place), order=0, weight=weight) for place, weight in enumerate(weights)])
    for place, weight in enumerate(weights):
        share = weight / sum(weights)
        deviation = (len(SEEDS) * share * (1 - share)) ** 0.5
        assert abs(found[str(place)] - len(SEEDS) * share) < 4 * deviation


@settings(deadline=None, max_examples=60)
@given(equals(), seeds, st.data())
def test_who_goes_takes_only_its_own_logs_along(targets: list[Target], seed: int, data: st.DataObject) -> None:
    """Without one target, what is left of a log's ranking is what it was; so nobody else's log moves."""
    gone = data.draw(st.sampled_from(targets))
    before = ranked(targets, seed)
    after = ranked([each for each in targets if each is not gone], seed)
    assert after == tuple(each for each in before if each is not gone)


@settings(deadline=None, max_examples=60)
@given(equals(), seeds)
def test_the_list_does_not_matter(targets: list[Target], seed: int) -> None:
    """Equals are told apart by their names, not by where they stand, and every process ranks them alike."""
    assert ranked(targets, seed) == ranked(targets[::-1], seed)


@settings(deadline=None, max_examples=60)
@given(equals(), seeds)
def test_orders_come_before_weights(targets: list[Target], seed: int) -> None:
    """A target of a higher order is behind all those of a lower one, however heavy it is."""
    heavy = target("heavy", order=1, weight=1e6)
    assert ranked([heavy, *targets], seed)[-1] is heavy


def test_the_end_of_the_range_of_seeds() -> None:
    """Every seed gives every target a score: no logarithm of nothing, no division by it."""
    one, two = target("one", order=0), target("two", order=0)
    for seed in (0, 1, 2**63, 2**64 - 1):
        assert set(ranked([one, two], seed)) == {one, two}


def test_a_log_and_its_forks_have_one_seed() -> None:
    """It is the family's and the tenant's; another tenant's family of the same name is another log."""
    request = TurnRequest(model="m")
    here = ResolvedTurn(tenant=ACME, family=FAMILY)
    assert seed_of_turn(request, here) == seed_of(ACME, FAMILY)
    assert seed_of_turn(request, here) != seed_of_turn(request, ResolvedTurn(tenant=GLOBEX, family=FAMILY))


def test_a_turn_without_a_log_goes_by_the_clients_key() -> None:
    """Clients that keep their history themselves have a prompt_cache_key; within a log that changes nothing."""
    keyed = TurnRequest(model="m", store=False, prompt_cache_key="thread 1")
    one, two = (ResolvedTurn(tenant=ACME, family=Family(f"{number:016x}")) for number in (1, 2))
    assert seed_of_turn(keyed, one) == seed_of_turn(keyed, two) != seed_of(ACME, one.family)

    continued = ResolvedTurn(tenant=ACME, family=one.family, history=(user("before"),))
    assert seed_of_turn(keyed, continued) == seed_of(ACME, one.family)


def test_targets_without_orders_are_tried_as_they_are_listed() -> None:
    """The order of an alias' list is the default; half an order is refused."""
    a, b = target("a", order=2), target("b", order=1)
    plain = in_order([target("a"), target("b")])
    assert [(each.upstream.name, each.order) for each in plain] == [("a", 0), ("b", 1)]
    assert in_order([a, b]) == (b, a)
    with pytest.raises(ValueError, match="Either all targets"):
        in_order([a, target("c")])


def test_a_weight_is_more_than_nothing() -> None:
    """A target that nobody is to ask is left out of the alias."""
    with pytest.raises(ValueError, match="more than 0"):
        target("a", order=0, weight=0)


def test_choosing_costs_less_than_twenty_microseconds() -> None:
    """Ranking three replicas and seeing which are well, at its best of many measurements."""
    targets = [target(f"replica {number}", order=0) for number in range(3)]
    attempts = Attempts()

    def choose() -> None:
        attempts.asking(ranked(targets, seed_of("acme", FAMILY)))._candidates()

    cost_s = min(timeit.repeat(choose, number=50, repeat=40)) / 50
    assert cost_s < 20e-6
