"""What a tenant can ask about its own end users: all that was made on behalf of one, and to have it erased."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

from antiphon.engine.audit import AuditTrail
from antiphon.engine.receipts import receipt_body
from antiphon.engine.tenant_export import export_end_user
from antiphon.hub.items import JsonObject
from antiphon.hub.principal import Principal
from antiphon.sessions.sessions import TenantSessions

__all__ = ["EndUsers"]


class EndUsers:
    """
    Args:
        state: A tenant's sessions; refuses a gateway without a store.
    """

    def __init__(self, state: Callable[[Principal], Awaitable[TenantSessions]], *, trail: AuditTrail) -> None:
        self._state = state
        self._trail = trail

    async def export(self, end_user: str, principal: Principal) -> AsyncGenerator[Sequence[JsonObject], None]:
        """See :meth:`antiphon.engine.gateway.Gateway.export_end_user`."""
        sessions = await self._state(principal)
        # Written down before a word is told.
        async with self._trail.writing(principal, ("end_user.export", await sessions.end_users.pseudonym(end_user))):
            pass
        async with aclosing(export_end_user(sessions, principal.tenant, end_user)) as lines:
            async for line in lines:
                yield [line]

    async def erase(self, end_user: str, principal: Principal, *, dry_run: bool) -> JsonObject:
        """See :meth:`antiphon.engine.gateway.Gateway.erase_end_user`."""
        sessions = await self._state(principal)
        pseudonym = await sessions.end_users.pseudonym(end_user)
        if dry_run:
            with self._trail.reading(principal, "end_user.read", pseudonym):
                erasure = await sessions.end_users.erase(end_user, dry_run=True)
        else:
            async with self._trail.writing(principal, ("end_user.erase", pseudonym)):
                erasure = await sessions.end_users.erase(end_user)
        return {"object": "end_user.deleted", "deleted": not dry_run, "receipt": receipt_body(erasure)}
