"""End users: what was made for somebody is found and erased by the name that requests gave."""

from __future__ import annotations

import pytest

from antiphon.hub.errors import ConversationNotFound, ResponseNotFound
from antiphon.hub.library import ConversationDraft
from tests.sessions.stage import ACME, GLOBEX, Stage


async def test_a_turn_is_made_for_whom_its_request_names(stage: Stage) -> None:
    """By the safety identifier, else by the older field; a turn that names nobody is nobody's."""
    named = await stage.turn("one", safety_identifier="ada", user="other")
    stage.clock.advance(1)
    older = await stage.turn("two", user="ada")
    await stage.turn("three")
    assert (await stage.acme.end_users.made_for("ada")).responses == (named["id"], older["id"])
    assert (await stage.acme.end_users.made_for("other")).responses == ()
    assert (await stage.sessions.for_tenant(GLOBEX).end_users.made_for("ada")).responses == ()


async def test_a_pending_turn_is_made_for_somebody_too(stage: Stage) -> None:
    """Once it has ended it is found like any other."""
    pending, resolved, claim = await stage.open_turn("later", safety_identifier="ada")
    await stage.commit(pending.request, resolved, opening=pending.opening, claim=claim)
    assert (await stage.acme.end_users.made_for("ada")).responses == (pending.response_id,)


async def test_an_end_user_is_erased_with_the_conversations_of_their_turns(stage: Stage) -> None:
    """The receipt names what went, and what was remembered of it is forgotten at once."""
    conversation = await stage.acme.conversations.create(ConversationDraft(metadata={}))
    inside = await stage.turn("inside", conversation=conversation["id"], user="ada")
    alone = await stage.turn("alone", user="ada")
    other = await stage.turn("other", user="bob")
    erased = await stage.acme.end_users.erase("ada")
    assert set(erased.responses) == {inside["id"], alone["id"]}
    assert erased.conversations == (conversation["id"],)
    for response_id in (inside["id"], alone["id"]):
        with pytest.raises(ResponseNotFound):
            await stage.acme.retrieve(response_id)
        assert stage.cache.get(ACME, response_id) is None
    with pytest.raises(ConversationNotFound):
        await stage.acme.conversations.retrieve(conversation["id"])
    assert stage.cache.get(ACME, conversation["id"]) is None
    assert await stage.acme.retrieve(other["id"]) == other


async def test_a_dry_run_erases_nothing(stage: Stage) -> None:
    """It answers what would go; everything stays, and stays remembered."""
    response = await stage.turn("hi", user="ada")
    erased = await stage.acme.end_users.erase("ada", dry_run=True)
    assert erased.responses == (response["id"],)
    assert await stage.acme.retrieve(response["id"]) == response
    assert stage.cache.get(ACME, response["id"]) is not None
