"""Whom a turn asks, how often, and what it learns for the next one."""

from __future__ import annotations

import asyncio

import pytest

from antiphon.engine.answers import Answer
from antiphon.engine.attempts import Attempts, Retries
from antiphon.engine.budgets import BudgetPolicy
from antiphon.engine.deadlines import Deadlines
from antiphon.engine.gates import Capacity
from antiphon.engine.replies import in_time
from antiphon.engine.rules import RULES
from antiphon.engine.target import Target
from antiphon.hub.errors import (
    UnsupportedParameter,
    UpstreamBroken,
    UpstreamBusy,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
    UpstreamUnreachable,
)
from antiphon.hub.upstream import UpstreamReply, UpstreamRequest
from antiphon.transport.replay import PreparedReply
from tests.engine.asked import OK, Stage, error, question, target, transport_of

UNREACHABLE = PreparedReply(refusal=UpstreamUnreachable("no"))
SILENT = PreparedReply(refusal=UpstreamTimeout("no"))
NO_HTTP = PreparedReply(refusal=UpstreamBroken("no"))

# What a first target answers with: how often it is asked (a try and a retry at most), whether the next one is asked,
# and the words for it.
TABLE: dict[str, tuple[PreparedReply, int, bool, str]] = {
    "no connection": (UNREACHABLE, 2, True, "unreachable"),
    "server error": (error(500), 2, True, "unavailable"),
    "overloaded": (error(503), 2, True, "unavailable"),
    "overloaded for long": (error(503, retry_after="60"), 1, True, "unavailable"),
    "rate limit": (error(429), 1, True, "rate_limited"),
    "no quota": (error(429, "insufficient_quota"), 1, True, "quota"),
    "time-out": (SILENT, 1, True, "timeout"),
    "wrong key": (error(401), 1, True, "authentication"),
    "no such model": (error(404, "model_not_found"), 1, True, "lacks_model"),
    "not HTTP": (NO_HTTP, 1, True, "broken"),
    "invalid request": (error(400), 1, False, "refused"),
    "context too long": (error(400, "context_length_exceeded"), 1, False, "refused"),
}


@pytest.mark.parametrize(("reply", "tries", "goes_on", "word"), TABLE.values(), ids=TABLE.keys())
async def test_what_is_done_about_a_fault(reply: PreparedReply, tries: int, goes_on: bool, word: str) -> None:
    """The table of faults: asked again, asked elsewhere, or told to the client."""
    stage = Stage(retries=Retries(per_target=1))
    first, second = target("first", reply, reply), target("second", OK)
    if goes_on:
        answered, asking = await stage.ask(first, second)
        assert answered == "second"
    else:
        _, asking = await stage.fail(first, second)
    assert len(transport_of(first).requests) == tries
    assert len(transport_of(second).requests) == int(goes_on)
    assert asking.sent == tries + int(goes_on)
    assert asking.left == [("first", word)] * tries


def test_every_error_has_a_rule() -> None:
    """The table reaches every class of upstream errors there is, through itself or the class above it."""

    def classes(kind: type[UpstreamError]) -> list[type[UpstreamError]]:
        return [kind, *(each for below in kind.__subclasses__() for each in classes(below))]

    without = [kind for kind in classes(UpstreamError) if not any(above in RULES for above in kind.__mro__)]
    assert without == []


async def test_pauses_grow_and_retry_after_is_obeyed() -> None:
    """Each pause is twice the one before, or as long as the upstream asks for; one that is too long ends the tries."""
    stage = Stage(retries=Retries(per_target=4, first_pause_s=0.25, longest_pause_s=4))
    faults = (error(503), error(503), error(503, retry_after="3"), error(503, retry_after="5"))
    _, asking = await stage.fail(target("only", *faults, OK))
    assert (stage.slept_s, asking.sent) == ([0.25, 0.5, 3], 4)


async def test_the_only_target_is_waited_for() -> None:
    """A rate limit is waited for where nobody else can be asked; with somebody else there, nobody waits."""
    limited = error(429, retry_after="2")
    stage = Stage(retries=Retries(per_target=1))
    assert (await stage.ask(target("only", limited, OK)))[0] == "only"
    assert stage.slept_s == [2]

    stage = Stage(retries=Retries(per_target=1))
    assert (await stage.ask(target("a", limited), target("b", OK)))[0] == "b"
    assert stage.slept_s == []


async def test_the_last_fault_is_the_answer() -> None:
    """Where nobody answers, the client is told what the last target said."""
    fault, asking = await Stage().fail(target("a", error(500)), target("b", SILENT))
    assert isinstance(fault, UpstreamTimeout)
    assert asking.left == [("a", "unavailable"), ("b", "timeout")]


# Health.


async def eject(stage: Stage, asked: Target) -> None:
    """Have a target fail as often as it takes, when it is the only one."""
    for _ in range(stage.health.failures):
        transport_of(asked).prepare(error(500))
        await stage.fail(asked)


async def test_an_ejected_target_is_passed_over_and_comes_back() -> None:
    """No request is sent to it until its time is over; then one turn tries it, before all others."""
    stage = Stage()
    a, b = target("a"), target("b", OK, OK)
    await eject(stage, a)
    answered, asking = await stage.ask(a, b)
    assert (answered, asking.sent, asking.left) == ("b", 1, [("a", "ejected")])

    stage.clock.advance(10)
    transport_of(a).prepare(OK)
    answered, asking = await stage.ask(a, b)
    assert (answered, asking.left) == ("a", [])
    assert "target_ejected level=warning" in stage.log.getvalue()
    assert "target_is_back level=warning" in stage.log.getvalue()


async def test_a_probe_that_fails_costs_its_turn_nothing() -> None:
    """The turn that tries a target which is still not well is answered by the next one."""
    stage = Stage()
    a, b = target("a"), target("b", OK)
    await eject(stage, a)
    stage.clock.advance(10)
    transport_of(a).prepare(error(500))
    assert (await stage.ask(a, b))[0] == "b"
    assert stage.attempts.healths.of(a.key).standing == "ejected"


async def test_only_one_turn_probes() -> None:
    """While a turn tries the target, the others are sent to the next one."""
    stage = Stage()
    a, b = target("a"), target("b", OK)
    await eject(stage, a)
    stage.clock.advance(10)
    gate = asyncio.Event()

    async def put(_: Target) -> None:
        stage.attempts.healths.of(a.key).begin()
        await gate.wait()

    probing = asyncio.create_task(stage.attempts.asking([a, b]).first(put))
    await asyncio.sleep(0)
    answered, asking = await stage.ask(a, b)
    assert (answered, asking.left) == ("b", [("a", "probed")])
    gate.set()
    await probing


async def test_the_last_one_is_never_ejected() -> None:
    """Where no target is well, all are asked as if they were: of one, and of several."""
    stage = Stage()
    a, b = target("a"), target("b")
    await eject(stage, a)
    await eject(stage, b)
    transport_of(a).prepare(error(500))
    transport_of(b).prepare(OK)
    answered, asking = await stage.ask(a, b)
    assert (answered, asking.sent, asking.left) == ("b", 2, [("a", "unavailable")])

    transport_of(a).prepare(OK)
    assert (await stage.ask(a))[0] == "a"


async def test_a_rate_limited_target_rests() -> None:
    """Turns that come while it rests go to the next target at once, and cost no budget."""
    stage = Stage(budget=BudgetPolicy(share=0, reserve=1))
    a = target("a", error(429, retry_after="30"), OK)
    b = target("b", *[OK] * 11)
    for _ in range(11):
        assert (await stage.ask(a, b))[0] == "b"
    assert len(transport_of(a).requests) == 1
    stage.clock.advance(30)
    assert (await stage.ask(a, b))[0] == "a"


async def test_a_target_has_one_health_behind_all_names() -> None:
    """What one alias learns of a target, another one knows; another model of the upstream is another target."""
    stage = Stage()
    a, b = target("a"), target("b", OK)
    await eject(stage, a)
    again = Target(a.upstream, a.model, order=7)
    assert (await stage.ask(again, b))[0] == "b"
    transport_of(a).prepare(OK)
    assert (await stage.ask(Target(a.upstream, "another"), b))[0] == "a"


async def test_a_reply_that_breaks_off_counts() -> None:
    """Who answers and breaks off, again and again, is passed over as well."""
    stage = Stage()
    a, b = target("a", OK, OK, OK), target("b", OK)
    for _ in range(3):
        answer, _ = await stage.begin([a, b])
        answer.broke_off(UpstreamBroken("no"))
        await answer.close()
    assert (await stage.ask(a, b))[0] == "b"


# The budget.


async def test_an_outage_does_not_multiply_the_load() -> None:
    """With everything down, two hundred turns, which could send six requests each, send a fifth more than one each."""
    stage = Stage(retries=Retries(per_target=2), budget=BudgetPolicy(share=0.2, reserve=10))
    stage.attempts.sleep = _no_time
    a, b = target("a", *[error(500)] * 1300), target("b", *[error(500)] * 1300)
    sent = 0
    for _ in range(200):
        fault, asking = await stage.fail(a, b)
        assert isinstance(fault, UpstreamUnavailable)
        sent += asking.sent
    assert 200 < sent <= 200 * 1.2 + 10


async def _no_time(_: float) -> None:
    """A pause in which the clock stands still: nothing comes by itself."""


async def test_without_a_budget_the_first_fault_is_the_answer() -> None:
    """The turn fails with what its first target said, and says why nobody else was asked."""
    stage = Stage(budget=BudgetPolicy(share=0, reserve=1))
    a, b = target("a", error(500), error(500)), target("b", OK)
    assert (await stage.ask(a, b))[0] == "b"
    fault, asking = await stage.fail(a, b)
    assert isinstance(fault, UpstreamUnavailable)
    assert asking.left == [("a", "unavailable"), ("b", "no_retry_budget")]


# Gates.

ONE = Capacity(max_parallel=1, max_queued=0)


async def test_a_full_target_is_left_for_the_next() -> None:
    """A target takes as many turns as it may, until their answers are closed; the next ones go on at once."""
    stage = Stage()
    a, b = target("a", OK, OK, order=0, capacity=ONE), target("b", OK, order=1)
    held, _ = await stage.begin([a, b])
    answered, asking = await stage.ask(a, b)
    assert (answered, asking.sent, asking.left) == ("b", 1, [("a", "busy")])
    await held.close()
    await held.close()
    assert (await stage.ask(a, b))[0] == "a"


async def test_the_upstreams_limit_holds_for_all_of_its_models() -> None:
    """Two models of one upstream share its places."""
    stage = Stage()
    a = target("a", OK, upstream={"capacity": ONE})
    held, _ = await stage.begin([a])
    fault, asking = await stage.fail(Target(a.upstream, "another"))
    assert isinstance(fault, UpstreamBusy)
    assert (fault.http_status, fault.retry_after_s, asking.sent) == (503, 1.0, 0)
    await held.close()


async def test_equals_with_room_come_first() -> None:
    """Of equal targets a full one is not waited for while another one has room; a later order is no equal."""
    stage = Stage()
    queue = Capacity(max_parallel=1, max_queued=5)
    a = target("a", OK, OK, order=0, capacity=queue)
    b = target("b", OK, order=0, capacity=queue)
    later = target("later", order=1)
    held, _ = await stage.begin([a, b, later])
    beside, _ = await stage.begin([a, b, later])
    assert (held.target, beside.target) == (a, b)

    waiting = asyncio.create_task(stage.ask(a, b, later))
    await asyncio.sleep(0)
    assert not waiting.done()
    await held.close()
    assert (await waiting)[0] == "a"
    await beside.close()


async def test_a_place_comes_back_whatever_happens() -> None:
    """After faults, refusals, cancelled turns and calls that cannot be written, all places are free."""
    stage = Stage()
    capacity = Capacity(max_parallel=1, max_queued=1)
    a = target("a", error(500), error(400), OK, capacity=capacity, upstream={"capacity": capacity})
    await stage.fail(a)
    await stage.fail(a)

    async def cannot(_: Target) -> Answer:
        raise UnsupportedParameter("no", param="tools")

    with pytest.raises(UnsupportedParameter):
        await stage.attempts.asking([a]).first(cannot)

    never = asyncio.create_task(stage.attempts.asking([a]).first(_for_ever))
    waiting = asyncio.create_task(stage.ask(a))
    await asyncio.sleep(0)
    waiting.cancel()
    never.cancel()
    await asyncio.gather(waiting, never, return_exceptions=True)
    assert (await stage.ask(a))[0] == "a"


async def _for_ever(_: Target) -> Answer:
    await asyncio.Event().wait()
    raise AssertionError


# What cannot be said.


async def test_a_dialect_that_lacks_words_is_passed_over() -> None:
    """What one target cannot be told goes to one that can; if none can, the first refusal is the answer."""
    stage = Stage()
    a, b = target("a"), target("b", OK)
    asking = stage.attempts.asking([a, b])

    async def put(asked: Target) -> Answer:
        if asked is a:
            raise UnsupportedParameter("a cannot", param="tools")
        return await asking.send(question(asked))

    answer = await asking.first(put)
    assert (answer.target, asking.left) == (b, [("a", "unsupported")])
    await answer.close()

    async def never(asked: Target) -> Answer:
        raise UnsupportedParameter(f"{asked.upstream.name} cannot", param="tools")

    with pytest.raises(UnsupportedParameter, match="a cannot"):
        await stage.attempts.asking([a, b]).first(never)


# Deadlines.


class SlowWay:
    """A transport that never answers."""

    def __init__(self) -> None:
        self.broken_off = 0

    async def send(self, request: UpstreamRequest) -> UpstreamReply:
        try:
            await asyncio.Event().wait()
        finally:
            self.broken_off += 1
        raise AssertionError

    async def close(self) -> None:
        return None


@pytest.mark.parametrize("limits", [Deadlines(total_s=0.001), Deadlines(first_token_s=0.001)], ids=["total", "first"])
async def test_a_target_that_does_not_answer_in_time(limits: Deadlines) -> None:
    """Its request is broken off, and the next target is asked."""
    way = SlowWay()
    slow = target("slow", deadlines=limits, transport=way)
    answer, asking = await Stage().begin([slow, target("b", OK)], stream=True)
    assert (answer.target.upstream.name, asking.left, way.broken_off) == ("b", [("slow", "timeout")], 1)
    await answer.close()


async def test_a_first_token_that_does_not_come() -> None:
    """With a limit for it an answer begins with its body: until then another target is asked, and the reply dropped."""
    stage = Stage()
    stuck = PreparedReply(gate=asyncio.Event(), blocks=(b"data: ",))
    slow = target("slow", stuck, stuck, deadlines=Deadlines(first_token_s=0.001))
    answer, asking = await stage.begin([slow, target("b", OK, OK)], stream=True)
    assert (answer.target.upstream.name, asking.left) == ("b", [("slow", "timeout")])
    assert transport_of(slow).replies[0].closed
    await answer.close()


async def test_a_reply_that_breaks_before_its_first_byte() -> None:
    """Nothing of it was heard, so another target may be asked where the first byte was waited for."""
    broken = PreparedReply(error=UpstreamBroken("no"))
    a = target("a", broken, deadlines=Deadlines(first_token_s=60))
    assert (await Stage().ask(a, target("b", OK), stream=True))[0] == "b"


async def test_the_first_block_is_not_lost() -> None:
    """What was waited for is what the reader gets first: block by block, and as a whole within its limit."""
    blocks = PreparedReply(blocks=(b"ab", b"cd"))
    a = target("a", blocks, blocks, blocks, deadlines=Deadlines(first_token_s=60))
    stage = Stage()
    answer, _ = await stage.begin([a], stream=True)
    assert [await answer.reply.read_block() for _ in range(3)] == [b"ab", b"cd", b""]
    await answer.close()
    answer, _ = await stage.begin([a], stream=True)
    assert await answer.reply.read_all(4) == b"abcd"
    await answer.close()
    answer, _ = await stage.begin([a], stream=True)
    with pytest.raises(UpstreamBroken):
        await answer.reply.read_all(1)
    await answer.close()


async def test_a_whole_reply_has_no_first_token() -> None:
    """A reply that was not asked for as a stream begins when it is whole: its first token is not waited for."""
    gate = asyncio.Event()
    a = target("a", PreparedReply(gate=gate, blocks=(b"{}",)), deadlines=Deadlines(first_token_s=0.001))
    answer, _ = await Stage().begin([a])
    gate.set()
    assert await answer.reply.read_all(10) == b"{}"
    await answer.close()


async def test_the_total_bounds_the_whole_attempt() -> None:
    """A reply that goes on for too long is broken off, and counts as a fault of its target."""
    stage = Stage()
    stuck = PreparedReply(gate=asyncio.Event(), gate_before=1, blocks=(b"{", b"}"))
    a = target("a", *[stuck] * 3, deadlines=Deadlines(total_s=0.001))
    for _ in range(3):
        answer, _ = await stage.begin([a])
        with pytest.raises(UpstreamTimeout, match="did not end its answer"):
            await in_time(answer, answer.reply.read_all(100))
        await answer.close()
    assert stage.attempts.healths.of(a.key).standing == "ejected"


async def test_a_target_goes_by_its_upstreams_limits() -> None:
    """A target has its upstream's deadlines and way, if it has none of its own."""
    limits = Deadlines(total_s=5)
    plain = target("a", OK, upstream={"deadlines": limits})
    own = Target(plain.upstream, plain.model, deadlines=Deadlines(), transport=SlowWay())
    assert (plain.limits, plain.way) == (limits, plain.upstream.transport)
    assert (own.limits, own.way is plain.upstream.transport) == (Deadlines(), False)


async def test_nothing_is_learned_from_a_turn_that_was_cancelled() -> None:
    """A reader who leaves is no fault of the target, before its answer and within it."""
    stage = Stage()
    slow = target("slow", transport=SlowWay())
    for _ in range(5):
        asking = asyncio.create_task(stage.begin([slow]))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    assert stage.attempts.healths.of(slow.key).standing == "healthy"


def test_what_is_shared_is_shared_by_one_gateway() -> None:
    """Two gateways over one upstream learn for themselves."""
    a = target("a")
    assert Attempts().healths.of(a.key) is not Attempts().healths.of(a.key)
