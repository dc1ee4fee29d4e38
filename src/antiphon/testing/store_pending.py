"""Checks of pending turns: written before they are carried out, held under a claim, taken over when it runs out."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from antiphon.hub.errors import BaseErased, LeaseLost, StoreConflict
from antiphon.hub.ids import TenantId
from antiphon.sessions.records import Claim
from antiphon.sessions.work import EventGroup, NewPending, Pending
from antiphon.testing.store_fixture import (
    FAMILY,
    CheckList,
    StoreFixture,
    conversation_id,
    item,
    item_id,
    raises,
    response_id,
)

__all__ = ["begin", "checks", "events", "pending"]

checks = CheckList()


def pending(s: StoreFixture, name: str, **changes: Any) -> NewPending:
    """A turn that is about to begin."""
    turn = NewPending(
        response_id=response_id(name),
        family=FAMILY,
        background=True,
        created_at=int(s.clock()),
        payload=f"request {name}".encode(),
    )
    return msgspec.structs.replace(turn, **changes)


async def begin(s: StoreFixture, name: str, *, holder: str = "one", ttl_s: float = 30, **changes: Any) -> Claim:
    """Open a pending turn of the usual tenant."""
    return await s.acme.open_turn(pending(s, name, **changes), holder=holder, ttl_s=ttl_s)


def events(first: int, count: int = 2) -> EventGroup:
    """A group of events."""
    return EventGroup(first=first, count=count, payload=f"events {first}+{count}".encode())


async def _read(s: StoreFixture, name: str) -> Pending:
    found = await s.acme.read_pending(response_id(name))
    assert found is not None, f"the turn {name} is not pending"
    return found


# Opening, and what can be read.


@checks
async def pending_turn_is_read_back(s: StoreFixture) -> None:
    """A turn that was opened is read back as it was given, queued, in its first attempt."""
    given = pending(
        s,
        "a",
        background=False,
        conversation_id=conversation_id("c"),
        previous_response_id=response_id("p"),
        expires_at=2_000_000,
    )
    claim = await s.acme.open_turn(given, holder="one", ttl_s=30)
    assert (claim.response_id, claim.holder) == (response_id("a"), "one")
    assert await s.acme.read_pending(response_id("a")) == Pending(
        response_id=given.response_id,
        family=given.family,
        background=False,
        created_at=given.created_at,
        conversation_id=given.conversation_id,
        previous_response_id=given.previous_response_id,
        expires_at=given.expires_at,
        status="queued",
        attempts=1,
        cancel_requested=False,
        payload=given.payload,
    )
    await begin(s, "b")
    assert await _read(s, "b") == msgspec.structs.replace(
        await _read(s, "a"),
        response_id=response_id("b"),
        background=True,
        conversation_id=None,
        previous_response_id=None,
        expires_at=None,
        payload=b"request b",
    )


@checks
async def pending_turn_outlives_the_process(s: StoreFixture) -> None:
    """A pending turn, its claim and its stream are there after the store was opened anew."""
    claim = await begin(s, "a")
    await s.acme.append_events(claim, events(0))
    before = await _read(s, "a")
    if s.reopen is not None:
        await s.reopen()
    assert await _read(s, "a") == before
    assert await s.acme.append_events(claim, events(2)) is False
    assert await s.acme.read_events(response_id("a"), first=0) == (events(0), events(2))


@checks
async def unknown_turn_is_not_pending(s: StoreFixture) -> None:
    """What was never opened, or is stored, is not pending and has no stream."""
    await s.commit("stored")
    for name in ("stored", "never"):
        assert await s.acme.read_pending(response_id(name)) is None
        assert await s.acme.read_events(response_id(name), first=0) == ()
        assert await s.acme.request_cancel(response_id(name)) is False


@checks
async def pending_turn_is_no_response(s: StoreFixture) -> None:
    """A pending turn is not among what is stored: it can be neither read as a turn, nor continued, nor deleted."""
    await begin(s, "a")
    assert await s.acme.get_by_response_id(response_id("a")) is None
    assert await s.acme.read_head(response_id("a")) is None
    assert await s.acme.read_trace(response_id("a")) is None
    assert await s.acme.delete_response(response_id("a")) is None
    assert (await _read(s, "a")).status == "queued"


@checks
async def response_id_is_used_once(s: StoreFixture) -> None:
    """An id that a stored turn has, even an expired one, or a pending one, cannot be opened again."""
    await s.commit("stored")
    await s.commit("expired", expires_at=int(s.clock()) - 1)
    claim = await begin(s, "a")
    for name in ("stored", "expired", "a"):
        await raises(StoreConflict, begin(s, name, holder="two", payload=b"other"))
    assert (await _read(s, "a")).payload == b"request a"
    assert await s.acme.append_events(claim, events(0)) is False


@checks
async def id_of_a_pending_turn_cannot_be_stored_without_its_claim(s: StoreFixture) -> None:
    """Another turn cannot be stored under the id of a pending one, neither committed nor put."""
    claim = await begin(s, "a")
    await raises(StoreConflict, s.commit("a"))
    await raises(StoreConflict, s.acme.put_session(s.session("a")))
    assert await s.left(item_id("a", 0)) == set()
    await s.commit("a", claim=claim)
    assert await s.history("a") == ["a.0", "a.1"]


@checks
async def foreign_pending_turns_are_unknown(s: StoreFixture) -> None:
    """Nobody reads, cancels, continues, ends or takes the place of another tenant's pending turn."""
    claim = await begin(s, "a")
    await s.acme.append_events(claim, events(0))
    assert await s.globex.read_pending(response_id("a")) is None
    assert await s.globex.read_events(response_id("a"), first=0) == ()
    assert await s.globex.request_cancel(response_id("a")) is False
    await raises(LeaseLost, s.globex.append_events(claim, events(2)))
    await raises(LeaseLost, s.globex.commit(s.turn("a", claim=claim)))
    assert await s.globex.drop_turn(claim) is False
    own = await s.globex.open_turn(pending(s, "a", payload=b"theirs"), holder="one", ttl_s=30)
    await s.globex.append_events(own, events(7))
    assert await s.globex.drop_turn(own) is True
    found = await _read(s, "a")
    assert (found.payload, found.cancel_requested) == (b"request a", False)
    assert await s.acme.read_events(response_id("a"), first=0) == (events(0),)


# Streams.


@checks
async def events_are_kept_in_order(s: StoreFixture) -> None:
    """Groups of events are read back in order, from the one that holds the number asked for."""
    claim = await begin(s, "a")
    groups = (events(2, 3), events(5, 1), events(6, 4))
    for group in groups:
        assert await s.acme.append_events(claim, group) is False
    read = {first: await s.acme.read_events(response_id("a"), first=first) for first in range(12)}
    assert {first: len(found) for first, found in read.items()} == {
        **dict.fromkeys(range(5), 3),
        5: 2,
        **dict.fromkeys(range(6, 10), 1),
        10: 0,
        11: 0,
    }
    assert all(found == groups[3 - len(found) :] for found in read.values())


@checks
async def first_event_makes_a_turn_run(s: StoreFixture) -> None:
    """A turn is queued until its first events are kept, and in progress from then on."""
    claim = await begin(s, "a")
    await begin(s, "b")
    await s.acme.append_events(claim, events(0))
    assert [(await _read(s, name)).status for name in ("a", "b")] == ["in_progress", "queued"]


@checks
async def stream_has_no_gaps(s: StoreFixture) -> None:
    """A group that leaves a gap, comes twice or holds nothing is refused and not kept."""
    claim = await begin(s, "a")
    await raises(StoreConflict, s.acme.append_events(claim, events(0, 0)))
    assert (await _read(s, "a")).status == "queued"
    await s.acme.append_events(claim, events(0, 2))
    for group in (events(3), events(0), events(1), events(2, 0)):
        await raises(StoreConflict, s.acme.append_events(claim, group))
    await s.acme.append_events(claim, events(2))
    assert await s.acme.read_events(response_id("a"), first=0) == (events(0), events(2))


@checks
async def streams_do_not_mix(s: StoreFixture) -> None:
    """Two turns' streams are counted and read apart."""
    a, b = await begin(s, "a"), await begin(s, "b")
    await s.acme.append_events(a, events(0, 5))
    await s.acme.append_events(b, events(0, 1))
    await s.acme.append_events(b, events(1, 1))
    assert await s.acme.read_events(response_id("a"), first=0) == (events(0, 5),)
    assert await s.acme.read_events(response_id("b"), first=1) == (events(1, 1),)


@checks
async def cancel_is_seen_by_who_works(s: StoreFixture) -> None:
    """A request to cancel shows on the turn, at the next events and at the next renewal, and stays."""
    a, b = await begin(s, "a"), await begin(s, "b")
    assert await s.acme.append_events(a, events(0)) is False
    assert await s.store.renew_claims("one", 30) == []
    assert await s.acme.request_cancel(response_id("a")) is True
    assert (await _read(s, "a")).cancel_requested
    assert not (await _read(s, "b")).cancel_requested
    assert await s.acme.append_events(a, events(2)) is True
    assert await s.acme.append_events(b, events(0)) is False
    for _ in range(2):
        assert await s.store.renew_claims("one", 30) == [(TenantId("acme"), response_id("a"))]
    assert await s.acme.request_cancel(response_id("a")) is True


# Ending.


@checks
async def commit_takes_the_place_of_a_pending_turn(s: StoreFixture) -> None:
    """With its claim a turn is stored, and is pending no more; its stream goes."""
    claim = await begin(s, "a")
    await s.acme.append_events(claim, events(0))
    await s.commit("a", claim=claim)
    assert await s.history("a") == ["a.0", "a.1"]
    assert await s.acme.read_pending(response_id("a")) is None
    assert await s.acme.read_events(response_id("a"), first=0) == ()
    await raises(LeaseLost, s.acme.append_events(claim, events(2)))
    assert await s.acme.drop_turn(claim) is False
    assert await s.acme.request_cancel(response_id("a")) is False
    await raises(LeaseLost, s.commit("a", claim=claim))
    assert await s.history("a") == ["a.0", "a.1"]


@checks
async def claim_is_for_its_own_turn(s: StoreFixture) -> None:
    """A claim on one turn does not let another be stored."""
    a, b = await begin(s, "a"), await begin(s, "b")
    await raises(LeaseLost, s.commit("a", claim=b))
    await raises(LeaseLost, s.commit("never", claim=a))
    assert await s.acme.get_by_response_id(response_id("a")) is None
    assert (await _read(s, "a"), await _read(s, "b")) is not None


@checks
async def refused_commit_leaves_the_turn_pending(s: StoreFixture) -> None:
    """A turn whose commit is refused is still pending, with its stream, and can be stored otherwise."""
    ground = await s.commit("ground")
    await s.acme.delete_response(response_id("ground"))
    claim = await begin(s, "a")
    await s.acme.append_events(claim, events(0))
    await raises(BaseErased, s.commit("a", ground.head, claim=claim))
    await s.commit("taken", None, [item("x")])
    await raises(StoreConflict, s.commit("a", None, [item("x", 0, payload=b"other")], claim=claim))
    assert (await _read(s, "a")).status == "in_progress"
    assert await s.acme.read_events(response_id("a"), first=0) == (events(0),)
    await s.commit("a", claim=claim)


@checks
async def lost_lease_leaves_the_turn_pending(s: StoreFixture) -> None:
    """Claim and lease are both looked at: a turn that lost either is not stored."""
    await s.create("c")
    lease = await s.acme.acquire_lease(conversation_id("c"), "one", 30)
    claim = await begin(s, "a", ttl_s=1)
    await s.acme.release_lease(lease)
    await raises(LeaseLost, s.commit("a", lease=lease, claim=claim, conversation_id=conversation_id("c")))
    assert (await _read(s, "a")).attempts == 1
    lease = await s.acme.acquire_lease(conversation_id("c"), "one", 30)
    s.clock.advance(1)
    await s.store.take_over("two", 30, 10)
    await raises(LeaseLost, s.commit("a", lease=lease, claim=claim, conversation_id=conversation_id("c")))
    assert await s.present("c") == []
    assert await s.acme.renew_lease(lease, 30) is True


@checks
async def dropped_turn_leaves_nothing(s: StoreFixture) -> None:
    """A turn that came to nothing goes with its stream, and its id is free."""
    claim = await begin(s, "a")
    await s.acme.append_events(claim, events(0))
    assert await s.acme.drop_turn(claim) is True
    assert await s.acme.read_pending(response_id("a")) is None
    assert await s.acme.read_events(response_id("a"), first=0) == ()
    assert await s.acme.drop_turn(claim) is False
    await raises(LeaseLost, s.commit("a", claim=claim))
    await s.commit("a")


# Claims.


@checks
async def claim_runs_out(s: StoreFixture) -> None:
    """A turn is taken over at the very end of its claim, and not a moment before."""
    first = await begin(s, "a", ttl_s=2.5)
    s.clock.advance(2.25)
    assert await s.store.take_over("two", 30, 10) == []
    s.clock.advance(0.25)
    [(tenant, found, claim)] = await s.store.take_over("two", 30, 10)
    assert (tenant, found.attempts) == (TenantId("acme"), 1)
    assert found == await _read(s, "a")
    assert (claim.response_id, claim.holder) == (response_id("a"), "two")
    assert claim.epoch > first.epoch
    assert await s.store.take_over("three", 30, 10) == []


@checks
async def claim_that_was_taken_is_void(s: StoreFixture) -> None:
    """Who lost a turn can neither add to its stream, nor drop it, nor store it; who has it can."""
    old = await begin(s, "a", ttl_s=1)
    await s.acme.append_events(old, events(0))
    s.clock.advance(1)
    [(_, found, new)] = await s.store.take_over("two", 30, 10)
    assert found.status == "in_progress"
    await raises(LeaseLost, s.acme.append_events(old, events(2)))
    assert await s.acme.drop_turn(old) is False
    await raises(LeaseLost, s.commit("a", claim=old))
    assert await s.acme.get_by_response_id(response_id("a")) is None
    assert await s.acme.read_events(response_id("a"), first=0) == (events(0),)
    await s.acme.append_events(new, events(2))
    await s.commit("a", claim=new)


@checks
async def holder_who_takes_its_own_turn_again_fences_itself(s: StoreFixture) -> None:
    """The same holder's older claim is void as well: its number is older."""
    old = await begin(s, "a", ttl_s=1)
    s.clock.advance(1)
    [(_, _, new)] = await s.store.take_over("one", 30, 10)
    await raises(LeaseLost, s.acme.append_events(old, events(0)))
    await raises(LeaseLost, s.commit("a", claim=old))
    assert await s.acme.drop_turn(old) is False
    await s.commit("a", claim=new)


@checks
async def claim_that_ran_out_is_good_until_it_is_taken(s: StoreFixture) -> None:
    """Who is late, and was not replaced, goes on, and stores or drops the turn."""
    a, b = await begin(s, "a", ttl_s=1), await begin(s, "b", ttl_s=1)
    s.clock.advance(60)
    assert await s.acme.append_events(a, events(0)) is False
    await s.commit("a", claim=a)
    assert await s.acme.drop_turn(b) is True
    assert await s.store.take_over("two", 30, 10) == []


@checks
async def claims_are_renewed_together(s: StoreFixture) -> None:
    """One renewal keeps all turns of a holder, of all tenants, from then on, and nobody else's."""
    await begin(s, "a", ttl_s=10)
    await s.globex.open_turn(pending(s, "b"), holder="one", ttl_s=10)
    await begin(s, "c", holder="two", ttl_s=10)
    s.clock.advance(9)
    assert await s.store.renew_claims("one", 10) == []
    s.clock.advance(9)
    [(_, found, _)] = await s.store.take_over("three", 30, 10)
    assert found.response_id == response_id("c")
    s.clock.advance(1)
    taken = await s.store.take_over("three", 30, 10)
    assert [(str(tenant), found.response_id) for tenant, found, _ in taken] == [
        ("acme", response_id("a")),
        ("globex", response_id("b")),
    ]


@checks
async def attempts_count_what_was_begun(s: StoreFixture) -> None:
    """A turn that only waited has not been tried, however often it changed hands; one in progress has."""
    await begin(s, "a", ttl_s=1)
    for number in range(4):
        s.clock.advance(1)
        [(_, found, claim)] = await s.store.take_over(f"holder {number}", 1, 10)
        assert found.attempts == max(1, number)
        assert found == await _read(s, "a")
        if number == 1:
            await s.acme.append_events(claim, events(0))


@checks
async def who_lost_a_turn_does_not_renew_it(s: StoreFixture) -> None:
    """A renewal keeps what its holder still has, even if that had run out, and not what was taken from it."""
    await begin(s, "a", ttl_s=1)
    s.clock.advance(1)
    await s.store.take_over("two", 10, 10)
    await s.acme.request_cancel(response_id("a"))
    await begin(s, "late", ttl_s=1)
    s.clock.advance(9)
    assert await s.store.renew_claims("one", 60) == []
    s.clock.advance(1)
    [(_, found, _)] = await s.store.take_over("three", 30, 10)
    assert (found.response_id, found.attempts, found.cancel_requested) == (response_id("a"), 1, True)


@checks
async def oldest_turns_are_taken_first(s: StoreFixture) -> None:
    """Of many abandoned turns a few are taken at a time, the oldest first, whoever's they are."""
    for name, tenant, age in (("a", s.acme, 1), ("b", s.globex, 3), ("c", s.acme, 2), ("d", s.globex, 0)):
        turn = pending(s, name, created_at=int(s.clock()) - age)
        await tenant.open_turn(turn, holder="one", ttl_s=10 if name == "b" else 1)
    s.clock.advance(10)
    rounds = [await s.store.take_over("two", 30, 3), await s.store.take_over("two", 30, 3)]
    assert [[found.response_id for _, found, _ in taken] for taken in rounds] == [
        [response_id("b"), response_id("c"), response_id("a")],
        [response_id("d")],
    ]


@checks
async def turn_is_taken_by_one(s: StoreFixture) -> None:
    """Of many who look for abandoned turns at once, exactly one gets each."""
    for index in range(5):
        await begin(s, f"t{index}", ttl_s=1)
    s.clock.advance(1)
    taken = await asyncio.gather(*(s.store.take_over(f"holder {index}", 30, 2) for index in range(6)))
    ids = [found.response_id for answer in taken for _, found, _ in answer]
    assert sorted(ids) == [response_id(f"t{index}") for index in range(5)]


# What a response keeps of its turn.


@checks
async def trace_is_kept(s: StoreFixture) -> None:
    """A response's trace is what its commit gave, as long as the response is there."""
    await s.commit("a", trace=b"\x00trace", expires_at=int(s.clock()) + 5)
    await s.commit("b")
    assert await s.acme.read_trace(response_id("a")) == b"\x00trace"
    assert await s.acme.read_trace(response_id("b")) == b""
    assert await s.acme.read_trace(response_id("never")) is None
    assert await s.globex.read_trace(response_id("a")) is None
    s.clock.advance(5)
    assert await s.acme.read_trace(response_id("a")) is None


@checks
async def ephemeral_response_says_so(s: StoreFixture) -> None:
    """That nothing may stand on a response shows wherever one finds out what to stand on, and survives a put."""
    await s.commit("a", ephemeral=True)
    await s.commit("b")
    await s.create("c")
    for name, expected in (("a", True), ("b", False)):
        head = await s.acme.read_head(response_id(name))
        history = await s.acme.read_history_after(response_id(name))
        session = await s.acme.get_by_response_id(response_id(name))
        assert head is not None
        assert history is not None
        assert session is not None
        assert (head.ephemeral, history.ephemeral, session.ephemeral) == (expected,) * 3
        assert (await s.acme.put_session(session)).ephemeral is expected
    of_conversation = await s.acme.read_history_of(conversation_id("c"))
    assert of_conversation is not None
    assert of_conversation.ephemeral is False


@checks
async def items_of_an_ephemeral_response_are_not_found(s: StoreFixture) -> None:
    """Nothing can refer to an item that will be gone soon; what stands around it is found as ever."""
    first = await s.commit("a")
    await s.commit("fleeting", first.head, ephemeral=True)
    await s.commit("aside", first.head, ephemeral=True, aside=True)
    ids = [item_id(name, index) for name in ("a", "fleeting", "aside") for index in (0, 1)]
    assert await s.left(*ids) == set(ids[:2])
