"""What callers may use: exactly so much, whoever comes at once, and whatever becomes of their turns."""

from __future__ import annotations

import asyncio
import random

import pytest

from antiphon.engine.limits import Admission, Limiter, Rates
from antiphon.engine.run import Run
from antiphon.hub.errors import (
    GatewayError,
    RequestOverTokenRate,
    RequestRateExceeded,
    TokenRateExceeded,
    TooManyRequests,
)
from antiphon.hub.ids import TenantId
from antiphon.hub.principal import Limits, Principal


class Stage:
    def __init__(self, **about: int) -> None:
        self.now_s = 1000.25
        self.limiter = Limiter(clock=lambda: self.now_s, **about)

    def passes(self, principal: Principal) -> bool:
        """Whether a request may begin, which then ends at once."""
        try:
            self.limiter.admit(principal).let_go()
        except TooManyRequests:
            return False
        return True


def caller(actor: str = "a", tenant: str = "t", **limits: int | None) -> Principal:
    return Principal(tenant=TenantId(tenant), actor=actor, limits=Limits(**limits))


@pytest.fixture
def stage() -> Stage:
    return Stage()


# Requests.


async def test_of_two_thousand_at_once_exactly_the_limit_pass(stage: Stage) -> None:
    """No race lets one more in, and none fewer."""
    principal = caller(requests_per_minute=100)

    async def one() -> bool:
        await asyncio.sleep(0)
        try:
            with stage.limiter.admit(principal):
                await asyncio.sleep(0)
        except RequestRateExceeded:
            return False
        return True

    assert sum(await asyncio.gather(*(one() for _ in range(2000)))) == 100


def test_in_no_minute_more_than_the_limit_pass(stage: Stage) -> None:
    """Whenever they come, no sixty seconds see more; and somebody who waits is let in again."""
    principal = caller(requests_per_minute=10)
    chance = random.Random(7)  # noqa: S311 - the same case every time
    passed = []
    for _ in range(5000):
        stage.now_s += chance.choice((0.01, 0.5, 3.0))
        if stage.passes(principal):
            passed.append(stage.now_s)
    assert len(passed) > 10 * (passed[-1] - passed[0]) / 62
    assert all(later - first > 60 for first, later in zip(passed, passed[10:], strict=False))


def test_the_wait_that_is_named_is_enough(stage: Stage) -> None:
    """Whoever comes again after so long is let in, and a moment earlier is not; the words are OpenAI's."""
    principal = caller(requests_per_minute=2)
    stage.passes(principal)
    stage.now_s += 20
    stage.passes(principal)
    with pytest.raises(RequestRateExceeded) as raised:
        stage.limiter.admit(principal)
    wait_s = raised.value.retry_after_s
    assert wait_s is not None
    assert raised.value.message == (
        "Rate limit reached on requests per min (RPM): Limit 2, Used 2, Requested 1. "
        f"Please try again in {wait_s:.1f}s."
    )
    assert (raised.value.type, raised.value.code, raised.value.status) == ("requests", "rate_limit_exceeded", 429)
    stage.now_s += wait_s - 0.01
    assert not stage.passes(principal)
    stage.now_s += 0.011
    assert [stage.passes(principal) for _ in range(2)] == [True, False]


def test_a_limit_of_none_lets_nobody_in(stage: Stage) -> None:
    """A limit of 0 is one."""
    assert not stage.passes(caller(requests_per_minute=0))
    assert not stage.passes(caller(parallel_turns=0))


def test_callers_do_not_share_a_limit(stage: Stage) -> None:
    """Neither two actors of a tenant, nor the same name in two tenants."""
    for principal in (caller("a"), caller("b"), caller("a", "u")):
        limited = Principal(tenant=principal.tenant, actor=principal.actor, limits=Limits(requests_per_minute=1))
        assert [stage.passes(limited) for _ in range(2)] == [True, False]


def test_a_limit_that_changes_holds_at_once(stage: Stage) -> None:
    """What was used counts against the new limit."""
    assert [stage.passes(caller(requests_per_minute=2)) for _ in range(3)] == [True, True, False]
    assert [stage.passes(caller(requests_per_minute=3)) for _ in range(2)] == [True, False]
    assert not stage.passes(caller(requests_per_minute=1))


# Tokens.


def test_tokens_are_reserved_and_settled(stage: Stage) -> None:
    """What is expected counts until it is known what was used; then that counts."""
    principal = caller(tokens_per_minute=1000)
    first = stage.limiter.admit(principal)
    first.reserve(900)
    second = stage.limiter.admit(principal)
    with pytest.raises(TokenRateExceeded) as raised:
        second.reserve(200)
    assert "(TPM): Limit 1000, Used 900, Requested 200. Please try again in 60.8s." in raised.value.message
    assert (raised.value.type, raised.value.code) == ("tokens", "rate_limit_exceeded")
    first.settle(100)
    second.reserve(900)
    assert _left(stage, principal) == 0


def _left(stage: Stage, principal: Principal) -> int:
    rate = stage.limiter.rates(principal).tokens
    assert rate is not None
    return rate.remaining


def test_more_than_was_expected_counts_too(stage: Stage) -> None:
    """A long answer is paid for by those that come after it, and the next minute is a new one."""
    principal = caller(tokens_per_minute=1000)
    admission = stage.limiter.admit(principal)
    admission.reserve(10)
    admission.settle(5000)
    assert _left(stage, principal) == 0
    with pytest.raises(TokenRateExceeded):
        stage.limiter.admit(principal).reserve(1)
    stage.now_s += 61
    assert _left(stage, principal) == 1000


def test_what_is_settled_late_is_settled_in_its_own_minute(stage: Stage) -> None:
    """A reservation that is over a minute old gives nothing back that was not taken from this minute."""
    principal = caller(tokens_per_minute=1000)
    thrifty, greedy = stage.limiter.admit(principal), stage.limiter.admit(principal)
    thrifty.reserve(500)
    greedy.reserve(500)
    stage.now_s += 61
    thrifty.settle(0)
    assert _left(stage, principal) == 1000
    greedy.settle(700)
    assert _left(stage, principal) == 800
    stage.now_s += 61
    assert _left(stage, principal) == 1000


def test_in_no_minute_more_tokens_than_the_limit_are_reserved(stage: Stage) -> None:
    """Whatever is reserved and given back, what remains of any sixty seconds is within the limit."""
    principal = caller(tokens_per_minute=100)
    chance = random.Random(11)  # noqa: S311 - the same case every time
    used: list[tuple[float, int]] = []
    for _ in range(3000):
        stage.now_s += chance.choice((0.1, 1.0, 5.0))
        admission = stage.limiter.admit(principal)
        tokens = chance.randrange(1, 60)
        try:
            admission.reserve(tokens)
        except TokenRateExceeded:
            tokens = 0
        else:
            tokens = chance.randrange(tokens + 1)
            admission.settle(tokens)
        used.append((stage.now_s, tokens))
        admission.let_go()
    for start in range(0, len(used), 50):
        until = used[start][0] + 60
        assert sum(tokens for at, tokens in used[start:] if at <= until) <= 100


def test_what_can_never_fit_is_told_so(stage: Stage) -> None:
    """A request that needs more than a whole minute has is not worth trying again."""
    with pytest.raises(RequestOverTokenRate, match="Limit 10, Used 0, Requested 11") as raised:
        stage.limiter.admit(caller(tokens_per_minute=10)).reserve(11)
    assert (raised.value.retryable, raised.value.retry_after_s) == (False, None)


def test_who_is_not_limited_is_not_counted(stage: Stage) -> None:
    """Nothing is kept of callers without limits."""
    admission = stage.limiter.admit(caller())
    admission.reserve(10**9)
    admission.let_go()
    assert (admission.counts_tokens, stage.limiter.rates(caller()), len(stage.limiter._usages)) == (False, Rates(), 0)


# Turns.


def run_of(admission: Admission) -> Run:
    run = Run("resp_x", TenantId("t"))
    admission.follow(run)
    return run


ENDINGS = {
    "completed": lambda run: run.finish({"usage": {"total_tokens": 30}}),
    "cancelled": lambda run: run.finish({"usage": None}),
    "refused": lambda run: run.refuse(GatewayError("no")),
    "crashed": lambda run: run.refuse(RuntimeError("a bug")),
}
USED = {"completed": 30, "cancelled": 100, "refused": 0, "crashed": 0}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_a_turns_place_is_free_after_every_end(stage: Stage, ending: str) -> None:
    """However a turn ends, another may begin; and what it used is what it reported, or what was expected."""
    principal = caller(parallel_turns=1, tokens_per_minute=1000)
    with stage.limiter.admit(principal) as admission:
        admission.reserve(100)
        run = run_of(admission)
    assert not stage.passes(principal)
    ENDINGS[ending](run)
    await asyncio.sleep(0)
    assert stage.passes(principal)
    assert 1000 - _left(stage, principal) == USED[ending]


async def test_a_turn_that_never_begins_gives_back_everything(stage: Stage) -> None:
    """A request that is refused after it was admitted leaves no place taken and no tokens reserved."""
    principal = caller(parallel_turns=1, tokens_per_minute=1000)

    def begin() -> None:
        with stage.limiter.admit(principal) as admission:
            admission.reserve(100)
            raise GatewayError("the store is away")

    with pytest.raises(GatewayError):
        begin()
    assert (stage.passes(principal), _left(stage, principal)) == (True, 1000)


async def test_a_place_is_taken_until_the_last_has_let_go(stage: Stage) -> None:
    """A caller that leaves while its turn is being written down does not free the turn's place."""
    principal = caller(parallel_turns=1)
    with stage.limiter.admit(principal) as admission:
        admission.hold()
    assert not stage.passes(principal)
    run = run_of(admission)
    admission.let_go()
    assert not stage.passes(principal)
    run.finish({"usage": None})
    await asyncio.sleep(0)
    assert stage.passes(principal)


def test_too_many_turns_are_told_when_to_come_again(stage: Stage) -> None:
    """It does not count as a request, so that trying again does not use up the minute."""
    principal = caller(parallel_turns=2, requests_per_minute=3)
    held = [stage.limiter.admit(principal) for _ in range(2)]
    with pytest.raises(TooManyRequests, match="parallel turns: Limit 2") as raised:
        stage.limiter.admit(principal)
    assert raised.value.retry_after_s == 1
    held[0].let_go()
    assert stage.passes(principal)


# Memory.


def test_callers_take_bounded_room() -> None:
    """Whoever used nothing for longest is forgotten first, and nobody whose turn runs."""
    stage = Stage(max_actors=100)
    busy = caller("busy", parallel_turns=1)
    stage.limiter.admit(busy)
    for number in range(10_000):
        stage.passes(caller(f"a{number}", requests_per_minute=1))
    assert len(stage.limiter._usages) == 100
    assert not stage.passes(busy)
    assert not stage.passes(caller("a9999", requests_per_minute=1))
    assert stage.passes(caller("a0", requests_per_minute=1))


def test_a_high_limit_takes_no_more_room_than_a_low_one(stage: Stage) -> None:
    """A minute is sixty-one numbers, however many requests it has."""
    principal = caller(requests_per_minute=10**9)
    for _ in range(20_000):
        stage.now_s += 0.01
        stage.passes(principal)
    assert len(stage.limiter._usage(principal).requests._seconds) <= 61


# What is left.


def test_what_is_left_is_told(stage: Stage) -> None:
    """How many are left, and when all are; of what is not limited nothing."""
    principal = caller(requests_per_minute=5)
    stage.passes(principal)
    stage.passes(principal)
    rates = stage.limiter.rates(principal)
    assert rates.tokens is None
    assert rates.requests is not None
    assert (rates.requests.limit, rates.requests.remaining) == (5, 3)
    stage.now_s += rates.requests.reset_s
    again = stage.limiter.rates(principal).requests
    assert again is not None
    assert (again.remaining, again.reset_s) == (5, 0.0)
