"""Keeps the leases of running turns alive, with one task for all of them."""

from __future__ import annotations

import asyncio

from antiphon.hub.errors import AntiphonError
from antiphon.sessions.records import Lease
from antiphon.sessions.sessions import TenantSessions

__all__ = ["LeaseKeeper"]


class LeaseKeeper:
    """
    Renews leases until they are forgotten.

    A lease that cannot be renewed is left to the commit, which is fenced: a turn whose conversation was taken by
    somebody else fails there and stores nothing.

    Args:
        ttl_s: How long a lease lasts without renewal; after a crash a conversation stays locked for this long at most.
    """

    def __init__(self, ttl_s: float) -> None:
        self.ttl_s = ttl_s
        self._held: dict[str, tuple[TenantSessions, Lease]] = {}
        self._task: asyncio.Task[None] | None = None

    def keep(self, sessions: TenantSessions, lease: Lease) -> None:
        """Renew *lease* from now on."""
        self._held[lease.holder] = (sessions, lease)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._renew_all(), name="antiphon-leases")

    def forget(self, lease: Lease) -> None:
        """Renew *lease* no longer."""
        self._held.pop(lease.holder, None)

    async def close(self) -> None:
        """Stop."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _renew_all(self) -> None:
        while self._held:
            await asyncio.sleep(self.ttl_s / 4)
            for sessions, lease in list(self._held.values()):
                try:
                    kept = await sessions.renew_lease(lease, self.ttl_s)
                except AntiphonError:
                    continue  # the store is out of reach: tried again at the next round, and fenced at the commit
                if not kept:
                    self.forget(lease)
        self._task = None
