"""Checks of the four named operations: order, replacing, where a session attaches."""

from __future__ import annotations

import msgspec

from antiphon.hub.errors import (
    BaseErased,
    ConversationLocked,
    ConversationNotFound,
    PreviousResponseNotFound,
    StoreConflict,
)
from antiphon.sessions.records import Head, StoredItem, StoredSession
from antiphon.testing.store_fixture import (
    FAMILY,
    CheckList,
    StoreFixture,
    conversation_id,
    item,
    item_id,
    raises,
    refer,
    response_id,
    text,
)

__all__ = ["checks"]

checks = CheckList()


async def _names(s: StoreFixture, conversation: str) -> list[str]:
    return [
        session.response_id.removeprefix("resp_")
        for session in await s.acme.get_by_conversation_id(conversation_id(conversation))
    ]


def _texts(session: StoredSession) -> list[str]:
    return [text(entry) for entry in session.messages if isinstance(entry, StoredItem)]


@checks
async def put_answers_what_is_stored(s: StoreFixture) -> None:
    """Putting a session answers it as it is then read, with positions and index."""
    stored = await s.acme.put_session(s.session("a"))
    assert stored == await s.acme.get_by_response_id(response_id("a"))
    assert _texts(stored) == ["a.0", "a.1"]
    assert stored.insertion_index > 0
    assert (stored.first_position, stored.output_index) == (0, 1)
    assert stored.head is not None
    assert stored.head.position == 1


@checks
async def put_attaches_after_the_previous_response(s: StoreFixture) -> None:
    """A session with a previous response continues it: appends, or forks where somebody was before."""
    a = await s.commit("a")
    b = await s.acme.put_session(s.session("b", previous_response_id=response_id("a")))
    c = await s.acme.put_session(s.session("c", previous_response_id=response_id("a")))
    assert b.head == Head(log=a.head.log, position=3)
    assert c.head is not None
    assert c.head.log != a.head.log
    assert await s.history("c") == ["a.0", "a.1", "c.0", "c.1"]


@checks
async def put_attaches_at_the_given_head(s: StoreFixture) -> None:
    """A head goes before the previous response."""
    a = await s.commit("a")
    session = s.session("b", head=Head(log=a.head.log, position=0), previous_response_id=response_id("a"))
    await s.acme.put_session(session)
    assert await s.history("b") == ["a.0", "b.0", "b.1"]


@checks
async def put_after_an_unknown_response_is_refused(s: StoreFixture) -> None:
    """A session whose previous response is unknown is not stored."""
    await raises(PreviousResponseNotFound, s.acme.put_session(s.session("a", previous_response_id="resp_no")))
    assert await s.acme.get_by_response_id(response_id("a")) is None
    assert await s.left(item_id("a", 0)) == set()


@checks
async def put_goes_to_the_end_of_its_conversation(s: StoreFixture) -> None:
    """A session with a conversation stands at the end of it; an unknown one is refused, a leased one is locked."""
    await s.create("c", [item("c")])
    await s.acme.put_session(s.session("a", conversation_id=conversation_id("c")))
    assert await s.present("c") == ["c.0", "a.0", "a.1"]
    await raises(ConversationNotFound, s.acme.put_session(s.session("b", conversation_id="conv_no")))
    await s.acme.acquire_lease(conversation_id("c"), "holder", 30)
    await raises(ConversationLocked, s.acme.put_session(s.session("b", conversation_id=conversation_id("c"))))
    assert await s.acme.get_by_response_id(response_id("b")) is None


@checks
async def put_of_a_failed_turn_stands_aside(s: StoreFixture) -> None:
    """A failed session does not become part of the line that it was attached to."""
    a = await s.commit("a")
    await s.acme.put_session(s.session("b", previous_response_id=response_id("a"), status="failed"))
    assert (await s.commit("c", a.head)).head.log == a.head.log
    assert await s.history("b") == ["a.0", "a.1", "b.0", "b.1"]


@checks
async def turns_of_a_conversation_are_ordered(s: StoreFixture) -> None:
    """Turns of a conversation come oldest first: by creation, then by insertion, never by id."""
    await s.create("c")
    for name in ("z", "y", "x"):
        await s.converse("c", name)
    s.clock.advance(10)
    await s.converse("c", "a")
    assert await _names(s, "c") == ["z", "y", "x", "a"]


@checks
async def turns_of_a_conversation_are_whole(s: StoreFixture) -> None:
    """Each turn of a conversation comes with its own items."""
    await s.create("c", [item("c")])
    await s.converse("c", "a")
    await s.converse("c", "b")
    sessions = await s.acme.get_by_conversation_id(conversation_id("c"))
    assert [_texts(session) for session in sessions] == [["a.0", "a.1"], ["b.0", "b.1"]]
    assert sessions[1] == await s.acme.get_by_response_id(response_id("b"))


@checks
async def time_never_runs_backwards_in_a_conversation(s: StoreFixture) -> None:
    """created_at of a turn is at least that of the conversation's turn before it."""
    await s.create("c")
    first = await s.converse("c", "a", created_at=500)
    second = await s.converse("c", "b", created_at=400)
    third = await s.converse("c", "d", created_at=600)
    assert [turn.created_at for turn in (first, second, third)] == [500, 500, 600]
    assert await _names(s, "c") == ["a", "b", "d"]
    elsewhere = await s.commit("e", created_at=400)
    assert elsewhere.created_at == 400


@checks
async def newest_time_of_a_conversation_is_known(s: StoreFixture) -> None:
    """A history tells when the newest turn of its conversation was made; 0 without one."""
    await s.create("c")
    empty = await s.acme.read_history_of(conversation_id("c"))
    await s.converse("c", "a", created_at=500)
    await s.converse("c", "b", created_at=700)
    histories = [
        empty,
        await s.acme.read_history_of(conversation_id("c")),
        await s.acme.read_history_after(response_id("a")),
    ]
    assert [history.last_created_at for history in histories if history is not None] == [0, 700, 700]


@checks
async def replacing_keeps_the_insertion_index(s: StoreFixture) -> None:
    """A session that is put again keeps its number and so its place among turns of the same time."""
    await s.create("c")
    first = await s.acme.put_session(s.session("z", conversation_id=conversation_id("c")))
    await s.acme.put_session(s.session("b", conversation_id=conversation_id("c")))
    again = await s.acme.put_session(s.session("z", [item("new")], conversation_id=conversation_id("c")))
    assert again.insertion_index == first.insertion_index
    assert again.created_at == first.created_at
    assert await _names(s, "c") == ["z", "b"]
    assert (await s.commit("d")).insertion_index == first.insertion_index + 2


@checks
async def replacing_erases_the_old_items(s: StoreFixture) -> None:
    """A replaced turn's items go when nothing else reaches them."""
    await s.acme.put_session(s.session("a"))
    stored = await s.acme.put_session(s.session("a", [item("new")], payload=b"new"))
    assert _texts(stored) == ["new.0"]
    assert stored.payload == b"new"
    assert await s.left(item_id("a", 0), item_id("a", 1), item_id("new")) == {item_id("new")}
    assert await s.history("a") == ["new.0"]


@checks
async def replacing_leaves_later_turns_alone(s: StoreFixture) -> None:
    """Turns that stand on a replaced one keep seeing what they saw."""
    await s.acme.put_session(s.session("a"))
    await s.acme.put_session(s.session("b", previous_response_id=response_id("a")))
    await s.acme.put_session(s.session("a", [item("new")]))
    assert await s.history("b") == ["a.0", "a.1", "b.0", "b.1"]
    assert await s.history("a") == ["new.0"]
    await s.acme.delete_session(response_id("b"))
    assert await s.left(item_id("a", 0), item_id("b", 0)) == set()


@checks
async def replacing_with_the_same_items(s: StoreFixture) -> None:
    """A session may be put again with the ids that it has."""
    await s.acme.put_session(s.session("a"))
    stored = await s.acme.put_session(s.session("a", payload=b"changed"))
    assert (stored.payload, _texts(stored)) == (b"changed", ["a.0", "a.1"])
    assert await s.history("a") == ["a.0", "a.1"]


@checks
async def what_was_read_can_be_put_back(s: StoreFixture) -> None:
    """Putting a session as it was read changes nothing that can be seen of it or of what stands around it."""
    a = await s.commit("a")
    await s.commit("b", a.head)
    await s.commit("on", Head(log=a.head.log, position=3))
    for name in ("a", "b", "on"):
        read = await s.acme.get_by_response_id(response_id(name))
        assert read is not None
        stored = await s.acme.put_session(read)
        assert _texts(stored) == [f"{name}.0", f"{name}.1"]
        assert (stored.insertion_index, stored.output_index) == (read.insertion_index, read.output_index)
        assert await s.history("a") == ["a.0", "a.1"]
        assert await s.history("b") == ["a.0", "a.1", "b.0", "b.1"]
        assert await s.history("on") == ["a.0", "a.1", "b.0", "b.1", "on.0", "on.1"]


@checks
async def what_was_read_can_be_put_back_without_its_parent(s: StoreFixture) -> None:
    """A turn whose parent was deleted keeps the history that it alone holds, when it is put again."""
    a = await s.commit("a")
    await s.commit("b", a.head, previous_response_id=response_id("a"))
    await s.acme.delete_response(response_id("a"))
    read = await s.acme.get_by_response_id(response_id("b"))
    assert read is not None
    await s.acme.put_session(msgspec.structs.replace(read, payload=b"changed"))
    assert await s.history("b") == ["a.0", "a.1", "b.0", "b.1"]
    await s.acme.delete_response(response_id("b"))
    assert await s.left(item_id("a", 0), item_id("b", 0)) == set()


@checks
async def left_out_items_stay_left_out_when_put_back(s: StoreFixture) -> None:
    """A left-out item of a session that is put as it was read is still left out."""
    await s.commit("a", None, [item("a", 0), item("a", 1, left_out=True)])
    read = await s.acme.get_by_response_id(response_id("a"))
    assert read is not None
    stored = await s.acme.put_session(read)
    assert [entry.left_out for entry in stored.messages if isinstance(entry, StoredItem)] == [False, True]


@checks
async def replacing_in_a_conversation_removes_the_old_items_from_it(s: StoreFixture) -> None:
    """A turn of a conversation that is put again moves to the end with its new items; earlier turns see the old."""
    await s.create("c", [item("c")])
    await s.converse("c", "a")
    await s.converse("c", "b")
    new = s.session("a", [item("new")], conversation_id=conversation_id("c"))
    await s.acme.put_session(new)
    assert await s.present("c") == ["c.0", "b.0", "b.1", "new.0"]
    assert await s.history("b") == ["c.0", "a.0", "a.1", "b.0", "b.1"]
    await s.acme.delete_response(response_id("b"))
    assert await s.left(item_id("a", 0), item_id("b", 0)) == {item_id("b", 0)}
    assert await s.present("c") == ["c.0", "b.0", "b.1", "new.0"]


@checks
async def turn_of_a_conversation_can_be_put_back(s: StoreFixture) -> None:
    """A conversation's turn that is put as it was read stays in the conversation, once."""
    await s.create("c", [item("c")])
    await s.converse("c", "a")
    read = await s.acme.get_by_response_id(response_id("a"))
    assert read is not None
    stored = await s.acme.put_session(read)
    assert _texts(stored) == ["a.0", "a.1"]
    assert await s.present("c") == ["c.0", "a.0", "a.1"]


@checks
async def refused_replacement_changes_nothing(s: StoreFixture) -> None:
    """If a session cannot replace another, the other is as it was."""
    await s.commit("other")
    await s.create("c")
    await s.acme.put_session(s.session("a", conversation_id=conversation_id("c")))
    before = await s.acme.get_by_response_id(response_id("a"))
    clash = s.session("a", [item("other", 0, payload=b"\x00changed")], conversation_id=conversation_id("c"))
    await raises(StoreConflict, s.acme.put_session(clash))
    dangling = s.session("a", [refer("no")], conversation_id=conversation_id("c"))
    await raises(BaseErased, s.acme.put_session(dangling))
    assert await s.acme.get_by_response_id(response_id("a")) == before
    assert await s.present("c") == ["a.0", "a.1"]
    await s.acme.acquire_lease(conversation_id("c"), "holder", 30)
    await raises(ConversationLocked, s.acme.put_session(s.session("a", [item("new")])))
    assert await s.present("c") == ["a.0", "a.1"]


@checks
async def expired_session_is_put_anew(s: StoreFixture) -> None:
    """Putting the id of an expired turn is an insertion, with a number of its own."""
    first = await s.acme.put_session(s.session("a", expires_at=int(s.clock()) + 5))
    s.clock.advance(5)
    again = await s.acme.put_session(s.session("a"))
    assert again.insertion_index == first.insertion_index + 1
    assert _texts(again) == ["a.0", "a.1"]


@checks
async def family_of_a_put_session_follows_its_ground(s: StoreFixture) -> None:
    """A session without a family takes that of what it stands on; of another family than its log it is refused."""
    await s.commit("a")
    stored = await s.acme.put_session(s.session("b", previous_response_id=response_id("a")))
    assert stored.family == FAMILY
    assert (await s.acme.put_session(s.session("c"))).family
    foreign = s.session("d", previous_response_id=response_id("b"), family="00000000000000bb")
    await raises(StoreConflict, s.acme.put_session(foreign))


@checks
async def deleting_a_session_is_never_an_error(s: StoreFixture) -> None:
    """delete_session removes a turn, and does nothing if there is none."""
    await s.commit("a")
    await s.acme.delete_session(response_id("a"))
    await s.acme.delete_session(response_id("a"))
    assert await s.acme.get_by_response_id(response_id("a")) is None
    assert await s.left(item_id("a", 0)) == set()
