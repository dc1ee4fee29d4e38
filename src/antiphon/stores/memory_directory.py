"""Tenants and API keys in memory, and how a tenant goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import msgspec

from antiphon.hub.ids import TenantId
from antiphon.sessions.directory import ApiKeyRecord, Erasure, TenantRecord
from antiphon.stores.memory_payloads import stored_bytes_of
from antiphon.stores.memory_receipts import inventory_of, receipt_of
from antiphon.stores.memory_state import State, erase_unreached, forget

__all__ = ["InMemoryDirectory"]

Step = Callable[[], object]


class InMemoryDirectory:
    """See :class:`~antiphon.sessions.directory.Directory`. No method awaits, so each is atomic."""

    def __init__(self) -> None:
        self._states: dict[TenantId, State] = {}
        self._api_keys: dict[str, ApiKeyRecord] = {}

    # Tenants.

    async def create_tenant(self, tenant: TenantRecord) -> bool:
        if self._record(tenant.id) is not None:
            return False
        self._states.setdefault(tenant.id, State()).record = tenant
        return True

    async def read_tenant(self, tenant: TenantId) -> TenantRecord | None:
        record = self._record(tenant)
        return None if record is None else self._with_size(record)

    async def update_tenant(self, tenant: TenantRecord, *, was: TenantRecord | None = None) -> bool:
        record = self._record(tenant.id)
        if record is None or record.state == "erasing":
            return False
        if was is not None and _without_size(record) != _without_size(was):
            return False
        self._states[tenant.id].record = msgspec.structs.replace(tenant, created_at=record.created_at)
        return True

    async def list_tenants(self) -> tuple[TenantRecord, ...]:
        records = map(self._record, sorted(self._states))
        return tuple(self._with_size(record) for record in records if record is not None)

    async def list_tenants_with_data(self) -> tuple[TenantId, ...]:
        with_trail = {tenant for tenant, state in self._states.items() if state.audit}
        return tuple(sorted(with_trail | {record.id for record in await self.list_tenants()}))

    async def erase_tenant(self, tenant: TenantId, *, limit: int = 500) -> tuple[Erasure, bool]:
        record = self._record(tenant)
        if record is None:
            return Erasure(), False
        state = self._states[tenant]
        state.record = msgspec.structs.replace(record, state="erasing")
        before = inventory_of(state)
        state.drop_keys()
        steps = list(self._steps_of(tenant, state))
        for step in steps[:limit]:
            step()
        erase_unreached(state)
        return receipt_of(before, inventory_of(state)), len(steps) > limit

    def _record(self, tenant: TenantId) -> TenantRecord | None:
        """A tenant's record; of one that was never created and has data, the defaults."""
        state = self._states.get(tenant)
        if state is None or (state.record is None and not state.holds_anything):
            return None
        return state.record or TenantRecord(id=tenant, created_at=0)

    def _with_size(self, record: TenantRecord) -> TenantRecord:
        return msgspec.structs.replace(record, stored_bytes=stored_bytes_of(self._states[record.id]))

    def _steps_of(self, tenant: TenantId, state: State) -> Iterator[Step]:
        """What has to be done after its keys went, in order, one thing each: a response goes with its items."""
        work = state.work
        api_keys = [key_id for key_id, key in self._api_keys.items() if key.tenant == tenant]
        yield from (partial(self._api_keys.pop, key_id) for key_id in api_keys)
        yield from (partial(work.keys.pop, key) for key in work.keys)
        yield from (partial(work.pending.pop, response_id) for response_id in work.pending)
        yield from (partial(state.prompts.pop, prompt_id) for prompt_id in state.prompts)
        yield from (partial(state.conversations.pop, its_id) for its_id in state.conversations)
        yield from (partial(forget, state, response_id) for response_id in state.responses)
        yield partial(_strike, state)

    # API keys.

    async def create_api_key(self, key: ApiKeyRecord) -> bool:
        if key.key_id in self._api_keys:
            return False
        self._api_keys[key.key_id] = key
        return True

    async def read_api_key(self, key_id: str) -> ApiKeyRecord | None:
        return self._api_keys.get(key_id)

    async def update_api_key(self, old: ApiKeyRecord, new: ApiKeyRecord) -> bool:
        known = self._api_keys.get(old.key_id)
        if known is None or _without_use(known) != _without_use(old):
            return False
        self._api_keys[old.key_id] = msgspec.structs.replace(new, last_used_at=known.last_used_at)
        return True

    async def list_api_keys(self, tenant: TenantId | None = None) -> tuple[ApiKeyRecord, ...]:
        of_tenant = (key for key in self._api_keys.values() if tenant in (None, key.tenant))
        return tuple(sorted(of_tenant, key=lambda key: (key.created_at, key.key_id)))

    async def note_api_key_use(self, used_at: Mapping[str, int]) -> None:
        for key_id in used_at.keys() & self._api_keys.keys():
            key = self._api_keys[key_id]
            # Several processes tell of uses, each somewhat late: the latest stands.
            latest = max(used_at[key_id], key.last_used_at or 0)
            self._api_keys[key_id] = msgspec.structs.replace(key, last_used_at=latest)


def _without_size(tenant: TenantRecord) -> TenantRecord:
    return msgspec.structs.replace(tenant, stored_bytes=0)


def _without_use(key: ApiKeyRecord) -> ApiKeyRecord:
    return msgspec.structs.replace(key, last_used_at=None)


def _strike(state: State) -> None:
    """Know nothing of a tenant any more, but for its trail."""
    erase_unreached(state)
    state.become(State(audit=state.audit))
