"""Checks of what is kept on behalf of end users, and of erasing it."""

from __future__ import annotations

from typing import Any

from antiphon.hub.errors import ConversationLocked
from antiphon.sessions.directory import Erasure
from antiphon.sessions.store import OfEndUser
from antiphon.sessions.work import KeyClaim
from antiphon.testing.store_contents import contents
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
from antiphon.testing.store_keys import ask, take
from antiphon.testing.store_pending import begin, events
from antiphon.testing.store_receipts import plain

__all__ = ["checks"]

checks = CheckList()

ANN, BOB = b"\x00ann", b"\xffbob"
NOBODY = OfEndUser(responses=(), conversations=())


async def _known(s: StoreFixture, *names: str) -> str:
    found = [name for name in names if await s.acme.read_head(response_id(name)) is not None]
    return "".join(found)


async def _erase(s: StoreFixture, end_user: bytes = ANN) -> Any:
    """Erase an end user after a dry run. Returns the receipt, which was the same both times."""
    before = await contents(s.acme)
    expected = await s.acme.erase_end_user(end_user, dry_run=True)
    assert await contents(s.acme) == before, "a dry run changed something"
    receipt = await s.acme.erase_end_user(end_user)
    assert plain(expected) == plain(receipt)
    return plain(receipt)


# Finding.


@checks
async def what_bears_an_end_user_is_listed(s: StoreFixture) -> None:
    """Turns of an end user are listed oldest first, stored and pending, and the conversations they were made in."""
    for name in ("old", "new", "empty"):
        await s.create(name)
        s.clock.advance(1)
    await s.converse("new", "a", end_user=ANN)
    s.clock.advance(1)
    await s.commit("b", end_user=BOB)
    await s.commit("c", end_user=ANN)
    s.clock.advance(1)
    await begin(s, "d", end_user=ANN, conversation_id=conversation_id("old"))
    s.clock.advance(1)
    await s.converse("new", "e", end_user=ANN)
    await s.commit("f")
    if s.reopen is not None:
        await s.reopen()
    assert await s.acme.list_of_end_user(ANN) == OfEndUser(
        responses=tuple(map(response_id, "acde")),
        conversations=(conversation_id("old"), conversation_id("new")),
    )
    assert await s.acme.list_of_end_user(BOB) == OfEndUser(responses=(response_id("b"),), conversations=())
    assert await s.acme.list_of_end_user(b"nobody") == NOBODY
    assert await s.globex.list_of_end_user(ANN) == NOBODY


@checks
async def what_is_gone_bears_no_end_user(s: StoreFixture) -> None:
    """Deleted and expired turns are in no list, nor are conversations that were deleted."""
    await s.create("c")
    await s.converse("c", "a", end_user=ANN)
    await s.commit("b", end_user=ANN)
    await s.commit("d", end_user=ANN, expires_at=int(s.clock()) + 1)
    claim = await begin(s, "e", end_user=ANN)
    s.clock.advance(1)
    await s.acme.delete_response(response_id("b"))
    await s.acme.delete_conversation(conversation_id("c"))
    await s.acme.drop_turn(claim)
    assert await s.acme.list_of_end_user(ANN) == OfEndUser(responses=(response_id("a"),), conversations=())


@checks
async def pending_turn_bears_its_end_user_when_it_is_stored(s: StoreFixture) -> None:
    """A turn is listed once, before and after its commit, for whom its commit names."""
    claim = await begin(s, "a", end_user=ANN)
    await s.commit("a", claim=claim, end_user=ANN)
    assert (await s.acme.list_of_end_user(ANN)).responses == (response_id("a"),)


@checks
async def turn_that_was_put_again_bears_its_end_user(s: StoreFixture) -> None:
    """A session that is read and put back still goes with its end user."""
    await s.commit("a", end_user=ANN)
    session = await s.acme.get_by_response_id(response_id("a"))
    assert session is not None
    await s.acme.put_session(session)
    assert (await s.acme.list_of_end_user(ANN)).responses == (response_id("a"),)
    await s.acme.erase_end_user(ANN)
    assert await _known(s, "a") == ""


# Erasing.


@checks
async def end_user_is_erased(s: StoreFixture) -> None:
    """An end user's turns go with what stands on them, and the conversations they were made in with everything in them;
    all else stays.
    """
    await s.create("c", [item("c")])
    await s.create("d", [item("d")])
    await s.converse("c", "a", end_user=ANN)
    await s.converse("c", "b", end_user=BOB)
    await s.converse("d", "e", end_user=BOB)
    await s.fork("c", "f")
    alone = await s.commit("g", end_user=ANN)
    await s.commit("h", alone.head, end_user=BOB)
    await s.commit("i")
    await s.globex.commit(s.turn("a", end_user=ANN))
    receipt = await _erase(s)
    assert receipt["responses"] == [response_id(name) for name in "abgh"]
    assert receipt["conversations"] == [conversation_id("c"), conversation_id("f")]
    assert receipt["items"] == 9
    assert await _known(s, "a", "b", "e", "g", "h", "i") == "ei"
    assert await s.present("d") == ["d.0", "e.0", "e.1"]
    assert await s.acme.list_of_end_user(ANN) == NOBODY
    assert (await s.acme.list_of_end_user(BOB)).responses == (response_id("e"),)
    assert (await s.globex.list_of_end_user(ANN)).responses == (response_id("a"),)
    assert await s.acme.erase_end_user(ANN) == Erasure()


@checks
async def unknown_end_user_has_an_empty_receipt(s: StoreFixture) -> None:
    """Erasing an end user of whom there is nothing takes nothing."""
    await s.commit("a", end_user=BOB)
    await s.commit("b")
    assert await s.acme.erase_end_user(ANN) == Erasure()
    assert await s.acme.erase_end_user(ANN, dry_run=True) == Erasure()
    assert await _known(s, "a", "b") == "ab"


@checks
async def pending_turns_of_an_end_user_go(s: StoreFixture) -> None:
    """A pending turn of an end user is erased with its request, its events and its key; whoever works on it is too
    late.
    """
    claim = await begin(s, "a", end_user=ANN, key=await take(s, "k"), terms=(b"red",), payload=b"12345")
    await s.acme.append_events(claim, events(0))
    await begin(s, "b", end_user=BOB)
    receipt = await _erase(s)
    assert receipt["responses"] == [response_id("a")]
    assert receipt["other"] == {"pending": 1, "stream_events": 1, "metadata_index": 1}
    assert receipt["payload_bytes"] == 5 + len(events(0).payload)
    assert await s.acme.read_pending(response_id("a")) is None
    assert await s.acme.read_pending(response_id("b")) is not None
    assert isinstance(await ask(s, "k"), KeyClaim)
    assert await s.acme.drop_turn(claim) is False


@checks
async def expired_turns_of_an_end_user_go(s: StoreFixture) -> None:
    """What has expired and was not swept is erased too."""
    await s.commit("a", end_user=ANN, expires_at=int(s.clock()) + 1)
    s.clock.advance(1)
    await _erase(s)
    assert await contents(s.acme) == {}
    assert await s.sweep() == 0


@checks
async def items_of_an_end_user_stay_for_a_reference(s: StoreFixture) -> None:
    """What a turn of somebody else refers to stays for it, as after any cascade."""
    await s.commit("a", end_user=ANN)
    await s.commit("b", None, [refer("a", 0)], end_user=BOB)
    receipt = await _erase(s)
    assert receipt["items"] == 1
    assert await s.history("b") == ["a.0"]


@checks
async def erasing_an_end_user_waits_for_no_turn(s: StoreFixture) -> None:
    """While a turn holds a conversation that would change, nothing is erased, wherever it is."""
    await s.create("c", [item("c")])
    await s.converse("c", "a", end_user=ANN)
    await s.commit("b", end_user=ANN)
    await begin(s, "d", end_user=ANN)
    lease = await s.acme.acquire_lease(conversation_id("c"), "holder", 30)
    for dry_run in (True, False):
        await raises(ConversationLocked, s.acme.erase_end_user(ANN, dry_run=dry_run))
    assert await _known(s, "a", "b") == "ab"
    assert await s.acme.read_pending(response_id("d")) is not None
    assert await s.present("c") == ["c.0", "a.0", "a.1"]
    await s.acme.release_lease(lease)
    await s.acme.erase_end_user(ANN)
    assert await _known(s, "a", "b") == ""
    assert await s.left(item_id("c")) == set()


@checks
async def keys_of_an_end_user_are_destroyed(s: StoreFixture) -> None:
    """Families of which nothing else is left lose their keys with the end user."""
    await s.commit("a", end_user=ANN, seal=b"seal")
    receipt = await _erase(s)
    assert receipt["keys_destroyed"] == 1
    assert await contents(s.acme) == {}
