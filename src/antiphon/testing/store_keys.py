"""Checks of idempotency keys: a request that is sent twice is carried out once."""

from __future__ import annotations

import asyncio

from antiphon.hub.errors import ConversationNotFound, LeaseLost, StoreConflict
from antiphon.sessions.records import NewConversation
from antiphon.sessions.store import TenantStore
from antiphon.sessions.work import KeyClaim, KeyRecord, Settlement
from antiphon.testing.store_fixture import (
    FAMILY,
    CheckList,
    StoreFixture,
    conversation_id,
    item,
    raises,
    response_id,
)
from antiphon.testing.store_pending import begin

__all__ = ["checks"]

checks = CheckList()

_DAY_S = 86_400


async def ask(
    s: StoreFixture,
    key: str,
    *,
    by: str = "one",
    ttl_s: float = 30,
    fingerprint: bytes = b"request",
    lifetime_s: int = _DAY_S,
    tenant: TenantStore | None = None,
) -> KeyClaim | KeyRecord:
    """Ask for a key."""
    expires_at = int(s.clock()) + lifetime_s
    asked = tenant or s.acme
    return await asked.take_key(key.encode(), fingerprint, holder=by, ttl_s=ttl_s, expires_at=expires_at)


async def take(s: StoreFixture, key: str, *, by: str = "one", ttl_s: float = 30, lifetime_s: int = _DAY_S) -> KeyClaim:
    """Take a key that is free."""
    claim = await ask(s, key, by=by, ttl_s=ttl_s, lifetime_s=lifetime_s)
    assert isinstance(claim, KeyClaim), f"the key {key} is not free: {claim}"
    return claim


def settled(claim: KeyClaim, answer: bytes | None = b"answer") -> Settlement:
    """What settles a key."""
    return Settlement(claim=claim, answer=answer)


def _new(s: StoreFixture, name: str) -> NewConversation:
    return NewConversation(
        id=conversation_id(name), family=FAMILY, created_at=int(s.clock()), payload=b"c", entries=(item(name),)
    )


@checks
async def key_is_given_to_one(s: StoreFixture) -> None:
    """A new key is given; while its claim runs, whoever asks hears what the first one asked for."""
    claim = await take(s, "k")
    assert (claim.key, claim.holder, claim.attempts) == (b"k", "one", 1)
    running = KeyRecord(fingerprint=b"request", response_id=None, settled=False, answer=None)
    assert await ask(s, "k", by="two") == running
    assert await ask(s, "k", by="one", fingerprint=b"another") == running
    assert isinstance(await ask(s, "another"), KeyClaim)


@checks
async def one_of_many_gets_the_key(s: StoreFixture) -> None:
    """Of many who ask at once exactly one gets the key."""
    answers = await asyncio.gather(*(ask(s, "k", by=f"holder {index}") for index in range(10)))
    assert sum(isinstance(answer, KeyClaim) for answer in answers) == 1


@checks
async def settled_key_answers(s: StoreFixture) -> None:
    """A settled key gives its answer to whoever asks, after any time and after a restart; its claim is used up."""
    kept, unkept = await take(s, "kept"), await take(s, "unkept")
    await s.acme.settle_key(settled(kept))
    await s.acme.settle_key(settled(unkept, None))
    s.clock.advance(3600)
    if s.reopen is not None:
        await s.reopen()
    expected = KeyRecord(fingerprint=b"request", response_id=None, settled=True, answer=b"answer")
    assert await ask(s, "kept", by="two", fingerprint=b"another") == expected
    assert await ask(s, "unkept", by="two") == KeyRecord(
        fingerprint=b"request", response_id=None, settled=True, answer=None
    )
    await raises(LeaseLost, s.acme.settle_key(settled(kept, b"other")))
    await s.acme.release_key(kept)
    assert await ask(s, "kept") == expected


@checks
async def released_key_is_new(s: StoreFixture) -> None:
    """A key that was released is as if it had never been; the old claim does not fit it, even for the same holder."""
    old = await take(s, "k")
    await s.acme.release_key(old)
    new = await take(s, "k")
    assert new.attempts == 1
    await s.acme.release_key(old)
    await raises(LeaseLost, s.acme.settle_key(settled(old)))
    assert isinstance(await ask(s, "k", by="two"), KeyRecord)
    await s.acme.settle_key(settled(new))


@checks
async def abandoned_key_is_taken_again(s: StoreFixture) -> None:
    """At the very end of a claim its request may be begun again, not before; this counts, and fences the old claim."""
    old = await take(s, "k", ttl_s=2.5)
    s.clock.advance(2.25)
    assert isinstance(await ask(s, "k", by="two"), KeyRecord)
    s.clock.advance(0.25)
    new = await ask(s, "k", by="two", fingerprint=b"other")
    assert isinstance(new, KeyClaim)
    assert new.attempts == 2
    assert new.epoch > old.epoch
    await raises(LeaseLost, s.acme.settle_key(settled(old)))
    await s.acme.release_key(old)
    await s.acme.settle_key(settled(new))
    found = await ask(s, "k")
    assert isinstance(found, KeyRecord)
    assert (found.fingerprint, found.answer) == (b"other", b"answer")


@checks
async def same_holder_of_an_older_key_is_fenced(s: StoreFixture) -> None:
    """Who took a key twice cannot use the first claim."""
    old = await take(s, "k", ttl_s=1)
    s.clock.advance(1)
    new = await take(s, "k", ttl_s=1)
    assert new.attempts == 2
    await raises(LeaseLost, s.acme.settle_key(settled(old)))
    await raises(LeaseLost, begin(s, "a", key=old))
    await begin(s, "a", key=new)


@checks
async def key_whose_claim_ran_out_is_good_until_it_is_taken(s: StoreFixture) -> None:
    """Who is late, and was not replaced, settles or binds the key."""
    a, b = await take(s, "a", ttl_s=1), await take(s, "b", ttl_s=1)
    s.clock.advance(60)
    await s.acme.settle_key(settled(a))
    await begin(s, "b", key=b)
    assert [type(await ask(s, key, by="two")) for key in ("a", "b")] == [KeyRecord, KeyRecord]


@checks
async def keys_are_renewed_with_the_turns(s: StoreFixture) -> None:
    """A holder's renewal keeps its keys, of all tenants, and nobody else's."""
    await take(s, "k", ttl_s=10)
    await ask(s, "k", ttl_s=10, tenant=s.globex)
    await take(s, "theirs", by="two", ttl_s=10)
    s.clock.advance(9)
    assert await s.store.renew_claims("one", 10) == []
    s.clock.advance(9)
    assert isinstance(await ask(s, "k", by="three"), KeyRecord)
    assert isinstance(await ask(s, "k", by="three", tenant=s.globex), KeyRecord)
    assert isinstance(await ask(s, "theirs", by="three"), KeyClaim)
    s.clock.advance(1)
    assert isinstance(await ask(s, "k", by="three"), KeyClaim)


@checks
async def foreign_keys_are_unknown(s: StoreFixture) -> None:
    """The same key of two tenants is two keys, and nobody settles, releases or binds another's."""
    claim = await take(s, "k")
    await raises(LeaseLost, s.globex.settle_key(settled(claim)))
    await s.globex.release_key(claim)
    theirs = await ask(s, "k", tenant=s.globex)
    assert isinstance(theirs, KeyClaim)
    await s.globex.settle_key(settled(theirs, b"theirs"))
    assert await ask(s, "k") == KeyRecord(fingerprint=b"request", response_id=None, settled=False, answer=None)


# With turns.


@checks
async def key_is_bound_to_its_turn(s: StoreFixture) -> None:
    """From the moment its turn is pending a key names it, even when nobody works on it; its claim is used up."""
    claim = await take(s, "k", ttl_s=1)
    await begin(s, "a", ttl_s=1, key=claim)
    s.clock.advance(60)
    bound = KeyRecord(fingerprint=b"request", response_id=response_id("a"), settled=False, answer=None)
    assert await ask(s, "k", by="two") == bound
    await raises(LeaseLost, s.acme.settle_key(settled(claim)))
    await raises(LeaseLost, begin(s, "b", key=claim))
    await s.acme.release_key(claim)
    assert await ask(s, "k", by="two") == bound
    assert await s.acme.read_pending(response_id("b")) is None


@checks
async def commit_settles_the_key(s: StoreFixture) -> None:
    """Once its turn is stored a key is settled and names it, and still does when the response is deleted."""
    turn = await begin(s, "a", key=await take(s, "k"))
    await s.commit("a", claim=turn)
    expected = KeyRecord(fingerprint=b"request", response_id=response_id("a"), settled=True, answer=None)
    assert await ask(s, "k") == expected
    await s.acme.delete_response(response_id("a"))
    assert await ask(s, "k") == expected


@checks
async def turn_that_was_taken_over_keeps_its_key(s: StoreFixture) -> None:
    """Whoever ends the turn settles its key."""
    await begin(s, "a", ttl_s=1, key=await take(s, "k"))
    s.clock.advance(1)
    [(_, _, turn)] = await s.store.take_over("two", 30, 1)
    await s.commit("a", claim=turn)
    assert await ask(s, "k") == KeyRecord(
        fingerprint=b"request", response_id=response_id("a"), settled=True, answer=None
    )


@checks
async def dropped_turn_frees_its_key(s: StoreFixture) -> None:
    """When a turn came to nothing its key is new; a turn without a key frees none."""
    turn, other = await begin(s, "a", key=await take(s, "k")), await begin(s, "b", key=await take(s, "other"))
    await s.acme.drop_turn(turn)
    assert (await take(s, "k", by="two")).attempts == 1
    await s.acme.drop_turn(await begin(s, "c"))
    await s.commit("b", claim=other)
    found = await ask(s, "other")
    assert isinstance(found, KeyRecord)
    assert found.response_id == response_id("b")


@checks
async def turn_of_a_lost_key_is_not_begun(s: StoreFixture) -> None:
    """A turn whose key passed to somebody else is not written, and the key stays with them."""
    old = await take(s, "k", ttl_s=1)
    s.clock.advance(1)
    new = await take(s, "k", by="two")
    await raises(LeaseLost, begin(s, "a", key=old))
    assert await s.acme.read_pending(response_id("a")) is None
    await begin(s, "a", key=new)


@checks
async def refused_turn_does_not_bind_its_key(s: StoreFixture) -> None:
    """If a turn cannot be opened because its id is in use, its key stays claimed and can be bound to another."""
    await s.commit("a")
    claim = await take(s, "k")
    await raises(StoreConflict, begin(s, "a", key=claim))
    assert await ask(s, "k", by="two") == KeyRecord(
        fingerprint=b"request", response_id=None, settled=False, answer=None
    )
    await begin(s, "b", key=claim)


# With what a request creates.


@checks
async def key_is_settled_with_the_conversation(s: StoreFixture) -> None:
    """A conversation and the answer under its key are stored together."""
    claim = await take(s, "k")
    await s.acme.create_conversation(_new(s, "c"), settlement=settled(claim))
    assert await s.present("c") == ["c.0"]
    assert await ask(s, "k") == KeyRecord(fingerprint=b"request", response_id=None, settled=True, answer=b"answer")


@checks
async def key_is_settled_with_the_items(s: StoreFixture) -> None:
    """Items that are added by hand and the answer under their key are stored together."""
    await s.create("c")
    claim = await take(s, "k")
    await s.acme.append_items(conversation_id("c"), [item("h")], settlement=settled(claim))
    assert await s.present("c") == ["h.0"]
    assert await ask(s, "k") == KeyRecord(fingerprint=b"request", response_id=None, settled=True, answer=b"answer")


@checks
async def nothing_is_created_under_a_lost_key(s: StoreFixture) -> None:
    """Who lost the key creates nothing."""
    await s.create("c")
    old = await take(s, "k", ttl_s=1)
    s.clock.advance(1)
    await take(s, "k", by="two")
    await raises(LeaseLost, s.acme.create_conversation(_new(s, "d"), settlement=settled(old)))
    await raises(LeaseLost, s.acme.append_items(conversation_id("c"), [item("h")], settlement=settled(old)))
    assert await s.acme.read_conversation(conversation_id("d")) is None
    assert await s.present("c") == []
    assert await ask(s, "k") == KeyRecord(fingerprint=b"request", response_id=None, settled=False, answer=None)


@checks
async def refused_creation_leaves_the_key_unsettled(s: StoreFixture) -> None:
    """If what the request creates is refused, its key is still claimed and can be released."""
    await s.create("c", [item("x")])
    claim = await take(s, "k")
    await raises(StoreConflict, s.acme.create_conversation(_new(s, "c"), settlement=settled(claim)))
    clash = item("x", 0, payload=b"other")
    await raises(StoreConflict, s.acme.append_items(conversation_id("c"), [clash], settlement=settled(claim)))
    unknown = s.acme.append_items(conversation_id("never"), [item("y")], settlement=settled(claim))
    await raises(ConversationNotFound, unknown)
    assert await ask(s, "k") == KeyRecord(fingerprint=b"request", response_id=None, settled=False, answer=None)
    await s.acme.release_key(claim)
    await take(s, "k")


# Time.


@checks
async def expired_key_is_unknown_at_once(s: StoreFixture) -> None:
    """At the end of its time a key is new, whatever it was, and its old claim is void; a moment before, it is known."""
    claimed = await take(s, "claimed", ttl_s=60, lifetime_s=10)
    await s.acme.settle_key(settled(await take(s, "settled", lifetime_s=10)))
    turn = await begin(s, "a", ttl_s=60, key=await take(s, "bound", lifetime_s=10))
    s.clock.advance(9)
    assert [type(await ask(s, key)) for key in ("claimed", "settled", "bound")] == [KeyRecord] * 3
    s.clock.advance(1)
    await raises(LeaseLost, s.acme.settle_key(settled(claimed)))
    await raises(LeaseLost, begin(s, "b", key=claimed))
    again = {key: await take(s, key, by="two") for key in ("claimed", "settled", "bound")}
    assert {claim.attempts for claim in again.values()} == {1}
    await raises(LeaseLost, s.acme.settle_key(settled(claimed)))
    await s.commit("a", claim=turn)
    assert await ask(s, "bound") == KeyRecord(fingerprint=b"request", response_id=None, settled=False, answer=None)
    await s.acme.settle_key(settled(again["bound"]))


@checks
async def dropped_turn_leaves_a_key_that_was_taken_anew(s: StoreFixture) -> None:
    """A turn whose key expired meanwhile, and was taken by another request, does not free that one's key."""
    turn = await begin(s, "a", ttl_s=60, key=await take(s, "k", lifetime_s=10))
    s.clock.advance(10)
    await take(s, "k", by="two")
    await s.acme.drop_turn(turn)
    assert isinstance(await ask(s, "k", by="three"), KeyRecord)


@checks
async def key_lives_from_when_it_was_last_taken(s: StoreFixture) -> None:
    """A key that is taken again after a crash is kept from then on."""
    await take(s, "k", ttl_s=1, lifetime_s=10)
    s.clock.advance(5)
    await s.acme.settle_key(settled(await take(s, "k", lifetime_s=10)))
    s.clock.advance(9)
    assert isinstance(await ask(s, "k"), KeyRecord)
    s.clock.advance(1)
    assert isinstance(await ask(s, "k"), KeyClaim)


@checks
async def sweep_forgets_expired_keys(s: StoreFixture) -> None:
    """The sweeper counts and forgets expired keys after expired responses, few at a time, and no others."""
    await s.commit("gone", expires_at=int(s.clock()) + 5)
    for index in range(3):
        await take(s, f"k{index}", lifetime_s=5)
    await ask(s, "k0", lifetime_s=5, tenant=s.globex)
    await take(s, "stays", lifetime_s=6)
    assert await s.sweep() == 0
    s.clock.advance(5)
    assert [await s.sweep(3), await s.sweep(3), await s.sweep(3)] == [3, 2, 0]
    assert isinstance(await ask(s, "stays"), KeyRecord)
    assert isinstance(await ask(s, "k1"), KeyClaim)


@checks
async def turn_outlives_its_swept_key(s: StoreFixture) -> None:
    """A turn whose key was swept is still carried out."""
    turn = await begin(s, "a", ttl_s=60, key=await take(s, "k", lifetime_s=5))
    s.clock.advance(5)
    assert await s.sweep() == 1
    await s.commit("a", claim=turn)
    assert await s.history("a") == ["a.0", "a.1"]
    assert isinstance(await ask(s, "k"), KeyClaim)
