"""
Changing keys while gateways run.

*A root key*: tenants' keys are wrapped anew, one compare-and-set each; no payload is touched.

*A tenant's key*, in steps of which each can be repeated:

1. a new version is added as ``next``: everybody gets to know it;
2. it becomes ``active``, and the one before it ``retiring``: new families are founded with it;
3. every family commits to it: what is written in the family from then on is sealed with it;
4. every payload under the old one is sealed anew;
5. the old one is destroyed.

Between the steps it is waited until no process can be behind (:attr:`Lifetimes.settle_s`). All that is known of a
rotation is in the store, so whoever is killed leaves nothing to be mended, and the next call goes on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from antiphon.crypto.codec import SealingCodec
from antiphon.crypto.envelope import FamilySeal, InvalidEnvelope, header_of, parse_seal
from antiphon.crypto.key_rings import unwrap_key, wrap_key
from antiphon.crypto.nonces import random_key
from antiphon.crypto.resealing import Resealer, scanned
from antiphon.crypto.services import KeyService
from antiphon.hub.errors import StoreCorrupt
from antiphon.hub.ids import TenantId
from antiphon.sessions.store import SessionStore
from antiphon.sessions.vault import Payload, Replacement, TenantKey

__all__ = ["RotatedTenant", "rotate_root", "rotate_tenant"]

Pause = Callable[[float], Awaitable[None]]


class RotatedTenant(msgspec.Struct, frozen=True, kw_only=True):
    """
    What became of a rotation.

    Attributes:
        version: That all of the tenant's payloads are sealed under now.
        resealed: How many payloads this call sealed anew.
    """

    version: int
    resealed: int


async def rotate_root(
    store: SessionStore, service: KeyService, *, previous: KeyService | None = None, every: bool = False
) -> int:
    """
    Wrap every tenant's keys with the root key that *service* wraps with now. Running gateways go on.

    Once this returns no key in the store needs an earlier root key, as long as every process on the store wraps with
    the new one; if one did not yet, do it again.

    Args:
        service: Open.
        previous: Has the earlier root keys, where *service* has not: the way from one key service to another. Gateways
            have to be stopped for that, since each of them asks one service only.
        every: Also what was wrapped with the root key of the same name, for services that renew a key under its name.

    Returns:
        How many keys were wrapped anew.

    Raises:
        KeysUnavailable: A key service does not answer, or a root key is not there. What was done stays done.
        StoreCorrupt: A wrapped key is not what was wrapped.
    """
    count = 0
    for tenant in await store.list_tenants_with_data():
        vault = store.for_tenant(tenant)
        done: set[int] = set()
        while stale := [
            record
            for record in await vault.read_keys()
            if record.version not in done and (every or record.root_ref != service.ref)
        ]:
            for record in stale:
                holder = service if previous is None or await service.has(record.root_ref) else previous
                key = await unwrap_key(holder, tenant, record)
                anew = await wrap_key(
                    service, tenant, key, version=record.version, state=record.state, created_at=record.created_at
                )
                if await vault.change_key(record, anew):  # else it was changed meanwhile, and is looked at again
                    done.add(record.version)
                    count += 1
    return count


async def rotate_tenant(
    store: SessionStore, codec: SealingCodec, tenant: TenantId, *, pause: Pause = asyncio.sleep
) -> RotatedTenant:
    """
    Give a tenant a new key, seal everything anew with it, and destroy the old one. Running gateways go on.

    A rotation that was begun and not ended is ended, instead of beginning another. Takes four times
    :attr:`Lifetimes.settle_s` (six minutes), and as long as it takes to go through the tenant's payloads twice.

    Args:
        codec: Open. Every gateway on the store has to be given the same lifetimes.
        pause: Waits for so many seconds.

    Raises:
        KeysUnavailable: The key service does not answer. Call again when it does.
        StoreCorrupt: A payload cannot be opened. Both keys stay, so that nothing is lost by it.
    """
    return await _Rotation(store, codec, tenant, pause).run()


class _Rotation:
    def __init__(self, store: SessionStore, codec: SealingCodec, tenant: TenantId, pause: Pause) -> None:
        self._store = store
        self._vault = store.for_tenant(tenant)
        self._codec = codec
        self._tenant = tenant
        self._pause = pause

    async def run(self) -> RotatedTenant:
        await self._codec.ring(self._tenant)  # a tenant that has no key yet is given its first
        version = await self._activate()
        old = [record for record in await self._vault.read_keys() if record.state == "retiring"]
        await self._settle()
        await self._commit_families()
        await self._settle()
        resealed = await self._reseal(old)
        await self._destroy(old)
        return RotatedTenant(version=version, resealed=resealed)

    async def _activate(self) -> int:
        """The version that everything is to be sealed with: that of a rotation under way, or a new one."""
        while True:
            records = await self._vault.read_keys()
            active = next(record for record in records if record.state == "active")
            coming = [record for record in records if record.state == "next"]
            if not coming and len(records) > 1:
                return active.version
            record = coming[0] if coming else await self._add(records[-1].version + 1)
            await self._settle()
            if record is not None and await self._vault.change_key(
                record, msgspec.structs.replace(record, state="active")
            ):
                return record.version

    async def _add(self, version: int) -> TenantKey | None:
        """A new version, known and not used yet; None if somebody else has added one."""
        record = await wrap_key(
            self._codec.service,
            self._tenant,
            random_key(),
            version=version,
            state="next",
            created_at=int(self._codec.clock()),
        )
        return record if record in await self._vault.add_key(record) else None

    async def _commit_families(self) -> None:
        """Let every family commit to the key in use, those that were founded since the last time as well."""
        ring = await self._codec.ring(self._tenant)
        key = ring.keys[ring.active]
        await self._change_seals(
            lambda seal: seal if ring.active in seal.commitments else seal.with_key(ring.active, key)
        )

    async def _reseal(self, old: Sequence[TenantKey]) -> int:
        headers = {header_of(record.version) for record in old}
        resealer = Resealer(
            self._store,
            self._codec,
            self._tenant,
            is_stale=lambda header: header in headers,
            prepare=self._commit_families,
        )
        await resealer.run()
        # What was on its way to the store when the last pass went by has arrived after another wait.
        await self._settle()
        await resealer.run()
        return resealer.count

    async def _destroy(self, old: Sequence[TenantKey]) -> None:
        for record in old:
            await self._vault.drop_key(record)
        self._codec.forget(self._tenant)
        ring = await self._codec.ring(self._tenant)
        await self._change_seals(lambda seal: seal.only(ring.keys.keys()))

    async def _change_seals(self, change: Callable[[FamilySeal], FamilySeal]) -> None:
        async for page in scanned(self._vault, "families"):
            changed = [
                Replacement(old=family, payload=seal)
                for family in page
                if (seal := change(_seal_of(family)).encode()) != family.payload
            ]
            if changed:
                await self._vault.replace(changed)
        self._codec.forget(self._tenant)

    async def _settle(self) -> None:
        await self._pause(self._codec.lifetimes.settle_s)
        self._codec.forget(self._tenant)


def _seal_of(family: Payload) -> FamilySeal:
    try:
        return parse_seal(family.payload)
    except InvalidEnvelope as fault:
        raise StoreCorrupt(f"The key of family '{family.row_id}' cannot be derived: {fault}.") from None
