"""
Publishing: a pending turn's events are kept by the store before anybody is shown them.

So whoever has seen an event can be given the next one by any process, also after a crash. Events are kept in groups:
what was said while a group was being written makes the next one.
"""

from __future__ import annotations

import asyncio

from antiphon.engine.run import Run
from antiphon.hub.errors import LeaseLost, StoreConflict, StoreUnavailable
from antiphon.sessions.records import Claim
from antiphon.sessions.sessions import TenantSessions
from antiphon.telemetry import Log

__all__ = ["Publisher"]

_RETRY_S = 1.0


class Publisher:
    """
    Keeps and shows what a run says, from its event number *start* on.

    Args:
        every_s: The least time between two groups: a thousand running streams make no thousand transactions a second.
    """

    def __init__(
        self, run: Run, sessions: TenantSessions, claim: Claim, *, start: int, every_s: float, log: Log
    ) -> None:
        self._run = run
        self._sessions = sessions
        self._claim = claim
        self._kept = start
        self._every_s = every_s
        self._log = log
        self._said = asyncio.Event()
        self._closing = asyncio.Event()
        run.on_said = self._said.set
        self._task = asyncio.get_running_loop().create_task(self._publish(), name=f"publish {run.response_id}")

    async def close(self) -> None:
        """Stop, after the group that is being written. What was not kept by now is kept by the turn's commit."""
        self._closing.set()
        self._said.set()
        await asyncio.shield(self._task)

    async def _publish(self) -> None:
        try:
            await self._keep_groups()
        except Exception as error:  # noqa: BLE001 - a bug: what is not kept by now is kept by the turn's commit
            self._log.crash("publishing_crashed", error, response=self._run.response_id)

    async def _keep_groups(self) -> None:
        while True:
            await self._said.wait()
            self._said.clear()
            if self._closing.is_set():
                return
            pause_s = await self._keep_group()
            if await _happens(self._closing, within_s=pause_s):
                return

    async def _keep_group(self) -> float:
        """Keep what was said so far. Returns how long to wait before the next group."""
        events = self._run.events[self._kept :]
        if not events:
            return 0.0
        try:
            cancel = await self._sessions.pending.keep_events(self._claim, self._kept, events)
        except (LeaseLost, StoreConflict) as error:
            self._run.break_off(LeaseLost(error.message))
            return self._every_s
        except StoreUnavailable as error:
            self._log.warning("events_not_kept", response=self._run.response_id, error=error.message)
            self._said.set()
            return _RETRY_S
        self._kept += len(events)
        self._run.show(self._kept)
        if cancel:
            self._run.cancel()
        return self._every_s


async def _happens(event: asyncio.Event, *, within_s: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), within_s)
    except TimeoutError:
        return False
    return True
