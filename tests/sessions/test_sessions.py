"""The sessions of all tenants: opened with their keys, bounded in number, and rid of tenants that were erased."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from antiphon.hub.errors import KeysUnavailable, ResponseNotFound
from antiphon.hub.ids import IdFactory, TenantId
from antiphon.sessions.codec import PlainCodec
from antiphon.sessions.directory import TenantRecord
from antiphon.sessions.sessions import Sessions
from antiphon.sessions.store import SessionStore
from antiphon.sessions.tenants import TenantRecords
from antiphon.stores.memory import InMemorySessionStore
from antiphon.testing.store_fixture import FixedClock
from tests.sessions.stage import ACME, Stage

DAY_S = 86_400


class WrongKeys(PlainCodec):
    """A codec whose keys do not fit the store."""

    async def open(self) -> None:
        raise KeysUnavailable("The store was sealed with the key 'other'.")


async def test_a_store_whose_keys_are_not_there_is_closed_again() -> None:
    """Whoever could not open the sessions has nothing to close."""
    clock = FixedClock()
    store = CountingStore(clock=clock)
    sessions = Sessions(store, ids=IdFactory(clock), clock=clock, codec=WrongKeys())
    with pytest.raises(KeysUnavailable):
        await sessions.open()
    assert store.opened == 0


class CountingStore(InMemorySessionStore):
    """Knows how often it is open."""

    opened = 0

    async def open(self) -> None:
        self.opened += 1
        await super().open()

    async def close(self) -> None:
        self.opened -= 1
        await super().close()


def test_a_tenant_in_use_is_one_object_however_many_others_come(clock: FixedClock) -> None:
    """What nobody uses is let go of."""
    sessions = Sessions(InMemorySessionStore(clock=clock), ids=IdFactory(clock), clock=clock)
    used = sessions.for_tenant(ACME)
    unused = weakref.ref(sessions.for_tenant(TenantId("unused")))
    for number in range(2000):
        sessions.for_tenant(TenantId(f"tenant-{number}"))
    gc.collect()
    assert sessions.for_tenant(ACME) is used
    assert unused() is None


async def test_a_response_lives_as_long_as_its_tenant_keeps_them(stage: Stage) -> None:
    """A tenant's own retention counts, else what the gateway is configured with; a later change moves nothing."""
    default = await stage.turn("default")
    assert await stage.store.update_tenant(TenantRecord(id=ACME, created_at=0, retention_days=2))
    stage.sessions.tenants.forget(ACME)
    own = await stage.turn("own")
    await stage.store.update_tenant(TenantRecord(id=ACME, created_at=0, retention_days=90))
    stage.clock.advance(2 * DAY_S - 1)
    await stage.acme.retrieve(own["id"])
    stage.clock.advance(1)
    with pytest.raises(ResponseNotFound):
        await stage.acme.retrieve(own["id"])
    stage.clock.advance(28 * DAY_S - 1)
    await stage.acme.retrieve(default["id"])
    stage.clock.advance(1)
    with pytest.raises(ResponseNotFound):
        await stage.acme.retrieve(default["id"])


async def test_a_change_of_a_tenant_is_felt_within_a_second(clock: FixedClock, store: SessionStore) -> None:
    """Until then what is known is answered, without asking the store."""
    monotonic = FixedClock(0.0)
    erased: list[TenantId] = []
    records = TenantRecords(store, on_erased=erased.append, monotonic=monotonic)
    await store.create_tenant(TenantRecord(id=ACME, created_at=1, retention_days=1))
    before = await records.read(ACME)
    await store.update_tenant(TenantRecord(id=ACME, created_at=1, retention_days=2))
    monotonic.advance(0.4)
    assert await records.read(ACME) == before
    monotonic.advance(0.6)
    after = await records.read(ACME)
    assert after is not None
    assert after.retention_days == 2
    assert erased == []


class SlowStore(InMemorySessionStore):
    """Answers what is asked of tenants only when it may."""

    def __init__(self, clock: FixedClock) -> None:
        super().__init__(clock=clock)
        self.asked = 0
        self.may_answer = asyncio.Event()

    async def read_tenant(self, tenant: TenantId) -> TenantRecord | None:
        self.asked += 1
        await self.may_answer.wait()
        return await super().read_tenant(tenant)


async def test_whoever_reads_a_record_again_holds_nobody_up(clock: FixedClock) -> None:
    """For the second that it may be old, others are answered with what is known; after that they ask as well."""
    monotonic = FixedClock(0.0)
    store = SlowStore(clock)
    store.may_answer.set()
    records = TenantRecords(store, on_erased=lambda _: None, monotonic=monotonic)
    await records.read(ACME)
    store.may_answer.clear()
    monotonic.advance(0.6)
    again = asyncio.create_task(records.read(ACME))
    await asyncio.sleep(0)
    assert await records.read(ACME) is None
    assert store.asked == 2
    monotonic.advance(0.5)
    late = asyncio.create_task(records.read(ACME))
    await asyncio.sleep(0)
    assert store.asked == 3
    store.may_answer.set()
    await asyncio.gather(again, late)


async def test_a_tenant_that_was_erased_elsewhere_is_forgotten(stage: Stage) -> None:
    """No history and no secret of it is used for another tenant of the same name."""
    await stage.store.create_tenant(TenantRecord(id=ACME, created_at=1))
    monotonic = FixedClock(0.0)
    stage.sessions.tenants = TenantRecords(stage.store, on_erased=stage.sessions.forget, monotonic=monotonic)
    await stage.sessions.tenants.read(ACME)
    response = await stage.turn("hi")
    secret = await stage.acme.secret()
    await erase(stage.store)
    monotonic.advance(1.0)
    await stage.sessions.tenants.read(ACME)
    assert stage.cache.get(ACME, response["id"]) is None
    assert await stage.acme.secret() != secret
    again = await stage.turn("hello")
    assert await stage.texts(again["id"]) == ["hello", "HELLO"]


async def erase(store: SessionStore) -> None:
    """All of the tenant."""
    while (await store.erase_tenant(ACME))[1]:
        pass


async def test_sessions_that_were_opened_are_closed(clock: FixedClock) -> None:
    """Each opening has one closing."""
    store = CountingStore(clock=clock)
    sessions = Sessions(store, ids=IdFactory(clock), clock=clock)
    await sessions.open()
    assert store.opened == 1
    await sessions.close()
    assert store.opened == 0
