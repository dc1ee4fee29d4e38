"""
Claims: keeps what this process works on, and takes over what another process left behind.

One task for all: it renews every claim of the process with one statement, hears which of its turns a client of another
process wants ended, and looks for pending turns whose claim has run out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from antiphon.hub.errors import AntiphonError
from antiphon.hub.ids import TenantId
from antiphon.sessions.records import Claim
from antiphon.sessions.store import SessionStore
from antiphon.sessions.work import Pending
from antiphon.telemetry import Log

__all__ = ["ClaimKeeper"]

_BATCH = 50


class ClaimKeeper:
    """
    Args:
        holder: Names this process; unique.
        ttl_s: How long a claim lasts without renewal: after a crash, somebody else goes on after this long.
        on_cancel: Called with a turn of ours that a client wants ended.
        on_taken: Called with a turn that was taken over.
    """

    def __init__(
        self,
        store: SessionStore,
        *,
        holder: str,
        ttl_s: float,
        on_cancel: Callable[[TenantId, str], None],
        on_taken: Callable[[TenantId, Pending, Claim], None],
        log: Log,
    ) -> None:
        self._store = store
        self.holder = holder
        self.ttl_s = ttl_s
        self._on_cancel = on_cancel
        self._on_taken = on_taken
        self._log = log
        self._draining = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; what was left behind is looked for at once."""
        self._task = asyncio.get_running_loop().create_task(self._serve(), name="antiphon-claims")

    def drain(self) -> None:
        """Take nothing over any more; what is ours is still kept."""
        self._draining = True

    async def close(self) -> None:
        """Stop, and let go of every claim, so that another process need not wait until they run out."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with suppress(AntiphonError):  # the store is out of reach: the claims run out by themselves
            await self._store.renew_claims(self.holder, 0.0)

    async def _serve(self) -> None:
        while True:
            try:
                await self._look()
            except AntiphonError as error:
                self._log.warning("claims_not_renewed", error=error.message)
            except Exception as error:  # noqa: BLE001 - a bug here must not let every claim run out
                self._log.crash("claims_crashed", error)
            await asyncio.sleep(self.ttl_s / 4)

    async def _look(self) -> None:
        for tenant, response_id in await self._store.renew_claims(self.holder, self.ttl_s):
            self._on_cancel(tenant, response_id)
        if self._draining:
            return
        for tenant, pending, claim in await self._store.take_over(self.holder, self.ttl_s, _BATCH):
            self._log.info("turn_taken_over", response=pending.response_id, attempts=pending.attempts)
            self._on_taken(tenant, pending, claim)
