"""
Gates: how many requests an upstream, or one of its models, is asked at a time, and how many may wait for that.

Whoever has waited longest is next. A gate counts what this process asks; replicas of a gateway know nothing of each
other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

import msgspec

__all__ = ["Capacity", "Gate", "Place"]


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """
    How much is asked at a time.

    Attributes:
        max_parallel: Requests whose replies have not ended.
        max_queued: How many may wait for one of these to end; 0 for none.
        queue_s: The longest that one waits.
    """

    max_parallel: int
    max_queued: int = 64
    queue_s: float = 10.0


class Gate:
    """Lets so many in as its capacity says. Belongs to one event loop."""

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._inside = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    @property
    def has_room(self) -> bool:
        """Whether somebody who comes now need not wait."""
        return self._inside < self._capacity.max_parallel and not self._queue

    async def enter(self) -> bool:
        """
        Take a place, which :meth:`leave` gives back.

        Returns:
            False if there is none: too many wait already, or it took too long.
        """
        if self.has_room:
            self._inside += 1
            return True
        if len(self._queue) >= self._capacity.max_queued:
            return False
        return await self._wait()

    async def _wait(self) -> bool:
        called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(called)
        try:
            async with asyncio.timeout(self._capacity.queue_s):
                await called
        except TimeoutError:
            return self._was_called(called)
        except BaseException:
            if self._was_called(called):
                self.leave()
            raise
        return True

    def _was_called(self, called: asyncio.Future[None]) -> bool:
        """Whether a place was handed over in the very moment in which the wait ended otherwise."""
        if called.done() and not called.cancelled():
            return True
        self._queue.remove(called)
        return False

    def leave(self) -> None:
        """Give a place back: to whoever is next, if anybody waits."""
        while self._queue:
            called = self._queue.popleft()
            if not called.done():
                called.set_result(None)
                return
        self._inside -= 1


class Place:
    """A request's place beside others, at each gate before its target."""

    __slots__ = ("_gates",)

    def __init__(self) -> None:
        self._gates: list[Gate] = []

    async def take(self, gates: Sequence[Gate]) -> bool:
        """Whether there was a place at each of them; otherwise none is held."""
        try:
            for gate in gates:
                if not await gate.enter():
                    break
                self._gates.append(gate)
        finally:
            has_all = len(self._gates) == len(gates)
            if not has_all:
                self.leave()
        return has_all

    def leave(self) -> None:
        """Give all places back; those that were given back already stay so."""
        while self._gates:
            self._gates.pop().leave()
