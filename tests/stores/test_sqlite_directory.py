"""Tenants, receipts and the audit trail in SQLite: what the database itself holds to, and what the check finds."""

from __future__ import annotations

import asyncio
from pathlib import Path

import apsw
import pytest

from antiphon.hub.errors import StoreConflict
from antiphon.hub.ids import Family, TenantId
from antiphon.sessions.directory import AuditEntry, TenantRecord
from antiphon.sessions.library import NewPrompt
from antiphon.sessions.vault import TenantKey
from antiphon.sessions.work import KeyClaim, Settlement
from antiphon.stores.sqlite.connection import connect
from antiphon.stores.sqlite.rows import rows_of
from antiphon.stores.sqlite.schema import PAYLOADS
from antiphon.testing.store_deliveries import delivery
from antiphon.testing.store_fixture import StoreFixture, conversation_id, item, item_id, refer, response_id
from antiphon.testing.store_pending import begin, events

ACME = TenantId("acme")


async def stored_bytes(fixture: StoreFixture) -> int:
    record = await fixture.store.read_tenant(ACME)
    assert record is not None
    return record.stored_bytes


def real_bytes(path: Path) -> int:
    """The sum of all payloads of the tenant, counted."""
    connection = connect(path, busy_timeout_ms=1000, read_only=True)
    sums = [
        rows_of(connection, f"SELECT coalesce(sum(length({column})), 0) FROM {table} WHERE tenant = ?", ACME)[0][0]  # noqa: S608
        for table, column in PAYLOADS
    ]
    connection.close()
    return sum(sums)


async def test_sum_of_payloads_is_right_after_every_step(sqlite: StoreFixture, tmp_path: Path) -> None:
    """Whatever adds, changes or erases a payload, the tenant's sum is that of its payloads at once."""
    path = tmp_path / "store.db"
    key = await sqlite.acme.take_key(b"k", b"f", holder="one", ttl_s=30, expires_at=2_000_000)
    assert isinstance(key, KeyClaim)
    claim = await begin(sqlite, "p")
    await sqlite.acme.append_events(claim, events(0))
    a = await sqlite.commit("a", trace=b"trace", deliveries=(delivery(sqlite, "a"),))
    created = await sqlite.create("c", [item("c", index) for index in range(3)])
    steps = [
        sqlite.commit("p", claim=claim),
        sqlite.commit("b", a.head, [refer("a", 0), item("b", 1)]),
        sqlite.commit("f", a.head),
        sqlite.converse("c", "d"),
        sqlite.commit("e", created.head),
        sqlite.append("c", "x", "y"),
        sqlite.remove("c", item_id("c", 0), item_id("x")),
        sqlite.acme.update_conversation(conversation_id("c"), b"a longer payload than before"),
        sqlite.acme.update_response(response_id("a"), b"a longer payload than before", instead_of=b"response a"),
        sqlite.fork("c", "g"),
        sqlite.rewind("c", item_id("c", 1)),
        sqlite.acme.put_session(sqlite.session("s", previous_response_id=response_id("a"))),
        sqlite.acme.put_session(sqlite.session("s", [item("s", 7)], payload=b"another")),
        sqlite.acme.add_prompt(NewPrompt(id="pmpt_p", created_at=1, payload=b"prompt")),
        sqlite.acme.settle_key(Settlement(claim=key, answer=b"answer", about=response_id("b"))),
        sqlite.acme.secret(b"secret"),
        sqlite.acme.delete_response(response_id("b"), dry_run=True),
        sqlite.acme.delete_response(response_id("b")),
        sqlite.acme.delete_response(response_id("a"), cascade=True),
        sqlite.acme.delete_prompt("pmpt_p"),
        sqlite.acme.delete_conversation(conversation_id("c")),
        sqlite.acme.delete_conversation(conversation_id("g"), cascade=True),
    ]
    for number, step in enumerate(steps):
        await step
        assert (number, await stored_bytes(sqlite)) == (number, real_bytes(path))
    assert await sqlite.store.check() == []


async def test_receipt_says_by_how_much_the_sum_fell(sqlite: StoreFixture) -> None:
    """The bytes of a receipt are the difference in what the tenant stores, and a dry run promises the same."""
    a = await sqlite.commit("a", trace=b"trace", seal=b"seal", terms=(b"red",), deliveries=(delivery(sqlite, "a"),))
    await sqlite.commit("b", a.head)
    before = await stored_bytes(sqlite)
    promised = await sqlite.acme.delete_response(response_id("a"), cascade=True, dry_run=True)
    assert await stored_bytes(sqlite) == before
    receipt = await sqlite.acme.delete_response(response_id("a"), cascade=True)
    assert receipt is not None
    assert promised == receipt
    assert receipt.payload_bytes == before - await stored_bytes(sqlite)
    assert (receipt.items, receipt.keys_destroyed) == (4, 1)
    assert receipt.other == {"deliveries": 1, "metadata_index": 1}


async def test_dry_run_among_others_changes_nothing(sqlite: StoreFixture) -> None:
    """A dry run in one transaction with other writes leaves those alone, and everything else as it was."""
    await sqlite.commit("a")
    answers = await asyncio.gather(
        sqlite.commit("x"),
        sqlite.acme.delete_response(response_id("a"), dry_run=True),
        sqlite.commit("y"),
    )
    assert answers[1] is not None
    assert [await sqlite.history(name) for name in "axy"] == [[f"{name}.0", f"{name}.1"] for name in "axy"]
    assert await sqlite.store.check() == []


async def test_nothing_is_stored_for_a_tenant_that_goes(sqlite: StoreFixture) -> None:
    """From the first step of its erasure on a tenant is given nothing new, whatever is still at work for it."""
    for name in "abc":
        await sqlite.commit(name)
    assert (await sqlite.store.erase_tenant(ACME, limit=1))[1] is True
    for attempt in (
        sqlite.commit("d"),
        sqlite.create("c"),
        begin(sqlite, "p"),
        sqlite.acme.add_prompt(NewPrompt(id="pmpt_p", created_at=1, payload=b"prompt")),
        sqlite.acme.take_key(b"k", b"f", holder="one", ttl_s=30, expires_at=2_000_000),
        sqlite.acme.secret(b"secret"),
    ):
        with pytest.raises(StoreConflict, match="being erased"):
            await attempt
    assert await sqlite.store.check() == []
    while (await sqlite.store.erase_tenant(ACME, limit=1))[1]:
        assert await sqlite.store.check() == []
    assert await sqlite.store.read_tenant(ACME) is None


async def test_key_of_a_tenant_is_one_at_a_time(sqlite: StoreFixture, tmp_path: Path) -> None:
    """The database itself refuses a second version that seals."""
    made = TenantKey(version=1, state="active", root_ref="file:one", wrapped=b"w", created_at=1)
    await sqlite.acme.add_key(made)
    connection = connect(tmp_path / "store.db", busy_timeout_ms=1000)
    with pytest.raises(apsw.ConstraintError):
        connection.execute("INSERT INTO tenant_keys VALUES ('acme', 2, 'active', 'file:one', x'00', 1)")
    connection.close()


# The audit trail.


def entry(number: int, **changes: str) -> AuditEntry:
    return AuditEntry(at_ms=number, actor=changes.get("actor", "cli"), action="key.create", object_id=f"key_{number}")


def link(before: bytes, index: int, entry: AuditEntry) -> bytes:
    return before[-2:] + b"%d" % index


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'nobody'",
        "DELETE FROM audit",
        "REPLACE INTO audit SELECT * FROM audit",
        "UPDATE audit SET idx = 9",
    ],
)
async def test_trail_cannot_be_changed(sqlite: StoreFixture, tmp_path: Path, statement: str) -> None:
    """The database refuses to change or to erase an entry, whoever asks."""
    await sqlite.acme.append_audit([entry(1)], link)
    connection = connect(tmp_path / "store.db", busy_timeout_ms=1000)
    with pytest.raises(apsw.ConstraintError):
        connection.execute(statement)
    connection.close()
    assert len((await sqlite.acme.read_audit()).records) == 1


async def test_search_in_a_long_trail_lets_others_in(sqlite: StoreFixture) -> None:
    """While a rare entry is looked for other tasks go on; what an object was done is found by an index."""
    await sqlite.acme.append_audit([entry(number) for number in range(1, 3001)], link)
    await sqlite.acme.append_audit([entry(3001, actor="rare")], link)
    reading = asyncio.ensure_future(sqlite.acme.read_audit(actor="rare"))
    ticks = 0
    while not reading.done():
        ticks += 1
        await asyncio.sleep(0)
    assert ticks >= 3
    assert [record.index for record in reading.result().records] == [3001]
    found = await sqlite.acme.read_audit(object_id="key_1500")
    assert [record.index for record in found.records] == [1500]
    assert (await sqlite.acme.read_audit(object_id="key_1500", actor="rare")).records == ()


# Damage.

DAMAGE = {
    "a sum is wrong": ("UPDATE tenants SET stored_bytes = stored_bytes + 1", "the sum of tenant acme's payloads"),
    "a tenant's row is gone": ("DELETE FROM tenants", "the sum of tenant acme's payloads"),
    "a pending turn's seal is gone": ("DELETE FROM families WHERE family = 'ff'", "the pending turn resp_p is of"),
    "a seal is left over": ("INSERT INTO families VALUES ('acme', 'x', x'00')", "nothing is of family x"),
    "a key is nobody's": (
        "INSERT INTO tenant_keys VALUES ('initech', 1, 'next', 'file:one', x'00', 1)",
        "tenant initech has keys and no row",
    ),
    "an entry of a trail is gone": (
        "DROP TRIGGER audit_is_not_erased; DELETE FROM audit WHERE idx = 2",
        "the audit trail of tenant acme has gaps",
    ),
    "the beginning of a trail is gone": (
        "DROP TRIGGER audit_is_not_erased; DELETE FROM audit WHERE idx = 1",
        "the audit trail of tenant acme has gaps",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
async def test_check_finds_damage(name: str, sqlite: StoreFixture, tmp_path: Path) -> None:
    """Whatever breaks a rule of tenants, seals or trails is reported by the check."""
    statement, finding = DAMAGE[name]
    await sqlite.store.create_tenant(TenantRecord(id=ACME, created_at=1))
    await sqlite.commit("a", seal=b"seal")
    await begin(sqlite, "p", family=Family("ff"), seal=b"other")
    await sqlite.acme.append_audit([entry(number) for number in (1, 2, 3)], link)
    assert await sqlite.store.check() == []
    connection = connect(tmp_path / "store.db", busy_timeout_ms=1000)
    connection.execute(statement)
    connection.close()
    problems = await sqlite.store.check()
    assert [problem for problem in problems if finding in problem], problems
