"""Retention: erases what has expired, in small batches, with one task, and writes down what that was."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from antiphon.engine.audit import AuditTrail
from antiphon.engine.audit_entry import system
from antiphon.hub.errors import AntiphonError
from antiphon.hub.ids import TenantId
from antiphon.sessions.sessions import Sessions
from antiphon.sessions.store import Swept
from antiphon.telemetry import Log

__all__ = ["Sweeper"]

_BATCH = 200
_EVERYTHING = 1_000_000


class Sweeper:
    """
    Sweeps a store from time to time.

    Reads never answer what has expired, swept or not; this is what gets the content off the disk.

    Args:
        every_s: Pause between sweeps; within a sweep, batches follow each other with a short breath.
        trail: Where it is written down what was erased, before it is.
    """

    def __init__(self, sessions: Sessions, *, every_s: float, trail: AuditTrail, log: Log) -> None:
        self._sessions = sessions
        self._trail = trail
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

    async def expired(self) -> Swept:
        """What a sweep would erase now. Changes nothing."""
        return await self._sessions.sweep(_EVERYTHING, dry_run=True)

    async def sweep(self) -> int:
        """Erase everything that has expired by now. Returns how many responses and keys went."""
        total = 0
        while True:
            erased = (await self._sweep_batch()).count
            total += erased
            if erased < _BATCH:
                return total
            await asyncio.sleep(0.05)

    async def _sweep_batch(self) -> Swept:
        """Erase some of it; what is about to go is written down first."""
        due = await self._sessions.sweep(_BATCH, dry_run=True)
        if not due.count:
            return due
        expected = _responses(due)
        self._note(expected)
        # What cannot be written down now is tried again: a tenant whose keys are out of reach keeps nobody's content.
        await self._trail.flush()
        swept = await self._sessions.sweep(_BATCH)
        self._note(_responses(swept) - expected)  # what expired in between went as well
        return swept

    def _note(self, responses: Iterable[tuple[TenantId, str]]) -> None:
        for tenant, response_id in sorted(responses):
            self._trail.note(system(tenant), "response.expire", response_id, request_id="")

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


def _responses(swept: Swept) -> set[tuple[TenantId, str]]:
    return {(tenant, response_id) for tenant, erasure in swept.erased.items() for response_id in erasure.responses}
