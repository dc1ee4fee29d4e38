"""Checks of leases: one turn at a time in a conversation, fenced by an epoch."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from antiphon.hub.errors import ConversationLocked, LeaseLost, StoreConflict
from antiphon.sessions.records import Head
from antiphon.testing.store_fixture import (
    CheckList,
    StoreFixture,
    conversation_id,
    item,
    item_id,
    raises,
    response_id,
)

__all__ = ["checks"]

checks = CheckList()


@checks
async def lease_is_given_to_one(s: StoreFixture) -> None:
    """While a lease runs nobody else gets it; given back, the next one does."""
    await s.create("c")
    lease = await s.acme.acquire_lease(conversation_id("c"), "one", 30)
    assert (lease.conversation_id, lease.holder) == (conversation_id("c"), "one")
    await raises(ConversationLocked, s.acme.acquire_lease(conversation_id("c"), "two", 30))
    await s.acme.release_lease(lease)
    second = await s.acme.acquire_lease(conversation_id("c"), "two", 30)
    assert second.epoch > lease.epoch


@checks
async def one_of_many_gets_the_lease(s: StoreFixture) -> None:
    """Of many who ask at once exactly one gets the lease."""
    await s.create("c")
    asked = (s.acme.acquire_lease(conversation_id("c"), f"holder {index}", 30) for index in range(10))
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(not isinstance(answer, BaseException) for answer in answers) == 1
    assert sum(isinstance(answer, ConversationLocked) for answer in answers) == 9


@checks
async def lease_runs_out(s: StoreFixture) -> None:
    """A lease is free again at the very end of its time, and not a moment before."""
    await s.create("c")
    first = await s.acme.acquire_lease(conversation_id("c"), "one", 2.5)
    s.clock.advance(2.25)
    await raises(ConversationLocked, s.acme.acquire_lease(conversation_id("c"), "two", 30))
    s.clock.advance(0.25)
    second = await s.acme.acquire_lease(conversation_id("c"), "two", 30)
    assert second.epoch > first.epoch


@checks
async def lease_is_renewed(s: StoreFixture) -> None:
    """A renewed lease runs from the renewal on; one that is no longer ours is not renewed."""
    await s.create("c")
    lease = await s.acme.acquire_lease(conversation_id("c"), "one", 10)
    s.clock.advance(9)
    assert await s.acme.renew_lease(lease, 10) is True
    s.clock.advance(9)
    await raises(ConversationLocked, s.acme.acquire_lease(conversation_id("c"), "two", 10))
    s.clock.advance(1)
    await s.acme.acquire_lease(conversation_id("c"), "two", 10)
    assert await s.acme.renew_lease(lease, 10) is False
    await s.acme.release_lease(lease)
    await raises(ConversationLocked, s.acme.acquire_lease(conversation_id("c"), "three", 10))


@checks
async def same_holder_of_an_older_lease_is_fenced(s: StoreFixture) -> None:
    """Who took a lease twice cannot use the first: its number is older."""
    await s.create("c")
    first = await s.acme.acquire_lease(conversation_id("c"), "one", 1)
    s.clock.advance(1)
    second = await s.acme.acquire_lease(conversation_id("c"), "one", 30)
    assert await s.acme.renew_lease(first, 30) is False
    await raises(LeaseLost, s.commit("a", lease=first, conversation_id=conversation_id("c")))
    await s.commit("a", lease=second, conversation_id=conversation_id("c"))


@checks
async def turn_whose_lease_ran_out_may_commit(s: StoreFixture) -> None:
    """A lease that ran out and was not taken by anybody still carries its turn."""
    await s.create("c")
    lease = await s.acme.acquire_lease(conversation_id("c"), "one", 1)
    s.clock.advance(60)
    await s.commit("a", lease=lease, conversation_id=conversation_id("c"))
    assert await s.present("c") == ["a.0", "a.1"]


@checks
async def turn_whose_conversation_was_edited_is_refused(s: StoreFixture) -> None:
    """Under a lease that ran out items may be changed by hand; then a turn that did not see them is refused."""
    edits: dict[str, Callable[[], Awaitable[object]]] = {
        "c": lambda: s.acme.append_items(conversation_id("c"), [item("h")]),
        "d": lambda: s.acme.remove_item(conversation_id("d"), item_id("d")),
    }
    for name, edit in edits.items():
        created = await s.create(name, [item(name)])
        lease = await s.acme.acquire_lease(conversation_id(name), "one", 1)
        s.clock.advance(1)
        await edit()
        await raises(LeaseLost, s.commit("a", created.head, lease=lease, conversation_id=conversation_id(name)))
    assert await s.acme.get_by_response_id(response_id("a")) is None
    assert (await s.present("c"), await s.present("d")) == (["c.0", "h.0"], [])


@checks
async def turn_whose_lease_was_taken_is_refused(s: StoreFixture) -> None:
    """A turn under a lease that passed to another is refused, stores nothing and leaves the other alone."""
    await s.create("c")
    old = await s.acme.acquire_lease(conversation_id("c"), "one", 1)
    s.clock.advance(1)
    new = await s.acme.acquire_lease(conversation_id("c"), "two", 30)
    for aside in (False, True):
        await raises(LeaseLost, s.commit("a", lease=old, conversation_id=conversation_id("c"), aside=aside))
    assert await s.acme.get_by_response_id(response_id("a")) is None
    assert await s.left(item_id("a")) == set()
    await s.commit("b", lease=new, conversation_id=conversation_id("c"))
    assert await s.present("c") == ["b.0", "b.1"]


@checks
async def commit_gives_the_lease_back(s: StoreFixture) -> None:
    """A conversation is free as soon as its turn is stored, and the lease cannot be used again."""
    await s.create("c")
    lease = await s.acme.acquire_lease(conversation_id("c"), "one", 30)
    await s.commit("a", lease=lease, conversation_id=conversation_id("c"))
    await raises(LeaseLost, s.commit("b", lease=lease, conversation_id=conversation_id("c")))
    assert await s.acme.renew_lease(lease, 30) is False
    await s.acme.acquire_lease(conversation_id("c"), "two", 30)


@checks
async def refused_commit_keeps_the_lease(s: StoreFixture) -> None:
    """A turn that could not be stored still holds its conversation, and can be stored otherwise."""
    await s.create("c", [item("c")])
    lease = await s.acme.acquire_lease(conversation_id("c"), "one", 30)
    clash = s.turn("a", None, [item("c", 0, payload=b"x")], lease=lease, conversation_id=conversation_id("c"))
    await raises(StoreConflict, s.acme.commit(clash))
    assert await s.acme.renew_lease(lease, 30) is True
    await s.commit("a", lease=lease, conversation_id=conversation_id("c"))
    assert await s.present("c") == ["c.0", "a.0", "a.1"]


@checks
async def running_turn_locks_out_changes_by_hand(s: StoreFixture) -> None:
    """While a turn runs, items are neither added nor removed by hand; afterwards they are."""
    await s.create("c", [item("c")])
    lease = await s.acme.acquire_lease(conversation_id("c"), "one", 30)
    await raises(ConversationLocked, s.acme.append_items(conversation_id("c"), [item("h")]))
    await raises(ConversationLocked, s.acme.remove_item(conversation_id("c"), item_id("c")))
    assert await s.present("c") == ["c.0"]
    await s.acme.release_lease(lease)
    await s.acme.append_items(conversation_id("c"), [item("h")])
    await s.acme.remove_item(conversation_id("c"), item_id("c"))
    assert await s.present("c") == ["h.0"]


@checks
async def lease_that_ran_out_locks_nobody_out(s: StoreFixture) -> None:
    """When a lease has run out, items may be changed by hand."""
    await s.create("c", [item("c")])
    await s.acme.acquire_lease(conversation_id("c"), "one", 1)
    s.clock.advance(1)
    await s.acme.append_items(conversation_id("c"), [item("h")])
    assert await s.acme.remove_item(conversation_id("c"), item_id("c")) is True


@checks
async def turn_of_a_deleted_conversation_is_refused(s: StoreFixture) -> None:
    """A turn whose conversation was deleted while it ran fails and stores nothing."""
    await s.create("c")
    lease = await s.acme.acquire_lease(conversation_id("c"), "one", 30)
    assert await s.acme.delete_conversation(conversation_id("c")) is not None
    await raises(LeaseLost, s.commit("a", lease=lease, conversation_id=conversation_id("c")))
    assert await s.acme.get_by_response_id(response_id("a")) is None
    assert await s.acme.renew_lease(lease, 30) is False


@checks
async def aside_turn_of_a_conversation(s: StoreFixture) -> None:
    """A failed turn of a conversation stands on its end in a log of its own, and frees the conversation."""
    created = await s.create("c", [item("c")])
    aside = await s.converse("c", "a", aside=True, status="failed")
    assert aside.head.log != created.head.log
    assert await s.history("a") == ["c.0", "a.0", "a.1"]
    assert await s.present("c") == ["c.0"]
    await s.converse("c", "b")
    assert await s.present("c") == ["c.0", "b.0", "b.1"]
    turns = await s.acme.get_by_conversation_id(conversation_id("c"))
    assert [turn.response_id for turn in turns] == [response_id("a"), response_id("b")]


@checks
async def aside_turn_stands_where_it_is_told(s: StoreFixture) -> None:
    """A failed turn of a conversation stands on its own head, if it was given one."""
    created = await s.create("c", [item("c", 0), item("c", 1)])
    await s.converse("c", "a", aside=True, status="cancelled", attach=Head(log=created.head.log, position=0))
    assert await s.history("a") == ["c.0", "a.0", "a.1"]
    assert await s.present("c") == ["c.0", "c.1"]
