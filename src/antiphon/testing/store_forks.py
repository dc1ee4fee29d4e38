"""Checks of forked conversations: what a fork shows, what each side may change, and what is erased when."""

from __future__ import annotations

from itertools import permutations

from antiphon.hub.errors import (
    BaseErased,
    ConversationLocked,
    ConversationNotFound,
    ItemNotFound,
    StoreConflict,
)
from antiphon.hub.ids import Family
from antiphon.sessions.records import Head
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
)

__all__ = ["checks"]

checks = CheckList()


def _c(*indexes: int) -> list[str]:
    """The ids of items of the conversation that most checks begin with."""
    return [item_id("c", index) for index in indexes]


async def _create(s: StoreFixture, count: int) -> None:
    await s.create("c", [item("c", index) for index in range(count)])


@checks
async def fork_begins_with_what_its_conversation_shows(s: StoreFixture) -> None:
    """A fork shows all present items of its conversation, has a log of its own, and is of the same family."""
    await _create(s, 2)
    await s.converse("c", "a")
    source = await s.acme.read_conversation(conversation_id("c"))
    forked = await s.fork("c", "f")
    assert source is not None
    assert (forked.id, forked.family, forked.payload) == (conversation_id("f"), FAMILY, b"conversation f")
    assert (forked.head.position, forked.head.epoch) == (source.head.position, 0)
    assert forked.head.log != source.head.log
    assert forked == await s.acme.read_conversation(conversation_id("f"))
    assert await s.present("f") == ["c.0", "c.1", "a.0", "a.1"]
    assert await s.listed("f", order="asc", limit=3) == [*_c(0, 1), item_id("a", 0), "..."]
    read = await s.acme.read_conversation_item(conversation_id("f"), item_id("c", 1))
    assert read is not None
    assert (read.log, read.position) == (source.head.log, 1)


@checks
async def fork_at_an_item_ends_with_it(s: StoreFixture) -> None:
    """A fork at an item has everything up to it and nothing after it."""
    await _create(s, 4)
    forked = await s.fork("c", "f", at=item_id("c", 1))
    assert forked.head.position == 1
    assert await s.present("f") == ["c.0", "c.1"]
    assert await s.acme.read_conversation_item(conversation_id("f"), item_id("c", 2)) is None
    await s.append("f", "x")
    assert await s.present("f") == ["c.0", "c.1", "x.0"]
    assert await s.present("c") == ["c.0", "c.1", "c.2", "c.3"]


@checks
async def fork_at_a_reference(s: StoreFixture) -> None:
    """A fork may end with an item that stands in its conversation by reference."""
    await s.commit("a")
    await s.create("c", [item("c", 0), refer("a", 1), item("c", 1)])
    await s.fork("c", "f", at=item_id("a", 1))
    assert await s.present("f") == ["c.0", "a.1"]


@checks
async def fork_at_an_item_that_shows_twice(s: StoreFixture) -> None:
    """Of an item that a conversation shows twice, a fork and a rewind mean the first place."""
    await s.create("c", [item("c", 0), item("c", 1)])
    await s.acme.append_items(conversation_id("c"), [refer("c", 0), item("c", 2)])
    await s.fork("c", "f", at=item_id("c", 0))
    assert await s.present("f") == ["c.0"]
    assert await s.rewind("c", item_id("c", 0)) == 3
    assert await s.present("c") == ["c.0"]


@checks
async def fork_at_what_is_not_shown_is_refused(s: StoreFixture) -> None:
    """An item that is unknown, elsewhere, removed or left out is no place to fork or rewind at."""
    await s.commit("elsewhere")
    await s.create("c", [item("c", 0), item("c", 1), item("c", 2, left_out=True)])
    await s.remove("c", item_id("c", 1))
    for at in ("msg_no", item_id("elsewhere"), *_c(1, 2)):
        await raises(ItemNotFound, s.fork("c", "f", at=at))
        await raises(ItemNotFound, s.rewind("c", at))
    assert await s.acme.read_conversation(conversation_id("f")) is None
    assert await s.present("c") == ["c.0", "c.2"]


@checks
async def fork_that_does_not_fit_is_refused(s: StoreFixture) -> None:
    """A fork of nothing, under an id in use, of another family, or with entries is refused and leaves nothing."""
    await _create(s, 1)
    await s.create("taken")
    await raises(ConversationNotFound, s.fork("no", "f"))
    await raises(StoreConflict, s.fork("c", "taken"))
    await raises(StoreConflict, s.fork("c", "f", family=Family("00000000000000bb")))
    await raises(StoreConflict, s.fork("c", "f", entries=(item("x"),)))
    foreign = s.globex.fork_conversation(conversation_id("c"), s.conversation("f"))
    await raises(ConversationNotFound, foreign)
    assert await s.acme.read_conversation(conversation_id("f")) is None
    assert await s.present("taken") == []


@checks
async def fork_and_its_conversation_go_their_own_ways(s: StoreFixture) -> None:
    """What is added to a conversation or to its fork, by turns or by hand, shows in that one only."""
    await _create(s, 1)
    forked = await s.fork("c", "f")
    await s.append("c", "x")
    a = await s.converse("f", "a")
    await s.append("f", "y")
    await s.converse("c", "b")
    assert (a.head.log, a.first_position) == (forked.head.log, 1)
    assert await s.present("c") == ["c.0", "x.0", "b.0", "b.1"]
    assert await s.present("f") == ["c.0", "a.0", "a.1", "y.0"]
    assert await s.history("a") == ["c.0", "a.0", "a.1"]
    assert await s.inputs("a", order="asc") == [item_id("c", 0), item_id("a", 0)]


@checks
async def fork_hides_what_was_hidden_at_its_birth(s: StoreFixture) -> None:
    """What a conversation had removed when it was forked stays hidden in the fork; what it removes later does not."""
    await _create(s, 3)
    await s.remove("c", item_id("c", 0))
    await s.fork("c", "f")
    await s.remove("c", item_id("c", 1))
    assert await s.present("f") == ["c.1", "c.2"]
    assert await s.present("c") == ["c.2"]
    assert await s.acme.remove_item(conversation_id("f"), item_id("c", 0)) is False


@checks
async def fork_hides_an_inherited_item_from_itself_only(s: StoreFixture) -> None:
    """An inherited item that is removed from a fork is gone from its lists and turns, not from its conversation."""
    await _create(s, 3)
    await s.fork("c", "f")
    await s.converse("f", "before")
    await s.remove("f", item_id("c", 1))
    await s.converse("f", "after")
    assert await s.present("f") == ["c.0", "c.2", "before.0", "before.1", "after.0", "after.1"]
    assert item_id("c", 1) not in await s.listed("f")
    assert await s.acme.read_conversation_item(conversation_id("f"), item_id("c", 1)) is None
    assert await s.acme.remove_item(conversation_id("f"), item_id("c", 1)) is False
    assert await s.history("before") == ["c.0", "c.1", "c.2", "before.0", "before.1"]
    assert await s.history("after") == ["c.0", "c.2", "before.0", "before.1", "after.0", "after.1"]
    assert await s.present("c") == ["c.0", "c.1", "c.2"]


@checks
async def removal_in_a_fork_takes_every_place(s: StoreFixture) -> None:
    """Removing an item from a fork takes its inherited places and its own, references included."""
    await s.commit("a")
    await s.create("c", [refer("a", 0), item("c")])
    await s.fork("c", "f")
    await s.acme.append_items(conversation_id("f"), [refer("a", 0), item("x")])
    await s.remove("f", item_id("a", 0))
    assert await s.present("f") == ["c.0", "x.0"]
    assert await s.present("c") == ["a.0", "c.0"]


@checks
async def fork_of_an_empty_conversation_is_empty(s: StoreFixture) -> None:
    """A conversation without items can be forked, and the fork be filled."""
    await s.create("c")
    forked = await s.fork("c", "f")
    assert forked.head.position == -1
    assert await s.present("f") == []
    await s.append("c", "x")
    await s.converse("f", "a")
    assert await s.present("f") == ["a.0", "a.1"]
    await s.acme.delete_conversation(conversation_id("c"))
    assert await s.left(item_id("x")) == set()
    assert await s.present("f") == ["a.0", "a.1"]


@checks
async def fork_of_a_view_that_ends_with_removed_items(s: StoreFixture) -> None:
    """A conversation whose last items were removed can be forked; they are not in the fork."""
    await _create(s, 3)
    await s.remove("c", *_c(1, 2))
    await s.fork("c", "f")
    await s.append("f", "x")
    assert await s.present("f") == ["c.0", "x.0"]
    await s.remove("c", item_id("c", 0))
    await s.fork("c", "g")
    assert await s.present("g") == []


@checks
async def fork_of_a_fork(s: StoreFixture) -> None:
    """A fork of a fork shows what that one shows, also where it ends at an inherited item."""
    await _create(s, 5)
    await s.fork("c", "f", at=item_id("c", 3))
    await s.append("f", "x")
    await s.remove("f", item_id("c", 1))
    await s.fork("f", "g")
    await s.fork("f", "h", at=item_id("c", 2))
    await s.remove("f", item_id("c", 0))
    assert await s.present("f") == ["c.2", "c.3", "x.0"]
    assert await s.present("g") == ["c.0", "c.2", "c.3", "x.0"]
    assert await s.present("h") == ["c.0", "c.2"]
    await s.converse("h", "a")
    assert await s.present("h") == ["c.0", "c.2", "a.0", "a.1"]
    assert await s.history("a") == ["c.0", "c.2", "a.0", "a.1"]
    assert await s.listed("h", order="asc") == [*_c(0, 2), item_id("a", 0), item_id("a", 1)]


@checks
async def fork_outlives_its_conversation(s: StoreFixture) -> None:
    """A fork stays whole when its conversation is deleted, and the last of them leaves nothing."""
    await _create(s, 3)
    await s.fork("c", "f", at=item_id("c", 1))
    await s.append("f", "x")
    await s.acme.delete_conversation(conversation_id("c"))
    assert await s.present("f") == ["c.0", "c.1", "x.0"]
    assert await s.left(*_c(0, 1, 2)) == set(_c(0, 1))
    await s.acme.delete_conversation(conversation_id("f"))
    assert await s.left(*_c(0, 1, 2), item_id("x")) == set()


@checks
async def conversation_outlives_its_fork(s: StoreFixture) -> None:
    """Deleting a fork takes what it had of its own and leaves its conversation whole."""
    await _create(s, 2)
    await s.fork("c", "f")
    await s.append("f", "x")
    await s.remove("f", item_id("c", 0))
    await s.acme.delete_conversation(conversation_id("f"))
    assert await s.left(*_c(0, 1), item_id("x")) == set(_c(0, 1))
    assert await s.present("c") == ["c.0", "c.1"]


@checks
async def forks_are_erased_in_any_order(s: StoreFixture) -> None:
    """In whatever order a conversation, its fork and the fork's fork are deleted, the others stay as they are."""
    for run, order in enumerate(permutations("cfg")):
        names = {name: f"{name}{run}" for name in "cfg"}
        await s.create(names["c"], [item(names["c"], index) for index in range(3)])
        await s.fork(names["c"], names["f"])
        await s.append(names["f"], names["f"])
        await s.remove(names["f"], item_id(names["c"], 0))
        await s.fork(names["f"], names["g"], at=item_id(names["c"], 1))
        await s.append(names["g"], names["g"])
        own = {"c": ["c.0", "c.1", "c.2"], "f": ["c.1", "c.2", "f.0"], "g": ["c.1", "g.0"]}
        for index, name in enumerate(order):
            await s.acme.delete_conversation(conversation_id(names[name]))
            alive = order[index + 1 :]
            for each in alive:
                expected = [f"{names[text[0]]}{text[1:]}" for text in own[each]]
                assert await s.present(names[each]) == expected, f"order {order}, after {name}"
            reached = {text for each in alive for text in own[each]}
            ids = {str(item_id(names[text[0]], int(text[2:]))): text for texts in own.values() for text in texts}
            kept = {ids[found] for found in await s.left(*ids)}
            assert kept == reached, f"order {order}, after {name}"


@checks
async def item_that_neither_shows_is_erased(s: StoreFixture) -> None:
    """An item stays as long as a conversation or one of its forks shows it, whoever hides it first."""
    for first, second in (("c", "f"), ("f", "c")):
        await _create(s, 3)
        await s.fork("c", "f")
        await s.fork("f", "g", at=item_id("c", 1))
        await s.remove(first, item_id("c", 0))
        await s.remove(second, item_id("c", 0))
        assert await s.left(*_c(0, 1, 2)) == set(_c(0, 1, 2)), f"{first} hid it, then {second}"
        await s.remove("g", item_id("c", 0))
        assert await s.left(*_c(0, 1, 2)) == set(_c(1, 2)), f"{first} hid it, then {second}"
        assert await s.present("g") == ["c.1"]
        for name in "cfg":
            await s.acme.delete_conversation(conversation_id(name))


@checks
async def hidden_item_goes_with_the_last_who_shows_it(s: StoreFixture) -> None:
    """An item that a fork hides goes when its conversation goes, unless a turn of the fork has seen it."""
    await _create(s, 3)
    await s.fork("c", "f")
    await s.remove("f", item_id("c", 0))
    await s.converse("f", "a")
    await s.remove("f", item_id("c", 1))
    await s.acme.delete_conversation(conversation_id("c"))
    assert await s.left(*_c(0, 1, 2)) == set(_c(1, 2))
    assert await s.history("a") == ["c.1", "c.2", "a.0", "a.1"]
    await s.acme.delete_response(response_id("a"))
    assert await s.left(*_c(0, 1, 2)) == set(_c(2))
    assert await s.present("f") == ["c.2", "a.0", "a.1"]


@checks
async def hidden_item_is_kept_by_a_turn_on_an_older_view(s: StoreFixture) -> None:
    """A turn that continues a fork's response keeps an inherited item that the fork has removed since."""
    await _create(s, 2)
    await s.fork("c", "f")
    a = await s.converse("f", "a")
    await s.commit("b", a.head)
    await s.remove("f", item_id("c", 0))
    await s.acme.delete_response(response_id("a"))
    await s.acme.delete_conversation(conversation_id("c"))
    await s.acme.delete_conversation(conversation_id("f"))
    assert await s.history("b") == ["c.0", "c.1", "a.0", "a.1", "b.0", "b.1"]
    await s.acme.delete_response(response_id("b"))
    assert await s.left(*_c(0, 1), item_id("a")) == set()


@checks
async def hidden_item_stays_for_a_reference(s: StoreFixture) -> None:
    """An inherited item that nobody shows any more stays for a reference, and goes with it."""
    await _create(s, 2)
    await s.commit("r", None, [refer("c", 0)])
    await s.fork("c", "f")
    await s.remove("f", item_id("c", 0))
    await s.acme.delete_conversation(conversation_id("c"))
    assert await s.history("r") == ["c.0"]
    await s.acme.delete_response(response_id("r"))
    assert await s.left(*_c(0, 1)) == set(_c(1))


@checks
async def middle_of_a_chain_of_forks_keeps_no_more_than_is_shown(s: StoreFixture) -> None:
    """When only a fork at an early item is left of a fork, what came after that item is erased."""
    await _create(s, 4)
    await s.fork("c", "f")
    await s.append("f", "x")
    await s.fork("f", "g", at=item_id("c", 1))
    await s.acme.delete_conversation(conversation_id("c"))
    await s.acme.delete_conversation(conversation_id("f"))
    assert await s.left(*_c(0, 1, 2, 3), item_id("x")) == set(_c(0, 1))
    await s.append("g", "y")
    assert await s.present("g") == ["c.0", "c.1", "y.0"]


@checks
async def erased_item_in_a_forks_ground_is_noticed(s: StoreFixture) -> None:
    """A turn that stands on a view of a fork of which an inherited item was erased since is refused."""
    await _create(s, 2)
    forked = await s.fork("c", "f")
    await s.acme.delete_conversation(conversation_id("c"))
    await s.remove("f", item_id("c", 0))
    await raises(BaseErased, s.commit("a", forked.head))
    now = await s.acme.read_conversation(conversation_id("f"))
    assert now is not None
    await s.commit("b", now.head)
    assert await s.history("b") == ["c.1", "b.0", "b.1"]


@checks
async def turn_may_stand_below_a_forks_own_items(s: StoreFixture) -> None:
    """A head in the inherited part of a fork shows what the fork shows there."""
    await _create(s, 3)
    forked = await s.fork("c", "f")
    await s.remove("f", item_id("c", 0))
    await s.append("f", "x")
    place = Head(log=forked.head.log, position=1, epoch=1)
    await s.commit("a", place)
    await s.commit("empty", place, [])
    assert await s.history("a") == ["c.1", "a.0", "a.1"]
    assert await s.history("empty") == ["c.1"]
    await s.acme.delete_conversation(conversation_id("f"))
    await s.acme.delete_conversation(conversation_id("c"))
    assert await s.history("a") == ["c.1", "a.0", "a.1"]
    assert await s.left(*_c(0, 1, 2), item_id("x")) == set(_c(1))


@checks
async def turns_of_a_fork_are_its_own(s: StoreFixture) -> None:
    """A fork has the turns that were made in it and no others, and its own lease."""
    await _create(s, 1)
    await s.converse("c", "a")
    await s.fork("c", "f")
    await s.acme.acquire_lease(conversation_id("c"), "holder", 30)
    b = await s.converse("f", "b")
    turns = await s.acme.get_by_conversation_id(conversation_id("f"))
    assert [turn.response_id for turn in turns] == [response_id("b")]
    assert turns[0].insertion_index == b.insertion_index
    history = await s.acme.read_history_of(conversation_id("f"))
    assert history is not None
    assert (history.conversation_id, history.last_created_at) == (conversation_id("f"), b.created_at)
    await s.fork("c", "g")  # a turn that holds the conversation does not stand in the way
    assert await s.acme.get_by_conversation_id(conversation_id("g")) == []


@checks
async def session_in_a_fork_is_put_back(s: StoreFixture) -> None:
    """A turn of a fork that is read and put again stands at the fork's end, or alone if the fork is gone."""
    await _create(s, 2)
    await s.fork("c", "f")
    await s.remove("f", item_id("c", 0))
    await s.converse("f", "a")
    await s.converse("f", "b")
    session = await s.acme.get_by_response_id(response_id("a"))
    assert session is not None
    await s.acme.put_session(session)
    assert await s.present("f") == ["c.1", "b.0", "b.1", "a.0", "a.1"]
    await s.acme.delete_conversation(conversation_id("f"))
    for name in "ab":
        session = await s.acme.get_by_response_id(response_id(name))
        assert session is not None
        await s.acme.put_session(session)
    assert await s.history("b") == ["c.1", "a.0", "a.1", "b.0", "b.1"]
    assert await s.history("a") == ["c.1", "b.0", "b.1", "a.0", "a.1"]


@checks
async def rewind_hides_everything_after_an_item(s: StoreFixture) -> None:
    """A rewound conversation ends with the item; earlier turns keep what they saw, and it goes on from there."""
    await _create(s, 2)
    await s.converse("c", "a")
    await s.converse("c", "b")
    assert await s.rewind("c", item_id("a", 1)) == 2
    assert await s.present("c") == ["c.0", "c.1", "a.0", "a.1"]
    assert await s.history("b") == ["c.0", "c.1", "a.0", "a.1", "b.0", "b.1"]
    assert await s.rewind("c", item_id("a", 1)) == 0
    conversation = await s.acme.read_conversation(conversation_id("c"))
    assert conversation is not None
    assert (conversation.head.position, conversation.head.epoch) == (5, 1)
    d = await s.converse("c", "d")
    assert d.first_position == 6
    assert await s.present("c") == ["c.0", "c.1", "a.0", "a.1", "d.0", "d.1"]


@checks
async def rewind_in_a_fork_leaves_its_conversation(s: StoreFixture) -> None:
    """A fork that is rewound to an inherited item hides inherited and own items, and only from itself."""
    await _create(s, 4)
    await s.remove("c", item_id("c", 3))
    await s.fork("c", "f")
    await s.append("f", "x")
    assert await s.rewind("f", item_id("c", 0)) == 3
    assert await s.present("f") == ["c.0"]
    assert await s.left(item_id("x")) == set()
    assert await s.present("c") == ["c.0", "c.1", "c.2"]
    await s.append("f", "y")
    assert await s.present("f") == ["c.0", "y.0"]


@checks
async def rewound_items_that_nobody_saw_are_erased(s: StoreFixture) -> None:
    """What a rewind hides and no turn has seen goes at once, left-out items too; these are not counted."""
    await s.create("c", [item("c", 0), item("c", 1), item("c", 2, left_out=True), item("c", 3)])
    assert await s.rewind("c", item_id("c", 0)) == 2
    assert await s.left(*_c(0, 1, 2, 3)) == set(_c(0))


@checks
async def rewind_of_what_is_not_there_is_refused(s: StoreFixture) -> None:
    """An unknown conversation cannot be rewound, nor one that a turn holds."""
    await _create(s, 2)
    await raises(ConversationNotFound, s.rewind("no", item_id("c", 0)))
    await raises(ConversationNotFound, s.globex.rewind_conversation(conversation_id("c"), item_id("c", 0)))
    lease = await s.acme.acquire_lease(conversation_id("c"), "holder", 30)
    await raises(ConversationLocked, s.rewind("c", item_id("c", 0)))
    await s.acme.release_lease(lease)
    assert await s.rewind("c", item_id("c", 0)) == 1
