"""Checks of turns: committing, forking, references, reading back, tenants."""

from __future__ import annotations

import asyncio

from antiphon.hub.errors import BaseErased, ItemNotFound, StoreConflict
from antiphon.hub.usage import Usage
from antiphon.sessions.records import Committed, Head, NewConversation, Page, StoredItem
from antiphon.testing.store_fixture import (
    FAMILY,
    NO_LOG,
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
async def turn_is_read_back_whole(s: StoreFixture) -> None:
    """Every field of a turn is answered as it was committed."""
    usage = Usage(input_tokens=1, cached_tokens=2, cache_write_tokens=3, output_tokens=4, reasoning_tokens=5)
    turn = s.turn(
        "a",
        status="incomplete",
        model="model/1",
        alias="fast",
        provider="openai_chat",
        completed_at=int(s.clock()) + 3,
        usage=usage,
        expires_at=int(s.clock()) + 100,
        payload=b"\x00\xff\x00 payload",
        previous_response_id="resp_foreign",
    )
    committed = await s.acme.commit(turn)
    session = await s.acme.get_by_response_id(response_id("a"))
    assert session is not None
    for field in ("status", "model", "alias", "provider", "completed_at", "usage", "expires_at", "payload", "family"):
        assert getattr(session, field) == getattr(turn, field), field
    assert session.previous_response_id == "resp_foreign"
    assert session.conversation_id is None
    assert session.metadata == {}
    assert (session.head, session.first_position) == (committed.head, committed.first_position)
    assert (session.created_at, session.insertion_index) == (committed.created_at, committed.insertion_index)


@checks
async def own_items_are_split_into_input_and_output(s: StoreFixture) -> None:
    """A stored turn holds its own items alone, in order, with the place where the output begins."""
    first = await s.commit("a")
    await s.commit("b", first.head, [item("b", 0), item("b", 1), item("b", 2)], output_index=2)
    session = await s.acme.get_by_response_id(response_id("b"))
    assert session is not None
    expected = tuple(
        StoredItem(
            log=first.head.log,
            position=2 + index,
            id=item_id("b", index),
            type="message",
            payload=payload_of("b", index),
        )
        for index in range(3)
    )
    assert session.messages == expected
    assert session.output_index == 2


@checks
async def payloads_are_any_bytes(s: StoreFixture) -> None:
    """Empty payloads, NULs, invalid UTF-8 and long payloads come back as they were."""
    payloads = [b"", b"\x00", b"\x00\x00a\x00", b"\xff\xfe\x80", bytes(range(256)) * 400]
    await s.commit("a", None, [item("a", index, payload=payload) for index, payload in enumerate(payloads)])
    history = await s.acme.read_history_after(response_id("a"))
    assert history is not None
    assert [entry.payload for entry in history.items] == payloads


@checks
async def usage_that_was_not_reported_stays_unknown(s: StoreFixture) -> None:
    """No usage and a usage of zeros are different answers."""
    await s.commit("a", usage=None)
    await s.commit("b", usage=Usage())
    sessions = [await s.acme.get_by_response_id(response_id(name)) for name in "ab"]
    assert [session.usage for session in sessions if session is not None] == [None, Usage()]


@checks
async def unknown_response_is_none_everywhere(s: StoreFixture) -> None:
    """An id that never existed is None to every read and False to delete."""
    await s.commit("a")
    assert await s.acme.get_by_response_id("resp_no") is None
    assert await s.acme.read_head("resp_no") is None
    assert await s.acme.read_history_after("resp_no") is None
    assert await s.acme.list_input_items("resp_no", Page()) is None
    assert await s.acme.delete_response("resp_no") is None
    assert await s.acme.get_by_conversation_id("conv_no") == []
    assert await s.acme.find_items(["msg_no"]) == {}


@checks
async def continuation_appends_to_the_chain(s: StoreFixture) -> None:
    """A turn after the newest one goes into the same log, right behind it."""
    a = await s.commit("a")
    b = await s.commit("b", a.head)
    c = await s.commit("c", b.head)
    assert [turn.head for turn in (a, b, c)] == [Head(log=a.head.log, position=at) for at in (1, 3, 5)]
    assert [turn.first_position for turn in (a, b, c)] == [0, 2, 4]
    assert await s.history("c") == ["a.0", "a.1", "b.0", "b.1", "c.0", "c.1"]
    assert await s.history("a") == ["a.0", "a.1"]


@checks
async def head_of_a_response_is_what_commit_answered(s: StoreFixture) -> None:
    """read_head and read_history_after answer the head, the family and the status of the turn."""
    a = await s.commit("a", status="incomplete")
    head = await s.acme.read_head(response_id("a"))
    history = await s.acme.read_history_after(response_id("a"))
    assert head is not None
    assert history is not None
    assert (head.response_id, head.conversation_id) == (response_id("a"), None)
    assert (head.head, head.family, head.status) == (a.head, FAMILY, "incomplete")
    assert (history.head, history.family, history.status) == (a.head, FAMILY, "incomplete")
    assert (history.conversation_id, history.last_created_at) == (None, 0)


@checks
async def second_continuation_forks(s: StoreFixture) -> None:
    """A turn after one that was continued already opens a log whose base is the head, and disturbs nobody."""
    a = await s.commit("a")
    await s.commit("b", a.head)
    fork = await s.commit("fork", a.head)
    assert fork.head.log != a.head.log
    assert (fork.first_position, fork.head.position) == (2, 3)
    assert await s.history("fork") == ["a.0", "a.1", "fork.0", "fork.1"]
    assert await s.history("b") == ["a.0", "a.1", "b.0", "b.1"]


@checks
async def fork_is_a_chain_of_its_own(s: StoreFixture) -> None:
    """A fork is continued by appending to its log, with positions that go on along the path."""
    a = await s.commit("a")
    await s.commit("b", a.head)
    fork = await s.commit("fork", a.head)
    on = await s.commit("on", fork.head)
    assert on.head == Head(log=fork.head.log, position=5)
    assert await s.history("on") == ["a.0", "a.1", "fork.0", "fork.1", "on.0", "on.1"]


@checks
async def fork_from_the_middle_of_a_turn(s: StoreFixture) -> None:
    """A head may stand anywhere in a log; a fork there shows nothing beyond it."""
    a = await s.commit("a", None, [item("a", index) for index in range(4)])
    fork = await s.commit("fork", Head(log=a.head.log, position=1))
    assert fork.first_position == 2
    assert await s.history("fork") == ["a.0", "a.1", "fork.0", "fork.1"]


@checks
async def forks_of_forks(s: StoreFixture) -> None:
    """A history goes through as many bases as there are, each up to where the next began."""
    head = (await s.commit("root")).head
    await s.commit("taken", head)
    expected = ["root.0", "root.1"]
    for depth in range(5):
        fork = await s.commit(f"f{depth}", head)
        await s.commit(f"beyond{depth}", fork.head)
        expected += [f"f{depth}.0", f"f{depth}.1"]
        assert await s.history(f"f{depth}") == expected
        head = fork.head


@checks
async def concurrent_continuations_give_one_append(s: StoreFixture) -> None:
    """Of twenty turns committed at once after the same one, one appends and the others fork; none fails."""
    a = await s.commit("a")
    done = await asyncio.gather(*(s.commit(f"n{index}", a.head) for index in range(20)))
    assert sum(turn.head.log == a.head.log for turn in done) == 1
    assert len({turn.head.log for turn in done}) == 20
    assert len({turn.insertion_index for turn in done}) == 20
    for index in range(20):
        assert await s.history(f"n{index}") == ["a.0", "a.1", f"n{index}.0", f"n{index}.1"]


@checks
async def aside_turn_leaves_the_main_line_clean(s: StoreFixture) -> None:
    """A failed turn goes to a log of its own, and the next turn appends as if it had not been."""
    a = await s.commit("a")
    aside = await s.commit("aside", a.head, aside=True, status="failed")
    b = await s.commit("b", a.head)
    assert aside.head.log != a.head.log
    assert b.head == Head(log=a.head.log, position=3)
    assert await s.history("aside") == ["a.0", "a.1", "aside.0", "aside.1"]


@checks
async def aside_turn_is_continued_in_its_own_log(s: StoreFixture) -> None:
    """A turn after a cancelled one appends to the log of the cancelled one."""
    a = await s.commit("a")
    aside = await s.commit("aside", a.head, aside=True, status="cancelled")
    b = await s.commit("b", aside.head)
    assert b.head.log == aside.head.log
    assert await s.history("b") == ["a.0", "a.1", "aside.0", "aside.1", "b.0", "b.1"]


@checks
async def aside_turn_without_history_has_a_log(s: StoreFixture) -> None:
    """A turn that failed at once, on nothing, is stored and read like any other."""
    aside = await s.commit("aside", aside=True, status="failed")
    assert (aside.first_position, aside.head.position) == (0, 1)
    assert await s.history("aside") == ["aside.0", "aside.1"]


@checks
async def turn_without_entries_stands_where_it_attaches(s: StoreFixture) -> None:
    """A turn without items opens no log: its head is its ground, and the next turn appends there."""
    a = await s.commit("a")
    empty = await s.commit("empty", a.head, [])
    assert (empty.head, empty.first_position) == (a.head, 2)
    assert await s.history("empty") == ["a.0", "a.1"]
    assert (await s.commit("b", empty.head)).head == Head(log=a.head.log, position=3)
    session = await s.acme.get_by_response_id(response_id("empty"))
    assert session is not None
    assert session.messages == ()


@checks
async def turn_without_entries_stands_in_the_middle(s: StoreFixture) -> None:
    """A turn without items after one that was continued keeps that place, and a turn after it forks there."""
    a = await s.commit("a")
    await s.commit("b", a.head)
    empty = await s.commit("empty", a.head, [], aside=True, status="failed")
    assert empty.head == a.head
    fork = await s.commit("fork", empty.head)
    assert fork.head.log != a.head.log
    assert await s.history("fork") == ["a.0", "a.1", "fork.0", "fork.1"]


@checks
async def turn_with_nothing_at_all(s: StoreFixture) -> None:
    """A turn without items and without history has an empty one, and can be continued."""
    empty = await s.commit("empty", None, [])
    assert (empty.head.position, empty.first_position) == (-1, 0)
    assert await s.history("empty") == []
    on = await s.commit("on", empty.head)
    assert on.head == Head(log=empty.head.log, position=1)
    assert await s.history("on") == ["on.0", "on.1"]


@checks
async def insertion_index_grows_per_tenant(s: StoreFixture) -> None:
    """Each stored turn of a tenant gets the next number, whatever other tenants do."""
    first = await s.commit("a")
    await s.globex.commit(s.turn("a"))
    second = await s.commit("b")
    assert first.insertion_index > 0
    assert second.insertion_index == first.insertion_index + 1


@checks
async def response_id_in_use_is_refused(s: StoreFixture) -> None:
    """A second turn with an id in use is a conflict, and leaves nothing behind."""
    a = await s.commit("a")
    await raises(StoreConflict, s.acme.commit(s.turn("a", a.head, [item("new")])))
    assert await s.left(item_id("new")) == set()
    assert await s.history("a") == ["a.0", "a.1"]
    assert (await s.commit("b", a.head)).head == Head(log=a.head.log, position=3)


@checks
async def refused_turn_among_others_leaves_nothing(s: StoreFixture) -> None:
    """Of turns that are committed at the same time, one that is refused does not touch the others."""
    a = await s.commit("a")
    outcomes = await asyncio.gather(
        s.commit("first", a.head),
        s.acme.commit(s.turn("a", a.head, [item("new")])),
        s.commit("second", a.head),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [Committed, StoreConflict, Committed]
    assert await s.left(item_id("new")) == set()
    assert await s.history("first") == ["a.0", "a.1", "first.0", "first.1"]
    assert await s.history("second") == ["a.0", "a.1", "second.0", "second.1"]


@checks
async def item_id_in_use_is_refused(s: StoreFixture) -> None:
    """A new item with an id in use is a conflict, and leaves nothing of its turn behind."""
    a = await s.commit("a")
    other = await s.commit("other")
    clash = s.turn("b", a.head, [item("b"), item("other", 0, payload=b"\x00changed")])
    await raises(StoreConflict, s.acme.commit(clash))
    assert await s.acme.get_by_response_id(response_id("b")) is None
    assert await s.left(item_id("b")) == set()
    assert await s.history("other") == ["other.0", "other.1"]
    next_turn = await s.commit("c", a.head)
    assert next_turn.head == Head(log=a.head.log, position=3)
    assert next_turn.insertion_index == other.insertion_index + 1


@checks
async def item_id_twice_in_a_turn_is_refused(s: StoreFixture) -> None:
    """Two new items of one turn with the same id are a conflict."""
    await raises(StoreConflict, s.acme.commit(s.turn("a", None, [item("a"), item("a")])))
    assert await s.acme.get_by_response_id(response_id("a")) is None
    assert await s.left(item_id("a")) == set()


@checks
async def left_out_items_stay_on_their_response(s: StoreFixture) -> None:
    """A left-out item is marked in every history, stands on its response, and is in no list."""
    a = await s.commit("a", None, [item("a", 0), item("a", 1, left_out=True)])
    await s.commit("b", a.head)
    history = await s.acme.read_history_after(response_id("b"))
    session = await s.acme.get_by_response_id(response_id("a"))
    assert history is not None
    assert session is not None
    assert [entry.left_out for entry in history.items] == [False, True, False, False]
    assert [entry.id for entry in session.messages] == [item_id("a", 0), item_id("a", 1)]
    assert await s.inputs("b", order="asc") == [item_id("a", 0), item_id("b", 0)]


@checks
async def ground_that_never_was_is_refused(s: StoreFixture) -> None:
    """A turn on an unknown log, or beyond the end of one, is refused and not stored."""
    a = await s.commit("a")
    await raises(BaseErased, s.acme.commit(s.turn("b", Head(log=NO_LOG, position=0))))
    await raises(BaseErased, s.acme.commit(s.turn("b", Head(log=a.head.log, position=2))))
    assert await s.acme.get_by_response_id(response_id("b")) is None
    assert await s.left(item_id("b")) == set()


@checks
async def items_are_found_by_id(s: StoreFixture) -> None:
    """find_items answers what it knows, with its place and content, and leaves out the rest."""
    a = await s.commit("a")
    found = await s.acme.find_items([item_id("a", 1), "msg_no"])
    entry = StoredItem(log=a.head.log, position=1, id=item_id("a", 1), type="message", payload=payload_of("a", 1))
    assert found == {str(item_id("a", 1)): entry}
    assert await s.acme.find_items([]) == {}


@checks
async def reference_shows_what_it_points_at(s: StoreFixture) -> None:
    """A reference to another log's item shows its id, type and content at the place of the reference."""
    await s.commit("a", None, [item("a", 0, type="reasoning"), item("a", 1)])
    b = await s.commit("b", None, [refer("a", 0), item("b", 1)])
    history = await s.acme.read_history_after(response_id("b"))
    session = await s.acme.get_by_response_id(response_id("b"))
    expected = StoredItem(log=b.head.log, position=0, id=item_id("a", 0), type="reasoning", payload=payload_of("a", 0))
    assert history is not None
    assert session is not None
    assert history.items[0] == expected
    assert session.messages[0] == expected
    assert await s.inputs("b") == [item_id("a", 0)]


@checks
async def reference_to_the_own_chain(s: StoreFixture) -> None:
    """A turn may refer to an item of the history that it stands on; the item then shows twice."""
    a = await s.commit("a")
    await s.commit("b", a.head, [refer("a", 0), item("b", 1)])
    assert await s.history("b") == ["a.0", "a.1", "a.0", "b.1"]
    assert await s.inputs("b", order="asc") == [item_id("a", 0), item_id("a", 1), item_id("a", 0)]


@checks
async def item_stands_where_it_was_first_put(s: StoreFixture) -> None:
    """Finding an item that is also referred to answers its own place."""
    a = await s.commit("a")
    await s.commit("b", None, [refer("a", 0)])
    found = await s.acme.find_items([item_id("a", 0)])
    assert (found[item_id("a", 0)].log, found[item_id("a", 0)].position) == (a.head.log, 0)


@checks
async def reference_to_nothing_is_refused(s: StoreFixture) -> None:
    """A reference to an unknown item is refused, and nothing of its turn is stored."""
    await raises(BaseErased, s.acme.commit(s.turn("a", None, [item("a"), refer("no")])))
    assert await s.acme.get_by_response_id(response_id("a")) is None
    assert await s.left(item_id("a")) == set()


@checks
async def long_history_is_whole(s: StoreFixture) -> None:
    """A history of hundreds of items, over a fork, is answered whole and in order."""
    head, expected = None, []
    for index in range(150):
        head = (await s.commit(f"t{index}", head)).head
        expected += [f"t{index}.0", f"t{index}.1"]
    assert head is not None
    assert await s.history("t149") == expected
    await s.commit("fork", Head(log=head.log, position=279))
    assert await s.history("fork") == [*expected[:280], "fork.0", "fork.1"]


@checks
async def input_items_are_what_the_model_saw(s: StoreFixture) -> None:
    """Input items are the history and the turn's own input, over forks, without its output."""
    a = await s.commit("a")
    await s.commit("b", a.head)
    await s.commit("fork", a.head)
    assert await s.inputs("fork", order="asc") == [item_id("a", 0), item_id("a", 1), item_id("fork", 0)]
    assert await s.inputs("fork") == [item_id("fork", 0), item_id("a", 1), item_id("a", 0)]


@checks
async def input_items_are_paged(s: StoreFixture) -> None:
    """Pages of input items follow one another in both orders, and say whether there is more."""
    a = await s.commit("a")
    await s.commit("b", a.head)
    ids = [item_id("a", 0), item_id("a", 1), item_id("b", 0)]
    assert await s.inputs("b", order="asc", limit=2) == [*ids[:2], "..."]
    assert await s.inputs("b", order="asc", limit=2, after=ids[1]) == [ids[2]]
    assert await s.inputs("b", order="desc", limit=1, after=ids[2]) == [ids[1], "..."]
    assert await s.inputs("b", limit=3) == ids[::-1]
    assert await s.inputs("b", after=ids[0]) == []
    await raises(ItemNotFound, s.inputs("b", after=item_id("b", 1)))


@checks
async def pages_end_though_an_item_stands_twice(s: StoreFixture) -> None:
    """Following the cursor through a list with repetitions reaches its end and misses no item."""
    a = await s.commit("a", None, [item("a", index) for index in range(3)])
    await s.commit("b", a.head, [refer("a", 2), refer("a", 0), item("b", 0), refer("a", 1)], output_index=4)
    for order in ("asc", "desc"):
        for limit in (1, 2, 3):
            seen: list[str] = []
            after = None
            for _ in range(10):
                page = await s.inputs("b", order=order, limit=limit, after=after)
                seen += [entry for entry in page if entry != "..."]
                if page[-1:] != ["..."]:
                    break
                after = seen[-1]
            else:
                raise AssertionError("the pages go round in circles")
            assert set(seen) == {item_id("a", 0), item_id("a", 1), item_id("a", 2), item_id("b", 0)}


@checks
async def tenants_share_no_ids(s: StoreFixture) -> None:
    """Two tenants use the same ids for different things, and neither notices."""
    await s.commit("a")
    theirs = s.turn("a", None, [item("a", 0, payload=b"\x00theirs")], payload=b"their response")
    await s.globex.commit(theirs)
    session = await s.globex.get_by_response_id(response_id("a"))
    assert session is not None
    assert session.payload == b"their response"
    assert [entry.payload for entry in session.messages if isinstance(entry, StoredItem)] == [b"\x00theirs"]
    assert await s.history("a") == ["a.0", "a.1"]
    assert await s.globex.delete_response(response_id("a")) is not None
    assert await s.history("a") == ["a.0", "a.1"]


@checks
async def foreign_turns_are_unknown(s: StoreFixture) -> None:
    """No method reaches a turn or an item of another tenant."""
    a = await s.commit("a")
    other = s.globex
    assert await other.get_by_response_id(response_id("a")) is None
    assert await other.read_head(response_id("a")) is None
    assert await other.read_history_after(response_id("a")) is None
    assert await other.list_input_items(response_id("a"), Page()) is None
    assert await other.update_response(response_id("a"), b"x", instead_of=b"response a") is False
    assert await other.find_items([item_id("a", 0)]) == {}
    assert await other.delete_response(response_id("a")) is None
    await other.delete_session(response_id("a"))
    await raises(BaseErased, other.commit(s.turn("b", a.head)))
    await raises(BaseErased, other.commit(s.turn("b", None, [refer("a")])))
    assert await s.history("a") == ["a.0", "a.1"]


@checks
async def foreign_conversations_are_unknown(s: StoreFixture) -> None:
    """No method reaches a conversation of another tenant."""
    await s.create("c", [item("c")])
    await s.converse("c", "a")
    lease = await s.acme.acquire_lease(conversation_id("c"), "mine", 30)
    other, its_id = s.globex, conversation_id("c")
    assert await other.read_conversation(its_id) is None
    assert await other.update_conversation(its_id, b"x") is None
    assert await other.read_history_of(its_id) is None
    assert await other.list_conversation_items(its_id, Page()) is None
    assert await other.get_by_conversation_id(its_id) == []
    assert await other.delete_conversation(its_id) is None
    assert await other.renew_lease(lease, 60) is False
    await other.release_lease(lease)
    new = NewConversation(id=its_id, family=FAMILY, created_at=1, payload=b"theirs", entries=(item("c"),))
    assert (await other.create_conversation(new)).payload == b"theirs"
    assert await other.read_conversation_item(its_id, item_id("a", 0)) is None
    assert await other.remove_item(its_id, item_id("a", 0)) is False
    assert await s.acme.renew_lease(lease, 60) is True
    assert await s.present("c") == ["c.0", "a.0", "a.1"]


@checks
async def what_was_acknowledged_survives(s: StoreFixture) -> None:
    """A store that keeps its data answers the same after it was closed and opened again."""
    a = await s.commit("a")
    fork = await s.commit("fork", Head(log=a.head.log, position=0), usage=Usage(input_tokens=7))
    await s.create("c", [item("c")])
    await s.converse("c", "t")
    before = await s.acme.get_by_response_id(response_id("fork"))
    if s.reopen is not None:
        await s.reopen()
    assert await s.acme.get_by_response_id(response_id("fork")) == before
    assert await s.history("fork") == ["a.0", "fork.0", "fork.1"]
    assert await s.present("c") == ["c.0", "t.0", "t.1"]
    on = await s.commit("on", fork.head)
    assert on.head == Head(log=fork.head.log, position=4)
    assert on.insertion_index == fork.insertion_index + 2


@checks
async def ping_answers(s: StoreFixture) -> None:
    """An open store says that it can serve."""
    await s.store.ping()
