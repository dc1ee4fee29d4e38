"""What one tenant keeps in memory for sealing: its wrapped keys, its secret, and the way to every payload."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from antiphon.hub.ids import Family
from antiphon.sessions.vault import PayloadPage, Replacement, Scanned, TenantKey
from antiphon.stores.families import seal_differs
from antiphon.stores.memory_access import TenantAccess
from antiphon.stores.memory_payloads import change_payloads, payload_at, payloads_of

__all__ = ["TenantSealing"]


class TenantSealing(TenantAccess):
    """See :class:`~antiphon.sessions.vault.TenantVault`."""

    async def read_keys(self) -> tuple[TenantKey, ...]:
        keys = self._state.tenant_keys
        return tuple(keys[version] for version in sorted(keys))

    async def add_key(self, key: TenantKey) -> tuple[TenantKey, ...]:
        self._admit()
        if key.version not in self._state.tenant_keys:
            self._keep_key(key)
        return await self.read_keys()

    async def change_key(self, old: TenantKey, new: TenantKey) -> bool:
        if self._state.tenant_keys.get(old.version) != old:
            return False
        self._keep_key(new)
        return True

    async def drop_key(self, key: TenantKey) -> bool:
        if self._state.tenant_keys.get(key.version) != key:
            return False
        del self._state.tenant_keys[key.version]
        return True

    async def read_families(self, families: Sequence[Family]) -> dict[Family, bytes]:
        known = self._state.families
        return {family: known[family] for family in families if family in known}

    async def secret(self, candidate: bytes) -> bytes:
        self._admit()
        if self._state.work.secret is None:
            self._state.work.secret = candidate
        return self._state.work.secret

    async def read_secret(self) -> bytes | None:
        return self._state.work.secret

    async def scan(self, table: Scanned, *, after: bytes | None, limit: int) -> PayloadPage:
        payloads = payloads_of(self._state, table)
        following = sorted(row_id for row_id in payloads if after is None or row_id.encode() > after)
        taken = following[:limit]
        return PayloadPage(
            payloads=tuple(payload_at(table, row_id, payloads[row_id]) for row_id in taken),
            cursor=taken[-1].encode() if len(following) > limit else None,
        )

    async def replace(self, replacements: Sequence[Replacement]) -> int:
        return change_payloads(self._state, replacements)

    def _keep_key(self, key: TenantKey) -> None:
        """Keep a version; if it is to seal, the one that did only opens from now on."""
        keys = self._state.tenant_keys
        if key.state == "active":
            for version, other in keys.items():
                if other.state == "active":
                    keys[version] = msgspec.structs.replace(other, state="retiring")
        keys[key.version] = key

    # For the operations that found families.

    def _check_seal(self, family: Family, seal: bytes) -> None:
        """
        Refuse what was sealed under a key that is not its family's.

        Raises:
            SealChanged: The family is kept with another seal.
        """
        known = self._state.families.get(family)
        if known is not None and seal and seal != known:
            raise seal_differs(family)

    def _found(self, family: Family, seal: bytes) -> None:
        """Keep *seal* with a family that is new."""
        self._state.families.setdefault(family, seal)
