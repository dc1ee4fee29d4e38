"""The sealing codec: what it binds, what it holds and for how long, and what it refuses."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from antiphon.crypto import Lifetimes, SealingCodec, UnsealedCodec, open_service
from antiphon.crypto.services import EphemeralKeys, KeyContext, KeyFile, Wrapped
from antiphon.hub.errors import KeysUnavailable, StoreCorrupt
from antiphon.hub.ids import Family, TenantId
from antiphon.sessions.codec import TENANT_FAMILY, Place, PlainCodec, Table
from antiphon.sessions.store import SessionStore
from antiphon.sessions.vault import Replacement
from antiphon.stores.sqlite import SQLiteSessionStore
from tests.crypto.stage import ACME, GLOBEX, HandClock, Writer, rows, sealing

FAMILIES = (Family("0" * 16), Family("f" * 16))
TABLES: tuple[Table, ...] = ("items", "responses", "stream_events")


class Flaky(EphemeralKeys):
    """A key service that can be out of reach, and counts what it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.is_down = False
        self.unwrapped = 0

    async def wrap(self, key: bytes, context: KeyContext) -> Wrapped:
        self._serve()
        return await super().wrap(key, context)

    async def unwrap(self, ref: str, blob: bytes, context: KeyContext) -> bytes:
        self._serve()
        self.unwrapped += 1
        await asyncio.sleep(0)  # as every service that is elsewhere
        return await super().unwrap(ref, blob, context)

    def _serve(self) -> None:
        if self.is_down:
            raise KeysUnavailable("The key service is down.")


def is_at_hand(codec: SealingCodec, tenant: TenantId, families: tuple[Family, ...]) -> bool:
    """Whether the keys are answered without waiting for anything."""
    now = codec._monotonic()
    ring = codec._rings.at_hand(tenant, now)
    return ring is not None and all(
        family == TENANT_FAMILY or codec._families.alone(ring, family, now) for family in families
    )


# Places.


async def test_a_payload_is_opened_where_it_stands_and_nowhere_else(memory: SessionStore) -> None:
    """All 1,296 pairs of 36 places: tenants, families, tables and rows. Only equal places open."""
    codec = sealing(memory)
    tenants = (ACME, GLOBEX)
    for tenant, family in itertools.product(tenants, FAMILIES):
        await codec.found(tenant, family, is_new=True)
    keys = {tenant: await codec.keys(tenant, FAMILIES) for tenant in tenants}
    places = [
        Place(tenant, family, table, row)
        for tenant, family, table, row in itertools.product(tenants, FAMILIES, TABLES, ("row", "row/1", "row/10"))
    ]
    payloads = {place: keys[place.tenant].encode("said", place) for place in places}
    opened, told = [], set()
    for sealed_at, opened_at in itertools.product(places, places):
        try:
            assert keys[opened_at.tenant].decode(payloads[sealed_at], opened_at) == "said"
            opened.append((sealed_at, opened_at))
        except StoreCorrupt as fault:
            told.add((opened_at.row_id in fault.message, "said" in fault.message))
    assert told == {(True, False)}
    assert len(places) ** 2 == 1296
    assert opened == [(place, place) for place in places]


async def test_what_belongs_to_the_tenant_is_its_own(memory: SessionStore) -> None:
    """Payloads without a family are bound to tenant, table and row as well."""
    codec = sealing(memory)
    keys, others = [await codec.keys(tenant, (TENANT_FAMILY,)) for tenant in (ACME, GLOBEX)]
    payload = keys.encode("said", Place(ACME, TENANT_FAMILY, "prompts", "p/1"))
    assert keys.decode(payload, Place(ACME, TENANT_FAMILY, "prompts", "p/1")) == "said"
    for table, row in (("prompts", "p/2"), ("deliveries", "p/1")):
        with pytest.raises(StoreCorrupt):
            keys.decode(payload, Place(ACME, TENANT_FAMILY, table, row))  # type: ignore[arg-type]
    with pytest.raises(StoreCorrupt):
        others.decode(payload, Place(GLOBEX, TENANT_FAMILY, "prompts", "p/1"))
    assert await codec.found(ACME, TENANT_FAMILY) == b""


async def test_keys_are_for_what_was_asked_for(memory: SessionStore) -> None:
    """Another family, or another tenant's place, is an error before anything is sealed."""
    codec = sealing(memory)
    await codec.found(ACME, FAMILIES[0], is_new=True)
    keys = await codec.keys(ACME, FAMILIES[:1])
    for place in (Place(ACME, FAMILIES[1], "items", "i"), Place(GLOBEX, FAMILIES[0], "items", "i")):
        with pytest.raises(StoreCorrupt):
            keys.encode("said", place)


async def test_plain_content_is_never_taken_for_sealed(memory: SessionStore) -> None:
    """Whoever can write to the store cannot put words into it by leaving them unsealed."""
    writer = Writer(memory, sealing(memory))
    response_id = await writer.turn("said")
    (item,) = await rows(writer.vault, "items")
    await writer.vault.replace([Replacement(old=item, payload=b'\x00[{"said":"forged"}]')])
    with pytest.raises(StoreCorrupt, match="not sealed"):
        await writer.read(response_id)


async def test_rows_that_were_swapped_are_not_opened(store: SessionStore) -> None:
    """Two items of one family change places in the store: neither is read."""
    writer = Writer(store, sealing(store))
    first = await writer.turn("one")
    second = await writer.turn("two", first)
    one, two = await rows(writer.vault, "items")
    swapped = [Replacement(old=one, payload=two.payload), Replacement(old=two, payload=one.payload)]
    assert await writer.vault.replace(swapped) == 2
    for response_id in (first, second):
        with pytest.raises(StoreCorrupt):
            await writer.read(response_id)


async def test_keys_that_were_swapped_are_not_used(store: SessionStore) -> None:
    """A tenant that is given another tenant's wrapped key, by who can write to the store, is not served with it."""
    service = EphemeralKeys()
    codec = sealing(store, service)
    responses = [await Writer(store, codec, tenant).turn("said") for tenant in (ACME, GLOBEX)]
    mine, theirs = [(await store.for_tenant(tenant).read_keys())[0] for tenant in (ACME, GLOBEX)]
    assert await store.for_tenant(ACME).change_key(mine, msgspec.structs.replace(mine, wrapped=theirs.wrapped))
    with pytest.raises(StoreCorrupt, match="tenant 'acme'"):
        await Writer(store, sealing(store, service)).read(responses[0])
    assert await Writer(store, sealing(store, service), GLOBEX).read(responses[1]) == "said"


async def test_seals_that_were_swapped_are_not_used(store: SessionStore) -> None:
    """A family that is given another tenant's seal is not opened with it."""
    service = EphemeralKeys()
    writers = [Writer(store, sealing(store, service), tenant) for tenant in (ACME, GLOBEX)]
    response_id = await writers[0].turn("said")
    await writers[1].turn("said")
    (mine,), (theirs,) = [await rows(writer.vault, "families") for writer in writers]
    assert await writers[0].vault.replace([Replacement(old=mine, payload=theirs.payload)]) == 1
    with pytest.raises(StoreCorrupt, match="commit"):
        await Writer(store, sealing(store, service)).read(response_id)


# What another process did.


async def test_what_one_process_seals_another_opens(store: SessionStore) -> None:
    """Two codecs over one store have the same keys, whoever made them."""
    service = EphemeralKeys()
    one, other = (Writer(store, sealing(store, service)) for _ in range(2))
    first = await one.turn("one")
    second = await other.turn("two", first)
    third = await one.turn("three", second)
    assert [await other.read(first), await one.read(second), await other.read(third)] == ["one", "two", "three"]


async def test_processes_that_begin_a_tenant_together_give_it_one_key(store: SessionStore) -> None:
    """Whoever is first decides; what the others sealed can be opened by all."""
    service = EphemeralKeys()
    writers = [Writer(store, sealing(store, service)) for _ in range(8)]
    turns = await asyncio.gather(*(writer.turn(str(number)) for number, writer in enumerate(writers)))
    assert len(await store.for_tenant(ACME).read_keys()) == 1
    assert [await writers[-1 - number].read(turn) for number, turn in enumerate(turns)] == [*"01234567"]


async def test_a_family_that_is_begun_by_two_is_stored_with_one_seal(store: SessionStore) -> None:
    """The second one's content, which nobody could open, is not stored; sealed again, it is."""
    service = EphemeralKeys()
    one, other = (Writer(store, sealing(store, service)) for _ in range(2))
    family = one.ids.family()
    assert await one.codec.found(ACME, family) != await other.codec.found(ACME, family)
    parent = f"resp_{family}{'0' * 34}"
    one.ids.family = other.ids.family = lambda: family  # type: ignore[method-assign]
    turns = [await one.turn("one"), await other.turn("two")]
    assert [await one.read(turn) for turn in turns] == ["one", "two"]
    assert parent not in turns


async def test_a_founded_family_stays_the_same_until_it_is_stored(memory: SessionStore) -> None:
    """However often it is asked for; unless it is not stored at all in the end."""
    clock = HandClock()
    codec = sealing(memory, monotonic=clock)
    seal = await codec.found(ACME, FAMILIES[0], is_new=True)
    for _ in range(5):
        clock.now += codec.lifetimes.held_s / 6
        assert await codec.found(ACME, FAMILIES[0]) == seal
        codec.forget(ACME)
    clock.now += codec.lifetimes.held_s
    assert await codec.found(ACME, FAMILIES[0]) != seal


# Holding keys.


async def test_keys_at_hand_are_answered_without_waiting(store: SessionStore) -> None:
    """Once a tenant and a family were used, nothing is asked for them."""
    writer = Writer(store, codec := sealing(store))
    response_id = await writer.turn("said")
    family = Family(response_id[-50:-34])
    assert is_at_hand(codec, ACME, (family,))
    assert is_at_hand(codec, ACME, (TENANT_FAMILY,))
    assert is_at_hand(codec, ACME, (family, TENANT_FAMILY))
    assert not is_at_hand(codec, GLOBEX, (TENANT_FAMILY,))


async def test_many_who_ask_for_a_cold_tenant_are_answered_together(memory: SessionStore) -> None:
    """A hundred requests unwrap its key once."""
    service = Flaky()
    response_id = await Writer(memory, sealing(memory, service)).turn("said")
    reader = Writer(memory, sealing(memory, service))
    assert set(await asyncio.gather(*(reader.read(response_id) for _ in range(100)))) == {"said"}
    assert service.unwrapped == 1


async def test_one_who_gives_up_does_not_take_the_answer_from_the_others(memory: SessionStore) -> None:
    """The first request is cancelled while the key is unwrapped; the second gets it."""
    service = Flaky()
    response_id = await Writer(memory, sealing(memory, service)).turn("said")
    reader = Writer(memory, sealing(memory, service))
    first, second = (asyncio.create_task(reader.read(response_id)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == "said"


async def test_an_outage_is_felt_by_cold_tenants_only(store: SessionStore) -> None:
    """A warm tenant reads and writes for minutes, also in new families; a cold one is told at once."""
    clock, service = HandClock(), Flaky()
    codec = sealing(store, service, monotonic=clock)
    warm, cold = Writer(store, codec), Writer(store, codec, GLOBEX)
    first = await warm.turn("said")
    await Writer(store, sealing(store, service), GLOBEX).turn("said")
    service.is_down = True
    for _ in range(14):
        clock.now += 20
        assert await warm.read(await warm.turn("more", first)) == "more"
        assert await warm.read(await warm.turn("new")) == "new"
        with pytest.raises(KeysUnavailable, match="down"):
            await cold.turn("said")
    clock.now += 20.1
    with pytest.raises(KeysUnavailable):
        await warm.turn("too long")
    service.is_down = False
    assert await warm.read(first) == "said"
    assert await cold.read(await cold.turn("back")) == "back"


async def test_a_tenant_that_is_served_is_warm_when_an_outage_begins(memory: SessionStore) -> None:
    """Its keys are asked for again in time, so that an outage at any moment leaves half their lifetime."""
    clock, service = HandClock(), Flaky()
    writer = Writer(memory, sealing(memory, service, monotonic=clock))
    first = await writer.turn("said")
    for _ in range(50):
        clock.now += 29
        await writer.turn("more", first)
        for _ in range(5):
            await asyncio.sleep(0)  # what is renewed is renewed behind the turn
    assert 4 <= service.unwrapped <= 15
    service.is_down = True
    clock.now += 120
    assert await writer.read(first) == "said"


@pytest.mark.parametrize("founded_here", [True, False])
async def test_an_erased_family_is_forgotten_within_a_minute(store: SessionStore, founded_here: bool) -> None:
    """A process that had its key cannot open anything of it any more, copies included: half a minute if it read it."""
    clock, service = HandClock(), EphemeralKeys()
    codec = sealing(store, service, monotonic=clock)
    writer = Writer(store, codec if founded_here else sealing(store, service))
    response_id = await writer.turn("said")
    (item,) = await rows(writer.vault, "items")
    await codec.keys(ACME, (item.family,), payloads=(item.payload,))
    erasure = await writer.vault.delete_response(response_id)
    assert erasure is not None
    assert erasure.keys_destroyed == 1
    clock.now += codec.lifetimes.held_s if founded_here else codec.lifetimes.look_again_s
    with pytest.raises(StoreCorrupt, match="erased"):
        await codec.keys(ACME, (item.family,), payloads=(item.payload,))
    with pytest.raises(StoreCorrupt):
        await sealing(store, service).keys(ACME, (item.family,))


async def test_an_erased_family_is_forgotten_at_once_where_it_was_erased(store: SessionStore) -> None:
    """Whoever erases says so."""
    service = EphemeralKeys()
    writer, codec = Writer(store, sealing(store, service)), sealing(store, service)
    response_id = await writer.turn("said")
    await codec.keys(ACME, (Family(response_id[-50:-34]),))
    await writer.vault.delete_response(response_id)
    codec.forget(ACME)
    with pytest.raises(StoreCorrupt):
        await codec.keys(ACME, (Family(response_id[-50:-34]),))


async def test_keys_do_not_pile_up(memory: SessionStore) -> None:
    """Of tenants and families that are too many, those are let go that were not used for longest."""
    service = Flaky()
    codec = sealing(memory, service, lifetimes=Lifetimes(tenants=2, families=3))
    writer = Writer(memory, codec)
    turns = [await writer.turn(str(number)) for number in range(4)]
    assert [is_at_hand(codec, ACME, (Family(turn[-50:-34]),)) for turn in turns] == [False, True, True, True]
    for tenant in ("b", "c"):
        await Writer(memory, codec, TenantId(tenant)).turn("said")
    assert not is_at_hand(codec, ACME, (TENANT_FAMILY,))
    assert [await writer.read(turn) for turn in turns] == [*"0123"]


async def test_families_that_nobody_uses_are_let_go(memory: SessionStore) -> None:
    """What is held of them goes as others come."""
    clock = HandClock()
    codec = sealing(memory, monotonic=clock)
    writer = Writer(memory, codec)
    for _ in range(50):
        await writer.turn("said")
    clock.now += 1000
    for _ in range(60):
        await writer.turn("said")
    assert len(codec._families._held) <= 60


async def test_sealing_says_nothing_twice(memory: SessionStore) -> None:
    """The same content at the same place looks different each time, and is nowhere in the payload."""
    codec = sealing(memory)
    keys = await codec.keys(ACME, (TENANT_FAMILY,))
    place = Place(ACME, TENANT_FAMILY, "prompts", "p/1")
    payloads = {keys.encode("the very same secret", place) for _ in range(1000)}
    assert len(payloads) == 1000
    assert not any(b"secret" in payload for payload in payloads)


# The start.


async def test_a_first_start_makes_a_key_and_the_next_one_takes_it(tmp_path: Path) -> None:
    """The notice is there once; content is read after a restart."""
    path = tmp_path / "s.db"
    notices, response_id = [], ""
    for _ in range(2):
        store = SQLiteSessionStore(path)
        await store.open()
        codec = sealing(store, open_service(None, path))
        await codec.open()
        notices.append(codec.notice)
        writer = Writer(store, codec)
        response_id = response_id or await writer.turn("said")
        assert await writer.read(response_id) == "said"
        await store.close()
    assert [notice is None for notice in notices] == [False, True]
    assert str(tmp_path / "s.db.key") in str(notices[0])


async def _sealed_store(path: Path) -> SQLiteSessionStore:
    store = SQLiteSessionStore(path)
    await store.open()
    codec = sealing(store, open_service(None, path))
    await codec.open()
    await Writer(store, codec).turn("said")
    return store


async def test_a_store_without_its_key_is_refused(tmp_path: Path) -> None:
    """The error says which key is needed and where it was looked for; no new key is made."""
    path, key = tmp_path / "s.db", tmp_path / "s.db.key"
    store = await _sealed_store(path)
    needed = (await store.root_keys_in_use())[0].root_ref
    key.unlink()
    with pytest.raises(KeysUnavailable) as raised:
        await sealing(store, open_service(None, path)).open()
    assert needed in raised.value.message
    assert str(key) in raised.value.message
    assert not key.exists()
    await store.close()


async def test_a_store_with_another_key_is_refused(tmp_path: Path) -> None:
    """The error says which key is needed, where it was looked for, and which ones are there."""
    path, key = tmp_path / "s.db", tmp_path / "other.key"
    store = await _sealed_store(path)
    needed = (await store.root_keys_in_use())[0].root_ref
    other = KeyFile(key)
    await other.open(create=True)
    with pytest.raises(KeysUnavailable) as raised:
        await sealing(store, open_service(f"file:{key}", path)).open()
    for told in (needed, str(key), other.ref):
        assert told in raised.value.message
    await store.close()


async def test_a_sealed_store_is_not_opened_in_plain(tmp_path: Path) -> None:
    """``none`` is refused where something is sealed, and taken where nothing is."""
    store = await _sealed_store(tmp_path / "s.db")
    with pytest.raises(KeysUnavailable, match="'none'"):
        await UnsealedCodec(store).open()
    await store.close()
    empty = SQLiteSessionStore(tmp_path / "empty.db")
    await empty.open()
    codec = UnsealedCodec(empty)
    await codec.open()
    writer = Writer(empty, codec)
    assert await writer.read(await writer.turn("said")) == "said"
    await empty.close()


async def test_a_plain_store_is_not_opened_as_a_sealed_one(store: SessionStore) -> None:
    """The error says what to do, and no key is made."""
    await Writer(store, UnsealedCodec(store)).turn("said")
    with pytest.raises(KeysUnavailable, match="not sealed"):
        await sealing(store).open()


async def test_a_key_service_that_does_not_serve_is_found_out_at_the_start(memory: SessionStore) -> None:
    """Before the first request is taken."""
    service = Flaky()
    service.is_down = True
    with pytest.raises(KeysUnavailable):
        await sealing(memory, service).open()


@pytest.mark.parametrize("make", [UnsealedCodec, lambda store: PlainCodec()], ids=["unsealed", "plain"])
async def test_the_plain_codecs_write_the_same(
    memory: SessionStore, make: Callable[[SessionStore], UnsealedCodec | PlainCodec]
) -> None:
    """Plain payloads begin with a zero byte, and their families need nothing."""
    codec = make(memory)
    await codec.open()
    codec.forget(ACME)
    keys = await codec.keys(ACME, FAMILIES)
    place = Place(ACME, FAMILIES[0], "items", "i")
    assert keys.encode({"a": 1}, place) == b'\x00{"a":1}'
    assert keys.decode(b'\x00{"a":1}', place) == {"a": 1}
    assert await codec.found(ACME, FAMILIES[0]) == b""
