"""Checks of conversations: items by hand, removals and what forks and earlier turns see, paging."""

from __future__ import annotations

from antiphon.hub.errors import ConversationNotFound, ItemNotFound, StoreConflict
from antiphon.hub.ids import Family
from antiphon.sessions.records import Head, NewConversation, Page, StoredItem
from antiphon.testing.store_fixture import (
    FAMILY,
    CheckList,
    StoreFixture,
    conversation_id,
    item,
    item_id,
    payload_of,
    raises,
    refer,
    response_id,
)

__all__ = ["checks"]

checks = CheckList()


@checks
async def conversation_is_read_back(s: StoreFixture) -> None:
    """A conversation is answered as it was created, with the end of its first items."""
    created = await s.create("c", [item("c", 0), item("c", 1)])
    assert created == await s.acme.read_conversation(conversation_id("c"))
    assert (created.id, created.family, created.created_at) == (conversation_id("c"), FAMILY, int(s.clock()))
    assert created.payload == b"conversation c"
    assert (created.head.position, created.head.epoch) == (1, 0)
    history = await s.acme.read_history_of(conversation_id("c"))
    assert history is not None
    assert (history.head, history.family, history.status) == (created.head, FAMILY, "completed")
    assert history.conversation_id == conversation_id("c")
    assert await s.present("c") == ["c.0", "c.1"]


@checks
async def empty_conversation_has_an_empty_history(s: StoreFixture) -> None:
    """A conversation without items is known and empty."""
    created = await s.create("c")
    assert created.head.position == -1
    assert await s.present("c") == []
    assert await s.listed("c") == []


@checks
async def unknown_conversation_is_none_or_not_found(s: StoreFixture) -> None:
    """Reads of an unknown conversation answer None; changes of its items say that it is not found."""
    its_id = conversation_id("no")
    assert await s.acme.read_conversation(its_id) is None
    assert await s.acme.update_conversation(its_id, b"x") is None
    assert await s.acme.read_history_of(its_id) is None
    assert await s.acme.list_conversation_items(its_id, Page()) is None
    assert await s.acme.delete_conversation(its_id) is None
    await raises(ConversationNotFound, s.acme.read_conversation_item(its_id, item_id("a")))
    await raises(ConversationNotFound, s.acme.append_items(its_id, [item("a")]))
    await raises(ConversationNotFound, s.acme.remove_item(its_id, item_id("a")))
    await raises(ConversationNotFound, s.acme.acquire_lease(its_id, "holder", 30))


@checks
async def conversation_id_in_use_is_refused(s: StoreFixture) -> None:
    """Creating a conversation or an item with an id in use is a conflict and changes nothing."""
    await s.create("c", [item("c")])
    await raises(StoreConflict, s.create("c", [item("d")]))
    await raises(StoreConflict, s.create("d", [item("d"), item("c", 0, payload=b"other")]))
    assert await s.acme.read_conversation(conversation_id("d")) is None
    assert await s.left(item_id("d")) == set()
    assert await s.present("c") == ["c.0"]


@checks
async def payload_of_a_conversation_is_replaced(s: StoreFixture) -> None:
    """Updating a conversation changes its payload and nothing else, lease or not."""
    created = await s.create("c", [item("c")])
    await s.acme.acquire_lease(conversation_id("c"), "holder", 30)
    updated = await s.acme.update_conversation(conversation_id("c"), b"\x00new")
    assert updated is not None
    assert updated.payload == b"\x00new"
    assert (updated.head, updated.created_at) == (created.head, created.created_at)
    assert updated == await s.acme.read_conversation(conversation_id("c"))


@checks
async def items_are_appended_by_hand(s: StoreFixture) -> None:
    """Items added by hand stand at the end, and are answered with their places."""
    created = await s.create("c", [item("c")])
    added = await s.acme.append_items(conversation_id("c"), [item("a"), refer("c")])
    log = created.head.log
    assert added == (
        StoredItem(log=log, position=1, id=item_id("a"), type="message", payload=payload_of("a")),
        StoredItem(log=log, position=2, id=item_id("c"), type="message", payload=payload_of("c")),
    )
    assert await s.present("c") == ["c.0", "a.0", "c.0"]
    assert await s.acme.append_items(conversation_id("c"), []) == ()


@checks
async def refused_items_change_nothing(s: StoreFixture) -> None:
    """Adding an item whose id is in use adds none of the items that came with it."""
    await s.create("c", [item("c")])
    await raises(StoreConflict, s.acme.append_items(conversation_id("c"), [item("a"), item("c", 0, payload=b"x")]))
    await raises(StoreConflict, s.acme.append_items(conversation_id("c"), [item("a"), refer("no")]))
    assert await s.present("c") == ["c.0"]
    assert await s.left(item_id("a")) == set()


@checks
async def turns_and_items_alternate(s: StoreFixture) -> None:
    """Turns of a conversation and items by hand stand in one log, in the order in which they came."""
    created = await s.create("c", [item("c")])
    a = await s.converse("c", "a")
    await s.acme.append_items(conversation_id("c"), [item("h")])
    b = await s.converse("c", "b")
    assert (a.head.log, b.head.log) == (created.head.log, created.head.log)
    assert (a.first_position, b.first_position, b.head.position) == (1, 4, 5)
    assert await s.present("c") == ["c.0", "a.0", "a.1", "h.0", "b.0", "b.1"]
    assert await s.history("a") == ["c.0", "a.0", "a.1"]
    assert await s.inputs("b", order="asc") == [
        item_id("c"),
        item_id("a", 0),
        item_id("a", 1),
        item_id("h"),
        item_id("b"),
    ]


@checks
async def turn_of_a_conversation_goes_to_its_end(s: StoreFixture) -> None:
    """A turn with a lease goes to the end of its conversation, whether or not it says that it stands there."""
    created = await s.create("c", [item("c", 0), item("c", 1)])
    a = await s.converse("c", "a", attach=created.head)
    assert a.head == Head(log=created.head.log, position=3)
    b = await s.converse("c", "b")
    assert b.head == Head(log=created.head.log, position=5)


@checks
async def response_knows_its_conversation(s: StoreFixture) -> None:
    """A turn made in a conversation says so in every read."""
    await s.create("c")
    await s.converse("c", "a")
    head = await s.acme.read_head(response_id("a"))
    history = await s.acme.read_history_after(response_id("a"))
    session = await s.acme.get_by_response_id(response_id("a"))
    assert head is not None
    assert history is not None
    assert session is not None
    assert {head.conversation_id, history.conversation_id, session.conversation_id} == {conversation_id("c")}


@checks
async def turn_without_entries_in_a_conversation(s: StoreFixture) -> None:
    """A turn without items leaves its conversation as it was and stands at its end."""
    created = await s.create("c", [item("c")])
    empty = await s.converse("c", "empty", entries=(), output_index=0)
    assert (empty.head, empty.first_position) == (created.head, 1)
    assert await s.present("c") == ["c.0"]


@checks
async def continuing_a_conversations_response_forks(s: StoreFixture) -> None:
    """A turn after a response that was made in a conversation opens a log and leaves the conversation alone."""
    await s.create("c", [item("c")])
    a = await s.converse("c", "a")
    fork = await s.commit("fork", a.head)
    assert fork.head.log != a.head.log
    assert await s.history("fork") == ["c.0", "a.0", "a.1", "fork.0", "fork.1"]
    assert await s.present("c") == ["c.0", "a.0", "a.1"]


@checks
async def fork_of_an_empty_conversation(s: StoreFixture) -> None:
    """A turn may stand on a conversation that has nothing in it."""
    created = await s.create("c")
    fork = await s.commit("fork", created.head)
    assert fork.head.log != created.head.log
    assert await s.history("fork") == ["fork.0", "fork.1"]
    assert await s.present("c") == []


@checks
async def removed_item_is_hidden_from_now_on(s: StoreFixture) -> None:
    """A removed item is in no list and no view of the conversation, and its position stays."""
    created = await s.create("c", [item("c", index) for index in range(3)])
    assert await s.acme.remove_item(conversation_id("c"), item_id("c", 1)) is True
    assert await s.present("c") == ["c.0", "c.2"]
    assert await s.listed("c", order="asc") == [item_id("c", 0), item_id("c", 2)]
    history = await s.acme.read_history_of(conversation_id("c"))
    assert history is not None
    assert [entry.removed for entry in history.items] == [False, True, False]
    assert history.head == Head(log=created.head.log, position=2, epoch=1)
    assert await s.acme.read_conversation_item(conversation_id("c"), item_id("c", 1)) is None


@checks
async def removing_what_is_not_there_is_false(s: StoreFixture) -> None:
    """Removing an unknown item, or one that was removed before, is False and changes nothing."""
    await s.commit("elsewhere")
    await s.create("c", [item("c", 0), item("c", 1)])
    assert await s.acme.remove_item(conversation_id("c"), item_id("elsewhere")) is False
    assert await s.acme.remove_item(conversation_id("c"), "msg_no") is False
    assert await s.acme.remove_item(conversation_id("c"), item_id("c", 0)) is True
    assert await s.acme.remove_item(conversation_id("c"), item_id("c", 0)) is False
    conversation = await s.acme.read_conversation(conversation_id("c"))
    assert conversation is not None
    assert conversation.head.epoch == 1


@checks
async def earlier_responses_keep_a_removed_item(s: StoreFixture) -> None:
    """A response sees the conversation as it was when it was made: history, own items and input items."""
    await s.create("c", [item("c", 0), item("c", 1)])
    await s.converse("c", "a")
    await s.acme.remove_item(conversation_id("c"), item_id("c", 0))
    await s.acme.remove_item(conversation_id("c"), item_id("a", 1))
    await s.converse("c", "b")
    assert await s.present("c") == ["c.1", "a.0", "b.0", "b.1"]
    assert await s.history("a") == ["c.0", "c.1", "a.0", "a.1"]
    assert await s.history("b") == ["c.1", "a.0", "b.0", "b.1"]
    assert await s.inputs("a", order="asc") == [item_id("c", 0), item_id("c", 1), item_id("a", 0)]
    assert await s.inputs("b", order="asc") == [item_id("c", 1), item_id("a", 0), item_id("b", 0)]
    session = await s.acme.get_by_response_id(response_id("a"))
    assert session is not None
    assert [entry.id for entry in session.messages] == [item_id("a", 0), item_id("a", 1)]


@checks
async def fork_sees_its_base_as_of_its_birth(s: StoreFixture) -> None:
    """Forks made before a removal keep the item, forks made after it do not have it."""
    await s.create("c", [item("c", 0), item("c", 1)])
    a = await s.converse("c", "a")
    await s.commit("before", a.head)
    await s.acme.remove_item(conversation_id("c"), item_id("c", 0))
    b = await s.converse("c", "b")
    await s.commit("after", b.head)
    await s.acme.remove_item(conversation_id("c"), item_id("c", 1))
    assert await s.history("before") == ["c.0", "c.1", "a.0", "a.1", "before.0", "before.1"]
    assert await s.history("after") == ["c.1", "a.0", "a.1", "b.0", "b.1", "after.0", "after.1"]
    assert await s.present("c") == ["a.0", "a.1", "b.0", "b.1"]


@checks
async def turn_on_an_old_view_keeps_it(s: StoreFixture) -> None:
    """A turn that was resolved before a removal and committed after it stands on what it saw."""
    await s.create("c", [item("c", 0), item("c", 1)])
    a = await s.converse("c", "a")
    await s.acme.remove_item(conversation_id("c"), item_id("c", 0))
    fork = await s.commit("fork", a.head)
    empty = await s.commit("empty", a.head, [])
    assert await s.history("fork") == ["c.0", "c.1", "a.0", "a.1", "fork.0", "fork.1"]
    assert await s.history("empty") == ["c.0", "c.1", "a.0", "a.1"]
    assert (fork.head.epoch, empty.head.epoch) == (0, 0)


@checks
async def removal_hides_references_too(s: StoreFixture) -> None:
    """Removing an item takes every place where the conversation shows it; elsewhere it stays."""
    await s.commit("a")
    await s.create("c", [refer("a", 0), item("c"), refer("a", 0)])
    assert await s.present("c") == ["a.0", "c.0", "a.0"]
    assert await s.acme.remove_item(conversation_id("c"), item_id("a", 0)) is True
    assert await s.present("c") == ["c.0"]
    assert await s.history("a") == ["a.0", "a.1"]


@checks
async def one_item_of_a_conversation_is_read(s: StoreFixture) -> None:
    """A present item is answered with its place; left-out, foreign and unknown ones are not there."""
    await s.commit("elsewhere")
    created = await s.create("c", [item("c", 0), item("c", 1, left_out=True), refer("elsewhere", 1)])
    its_id = conversation_id("c")
    log = created.head.log
    expected = StoredItem(log=log, position=0, id=item_id("c", 0), type="message", payload=payload_of("c", 0))
    assert await s.acme.read_conversation_item(its_id, item_id("c", 0)) == expected
    referred = await s.acme.read_conversation_item(its_id, item_id("elsewhere", 1))
    assert referred is not None
    assert (referred.log, referred.position, referred.payload) == (log, 2, payload_of("elsewhere", 1))
    assert await s.acme.read_conversation_item(its_id, item_id("c", 1)) is None
    assert await s.acme.read_conversation_item(its_id, item_id("elsewhere", 0)) is None
    assert await s.acme.remove_item(its_id, item_id("c", 1)) is False
    assert await s.listed("c", order="asc") == [item_id("c", 0), item_id("elsewhere", 1)]


@checks
async def items_of_a_conversation_are_paged(s: StoreFixture) -> None:
    """Pages follow one another in both orders; the last one says that there is no more."""
    ids = [item_id("c", index) for index in range(5)]
    await s.create("c", [item("c", index) for index in range(5)])
    assert await s.listed("c") == ids[::-1]
    assert await s.listed("c", limit=2) == [ids[4], ids[3], "..."]
    assert await s.listed("c", limit=2, after=ids[3]) == [ids[2], ids[1], "..."]
    assert await s.listed("c", limit=2, after=ids[1]) == [ids[0]]
    assert await s.listed("c", order="asc", limit=4) == [*ids[:4], "..."]
    assert await s.listed("c", order="asc", limit=1, after=ids[3]) == [ids[4]]
    assert await s.listed("c", order="asc", limit=5) == ids
    assert await s.listed("c", order="asc", after=ids[4]) == []


@checks
async def cursor_that_is_not_in_the_list_is_refused(s: StoreFixture) -> None:
    """A page after an unknown, removed or foreign item is an error, never a page of something else."""
    await s.commit("a")
    await s.create("c", [item("c", 0), item("c", 1)])
    await s.acme.remove_item(conversation_id("c"), item_id("c", 0))
    for after in ("msg_no", item_id("c", 0), item_id("a", 0)):
        await raises(ItemNotFound, s.listed("c", after=after))


@checks
async def removed_items_are_not_counted_in_pages(s: StoreFixture) -> None:
    """Removed items neither fill a page nor make it say that there is more."""
    await s.create("c", [item("c", index) for index in range(4)])
    for index in (1, 3):
        await s.acme.remove_item(conversation_id("c"), item_id("c", index))
    assert await s.listed("c", order="asc", limit=2) == [item_id("c", 0), item_id("c", 2)]


@checks
async def conversations_are_independent(s: StoreFixture) -> None:
    """What happens in one conversation shows in no other."""
    await s.create("c", [item("c")])
    await s.create("d", [item("d")])
    await s.converse("c", "a")
    await s.acme.remove_item(conversation_id("c"), item_id("c"))
    assert await s.present("d") == ["d.0"]
    assert [turn.response_id for turn in await s.acme.get_by_conversation_id(conversation_id("d"))] == []
    await s.acme.delete_conversation(conversation_id("c"))
    assert await s.present("d") == ["d.0"]


@checks
async def conversation_of_another_family(s: StoreFixture) -> None:
    """A conversation answers its own family, and a turn of another one is refused."""
    new = NewConversation(id=conversation_id("c"), family=Family("00000000000000bb"), created_at=1, payload=b"")
    await s.acme.create_conversation(new)
    lease = await s.acme.acquire_lease(conversation_id("c"), "holder", 30)
    await raises(StoreConflict, s.acme.commit(s.turn("a", lease=lease, conversation_id=conversation_id("c"))))
    await s.commit("b", lease=lease, conversation_id=conversation_id("c"), family=new.family)
    head = await s.acme.read_head(response_id("b"))
    assert head is not None
    assert head.family == new.family
