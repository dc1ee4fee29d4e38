"""Keeps the leases of running turns alive, with one task for all of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from types import TracebackType
from typing import Any, Final

from antiphon.hub.errors import AntiphonError, ConversationLocked
from antiphon.sessions.records import Lease
from antiphon.sessions.sessions import TenantSessions

__all__ = ["LeaseKeeper"]

_LOOK_EVERY_S = 0.1

# Around turns without a conversation, which are nearly all.
_NO_LEASE: Final[AbstractAsyncContextManager[object]] = nullcontext()


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
        self._returning: set[asyncio.Task[None]] = set()

    async def take(self, sessions: TenantSessions, conversation_id: str, holder: str, *, wait_s: float = 0.0) -> Lease:
        """
        Take a conversation, and renew its lease from now on.

        Who is cancelled while waiting leaves no lock behind: a lease that is granted all the same is given back.

        Args:
            wait_s: How long to wait for a conversation that somebody else holds.

        Raises:
            ConversationNotFound: The conversation is unknown.
            ConversationLocked: Somebody else's lease has not run out.
        """
        deadline = time.monotonic() + wait_s
        while True:
            try:
                return await self._take(sessions, conversation_id, holder)
            except ConversationLocked:
                if time.monotonic() >= deadline:
                    raise
            await asyncio.sleep(min(_LOOK_EVERY_S, wait_s))

    def giving_back_at_fault(
        self, sessions: TenantSessions, lease: Lease | None
    ) -> AbstractAsyncContextManager[object]:
        """Unlock the conversation if the turn does not come to begin."""
        return _NO_LEASE if lease is None else _GivingBack(self, sessions, lease)

    async def give_back(self, sessions: TenantSessions, lease: Lease) -> None:
        """Renew *lease* no longer and unlock its conversation. A caller that is cancelled does not prevent it."""
        self.forget(lease)
        await asyncio.shield(self._own(_release(sessions, lease)))

    def forget(self, lease: Lease) -> None:
        """Renew *lease* no longer."""
        self._held.pop(lease.holder, None)

    async def close(self) -> None:
        """Stop, after the leases that are being given back."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        while self._returning:
            await asyncio.gather(*self._returning, return_exceptions=True)

    async def _take(self, sessions: TenantSessions, conversation_id: str, holder: str) -> Lease:
        granting = asyncio.ensure_future(sessions.acquire_lease(conversation_id, holder, self.ttl_s))
        try:
            lease = await asyncio.shield(granting)
        except asyncio.CancelledError:
            self._own(self._decline(sessions, granting))
            raise
        self._held[lease.holder] = (sessions, lease)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._renew_all(), name="antiphon-leases")
        return lease

    def _own(self, returning: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(returning, name="antiphon-lease-return")
        self._returning.add(task)
        task.add_done_callback(self._returning.discard)
        return task

    async def _decline(self, sessions: TenantSessions, granting: asyncio.Future[Lease]) -> None:
        with suppress(AntiphonError):  # then there is nothing to give back
            await _release(sessions, await granting)

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


class _GivingBack:
    """Gives a lease back if its block raises."""

    def __init__(self, keeper: LeaseKeeper, sessions: TenantSessions, lease: Lease) -> None:
        self._keeper = keeper
        self._sessions = sessions
        self._lease = lease

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            await self._keeper.give_back(self._sessions, self._lease)


async def _release(sessions: TenantSessions, lease: Lease) -> None:
    with suppress(AntiphonError):  # the store is out of reach: the lease runs out by itself
        await sessions.release_lease(lease)
