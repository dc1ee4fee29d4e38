"""
Health: which targets are worth asking, learned from turns alone.

    healthy ── so many faults in a row ──► ejected ── its time is over ──► due
       ▲                                      ▲                             │ the next turn tries it
       │                                      └── fault: twice as long ─────┤
       └───────────────────────────────────────── answer ───────────────────┘

While one turn tries a target that is due, the others leave it alone. A target that asks for a pause (429) rests: that
is no fault, and counts as none. What is left out here is only ever passed over for another target; a turn whose targets
are all left out asks them as if they were well (:mod:`antiphon.engine.attempts`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Literal, TypeVar

import msgspec

from antiphon.hub.errors import UpstreamError, UpstreamRateLimited, UpstreamRefused

__all__ = ["Health", "HealthPolicy", "Healths", "Standing", "Trial"]

K = TypeVar("K", bound=Hashable)

Standing = Literal["healthy", "due", "ejected", "probed", "resting"]

# A rate limit without a word about its length. Short: most are about the last second or minute.
_REST_S = 1.0
# 2**20 first ejections are longer than any ejection may be.
_MOST_DOUBLINGS = 20


class HealthPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """
    When a target is passed over.

    Attributes:
        failures: So many in a row eject it.
        ejection_s: For how long the first time; doubled each time that it fails again.
        longest_s: The longest ejection, and the longest rest that an upstream can ask for.
    """

    failures: int = 5
    ejection_s: float = 10.0
    longest_s: float = 300.0


class Health:
    """
    What is known of one target.

    Args:
        clock: Seconds, monotonic.
        told: Called with how long it is ejected for, or with None when it is back.
    """

    __slots__ = ("_clock", "_ejections", "_failures", "_policy", "_probe", "_resting_until", "_told", "_until")

    def __init__(
        self, policy: HealthPolicy, clock: Callable[[], float], told: Callable[[float | None], None] = lambda _: None
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._told = told
        self._failures = 0
        self._ejections = 0
        self._until: float | None = None
        self._probe: Trial | None = None
        self._resting_until: float | None = None

    @property
    def standing(self) -> Standing:
        """How it stands now."""
        if self._until is None and self._resting_until is None:
            return "healthy"
        now = self._clock()
        if self._until is not None:
            if now < self._until:
                return "ejected"
            return "due" if self._probe is None else "probed"
        return "healthy" if self._resting_until is None or now >= self._resting_until else "resting"

    def begin(self) -> Trial:
        """A request is sent to it. Say how it went with the trial's methods, and close that in every case."""
        trial = Trial(self, self._ejections)
        if self.standing == "due":
            self._probe = trial
        return trial

    def answered(self, trial: Trial) -> None:
        """See :meth:`Trial.answered`."""
        self._let_go(trial)
        if self._until is None:
            self._resting_until = None
        elif trial.began_in == self._ejections:  # it began after the target had been ejected
            self._until = self._resting_until = None
            self._failures = self._policy.failures - 1  # whoever answers and then breaks off is not well
            self._told(None)

    def succeeded(self, trial: Trial) -> None:
        """See :meth:`Trial.succeeded`."""
        self._let_go(trial)
        if self._until is None:
            self._failures = self._ejections = 0

    def failed(self, trial: Trial) -> None:
        """See :meth:`Trial.failed`."""
        probed = self._let_go(trial)
        if self._until is not None and not probed:
            return  # the fault that it was ejected for
        self._failures += 1
        if probed or self._failures >= self._policy.failures:
            self._eject()

    def rest(self, trial: Trial, asked_s: float | None) -> None:
        """It asked for a pause, of an unknown length if *asked_s* is None."""
        self._let_go(trial)
        rest_s = min(_REST_S if asked_s is None else asked_s, self._policy.longest_s)
        self._resting_until = max(self._resting_until or 0.0, self._clock() + rest_s)

    def withdraw(self, trial: Trial) -> None:
        """See :meth:`Trial.close`."""
        self._let_go(trial)

    def _let_go(self, trial: Trial) -> bool:
        """End a trial's being the probe. Returns whether it was."""
        if self._probe is not trial:
            return False
        self._probe = None
        return True

    def _eject(self) -> None:
        ejection_s = self._policy.ejection_s * 2 ** min(self._ejections, _MOST_DOUBLINGS)
        ejection_s = min(ejection_s, self._policy.longest_s)
        self._ejections += 1
        self._until = self._clock() + ejection_s
        self._told(ejection_s)


class Trial:
    """
    One request to a target, as its health sees it.

    Attributes:
        began_in: How often the target had been ejected when it began.
    """

    __slots__ = ("_ended", "_health", "began_in")

    def __init__(self, health: Health, began_in: int) -> None:
        self._health = health
        self._ended = False
        self.began_in = began_in

    def answered(self) -> None:
        """A reply has begun: the target can be reached, which is all that a probe is to find out."""
        self._health.answered(self)

    def succeeded(self) -> None:
        """The reply has come to its end."""
        if not self._ended:
            self._ended = True
            self._health.succeeded(self)

    def failed(self, error: UpstreamError) -> None:
        """The request came to nothing, or the reply broke off."""
        if self._ended:
            return
        self._ended = True
        if isinstance(error, UpstreamRefused):
            self._health.answered(self)
            self._health.succeeded(self)
        elif isinstance(error, UpstreamRateLimited) and error.code != "insufficient_quota":
            self._health.rest(self, error.retry_after_s)
        else:
            self._health.failed(self)

    def close(self) -> None:
        """It is over; nothing is learned if nothing was said of it before."""
        if not self._ended:
            self._ended = True
            self._health.withdraw(self)


class Healths(Generic[K]):
    """
    The healths of all targets.

    Args:
        most: Clients may choose the names of models, so there is no end of targets. Whose health was asked for longest
            ago is forgotten first.
    """

    def __init__(
        self,
        policy: HealthPolicy,
        clock: Callable[[], float],
        told: Callable[[K, float | None], None],
        *,
        most: int = 4096,
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._told = told
        self._most = most
        self._known: OrderedDict[K, Health] = OrderedDict()

    def standing(self, target: K) -> Standing:
        """How a target stands now; one of which nothing is known is healthy."""
        health = self._known.get(target)
        return "healthy" if health is None else health.standing

    def of(self, target: K) -> Health:
        """The health of one target."""
        health = self._known.get(target)
        if health is None:
            while len(self._known) >= self._most:
                self._known.popitem(last=False)
            health = Health(self._policy, self._clock, lambda ejection_s: self._told(target, ejection_s))
            self._known[target] = health
        else:
            self._known.move_to_end(target)
        return health
