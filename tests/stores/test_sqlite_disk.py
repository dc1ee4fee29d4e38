"""What the disk does to a SQLite store, and what is left on it: failing syncs, permissions, backups, compaction."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import apsw
import pytest

from antiphon.hub.errors import StoreCorrupt, StoreUnavailable
from antiphon.sessions.library import NewPrompt
from antiphon.sessions.vault import Replacement
from antiphon.stores.sqlite import SQLiteSessionStore, connection, upkeep, writer
from antiphon.stores.sqlite.connection import connect, load_checksums
from antiphon.stores.sqlite.schema import PAYLOADS, SCHEMA
from antiphon.testing.store_fixture import FixedClock, StoreFixture, item, response_id


class Disk(apsw.VFS):
    """The files of the operating system, whose fsync can be made to fail."""

    def __init__(self) -> None:
        self.fails = False
        load_checksums()
        self.below = connection.VFS
        super().__init__("antiphon-test", self.below)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - apsw's
        return _File(self, name, flags)


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self._disk = disk
        super().__init__(disk.below, name, flags)

    def xSync(self, flags: int) -> None:  # noqa: N802 - apsw's
        if self._disk.fails:
            raise apsw.IOError("fsync failed")
        super().xSync(flags)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    disk = Disk()
    monkeypatch.setattr(connection, "VFS", "antiphon-test")
    yield disk
    disk.unregister()


@pytest.fixture
async def failing(
    disk: Disk, tmp_path: Path, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[StoreFixture]:
    """A store on that disk, which looks at once whether it works again."""
    monkeypatch.setattr(writer, "_LOOK_EVERY_S", 0.0)
    store = SQLiteSessionStore(tmp_path / "store.db", clock=clock)
    await store.open()
    yield StoreFixture(store, clock)
    await store.close()


async def test_failed_sync_is_not_passed_over(disk: Disk, failing: StoreFixture) -> None:
    """When fsync fails the turn is refused, and so is every later one until the disk works; reads go on."""
    a = await failing.commit("a")
    disk.fails = True
    with pytest.raises(StoreUnavailable):
        await failing.commit("b", a.head)
    for attempt in (failing.commit("c"), failing.store.ping(), failing.acme.delete_response(response_id("a"))):
        with pytest.raises(StoreUnavailable, match="disk has failed"):
            await attempt
    assert await failing.history("a") == ["a.0", "a.1"]
    disk.fails = False
    await failing.store.ping()
    await failing.commit("b", a.head)
    assert await failing.history("b") == ["a.0", "a.1", "b.0", "b.1"]
    assert await failing.store.check() == []


async def test_refused_turn_does_not_come_back(disk: Disk, failing: StoreFixture, tmp_path: Path) -> None:
    """What was refused because of a failed fsync is in no file that a recovery would look at, once the disk works."""
    canary = b"CANARY-19f2" * 20
    await failing.commit("a")
    disk.fails = True
    with pytest.raises(StoreUnavailable):
        await failing.commit("b", None, [item("b", 0, payload=canary)])
    assert any(canary in file.read_bytes() for file in tmp_path.iterdir())  # this is what a crash would find
    disk.fails = False
    await failing.store.ping()
    assert not [file.name for file in tmp_path.iterdir() if canary in file.read_bytes()]
    assert await failing.acme.get_by_response_id(response_id("b")) is None


async def test_disk_is_not_asked_all_the_time(
    disk: Disk, failing: StoreFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the disk fails it is looked at once in a while, whatever comes in."""
    monkeypatch.setattr(writer, "_LOOK_EVERY_S", 1e9)
    disk.fails = True
    with pytest.raises(StoreUnavailable):
        await failing.commit("a")
    with pytest.raises(StoreUnavailable):
        await failing.commit("b")
    disk.fails = False
    with pytest.raises(StoreUnavailable, match="disk has failed"):
        await failing.commit("c")
    monkeypatch.setattr(writer, "_LOOK_EVERY_S", 0.0)
    await failing.commit("d")


# apsw has nobody to raise the disk's own error to while SQLite closes a file, and says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_store_closes_on_a_failing_disk(disk: Disk, tmp_path: Path, clock: FixedClock) -> None:
    """A store whose disk fails can be closed, and what it acknowledged is there when it is opened again."""
    store = SQLiteSessionStore(tmp_path / "store.db", clock=clock)
    await store.open()
    await StoreFixture(store, clock).commit("a")
    disk.fails = True
    await store.close()
    disk.fails = False
    await store.open()
    assert await StoreFixture(store, clock).history("a") == ["a.0", "a.1"]
    await store.close()


async def test_damaged_content_is_never_other_content(sqlite: StoreFixture, tmp_path: Path) -> None:
    """Reading a page that is damaged is StoreCorrupt, for whoever needs it."""
    assert sqlite.reopen is not None
    for index in range(40):
        await sqlite.commit(f"t{index}", None, [item(f"t{index}", 0, payload=bytes(900))])
    await sqlite.store.close()
    path = tmp_path / "store.db"
    content = bytearray(path.read_bytes())
    marks = [place for place in range(0, len(content), 4096) if b"msg_t0_0" in content[place : place + 4096]]
    for place in marks:
        content[place : place + 12] = b"\xff" * 12
    path.write_bytes(content)
    await sqlite.store.open()
    with pytest.raises(StoreCorrupt):
        await sqlite.history("t0")


# What is on the disk.


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_only_the_owner_may_read_the_files(sqlite: StoreFixture, tmp_path: Path) -> None:
    """A new database and the files beside it are for their owner alone, whatever the umask says."""
    await sqlite.commit("a")
    names = ["store.db", "store.db-shm", "store.db-wal"]
    assert {file.name: mode_of(file) for file in tmp_path.iterdir()} == dict.fromkeys(names, 0o600)


async def test_backup_is_the_whole_store(sqlite: StoreFixture, tmp_path: Path, clock: FixedClock) -> None:
    """A backup that is made while turns are committed is sound, holds all that was acknowledged, and is one file."""
    head = (await sqlite.commit("a")).head
    copy = tmp_path / "copies" / "copy.db"
    copy.parent.mkdir()
    making = asyncio.create_task(sqlite.store.backup(str(copy)))
    for index in range(20):
        head = (await sqlite.commit(f"t{index}", head)).head
    await making
    assert [file.name for file in copy.parent.iterdir()] == ["copy.db"]
    assert mode_of(copy) == 0o600
    store = SQLiteSessionStore(copy, clock=clock)
    await store.open()
    assert (await StoreFixture(store, clock).history("a")) == ["a.0", "a.1"]
    assert await store.check() == []
    await store.close()


async def test_backup_replaces_nothing(sqlite: StoreFixture, tmp_path: Path) -> None:
    """A backup to where a file is, or to where none can be, is refused with the reason and leaves nothing behind."""
    there = tmp_path / "there.db"
    there.write_bytes(b"mine")
    with pytest.raises(StoreUnavailable, match="There is a file"):
        await sqlite.store.backup(str(there))
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        await sqlite.store.backup(str(tmp_path / "missing" / "copy.db"))
    assert there.read_bytes() == b"mine"
    assert {file.name for file in tmp_path.iterdir()} == {"store.db", "store.db-shm", "store.db-wal", "there.db"}


async def test_backup_of_damage_is_refused(
    sqlite: StoreFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that is not sound is not kept."""
    connection = connect(tmp_path / "store.db", busy_timeout_ms=1000)
    connection.execute("PRAGMA writable_schema = on")
    connection.execute("UPDATE sqlite_schema SET rootpage = 3 WHERE name = 'prompts'")
    connection.close()
    with pytest.raises(StoreCorrupt):
        await sqlite.store.backup(str(tmp_path / "copy.db"))
    assert not list(tmp_path.glob("copy*"))


async def test_compaction_leaves_nothing_behind(sqlite: StoreFixture, tmp_path: Path) -> None:
    """After a compaction no byte of what was erased is in the file or its log, which is empty."""
    canary = b"CANARY-51c0" * 300
    for index in range(30):
        await sqlite.commit(f"t{index}", None, [item(f"t{index}", 0, payload=canary)])
    await sqlite.commit("keeps")
    for index in range(30):
        await sqlite.acme.delete_response(response_id(f"t{index}"))
    said: list[str] = []
    before = (tmp_path / "store.db").stat().st_size
    await sqlite.store.compact(progress=said.append)
    assert len(said) == 3
    assert (tmp_path / "store.db").stat().st_size <= before
    assert not [file.name for file in tmp_path.iterdir() if b"CANARY" in file.read_bytes()]
    assert (tmp_path / "store.db-wal").stat().st_size == 0
    assert await sqlite.history("keeps") == ["keeps.0", "keeps.1"]
    await sqlite.commit("after")
    assert await sqlite.store.check() == []


async def test_compaction_beside_a_reader_is_refused(tmp_path: Path, clock: FixedClock) -> None:
    """While somebody holds an old state of the file a compaction says so, and nothing is lost."""
    store = SQLiteSessionStore(tmp_path / "store.db", clock=clock, busy_timeout_s=0.01)
    await store.open()
    await StoreFixture(store, clock).commit("a")
    other = connect(tmp_path / "store.db", busy_timeout_ms=0, read_only=True)
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM items").fetchall()
    with pytest.raises(StoreUnavailable, match="Somebody else"):
        await store.compact()
    other.close(force=True)
    await store.compact()
    assert await StoreFixture(store, clock).history("a") == ["a.0", "a.1"]
    await store.close()


async def test_replaced_payload_is_overwritten(sqlite: StoreFixture, tmp_path: Path) -> None:
    """What a payload was before it was replaced is in no file any more, once the log is empty."""
    await sqlite.commit("a", None, [item("a", 0, payload=b"CANARY" * 30)])
    assert isinstance(sqlite.store, SQLiteSessionStore)
    [payload] = (await sqlite.acme.scan("items", after=None, limit=5)).payloads
    assert await sqlite.acme.replace([Replacement(old=payload, payload=b"other" * 30)]) == 1
    while not await sqlite.store.checkpoint():
        await asyncio.sleep(0)
    assert not [file.name for file in tmp_path.iterdir() if b"CANARY" in file.read_bytes()]


def test_whether_anything_is_plain_is_known_at_once() -> None:
    """The question whether any payload is plain is asked of each column, and reads no table that grows with use."""
    connection = apsw.Connection(":memory:")
    connection.execute(SCHEMA)
    plan = [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + upkeep._ANY_PLAIN)]
    scans = [line for line in plan if line.startswith("SCAN")]
    assert len(scans) == len(PAYLOADS)
    assert sorted(line.split()[1] for line in scans if "_plain" not in line) == [
        "pending_requests",
        "stream_events",
        "tenants",
    ]


async def test_damage_holds_up_nothing_else(tmp_path: Path, clock: FixedClock) -> None:
    """A write that meets a damaged page is refused as damage each time; whoever does not need the page writes on."""
    path = tmp_path / "store.db"
    store = SQLiteSessionStore(path, clock=clock)
    await store.open()
    await store.close()
    file = connect(path, busy_timeout_ms=0)
    [(page,)] = file.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'prompts'").fetchall()
    file.close()
    content = bytearray(path.read_bytes())
    content[int(str(page)) * 4096 - 1] ^= 1
    path.write_bytes(content)
    await store.open()
    fixture = StoreFixture(store, clock)
    for index in range(3):
        with pytest.raises(StoreCorrupt, match="another program"):
            await fixture.acme.add_prompt(NewPrompt(id=f"pmpt_{index}", version=1, created_at=1, payload=b"\0"))
        await fixture.commit(f"t{index}")
    await store.close()
