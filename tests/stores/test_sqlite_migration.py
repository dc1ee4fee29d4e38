"""Files of older versions: migrated when they are opened, with all that is in them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import get_args

import apsw
import pytest

from antiphon.hub.errors import StoreCorrupt
from antiphon.hub.ids import Family, TenantId
from antiphon.sessions.codec import TENANT_FAMILY, Place, PlainCodec, Table
from antiphon.sessions.records import Page
from antiphon.sessions.vault import Payload
from antiphon.sessions.work import KeyClaim, KeyRecord
from antiphon.stores.sqlite import SQLiteSessionStore
from antiphon.stores.sqlite.connection import CHECKSUM_BYTES, connect
from antiphon.stores.sqlite.schema import CURRENT, prepare
from antiphon.testing.store_deliveries import delivery
from antiphon.testing.store_fixture import FixedClock, StoreFixture, conversation_id, response_id
from antiphon.testing.store_pending import begin, events
from tests.stores.version_1 import SCHEMA_1, write_version_1
from tests.stores.version_2 import SECRET, write_version_2


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a file of version 1 is."""
    path = tmp_path / "old.db"
    write_version_1(path)
    return path


def checksum_bytes(path: Path) -> int:
    """How many bytes at the end of each page are its checksum's, by the header of the file."""
    return path.read_bytes()[20]


async def problems_in(path: Path) -> list[str]:
    """What the check finds in a file, which has everything in it and not in its log afterwards."""
    store = SQLiteSessionStore(path)
    await store.open()
    try:
        problems = await store.check()
        assert await store.checkpoint()
    finally:
        await store.close()
    return problems


def write_nothing(path: Path) -> None:
    """Write a database without any table, as the command line of SQLite makes one."""
    with closing(apsw.Connection(str(path))) as bare:
        bare.pragma("user_version", 7)


@pytest.mark.parametrize("write", [write_version_1, write_version_2, write_nothing])
async def test_pages_of_an_older_file_get_checksums(tmp_path: Path, write: Callable[[Path], None]) -> None:
    """Each page, once: what is another byte afterwards is seen."""
    path = tmp_path / "old.db"
    write(path)
    assert checksum_bytes(path) == 0
    for _ in range(2):
        assert await problems_in(path) == []
        assert checksum_bytes(path) == CHECKSUM_BYTES
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreCorrupt, match="checksum"):
        await problems_in(path)


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """Where a file of version 2 is."""
    path = tmp_path / "second.db"
    write_version_2(path)
    return path


_COLUMNS = {"table": "SELECT * FROM pragma_table_xinfo(?)", "index": "SELECT * FROM pragma_index_xinfo(?)"}
_ALTERED = {"pending", "idempotency"}  # by later steps, which leave a text of their own
_INDEXES = 'SELECT name, "unique", partial FROM pragma_index_list(?) ORDER BY name'


def shape(connection: apsw.Connection) -> dict[str, object]:
    """Columns and keys of every table and index, and the text of what was not made in steps, without its layout."""
    found: dict[str, object] = {}
    for kind, name, sql in connection.execute("SELECT type, name, sql FROM sqlite_schema").fetchall():
        if kind != "trigger":
            found[f"columns of {name}"] = connection.execute(_COLUMNS[str(kind)], (name,)).fetchall()
            found[f"indexes of {name}"] = connection.execute(_INDEXES, (name,)).fetchall()
        if f"CREATE TABLE {name} " not in SCHEMA_1 and name not in _ALTERED:
            found[f"text of {name}"] = re.sub(r"\s+", " ", re.sub("--.*", "", str(sql)))
    return found


@pytest.mark.parametrize(("version", "write"), [(1, write_version_1), (2, write_version_2)])
def test_migrated_file_has_the_schema_of_a_fresh_one(
    version: int, write: Callable[[Path], None], tmp_path: Path
) -> None:
    """What the steps lead to is what an empty file is given."""
    write(tmp_path / "old.db")
    old, fresh = (connect(tmp_path / name, busy_timeout_ms=0) for name in ("old.db", "fresh.db"))
    assert old.pragma("user_version") == version
    prepare(old)
    prepare(fresh)
    assert shape(old) == shape(fresh)
    assert old.pragma("user_version") == fresh.pragma("user_version") == CURRENT.version
    old.close()
    fresh.close()


async def test_data_of_version_1_is_all_there(path: Path, clock: FixedClock) -> None:
    """Turns, forks and conversations of an older file are read as they were, and the file is sound."""
    store = SQLiteSessionStore(path, clock=clock)
    await store.open()
    fixture = StoreFixture(store, clock)
    assert await store.check() == []
    assert {name: await fixture.history(name) for name in ("a", "b", "f", "d")} == {
        "a": ["a.0", "a.1"],
        "b": ["a.0", "a.1", "b.0", "b.1"],
        "f": ["a.0", "a.1", "f.0", "f.1"],
        "d": ["c.0", "d.0", "d.1"],
    }
    assert await fixture.present("c") == ["c.0", "d.0", "d.1"]
    head = await fixture.acme.read_head(response_id("a"))
    assert head is not None
    assert head.ephemeral is False
    assert await fixture.acme.read_trace(response_id("a")) == b""
    assert await fixture.globex.get_by_response_id(response_id("x")) is None
    assert (await store.sweep()).count == 1
    await store.close()


async def test_store_of_version_1_goes_on(path: Path, clock: FixedClock) -> None:
    """An older file takes new turns where the old ones ended, and everything that it did not know before."""
    store = SQLiteSessionStore(path, clock=clock)
    await store.open()
    fixture = StoreFixture(store, clock)
    head = await fixture.acme.read_head(response_id("b"))
    assert head is not None
    key = await fixture.acme.take_key(b"k", b"f", holder="one", ttl_s=30, expires_at=int(clock()) + 60)
    assert isinstance(key, KeyClaim)
    claim = await begin(fixture, "g", key=key)
    await fixture.acme.append_events(claim, events(0))
    done = await fixture.commit("g", head.head, claim=claim, trace=b"t", deliveries=(delivery(fixture, "g"),))
    assert done.insertion_index == 5
    assert await fixture.history("g") == ["a.0", "a.1", "b.0", "b.1", "g.0", "g.1"]
    assert await fixture.acme.read_trace(response_id("g")) == b"t"
    [(tenant, due)] = await store.take_deliveries(10, ttl_s=30)
    assert (tenant, due.response_id) == (TenantId("acme"), response_id("g"))
    assert await fixture.acme.secret(b"\x00secret") == b"\x00secret"
    await fixture.converse("c", "h")
    page = await fixture.acme.list_conversation_items(conversation_id("c"), Page(limit=2))
    assert page is not None
    assert [str(entry.id) for entry in page.items] == ["msg_h_1", "msg_h_0"]
    assert await fixture.acme.delete_response(response_id("a")) is not None
    assert await fixture.history("f") == ["a.0", "a.1", "f.0", "f.1"]
    assert await store.check() == []
    await store.close()


async def test_file_is_migrated_once(path: Path, clock: FixedClock) -> None:
    """What was stored after the migration is there when the file is opened again."""
    store = SQLiteSessionStore(path, clock=clock)
    for name in ("g", "h"):
        await store.open()
        await StoreFixture(store, clock).commit(name)
        await store.close()
    await store.open()
    assert await StoreFixture(store, clock).history("g") == ["g.0", "g.1"]
    assert await store.check() == []
    await store.close()


async def test_data_of_version_2_is_all_there(second: Path, clock: FixedClock) -> None:
    """Pending turns, keys, deliveries, prompts and traces of a file of version 2 are read as they were."""
    store = SQLiteSessionStore(second, clock=clock)
    await store.open()
    fixture = StoreFixture(store, clock)
    assert await store.check() == []
    pending = await fixture.acme.read_pending(response_id("p"))
    assert pending is not None
    assert (pending.family, pending.payload) == ("00000000000000bb", b"\x00p")
    assert [group.payload for group in await fixture.acme.read_events(response_id("p"), first=0)] == [b"\x00events"]
    assert await fixture.acme.read_trace(response_id("a")) == b"\x00trace"
    known = await fixture.acme.take_key(b"k", b"f", holder="two", ttl_s=30, expires_at=2_000_000)
    assert isinstance(known, KeyRecord)
    assert known.answer == b"\x00answer"
    assert [each.id for each in await fixture.acme.list_deliveries(limit=5, after=None)] == ["wh_a"]
    assert await fixture.history("b") == ["a.0", "a.1", "b.0", "b.1"]
    await store.close()


async def test_secret_of_version_2_is_a_payload_now(second: Path, clock: FixedClock) -> None:
    """The secret that hashes and compaction items were made with stays what it was, and is read through the codec."""
    store = SQLiteSessionStore(second, clock=clock)
    await store.open()
    tenant = TenantId("acme")
    payload = await store.for_tenant(tenant).read_secret()
    assert payload is not None
    assert PlainCodec().decode(payload, Place(tenant, TENANT_FAMILY, "secrets", "secret")) == SECRET.hex()
    assert await store.for_tenant(TenantId("globex")).read_secret() is None
    await store.close()


async def test_plain_families_of_version_2_have_no_seal(second: Path, clock: FixedClock) -> None:
    """What older versions kept as a salt was not used: families are plain, those of pending turns among them."""
    store = SQLiteSessionStore(second, clock=clock)
    await store.open()
    families = (Family("00000000000000aa"), Family("00000000000000bb"))
    assert await store.for_tenant(TenantId("acme")).read_families(families) == dict.fromkeys(families, b"")
    assert await store.has_plain_payloads() is True
    assert await store.root_keys_in_use() == ()
    await store.close()


async def test_tenants_of_version_2_are_known(second: Path, clock: FixedClock) -> None:
    """Every tenant with data is active, without limits, and its payloads are summed up."""
    store = SQLiteSessionStore(second, clock=clock)
    await store.open()
    tenants = await store.list_tenants()
    assert [(each.id, each.state, each.max_stored_bytes) for each in tenants] == [
        ("acme", "active", None),
        ("globex", "active", None),
        ("initech", "active", None),
    ]
    sizes = {each.id: sum([len(payload.payload) async for payload in payloads_of(store, each.id)]) for each in tenants}
    assert {each.id: each.stored_bytes for each in tenants} == sizes
    assert all(sizes.values())
    await store.close()


async def payloads_of(store: SQLiteSessionStore, tenant: TenantId) -> AsyncIterator[Payload]:
    """Every payload of a tenant."""
    for table in get_args(Table):
        for payload in (await store.for_tenant(tenant).scan(table, after=None, limit=100)).payloads:
            yield payload
