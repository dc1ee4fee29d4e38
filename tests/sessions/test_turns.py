"""Turns that are stored, continued, written down first, and taken out again, whatever seals them."""

from __future__ import annotations

import pytest

from antiphon.hub.errors import PreviousResponseNotFound, ResponseNotFound
from antiphon.hub.events import OtherEvent
from antiphon.hub.format import PageRequest
from antiphon.hub.library import ConversationDraft, ForkDraft, ListRequest
from tests.sessions.stage import ACME, GLOBEX, Stage, said


async def test_a_turn_stands_on_every_turn_before_it(stage: Stage) -> None:
    """Whoever remembers nothing reads the whole chain out of the store, across a fork."""
    first = await stage.turn("one")
    second = await stage.turn("two", previous_response_id=first["id"])
    fork = await stage.turn("other", previous_response_id=first["id"])
    assert await stage.texts(second["id"]) == ["one", "ONE", "two", "TWO"]
    assert await stage.texts(fork["id"]) == ["one", "ONE", "other", "OTHER"]


async def test_a_stored_response_is_answered_as_it_ended(stage: Stage) -> None:
    """Its output comes from the items, everything else from its own payload; an export has its input as well."""
    response = await stage.turn("hi", metadata={"topic": "greetings"}, instructions="Be loud.")
    state = stage.another().for_tenant(ACME)
    assert await state.retrieve(response["id"]) == response
    exported = await state.exported(response["id"])
    assert [item["content"][0]["text"] for item in exported.pop("input")] == ["hi"]
    assert exported == response


async def test_another_tenant_finds_nothing(stage: Stage) -> None:
    """An id of somebody else is unknown, to whoever continues and to whoever reads."""
    response = await stage.turn("hi")
    globex = stage.sessions.for_tenant(GLOBEX)
    with pytest.raises(PreviousResponseNotFound):
        await globex.resolve(stage.request("and?", previous_response_id=response["id"]))
    with pytest.raises(ResponseNotFound):
        await globex.retrieve(response["id"])


async def test_an_item_that_is_referred_to_is_opened_where_it_stands(stage: Stage) -> None:
    """A turn of another family shows the item, and its content is stored once."""
    first = await stage.turn("one")
    listed = await stage.acme.input_items(first["id"], PageRequest())
    reference = {"type": "item_reference", "id": listed.items[0]["id"]}
    request = stage.request("two")
    resolved = await stage.acme.resolve(type(request)(model="model", input=(reference, said("two"))))
    second = await stage.commit(request, resolved)
    assert await stage.texts(second["id"]) == ["one", "two", "TWO"]


async def test_a_context_of_a_connection_is_stored_under_ids_of_the_turn(stage: Stage) -> None:
    """What was never stored has no family of its own that it could be sealed in; what was stored is referred to."""
    kept = await stage.turn("kept")
    before = await stage.acme.resolve(stage.request("unkept", previous_response_id=kept["id"], store=False))
    context = before.items
    resolved = await stage.acme.resolve_after(context, stage.request("now"))
    response = await stage.commit(stage.request("now"), resolved)
    assert [item.id for item in resolved.items[:2]] == [item.id for item in context[:2]]
    assert resolved.items[2].id != context[2].id
    assert resolved.items[2].body["id"] == resolved.items[2].id
    assert await stage.texts(response["id"]) == ["kept", "KEPT", "unkept", "now", "NOW"]


async def test_a_pending_turn_is_read_again_with_its_events(stage: Stage) -> None:
    """Another process has the request, the input with its ids, and the events from wherever it likes."""
    pending, _, claim = await stage.open_turn("later", metadata={"k": "v"}, user="somebody")
    events = [OtherEvent("response.custom", {"number": number}) for number in range(2, 7)]
    await stage.acme.pending.keep_events(claim, 2, events[:3])
    await stage.acme.pending.keep_events(claim, 5, events[3:])
    state = stage.another().for_tenant(ACME)
    found = await state.pending.find(pending.response_id)
    assert found is not None
    assert found.input == pending.input
    assert found.request.metadata == {"k": "v"}
    assert await state.pending.events(found, 4) == events[2:]


async def test_a_pending_turn_is_committed_in_its_own_family(stage: Stage) -> None:
    """The response takes the place of the pending row, and what was written down for it goes."""
    pending, resolved, claim = await stage.open_turn("later")
    response = await stage.commit(pending.request, resolved, opening=pending.opening, claim=claim)
    assert await stage.acme.pending.find(pending.response_id) is None
    assert await stage.another().for_tenant(ACME).retrieve(pending.response_id) == response


async def test_conversations_are_created_edited_and_forked(stage: Stage) -> None:
    """Metadata and items are read back by whoever asks, also of a fork, and of many conversations at once."""
    acme = stage.acme.conversations
    created = await acme.create(ConversationDraft(items=(said("one"), said("two")), metadata={"topic": "sums"}))
    fork = await acme.fork(created["id"], ForkDraft(at=None, metadata={"topic": "fork"}))
    await acme.update(created["id"], {"topic": "changed"})
    await acme.append(created["id"], [said("three")])
    await stage.turn("four", conversation=created["id"])
    other = stage.another().for_tenant(ACME).conversations
    page = PageRequest(order="asc")
    shown = [item["content"][0]["text"] for item in (await other.items(created["id"], page)).items]
    assert shown == ["one", "two", "three", "four", "FOUR"]
    assert [item["content"][0]["text"] for item in (await other.items(fork["id"], page)).items] == ["one", "two"]
    listed = (await other.list(ListRequest())).data
    assert {found["id"]: found["metadata"]["topic"] for found in listed} == {
        created["id"]: "changed",
        fork["id"]: "fork",
    }
    found = await other.list(ListRequest(metadata={"topic": "changed"}))
    assert [conversation["id"] for conversation in found.data] == [created["id"]]
