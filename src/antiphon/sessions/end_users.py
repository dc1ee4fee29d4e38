"""
End users: on whose behalf a tenant's turns are made, as its clients name them.

The store keeps a keyed hash of the name beside each turn, so that all that was made for somebody can be found and
erased; the name itself is in sealed payloads only.
"""

from __future__ import annotations

from antiphon.hub.ids import TenantId
from antiphon.sessions.cache import HistoryCache
from antiphon.sessions.directory import Erasure
from antiphon.sessions.secret import TenantSecret, keyed_hash
from antiphon.sessions.store import OfEndUser, TenantStore

__all__ = ["EndUsers"]

_PURPOSE = b"end user"
_PSEUDONYM_DIGITS = 32


class EndUsers:
    """The end users of one tenant."""

    def __init__(self, *, tenant: TenantId, store: TenantStore, secret: TenantSecret, cache: HistoryCache) -> None:
        self._tenant = tenant
        self._store = store
        self._secret = secret
        self._cache = cache

    async def named(self, safety_identifier: str | None, user: str | None) -> bytes | None:
        """
        What a turn bears of the end user that its request names; None if it names none.

        Args:
            user: The older name of the same field; not looked at beside the newer one.
        """
        name = safety_identifier or user
        return await self._hash(name) if name else None

    async def pseudonym(self, name: str) -> str:
        """What stands for an end user where his name must not: in the audit trail."""
        return (await self._hash(name)).hex()[:_PSEUDONYM_DIGITS]

    async def made_for(self, name: str) -> OfEndUser:
        """What was made on an end user's behalf."""
        return await self._store.list_of_end_user(await self._hash(name))

    async def erase(self, name: str, *, dry_run: bool = False) -> Erasure:
        """
        Erase what was made on an end user's behalf, with all that stands on it.

        Raises:
            ConversationLocked: A turn holds a conversation that would change. Nothing was erased.
        """
        end_user = await self._hash(name)
        try:
            return await self._store.erase_end_user(end_user, dry_run=dry_run)
        finally:
            if not dry_run:
                self._cache.drop_all(self._tenant)

    async def _hash(self, name: str) -> bytes:
        return keyed_hash(await self._secret.read(), _PURPOSE, name.encode())
