"""
The scheduler of background turns: so many at a time, first come first served within a tenant, tenants by turns.

What waits here is written down in the store as well; this is only the order in which one process takes it up.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

import msgspec

from antiphon.hub.errors import TooManyRequests
from antiphon.hub.ids import TenantId

__all__ = ["Place", "Scheduler"]

_RETRY_AFTER_S = 5.0


class _Waiting(msgspec.Struct, frozen=True, eq=False):
    response_id: str
    start: Callable[[], asyncio.Task[None]]


class Place:
    """
    Room that is kept for a turn which is about to come. It is free again when its block is left, or, once it was handed
    over, when whoever has it by then gives it back: before the turn is added, or when it will not be.
    """

    def __init__(self, reserved: Counter[TenantId], tenant: TenantId) -> None:
        self._reserved: Counter[TenantId] | None = reserved
        self._tenant = tenant
        self._handed_over = False
        reserved[tenant] += 1

    def hand_over(self) -> Place:
        """The same, which outlives the block now."""
        self._handed_over = True
        return self

    def give_back(self) -> None:
        """Let somebody else have it. Only the first call does anything."""
        reserved, self._reserved = self._reserved, None
        if reserved is not None:
            reserved[self._tenant] -= 1
            if not reserved[self._tenant]:
                del reserved[self._tenant]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._handed_over:
            self.give_back()


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
        self._reserved: Counter[TenantId] = Counter()
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

    def admit(self, tenant: TenantId) -> Place:
        """
        Keep a place for one more turn: however many are admitted at once, no more will wait than may.

        Raises:
            TooManyRequests: The queue is full.
        """
        mine = len(self._queues.get(tenant, ()))
        # Of those who are on their way, as many will not wait as there are free hands now; nobody knows which of them.
        free = max(self._max_running - self._running, 0)
        coming = self._reserved.total()
        mine_coming = self._reserved[tenant]
        waiting = self._queued + max(coming - free, 0)
        mine_waiting = mine + max(mine_coming - max(free - (coming - mine_coming), 0), 0)
        if waiting >= self._max_queued or mine_waiting >= self._max_queued_per_tenant:
            raise TooManyRequests(
                f"Too many background responses are waiting ({mine_waiting} of yours, {waiting} in all). "
                "Try again when some of them have ended.",
                retry_after_s=_RETRY_AFTER_S,
            )
        return Place(self._reserved, tenant)

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
