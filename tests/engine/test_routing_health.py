"""When a target is passed over, for how long, and how it comes back."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from antiphon.engine.health import Health, HealthPolicy, Healths, Trial
from antiphon.hub.errors import (
    ContextLengthExceeded,
    UpstreamAuthentication,
    UpstreamBroken,
    UpstreamError,
    UpstreamLacksModel,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
    UpstreamUnreachable,
)
from tests.engine.asked import Clock

POLICY = HealthPolicy(failures=3, ejection_s=10, longest_s=35)
FAULT = UpstreamUnavailable("no")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def told() -> list[float | None]:
    return []


def standing_of(health: Health) -> str:
    """How it stands, asked anew: the type checker takes a property for a constant."""
    return health.standing


@pytest.fixture
def health(clock: Clock, told: list[float | None]) -> Health:
    return Health(POLICY, clock, told.append)


def fail(health: Health, times: int = 1) -> None:
    for _ in range(times):
        health.begin().failed(FAULT)


def succeed(health: Health) -> None:
    trial = health.begin()
    trial.answered()
    trial.succeeded()


def test_so_many_faults_in_a_row_eject(health: Health, told: list[float | None]) -> None:
    """The threshold counts faults without a whole reply between them."""
    fail(health, 2)
    succeed(health)
    fail(health, 2)
    assert standing_of(health) == "healthy"
    fail(health)
    assert (standing_of(health), told) == ("ejected", [10])


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        (UpstreamUnreachable("no"), True),
        (UpstreamUnavailable("no"), True),
        (UpstreamTimeout("no"), True),
        (UpstreamBroken("no"), True),
        (UpstreamAuthentication("no"), True),
        (UpstreamLacksModel("no"), True),
        (UpstreamRateLimited("no", code="insufficient_quota"), True),
        (UpstreamRateLimited("no"), False),
        (UpstreamRefused("no"), False),
        (ContextLengthExceeded(), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_which_errors_are_faults(health: Health, error: UpstreamError, counts: bool) -> None:
    """What the request itself is at fault for ejects nobody, and neither does a rate limit."""
    for _ in range(3):
        health.begin().failed(error)
    assert (standing_of(health) == "ejected") == counts


def test_a_refusal_is_an_answer(health: Health) -> None:
    """Whoever calls a request invalid is well: the faults before it are forgotten."""
    fail(health, 2)
    health.begin().failed(UpstreamRefused("no"))
    fail(health, 2)
    assert standing_of(health) == "healthy"


def test_the_time_doubles_up_to_the_longest(health: Health, clock: Clock, told: list[float | None]) -> None:
    """Each failed probe ejects for twice as long."""
    fail(health, 3)
    for ejection_s in (10, 20, 35, 35):
        clock.advance(ejection_s - 0.1)
        assert standing_of(health) == "ejected"
        clock.advance(0.1)
        assert standing_of(health) == "due"
        fail(health)
    assert told == [10, 20, 35, 35, 35]


def test_one_request_probes(health: Health, clock: Clock) -> None:
    """While one turn tries a target that is due, others are told so; if that turn is broken off, the next one tries."""
    fail(health, 3)
    clock.advance(10)
    probe = health.begin()
    assert standing_of(health) == "probed"
    probe.close()
    assert standing_of(health) == "due"


def test_an_answer_brings_it_back(health: Health, clock: Clock, told: list[float | None]) -> None:
    """A probe is over when the reply begins: nobody has to wait for its end."""
    fail(health, 3)
    clock.advance(10)
    probe = health.begin()
    probe.answered()
    assert (standing_of(health), told) == ("healthy", [10, None])


def test_who_answers_and_breaks_off_is_not_well(health: Health, clock: Clock, told: list[float | None]) -> None:
    """After an ejection one fault is enough until a reply has come to its end, and the time goes on doubling."""
    fail(health, 3)
    clock.advance(10)
    probe = health.begin()
    probe.answered()
    probe.failed(FAULT)
    assert (standing_of(health), told) == ("ejected", [10, None, 20])


def test_a_whole_reply_forgets_everything(health: Health, clock: Clock, told: list[float | None]) -> None:
    """After it the threshold and the time are those of the beginning."""
    fail(health, 3)
    clock.advance(10)
    succeed(health)
    fail(health, 2)
    assert standing_of(health) == "healthy"
    fail(health)
    assert told[-1] == 10


def test_old_replies_say_nothing_about_now(health: Health, told: list[float | None]) -> None:
    """A reply that began before the ejection neither lifts nor lengthens it, however it ends."""
    old, older = health.begin(), health.begin()
    fail(health, 3)
    old.answered()
    old.succeeded()
    older.failed(FAULT)
    assert (standing_of(health), told) == ("ejected", [10])


def test_an_answer_while_ejected_brings_it_back(health: Health) -> None:
    """A turn that had nobody else to ask finds out that the target is well again."""
    fail(health, 3)
    trial = health.begin()
    trial.answered()
    assert standing_of(health) == "healthy"


@pytest.mark.parametrize(("asked_s", "rests_s"), [(None, 1), (7, 7), (1000, 35)])
def test_a_rate_limit_is_obeyed(health: Health, clock: Clock, asked_s: float | None, rests_s: float) -> None:
    """A target rests for as long as it asks for, within bounds, and for a second if it says nothing."""
    health.begin().failed(UpstreamRateLimited("no", retry_after_s=asked_s))
    clock.advance(rests_s - 0.1)
    assert standing_of(health) == "resting"
    clock.advance(0.1)
    assert standing_of(health) == "healthy"


def test_targets_are_forgotten_in_the_end(clock: Clock) -> None:
    """As clients may name models, there is a most; whose health was asked for longest ago goes first."""
    healths: Healths[str] = Healths(POLICY, clock, lambda target, ejection_s: None, most=2)
    fail(healths.of("a"), 3)
    healths.of("b")
    assert healths.of("a").standing == "ejected"
    healths.of("c")
    assert healths.of("a").standing == "ejected"
    healths.of("d")
    healths.of("e")
    assert healths.of("a").standing == "healthy"


class HealthMachine(RuleBasedStateMachine):
    """Any turns side by side, ending in any way and order."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.told: list[float | None] = []
        self.health = Health(POLICY, self.clock, self.told.append)
        self.trials: list[Trial] = []

    @rule()
    def begin(self) -> None:
        before = self.health.standing
        self.trials.append(self.health.begin())
        assert standing_of(self.health) == ("probed" if before == "due" else before)

    @precondition(lambda self: self.trials)
    @rule(data=st.data(), how=st.sampled_from(["answered", "succeeded", "failed", "limited", "closed"]))
    def go_on(self, data: st.DataObject, how: str) -> None:
        trial = data.draw(st.sampled_from(self.trials))
        match how:
            case "answered":
                trial.answered()
                return
            case "succeeded":
                trial.succeeded()
            case "failed":
                trial.failed(FAULT)
            case "limited":
                trial.failed(UpstreamRateLimited("no"))
            case "closed":
                trial.close()
        self.trials.remove(trial)
        trial.close()  # as everybody does, after all

    @rule(seconds=st.floats(0, 40))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def nobody_waits_for_a_probe_that_is_over(self) -> None:
        assert self.health.standing != "probed" or self.trials

    @invariant()
    def every_ejection_ends(self) -> None:
        clock = Clock()
        clock.now_s = self.clock.now_s + POLICY.longest_s
        self.health._clock = clock
        assert self.health.standing in ("healthy", "due", "probed")
        self.health._clock = self.clock

    @invariant()
    def ejections_are_within_bounds(self) -> None:
        assert all(told is None or 10 <= told <= 35 for told in self.told)


TestHealthMachine = HealthMachine.TestCase
TestHealthMachine.settings = settings(deadline=None, max_examples=40, stateful_step_count=25)
