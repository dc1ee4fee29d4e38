"""
The scheduler of background turns: so many at a time, first come first served within a tenant, tenants by turns.

What waits here is written down in the store as well; this is only the order in which one process takes it up.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable

import msgspec

from antiphon.hub.errors import TooManyRequests
from antiphon.hub.ids import TenantId

__all__ = ["Scheduler"]

_RETRY_AFTER_S = 5.0


class _Waiting(msgspec.Struct, frozen=True, eq=False):
    response_id: str
    start: Callable[[], asyncio.Task[None]]


class Scheduler:
    """
    Args:
        max_running: How many background turns run at once.
        max_queued: How many may wait; more are refused.
        max_queued_per_tenant: How many of one tenant may wait.
    """

    def __init__(self, *, max_running: int, max_queued: int, max_queued_per_tenant: int) -> None:
        self._max_running = max_running
        self._max_queued = max_queued
        self._max_queued_per_tenant = max_queued_per_tenant
        self._queues: OrderedDict[TenantId, deque[_Waiting]] = OrderedDict()
        self._queued = 0
        self._running = 0
        self._closed = False

    @property
    def queued(self) -> int:
        """How many turns wait."""
        return self._queued

    @property
    def running(self) -> int:
        """How many turns run."""
        return self._running

    def admit(self, tenant: TenantId) -> None:
        """
        See whether one more may come.

        Raises:
            TooManyRequests: The queue is full.
        """
        mine = len(self._queues.get(tenant, ()))
        if self._queued >= self._max_queued or mine >= self._max_queued_per_tenant:
            raise TooManyRequests(
                f"Too many background responses are waiting ({mine} of yours, {self._queued} in all). "
                "Try again when some of them have ended.",
                retry_after_s=_RETRY_AFTER_S,
            )

    def add(self, tenant: TenantId, response_id: str, start: Callable[[], asyncio.Task[None]]) -> None:
        """Start a turn as soon as it is its turn. *start* makes the task that carries it out."""
        self._queues.setdefault(tenant, deque()).append(_Waiting(response_id, start))
        self._queued += 1
        self._dispatch()

    def hurry(self, tenant: TenantId, response_id: str) -> None:
        """Start a turn now, if it waits: it was cancelled and has nothing to do but to end."""
        queue = self._queues.get(tenant, deque())
        waiting = next((each for each in queue if each.response_id == response_id), None)
        if waiting is None:
            return
        queue.remove(waiting)
        if not queue:
            del self._queues[tenant]
        self._start(waiting)

    def close(self) -> None:
        """Start nothing more but what is hurried."""
        self._closed = True

    def _dispatch(self) -> None:
        while self._running < self._max_running and self._queued and not self._closed:
            tenant, queue = next(iter(self._queues.items()))
            self._queues.move_to_end(tenant)
            if queue:
                self._start(queue.popleft())
            if not queue:
                del self._queues[tenant]

    def _start(self, waiting: _Waiting) -> None:
        self._queued -= 1
        self._running += 1
        waiting.start().add_done_callback(self._ended)

    def _ended(self, _: asyncio.Task[None]) -> None:
        self._running -= 1
        self._dispatch()
