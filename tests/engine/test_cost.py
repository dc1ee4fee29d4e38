"""Prices and costs: what tokens come to, whose price holds, and how often a list is asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from decimal import Decimal

import pytest

from antiphon import Target, Upstream, upstream
from antiphon.engine.cost import Costs
from antiphon.engine.metering import Spent
from antiphon.hub.price import Price, Rates, Tier, plain
from antiphon.hub.usage import Usage
from antiphon.telemetry import Log

RATES = Rates(
    input=Decimal(3),
    cached_input=Decimal("0.3"),
    cache_write=Decimal("3.75"),
    output=Decimal(15),
    reasoning=Decimal(20),
)
USED = Usage(input_tokens=1000, cached_tokens=600, cache_write_tokens=100, output_tokens=50, reasoning_tokens=20)
FLAT = Price(rates=Rates(input=Decimal(1), output=Decimal(2)))


class Listed:
    """A list with one model in it, that remembers what it was asked."""

    def __init__(self, price: Price | None = FLAT, *, model: str = "sold") -> None:
        self.asked: list[tuple[tuple[str, ...], str, str | None, float]] = []
        self.threads: set[int] = set()
        self._price = price
        self._model = model

    def find(self, addresses: Sequence[str], model: str, *, service_tier: str | None, at_s: float) -> Price | None:
        self.asked.append((tuple(addresses), model, service_tier, at_s))
        self.threads.add(threading.get_ident())
        return self._price if model == self._model else None


class Broken(Listed):
    def find(self, addresses: Sequence[str], model: str, *, service_tier: str | None, at_s: float) -> Price | None:
        raise RuntimeError("a list that cannot be read")


def vendor(price: Price | None = None) -> Upstream:
    return upstream("https://api.example.com/v1", name="vendor", api_key="test-key", price=price)


def test_each_kind_of_tokens_has_its_price() -> None:
    """Fresh input, cached input, what was written to the cache, output, and reasoning within it."""
    expected = (300 * 3 + 600 * Decimal("0.3") + 100 * Decimal("3.75") + 30 * 15 + 20 * 20) / 1_000_000

    assert expected == RATES.cost(USED)


@pytest.mark.parametrize(
    "used",
    [
        Usage(input_tokens=100, cached_tokens=600, cache_write_tokens=100, output_tokens=20, reasoning_tokens=20),
        Usage(input_tokens=700, cached_tokens=600, cache_write_tokens=100, output_tokens=10, reasoning_tokens=20),
    ],
    ids=["cached", "reasoning"],
)
def test_what_is_counted_beside_the_whole_makes_nothing_cheaper(used: Usage) -> None:
    """A server whose prompt is without what was cached, or whose output is without reasoning: no part is below zero."""
    expected = (600 * Decimal("0.3") + 100 * Decimal("3.75") + 20 * 20) / 1_000_000

    assert expected == RATES.cost(used)


def test_a_kind_without_a_price_costs_what_input_and_output_do() -> None:
    """So do vendors that say nothing of caches or of reasoning."""
    assert (1000 * 1 + 50 * 2) / Decimal(1_000_000) == FLAT.cost(USED)


def test_output_without_a_price_is_not_free() -> None:
    """What nobody knows is not nothing."""
    price = Price(rates=Rates(input=Decimal(1)))

    assert price.cost(USED) is None
    assert price.cost(Usage(input_tokens=1_000_000)) == 1


@pytest.mark.parametrize(("tokens", "per_million"), [(200_000, 1), (200_001, 2), (500_001, 4)])
def test_a_long_prompt_costs_more_for_all_of_its_tokens(tokens: int, per_million: int) -> None:
    """From one token more on than the tier begins above."""
    tiers = (Tier(200_000, Rates(input=Decimal(2))), Tier(500_000, Rates(input=Decimal(4))))
    price = Price(rates=Rates(input=Decimal(1)), tiers=tiers, per_call=Decimal("0.01"))

    cost = price.cost(Usage(input_tokens=tokens))

    assert cost == Decimal(tokens) * per_million / 1_000_000 + Decimal("0.01")


@pytest.mark.parametrize(
    ("cost", "shown"),
    [
        ("0", "0"),
        ("0.0000003", "0.0000003"),
        ("10", "10"),
        ("1.50", "1.5"),
        ("1E-20", "0"),
        ("123456.789", "123456.789"),
        ("27021597764222976.5", "27021597764222976.5"),
    ],
)
def test_sums_are_written_plainly(cost: str, shown: str) -> None:
    """Without exponents and without zeros that say nothing."""
    assert shown == plain(Decimal(cost))


def test_what_a_part_costs_that_nobody_knows_nobody_knows_of_the_whole() -> None:
    """Tokens add up in any case."""
    known = Spent(Usage(input_tokens=1), cost=Decimal(1))

    assert known.and_also(Usage(input_tokens=2), Decimal(2)) == Spent(Usage(input_tokens=3), cost=Decimal(3))
    assert known.and_also(Usage(input_tokens=2), None).cost is None
    assert "cost" not in Spent(USED).body()
    assert Spent(USED, cost=Decimal("0.25")).body()["cost"] == 0.25


async def test_a_configured_price_holds_and_the_targets_before_its_upstreams() -> None:
    """The list is not asked then."""
    listed = Listed()
    dear, cheap = Price(rates=Rates(input=Decimal(8))), Price(rates=Rates(input=Decimal(4)))
    way, used = vendor(price=dear), Usage(input_tokens=500_000)
    costs = Costs(listed)

    assert await costs.of(Target(way, "sold", price=cheap), used) == 2
    assert await costs.of(Target(way, "sold"), used) == 4
    assert not listed.asked


async def test_a_listed_price_is_looked_up_once_in_another_thread_for_a_while() -> None:
    """A quarter of an hour later it is asked for again: prices change."""
    listed, now = Listed(), [1_000_000.0 * 900]
    costs, target = Costs(listed, clock=lambda: now[0]), Target(vendor(), "sold")

    costs.expect(target)
    found = [await costs.of(target, Usage(input_tokens=1_000_000)) for _ in range(3)]
    asked_before = len(listed.asked)
    now[0] += 900
    await costs.of(target, USED)

    assert found == [Decimal(1)] * 3
    assert (asked_before, len(listed.asked)) == (1, 2)
    assert listed.asked[0] == (("https://api.example.com/v1",), "sold", None, 900_000_000.0)
    assert threading.get_ident() not in listed.threads


async def test_the_reported_name_counts_before_the_one_that_was_asked_for() -> None:
    """A deployment is called anything; the tier that was reported has its own price."""
    listed = Listed()
    costs = Costs(listed)

    assert await costs.of(Target(vendor(), "my-deployment"), USED, model="sold", service_tier="flex") is not None
    assert await costs.of(Target(vendor(), "sold"), USED, model="sold-2026-01-01") is not None
    assert [asked[1:3] for asked in listed.asked] == [("sold", "flex"), ("sold-2026-01-01", None), ("sold", None)]


async def test_a_model_that_nobody_sells_has_no_price() -> None:
    """One's own server is nobody's address, and is not looked for in a list; a model that is not listed has none."""
    listed = Listed()
    costs = Costs(listed)

    assert await costs.of(Target(upstream("http://127.0.0.1:9/v1"), "sold"), USED) is None
    assert not listed.asked
    assert await costs.of(Target(vendor(), "unheard-of"), USED) is None
    assert await Costs().of(Target(vendor(), "sold"), USED) is None


async def test_a_reported_name_of_any_length_is_not_looked_up() -> None:
    """An upstream may report megabytes as a model's name: they are neither kept nor searched for."""
    listed = Listed()

    assert await Costs(listed).of(Target(vendor(), "sold"), USED, model="x" * 1_000_000) == FLAT.cost(USED)
    assert [asked[1] for asked in listed.asked] == ["sold"]


async def test_a_list_that_cannot_be_read_is_told_and_leaves_the_turn_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No cost, and a line in the log."""
    assert await Costs(Broken(), log=Log("warning")).of(Target(vendor(), "sold"), USED) is None
    assert "price_not_found" in capsys.readouterr().err


async def test_a_turns_cost_takes_no_time() -> None:
    """Far below what anybody would notice: the price is at hand, and the rest are four products."""
    costs, target, turns = Costs(Listed(Price(rates=RATES))), Target(vendor(), "sold"), 500
    await costs.of(target, USED, model="sold", service_tier="default")
    best_s = float("inf")
    for _ in range(5):
        began_s = time.thread_time()
        for _ in range(turns):
            await costs.of(target, USED, model="sold", service_tier="default")
        best_s = min(best_s, time.thread_time() - began_s)

    assert best_s / turns < 20e-6
