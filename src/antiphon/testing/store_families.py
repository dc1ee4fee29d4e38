"""Checks of families: what is kept with one is there as long as anything of it is, and not a moment longer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from antiphon.hub.errors import SealChanged
from antiphon.hub.ids import Family
from antiphon.sessions.records import Committed, NewTurn
from antiphon.testing.store_fixture import (
    CheckList,
    StoreFixture,
    conversation_id,
    item,
    item_id,
    raises,
    refer,
    response_id,
)
from antiphon.testing.store_pending import begin, pending

__all__ = ["checks"]

checks = CheckList()

ONE = Family("00000000000000a1")
TWO = Family("00000000000000b2")


async def _kept(s: StoreFixture) -> dict[Family, bytes]:
    return await s.acme.read_families([ONE, TWO])


async def _turn(s: StoreFixture, name: str, family: Family, entries: Sequence[Any] | None = None) -> Committed:
    return await s.commit(name, None, entries, family=family, seal=b"seal " + family.encode())


@checks
async def family_is_kept_with_its_seal(s: StoreFixture) -> None:
    """Turns, pending turns and conversations found their family with its seal; unknown and foreign ones are absent."""
    three = Family("00000000000000c3")
    await s.commit("a", family=ONE, seal=b"one")
    await begin(s, "b", family=TWO, seal=b"\x00two")
    await s.create("c", family=three, seal=b"three")
    if s.reopen is not None:
        await s.reopen()
    kept = await s.acme.read_families([ONE, three, TWO, Family("00000000000000d4"), ONE])
    assert kept == {ONE: b"one", TWO: b"\x00two", three: b"three"}
    assert await s.acme.read_families([]) == {}
    assert await s.globex.read_families([ONE, TWO, three]) == {}


@checks
async def family_without_a_seal_is_known(s: StoreFixture) -> None:
    """A family that nothing is kept with is a family."""
    await s.commit("a", family=ONE)
    assert await _kept(s) == {ONE: b""}


@checks
async def same_seal_is_welcome(s: StoreFixture) -> None:
    """Whatever comes to a family that there is brings its seal, or none, and changes nothing."""
    a = await s.commit("a", family=ONE, seal=b"one")
    await s.commit("b", a.head, family=ONE, seal=b"one")
    await s.commit("forks", a.head, family=ONE)
    assert await _kept(s) == {ONE: b"one"}
    await begin(s, "d", family=ONE, seal=b"one")
    await s.create("c", family=ONE, seal=b"one")
    await s.fork("c", "e", family=ONE, seal=b"one")
    await s.converse("c", "f", family=ONE, seal=b"one")
    assert await _kept(s) == {ONE: b"one"}


@checks
async def another_seal_is_refused(s: StoreFixture) -> None:
    """What was sealed under a key that is not its family's is refused, and nothing of it is stored."""
    a = await s.commit("a", family=ONE, seal=b"one")
    await s.create("c", family=ONE, seal=b"one")
    other: dict[str, Any] = {"family": ONE, "seal": b"other"}
    await raises(SealChanged, s.commit("b", **other))
    await raises(SealChanged, s.commit("b", a.head, **other))
    await raises(SealChanged, s.commit("b", a.head, [], **other))
    await raises(SealChanged, begin(s, "b", **other))
    await raises(SealChanged, s.create("d", [item("d")], **other))
    await raises(SealChanged, s.fork("c", "d", **other))
    await raises(SealChanged, s.converse("c", "b", **other))
    assert await s.acme.get_by_response_id(response_id("b")) is None
    assert await s.acme.read_pending(response_id("b")) is None
    assert await s.acme.read_conversation(conversation_id("d")) is None
    assert await s.left(item_id("b", 0), item_id("d", 0)) == set()
    assert await _kept(s) == {ONE: b"one"}
    await s.acme.delete_conversation(conversation_id("c"))
    await s.commit("b", a.head, family=ONE, seal=b"one")
    assert await s.history("b") == ["a.0", "a.1", "b.0", "b.1"]


@checks
async def one_of_many_founds_the_family(s: StoreFixture) -> None:
    """Of many who found a family at once, each with a seal of its own, one succeeds and the others are refused."""

    async def outcome(turn: NewTurn) -> bool:
        try:
            await s.acme.commit(turn)
        except SealChanged:
            return False
        return True

    turns = [s.turn(f"t{index}", family=ONE, seal=b"%d" % index) for index in range(6)]
    done = await asyncio.gather(*map(outcome, turns))
    assert sum(done) == 1
    winner = done.index(True)
    assert await _kept(s) == {ONE: turns[winner].seal}
    assert [turn.response_id for turn in turns if await s.acme.read_head(turn.response_id)] == [
        turns[winner].response_id
    ]


@checks
async def seal_goes_with_the_last_of_its_family(s: StoreFixture) -> None:
    """A family's seal is there while a turn, a conversation or a pending turn is of it; the last one's receipt says
    that it went.
    """
    await _turn(s, "a", ONE)
    await _turn(s, "b", ONE)
    await s.create("c", family=ONE)
    receipts = [await s.acme.delete_response(response_id("a"))]
    claim = await begin(s, "d", family=ONE)
    receipts += [
        await s.acme.delete_conversation(conversation_id("c")),
        await s.acme.delete_response(response_id("b")),
    ]
    assert [receipt.keys_destroyed for receipt in receipts if receipt is not None] == [0, 0, 0]
    assert await _kept(s) == {ONE: b"seal " + ONE.encode()}
    await s.commit("d", claim=claim, family=ONE)
    assert list(await _kept(s)) == [ONE]
    last = await s.acme.delete_response(response_id("d"))
    assert last is not None
    assert last.keys_destroyed == 1
    assert await _kept(s) == {}


@checks
async def seal_goes_with_its_pending_turn(s: StoreFixture) -> None:
    """A pending turn that is given up takes its family along, unless something else is of it."""
    alone = await begin(s, "a", family=ONE, seal=b"one")
    beside = await begin(s, "b", family=TWO, seal=b"two")
    await s.commit("c", family=TWO, seal=b"two")
    await s.acme.drop_turn(alone)
    await s.acme.drop_turn(beside)
    assert await _kept(s) == {TWO: b"two"}


@checks
async def seal_goes_with_a_pending_turn_that_ends_elsewhere(s: StoreFixture) -> None:
    """A pending turn that is stored in another family leaves the one that it was of to the others in it."""
    for name, beside in (("a", False), ("b", True)):
        claim = await begin(s, name, family=ONE, seal=b"one")
        if beside:
            await s.create("c", family=ONE, seal=b"one")
        await s.commit(name, claim=claim, family=TWO, seal=b"two")
        assert await _kept(s) == ({ONE: b"one", TWO: b"two"} if beside else {TWO: b"two"})


@checks
async def seal_stays_for_what_is_referred_to(s: StoreFixture) -> None:
    """An item that only a reference keeps can be opened: its family lives, and goes with the reference."""
    await _turn(s, "a", ONE)
    await _turn(s, "b", TWO, [refer("a", 0)])
    first = await s.acme.delete_response(response_id("a"))
    assert first is not None
    assert (first.items, first.keys_destroyed) == (1, 0)
    assert set(await _kept(s)) == {ONE, TWO}
    last = await s.acme.delete_response(response_id("b"))
    assert last is not None
    assert (last.items, last.keys_destroyed) == (1, 2)
    assert await _kept(s) == {}


@checks
async def seal_goes_with_the_removed_reference(s: StoreFixture) -> None:
    """Removing the last reference to an item, or rewinding over it, destroys the key of a family that has nothing
    else.
    """
    for removes in (True, False):
        await _turn(s, "a", ONE)
        await s.create("c", [item("c"), refer("a", 0)], family=TWO, seal=b"two")
        await s.acme.delete_response(response_id("a"))
        assert set(await _kept(s)) == {ONE, TWO}
        if removes:
            await s.remove("c", item_id("a", 0))
        else:
            await s.rewind("c", item_id("c"))
        assert set(await _kept(s)) == {TWO}
        await s.acme.delete_conversation(conversation_id("c"))


@checks
async def seal_goes_with_what_expired(s: StoreFixture) -> None:
    """A sweep destroys the keys of families that have nothing else, and its receipts say how many."""
    soon = int(s.clock()) + 5
    await s.commit("a", family=ONE, seal=b"one", expires_at=soon)
    await s.commit("b", family=TWO, seal=b"two", expires_at=soon)
    await s.commit("stays", family=TWO)
    s.clock.advance(5)
    swept = await s.store.sweep()
    assert [receipt.keys_destroyed for receipt in swept.erased.values()] == [1]
    assert await _kept(s) == {TWO: b"two"}


@checks
async def seal_stays_while_a_turn_is_replaced(s: StoreFixture) -> None:
    """A turn that is put in the place of the only one of its family can be opened with what the family is kept with."""
    await _turn(s, "a", ONE)
    session = await s.acme.get_by_response_id(response_id("a"))
    assert session is not None
    await s.acme.put_session(session)
    assert await _kept(s) == {ONE: b"seal " + ONE.encode()}
    await s.acme.put_session(s.session("a", [item("x")], family=ONE))
    assert await _kept(s) == {ONE: b"seal " + ONE.encode()}


@checks
async def destroyed_seal_does_not_come_back(s: StoreFixture) -> None:
    """A family of the same name may be founded anew, with another seal."""
    await _turn(s, "a", ONE)
    await s.acme.delete_response(response_id("a"))
    await s.commit("b", family=ONE, seal=b"new")
    assert await _kept(s) == {ONE: b"new"}


@checks
async def family_without_a_seal_has_no_key(s: StoreFixture) -> None:
    """The end of a family that nothing was kept with destroys no key."""
    await s.commit("a", family=ONE)
    receipt = await s.acme.delete_response(response_id("a"))
    assert receipt is not None
    assert receipt.keys_destroyed == 0


@checks
async def families_of_tenants_are_apart(s: StoreFixture) -> None:
    """Families of one name are each tenant's own, with its own seal, and end on their own."""
    await s.commit("a", family=ONE, seal=b"ours")
    await s.globex.commit(s.turn("a", family=ONE, seal=b"theirs"))
    await s.globex.open_turn(pending(s, "b", family=TWO, seal=b"theirs"), holder="one", ttl_s=30)
    await s.acme.delete_response(response_id("a"))
    assert await _kept(s) == {}
    assert await s.globex.read_families([ONE, TWO]) == {ONE: b"theirs", TWO: b"theirs"}
