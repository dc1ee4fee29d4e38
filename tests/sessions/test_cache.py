"""Histories that are remembered: bounded, and never of what was erased."""

from __future__ import annotations

import pytest

from antiphon.hub.ids import ItemId, LogId, TenantId
from antiphon.hub.items import Item
from antiphon.hub.library import ConversationDraft
from antiphon.sessions.cache import CachedHistory, HistoryCache
from antiphon.sessions.records import Head
from tests.sessions.stage import ACME, GLOBEX, Stage, said


def history(text: str) -> CachedHistory:
    item = Item(ItemId("msg_1"), "message", said(text))
    return CachedHistory(head=Head(log=LogId(1), position=0), items=(item,), size_bytes=len(text))


def test_a_history_takes_the_place_of_the_one_that_it_grew_from() -> None:
    """The one before it is read again by whoever forks from there."""
    cache = HistoryCache()
    cache.put(ACME, "resp_1", history("one"), since=cache.moment())
    cache.put(ACME, "resp_2", history("two"), since=cache.moment(), instead_of="resp_1")
    assert cache.get(ACME, "resp_1") is None
    assert cache.get(ACME, "resp_2") == history("two")


def test_what_was_used_longest_ago_goes_first() -> None:
    """The bound is one of bytes, over all tenants."""
    cache = HistoryCache(max_bytes=2200)
    for name in ("resp_1", "resp_2", "resp_3"):
        cache.put(ACME, name, history("x"), since=0)
    assert cache.get(ACME, "resp_1") is not None
    cache.put(GLOBEX, "resp_4", history("x"), since=0)
    assert [cache.get(ACME, name) is not None for name in ("resp_1", "resp_2", "resp_3")] == [True, False, True]


def test_what_was_read_before_an_erasure_is_not_put_here_after_it() -> None:
    """Somebody else's erasures do not matter, and what is read afterwards is kept."""
    cache = HistoryCache()
    before = cache.moment()
    cache.drop(ACME, "resp_1")
    cache.put(ACME, "resp_2", history("two"), since=before)
    cache.put(GLOBEX, "resp_2", history("two"), since=before)
    assert cache.get(ACME, "resp_2") is None
    assert cache.get(GLOBEX, "resp_2") is not None
    cache.put(ACME, "resp_2", history("two"), since=cache.moment())
    assert cache.get(ACME, "resp_2") is not None


def test_however_many_tenants_erase_none_of_it_is_put_here() -> None:
    """Of so many it is not known who erased what and when; then nobody's old reading is trusted."""
    cache = HistoryCache()
    before = cache.moment()
    cache.drop(ACME, "resp_1")
    for number in range(2000):
        cache.drop(TenantId(f"tenant-{number}"), "resp_1")
    cache.put(ACME, "resp_1", history("one"), since=before)
    assert cache.get(ACME, "resp_1") is None
    cache.put(ACME, "resp_1", history("one"), since=cache.moment())
    assert cache.get(ACME, "resp_1") is not None


@pytest.mark.parametrize("cascade", [False, True], ids=["alone", "cascade"])
async def test_a_deleted_response_is_forgotten(stage: Stage, *, cascade: bool) -> None:
    """With all that stands on it, if that goes as well."""
    first = await stage.turn("one")
    second = await stage.turn("two", previous_response_id=first["id"])
    fork = await stage.turn("other", previous_response_id=first["id"])
    await stage.acme.delete(first["id"], cascade=cascade)
    assert stage.cache.get(ACME, first["id"]) is None
    assert (stage.cache.get(ACME, second["id"]) is None) == cascade
    assert (stage.cache.get(ACME, fork["id"]) is None) == cascade


@pytest.mark.parametrize("cascade", [False, True], ids=["alone", "cascade"])
async def test_a_deleted_conversation_is_forgotten(stage: Stage, *, cascade: bool) -> None:
    """With the responses that stand on it, if they go as well."""
    conversation = await stage.acme.conversations.create(ConversationDraft(metadata={}))
    inside = await stage.turn("inside", conversation=conversation["id"])
    behind = await stage.turn("behind", previous_response_id=inside["id"])
    assert stage.cache.get(ACME, conversation["id"]) is not None
    await stage.acme.conversations.delete(conversation["id"], cascade=cascade)
    assert stage.cache.get(ACME, conversation["id"]) is None
    assert (stage.cache.get(ACME, behind["id"]) is None) == cascade


async def test_what_was_taken_out_of_a_conversation_is_forgotten(stage: Stage) -> None:
    """By hand or by a rewind."""
    draft = ConversationDraft(items=(said("one"), said("two"), said("three")), metadata={})
    conversation = await stage.acme.conversations.create(draft)
    await stage.acme.resolve(stage.request("and?", conversation=conversation["id"]))
    items = stage.cache.get(ACME, conversation["id"])
    assert items is not None
    await stage.acme.conversations.remove(conversation["id"], items.items[2].id)
    assert stage.cache.get(ACME, conversation["id"]) is None
    await stage.acme.resolve(stage.request("and?", conversation=conversation["id"]))
    await stage.acme.conversations.rewind(conversation["id"], items.items[0].id)
    assert stage.cache.get(ACME, conversation["id"]) is None


async def test_what_a_sweep_erases_is_forgotten(stage: Stage) -> None:
    """And nothing else, nor anything by a dry run."""
    old = await stage.turn("old")
    stage.clock.advance(20 * 86_400)
    young = await stage.turn("young")
    stage.clock.advance(11 * 86_400)
    assert (await stage.sessions.sweep(dry_run=True)).count == 1
    assert stage.cache.get(ACME, old["id"]) is not None
    swept = await stage.sessions.sweep()
    assert swept.erased[ACME].responses == (old["id"],)
    assert stage.cache.get(ACME, old["id"]) is None
    assert stage.cache.get(ACME, young["id"]) is not None
