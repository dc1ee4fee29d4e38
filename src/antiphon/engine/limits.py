"""
What each caller may use: requests and tokens a minute, and turns side by side.

A request is what asks a model: a turn, a compaction, a count of input. It counts before anything is read or asked for
it, whether or not it succeeds; reading what is stored does not count. Counted where it begins: a background turn when
it is accepted, a turn on a WebSocket when its lane is free and it begins there, a request that is sent again under an
idempotency key only once.

Tokens are reserved by an estimate before the upstream is asked, and settled with what it reported when the turn ends. A
turn that broke off without usage keeps its reservation, one that came to no response gives it back.

A turn takes up its place beside others from its beginning until its end is stored, however it ends; a background turn
also while it is queued.

Callers are told apart by tenant and actor. Counts are this process's own, and begin anew with it; a turn that is taken
over from a process that died is not counted again.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

import msgspec

from antiphon.engine.counting import estimate_tokens
from antiphon.engine.run import Run
from antiphon.hub.errors import RequestOverTokenRate, RequestRateExceeded, TokenRateExceeded, TooManyRequests
from antiphon.hub.ids import TenantId
from antiphon.hub.items import Item
from antiphon.hub.principal import Limits, Principal
from antiphon.hub.turn import TurnRequest

__all__ = ["Admission", "Limiter", "Rate", "Rates", "reserve_for"]

_WINDOW_S = 60
_PARALLEL_RETRY_S = 1.0
_MAX_ACTORS = 10_000
_NO_LIMITS = Limits()
# From this many items on, an estimate would hold the event loop for milliseconds.
_ESTIMATE_IN_THREAD_ITEMS = 1_000


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """
    How much of a limit is left.

    Attributes:
        reset_s: After how long all of it is, if nothing is used until then.
    """

    limit: int
    remaining: int
    reset_s: float


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller has left in this minute; None where there is no limit."""

    requests: Rate | None = None
    tokens: Rate | None = None


class _Window:
    """
    What was used in the last minute, by the second: in no sixty seconds can more have been used than it says.

    Sixty-one numbers at most, however high the limit is.
    """

    __slots__ = ("_seconds", "total")

    def __init__(self) -> None:
        self._seconds: deque[list[int]] = deque()
        self.total = 0

    def forget_before(self, now_s: float) -> None:
        """Drop what is older than a minute."""
        while self._seconds and self._seconds[0][0] + _WINDOW_S + 1 <= now_s:
            self.total -= self._seconds.popleft()[1]

    def use(self, amount: int, now_s: float) -> int:
        """Add to what was used. Returns the second that it was added to."""
        second = int(now_s)
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append([second, 0])
        self._seconds[-1][1] += amount
        self.total += amount
        return second

    def correct(self, second: int, change: int, now_s: float) -> None:
        """Change what was added to a second; once that is forgotten, only more can be added, to now."""
        self.forget_before(now_s)
        for entry in self._seconds:
            if entry[0] == second:
                entry[1] += change
                self.total += change
                return
        if change > 0:
            self.use(change, now_s)

    def wait_s(self, amount: int, now_s: float) -> float:
        """After how long so much will have been forgotten; at most a minute and a second."""
        freed = 0
        for second, used in self._seconds:
            freed += used
            if freed >= amount:
                return second + _WINDOW_S + 1 - now_s
        return float(_WINDOW_S + 1)

    def reset_s(self, now_s: float) -> float:
        return self._seconds[-1][0] + _WINDOW_S + 1 - now_s if self._seconds else 0.0

    def rate(self, limit: int, now_s: float) -> Rate:
        self.forget_before(now_s)
        return Rate(limit=limit, remaining=max(limit - self.total, 0), reset_s=self.reset_s(now_s))


class _Usage:
    """What one caller uses."""

    __slots__ = ("parallel", "requests", "tokens")

    def __init__(self) -> None:
        self.requests = _Window()
        self.tokens = _Window()
        self.parallel = 0


class Admission:
    """
    The right of one request to be carried out. It is held by whoever may still carry it out, and its place is free
    when the last one has let go. Whoever is given it by :meth:`Limiter.admit` holds it, too.
    """

    __slots__ = ("_clock", "_holders", "_limits", "_reserved", "_reserved_in", "_usage")

    def __init__(self, usage: _Usage | None, limits: Limits, clock: Callable[[], float]) -> None:
        self._usage = usage
        self._limits = limits
        self._clock = clock
        self._holders = 1
        self._reserved: int | None = None
        self._reserved_in = 0

    @property
    def counts_tokens(self) -> bool:
        """Whether tokens have to be reserved."""
        return self._usage is not None and self._limits.tokens_per_minute is not None

    def reserve(self, tokens: int) -> None:
        """
        Reserve the tokens that the request is expected to use.

        Raises:
            TokenRateExceeded: There are not so many left; says after how long there will be.
        """
        limit = self._limits.tokens_per_minute
        if self._usage is None or limit is None:
            return
        now = self._clock()
        window = self._usage.tokens
        window.forget_before(now)
        if tokens > limit:
            raise RequestOverTokenRate(limit, tokens)
        if window.total + tokens > limit:
            wait_s = window.wait_s(window.total + tokens - limit, now)
            raise TokenRateExceeded(limit, window.total, tokens, retry_after_s=wait_s)
        self._reserved_in = window.use(tokens, now)
        self._reserved = tokens

    def settle(self, tokens: int) -> None:
        """Put what was used in the place of what was reserved."""
        if self._usage is None or self._reserved is None:
            return
        self._usage.tokens.correct(self._reserved_in, tokens - self._reserved, self._clock())
        self._reserved = None

    def follow(self, run: Run) -> None:
        """Hold it until a run has ended, and settle with what that used."""
        if self._usage is not None:
            self._holders += 1
            run.finished.add_done_callback(lambda _: self._ended(run))

    def _ended(self, run: Run) -> None:
        if not run.has_ended_well:
            self.settle(0)
        elif usage := run.finished.result()["usage"]:
            self.settle(usage["total_tokens"])
        else:
            self._reserved = None  # nobody knows what it used: the estimate stands
        self.let_go()

    def hold(self) -> None:
        """One more may carry it out."""
        if self._usage is not None:
            self._holders += 1

    def let_go(self) -> None:
        """Whoever held it carries it out no more."""
        if self._usage is None:
            return
        self._holders -= 1
        if self._holders:
            return
        self.settle(0)
        self._usage.parallel -= 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.let_go()


class Limiter:
    """
    Args:
        clock: Seconds, monotonic.
        max_actors: Of how many callers something is known; who has used nothing for longest is forgotten first, and
            never one whose turns run.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, max_actors: int = _MAX_ACTORS) -> None:
        self._clock = clock
        self._max_actors = max_actors
        self._unlimited = Admission(None, _NO_LIMITS, clock)  # everybody's: it has no place to give up
        self._usages: OrderedDict[tuple[TenantId, str], _Usage] = OrderedDict()

    def admit(self, principal: Principal) -> Admission:
        """
        Let a request begin.

        Raises:
            TooManyRequests: Not now; says after how long.
        """
        limits = principal.limits
        if limits == _NO_LIMITS:
            return self._unlimited
        usage = self._usage(principal)
        now = self._clock()
        if limits.parallel_turns is not None and usage.parallel >= limits.parallel_turns:
            raise _too_many_turns(limits.parallel_turns)
        limit = limits.requests_per_minute
        if limit is not None:
            usage.requests.forget_before(now)
            if usage.requests.total >= limit:
                wait_s = usage.requests.wait_s(usage.requests.total + 1 - limit, now)
                raise RequestRateExceeded(limit, usage.requests.total, retry_after_s=wait_s)
            usage.requests.use(1, now)
        usage.parallel += 1
        return Admission(usage, limits, self._clock)

    def rates(self, principal: Principal) -> Rates:
        """What a caller has left."""
        limits = principal.limits
        if limits == _NO_LIMITS:
            return Rates()
        now = self._clock()
        usage = self._usages.get((principal.tenant, principal.actor)) or _Usage()
        return Rates(
            requests=None if (most := limits.requests_per_minute) is None else usage.requests.rate(most, now),
            tokens=None if (most := limits.tokens_per_minute) is None else usage.tokens.rate(most, now),
        )

    def _usage(self, principal: Principal) -> _Usage:
        caller = (principal.tenant, principal.actor)
        usage = self._usages.get(caller)
        if usage is None:
            self._make_room()
            usage = self._usages[caller] = _Usage()
        self._usages.move_to_end(caller)
        return usage

    def _make_room(self) -> None:
        """Forget who has used nothing for longest. Those whose turns run are as few as the turns that can."""
        if len(self._usages) >= self._max_actors:
            idle = next((caller for caller, usage in self._usages.items() if not usage.parallel), None)
            if idle is not None:
                del self._usages[idle]


async def reserve_for(admission: Admission, request: TurnRequest, items: tuple[Item, ...]) -> None:
    """
    Reserve what a turn may use: its context by estimate, and as much of an answer as it allows, if it says so.

    Raises:
        TokenRateExceeded: There are not so many tokens left.
    """
    if not admission.counts_tokens:
        return
    if len(items) < _ESTIMATE_IN_THREAD_ITEMS:
        tokens = _estimate(request, items)
    else:
        tokens = await asyncio.to_thread(_estimate, request, items)
    admission.reserve(tokens)


def _estimate(request: TurnRequest, items: tuple[Item, ...]) -> int:
    asked = estimate_tokens(items, instructions=request.instructions, tools=request.tools)
    return asked + (request.max_output_tokens or 0)


def _too_many_turns(limit: int) -> TooManyRequests:
    return TooManyRequests(
        f"Rate limit reached on parallel turns: Limit {limit}, Used {limit}. Try again when one of them has ended.",
        retry_after_s=_PARALLEL_RETRY_S,
    )
