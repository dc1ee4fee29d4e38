"""
Attempts: ask targets until one answers, and never again once one has.

A target is asked again, or another one is asked, only before a byte of an answer has come, and only for faults that are
not the request's own. What happens for which fault is one table (:mod:`.rules`). The error that the client gets is the
last one.

All turns of a gateway share what is learned on the way: which targets are well (:mod:`.health`), how much is asked of
them now (:mod:`.gates`), how many further requests there may be (:mod:`.budgets`).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import TypeVar

import msgspec

from antiphon.engine.answers import Answer, BegunReply, Question, refuse_error
from antiphon.engine.budgets import BudgetPolicy, RetryBudget
from antiphon.engine.deadlines import awaited
from antiphon.engine.gates import Capacity, Gate, Place
from antiphon.engine.health import HealthPolicy, Healths, Standing, Trial
from antiphon.engine.rules import rule_of
from antiphon.engine.target import Target
from antiphon.engine.upstreams import Upstream
from antiphon.hub.errors import UnsupportedParameter, UpstreamBusy, UpstreamError
from antiphon.telemetry import Log

__all__ = ["Asking", "Attempts", "Retries"]

T = TypeVar("T")

# When to come back to a gate at which too many wait already: nobody knows how long their replies are.
_BUSY_RETRY_S = 1.0

_WELL: tuple[Standing, ...] = ("healthy", "due")

# How many of the targets that were left are remembered for the answer's header.
_MOST_LEFT = 32


class Retries(msgspec.Struct, frozen=True, kw_only=True):
    """
    How often and how long.

    Attributes:
        per_target: Further tries after the first.
        first_pause_s: Doubled for each further try, with up to half of it taken off at random.
        longest_pause_s: An upstream that asks for a longer pause (``retry-after``) is not asked again.
    """

    per_target: int = 2
    first_pause_s: float = 0.25
    longest_pause_s: float = 4.0


class Attempts:
    """
    What all turns of a gateway know of the targets that they ask.

    Args:
        clock: Seconds, monotonic.
        chance: A number from 0 to 1, that spreads pauses.
        sleep: Waits for so many seconds.
    """

    def __init__(
        self,
        retries: Retries = Retries(),  # noqa: B008 - they are frozen
        *,
        health: HealthPolicy = HealthPolicy(),  # noqa: B008
        budget: BudgetPolicy = BudgetPolicy(),  # noqa: B008
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        log: Log | None = None,
    ) -> None:
        self.retries = retries
        self.clock = clock
        self.chance = chance
        self.sleep = sleep
        self.healths: Healths[tuple[Upstream, str]] = Healths(health, clock, self._tell)
        self._budget_policy = budget
        self._budgets: dict[Upstream, RetryBudget] = {}
        self._gates: dict[Hashable, Gate] = {}
        self._log = log or Log("warning")

    def asking(self, targets: Sequence[Target]) -> Asking:
        """
        For one turn: ask some of *targets*.

        Args:
            targets: The first to be tried first; at least one.
        """
        return Asking(self, targets)

    def budget(self, upstream: Upstream) -> RetryBudget:
        """The budget of the turns that ask an upstream first."""
        budget = self._budgets.get(upstream)
        if budget is None:
            budget = self._budgets[upstream] = RetryBudget(self._budget_policy, self.clock())
        return budget

    def gates(self, target: Target) -> tuple[Gate, ...]:
        """The gates before a target: its own, then that of its upstream."""
        if target.capacity is None and target.upstream.capacity is None:
            return ()
        own = self._gate((target.key, target.capacity), target.capacity)
        return own + self._gate(target.upstream, target.upstream.capacity)

    def _gate(self, key: Hashable, capacity: Capacity | None) -> tuple[Gate, ...]:
        if capacity is None:
            return ()
        gate = self._gates.get(key)
        if gate is None:
            gate = self._gates[key] = Gate(capacity)
        return (gate,)

    def _tell(self, key: tuple[Upstream, str], ejection_s: float | None) -> None:
        upstream, model = key
        if ejection_s is None:
            self._log.warning("target_is_back", upstream=upstream.name, model=model)
        else:
            self._log.warning("target_ejected", upstream=upstream.name, model=model, seconds=ejection_s)


class Asking:
    """
    One turn's way through its targets.

    Attributes:
        sent: How many requests were sent.
        left: The upstreams that gave no answer, or were not asked, and why: in order, without content.
    """

    def __init__(self, shared: Attempts, targets: Sequence[Target]) -> None:
        self._shared = shared
        self._targets = targets
        self._budget = shared.budget(targets[0].upstream)
        self._place = Place()
        self._is_last = False
        self._nobody_is_well = False
        self.sent = 0
        self.left: list[tuple[str, str]] = []

    async def first(self, put: Callable[[Target], Awaitable[T]]) -> T:
        """
        What *put* makes of the first target that answers.

        Args:
            put: Asks a target with :meth:`send`. Its errors are the client's and are not tried elsewhere, but for two:
                faults of the upstream, by their rule, and what cannot be said in the target's dialect.

        Raises:
            UpstreamError: The last fault, if no target answered.
            UnsupportedParameter: No target can be told what the request asks for.
        """
        self._budget.earn()
        refusal: UnsupportedParameter | None = None
        fault: UpstreamError | None = None
        candidates = self._candidates()
        for number, target in enumerate(candidates):
            self._is_last = number == len(candidates) - 1
            if not self._goes_on(target, fault, was_refused=refusal is not None):
                continue
            try:
                return await self._at(target, put)
            except UnsupportedParameter as error:
                refusal = refusal or error
                self._leave(target, "unsupported")
            except UpstreamError as error:
                fault = error
                rule = rule_of(error)
                self._leave(target, rule.word)
                if not rule.elsewhere:
                    raise
        if fault is not None:
            raise fault
        assert refusal is not None, "asking needs a target"
        raise refusal

    async def send(self, question: Question) -> Answer:
        """
        The answer of a question's target, which is asked again where that may help.

        Raises:
            UpstreamError: The last fault.
        """
        retries = self._shared.retries
        for attempt in range(retries.per_target + 1):
            try:
                return await self._send(question)
            except UpstreamError as error:
                pause_s = self._pause_s(attempt, error)
                if pause_s is None:
                    raise
                if not self._budget.take(self._shared.clock()):
                    self._leave(question.target, "no_retry_budget")
                    raise
                self._leave(question.target, rule_of(error).word)
                await self._shared.sleep(pause_s)
        raise AssertionError("the last try answers or raises")

    # Choosing.

    def _candidates(self) -> list[Target]:
        """The targets that are well, those without a queue before their equals; all of them if none is well."""
        if len(self._targets) == 1:
            return [self._targets[0]]
        standing_of = self._shared.healths.standing
        well: list[Target] = []
        for target in self._targets:
            standing = standing_of(target.key)
            if standing in _WELL:
                well.append(target)
            else:
                self._leave(target, standing)
        self._nobody_is_well = not well
        if not well:
            self.left.clear()
            well = list(self._targets)
        if any(target.capacity or target.upstream.capacity for target in well):
            well.sort(key=lambda target: (target.order or 0, not self._has_room(target)))
        return well

    def _has_room(self, target: Target) -> bool:
        return all(gate.has_room for gate in self._shared.gates(target))

    def _goes_on(self, target: Target, fault: UpstreamError | None, *, was_refused: bool) -> bool:
        """Whether a target is asked after what has happened until now."""
        if fault is None and not was_refused:
            return True
        standing = self._shared.healths.standing(target.key)
        if fault is not None and not self._nobody_is_well and standing not in _WELL:  # it was when we began
            self._leave(target, standing)
            return False
        if self.sent and not self._budget.take(self._shared.clock()):
            self._leave(target, "no_retry_budget")
            return False
        return True

    def _pause_s(self, attempt: int, error: UpstreamError) -> float | None:
        """How long to wait before the next try at the same target; None for no further one."""
        retries = self._shared.retries
        again = rule_of(error).again
        if attempt >= retries.per_target or again == "never" or (again == "last" and not self._is_last):
            return None
        pause_s = retries.first_pause_s * 2**attempt * (1 - self._shared.chance() / 2)
        if error.retry_after_s is not None:
            pause_s = max(pause_s, error.retry_after_s)
        return pause_s if pause_s <= retries.longest_pause_s else None

    def _leave(self, target: Target, why: str) -> None:
        if len(self.left) < _MOST_LEFT:
            self.left.append((target.upstream.name, why))

    # Sending.

    async def _at(self, target: Target, put: Callable[[Target], Awaitable[T]]) -> T:
        """Ask one target, in a place beside others that is kept until its answer is closed."""
        place = self._place = Place()
        if not await place.take(self._shared.gates(target)):
            raise _busy(target)
        try:
            return await put(target)
        except BaseException:
            place.leave()
            raise

    async def _send(self, question: Question) -> Answer:
        trial = self._shared.healths.of(question.target.key).begin()
        self.sent += 1
        try:
            answer = await self._answer(question, trial)
        except UpstreamError as error:
            trial.failed(error)
            raise
        except BaseException:
            trial.close()
            raise
        trial.answered()
        return answer

    async def _answer(self, question: Question, trial: Trial) -> Answer:
        target = question.target
        limits = target.limits
        sent_at_s = asyncio.get_running_loop().time()
        is_stream = question.call.stream
        within_s = limits.begins_within_s(is_stream=is_stream)
        by_s = None if within_s is None else sent_at_s + within_s

        def late() -> str:
            return f"The upstream '{target.upstream.name}' did not begin to answer within {within_s:g} s."

        reply = await awaited(target.way.send(question.request), by_s=by_s, late=late)
        try:
            await refuse_error(target, reply)
            if is_stream and limits.first_token_s is not None:
                reply = BegunReply(reply, await awaited(reply.read_block(), by_s=by_s, late=late))
        except BaseException:
            await reply.close()
            raise
        ends_at_s = None if limits.total_s is None else sent_at_s + limits.total_s
        return Answer(question, reply, trial=trial, place=self._place, ends_at_s=ends_at_s)


def _busy(target: Target) -> UpstreamBusy:
    return UpstreamBusy(
        f"The upstream '{target.upstream.name}' is asked as much as it may be at a time. Try again in a moment.",
        retry_after_s=_BUSY_RETRY_S,
    )
