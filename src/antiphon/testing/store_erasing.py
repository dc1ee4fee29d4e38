"""Checks of erasing: what is unreachable goes, what anybody reaches stays, in every order of going."""

from __future__ import annotations

from itertools import permutations

from antiphon.hub.errors import BaseErased
from antiphon.sessions.records import Head, Page, StoredItem
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

__all__ = ["checks"]

checks = CheckList()


def _ids(*names: str) -> list[str]:
    return [item_id(name, index) for name in names for index in (0, 1)]


@checks
async def deleted_response_is_unknown_at_once(s: StoreFixture) -> None:
    """After its deletion a response is unknown to every read, and cannot be deleted again."""
    await s.create("c")
    await s.converse("c", "a")
    assert await s.acme.delete_response(response_id("a")) is not None
    assert await s.acme.delete_response(response_id("a")) is None
    assert await s.acme.get_by_response_id(response_id("a")) is None
    assert await s.acme.read_head(response_id("a")) is None
    assert await s.acme.read_history_after(response_id("a")) is None
    assert await s.acme.list_input_items(response_id("a"), Page()) is None
    assert await s.acme.get_by_conversation_id(conversation_id("c")) == []


@checks
async def last_turn_goes_with_its_items(s: StoreFixture) -> None:
    """Deleting the newest turn of a chain erases its items and no others."""
    a = await s.commit("a")
    await s.commit("b", a.head)
    await s.acme.delete_response(response_id("b"))
    assert await s.left(*_ids("a", "b")) == set(_ids("a"))
    assert await s.history("a") == ["a.0", "a.1"]


@checks
async def earlier_turn_stays_for_what_stands_on_it(s: StoreFixture) -> None:
    """Items of a deleted turn stay for later turns, and go with the last of these."""
    a = await s.commit("a")
    b = await s.commit("b", a.head)
    await s.commit("c", b.head)
    await s.acme.delete_response(response_id("a"))
    await s.acme.delete_response(response_id("b"))
    assert await s.history("c") == ["a.0", "a.1", "b.0", "b.1", "c.0", "c.1"]
    assert await s.inputs("c", order="asc") == [*_ids("a", "b"), item_id("c", 0)]
    await s.acme.delete_response(response_id("c"))
    assert await s.left(*_ids("a", "b", "c")) == set()


@checks
async def tree_is_erased_in_any_order(s: StoreFixture) -> None:
    """In whatever order the turns of a tree are deleted, the others stay whole, and the last leaves nothing."""
    histories = {"a": "a", "b": "ab", "f": "af", "g": "afg", "h": "afh"}
    for run, order in enumerate(permutations(histories)):
        if run % 5:
            continue  # every fifth order: each turn comes first, last and between
        names = {name: f"{name}{run}" for name in histories}
        a = await s.commit(names["a"])
        await s.commit(names["b"], a.head)
        f = await s.commit(names["f"], a.head)
        await s.commit(names["g"], f.head)
        await s.commit(names["h"], f.head)
        for index, name in enumerate(order):
            await s.acme.delete_response(response_id(names[name]))
            for alive in order[index + 1 :]:
                expected = [f"{names[part]}.{side}" for part in histories[alive] for side in (0, 1)]
                assert await s.history(names[alive]) == expected, f"order {order}, after {name}"
            reached = {part for alive in order[index + 1 :] for part in histories[alive]}
            left = await s.left(*_ids(*names.values()))
            assert left == set(_ids(*(names[part] for part in reached))), f"order {order}, after {name}"


@checks
async def positions_are_never_used_again(s: StoreFixture) -> None:
    """After the newest turn was deleted, the next turn after the one before forks: the log does not shrink."""
    a = await s.commit("a")
    b = await s.commit("b", a.head)
    await s.acme.delete_response(response_id("b"))
    c = await s.commit("c", a.head)
    assert c.head.log != b.head.log
    assert await s.history("c") == ["a.0", "a.1", "c.0", "c.1"]


@checks
async def ground_that_was_erased_is_refused(s: StoreFixture) -> None:
    """A turn whose parent was erased while it ran is refused and stores nothing."""
    a = await s.commit("a")
    b = await s.commit("b", a.head)
    await s.acme.delete_response(response_id("b"))
    await raises(BaseErased, s.commit("c", b.head))
    await raises(BaseErased, s.commit("c", Head(log=a.head.log, position=2)))
    await raises(BaseErased, s.commit("c", b.head, []))
    await s.acme.delete_response(response_id("a"))
    await raises(BaseErased, s.commit("c", a.head))
    assert await s.acme.get_by_response_id(response_id("c")) is None
    assert await s.left(*_ids("c")) == set()


@checks
async def deleted_parent_is_still_ground_for_its_children(s: StoreFixture) -> None:
    """What later turns hold may be stood on, though the response that made it was deleted."""
    a = await s.commit("a")
    await s.commit("b", a.head)
    await s.acme.delete_response(response_id("a"))
    await s.commit("c", a.head)
    assert await s.history("c") == ["a.0", "a.1", "c.0", "c.1"]


@checks
async def turn_without_entries_holds_its_ground(s: StoreFixture) -> None:
    """A turn without items keeps the history that it stands on, and it goes with it."""
    a = await s.commit("a")
    await s.commit("empty", a.head, [])
    await s.acme.delete_response(response_id("a"))
    assert await s.history("empty") == ["a.0", "a.1"]
    await s.acme.delete_response(response_id("empty"))
    assert await s.left(*_ids("a")) == set()


@checks
async def reference_keeps_its_item(s: StoreFixture) -> None:
    """An item that is referred to outlives its turn, alone, and goes with the last reference."""
    await s.commit("a")
    await s.commit("b", None, [refer("a", 1), item("b", 1)])
    await s.commit("c", None, [refer("a", 1)])
    await s.acme.delete_response(response_id("a"))
    assert await s.left(*_ids("a")) == {item_id("a", 1)}
    assert await s.history("b") == ["a.1", "b.1"]
    await s.acme.delete_response(response_id("b"))
    assert await s.history("c") == ["a.1"]
    await s.acme.delete_response(response_id("c"))
    assert await s.left(*_ids("a")) == set()


@checks
async def reference_to_a_reference_means_the_item(s: StoreFixture) -> None:
    """A reference made through another reference holds the item itself, whoever goes first."""
    await s.commit("a")
    await s.commit("b", None, [refer("a", 0)])
    await s.commit("c", None, [refer("a", 0)])
    await s.acme.delete_response(response_id("b"))
    await s.acme.delete_response(response_id("a"))
    assert await s.history("c") == ["a.0"]
    assert await s.left(*_ids("a")) == {item_id("a", 0)}


@checks
async def held_item_is_no_ground(s: StoreFixture) -> None:
    """An item that only a reference keeps can be referred to, and cannot be stood on."""
    a = await s.commit("a")
    await s.commit("b", None, [refer("a", 1)])
    await s.acme.delete_response(response_id("a"))
    await raises(BaseErased, s.commit("c", a.head))
    await s.commit("d", None, [refer("a", 1)])
    assert await s.history("d") == ["a.1"]


@checks
async def held_item_does_not_hold_a_base(s: StoreFixture) -> None:
    """A reference into a fork keeps the one item, not what the fork stood on."""
    a = await s.commit("a")
    await s.commit("b", a.head)
    await s.commit("f", a.head)
    await s.commit("r", None, [refer("f", 0)])
    for name in ("f", "b", "a"):
        await s.acme.delete_response(response_id(name))
    assert await s.left(*_ids("a", "b", "f")) == {item_id("f", 0)}
    assert await s.history("r") == ["f.0"]
    await s.acme.delete_response(response_id("r"))
    assert await s.left(*_ids("f")) == set()


@checks
async def reference_inside_its_own_log(s: StoreFixture) -> None:
    """A chain that refers to itself goes as a whole."""
    a = await s.commit("a")
    await s.commit("b", a.head, [refer("a", 0), item("b", 1)])
    await s.acme.delete_response(response_id("a"))
    assert await s.history("b") == ["a.0", "a.1", "a.0", "b.1"]
    await s.acme.delete_response(response_id("b"))
    assert await s.left(*_ids("a", "b")) == set()


@checks
async def erased_ids_are_free_again(s: StoreFixture) -> None:
    """The ids of what was erased may be used anew; its content does not come back."""
    await s.commit("a")
    await s.acme.delete_response(response_id("a"))
    await s.commit("a", None, [item("a", 0, payload=b"\x00fresh")])
    assert await s.history("a") == ["fresh"]


@checks
async def expired_response_is_unknown_at_once(s: StoreFixture) -> None:
    """From the second of its expiry a response is unknown to every read, before any sweep."""
    await s.create("c")
    await s.converse("c", "a", expires_at=int(s.clock()) + 10)
    s.clock.advance(9.5)
    assert await s.history("a") == ["a.0", "a.1"]
    s.clock.advance(0.5)
    assert await s.acme.get_by_response_id(response_id("a")) is None
    assert await s.acme.read_head(response_id("a")) is None
    assert await s.acme.read_history_after(response_id("a")) is None
    assert await s.acme.list_input_items(response_id("a"), Page()) is None
    assert await s.acme.get_by_conversation_id(conversation_id("c")) == []
    assert await s.acme.delete_response(response_id("a")) is None
    await raises(Exception, s.acme.put_session(s.session("b", previous_response_id=response_id("a"))))
    history = await s.acme.read_history_of(conversation_id("c"))
    assert history is not None
    assert history.last_created_at == 0


@checks
async def sweep_erases_what_has_expired(s: StoreFixture) -> None:
    """A sweep erases expired turns of all tenants and nothing else, and says how many."""
    soon = int(s.clock()) + 10
    a = await s.commit("a", expires_at=soon)
    await s.commit("b", a.head, expires_at=soon + 10)
    await s.commit("x", expires_at=soon)
    await s.commit("stays")
    await s.globex.commit(s.turn("y", expires_at=soon))
    assert await s.sweep() == 0
    s.clock.advance(10)
    assert await s.sweep() == 3
    assert await s.sweep() == 0
    assert await s.left(*_ids("a", "b", "x", "stays")) == set(_ids("a", "b", "stays"))
    assert await s.globex.find_items(_ids("y")) == {}
    assert await s.history("b") == ["a.0", "a.1", "b.0", "b.1"]
    s.clock.advance(10)
    assert await s.sweep() == 1
    assert await s.left(*_ids("a", "b", "stays")) == set(_ids("stays"))


@checks
async def sweep_goes_in_small_steps(s: StoreFixture) -> None:
    """A sweep erases no more turns than it was allowed to, oldest first."""
    now = int(s.clock())
    for index in range(5):
        await s.commit(f"t{index}", expires_at=now + 5 - index)
    s.clock.advance(5)
    assert await s.sweep(2) == 2
    assert await s.left(*_ids("t0", "t1", "t2", "t3", "t4")) == set(_ids("t0", "t1", "t2"))
    assert await s.sweep(2) == 2
    assert await s.sweep(2) == 1
    assert await s.sweep(2) == 0


@checks
async def expired_parent_does_not_take_its_children(s: StoreFixture) -> None:
    """A turn outlives its expired parent with all of its history, forks included."""
    a = await s.commit("a", expires_at=int(s.clock()) + 1)
    await s.commit("b", a.head)
    await s.commit("f", a.head)
    s.clock.advance(1)
    await s.sweep()
    assert await s.history("b") == ["a.0", "a.1", "b.0", "b.1"]
    assert await s.history("f") == ["a.0", "a.1", "f.0", "f.1"]


@checks
async def conversation_owns_its_items(s: StoreFixture) -> None:
    """A conversation keeps the items of deleted and expired turns."""
    await s.create("c", [item("c")])
    await s.converse("c", "a")
    await s.converse("c", "b", expires_at=int(s.clock()) + 1)
    await s.acme.delete_response(response_id("a"))
    s.clock.advance(1)
    assert await s.sweep() == 1
    assert await s.present("c") == ["c.0", "a.0", "a.1", "b.0", "b.1"]


@checks
async def deleted_conversation_leaves_its_responses(s: StoreFixture) -> None:
    """Deleting a conversation makes it unknown; its responses stay readable, and items beyond them go."""
    await s.create("c", [item("c")])
    await s.converse("c", "a")
    await s.acme.append_items(conversation_id("c"), [item("h")])
    assert await s.acme.delete_conversation(conversation_id("c")) is not None
    assert await s.acme.delete_conversation(conversation_id("c")) is None
    assert await s.acme.read_conversation(conversation_id("c")) is None
    assert await s.acme.read_history_of(conversation_id("c")) is None
    assert await s.history("a") == ["c.0", "a.0", "a.1"]
    assert await s.left(item_id("h")) == set()
    turns = await s.acme.get_by_conversation_id(conversation_id("c"))
    assert [turn.response_id for turn in turns] == [response_id("a")]
    await s.acme.delete_response(response_id("a"))
    assert await s.left(item_id("c"), *_ids("a")) == set()


@checks
async def response_of_a_deleted_conversation_is_continued(s: StoreFixture) -> None:
    """A turn may stand on a response whose conversation is gone; it gets a log of its own."""
    await s.create("c", [item("c")])
    a = await s.converse("c", "a")
    await s.acme.delete_conversation(conversation_id("c"))
    b = await s.commit("b", a.head)
    assert b.head.log != a.head.log
    await s.acme.delete_response(response_id("a"))
    assert await s.history("b") == ["c.0", "a.0", "a.1", "b.0", "b.1"]


@checks
async def deleted_conversation_goes_whole(s: StoreFixture) -> None:
    """A conversation without turns leaves nothing, removed items included."""
    await s.create("c", [item("c", 0), item("c", 1)])
    await s.acme.remove_item(conversation_id("c"), item_id("c", 0))
    await s.acme.delete_conversation(conversation_id("c"))
    assert await s.left(*_ids("c")) == set()


@checks
async def conversation_is_ground_no_more(s: StoreFixture) -> None:
    """The end of a conversation that was deleted cannot be stood on."""
    created = await s.create("c", [item("c")])
    await s.acme.delete_conversation(conversation_id("c"))
    await raises(BaseErased, s.commit("a", created.head))


@checks
async def removed_item_that_nobody_saw_is_erased(s: StoreFixture) -> None:
    """A removed item goes at once when no turn has seen it; its position stays and shows nothing."""
    await s.create("c", [item("c", 0), item("c", 1)])
    await s.acme.remove_item(conversation_id("c"), item_id("c", 0))
    assert await s.left(*_ids("c")) == {item_id("c", 1)}
    history = await s.acme.read_history_of(conversation_id("c"))
    assert history is not None
    assert (history.items[0].id, history.items[0].payload, history.items[0].removed) == (None, None, True)


@checks
async def removed_item_goes_with_the_last_who_saw_it(s: StoreFixture) -> None:
    """A removed item stays for the turns and forks from before its removal, and goes with the last of them."""
    await s.create("c", [item("c", 0), item("c", 1)])
    a = await s.converse("c", "a")
    await s.commit("fork", a.head)
    await s.acme.remove_item(conversation_id("c"), item_id("c", 0))
    await s.converse("c", "b")
    await s.acme.delete_response(response_id("a"))
    assert await s.history("fork") == ["c.0", "c.1", "a.0", "a.1", "fork.0", "fork.1"]
    await s.acme.delete_response(response_id("fork"))
    assert await s.left(*_ids("c")) == {item_id("c", 1)}
    assert await s.present("c") == ["c.1", "a.0", "a.1", "b.0", "b.1"]
    assert await s.history("b") == ["c.1", "a.0", "a.1", "b.0", "b.1"]


@checks
async def removed_item_stays_for_a_reference(s: StoreFixture) -> None:
    """A removed item that is referred to elsewhere stays until the reference goes."""
    await s.create("c", [item("c", 0), item("c", 1)])
    await s.commit("r", None, [refer("c", 0)])
    await s.acme.remove_item(conversation_id("c"), item_id("c", 0))
    assert await s.history("r") == ["c.0"]
    assert await s.present("c") == ["c.1"]
    await s.acme.delete_response(response_id("r"))
    assert await s.left(*_ids("c")) == {item_id("c", 1)}


@checks
async def removed_reference_lets_its_item_go(s: StoreFixture) -> None:
    """Removing a reference from a conversation lets go of what only it kept."""
    await s.commit("a")
    await s.create("c", [refer("a", 0), item("c")])
    await s.acme.delete_response(response_id("a"))
    assert await s.left(*_ids("a")) == {item_id("a", 0)}
    await s.acme.remove_item(conversation_id("c"), item_id("a", 0))
    assert await s.left(*_ids("a")) == set()
    assert await s.present("c") == ["c.0"]


@checks
async def removal_by_a_view_from_before_is_noticed(s: StoreFixture) -> None:
    """A turn that stands on a view of which an item was erased since is refused."""
    created = await s.create("c", [item("c", 0), item("c", 1)])
    await s.acme.remove_item(conversation_id("c"), item_id("c", 0))
    await raises(BaseErased, s.commit("a", created.head))
    await raises(BaseErased, s.commit("a", created.head, []))
    now = await s.acme.read_conversation(conversation_id("c"))
    assert now is not None
    await s.commit("b", now.head)
    assert await s.history("b") == ["c.1", "b.0", "b.1"]


@checks
async def erased_content_is_nowhere(s: StoreFixture) -> None:
    """After erasing, no method answers a byte of the content."""
    await s.create("c", [item("c", 0, payload=b"\x00canary"), item("c", 1)])
    a = await s.converse("c", "a", payload=b"\x00canary")
    b = await s.commit("b", a.head, [item("b", 0, payload=b"\x00canary")])
    await s.commit("d", b.head)
    await s.acme.remove_item(conversation_id("c"), item_id("c", 0))
    for name in ("a", "b", "d"):
        await s.acme.delete_response(response_id(name))
    answers: list[object] = [
        *[await s.acme.get_by_response_id(response_id(name)) for name in "abd"],
        *[await s.acme.read_history_after(response_id(name)) for name in "abd"],
        await s.acme.get_by_conversation_id(conversation_id("c")),
        await s.acme.read_history_of(conversation_id("c")),
        await s.acme.list_conversation_items(conversation_id("c"), Page()),
        await s.acme.read_conversation_item(conversation_id("c"), item_id("c", 0)),
        await s.acme.find_items([*_ids("a", "b", "c", "d")]),
    ]
    assert "canary" not in repr(answers)


@checks
async def deleting_one_tenants_turn_leaves_the_others(s: StoreFixture) -> None:
    """Erasing stays inside its tenant, though ids and histories are alike."""
    for tenant in (s.acme, s.globex):
        a = await tenant.commit(s.turn("a"))
        await tenant.commit(s.turn("b", a.head))
    for name in ("b", "a"):
        await s.acme.delete_response(response_id(name))
    history = await s.globex.read_history_after(response_id("b"))
    assert history is not None
    assert len([entry for entry in history.items if isinstance(entry, StoredItem) and entry.payload]) == 4
