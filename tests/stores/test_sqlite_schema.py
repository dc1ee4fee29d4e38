"""The schema, its migrations, the plans of all statements, and what the check finds in a damaged file."""

from __future__ import annotations

import importlib
import pkgutil
import re
from contextlib import suppress
from pathlib import Path

import apsw
import msgspec
import pytest

from antiphon.hub.errors import StoreCorrupt, StoreUnavailable
from antiphon.sessions.records import Page
from antiphon.stores import sqlite
from antiphon.stores.sqlite import SQLiteSessionStore
from antiphon.stores.sqlite.columns import COLUMNS
from antiphon.stores.sqlite.connection import connect, translate
from antiphon.stores.sqlite.migrations import MIGRATIONS
from antiphon.stores.sqlite.schema import CURRENT, PAYLOADS, SCHEMA, Schema, prepare
from antiphon.testing.store_fixture import FixedClock, StoreFixture, item, item_id, refer, response_id

# Every statement of every module of statements.
STATEMENTS = {
    name: value
    for module in pkgutil.iter_modules(sqlite.__path__, f"{sqlite.__name__}.")
    if module.name.endswith("queries")
    for name, value in vars(importlib.import_module(module.name)).items()
    if name.isupper() and not name.startswith("_")
}

# What a plan may scan: terms of WITH clauses, and the list of ids that a statement was given.
_SMALL = {"start", "path", "places", "shown", "at", "removed", "seeing", "listed", "wanted", "json_each", "CONSTANT"}


def plan_of(statement: str) -> list[str]:
    connection = apsw.Connection(":memory:")
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)  # as connect() does
    connection.execute(SCHEMA)
    count = max(map(int, re.findall(r"\?(\d+)", statement)), default=0)
    return [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + statement, (None,) * count)]


def scans(plan: list[str]) -> list[str]:
    found = [line.split()[1] for line in plan if line.startswith("SCAN")]
    return [table for table in found if table not in _SMALL]


@pytest.mark.parametrize("name", STATEMENTS)
def test_every_statement_has_an_index(name: str) -> None:
    """No statement of the daily work reads a whole table, or sorts more than a page of what it found."""
    plan = plan_of(STATEMENTS[name])
    assert scans(plan) == [], plan


def test_scan_would_be_noticed() -> None:
    """The test above sees a statement that reads a whole table."""
    assert scans(plan_of("SELECT * FROM items WHERE type = ?1")) == ["items"]
    assert len(STATEMENTS) > 30


ORDERED = (
    "READ_RESPONSES_OF",
    "READ_EXPIRED",
    "READ_LAST_CREATED_AT",
    "READ_OWN_ITEMS",
    "READ_EVENTS",
    "READ_EXPIRED_KEYS",
    "LIST_DELIVERIES",
    "LIST_DELIVERIES_AFTER",
    "LIST_RESPONSES_DOWN",
    "LIST_RESPONSES_UP",
    "LIST_RESPONSES_BY_TERM_DOWN",
    "LIST_RESPONSES_BY_TERM_UP",
    "LIST_CONVERSATIONS_DOWN",
    "LIST_CONVERSATIONS_UP",
    "LIST_CONVERSATIONS_BY_TERM_DOWN",
    "LIST_CONVERSATIONS_BY_TERM_UP",
    "LIST_PROMPTS",
)


@pytest.mark.parametrize("name", ORDERED)
def test_order_comes_from_an_index(name: str) -> None:
    """Statements that order their rows read them in order."""
    assert not [line for line in plan_of(STATEMENTS[name]) if "TEMP B-TREE" in line]


_COLUMNS = {"table": "SELECT * FROM pragma_table_xinfo(?)", "index": "SELECT * FROM pragma_index_xinfo(?)"}


def shape(connection: apsw.Connection) -> dict[str, list[tuple[object, ...]]]:
    """Every table's columns and every index's columns, whatever text made them."""
    found: dict[str, list[tuple[object, ...]]] = {}
    for kind, name in connection.execute("SELECT type, name FROM sqlite_schema ORDER BY name").fetchall():
        columns = _COLUMNS.get(str(kind))  # a trigger has none
        found[f"{kind} {name}"] = [] if columns is None else connection.execute(columns, (name,)).fetchall()
    return found


def test_migrated_file_is_like_a_fresh_one(tmp_path: Path) -> None:
    """A file of an older version, migrated, has the schema of one that was made now; its data stays."""
    step = """
        ALTER TABLE conversations ADD COLUMN title_length INTEGER NOT NULL DEFAULT 0;
        CREATE INDEX conversations_by_title ON conversations (tenant, title_length);
    """
    script = SCHEMA.replace(
        "    payload BLOB NOT NULL\n) STRICT;\nCREATE UNIQUE INDEX conversations_key",
        "    payload BLOB NOT NULL,\n    title_length INTEGER NOT NULL DEFAULT 0\n) STRICT;\n"
        "CREATE INDEX conversations_by_title ON conversations (tenant, title_length);\n"
        "CREATE UNIQUE INDEX conversations_key",
    )
    newer = Schema(script=script, migrations=(*MIGRATIONS, step))
    old, fresh = (connect(tmp_path / name, busy_timeout_ms=0) for name in ("old.db", "fresh.db"))
    prepare(old, CURRENT)
    old.execute("INSERT INTO conversations (tenant, id, log, created_at, payload) VALUES ('t', 'c', 1, 2, x'00')")
    prepare(old, newer)
    prepare(fresh, newer)
    assert shape(old) == shape(fresh)
    assert old.pragma("user_version") == fresh.pragma("user_version") == newer.version
    assert old.execute("SELECT id, title_length FROM conversations").fetchall() == [("c", 0)]
    old.close()
    fresh.close()


def test_failed_migration_changes_nothing(tmp_path: Path) -> None:
    """A migration that fails half-way leaves the file as it was."""
    connection = connect(tmp_path / "store.db", busy_timeout_ms=0)
    prepare(connection)
    before = shape(connection)
    broken = "CREATE TABLE half (a) STRICT; CREATE TABLE half (a INTEGER) STRICT;"
    with pytest.raises(apsw.SQLError):
        prepare(connection, Schema(script=SCHEMA, migrations=(*MIGRATIONS, broken)))
    assert shape(connection) == before
    assert connection.pragma("user_version") == CURRENT.version
    connection.close()


async def test_newer_schema_is_refused(tmp_path: Path, clock: FixedClock) -> None:
    """A file of a newer version is refused with what to do, and stays as it is."""
    path = tmp_path / "store.db"
    newer = SQLiteSessionStore(
        path, clock=clock, schema=msgspec.structs.replace(CURRENT, migrations=(*MIGRATIONS, "SELECT 1"))
    )
    await newer.open()
    await StoreFixture(newer, clock).commit("a")
    await newer.close()
    with pytest.raises(StoreUnavailable, match="Upgrade antiphon"):
        await SQLiteSessionStore(path, clock=clock).open()
    await newer.open()
    assert await StoreFixture(newer, clock).history("a") == ["a.0", "a.1"]
    await newer.close()


async def test_database_of_another_program_is_refused(tmp_path: Path) -> None:
    """A file with tables of somebody else is not touched."""
    other = apsw.Connection(str(tmp_path / "other.db"))
    other.execute("CREATE TABLE theirs (a)")
    other.close()
    with pytest.raises(StoreUnavailable, match="another program"):
        await SQLiteSessionStore(tmp_path / "other.db").open()


DAMAGE = {
    "a row of a chain is gone": ("DELETE FROM items WHERE id = 'msg_a_1'", "gaps"),
    "a position is broken": ("UPDATE items SET position = 77 WHERE id = 'msg_b_1'", "gaps"),
    "an item stands beyond the end": ("UPDATE items SET position = 77 WHERE id = 'msg_b_1'", "outside its range"),
    "a base is gone": ("DELETE FROM logs WHERE base_log IS NULL AND kind = 'chain'", "base does not have"),
    "a base is too far": ("UPDATE logs SET base_position = 99 WHERE base_log IS NOT NULL", "base does not have"),
    "a reference dangles": ("UPDATE items SET ref_position = 99 WHERE ref_log IS NOT NULL", "points at nothing"),
    "a reference has content": ("UPDATE items SET id = 'x', type = 'y' WHERE ref_log IS NOT NULL", "both an item"),
    "an item was erased in a live view": (
        "UPDATE items SET id = NULL, type = NULL, payload = NULL WHERE id = 'msg_a_0'",
        "never removed",
    ),
    "a response ends behind its log": (
        "UPDATE responses SET last_position = 99 WHERE id = 'resp_b'",
        "outside its log",
    ),
    "a response's output is misplaced": (
        "UPDATE responses SET output_position = 99 WHERE id = 'resp_b'",
        "outside its",
    ),
    "a turn is not whole": (
        "UPDATE items SET id = NULL, type = NULL, payload = NULL WHERE id = 'msg_b_0'",
        "response resp_b is not whole",
    ),
    "a conversation lost its log": ("UPDATE conversations SET log = 99", "no log of its own"),
    "the counter was set back": ("UPDATE tenants SET next_insertion_index = 1", "insertion index"),
    "a seal is gone": ("DELETE FROM families", "no seal"),
    "a seal is left over": ("INSERT INTO families VALUES ('acme', 'x', x'00')", "nothing is of family"),
    "a log is left over": (
        "INSERT INTO logs (tenant, log, family, kind, length) SELECT tenant, 99, family, 'chain', 0 FROM families",
        "nothing looks into log 99",
    ),
    "content outlived its turn": ("DELETE FROM responses WHERE id = 'resp_f'", "nothing reaches"),
    "removed content outlived who saw it": (
        "INSERT INTO removals SELECT tenant, log, log, 0, 1 FROM conversations",
        "keeps removed items",
    ),
    "a removal is left over": ("INSERT INTO removals VALUES ('acme', 99, 99, 0, 1)", "removal names log 99"),
}


async def damaged(fixture: StoreFixture, statement: str, path: Path) -> list[str]:
    """A small sound store, then *statement*, then what the check says."""
    a = await fixture.commit("a")
    await fixture.commit("b", a.head)
    await fixture.commit("f", a.head)
    await fixture.commit("r", None, [refer("a", 0)])
    await fixture.create("c", [item("c")])
    assert await fixture.store.check() == []
    connection = connect(path, busy_timeout_ms=1000)
    connection.execute(statement)
    connection.close()
    return await fixture.store.check()


@pytest.mark.parametrize("name", DAMAGE)
async def test_check_finds_damage(name: str, sqlite: StoreFixture, tmp_path: Path) -> None:
    """Whatever breaks a rule of the store is reported by its check."""
    statement, finding = DAMAGE[name]
    problems = await damaged(sqlite, statement, tmp_path / "store.db")
    assert [problem for problem in problems if finding in problem], problems


async def test_history_with_a_gap_is_never_shortened(sqlite: StoreFixture, tmp_path: Path) -> None:
    """A history that lacks a row is an error in every read of it."""
    await damaged(sqlite, "DELETE FROM items WHERE id = 'msg_a_1'", tmp_path / "store.db")
    for name in ("a", "b", "f"):
        with pytest.raises(StoreCorrupt):
            await sqlite.acme.read_history_after(response_id(name))
        with pytest.raises(StoreCorrupt):
            await sqlite.acme.list_input_items(response_id(name), Page())
    with pytest.raises(StoreCorrupt):
        await sqlite.acme.get_by_response_id(response_id("a"))
    assert await sqlite.acme.find_items([item_id("a", 1)]) == {}


async def test_damaged_page_is_reported(tmp_path: Path, clock: FixedClock) -> None:
    """Bytes that are not a page any more are reported, or refused, and never answered."""
    path = tmp_path / "store.db"
    store = SQLiteSessionStore(path, clock=clock)
    await store.open()
    await store.close()
    empty = path.stat().st_size // 4096
    await store.open()
    fixture = StoreFixture(store, clock)
    for index in range(30):
        await fixture.commit(f"t{index}", None, [item(f"t{index}", 0, payload=bytes(900))])
    await store.close()
    content = bytearray(path.read_bytes())
    assert len(content) // 4096 > empty
    for page in range(empty, len(content) // 4096):
        content[page * 4096 : page * 4096 + 16] = b"\xff" * 16
    path.write_bytes(content)
    await store.open()
    with suppress(StoreCorrupt):
        assert await store.check() != []
    await store.close()


def test_errors_of_sqlite_become_ours() -> None:
    """Every exception class of apsw has a place in our tree; damage is not called unavailable."""
    classes = [each for each in vars(apsw).values() if isinstance(each, type) and issubclass(each, apsw.Error)]
    assert len(classes) > 20
    for each in classes:
        assert translate(each("x")).fault == "gateway"
    assert isinstance(translate(apsw.CorruptError("x")), StoreCorrupt)
    assert isinstance(translate(apsw.FullError("x")), StoreUnavailable)
    assert isinstance(translate(apsw.IOError("x")), StoreUnavailable)


def test_every_column_is_classified() -> None:
    """The list of what is stored in the clear names every column of every table, and nothing else."""
    connection = apsw.Connection(":memory:")
    connection.execute(SCHEMA)
    tables = [str(name) for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    real = {table: {row[1] for row in connection.execute(f"PRAGMA table_info({table})")} for table in tables}
    assert {table: set(columns) for table, columns in COLUMNS.items()} == real


def test_payloads_and_hashes_are_bytes() -> None:
    """What must not be readable is a blob, and what is a blob is classified as such."""
    connection = apsw.Connection(":memory:")
    connection.execute(SCHEMA)
    opaque = {"payload", "keyed hash", "wrapped key", "seal"}
    for table, columns in COLUMNS.items():
        for row in connection.execute(f"PRAGMA table_info({table})"):
            assert (row[2] == "BLOB") == (columns[str(row[1])] in opaque), (table, row[1])


def test_every_payload_has_its_triggers() -> None:
    """A payload that comes, changes or goes is counted; where every turn adds, by whoever adds."""
    connection = apsw.Connection(":memory:")
    connection.execute(SCHEMA)
    texts = [str(sql) for (sql,) in connection.execute("SELECT sql FROM sqlite_schema WHERE type = 'trigger'")]
    for table, column in PAYLOADS:
        assert [text for text in texts if f"ON {table} " in text and "UPDATE OF" in text and column in text]
        if table not in ("tenants", "items", "responses"):
            assert [text for text in texts if f"AFTER INSERT ON {table} " in text and f"new.{column}" in text]
            assert [text for text in texts if f"AFTER DELETE ON {table} " in text and f"old.{column}" in text]
