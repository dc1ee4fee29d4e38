"""What lists and forks cost in SQLite, and what the check finds where they are damaged."""

from __future__ import annotations

import asyncio
from pathlib import Path

import apsw
import pytest

from antiphon.hub.ids import TenantId
from antiphon.sessions.library import Filter, NewPrompt
from antiphon.stores.sqlite import SQLiteSessionStore
from antiphon.stores.sqlite.connection import connect
from antiphon.stores.sqlite.listing import Listing, conversations_of, responses_of
from antiphon.stores.sqlite.rows import rows_of
from antiphon.testing.store_fixture import StoreFixture, conversation_id, item, item_id

ACME = TenantId("acme")


def rows_in(path: Path) -> dict[str, int]:
    """How many rows each table has."""
    connection = connect(path, busy_timeout_ms=1000)
    count = "SELECT count(*) FROM "
    tables = [
        str(name) for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    ]
    counts = {name: rows_of(connection, count + name)[0][0] for name in tables}
    connection.close()
    return counts


@pytest.mark.parametrize("at", [None, item_id("c", 300)], ids=["whole", "at an item"])
async def test_fork_writes_no_item(sqlite: StoreFixture, tmp_path: Path, at: str | None) -> None:
    """However long a conversation is, a fork of it is one log and one conversation."""
    await sqlite.create("c", [item("c", index) for index in range(500)])
    await sqlite.remove("c", *(item_id("c", index) for index in range(10)))
    before = rows_in(tmp_path / "store.db")
    await sqlite.fork("c", "f", at=at)
    after = rows_in(tmp_path / "store.db")
    grown = {table: after[table] - before[table] for table in after if after[table] != before[table]}
    assert grown == {"logs": 1, "conversations": 1}


def meter(connection: apsw.Connection) -> list[int]:
    """A list that grows by one with every ten of SQLite's own steps."""
    seen: list[int] = []

    def on_progress() -> bool:
        seen.append(1)
        return False

    connection.set_progress_handler(on_progress, 10)
    return seen


async def cost_of(path: Path, listing: Listing) -> int:
    """What reading a page costs, by the meter."""
    connection = connect(path, busy_timeout_ms=1000, read_only=True)
    seen = meter(connection)
    page = await listing.read(connection, ACME)
    assert len(page.data) == listing.limit
    connection.close()
    return len(seen)


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("terms", [(), (b"red",)], ids=["all", "by a term"])
async def test_page_costs_the_same_in_a_long_list(
    sqlite: StoreFixture, tmp_path: Path, order: str, terms: tuple[bytes, ...]
) -> None:
    """A page of a long list reads no more than a page of a short one."""
    wanted = Filter(limit=10, order="asc" if order == "asc" else "desc", terms=terms)
    listings = [responses_of(wanted, after=None, now_s=int(sqlite.clock())), conversations_of(wanted, after=None)]

    async def fill(numbers: range) -> None:
        for n in numbers:
            await sqlite.create(f"c{n}", terms=terms)
        await asyncio.gather(*(sqlite.commit(f"t{n}", None, [], terms=terms) for n in numbers))

    await fill(range(20))
    short = [await cost_of(tmp_path / "store.db", listing) for listing in listings]
    await fill(range(20, 200))
    long = [await cost_of(tmp_path / "store.db", listing) for listing in listings]
    assert all(after <= before * 1.1 + 1 for before, after in zip(short, long, strict=True)), (short, long)


async def test_filter_that_fits_little_lets_others_in(sqlite: StoreFixture) -> None:
    """While a list passes over what does not fit, other tasks go on."""
    for start in range(0, 1000, 100):
        await asyncio.gather(*(sqlite.commit(f"t{n}", None, []) for n in range(start, start + 100)))
    reading = asyncio.ensure_future(sqlite.acme.list_responses(Filter(model="none")))
    ticks = 0
    while not reading.done():
        ticks += 1
        await asyncio.sleep(0)
    assert ticks >= 3
    assert reading.result().data == ()


DAMAGE = {
    "a removed item that nobody shows is kept": (
        "INSERT INTO removals SELECT tenant, item_log, item_log, position, 1 FROM removals",
        "keeps removed items",
    ),
    "an item that a fork shows is erased": (
        "UPDATE items SET id = NULL, type = NULL, payload = NULL WHERE id = 'msg_c_1'",
        "erased and still seen",
    ),
    "a base reaches further than anything that looks into it": (
        """
        DELETE FROM conversations WHERE id = 'conv_f';
        UPDATE logs SET base_position = 0 WHERE base_log IN (SELECT log FROM logs WHERE base_log IS NOT NULL);
        """,
        "looks further into its base",
    ),
    "a conversation stands on a chain": (
        "UPDATE logs SET kind = 'chain' WHERE log = (SELECT log FROM conversations WHERE id = 'conv_c')",
        "stands on a chain",
    ),
    "a fork is of another family": (
        "UPDATE logs SET family = 'other' WHERE log = (SELECT log FROM conversations WHERE id = 'conv_f')",
        "of another family",
    ),
    "a removal names an item elsewhere": (
        "UPDATE removals SET item_log = (SELECT log FROM responses)",
        "does not go through",
    ),
    "a term leads nowhere": ("INSERT INTO metadata_index VALUES ('acme', x'00', 'response', 1, 'resp_no')", "resp_no"),
    "a term has the wrong place": ("UPDATE metadata_index SET ordinal = 99 WHERE kind = 'response'", "resp_a"),
    "a version of a prompt is gone": ("DELETE FROM prompts WHERE version = 1", "prompt pmpt_p lacks a version"),
}


@pytest.mark.parametrize("name", DAMAGE)
async def test_check_finds_damage(name: str, sqlite: StoreFixture, tmp_path: Path) -> None:
    """Whatever breaks a rule of forks, terms or prompts is reported by the check."""
    statement, finding = DAMAGE[name]
    await sqlite.create("c", [item("c", index) for index in range(3)], terms=(b"red",))
    await sqlite.commit("a", terms=(b"red",))
    await sqlite.fork("c", "f")
    await sqlite.remove("f", item_id("c", 0))
    await sqlite.fork("f", "g", at=item_id("c", 1))
    for text in (b"one", b"two"):
        await sqlite.acme.add_prompt(NewPrompt(id="pmpt_p", created_at=1, payload=text))
    assert await sqlite.store.check() == []
    connection = connect(tmp_path / "store.db", busy_timeout_ms=1000)
    connection.execute(statement)
    connection.close()
    problems = await sqlite.store.check()
    assert [problem for problem in problems if finding in problem], problems


async def test_forks_survive_a_restart(sqlite: StoreFixture) -> None:
    """Forks, what they hide, terms and prompts are there when the store is opened again."""
    await sqlite.create("c", [item("c", index) for index in range(3)])
    await sqlite.fork("c", "f", at=item_id("c", 1), terms=(b"red",))
    await sqlite.remove("f", item_id("c", 0))
    await sqlite.acme.add_prompt(NewPrompt(id="pmpt_p", created_at=1, payload=b"text"))
    assert sqlite.reopen is not None
    await sqlite.reopen()
    assert await sqlite.present("f") == ["c.1"]
    page = await sqlite.acme.list_conversations(Filter(terms=(b"red",)))
    assert [each.id for each in page.data] == [conversation_id("f")]
    prompt = await sqlite.acme.read_prompt("pmpt_p")
    assert prompt is not None
    assert prompt.payload == b"text"


async def test_refused_cascade_among_others_leaves_nothing(sqlite: StoreFixture) -> None:
    """A cascade that meets a held conversation, in one transaction with other writes, changes nothing."""
    await sqlite.create("c", [item("c")])
    await sqlite.converse("c", "a")
    await sqlite.fork("c", "f")
    await sqlite.acme.acquire_lease(conversation_id("f"), "holder", 30)
    answers = await asyncio.gather(
        sqlite.commit("x"),
        sqlite.acme.delete_response("resp_a", cascade=True),
        sqlite.commit("y"),
        return_exceptions=True,
    )
    assert [type(answer).__name__ for answer in answers] == ["Committed", "ConversationLocked", "Committed"]
    assert await sqlite.present("c") == ["c.0", "a.0", "a.1"]
    assert await sqlite.history("a") == ["c.0", "a.0", "a.1"]
    assert isinstance(sqlite.store, SQLiteSessionStore)
    assert await sqlite.store.check() == []


def test_meter_counts() -> None:
    """The meter that tells what a page costs grows with the work."""
    count = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ?1) SELECT count(*) FROM n"
    connection = apsw.Connection(":memory:")
    seen = meter(connection)
    connection.execute(count, (100,)).fetchall()
    few = len(seen)
    connection.execute(count, (1000,)).fetchall()
    assert len(seen) - few > 5 * few > 0
