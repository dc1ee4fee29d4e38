"""Checks of changing a stored response: its payload and what it is found by, and nothing else of it."""

from __future__ import annotations

import asyncio

import msgspec

from antiphon.sessions.directory import AuditAppend
from antiphon.sessions.library import Filter
from antiphon.testing.store_audit import entry, link
from antiphon.testing.store_fixture import CheckList, StoreFixture, raises, response_id
from antiphon.testing.store_pending import begin

__all__ = ["checks"]

checks = CheckList()

_OLD, _NEW = b"response a", b"\x01a payload that is longer than it was"


async def _update(s: StoreFixture, payload: bytes = _NEW, *terms: bytes, instead_of: bytes = _OLD) -> bool:
    return await s.acme.update_response(response_id("a"), payload, terms, instead_of=instead_of)


async def _found_by(s: StoreFixture, term: bytes) -> list[str]:
    page = await s.acme.list_responses(Filter(terms=(term,)))
    return [its_id.removeprefix("resp_") for its_id in page.data]


@checks
async def updated_response_keeps_everything_else(s: StoreFixture) -> None:
    """A response whose payload was replaced is otherwise as it was: items, head, trace, times, place in lists."""
    a = await s.commit("a", trace=b"trace", expires_at=int(s.clock()) + 10)
    await s.commit("b", a.head, previous_response_id=response_id("a"))
    before = await s.acme.get_by_response_id(response_id("a"))
    assert before is not None
    assert await _update(s)
    if s.reopen is not None:
        await s.reopen()
    assert await s.acme.get_by_response_id(response_id("a")) == msgspec.structs.replace(before, payload=_NEW)
    assert await s.acme.read_trace(response_id("a")) == b"trace"
    assert await s.history("b") == ["a.0", "a.1", "b.0", "b.1"]
    assert (await s.acme.list_responses(Filter())).data == (response_id("b"), response_id("a"))


@checks
async def updated_response_is_found_by_its_new_terms(s: StoreFixture) -> None:
    """A response is found by the terms that it was given last, where it stood before, and by no other."""
    for name in "abc":
        await s.commit(name, terms=(b"red", b"round"))
    assert await _update(s, _NEW, b"blue", b"round")
    assert await _found_by(s, b"red") == ["c", "b"]
    assert await _found_by(s, b"round") == ["c", "b", "a"]
    assert await _found_by(s, b"blue") == ["a"]
    assert await _update(s, b"again", instead_of=_NEW)
    assert await _found_by(s, b"round") == ["c", "b"]
    assert await _found_by(s, b"blue") == []


@checks
async def update_of_what_has_changed_is_refused(s: StoreFixture) -> None:
    """An update that was made from another payload than the present one changes nothing and says so."""
    await s.commit("a", terms=(b"red",))
    assert await _update(s, _NEW, b"red")
    assert not await _update(s, b"late", b"blue")
    session = await s.acme.get_by_response_id(response_id("a"))
    assert session is not None
    assert session.payload == _NEW
    assert await _found_by(s, b"red") == ["a"]
    assert await _found_by(s, b"blue") == []


@checks
async def update_takes_its_audit_entries_along(s: StoreFixture) -> None:
    """What is written of an update is there exactly if the update is."""

    def failing(*_: object) -> bytes:
        raise ZeroDivisionError

    await s.commit("a")
    audit = AuditAppend(entries=(entry("a"),), link=link)
    assert not await s.acme.update_response(response_id("a"), _NEW, instead_of=b"another", audit=audit)
    assert not (await s.acme.read_audit()).records
    assert await s.acme.update_response(response_id("a"), _NEW, instead_of=_OLD, audit=audit)
    audit = AuditAppend(entries=(entry("b"),), link=failing)
    late = s.acme.update_response(response_id("a"), b"late", instead_of=_NEW, audit=audit)
    await raises(ZeroDivisionError, late)
    session = await s.acme.get_by_response_id(response_id("a"))
    assert session is not None
    assert session.payload == _NEW
    assert [record.entry for record in (await s.acme.read_audit()).records] == [entry("a")]


@checks
async def one_of_many_updates_a_response(s: StoreFixture) -> None:
    """Of many who update what they all read one succeeds."""
    await s.commit("a")
    payloads = [b"by %d" % index for index in range(4)]
    done = await asyncio.gather(*(_update(s, payload) for payload in payloads))
    session = await s.acme.get_by_response_id(response_id("a"))
    assert session is not None
    assert sum(done) == 1
    assert session.payload == payloads[done.index(True)]


@checks
async def update_of_an_unknown_response_is_refused(s: StoreFixture) -> None:
    """A response that never was, is another tenant's, is pending, was deleted or has expired cannot be updated."""
    assert not await _update(s)
    await s.globex.commit(s.turn("a"))
    assert not await _update(s)
    claim = await begin(s, "a", payload=_OLD)
    assert not await _update(s)
    await s.commit("a", claim=claim)
    await s.acme.delete_response(response_id("a"))
    assert not await _update(s)
    await s.commit("a", terms=(b"red",), expires_at=int(s.clock()) + 1)
    s.clock.advance(1)
    assert not await _update(s, _NEW, b"blue")
    assert await _found_by(s, b"blue") == []
    theirs = await s.globex.get_by_response_id(response_id("a"))
    assert theirs is not None
    assert theirs.payload == _OLD


@checks
async def terms_of_an_updated_response_go_with_it(s: StoreFixture) -> None:
    """What an update made a response found by goes when the response does."""
    await s.commit("a")
    assert await _update(s, _NEW, b"blue")
    await s.acme.delete_response(response_id("a"))
    await s.commit("a")
    assert await _found_by(s, b"blue") == []
