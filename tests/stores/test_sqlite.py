"""What is SQLite's own: opening, group commit, failure, checkpoints, other processes, what is left in the file."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import apsw
import pytest

from antiphon.hub.errors import StoreConflict, StoreCorrupt, StoreUnavailable
from antiphon.hub.ids import TenantId
from antiphon.sessions.records import Committed, Head
from antiphon.stores.sqlite import SQLiteSessionStore
from antiphon.stores.sqlite.checkpointer import Checkpointer
from antiphon.stores.sqlite.connection import connect
from antiphon.testing.store_fixture import FixedClock, StoreFixture, item, item_id, response_id


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


class Gate:
    """Holds the writer inside a job, so that what is asked meanwhile is in its queue when it goes on."""

    def __init__(self, fixture: StoreFixture) -> None:
        store = fixture.store
        assert isinstance(store, SQLiteSessionStore)
        self._writer = store._open_connections().writer
        self._entered = threading.Event()
        self._open = threading.Event()

    async def __aenter__(self) -> None:
        self._held = asyncio.create_task(self._writer.run(self._wait))
        await asyncio.get_running_loop().run_in_executor(None, self._entered.wait, 10)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(0)  # the tasks made meanwhile run up to their first wait: they are in the queue
        self._open.set()
        await self._held

    def _wait(self, _connection: apsw.Connection) -> None:
        self._entered.set()
        assert self._open.wait(10)


async def count_transactions(fixture: StoreFixture) -> list[int]:
    """A list that grows by one with every transaction of the writer."""
    store = fixture.store
    assert isinstance(store, SQLiteSessionStore)
    seen: list[int] = []

    def on_commit() -> bool:
        seen.append(1)
        return False

    await store._open_connections().writer.run(lambda connection: connection.set_commit_hook(on_commit))
    seen.clear()
    return seen


async def on_writer(fixture: StoreFixture, pragma: str, value: int) -> None:
    store = fixture.store
    assert isinstance(store, SQLiteSessionStore)
    await store._open_connections().writer.run(lambda connection: connection.pragma(pragma, value))


async def test_waiting_turns_share_a_transaction(sqlite: StoreFixture) -> None:
    """Turns that wait together are committed together."""
    seen = await count_transactions(sqlite)
    async with Gate(sqlite):
        tasks = [asyncio.create_task(sqlite.commit(f"t{index}")) for index in range(40)]
    await asyncio.gather(*tasks)
    assert len(seen) == 2  # the job that held the gate, then all of the others
    for index in range(40):
        assert await sqlite.history(f"t{index}") == [f"t{index}.0", f"t{index}.1"]


async def test_batch_has_an_end(sqlite: StoreFixture) -> None:
    """More turns than fit in a batch need more transactions, and all of them are stored."""
    seen = await count_transactions(sqlite)
    async with Gate(sqlite):
        tasks = [asyncio.create_task(sqlite.commit(f"t{index}")) for index in range(100)]
    await asyncio.gather(*tasks)
    assert len(seen) == 3


async def test_conflict_stays_with_its_own_turn(sqlite: StoreFixture) -> None:
    """In a batch, a turn that is refused is told so, and its neighbours are stored."""
    await sqlite.commit("taken")
    seen = await count_transactions(sqlite)
    async with Gate(sqlite):
        turns = [
            sqlite.turn("a"),
            sqlite.turn("b", None, [item("b"), item("taken", 0, payload=b"other")]),
            sqlite.turn("c"),
        ]
        tasks = [asyncio.create_task(sqlite.acme.commit(turn)) for turn in turns]
    a, b, c = await asyncio.gather(*tasks, return_exceptions=True)
    assert len(seen) == 2
    assert isinstance(a, Committed)
    assert isinstance(b, StoreConflict)
    assert isinstance(c, Committed)
    assert c.insertion_index == a.insertion_index + 1
    assert await sqlite.left(item_id("b")) == set()
    assert await sqlite.store.check() == []


async def test_programming_error_stays_with_its_own_turn(sqlite: StoreFixture) -> None:
    """A turn that cannot be written at all fails alone."""
    async with Gate(sqlite):
        turns = [sqlite.turn("a"), sqlite.turn("b", payload=object()), sqlite.turn("c")]
        tasks = [asyncio.create_task(sqlite.acme.commit(turn)) for turn in turns]
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in answers] == [Committed, TypeError, Committed]


async def test_cancelled_caller_harms_nobody(sqlite: StoreFixture) -> None:
    """A caller that gives up while its turn waits leaves a sound store, and the others get their answers."""
    async with Gate(sqlite):
        tasks = [asyncio.create_task(sqlite.commit(name)) for name in ("a", "b", "c")]
        await asyncio.sleep(0)
        tasks[1].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[1], asyncio.CancelledError)
    assert await sqlite.history("c") == ["c.0", "c.1"]
    assert await sqlite.store.check() == []


async def test_full_disk_is_said_and_survived(sqlite: StoreFixture) -> None:
    """On a full disk a whole batch is StoreUnavailable and stores nothing; with room again the next succeeds."""
    await sqlite.commit("a")
    await on_writer(sqlite, "max_page_count", 1)
    big = [item("b", 0, payload=bytes(1_000_000))]
    async with Gate(sqlite):
        tasks = [
            asyncio.create_task(sqlite.commit("b", None, big)),
            asyncio.create_task(sqlite.acme.delete_response(response_id("a"))),
        ]
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreUnavailable, StoreUnavailable]
    assert await sqlite.history("a") == ["a.0", "a.1"]
    await on_writer(sqlite, "max_page_count", 1_000_000)
    await sqlite.commit("b", None, big)
    assert await sqlite.store.check() == []


async def test_failing_commit_fails_its_batch(sqlite: StoreFixture) -> None:
    """If COMMIT itself fails, every turn of its batch hears so, nothing of them is stored, and the next is."""
    store = sqlite.store
    assert isinstance(store, SQLiteSessionStore)
    writer = store._open_connections().writer
    async with Gate(sqlite):
        tasks = [asyncio.create_task(sqlite.commit(name)) for name in ("a", "b")]
        await asyncio.sleep(0)
        hook = asyncio.create_task(writer.run(lambda connection: connection.set_commit_hook(lambda: True)))
    answers = await asyncio.gather(*tasks, hook, return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreUnavailable] * 3
    assert await sqlite.acme.get_by_response_id(response_id("a")) is None
    await writer.run(lambda connection: connection.set_commit_hook(None))
    await sqlite.commit("a")
    assert await sqlite.history("a") == ["a.0", "a.1"]


async def test_another_process_that_writes_is_waited_for_in_vain(path: Path, clock: FixedClock) -> None:
    """A turn fails when another process holds the file too long, and succeeds when it let go."""
    store = SQLiteSessionStore(path, clock=clock, busy_timeout_s=0.01)
    await store.open()
    fixture = StoreFixture(store, clock)
    other = connect(path, busy_timeout_ms=0)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable):
        await fixture.commit("a")
    other.execute("ROLLBACK")
    other.close()
    await fixture.commit("a")
    await store.close()


async def test_two_stores_on_one_file(path: Path, clock: FixedClock) -> None:
    """A second store on the file sees at once what the first has stored, and adds to it."""
    server, tool = (SQLiteSessionStore(path, clock=clock) for _ in range(2))
    await server.open()
    await tool.open()
    first, second = StoreFixture(server, clock), StoreFixture(tool, clock)
    a = await first.commit("a")
    assert await second.history("a") == ["a.0", "a.1"]
    b = await second.commit("b", a.head)
    fork = await first.commit("fork", a.head)
    assert (b.head.log, fork.insertion_index) == (a.head.log, b.insertion_index + 1)
    assert fork.head.log != a.head.log
    assert await tool.check() == []
    await tool.close()
    await first.commit("c", b.head)
    await server.close()


def test_two_event_loops_one_after_the_other(path: Path, clock: FixedClock) -> None:
    """A store may be closed in one event loop and opened again in another."""
    store = SQLiteSessionStore(path, clock=clock)
    fixture = StoreFixture(store, clock)

    async def use(name: str) -> None:
        await store.open()
        await fixture.commit(name)
        await store.close()

    asyncio.run(use("a"))
    asyncio.run(use("b"))
    with pytest.raises(StoreUnavailable):
        asyncio.run(fixture.commit("c"))


async def test_closed_store_says_so(path: Path) -> None:
    """Before open and after the last close every operation is StoreUnavailable; a close too many does nothing."""
    store = SQLiteSessionStore(path)
    tenant = store.for_tenant(TenantId("acme"))
    await store.close()
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await store.ping()
        with pytest.raises(StoreUnavailable):
            await tenant.get_by_response_id("resp_a")
        with pytest.raises(StoreUnavailable):
            await tenant.delete_response("resp_a")
        await asyncio.gather(store.open(), store.open())
        await store.close()
        await store.ping()
        await store.close()
        await store.close()


async def test_two_who_open_at_once_share_one_writer(path: Path) -> None:
    """Opening a store twice at the same moment starts its threads once, and closing it ends them."""
    store = SQLiteSessionStore(path)
    names = ("antiphon-sqlite-writer", "antiphon-sqlite-checkpointer")
    await asyncio.gather(store.open(), store.open())
    running = [thread.name for thread in threading.enumerate() if thread.name in names]
    assert sorted(running) == sorted(names)
    await asyncio.gather(store.close(), store.close())
    assert not [thread.name for thread in threading.enumerate() if thread.name in names]


async def test_rollback_that_fails_does_not_end_the_writer(sqlite: StoreFixture) -> None:
    """When even the rollback of a failed transaction fails, its callers are told, and the next ones are served."""
    store = sqlite.store
    assert isinstance(store, SQLiteSessionStore)
    writer = store._open_connections().writer

    def fail() -> None:
        raise apsw.IOError

    async with asyncio.timeout(10):
        writer._connection.set_rollback_hook(fail)
        with pytest.raises(StoreUnavailable):
            await writer.run(lambda connection: connection.execute("not a statement"))
        writer._connection.set_rollback_hook(None)
        await sqlite.commit("a")


async def _serves(fixture: StoreFixture) -> bool:
    try:
        await fixture.store.ping()
    except StoreUnavailable:
        return False
    return True


@pytest.mark.parametrize("replaced", [False, True], ids=["deleted", "replaced"])
async def test_file_that_was_taken_away_is_noticed(sqlite: StoreFixture, path: Path, replaced: bool) -> None:
    """A deleted or replaced file is StoreUnavailable as soon as it is noticed: what is written would be gone."""
    await sqlite.commit("a")
    path.rename(path.with_suffix(".old"))
    if replaced:
        path.write_bytes(path.with_suffix(".old").read_bytes())
    async with asyncio.timeout(10):
        while await _serves(sqlite):
            await asyncio.sleep(0.001)
    for attempt in (sqlite.commit("b"), sqlite.store.ping(), sqlite.acme.get_by_response_id("resp_a")):
        with pytest.raises(StoreUnavailable, match="deleted or replaced"):
            await attempt
    path.with_suffix(".old").replace(path)
    await sqlite.commit("b")


async def test_close_finishes_what_was_accepted(path: Path, clock: FixedClock) -> None:
    """Turns that were in the queue when the store was closed are stored and answered."""
    store = SQLiteSessionStore(path, clock=clock)
    await store.open()
    fixture = StoreFixture(store, clock)
    tasks = [asyncio.create_task(fixture.commit(f"t{index}")) for index in range(10)]
    await asyncio.sleep(0)
    await store.close()
    assert len(await asyncio.gather(*tasks)) == 10


async def test_what_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    """A directory that is missing, and a file that is no database, are refused with the reason."""
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        await SQLiteSessionStore(tmp_path / "missing" / "store.db").open()
    (tmp_path / "text.db").write_bytes(b"this is not a database" * 100)
    with pytest.raises(StoreCorrupt, match="damaged"):
        await SQLiteSessionStore(tmp_path / "text.db").open()


async def test_long_history_lets_others_in(sqlite: StoreFixture) -> None:
    """While a long history is read other tasks go on, and they see what was committed meanwhile."""
    head: Head | None = None
    for index in range(20):
        entries = [item(f"t{index}", number) for number in range(50)]
        head = (await sqlite.commit(f"t{index}", head, entries)).head
    reading = asyncio.create_task(sqlite.history("t19"))
    await asyncio.sleep(0)
    assert not reading.done()
    writing = asyncio.create_task(sqlite.commit("new"))
    ticks = 0
    while not reading.done():
        ticks += 1
        await asyncio.sleep(0)
    assert ticks >= 3
    await writing
    assert await sqlite.history("new") == ["new.0", "new.1"]
    assert len(reading.result()) == 1000


async def test_cancelled_read_gives_its_connection_back(sqlite: StoreFixture) -> None:
    """A long read that is cancelled half-way leaves no statement open: the log can be emptied afterwards."""
    store = sqlite.store
    assert isinstance(store, SQLiteSessionStore)
    await sqlite.commit("a", None, [item("a", number) for number in range(2000)])
    reading = asyncio.create_task(sqlite.history("a"))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert await store.checkpoint() is True
    assert len(await sqlite.history("a")) == 2000


async def test_erased_content_leaves_the_file(sqlite: StoreFixture, tmp_path: Path) -> None:
    """After erasing and a checkpoint no byte of the content is in the file or its write-ahead log."""
    store = sqlite.store
    assert isinstance(store, SQLiteSessionStore)
    canary = b"CANARY-7e3d1c-" * 40
    created = await sqlite.create("c", [item("c", 0, payload=canary), item("c", 1)])
    a = await sqlite.commit("a", created.head, [item("a", 0, payload=canary + bytes(9000))], payload=canary)
    await sqlite.commit("b", a.head, [item("b", 0, payload=canary)])
    await sqlite.commit("keeps")
    assert await store.checkpoint() is True
    assert any(b"CANARY" in file.read_bytes() for file in tmp_path.iterdir())
    await sqlite.acme.delete_response(response_id("b"))
    await sqlite.acme.delete_response(response_id("a"))
    await sqlite.acme.remove_item("conv_c", item_id("c", 0))
    assert await store.checkpoint() is True
    assert not [file.name for file in tmp_path.iterdir() if b"CANARY" in file.read_bytes()]


async def test_checkpointer_empties_a_long_log(path: Path) -> None:
    """Past its threshold the write-ahead log is moved into the file beside the writer, without being asked."""
    writing, checking = connect(path, busy_timeout_ms=1000), connect(path, busy_timeout_ms=1000)
    checkpointer = Checkpointer(checking, threshold_pages=5)
    writing.set_wal_hook(checkpointer.on_commit)
    writing.execute("CREATE TABLE t (payload)")
    for _ in range(20):
        writing.execute("INSERT INTO t VALUES (zeroblob(4000))")
    checkpointer.close()
    moved = path.stat().st_size
    assert moved > 4096 * 5
    assert writing.execute("SELECT count(*) FROM t").get == 20
    writing.close()
    checking.close()


async def test_what_was_erased_does_not_stay_in_the_log(path: Path) -> None:
    """However little is written, the log is emptied after a while: nothing that was erased is in any file then."""
    writing, checking = connect(path, busy_timeout_ms=1000), connect(path, busy_timeout_ms=1000)
    checkpointer = Checkpointer(checking, empty_after_s=0.01)
    writing.set_wal_hook(checkpointer.on_commit)
    log = path.with_name(path.name + "-wal")
    for _ in range(3):
        writing.execute("CREATE TABLE t (payload); INSERT INTO t VALUES ('CANARY')")
        writing.execute("DROP TABLE t")
        while log.stat().st_size:
            await asyncio.sleep(0.001)
        assert b"CANARY" not in path.read_bytes()
    checkpointer.close()
    writing.close()
    checking.close()


async def test_log_that_is_read_is_emptied_later(path: Path) -> None:
    """Who reads an old state keeps the log from being emptied, and loses nothing by it; the next try does it."""
    writing, checking, reading = (connect(path, busy_timeout_ms=1000) for _ in range(3))
    writing.execute("CREATE TABLE t (payload); INSERT INTO t VALUES ('old')")
    writing.execute("CREATE TABLE u (payload); INSERT INTO u VALUES ('another')")
    reading.execute("BEGIN")
    assert reading.execute("SELECT payload FROM t").get == "old"
    checkpointer = Checkpointer(checking, empty_after_s=0.0, retry_after_s=0.01)
    writing.set_wal_hook(checkpointer.on_commit)
    writing.execute("UPDATE t SET payload = 'new'")
    while b"another" not in path.read_bytes():
        await asyncio.sleep(0.001)
    log = path.with_name(path.name + "-wal")
    assert log.stat().st_size
    assert reading.execute("SELECT payload FROM t").get == "old"
    reading.execute("COMMIT")
    while log.stat().st_size:
        await asyncio.sleep(0.001)
    assert reading.execute("SELECT payload FROM t").get == "new"
    checkpointer.close()
    for connection in (writing, checking, reading):
        connection.close()


async def test_close_empties_the_log(path: Path, clock: FixedClock) -> None:
    """A closed store is one file: nothing is left beside it."""
    store = SQLiteSessionStore(path, clock=clock)
    await store.open()
    await StoreFixture(store, clock).commit("a")
    await store.close()
    assert [file.name for file in path.parent.iterdir()] == ["store.db"]


async def emptied(store: SQLiteSessionStore) -> None:
    """Wait until the log is empty: the store's own checkpoint may be under way."""
    while not await store.checkpoint():
        await asyncio.sleep(0)


async def test_turn_costs_little_space(sqlite: StoreFixture, tmp_path: Path) -> None:
    """The file grows by at most twice a turn's own items and 2 KB, however long the history is."""
    store = sqlite.store
    assert isinstance(store, SQLiteSessionStore)

    async def add(start: int, head: Head | None) -> Head:
        for index in range(start, start + 100):
            entries = [item(f"t{index}", number, payload=bytes(800)) for number in (0, 1)]
            head = (await sqlite.commit(f"t{index}", head, entries, payload=bytes(500))).head
        assert head is not None
        return head

    head = await add(0, None)
    await emptied(store)
    before = (tmp_path / "store.db").stat().st_size
    await add(100, head)
    await emptied(store)
    growth = ((tmp_path / "store.db").stat().st_size - before) / 100
    assert growth <= 2 * 1600 + 2048
