"""Checks of finding: lists of responses and conversations, what they are filtered by, and stored prompts."""

from __future__ import annotations

import asyncio
from typing import Any

from antiphon.hub.errors import ConversationNotFound, LeaseLost, PromptNotFound, ResponseNotFound, StoreConflict
from antiphon.sessions.library import Filter, NewPrompt, StoredPrompt
from antiphon.sessions.store import TenantStore
from antiphon.sessions.work import KeyClaim, Settlement
from antiphon.testing.store_fixture import CheckList, StoreFixture, conversation_id, item, raises, response_id
from antiphon.testing.store_pending import begin, events

__all__ = ["checks"]

checks = CheckList()


async def _responses(s: StoreFixture, **wanted: Any) -> list[str]:
    """The names on a page of responses; one more entry, ``...``, where there is more."""
    if "after" in wanted:
        wanted["after"] = response_id(wanted["after"])
    page = await s.acme.list_responses(Filter(**wanted))
    return [its_id.removeprefix("resp_") for its_id in page.data] + ["..."] * page.has_more


async def _conversations(s: StoreFixture, **wanted: Any) -> list[str]:
    """The names on a page of conversations."""
    if "after" in wanted:
        wanted["after"] = conversation_id(wanted["after"])
    page = await s.acme.list_conversations(Filter(**wanted))
    return [each.id.removeprefix("conv_") for each in page.data] + ["..."] * page.has_more


# Responses.


@checks
async def responses_are_listed_newest_first(s: StoreFixture) -> None:
    """Responses are listed in the order in which they were stored, newest first or oldest first, page by page."""
    for name in "abcde":
        await s.commit(name, created_at=int(s.clock()) - ord(name))
    assert await _responses(s) == ["e", "d", "c", "b", "a"]
    assert await _responses(s, limit=2) == ["e", "d", "..."]
    assert await _responses(s, limit=2, after="d") == ["c", "b", "..."]
    assert await _responses(s, limit=2, after="b") == ["a"]
    assert await _responses(s, order="asc", limit=3) == ["a", "b", "c", "..."]
    assert await _responses(s, order="asc", limit=2, after="c") == ["d", "e"]
    assert await _responses(s, order="asc", after="e") == []
    assert await s.globex.list_responses(Filter()) == await s.globex.list_responses(Filter(order="asc"))
    assert (await s.globex.list_responses(Filter())).data == ()


@checks
async def list_of_responses_goes_on_where_it_was(s: StoreFixture) -> None:
    """What comes and goes between two pages neither repeats nor skips anything else."""
    for name in "abcdef":
        await s.commit(name)
    assert await _responses(s, limit=2) == ["f", "e", "..."]
    await s.acme.delete_response(response_id("f"))
    await s.acme.delete_response(response_id("d"))
    await s.commit("g")
    assert await _responses(s, limit=2, after="e") == ["c", "b", "..."]
    assert await _responses(s, limit=2, after="b") == ["a"]


@checks
async def background_turns_are_listed_from_their_beginning(s: StoreFixture) -> None:
    """A pending background turn stands among the stored ones where it was opened, and stays there when it is stored."""
    await s.commit("a")
    b, c = await begin(s, "b"), await begin(s, "c")
    await s.commit("d")
    assert await _responses(s) == ["d", "c", "b", "a"]
    await s.commit("c", claim=c)
    assert await _responses(s, limit=2) == ["d", "c", "..."]
    assert await _responses(s, limit=2, after="c") == ["b", "a"]
    assert await _responses(s, order="asc", limit=2, after="a") == ["b", "c", "..."]
    await s.commit("b", claim=b)
    assert await _responses(s, after="c") == ["b", "a"]
    assert await _responses(s, order="asc") == ["a", "b", "c", "d"]


@checks
async def foreground_turn_is_listed_once_it_is_stored(s: StoreFixture) -> None:
    """A pending foreground turn is in no list and no cursor; its place is that of its commit."""
    claim = await begin(s, "a", background=False, terms=(b"red",))
    await s.commit("b")
    assert await _responses(s) == ["b"]
    assert await _responses(s, terms=(b"red",)) == []
    await raises(ResponseNotFound, _responses(s, after="a"))
    await s.commit("a", claim=claim)
    assert await _responses(s) == ["a", "b"]


@checks
async def pending_turns_are_filtered_like_stored_ones(s: StoreFixture) -> None:
    """A pending turn is found by its status, model, alias, conversation, age and terms, and by nothing else."""
    await s.create("c")
    its_id = conversation_id("c")
    claim = await begin(s, "a", model="m", alias="n", conversation_id=its_id, terms=(b"red", b"blue"))
    s.clock.advance(10)
    await begin(s, "b", model="o", alias="n", terms=(b"blue",))
    now = int(s.clock())
    for wanted, expected in (
        ({"status": "queued"}, ["b", "a"]),
        ({"status": "in_progress"}, []),
        ({"status": "completed"}, []),
        ({"model": "m"}, ["a"]),
        ({"model": "n"}, ["b", "a"]),
        ({"model": "no"}, []),
        ({"conversation_id": its_id}, ["a"]),
        ({"conversation_id": conversation_id("no")}, []),
        ({"created_from": now}, ["b"]),
        ({"created_before": now}, ["a"]),
        ({"terms": (b"blue",)}, ["b", "a"]),
        ({"terms": (b"blue", b"red")}, ["a"]),
        ({"terms": (b"green",)}, []),
        ({"terms": (b"blue",), "after": "b"}, ["a"]),
    ):
        assert await _responses(s, **wanted) == expected, wanted
    await s.acme.append_events(claim, events(0))
    assert await _responses(s, status="in_progress") == ["a"]
    assert await _responses(s, status="queued") == ["b"]
    assert (await s.globex.list_responses(Filter())).data == ()
    await raises(ResponseNotFound, s.globex.list_responses(Filter(after=response_id("a"))))


@checks
async def turn_that_was_given_up_is_in_no_list(s: StoreFixture) -> None:
    """A background turn that is dropped, or stored with other terms, is found by its old ones no more."""
    a, b = await begin(s, "a", terms=(b"red",)), await begin(s, "b", terms=(b"red",))
    await s.acme.drop_turn(a)
    await s.commit("b", claim=b, terms=(b"blue",))
    assert await _responses(s) == ["b"]
    assert await _responses(s, terms=(b"red",)) == []
    assert await _responses(s, terms=(b"blue",)) == ["b"]


@checks
async def last_turn_stored_in_a_conversation_is_its_newest(s: StoreFixture) -> None:
    """A background turn that others of its conversation overtook is listed behind them, as its items are."""
    await s.create("c")
    its_id = conversation_id("c")
    claim = await begin(s, "late", conversation_id=its_id, terms=(b"red",))
    s.clock.advance(5)
    await s.converse("c", "early")
    lease = await s.acme.acquire_lease(its_id, "late", 30)
    began_at = int(s.clock()) - 5
    await s.commit("late", claim=claim, lease=lease, conversation_id=its_id, created_at=began_at, terms=(b"red",))
    assert [each.response_id for each in await s.acme.get_by_conversation_id(its_id)] == ["resp_early", "resp_late"]
    assert await _responses(s) == ["late", "early"]
    assert await _responses(s, terms=(b"red",)) == ["late"]
    assert await s.present("c") == ["early.0", "early.1", "late.0", "late.1"]


@checks
async def cursor_of_a_list_that_is_unknown_is_refused(s: StoreFixture) -> None:
    """A page after something unknown, foreign, deleted or expired is an error."""
    await s.commit("a", expires_at=int(s.clock()) + 1)
    await s.create("c")
    await raises(ResponseNotFound, _responses(s, after="no"))
    await raises(ResponseNotFound, s.globex.list_responses(Filter(after=response_id("a"))))
    await raises(ConversationNotFound, _conversations(s, after="no"))
    await raises(ConversationNotFound, s.globex.list_conversations(Filter(after=conversation_id("c"))))
    s.clock.advance(1)
    await raises(ResponseNotFound, _responses(s, after="a"))
    await s.acme.delete_conversation(conversation_id("c"))
    await raises(ConversationNotFound, _conversations(s, after="c"))


@checks
async def expired_responses_are_not_listed(s: StoreFixture) -> None:
    """An expired response is in no list, before any sweep, and makes no page shorter."""
    for index in range(9):
        await s.commit(f"{index}", expires_at=int(s.clock()) + 1 if index % 3 else None)
    s.clock.advance(1)
    assert await _responses(s) == ["6", "3", "0"]
    assert await _responses(s, limit=2) == ["6", "3", "..."]
    assert await _responses(s, limit=1, order="asc", after="3") == ["6"]


@checks
async def responses_are_filtered(s: StoreFixture) -> None:
    """A list can be narrowed by status, model, conversation and time, one by one and together."""
    now = int(s.clock())
    await s.create("c")
    await s.commit("a", model="big", alias="fast", created_at=now - 30)
    await s.commit("b", model="small", alias="big", status="failed", created_at=now - 20)
    await s.converse("c", "c", model="small", alias="fast", created_at=now - 10)
    await s.converse("c", "d", model="big", alias="big", status="incomplete", created_at=now)
    assert await _responses(s, model="big") == ["d", "b", "a"]
    assert await _responses(s, model="fast") == ["c", "a"]
    assert await _responses(s, model="none") == []
    assert await _responses(s, status="completed") == ["c", "a"]
    assert await _responses(s, conversation_id=conversation_id("c")) == ["d", "c"]
    assert await _responses(s, conversation_id=conversation_id("c"), order="asc", limit=1) == ["c", "..."]
    assert await _responses(s, conversation_id=conversation_id("c"), after="d") == ["c"]
    assert await _responses(s, conversation_id=conversation_id("no")) == []
    assert await _responses(s, created_from=now - 20) == ["d", "c", "b"]
    assert await _responses(s, created_before=now - 10) == ["b", "a"]
    assert await _responses(s, created_from=now - 20, created_before=now) == ["c", "b"]
    assert await _responses(s, model="big", status="incomplete", conversation_id=conversation_id("c")) == ["d"]
    assert await _responses(s, model="big", status="completed", created_from=now - 29) == []


@checks
async def responses_are_found_by_their_terms(s: StoreFixture) -> None:
    """A response is found by any of its terms, by several only if it has all of them, and not by another's."""
    await s.create("c")
    await s.commit("a", terms=(b"red", b"round"))
    await s.commit("b", terms=(b"red",))
    await s.converse("c", "c", terms=(b"round", b"red", b"round"))
    await s.commit("d")
    assert await _responses(s, terms=(b"red",)) == ["c", "b", "a"]
    assert await _responses(s, terms=(b"round", b"red")) == ["c", "a"]
    assert await _responses(s, terms=(b"red", b"blue")) == []
    assert await _responses(s, terms=(b"red",), order="asc", limit=2) == ["a", "b", "..."]
    assert await _responses(s, terms=(b"red",), order="asc", after="b") == ["c"]
    assert await _responses(s, terms=(b"red",), after="d", limit=1) == ["c", "..."]
    assert await _responses(s, terms=(b"red",), conversation_id=conversation_id("c")) == ["c"]
    assert await _responses(s, terms=(b"blue",), conversation_id=conversation_id("c")) == []
    assert (await s.globex.list_responses(Filter(terms=(b"red",)))).data == ()
    await s.acme.delete_response(response_id("c"))
    await s.commit("c", None, [])
    assert await _responses(s, terms=(b"red",)) == ["b", "a"]


@checks
async def rare_responses_are_found_in_a_long_list(s: StoreFixture) -> None:
    """However many responses a filter passes over, the page is full while there is more, and exact."""
    await s.create("c")
    for start in range(0, 700, 100):
        names = range(start, start + 100)
        await asyncio.gather(*(s.commit(f"{n}", None, [], model="rare" if n % 175 == 0 else "often") for n in names))
    everything = await _responses(s, limit=1000, order="asc")
    rare = [name for name in everything if int(name) % 175 == 0]
    assert len(everything) == 700
    assert await _responses(s, model="rare", order="asc") == rare
    assert await _responses(s, model="rare", order="asc", limit=3) == [*rare[:3], "..."]
    assert await _responses(s, model="rare", limit=2) == [*rare[:1:-1], "..."]
    assert await _responses(s, model="rare", limit=2, after=rare[2]) == rare[1::-1]
    assert await _responses(s, model="never", limit=100) == []


@checks
async def replaced_response_keeps_its_place_in_lists(s: StoreFixture) -> None:
    """A session that is put back stays where it was, found by what it was; with another payload by nothing."""
    await s.commit("a", terms=(b"red",))
    await s.commit("b", terms=(b"red",))
    session = await s.acme.get_by_response_id(response_id("a"))
    assert session is not None
    await s.acme.put_session(session)
    assert await _responses(s, terms=(b"red",)) == ["b", "a"]
    await s.acme.put_session(s.session("a"))
    assert await _responses(s, terms=(b"red",)) == ["b", "a"]  # its payload is the same
    await s.acme.put_session(s.session("a", payload=b"other"))
    assert await _responses(s, terms=(b"red",)) == ["b"]
    assert await _responses(s) == ["b", "a"]


@checks
async def swept_response_is_found_by_nothing(s: StoreFixture) -> None:
    """The terms of an expired response go with it, so that its id begins anew."""
    await s.commit("a", terms=(b"red",), expires_at=int(s.clock()) + 1)
    s.clock.advance(1)
    assert await _responses(s, terms=(b"red",)) == []
    await s.sweep()
    await s.commit("a")
    assert await _responses(s, terms=(b"red",)) == []


# Conversations.


@checks
async def conversations_are_listed_by_age(s: StoreFixture) -> None:
    """Conversations are listed by when they were created, those of one second by their ids, page by page."""
    now = int(s.clock())
    for name, age in {"b": 10, "a": 10, "d": 20, "c": 0, "e": 10}.items():
        await s.create(name, created_at=now - age)
    assert await _conversations(s) == ["c", "e", "b", "a", "d"]
    assert await _conversations(s, limit=2) == ["c", "e", "..."]
    assert await _conversations(s, limit=2, after="e") == ["b", "a", "..."]
    assert await _conversations(s, limit=2, after="a") == ["d"]
    assert await _conversations(s, order="asc", limit=4) == ["d", "a", "b", "e", "..."]
    assert await _conversations(s, order="asc", after="e") == ["c"]
    page = await s.acme.list_conversations(Filter(limit=1))
    assert page.data[0] == await s.acme.read_conversation(conversation_id("c"))
    assert (await s.globex.list_conversations(Filter())).data == ()


@checks
async def conversations_are_filtered_by_time(s: StoreFixture) -> None:
    """Both bounds of time hold in both orders, with a cursor inside or outside of them."""
    now = int(s.clock())
    for age in range(6):
        await s.create(f"{age}", created_at=now - age)
    inside = {"created_from": now - 4, "created_before": now - 1}
    assert await _conversations(s, **inside) == ["2", "3", "4"]
    assert await _conversations(s, **inside, order="asc") == ["4", "3", "2"]
    assert await _conversations(s, **inside, limit=2) == ["2", "3", "..."]
    assert await _conversations(s, **inside, limit=3) == ["2", "3", "4"]
    assert await _conversations(s, **inside, after="0") == ["2", "3", "4"]
    assert await _conversations(s, **inside, after="3") == ["4"]
    assert await _conversations(s, **inside, after="5") == []
    assert await _conversations(s, **inside, after="5", order="asc", limit=1) == ["4", "..."]
    assert await _conversations(s, **inside, after="0", order="asc") == []
    assert await _conversations(s, created_from=now + 1) == []


@checks
async def conversations_are_found_by_their_terms(s: StoreFixture) -> None:
    """A conversation is found by the terms that it was given last, a fork by its own."""
    await s.create("a", terms=(b"red", b"round"))
    await s.create("b", terms=(b"red",))
    await s.fork("a", "f", terms=(b"blue",))
    await s.commit("r", terms=(b"red",))
    assert await _conversations(s, terms=(b"red",)) == ["b", "a"]
    assert await _conversations(s, terms=(b"red", b"round")) == ["a"]
    assert await _conversations(s, terms=(b"blue",)) == ["f"]
    assert await _conversations(s, terms=(b"red",), limit=1) == ["b", "..."]
    assert await _conversations(s, terms=(b"red",), limit=1, after="b") == ["a"]
    assert await _conversations(s, terms=(b"red",), order="asc", after="a") == ["b"]
    await s.acme.update_conversation(conversation_id("a"), b"\x00new", (b"blue",))
    await s.acme.update_conversation(conversation_id("b"), b"\x00new")
    assert await _conversations(s, terms=(b"red",)) == []
    assert await _conversations(s, terms=(b"blue",)) == ["f", "a"]
    await s.acme.delete_conversation(conversation_id("a"))
    await s.create("a")
    assert await _conversations(s, terms=(b"blue",)) == ["f"]
    assert await _conversations(s, terms=(b"red",), created_from=0) == []


# Prompts.


def _prompt(s: StoreFixture, name: str, text: str = "x", version: int | None = None) -> NewPrompt:
    return NewPrompt(id=f"pmpt_{name}", version=version, created_at=int(s.clock()), payload=text.encode())


async def _prompts(s: StoreFixture, **page: Any) -> list[tuple[str, int]]:
    found = await s.acme.list_prompts(**({"limit": 10, "after": None} | page))
    return [(each.id.removeprefix("pmpt_"), each.version) for each in found]


@checks
async def versions_of_a_prompt_are_counted(s: StoreFixture) -> None:
    """Every version of a prompt can be read; each says which it is and which is the newest."""
    first = await s.acme.add_prompt(_prompt(s, "a", "one"))
    s.clock.advance(5)
    second = await s.acme.add_prompt(_prompt(s, "a", "two"))
    now = int(s.clock())
    assert first == StoredPrompt(id="pmpt_a", version=1, latest=1, created_at=now - 5, payload=b"one")
    assert second == StoredPrompt(id="pmpt_a", version=2, latest=2, created_at=now, payload=b"two")
    assert await s.acme.read_prompt("pmpt_a") == second
    assert await s.acme.read_prompt("pmpt_a", 2) == second
    read = await s.acme.read_prompt("pmpt_a", 1)
    assert read == StoredPrompt(id="pmpt_a", version=1, latest=2, created_at=now - 5, payload=b"one")
    for version in (-1, 0, 3):
        assert await s.acme.read_prompt("pmpt_a", version) is None
    assert await s.acme.read_prompt("pmpt_no") is None
    assert await s.globex.read_prompt("pmpt_a") is None


@checks
async def version_of_a_prompt_that_is_not_next_is_refused(s: StoreFixture) -> None:
    """A version that has to become another one than the next is refused, and adds nothing."""
    for version in (0, 2):
        await raises(StoreConflict, s.acme.add_prompt(_prompt(s, "a", version=version)))
    assert await _prompts(s) == []
    assert (await s.acme.add_prompt(_prompt(s, "a", version=1))).version == 1
    for version in (1, 3):
        await raises(StoreConflict, s.acme.add_prompt(_prompt(s, "a", version=version)))
    assert (await s.acme.add_prompt(_prompt(s, "a", version=2))).version == 2
    assert await _prompts(s) == [("a", 2)]


@checks
async def prompts_are_listed_newest_first(s: StoreFixture) -> None:
    """A list has the newest version of each prompt; a new version does not move its prompt."""
    for name in ("b", "a"):
        await s.acme.add_prompt(_prompt(s, name))
    s.clock.advance(5)
    await s.acme.add_prompt(_prompt(s, "c"))
    s.clock.advance(5)
    await s.acme.add_prompt(_prompt(s, "a", "two"))
    assert await _prompts(s) == [("c", 1), ("b", 1), ("a", 2)]
    assert await _prompts(s, limit=1) == [("c", 1)]
    assert await _prompts(s, after="pmpt_c") == [("b", 1), ("a", 2)]
    assert await _prompts(s, after="pmpt_b", limit=1) == [("a", 2)]
    assert await _prompts(s, after="pmpt_a") == []
    await raises(PromptNotFound, _prompts(s, after="pmpt_no"))
    listed = await s.acme.list_prompts(limit=10, after="pmpt_b")
    assert listed[0] == await s.acme.read_prompt("pmpt_a")
    assert list(await s.globex.list_prompts(limit=10, after=None)) == []


@checks
async def deleted_prompt_begins_anew(s: StoreFixture) -> None:
    """A deleted prompt is gone with all its versions; the next one under its id is version 1."""
    for text in ("one", "two"):
        await s.acme.add_prompt(_prompt(s, "a", text))
    await s.acme.add_prompt(_prompt(s, "b"))
    assert await s.globex.delete_prompt("pmpt_a") is False
    assert await s.acme.delete_prompt("pmpt_a") is True
    assert await s.acme.delete_prompt("pmpt_a") is False
    assert await s.acme.read_prompt("pmpt_a", 1) is None
    assert await _prompts(s) == [("b", 1)]
    assert (await s.acme.add_prompt(_prompt(s, "a"))).version == 1


# Idempotency keys.


async def _claim(s: StoreFixture, store: TenantStore) -> KeyClaim:
    expires_at = int(s.clock()) + 3600
    claim = await store.take_key(b"key", b"fingerprint", holder="one", ttl_s=30, expires_at=expires_at)
    assert isinstance(claim, KeyClaim)
    return claim


@checks
async def fork_and_prompt_settle_their_key(s: StoreFixture) -> None:
    """The key of a request for a fork or a prompt is settled with it."""
    await s.create("c", [item("c")])
    settlement = Settlement(claim=await _claim(s, s.acme), answer=b"forked")
    await s.acme.fork_conversation(conversation_id("c"), s.conversation("f"), settlement=settlement)
    record = await s.acme.take_key(b"key", b"fingerprint", holder="two", ttl_s=30, expires_at=int(s.clock()) + 3600)
    assert not isinstance(record, KeyClaim)
    assert (record.settled, record.answer) == (True, b"forked")
    settlement = Settlement(claim=await _claim(s, s.globex), answer=b"added")
    await s.globex.add_prompt(_prompt(s, "a"), settlement=settlement)
    record = await s.globex.take_key(b"key", b"fingerprint", holder="two", ttl_s=30, expires_at=int(s.clock()) + 3600)
    assert not isinstance(record, KeyClaim)
    assert (record.settled, record.answer) == (True, b"added")


@checks
async def fork_and_prompt_under_a_lost_key_are_refused(s: StoreFixture) -> None:
    """A request whose key passed to somebody else creates neither fork nor prompt."""
    await s.create("c", [item("c")])
    settlement = Settlement(claim=await _claim(s, s.acme), answer=None)
    s.clock.advance(30)
    await s.acme.take_key(b"key", b"fingerprint", holder="two", ttl_s=30, expires_at=int(s.clock()) + 3600)
    forking = s.acme.fork_conversation(conversation_id("c"), s.conversation("f"), settlement=settlement)
    await raises(LeaseLost, forking)
    await raises(LeaseLost, s.acme.add_prompt(_prompt(s, "a"), settlement=settlement))
    assert await s.acme.read_conversation(conversation_id("f")) is None
    assert await s.acme.read_prompt("pmpt_a") is None
    assert await _prompts(s) == []


@checks
async def refused_fork_leaves_its_key(s: StoreFixture) -> None:
    """A fork that is refused does not settle its key."""
    claim = await _claim(s, s.acme)
    settlement = Settlement(claim=claim, answer=b"forked")
    forking = s.acme.fork_conversation(conversation_id("no"), s.conversation("f"), settlement=settlement)
    await raises(ConversationNotFound, forking)
    record = await s.acme.take_key(b"key", b"fingerprint", holder="two", ttl_s=30, expires_at=int(s.clock()) + 3600)
    assert not isinstance(record, KeyClaim)
    assert record.settled is False
