"""API keys and tenants in a real store, with a clock that tests move."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from antiphon.engine.directory import DirectoryCache
from antiphon.hub.api_key import ApiKey, Environment, mint
from antiphon.hub.ids import TenantId
from antiphon.hub.principal import TENANT_SCOPES
from antiphon.server.auth import ApiKeys, Tokens
from antiphon.sessions.directory import ApiKeyRecord, TenantRecord
from antiphon.sessions.store import SessionStore
from antiphon.stores.memory import InMemorySessionStore

__all__ = ["PEPPER", "Keyring", "bearer"]

PEPPER = bytes(range(32))


class Keyring:
    """
    Makes keys in a store, and what asks for them.

    Attributes:
        now_s: The time of day, and that of the monotonic clock.
    """

    def __init__(self, store: SessionStore | None = None) -> None:
        self.store = store or InMemorySessionStore()
        self.now_s = 1_000_000.0
        self.directory = DirectoryCache(self.store, clock=lambda: self.now_s)

    def keys(self, environment: Environment = "live", tokens: Tokens | None = None) -> ApiKeys:
        """What asks for keys of this ring, by the clock of tests."""
        return ApiKeys(self.directory, pepper=pepper, clock=lambda: self.now_s, environment=environment, tokens=tokens)

    def real_keys(self, **about: Any) -> ApiKeys:
        """The same by the real clocks, as a server has it."""
        directory = DirectoryCache(self.store, clock=time.monotonic, **about)
        return ApiKeys(directory, pepper=pepper, clock=time.time)

    async def make(self, tenant: str = "acme", *, environment: Environment = "live", **about: Any) -> ApiKey:
        """A new key that may do everything, but for what is said."""
        key = mint(environment)
        record = ApiKeyRecord(
            key_id=key.key_id,
            tenant=TenantId(tenant),
            mac=key.mac(PEPPER),
            hint=key.hint,
            created_at=0,
            created_by="cli",
            **{"scopes": tuple(sorted(TENANT_SCOPES)), **about},
        )
        assert await self.store.create_api_key(record)
        return key

    async def change(self, key: ApiKey, **about: Any) -> None:
        """Change a key's record in the store."""
        old = await self.store.read_api_key(key.key_id)
        assert old is not None
        assert await self.store.update_api_key(old, replace(old, **about))

    async def put_tenant(self, tenant: str, **about: Any) -> None:
        """Create a tenant, or change it."""
        record = TenantRecord(id=TenantId(tenant), created_at=0, **about)
        if not await self.store.create_tenant(record):
            assert await self.store.update_tenant(record)


async def pepper() -> bytes:
    return PEPPER


def bearer(key: ApiKey | str) -> Mapping[str, str]:
    """The headers that show a key."""
    return {"Authorization": f"Bearer {key if isinstance(key, str) else key.text}"}
