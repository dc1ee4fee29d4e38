"""Checks of audit trails: every entry is kept, in order, tied to all before it."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import msgspec

from antiphon.sessions.directory import AuditEntry, AuditPage, AuditRecord
from antiphon.testing.store_fixture import CheckList, StoreFixture, raises

__all__ = ["checks", "entry", "link"]

checks = CheckList()


def entry(object_id: str = "", **changes: Any) -> AuditEntry:
    """Something that somebody did."""
    made = AuditEntry(at_ms=1_234_567_890_123, actor="key", action="response.create", object_id=object_id)
    return msgspec.structs.replace(made, **changes)


def link(before: bytes, index: int, of: AuditEntry) -> bytes:
    """The link of an entry."""
    return hashlib.sha256(b"%b|%d|%b" % (before, index, repr(of).encode())).digest()


def _chained(entries: list[AuditEntry]) -> list[AuditRecord]:
    """What a trail of these entries has to be."""
    records: list[AuditRecord] = []
    for index, each in enumerate(entries, start=1):
        before = records[-1].link if records else b""
        records.append(AuditRecord(index=index, entry=each, link=link(before, index, each)))
    return records


@checks
async def trail_is_read_back(s: StoreFixture) -> None:
    """Entries are read back as they were given, oldest first, numbered from 1 and linked, also after a restart."""
    given = [
        entry("resp_1"),
        entry(at_ms=0, actor="", action="", outcome="", request_id=""),
        entry("resp_1", actor="jwt:abc", outcome="rate_limit_exceeded", request_id="req_1", at_ms=1),
    ]
    assert await s.acme.read_audit() == AuditPage(records=(), has_more=False)
    await s.acme.append_audit(given[:2], link)
    if s.reopen is not None:
        await s.reopen()
    await s.acme.append_audit(given[2:], link)
    await s.acme.append_audit([], link)
    assert await s.acme.read_audit() == AuditPage(records=tuple(_chained(given)), has_more=False)


@checks
async def trail_has_no_gaps(s: StoreFixture) -> None:
    """However many append at once, indices have no gaps, each append stands together, and every link holds."""
    groups = [[entry(f"{group}.{index}") for index in range(3)] for group in range(8)]
    await asyncio.gather(*(s.acme.append_audit(group, link) for group in groups))
    records = (await s.acme.read_audit()).records
    found = [record.entry for record in records]
    assert list(records) == _chained(found)
    assert sorted([found[start : start + 3] for start in range(0, 24, 3)], key=repr) == groups


@checks
async def trails_of_tenants_are_apart(s: StoreFixture) -> None:
    """Each tenant has a trail of its own, with its own numbers and links."""
    await s.acme.append_audit([entry("a")], link)
    await s.globex.append_audit([entry("b"), entry("c")], link)
    await s.acme.append_audit([entry("d")], link)
    assert list((await s.acme.read_audit()).records) == _chained([entry("a"), entry("d")])
    assert list((await s.globex.read_audit()).records) == _chained([entry("b"), entry("c")])


@checks
async def trail_is_read_in_pages(s: StoreFixture) -> None:
    """A page begins after an index, holds at most as many as were asked for, and says whether there are more."""
    records = _chained([entry(f"{index}") for index in range(5)])
    await s.acme.append_audit([record.entry for record in records], link)
    for after, limit, has_more in ((0, 2, True), (2, 2, True), (3, 2, False), (4, 2, False), (5, 2, False)):
        page = await s.acme.read_audit(after=after, limit=limit)
        assert page == AuditPage(records=tuple(records[after : after + limit]), has_more=has_more)


@checks
async def trail_is_searched(s: StoreFixture) -> None:
    """What was done to an id, or by an actor, or both, is found with its place in the whole trail, in pages."""
    given = [
        entry("x", actor="one"),
        entry("y", actor="one"),
        entry("x", actor="two"),
        entry("", actor="two"),
        entry("x", actor="one"),
    ]
    await s.acme.append_audit(given, link)
    await s.globex.append_audit([entry("x", actor="one")], link)
    records = _chained(given)

    async def found(**wanted: Any) -> list[int]:
        page = await s.acme.read_audit(**wanted)
        assert all(record == records[record.index - 1] for record in page.records)
        return [record.index for record in page.records] + ([0] if page.has_more else [])

    assert await found(object_id="x") == [1, 3, 5]
    assert await found(actor="two") == [3, 4]
    assert await found(object_id="x", actor="one") == [1, 5]
    assert await found(object_id="x", limit=2) == [1, 3, 0]
    assert await found(object_id="x", after=3, limit=2) == [5]
    assert await found(actor="one", after=1, limit=1) == [2, 0]
    assert await found(object_id="") == [4]
    assert await found(object_id="z") == []
    assert await found(actor="y") == []


@checks
async def entries_that_cannot_be_linked_are_not_kept(s: StoreFixture) -> None:
    """If the link of one entry fails, none of its append is kept, and the trail goes on as if it had not been tried."""

    def failing(before: bytes, index: int, of: AuditEntry) -> bytes:
        if of.object_id == "bad":
            raise ZeroDivisionError
        return link(before, index, of)

    await s.acme.append_audit([entry("a")], link)
    await raises(ZeroDivisionError, s.acme.append_audit([entry("b"), entry("bad")], failing))
    await s.acme.append_audit([entry("c")], link)
    assert list((await s.acme.read_audit()).records) == _chained([entry("a"), entry("c")])


@checks
async def trail_is_no_content(s: StoreFixture) -> None:
    """A trail adds nothing to what a tenant stores, and makes no tenant known; its rows are listed."""
    await s.acme.append_audit([entry("a")], link)
    assert await s.store.list_tenants() == ()
    assert await s.store.list_tenants_with_data() == ("acme",)
    await s.acme.secret(b"1234")
    [record] = await s.store.list_tenants()
    assert record.stored_bytes == 4
    assert await s.store.has_plain_payloads() is False
