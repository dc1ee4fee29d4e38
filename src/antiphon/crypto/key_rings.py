"""
The keys of tenants, unwrapped: as they are in the store, as long as they may be held.

What is stored decides. A tenant is given its first key when it is first asked for, by whoever is first; a key that
another process has added is found within :attr:`Lifetimes.look_again_s`, or as soon as something turns up that was
sealed with it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from antiphon.crypto.envelope import (
    InvalidEnvelope,
    PayloadCipher,
    WrappedTenantKey,
    derive_tenant_family,
    header_of,
    parse_wrapped,
    place_head,
    place_tail,
    tenant_key_commitment,
)
from antiphon.crypto.lifetimes import Lifetimes
from antiphon.crypto.nonces import random_key
from antiphon.crypto.sealed_keys import FamilyKeys, SealedKeys
from antiphon.crypto.services import KeyContext, KeyService
from antiphon.hub.errors import KeysUnavailable, StoreCorrupt
from antiphon.hub.ids import TenantId
from antiphon.sessions.codec import TENANT_FAMILY
from antiphon.sessions.store import SessionStore
from antiphon.sessions.vault import TenantKey
from antiphon.telemetry import Log

KeyState = Literal["next", "active", "retiring"]

__all__ = ["KeyRing", "KeyRings", "unwrap_key", "wrap_key"]


class _Heads(dict[str, bytes]):
    """The first part of associated data, by table."""

    def __init__(self, tenant: TenantId) -> None:
        self._tenant = tenant

    def __missing__(self, table: str) -> bytes:
        head = self[table] = place_head(self._tenant, table)
        return head


class KeyRing:
    """
    The keys of one tenant, as they were when the store was asked.

    Attributes:
        keys: By version.
        active: The version that seals.
        headers: What payloads begin with that were sealed under these keys.
        heads: The first part of associated data, by table.
        family, whole: The keys of what belongs to the tenant as a whole, and these alone as what seals and opens.
        unwrapped_at, fresh_until: On the monotonic clock.
    """

    def __init__(self, tenant: TenantId, records: Sequence[TenantKey], keys: Mapping[int, bytes]) -> None:
        self.tenant = tenant
        self.records = tuple(records)
        self.keys = keys
        self.active = _active_of(tenant, records)
        self.headers = frozenset(header_of(version) for version in keys)
        self.heads: Mapping[str, bytes] = _Heads(tenant)
        ciphers = {
            header_of(version): PayloadCipher(version, derive_tenant_family(key)) for version, key in keys.items()
        }
        self.family = FamilyKeys(TENANT_FAMILY, ciphers, header_of(self.active), place_tail(TENANT_FAMILY))
        self.whole = SealedKeys(tenant, self.heads, self.family)
        self.unwrapped_at = 0.0
        self.fresh_until = 0.0


class KeyRings:
    """
    The keys of all tenants that are at hand, and the way to the others.

    Args:
        monotonic: A clock in seconds that never runs backwards.
    """

    def __init__(
        self,
        store: SessionStore,
        service: KeyService,
        *,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        lifetimes: Lifetimes,
        log: Log,
    ) -> None:
        self._store = store
        self._service = service
        self._clock = clock
        self._monotonic = monotonic
        self._lifetimes = lifetimes
        self._log = log
        self._rings: OrderedDict[TenantId, KeyRing] = OrderedDict()
        self._loading: dict[TenantId, asyncio.Task[KeyRing]] = {}
        self._renewing: dict[TenantId, asyncio.Task[None]] = {}

    def at_hand(self, tenant: TenantId, now: float) -> KeyRing | None:
        """A tenant's keys, if the store and the key service were asked for them lately enough."""
        ring = self._rings.get(tenant)
        if ring is None or now >= ring.fresh_until:
            return None
        self._rings.move_to_end(tenant)
        return ring

    async def get(self, tenant: TenantId) -> KeyRing:
        """
        A tenant's keys as the store has them now. Those who ask at the same time are answered together.

        Raises:
            KeysUnavailable: The key service does not answer, and they are not at hand.
            StoreCorrupt: A wrapped key is not what was wrapped.
        """
        task = self._loading.get(tenant)
        if task is None or task.get_loop() is not asyncio.get_running_loop():
            task = self._loading[tenant] = asyncio.create_task(self._load(tenant))
            task.add_done_callback(partial(_forget_task, self._loading, tenant))
        return await asyncio.shield(task)  # others may wait for it as well

    def forget(self, tenant: TenantId) -> None:
        """Ask the store anew when this tenant is next asked for; what it still has need not be unwrapped again."""
        self._loading.pop(tenant, None)
        ring = self._rings.get(tenant)
        if ring is not None:
            ring.fresh_until = 0.0

    async def _load(self, tenant: TenantId) -> KeyRing:
        now = self._monotonic()
        held = self._rings.get(tenant)
        if held is not None and now >= held.unwrapped_at + self._lifetimes.unwrapped_s:
            held = None
        records = await self._store.for_tenant(tenant).read_keys()
        if held is None or held.records != records:
            held = await self._unwrapped(tenant, records, held, now)
        held.fresh_until = min(now + self._lifetimes.look_again_s, held.unwrapped_at + self._lifetimes.unwrapped_s)
        self._keep(tenant, held)
        if now >= held.unwrapped_at + self._lifetimes.unwrapped_s / 2:
            self._renew(tenant, held)
        return held

    async def _unwrapped(
        self, tenant: TenantId, records: Sequence[TenantKey], held: KeyRing | None, now: float
    ) -> KeyRing:
        keys = {} if held is None else {old.version: held.keys[old.version] for old in held.records if old in records}
        unwrapped_at = now if not keys or held is None else held.unwrapped_at
        if not records:
            records, keys = await self._begin(tenant)
        for record in records:
            if record.version not in keys:
                keys[record.version] = await unwrap_key(self._service, tenant, record)
        ring = KeyRing(tenant, records, keys)
        ring.unwrapped_at = unwrapped_at
        return ring

    async def _begin(self, tenant: TenantId) -> tuple[tuple[TenantKey, ...], dict[int, bytes]]:
        """Give a tenant its first key. Whoever adds it first decides which it is."""
        key = random_key()
        record = await wrap_key(self._service, tenant, key, version=1, state="active", created_at=int(self._clock()))
        records = await self._store.for_tenant(tenant).add_key(record)
        return records, {1: key} if record in records else {}

    def _keep(self, tenant: TenantId, ring: KeyRing) -> None:
        self._rings[tenant] = ring
        self._rings.move_to_end(tenant)
        while len(self._rings) > self._lifetimes.tenants:
            self._rings.popitem(last=False)

    def _renew(self, tenant: TenantId, ring: KeyRing) -> None:
        """See in time that the key service still gives these keys out. Nobody waits for it."""
        if tenant not in self._renewing:
            task = self._renewing[tenant] = asyncio.create_task(self._unwrap_again(tenant, ring))
            task.add_done_callback(partial(_forget_task, self._renewing, tenant))

    async def _unwrap_again(self, tenant: TenantId, ring: KeyRing) -> None:
        now = self._monotonic()
        try:
            for record in ring.records:
                await unwrap_key(self._service, tenant, record)
        except (KeysUnavailable, StoreCorrupt) as fault:
            # Whoever needs them when they may not be held any longer is told.
            self._log.warning("keys.renewal_failed", tenant=tenant, reason=fault.message)
            return
        ring.unwrapped_at = now


async def wrap_key(
    service: KeyService, tenant: TenantId, key: bytes, *, version: int, state: KeyState, created_at: int
) -> TenantKey:
    """
    The record of a version of a tenant's key, wrapped with the root key that wraps now.

    Raises:
        KeysUnavailable: The key service does not answer.
    """
    wrapped = await service.wrap(key, KeyContext(tenant, version))
    return TenantKey(
        version=version,
        state=state,
        root_ref=wrapped.ref,
        wrapped=WrappedTenantKey(tenant_key_commitment(key, tenant, version), wrapped.blob).encode(),
        created_at=created_at,
    )


async def unwrap_key(service: KeyService, tenant: TenantId, record: TenantKey) -> bytes:
    """
    A tenant's key out of its record.

    Raises:
        KeysUnavailable: The key service does not answer, or does not have the root key.
        StoreCorrupt: It is not the key that was wrapped for this tenant and version.
    """
    try:
        wrapped = parse_wrapped(record.wrapped)
        key = await service.unwrap(record.root_ref, wrapped.blob, KeyContext(tenant, record.version))
        wrapped.check(key, tenant, record.version)
    except InvalidEnvelope as fault:
        raise StoreCorrupt(f"The wrapped key {record.version} of tenant '{tenant}' cannot be used: {fault}.") from None
    return key


def _active_of(tenant: TenantId, records: Sequence[TenantKey]) -> int:
    for record in records:
        if record.state == "active":
            return record.version
    raise StoreCorrupt(f"Tenant '{tenant}' has keys, and none of them is active.")


def _forget_task(tasks: dict[TenantId, asyncio.Task[Any]], tenant: TenantId, task: asyncio.Task[Any]) -> None:
    if tasks.get(tenant) is task:
        del tasks[tenant]
    if not task.cancelled():
        task.exception()  # whoever waited was told; if nobody did, the next one who asks will be
