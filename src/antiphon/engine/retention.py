"""Retention: erases what has expired, in small batches, with one task."""

from __future__ import annotations

import asyncio

from antiphon.hub.errors import AntiphonError
from antiphon.sessions.store import SessionStore
from antiphon.telemetry import Log

__all__ = ["Sweeper"]

_BATCH = 200


class Sweeper:
    """
    Sweeps a store from time to time.

    Reads never answer what has expired, swept or not; this is what gets the content off the disk.

    Args:
        every_s: Pause between sweeps; within a sweep, batches follow each other with a short breath.
    """

    def __init__(self, store: SessionStore, *, every_s: float, log: Log) -> None:
        self._store = store
        self._log = log
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._sweep_for_ever(), name="antiphon-sweeper")

    async def close(self) -> None:
        """Stop, after the batch that is under way."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def sweep(self) -> int:
        """Erase everything that has expired by now. Returns how many responses went."""
        total = 0
        while True:
            erased = await self._store.sweep(_BATCH)
            total += erased
            if erased < _BATCH:
                return total
            await asyncio.sleep(0.05)

    async def _sweep_for_ever(self) -> None:
        while True:
            try:
                erased = await self.sweep()
                if erased:
                    self._log.info("expired_responses_erased", count=erased)
            except AntiphonError as error:
                self._log.warning("sweep_failed", error=error.message)
            except Exception as error:  # noqa: BLE001 - a bug must not mean that nothing is ever erased any more
                self._log.crash("sweep_crashed", error)
            await asyncio.sleep(self._every_s)
