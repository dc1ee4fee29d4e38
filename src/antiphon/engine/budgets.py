"""
Retry budgets: further requests are a share of first ones, so that an outage does not multiply the load.

A bucket: each turn puts a share of a request into it, each further request of any turn takes a whole one out. It begins
full, and a little comes by itself, so that a gateway with few turns can always try again.
"""

from __future__ import annotations

import msgspec

__all__ = ["BudgetPolicy", "RetryBudget"]

_PER_SECOND = 1.0


class BudgetPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """
    How many further requests there may be.

    Attributes:
        share: Of first ones, in the long run. 0.2 is what Finagle and Envoy take.
        reserve: What can be had at once after a quiet time.
    """

    share: float = 0.2
    reserve: int = 10


class RetryBudget:
    """
    The budget of the turns that ask one upstream first.

    Args:
        now_s: On the clock whose readings :meth:`take` is given.
    """

    __slots__ = ("_left", "_policy", "_read_at_s")

    def __init__(self, policy: BudgetPolicy, now_s: float) -> None:
        self._policy = policy
        self._left = float(policy.reserve)
        self._read_at_s = now_s

    def earn(self) -> None:
        """A turn asks its first target."""
        self._left = min(self._left + self._policy.share, self._policy.reserve)

    def take(self, now_s: float) -> bool:
        """Whether one more request may be made; it is counted."""
        by_itself = max(now_s - self._read_at_s, 0.0) * _PER_SECOND
        self._left = min(self._left + by_itself, self._policy.reserve)
        self._read_at_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True
