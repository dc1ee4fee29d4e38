"""What is held of tenants and keys: for half a second, once for all who ask, and never more than fits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from antiphon.engine.directory import DirectoryCache
from antiphon.hub.errors import StoreUnavailable
from antiphon.hub.ids import TenantId
from antiphon.sessions.directory import ApiKeyRecord, TenantRecord


class Shelf:
    """A directory that counts how often it is asked, and can be out of reach."""

    def __init__(self) -> None:
        self.keys: dict[str, ApiKeyRecord] = {}
        self.tenants: dict[str, TenantRecord] = {}
        self.asked: list[str] = []
        self.notes: list[Mapping[str, int]] = []
        self.is_down = False
        self.go = asyncio.Event()
        self.go.set()

    async def _ask(self, name: str) -> None:
        self.asked.append(name)
        await self.go.wait()
        if self.is_down:
            raise StoreUnavailable("down")

    async def read_api_key(self, key_id: str) -> ApiKeyRecord | None:
        await self._ask(key_id)
        return self.keys.get(key_id)

    async def read_tenant(self, tenant: TenantId) -> TenantRecord | None:
        await self._ask(tenant)
        return self.tenants.get(tenant)

    async def list_api_keys(self, tenant: TenantId | None = None) -> tuple[ApiKeyRecord, ...]:
        await self._ask("list")
        return tuple(self.keys.values())

    async def note_api_key_use(self, used_at: Mapping[str, int]) -> None:
        await self._ask("note")
        self.notes.append(dict(used_at))


def record(key_id: str) -> ApiKeyRecord:
    return ApiKeyRecord(
        key_id=key_id, tenant=TenantId("t"), mac=b"", hint="", scopes=(), created_at=0, created_by="cli"
    )


class Stage:
    def __init__(self) -> None:
        self.shelf = Shelf()
        self.now_s = 100.0
        self.cache = DirectoryCache(self.shelf, clock=lambda: self.now_s, ttl_s=0.5)


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_an_answer_is_held_for_half_a_second(stage: Stage) -> None:
    """A key that changes is seen to have changed half a second later, and not before it is asked again."""
    stage.shelf.keys["k"] = record("k")
    for _ in range(3):
        assert await stage.cache.api_key("k") is stage.shelf.keys["k"]
    before = stage.shelf.keys["k"]
    stage.shelf.keys["k"] = record("k")
    stage.now_s += 0.49
    assert await stage.cache.api_key("k") is before
    stage.now_s += 0.01
    assert await stage.cache.api_key("k") is stage.shelf.keys["k"]
    assert stage.shelf.asked == ["k", "k"]


async def test_an_answer_is_as_old_as_its_question(stage: Stage) -> None:
    """However slow the store is, nothing older than the ttl is believed: the time counts from the question."""
    stage.shelf.keys["k"] = record("k")
    stage.shelf.go.clear()
    asking = asyncio.create_task(stage.cache.api_key("k"))
    await asyncio.sleep(0)
    stage.now_s += 0.5
    stage.shelf.go.set()
    await asking
    await stage.cache.api_key("k")
    assert stage.shelf.asked == ["k", "k"]


async def test_many_who_ask_at_once_ask_once(stage: Stage) -> None:
    """A hundred requests of one key are one statement, even if the first of them goes away."""
    stage.shelf.keys["k"] = record("k")
    stage.shelf.go.clear()
    asking = [asyncio.create_task(stage.cache.api_key("k")) for _ in range(100)]
    await asyncio.sleep(0)
    asking[0].cancel()
    await asyncio.sleep(0)
    stage.shelf.go.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [stage.shelf.keys["k"]] * 99
    assert stage.shelf.asked == ["k"]


async def test_what_is_not_there_is_held_too(stage: Stage) -> None:
    """Asking for the same unknown key again does not reach the store, and a key that is made is known soon."""
    assert [await stage.cache.api_key("k") for _ in range(5)] == [None] * 5
    assert stage.shelf.asked == ["k"]
    stage.shelf.keys["k"] = record("k")
    stage.now_s += 0.5
    assert await stage.cache.api_key("k") is stage.shelf.keys["k"]


async def test_guessing_ids_crowds_out_nobody(stage: Stage) -> None:
    """Fifty thousand unknown ids take bounded room, and the key that is known is still held."""
    stage.shelf.keys["k"] = record("k")
    await stage.cache.api_key("k")
    for number in range(50_000):
        await stage.cache.api_key(f"guess{number}")
    await stage.cache.api_key("k")
    assert stage.shelf.asked.count("k") == 1
    held = stage.cache._keys
    assert (len(held._known), len(held._unknown), held._reading) == (1, 1_000, {})


async def test_known_keys_take_bounded_room(stage: Stage) -> None:
    """Of more keys than fit, those that were read longest ago are read again."""
    for number in range(10_100):
        stage.shelf.keys[f"k{number}"] = record(f"k{number}")
        await stage.cache.api_key(f"k{number}")
    assert len(stage.cache._keys._known) == 10_000
    await stage.cache.api_key("k0")
    assert stage.shelf.asked.count("k0") == 2


async def test_a_store_that_is_down_lets_nobody_in(stage: Stage) -> None:
    """What cannot be looked at is an error, also of a key that was known; and it is no answer to be held."""
    stage.shelf.keys["k"] = record("k")
    await stage.cache.api_key("k")
    stage.now_s += 0.5
    stage.shelf.is_down = True
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await stage.cache.api_key("k")
    stage.shelf.is_down = False
    assert await stage.cache.api_key("k") is stage.shelf.keys["k"]


async def test_tenants_are_held_alike(stage: Stage) -> None:
    """A tenant that is suspended is so within half a second."""
    name = TenantId("t")
    assert await stage.cache.tenant(name) is None
    stage.shelf.tenants["t"] = TenantRecord(id=name, created_at=0, state="suspended")
    stage.now_s += 0.5
    assert await stage.cache.tenant(name) is stage.shelf.tenants["t"]


async def test_once_there_was_a_key_there_is_no_way_back(stage: Stage) -> None:
    """The first key is seen within half a second; that all keys are gone again opens nothing."""
    assert not await stage.cache.has_api_keys()
    stage.shelf.keys["k"] = record("k")
    assert not await stage.cache.has_api_keys()
    stage.now_s += 0.5
    assert await stage.cache.has_api_keys()
    stage.shelf.keys.clear()
    stage.now_s += 10
    assert await stage.cache.has_api_keys()


async def test_the_store_is_opened_first() -> None:
    """Where nobody else opens the store, the first question does."""
    order: list[str] = []
    shelf = Shelf()
    shelf.asked = order

    async def ready() -> None:
        order.append("ready")

    cache = DirectoryCache(shelf, clock=lambda: 0.0, ready=ready)
    await cache.api_key("k")
    await cache.tenant(TenantId("t"))
    await cache.has_api_keys()
    assert order == ["ready", "k", "ready", "t", "ready", "list"]


async def _settled(stage: Stage, count: int) -> None:
    async with asyncio.timeout(10):
        while len(stage.shelf.notes) < count:
            await asyncio.sleep(0)


async def test_uses_are_noted_together(stage: Stage) -> None:
    """The first use is told at once, those of the next minute in one statement at its end."""
    stage.cache.note_use("a", 1)
    await _settled(stage, 1)
    for number in range(1000):
        stage.cache.note_use("a", number)
        stage.cache.note_use("b", number)
    await asyncio.sleep(0)
    assert stage.shelf.notes == [{"a": 1}]
    await stage.cache.close()
    assert stage.shelf.notes == [{"a": 1}, {"a": 999, "b": 999}]


async def test_uses_are_told_to_a_store_once_a_minute() -> None:
    """What was used later is told when the minute is over, without anybody asking for it."""
    shelf = Shelf()
    cache = DirectoryCache(shelf, clock=asyncio.get_running_loop().time, note_every_s=0.05)
    cache.note_use("a", 1)
    async with asyncio.timeout(10):
        while not shelf.notes:
            await asyncio.sleep(0)
        cache.note_use("a", 2)
        while len(shelf.notes) < 2:
            await asyncio.sleep(0.001)
    assert shelf.notes == [{"a": 1}, {"a": 2}]


async def test_a_use_that_cannot_be_noted_hurts_nobody(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """It is a line in the log, without a key."""
    stage.shelf.is_down = True
    stage.cache.note_use("secretid", 1)
    await stage.cache.close()
    said = capsys.readouterr().err
    assert "key_uses_not_noted" in said
    assert "secretid" not in said
