"""Checks of receipts: an erasure says what it took, no less and no more; a dry run says it beforehand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from antiphon.hub.errors import ConversationLocked
from antiphon.hub.ids import TenantId
from antiphon.sessions.directory import Erasure
from antiphon.sessions.records import NewDelivery
from antiphon.sessions.store import Swept
from antiphon.sessions.work import KeyRecord, Settlement
from antiphon.testing.store_contents import TABLES, contents, fill, rows, size_of
from antiphon.testing.store_directory import ACME, GLOBEX
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
from antiphon.testing.store_pending import begin

__all__ = ["checks", "plain"]

checks = CheckList()

Erase = Callable[..., Awaitable[Erasure | None]]


def plain(receipt: Erasure | None) -> Mapping[str, Any]:
    """A receipt without the order of ids in it, and without what did not go."""
    assert receipt is not None, "there is no receipt"
    found: dict[str, Any] = {field: getattr(receipt, field) for field in receipt.__struct_fields__}
    for field in ("responses", "conversations", "prompts"):
        assert len(set(found[field])) == len(found[field]), f"{field} names one twice"
        found[field] = sorted(found[field])
    found["other"] = {table: count for table, count in found["other"].items() if count}
    return {field: value for field, value in found.items() if value}


async def _foretold(s: StoreFixture, erase: Erase, *arguments: Any, **named: Any) -> Mapping[str, Any]:
    """Erase something after a dry run. Returns the receipt, which was the same both times."""
    before = await contents(s.acme)
    expected = await erase(*arguments, dry_run=True, **named)
    assert await contents(s.acme) == before, "a dry run changed something"
    assert await s.store.check() == []
    receipt = await erase(*arguments, **named)
    assert plain(expected) == plain(receipt)
    bytes_gone = sum(map(len, before.values())) - sum(map(len, (await contents(s.acme)).values()))
    assert plain(receipt).get("payload_bytes", 0) + _seals_gone(before, await contents(s.acme)) == bytes_gone
    return plain(receipt)


def _seals_gone(before: Mapping[Any, bytes], after: Mapping[Any, bytes]) -> int:
    return sum(len(seal) for key, seal in before.items() if key[0] == "families" and key not in after)


@checks
async def receipt_of_a_response(s: StoreFixture) -> None:
    """The receipt of a response names it, and counts the items and bytes that went with it, and its family's key."""
    await s.commit("a", seal=b"seal", payload=b"12345", trace=b"678", terms=(b"red", b"blue"))
    receipt = await _foretold(s, s.acme.delete_response, response_id("a"))
    assert receipt == {
        "responses": [response_id("a")],
        "items": 2,
        "other": {"metadata_index": 2},
        "keys_destroyed": 1,
        "payload_bytes": 5 + 3 + 2 * len(b"\x00a.0"),
    }


@checks
async def receipt_counts_only_what_went(s: StoreFixture) -> None:
    """Items that something else reaches are on the receipt of whatever lets them go."""
    a = await s.commit("a", seal=b"seal", payload=b"a")
    await s.commit("b", a.head, payload=b"b")
    await s.commit("r", None, [refer("b", 1)], payload=b"r")
    first = await _foretold(s, s.acme.delete_response, response_id("a"))
    assert first == {"responses": [response_id("a")], "payload_bytes": 1}
    second = await _foretold(s, s.acme.delete_response, response_id("b"))
    assert second == {"responses": [response_id("b")], "items": 3, "payload_bytes": 1 + 3 * 4}
    last = await _foretold(s, s.acme.delete_response, response_id("r"))
    assert last == {"responses": [response_id("r")], "items": 1, "keys_destroyed": 1, "payload_bytes": 1 + 4}


@checks
async def receipt_counts_what_follows(s: StoreFixture) -> None:
    """Deliveries of a response, terms that it is found by and answers about it go with it and are counted."""
    made = await fill(s, s.acme)
    await fill(s, s.globex)
    theirs = await contents(s.globex)
    receipt = await _foretold(s, s.acme.delete_response, made.response)
    assert receipt["other"] == {"deliveries": 1, "idempotency": 1, "metadata_index": 1}
    assert receipt["items"] == 2
    assert "keys_destroyed" not in receipt  # a pending turn is of this family
    receipt = await _foretold(s, s.acme.delete_conversation, made.conversation)
    assert receipt["conversations"] == [made.conversation]
    assert (receipt["items"], receipt["other"], receipt["keys_destroyed"]) == (1, {"metadata_index": 2}, 1)
    assert await contents(s.globex) == theirs


@checks
async def answer_goes_with_what_it_is_about(s: StoreFixture) -> None:
    """When a response or conversation goes, however it goes, so does every answer about it; the keys stay settled."""
    soon = int(s.clock()) + 5
    await s.commit("a")
    await s.commit("b", expires_at=soon)
    a = await s.commit("d")
    await s.commit("e", a.head)
    await s.create("c")
    await s.create("f", [item("f")])
    await s.fork("f", "g")
    await s.commit("stays")
    subjects = [*map(response_id, "abde"), *map(conversation_id, "cfg")]
    for subject in [*subjects, response_id("stays")]:
        claim = await take(s, f"key of {subject}")
        await s.acme.settle_key(Settlement(claim=claim, answer=b"answer", about=subject))
        if subject == conversation_id("c"):
            other = await take(s, "another key of it")
            await s.acme.settle_key(Settlement(claim=other, answer=b"answer", about=subject))
    await s.acme.delete_response(response_id("a"))
    s.clock.advance(5)
    await s.sweep()
    await s.acme.delete_response(response_id("d"), cascade=True)
    await s.acme.delete_conversation(conversation_id("c"))
    await s.acme.delete_conversation(conversation_id("f"), cascade=True)
    gone = KeyRecord(fingerprint=b"request", response_id=None, settled=True, answer=None)
    for subject in [*(f"key of {each}" for each in subjects), "another key of it"]:
        assert await ask(s, subject) == gone, subject
    assert await rows(s.acme, "idempotency") != []


@checks
async def answer_that_comes_too_late_is_not_kept(s: StoreFixture) -> None:
    """An answer about what was deleted meanwhile, or never was, is not kept; the key is settled all the same. One about
    a pending turn is.
    """
    for name in ("a", "stays"):
        await s.commit(name)
    for name in ("c", "stays"):
        await s.create(name)
    claims = {name: await take(s, name) for name in ("a", "c", "other", "pending")}
    await begin(s, "d")
    await s.acme.delete_response(response_id("a"))
    await s.acme.delete_conversation(conversation_id("c"))
    subjects = [response_id("a"), conversation_id("c"), response_id("never"), response_id("d")]
    for claim, about in zip(claims.values(), subjects, strict=True):
        await s.acme.settle_key(Settlement(claim=claim, answer=b"answer", about=about))
    assert [each.row_id for each in await rows(s.acme, "idempotency")] == [b"pending".hex()]
    for name in ("a", "c", "other"):
        assert await ask(s, name) == KeyRecord(fingerprint=b"request", response_id=None, settled=True, answer=None)


@checks
async def answer_with_what_was_created_is_about_it(s: StoreFixture) -> None:
    """An answer that is settled together with what its request creates goes with what it is about, too."""
    claims = [await take(s, name) for name in ("create", "append", "fork")]
    about = [
        Settlement(claim=claim, answer=b"answer", about=conversation_id(name))
        for claim, name in zip(claims, ("c", "c", "d"), strict=True)
    ]
    await s.acme.create_conversation(s.conversation("c"), settlement=about[0])
    await s.acme.append_items(conversation_id("c"), [item("h")], settlement=about[1])
    await s.acme.fork_conversation(conversation_id("c"), s.conversation("d"), settlement=about[2])
    assert len(await rows(s.acme, "idempotency")) == 3
    receipt = await _foretold(s, s.acme.delete_conversation, conversation_id("c"))
    assert receipt["other"] == {"idempotency": 2}
    assert [each.row_id for each in await rows(s.acme, "idempotency")] == [b"fork".hex()]


@checks
async def receipt_of_a_cascade(s: StoreFixture) -> None:
    """Everything that stands on a response is on its receipt, expired turns too; what is hidden only is not."""
    await s.create("c", [item("c")], payload=b"c")
    a = await s.converse("c", "a", payload=b"a")
    await s.append("c", "by hand")
    await s.commit("b", a.head, payload=b"b", expires_at=int(s.clock()) + 1)
    await s.fork("c", "f", payload=b"f")
    await s.converse("c", "later", payload=b"l")
    s.clock.advance(1)
    receipt = await _foretold(s, s.acme.delete_response, response_id("a"), cascade=True)
    assert receipt["responses"] == [response_id(name) for name in ("a", "b", "later")]
    assert receipt["conversations"] == [conversation_id("f")]
    assert receipt["items"] == 6
    assert await s.present("c") == ["c.0", "by hand.0"]


@checks
async def receipt_of_a_conversation(s: StoreFixture) -> None:
    """A conversation's receipt has its own items; with *cascade*, its turns and forks too."""
    await s.create("c", [item("c")], payload=b"c")
    await s.converse("c", "a", payload=b"a")
    await s.append("c", "by hand")
    await s.fork("c", "f", at=item_id("c"), payload=b"f")
    expected = await s.acme.delete_conversation(conversation_id("c"), cascade=True, dry_run=True)
    assert plain(expected) == {
        "responses": [response_id("a")],
        "conversations": [conversation_id("c"), conversation_id("f")],
        "items": 4,
        "payload_bytes": 3 + await _size_of_items(s),
    }
    receipt = await _foretold(s, s.acme.delete_conversation, conversation_id("c"))
    assert receipt == {"conversations": [conversation_id("c")], "items": 1, "payload_bytes": 1 + len(b"\x00by hand.0")}


async def _size_of_items(s: StoreFixture) -> int:
    return sum(len(each.payload) for each in await rows(s.acme, "items"))


@checks
async def there_is_no_receipt_of_nothing(s: StoreFixture) -> None:
    """What is unknown, foreign, expired or gone has no receipt, in a dry run neither."""
    await s.commit("a")
    await s.commit("old", expires_at=int(s.clock()))
    await s.create("c")
    for dry_run in (True, False):
        for cascade in (True, False):
            named = {"dry_run": dry_run, "cascade": cascade}
            assert await s.acme.delete_response(response_id("old"), **named) is None
            assert await s.acme.delete_response(response_id("no"), **named) is None
            assert await s.globex.delete_response(response_id("a"), **named) is None
            assert await s.acme.delete_conversation(conversation_id("no"), **named) is None
            assert await s.globex.delete_conversation(conversation_id("c"), **named) is None
    await s.acme.delete_response(response_id("a"))
    assert await s.acme.delete_response(response_id("a"), dry_run=True) is None


@checks
async def dry_run_is_refused_like_the_erasure(s: StoreFixture) -> None:
    """While a turn holds a conversation that would change, a dry run of a cascade is refused too."""
    await s.create("c", [item("c")])
    await s.converse("c", "a")
    await s.acme.acquire_lease(conversation_id("c"), "holder", 30)
    for dry_run in (True, False):
        await raises(ConversationLocked, s.acme.delete_response(response_id("a"), cascade=True, dry_run=dry_run))
        await raises(
            ConversationLocked, s.acme.delete_conversation(conversation_id("c"), cascade=True, dry_run=dry_run)
        )
    assert await s.present("c") == ["c.0", "a.0", "a.1"]


@checks
async def dry_run_changes_nothing_at_all(s: StoreFixture) -> None:
    """After dry runs of everything, everything is as it was: reads, lists, positions and what comes next."""
    made = await fill(s, s.acme)
    await s.create("c", [item("c")])
    a = await s.converse("c", "a", expires_at=int(s.clock()) + 5)
    s.clock.advance(5)
    before = await contents(s.acme)
    for cascade in (True, False):
        await s.acme.delete_response(made.response, cascade=cascade, dry_run=True)
        await s.acme.delete_conversation(conversation_id("c"), cascade=cascade, dry_run=True)
    await s.store.sweep(dry_run=True)
    assert await contents(s.acme) == before
    assert await s.present("c") == ["c.0", "a.0", "a.1"]
    assert await s.acme.read_head(made.response) is not None
    b = await s.converse("c", "b")
    assert (b.first_position, b.insertion_index) == (3, a.insertion_index + 1)
    assert await s.sweep() == 1


# Sweeps.


@checks
async def receipt_of_a_sweep(s: StoreFixture) -> None:
    """A sweep counts turns and keys, and has a receipt for each tenant; a dry run tells the same and erases nothing."""
    soon = int(s.clock()) + 5
    a = await s.commit("a", expires_at=soon, payload=b"a")
    await s.commit("b", a.head, payload=b"b")
    delivery = NewDelivery(id="wh", response_id=response_id("d"), created_at=1, payload=b"delivery")
    await s.commit("d", None, [item("d")], expires_at=soon, payload=b"d", trace=b"t", deliveries=(delivery,))
    await s.globex.commit(s.turn("a", expires_at=soon, payload=b"a", seal=b"seal"))
    claim = await take(s, "k", lifetime_s=5)
    await s.acme.settle_key(Settlement(claim=claim, answer=b"answer"))
    s.clock.advance(5)
    before = {tenant: await contents(s.store.for_tenant(tenant)) for tenant in (ACME, GLOBEX)}
    expected = await s.store.sweep(dry_run=True)
    assert {tenant: await contents(s.store.for_tenant(tenant)) for tenant in (ACME, GLOBEX)} == before
    swept = await s.store.sweep()
    assert _plain_sweep(swept) == _plain_sweep(expected)
    assert swept.count == 4
    assert _plain_sweep(swept) == {
        ACME: {
            "responses": [response_id("a"), response_id("d")],
            "items": 1,
            "other": {"deliveries": 1, "idempotency": 1},
            "payload_bytes": len(b"a" + b"d" + b"t" + b"\x00d.0" + b"delivery" + b"answer"),
        },
        GLOBEX: {"responses": [response_id("a")], "items": 2, "keys_destroyed": 1, "payload_bytes": 1 + 2 * 4},
    }
    assert await s.sweep() == 0


@checks
async def dry_run_of_a_sweep_keeps_to_its_limit(s: StoreFixture) -> None:
    """A dry run names what the next sweep of that size takes: the oldest first."""
    now = int(s.clock())
    for index in range(3):
        await s.commit(f"t{index}", expires_at=now + 3 - index)
    s.clock.advance(3)
    expected = await s.store.sweep(2, dry_run=True)
    assert expected.count == 2
    assert sorted(expected.erased[ACME].responses) == [response_id("t1"), response_id("t2")]
    assert _plain_sweep(await s.store.sweep(2)) == _plain_sweep(expected)
    assert (await s.store.sweep(dry_run=True)).count == 1


def _plain_sweep(swept: Swept) -> dict[TenantId, Mapping[str, Any]]:
    found = {tenant: plain(receipt) for tenant, receipt in swept.erased.items()}
    return {tenant: receipt for tenant, receipt in found.items() if receipt}


# Nowhere.


_CANARY = b"\x00canary"


async def _sing(s: StoreFixture) -> None:
    """A conversation with turns whose every payload is a canary."""
    await s.create("c", [item("c", 0, payload=_CANARY), item("c", 1)], payload=_CANARY)
    turn: dict[str, Any] = {"payload": _CANARY, "trace": _CANARY}
    a = await s.converse("c", "a", entries=[item("a", 0, payload=_CANARY), item("a", 1)], **turn)
    delivery = NewDelivery(id="wh", response_id=response_id("b"), created_at=1, payload=_CANARY)
    await s.commit("b", a.head, [item("b", 0, payload=_CANARY)], deliveries=(delivery,), **turn)
    await s.fork("c", "f", payload=_CANARY)
    claim = await take(s, "k")
    await s.acme.settle_key(Settlement(claim=claim, answer=_CANARY, about=response_id("b")))
    await s.append("c", "stays")


@checks
async def erased_bytes_are_in_no_table(s: StoreFixture) -> None:
    """After the last of what held it has gone, no scan of any table finds a byte of what was erased."""
    await _sing(s)
    for name in "ab":
        await s.acme.delete_response(response_id(name))
    await s.acme.remove_item(conversation_id("c"), item_id("c", 0))
    await s.acme.remove_item(conversation_id("c"), item_id("a", 0))
    await s.acme.delete_conversation(conversation_id("f"))
    await s.acme.update_conversation(conversation_id("c"), b"updated")
    assert await _where(s, _CANARY) == []
    assert await s.present("c") == ["c.1", "a.1", "stays.0"]


@checks
async def cascaded_bytes_are_in_no_table(s: StoreFixture) -> None:
    """After a cascade no scan of any table finds a byte of what stood there."""
    await _sing(s)
    await s.commit("other")
    await _foretold(s, s.acme.delete_conversation, conversation_id("c"), cascade=True)
    assert await _where(s, _CANARY) == []
    assert await size_of(s.acme) == len(b"response other") + 2 * len(b"\x00other.0")


@checks
async def bytes_of_a_pending_turn_are_in_no_table(s: StoreFixture) -> None:
    """A turn that was given up, or took its place among the stored, leaves no byte of request and events."""
    for name in "ab":
        claim = await begin(s, name, payload=_CANARY, key=await take(s, f"key {name}"))
        if name == "a":
            await s.acme.drop_turn(claim)
        else:
            await s.commit(name, claim=claim)
    assert await _where(s, _CANARY) == []


async def _where(s: StoreFixture, payload: bytes) -> list[str]:
    """The tables in which *payload* is."""
    return [table for table in TABLES for each in await rows(s.acme, table) if payload in each.payload]
