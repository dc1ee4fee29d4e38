"""What is SQLite's own about pending turns, keys and deliveries: what a turn costs, and what the check finds."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from antiphon.sessions.work import KeyClaim
from antiphon.stores.sqlite import SQLiteSessionStore, work_queries
from antiphon.stores.sqlite.connection import connect
from antiphon.testing.store_deliveries import delivery
from antiphon.testing.store_fixture import FixedClock, StoreFixture, item, response_id
from antiphon.testing.store_pending import begin, events

OF_WORK = {value for name, value in vars(work_queries).items() if name.isupper() and not name.startswith("_")}


class Trace:
    """What the writer does: the statements that it runs, and how many transactions it commits."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.transactions = 0

    def install(self, connection: apsw.Connection) -> None:
        connection.exec_trace = self._on_statement
        connection.set_commit_hook(self._on_commit)

    def _on_statement(self, _cursor: apsw.Cursor, statement: str, _bindings: object) -> bool:
        self.statements.append(statement)
        return True

    def _on_commit(self) -> bool:
        self.transactions += 1
        return False

    def clear(self) -> None:
        self.statements.clear()
        self.transactions = 0


@pytest.fixture
async def trace(sqlite: StoreFixture) -> Trace:
    assert isinstance(sqlite.store, SQLiteSessionStore)
    trace = Trace()
    await sqlite.store._open_connections().writer.run(trace.install)
    trace.clear()
    return trace


async def test_ordinary_turn_pays_nothing_for_work(sqlite: StoreFixture, trace: Trace) -> None:
    """A turn without claim and deliveries is one transaction that runs none of the statements about work."""
    await sqlite.commit("a", trace=b"trace", ephemeral=True)
    assert trace.transactions == 1
    assert not OF_WORK.intersection(trace.statements)


async def test_pending_turn_ends_in_one_transaction(sqlite: StoreFixture, trace: Trace) -> None:
    """The response, the end of its pending row, its key and its deliveries are one transaction."""
    claim = await begin(sqlite, "a")
    await sqlite.acme.append_events(claim, events(0))
    trace.clear()
    await sqlite.commit("a", claim=claim, deliveries=(delivery(sqlite, "a"),))
    assert trace.transactions == 1


async def test_renewal_leaves_the_request_alone(sqlite: StoreFixture, tmp_path: Path) -> None:
    """Renewing a claim, or keeping events, does not write the request again, however long it is."""
    assert isinstance(sqlite.store, SQLiteSessionStore)
    claim = await begin(sqlite, "a", payload=bytes(1_000_000))
    assert await sqlite.store.checkpoint()
    await sqlite.store.renew_claims("one", 60)
    await sqlite.acme.append_events(claim, events(0))
    assert (tmp_path / "store.db-wal").stat().st_size < 200_000


async def test_two_processes_share_the_work(tmp_path: Path, clock: FixedClock) -> None:
    """What one process opened another one sees, cancels, takes over and ends; the first one is fenced."""
    stores = [SQLiteSessionStore(tmp_path / "store.db", clock=clock) for _ in range(2)]
    first, second = (StoreFixture(store, clock) for store in stores)
    for store in stores:
        await store.open()
    claim = await begin(first, "a", ttl_s=10)
    await first.acme.append_events(claim, events(0))
    assert await second.acme.request_cancel(response_id("a")) is True
    assert await first.acme.append_events(claim, events(2)) is True
    clock.advance(10)
    [(_, found, taken)] = await second.store.take_over("two", 10, 5)
    assert (found.attempts, found.cancel_requested) == (2, True)
    assert await second.acme.read_events(response_id("a"), first=1) == (events(0), events(2))
    assert await first.acme.drop_turn(claim) is False
    await second.commit("a", claim=taken)
    assert await first.history("a") == ["a.0", "a.1"]
    for store in stores:
        await store.close()


DAMAGE = {
    "a stored turn is pending": (
        "UPDATE pending SET response_id = 'resp_done' WHERE response_id = 'resp_a'",
        "response resp_done is pending and stored",
    ),
    "a background turn has no place": (
        "UPDATE pending SET insertion_index = NULL",
        "the pending turn resp_a has no place in lists",
    ),
    "a place is given twice": (
        "UPDATE pending SET insertion_index = (SELECT insertion_index FROM responses)",
        "the pending turn resp_a has the place of another response",
    ),
    "a place is beyond the counter": ("UPDATE pending SET insertion_index = 99", "counter has not reached"),
    "a pending turn's term is left over": (
        "UPDATE metadata_index SET object_id = 'resp_x'",
        "a term leads to resp_x",
    ),
    "a request is gone": ("DELETE FROM pending_requests WHERE response_id = 'resp_a'", "has lost its request"),
    "a request is left over": (
        "INSERT INTO pending_requests VALUES ('acme', 'resp_x', x'00')",
        "a request is kept for resp_x",
    ),
    "events are left over": (
        "INSERT INTO stream_events VALUES ('acme', 'resp_x', 0, 1, x'00')",
        "stream events are kept for resp_x",
    ),
    "a group is gone": ("DELETE FROM stream_events WHERE first = 2", "the stream of the pending turn resp_a has gaps"),
    "the last group is gone": ("DELETE FROM stream_events WHERE first = 4", "the pending turn resp_a has gaps"),
    "all groups are gone": ("DELETE FROM stream_events", "the pending turn resp_a has gaps"),
    "groups overlap": ("UPDATE stream_events SET count = 3 WHERE first = 0", "the pending turn resp_a has gaps"),
    "a stream is queued": ("UPDATE pending SET status = 'queued'", "the pending turn resp_a has gaps"),
    "a bound key's turn is gone": (
        "DELETE FROM pending WHERE response_id = 'resp_a'",
        "bound to resp_a, which is not pending for it",
    ),
    "a key is bound to another's turn": ("UPDATE pending SET key = x'99'", "bound to resp_a, which is not pending for"),
    "a bound key is claimed": (
        "UPDATE idempotency SET holder = 'one' WHERE response_id IS NOT NULL",
        "claimed although it is bound",
    ),
    "a key is nothing": ("UPDATE idempotency SET holder = NULL", "tenant acme is claimed although"),
    "the counter of claims was set back": ("UPDATE tenants SET next_key_epoch = 1", "counter has not reached"),
    "a delivery outlived its response": (
        "UPDATE deliveries SET response_id = 'resp_x'",
        "delivery wh_done_0 tells of a response that is not there",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
async def test_check_finds_damage(name: str, sqlite: StoreFixture, tmp_path: Path) -> None:
    """Whatever breaks a rule about work is reported by the store's check."""
    statement, finding = DAMAGE[name]
    for key in (b"bound", b"claimed"):
        claimed = await sqlite.acme.take_key(key, b"f", holder="one", ttl_s=30, expires_at=2_000_000)
        assert isinstance(claimed, KeyClaim)
        if key == b"bound":
            claim = await begin(sqlite, "a", key=claimed, terms=(b"red",))
    for first in (0, 2, 4):
        await sqlite.acme.append_events(claim, events(first))
    await sqlite.commit("done", None, [item("done")], deliveries=(delivery(sqlite, "done"),))
    assert await sqlite.store.check() == []
    connection = connect(tmp_path / "store.db", busy_timeout_ms=1000)
    connection.execute(statement)
    connection.close()
    problems = await sqlite.store.check()
    assert [problem for problem in problems if finding in problem], problems
