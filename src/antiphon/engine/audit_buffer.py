"""
Entries of the audit trail that may wait a moment: of reads, and of requests that were refused.

They are written in groups, so that a read costs no transaction of its own. A store that is out of reach is tried again;
the memory for what waits is bounded, and what does not fit is counted and told.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence

from antiphon.hub.errors import AntiphonError
from antiphon.hub.ids import TenantId
from antiphon.sessions.directory import AuditEntry
from antiphon.telemetry import Log

__all__ = ["Append", "AuditBuffer"]

Append = Callable[[TenantId, Sequence[AuditEntry]], Awaitable[None]]

# Entries in one transaction, and transactions that wait for the store at once.
_BATCH = 500
_TENANTS_AT_ONCE = 64

_LONGEST_PAUSE_S = 5.0
_TELL_EVERY_S = 10.0
_CLOSING_PAUSES_S = (0.0, 0.1, 0.5)


class AuditBuffer:
    """
    Args:
        append: Writes entries of one tenant, durably. Raises AntiphonError if it cannot.
        flush_after_s: How long an entry waits for others.
        max_entries: How many may wait.

    Attributes:
        lost: How many entries could not be written.
    """

    def __init__(self, append: Append, *, log: Log, flush_after_s: float, max_entries: int) -> None:
        self.lost = 0
        self._told_at_s = -math.inf
        self._append = append
        self._log = log
        self._flush_after_s = flush_after_s
        self._max_entries = max_entries
        self._pause_s = flush_after_s
        self._waiting: dict[TenantId, list[AuditEntry]] = {}
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._flushing = asyncio.Lock()
        self._task: asyncio.Task[bool] | None = None

    def keep(self, tenant: TenantId, entries: Sequence[AuditEntry]) -> None:
        """Take entries, to be written soon."""
        kept = entries[: max(self._max_entries - self._count, 0)]
        self._lose(len(entries) - len(kept))
        self._waiting.setdefault(tenant, []).extend(kept)
        self._count += len(kept)
        self._set_timer()

    async def flush(self) -> bool:
        """Write what waits. What cannot be written goes on waiting; answers whether there is nothing such."""
        async with self._flushing:
            tenants = list(self._waiting)
            for start in range(0, len(tenants), _TENANTS_AT_ONCE):
                await asyncio.gather(*map(self._write, tenants[start : start + _TENANTS_AT_ONCE]))
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S) if self._waiting else self._flush_after_s
        if self._waiting:
            self._set_timer()
        return not self._waiting

    async def close(self) -> None:
        """Write what waits, with a few tries; what cannot be written by then is lost."""
        for pause_s in _CLOSING_PAUSES_S:
            await asyncio.sleep(pause_s)
            if await self.flush():
                break
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            await self._task
        self._lose(self._count)
        self._waiting.clear()
        self._count = 0

    def _set_timer(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._pause_s, self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._task = asyncio.get_running_loop().create_task(self.flush(), name="antiphon-audit")

    async def _write(self, tenant: TenantId) -> None:
        entries = self._waiting.get(tenant, [])
        try:
            while batch := entries[:_BATCH]:
                await self._append(tenant, batch)
                del entries[: len(batch)]
                self._count -= len(batch)
        except AntiphonError as error:
            self._log.warning("audit_not_written_yet", tenant=tenant, entries=len(entries), error=error.message)
        except Exception as error:  # noqa: BLE001 - a bug must not mean that nothing is ever written any more
            self._log.crash("audit_crashed", error, tenant=tenant, entries=len(entries))
        else:
            self._waiting.pop(tenant, None)

    def _lose(self, count: int) -> None:
        if count <= 0:
            return
        self.lost += count
        now_s = time.monotonic()
        if now_s >= self._told_at_s + _TELL_EVERY_S:  # a flood of entries must not become one of lines
            self._told_at_s = now_s
            self._log.error("audit_entries_lost", count=count, lost_so_far=self.lost)
