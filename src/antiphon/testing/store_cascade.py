"""Checks of erasing something together with whatever stands on it."""

from __future__ import annotations

from antiphon.hub.errors import ConversationLocked, LeaseLost
from antiphon.sessions.records import Page
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


async def _known(s: StoreFixture, *names: str) -> str:
    """Which of these responses are known."""
    found = [name for name in names if await s.acme.read_head(response_id(name)) is not None]
    return "".join(found)


async def _erase(s: StoreFixture, name: str) -> bool:
    return await s.acme.delete_response(response_id(name), cascade=True) is not None


@checks
async def cascade_takes_what_stands_on_a_response(s: StoreFixture) -> None:
    """Every turn after a response goes with it, along its chain and in forks; what is beside it or before it stays."""
    root = await s.commit("p")
    a = await s.commit("a", root.head)
    b = await s.commit("b", a.head)
    await s.commit("c", b.head)
    f = await s.commit("f", a.head)
    await s.commit("g", f.head)
    await s.commit("beside", root.head)
    await s.commit("empty", b.head, [])
    assert await _erase(s, "a") is True
    assert await _known(s, "p", "a", "b", "c", "f", "g", "empty", "beside") == "pbeside"
    assert await s.left(*_ids("p", "a", "b", "c", "f", "g")) == set(_ids("p"))
    assert await s.history("beside") == ["p.0", "p.1", "beside.0", "beside.1"]
    assert await _erase(s, "a") is False


@checks
async def cascade_of_what_is_unknown_changes_nothing(s: StoreFixture) -> None:
    """Erasing an unknown, foreign or expired response, or an unknown conversation, gives no receipt."""
    await s.commit("a", expires_at=int(s.clock()) + 1)
    await s.create("c")
    assert await s.globex.delete_response(response_id("a"), cascade=True) is None
    assert await s.globex.delete_conversation(conversation_id("c"), cascade=True) is None
    s.clock.advance(1)
    assert await _erase(s, "a") is False
    assert await s.acme.delete_conversation(conversation_id("no"), cascade=True) is None
    assert await s.acme.read_conversation(conversation_id("c")) is not None


@checks
async def cascade_leaves_references(s: StoreFixture) -> None:
    """A turn that only refers to an erased response's item keeps that item; its other items go."""
    a = await s.commit("a")
    await s.commit("b", a.head)
    await s.commit("r", None, [refer("a", 0)])
    await _erase(s, "a")
    assert await _known(s, "a", "b", "r") == "r"
    assert await s.left(*_ids("a", "b")) == {item_id("a", 0)}
    assert await s.history("r") == ["a.0"]


@checks
async def cascade_takes_expired_turns_too(s: StoreFixture) -> None:
    """Expired turns that no sweep has seen do not keep what they stand on."""
    a = await s.commit("a")
    await s.commit("b", a.head, expires_at=int(s.clock()) + 1)
    s.clock.advance(1)
    await _erase(s, "a")
    assert await s.left(*_ids("a", "b")) == set()
    assert await s.sweep() == 0


@checks
async def cascade_removes_later_turns_from_a_conversation(s: StoreFixture) -> None:
    """A conversation loses an erased turn and all later ones; what was added by hand and earlier turns stay."""
    await s.create("c", [item("c")])
    for name in "abd":
        await s.converse("c", name)
        await s.append("c", f"{name}h")
    await _erase(s, "b")
    assert await s.present("c") == ["c.0", "a.0", "a.1", "ah.0", "bh.0", "dh.0"]
    assert await _known(s, "a", "b", "d") == "a"
    assert await s.left(*_ids("a", "b", "d")) == set(_ids("a"))
    await s.converse("c", "e")
    assert await s.present("c") == ["c.0", "a.0", "a.1", "ah.0", "bh.0", "dh.0", "e.0", "e.1"]


@checks
async def cascade_after_items_were_removed(s: StoreFixture) -> None:
    """A later turn that never saw the erased one's items stays readable, though the conversation loses its items."""
    await s.create("c", [item("c")])
    await s.converse("c", "a")
    await s.converse("c", "b")
    await s.remove("c", *_ids("a"))
    await s.converse("c", "d")
    await _erase(s, "a")
    assert await s.present("c") == ["c.0"]
    assert await _known(s, "a", "b", "d") == "d"
    assert await s.history("d") == ["c.0", "b.0", "b.1", "d.0", "d.1"]
    assert await s.left(*_ids("a")) == set()


@checks
async def cascade_of_a_turn_beside_its_conversation(s: StoreFixture) -> None:
    """Erasing a turn of a conversation that stood aside takes nothing from the conversation."""
    await s.create("c", [item("c")])
    cancelled = await s.converse("c", "a", status="cancelled", aside=True)
    await s.commit("b", cancelled.head)
    await s.converse("c", "d")
    await _erase(s, "a")
    assert await _known(s, "a", "b", "d") == "d"
    assert await s.present("c") == ["c.0", "d.0", "d.1"]


@checks
async def cascade_takes_forks_of_the_conversation(s: StoreFixture) -> None:
    """Forks that show an erased turn go, with their turns that show it; forks from before it stay."""
    await s.create("c", [item("c")])
    await s.fork("c", "before")
    await s.converse("c", "a")
    await s.fork("c", "after")
    await s.fork("after", "fork of it")
    await s.fork("after", "up to the first", at=item_id("c"))
    await s.converse("after", "b")
    await s.converse("before", "d")
    await _erase(s, "a")
    for name, stays in {"before": True, "after": False, "fork of it": False, "up to the first": True}.items():
        assert (await s.acme.read_conversation(conversation_id(name)) is not None) == stays, name
    assert await _known(s, "a", "b", "d") == "d"
    assert await s.left(item_id("c"), *_ids("a", "b")) == {item_id("c")}
    assert await s.present("up to the first") == ["c.0"]


@checks
async def cascade_leaves_a_fork_that_shows_nothing_of_it(s: StoreFixture) -> None:
    """A fork that has removed the erased turn's items stays; its turns from before the removal go."""
    await s.create("c", [item("c")])
    await s.converse("c", "a")
    await s.fork("c", "f")
    await s.converse("f", "b")
    await s.remove("f", *_ids("a"))
    await s.converse("f", "d")
    await _erase(s, "a")
    assert await _known(s, "a", "b", "d") == "d"
    assert await s.present("f") == ["c.0", "b.0", "b.1", "d.0", "d.1"]
    assert await s.left(*_ids("a")) == set()


@checks
async def cascade_waits_for_no_turn(s: StoreFixture) -> None:
    """While a turn holds a conversation that would change, erasing is refused and changes nothing."""
    await s.create("c", [item("c")])
    await s.converse("c", "a")
    await s.fork("c", "f")
    for held in ("c", "f"):
        lease = await s.acme.acquire_lease(conversation_id(held), "holder", 30)
        await raises(ConversationLocked, _erase(s, "a"))
        await raises(ConversationLocked, s.acme.delete_conversation(conversation_id("c"), cascade=True))
        assert await s.present("c") == ["c.0", "a.0", "a.1"]
        assert await s.present("f") == ["c.0", "a.0", "a.1"]
        assert await _known(s, "a") == "a"
        await s.acme.release_lease(lease)
    lease = await s.acme.acquire_lease(conversation_id("c"), "holder", 1)
    s.clock.advance(1)
    assert await _erase(s, "a") is True
    assert await s.present("c") == ["c.0"]
    await s.acme.release_lease(lease)


@checks
async def cascade_is_not_stopped_by_a_turn_elsewhere(s: StoreFixture) -> None:
    """A turn that holds a conversation which loses nothing does not stand in the way."""
    await s.create("c", [item("c")])
    await s.fork("c", "f")
    await s.converse("c", "a")
    await s.acme.acquire_lease(conversation_id("f"), "holder", 30)
    assert await _erase(s, "a") is True


@checks
async def cascade_of_a_conversation(s: StoreFixture) -> None:
    """A conversation goes with its turns, what continues them, and its forks; other conversations stay."""
    await s.create("c", [item("c")])
    await s.create("other", [item("other")])
    a = await s.converse("c", "a")
    failed = await s.converse("c", "failed", status="failed", aside=True)
    assert failed.head.log != a.head.log
    b = await s.commit("b", a.head)
    await s.commit("d", b.head)
    await s.fork("c", "f")
    await s.fork("f", "g")
    await s.converse("g", "e")
    assert await s.acme.delete_conversation(conversation_id("c"), cascade=True) is not None
    assert await _known(s, "a", "failed", "b", "d", "e") == ""
    for name in "cfg":
        assert await s.acme.read_conversation(conversation_id(name)) is None
        assert await s.acme.get_by_conversation_id(conversation_id(name)) == []
    assert await s.left(item_id("c"), *_ids("a", "failed", "b", "d", "e")) == set()
    assert await s.present("other") == ["other.0"]
    assert await s.acme.delete_conversation(conversation_id("c"), cascade=True) is None


@checks
async def cascade_of_a_fork_leaves_its_conversation(s: StoreFixture) -> None:
    """Erasing a fork takes what stands on the fork, and nothing of the conversation that it was made from."""
    await s.create("c", [item("c")])
    await s.converse("c", "a")
    await s.fork("c", "f")
    await s.fork("c", "sister")
    b = await s.converse("f", "b")
    await s.commit("d", b.head)
    assert await s.acme.delete_conversation(conversation_id("f"), cascade=True) is not None
    assert await _known(s, "a", "b", "d") == "a"
    assert await s.present("c") == ["c.0", "a.0", "a.1"]
    assert await s.present("sister") == ["c.0", "a.0", "a.1"]


@checks
async def cascade_of_an_empty_conversation(s: StoreFixture) -> None:
    """What was forked from a conversation goes with it, also where nothing of it is shown."""
    await s.create("c")
    await s.fork("c", "f")
    await s.append("f", "x")
    await s.acme.delete_conversation(conversation_id("c"), cascade=True)
    assert await s.acme.read_conversation(conversation_id("f")) is None
    assert await s.left(item_id("x")) == set()


@checks
async def cascade_takes_turns_that_stand_elsewhere(s: StoreFixture) -> None:
    """A conversation's turn that was put into another chain goes with the conversation, and what stands on it."""
    await s.create("c", [item("c")])
    a = await s.commit("a")
    put = await s.acme.put_session(s.session("b", head=a.head, conversation_id=conversation_id("c")))
    await s.commit("d", put.head)
    await s.acme.delete_conversation(conversation_id("c"), cascade=True)
    assert await _known(s, "a", "b", "d") == "a"
    assert await s.left(*_ids("a", "b", "d")) == set(_ids("a"))


@checks
async def turn_in_an_erased_conversation_is_refused(s: StoreFixture) -> None:
    """A turn whose lease ran out while its conversation was erased is refused."""
    await s.create("c", [item("c")])
    lease = await s.acme.acquire_lease(conversation_id("c"), "holder", 1)
    s.clock.advance(1)
    await s.acme.delete_conversation(conversation_id("c"), cascade=True)
    await raises(LeaseLost, s.commit("a", lease=lease, conversation_id=conversation_id("c")))


@checks
async def cascade_leaves_no_trace(s: StoreFixture) -> None:
    """After a cascade no read answers a byte of what went, and its ids are free."""
    await s.create("c", [item("c")])
    a = await s.converse("c", "a", entries=[item("a", 0, payload=b"\x00canary")], payload=b"\x00canary")
    await s.fork("c", "f", payload=b"\x00canary")
    await s.commit("b", a.head, [item("b", 0, payload=b"\x00canary")], payload=b"\x00canary")
    await _erase(s, "a")
    answers: list[object] = [
        await s.acme.read_history_of(conversation_id("c")),
        await s.acme.read_history_of(conversation_id("f")),
        await s.acme.list_conversation_items(conversation_id("c"), Page()),
        await s.acme.get_by_conversation_id(conversation_id("c")),
        await s.acme.find_items(_ids("a", "b")),
        *[await s.acme.get_by_response_id(response_id(name)) for name in "ab"],
        *[await s.acme.list_input_items(response_id(name), Page()) for name in "ab"],
    ]
    assert "canary" not in repr(answers)
    await s.commit("a")
    assert await s.history("a") == ["a.0", "a.1"]
