"""What happens to those who read, continue or write while something is erased, or sealed anew."""

from __future__ import annotations

import asyncio
import os

import pytest

from antiphon.hub.errors import BaseErased, ConversationNotFound, ResponseNotFound, StoreCorrupt
from antiphon.hub.library import ConversationDraft, CursorPage
from antiphon.hub.prompt import Prompt
from antiphon.sessions.kept import CreatedConversation, UnstoredAnswer
from antiphon.sessions.reread import reread_if_erased
from antiphon.sessions.vault import Payload, Replacement
from antiphon.sessions.work import KeyClaim
from tests.sessions.stage import ACME, Stage, said


class Reader:
    """Finds its payload erased on the first reading, and something else on the next."""

    def __init__(self, *outcomes: Exception | str) -> None:
        self.outcomes = list(outcomes)

    @reread_if_erased
    async def read(self) -> str:
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def test_what_was_erased_while_it_was_read_is_not_called_corrupt() -> None:
    """It is read again, and then it is gone; what cannot be opened twice is corrupt."""
    gone = Reader(StoreCorrupt("no key"), ResponseNotFound("resp_1"))
    with pytest.raises(ResponseNotFound):
        await gone.read()
    corrupt = Reader(StoreCorrupt("no key"), StoreCorrupt("no key"), "never read")
    with pytest.raises(StoreCorrupt):
        await corrupt.read()
    assert corrupt.outcomes == ["never read"]
    assert await Reader("as it is").read() == "as it is"


async def test_a_turn_whose_history_was_erased_stores_nothing(stage: Stage) -> None:
    """Neither the turn nor the family that is gone."""
    first = await stage.turn("one")
    request = stage.request("two", previous_response_id=first["id"])
    resolved = await stage.acme.resolve(request)
    await stage.acme.delete(first["id"])
    with pytest.raises(BaseErased):
        await stage.commit(request, resolved)
    page = await stage.store.for_tenant(ACME).scan("families", after=None, limit=10)
    assert page.payloads == ()


async def test_nobody_can_write_to_a_conversation_that_is_gone(stage: Stage) -> None:
    """It is not found, whatever became of its key."""
    conversation = await stage.acme.conversations.create(ConversationDraft(metadata={"topic": "t"}))
    await stage.acme.conversations.delete(conversation["id"])
    for state in (stage.acme, stage.another().for_tenant(ACME)):
        with pytest.raises(ConversationNotFound):
            await state.conversations.update(conversation["id"], {"topic": "new"})
        with pytest.raises(ConversationNotFound):
            await state.conversations.append(conversation["id"], [said("more")])


async def test_an_id_that_never_was_is_not_found(stage: Stage) -> None:
    """By those who would seal something for it, too."""
    unknown = stage.ids.conversation(stage.ids.family())
    with pytest.raises(ConversationNotFound):
        await stage.acme.conversations.update(unknown, {"topic": "new"})


@pytest.mark.parametrize("codec", ["sealed"], indirect=True)
async def test_a_turn_is_sealed_again_when_its_family_was_given_a_new_key(stage: Stage) -> None:
    """The store refuses what was sealed for a seal that is not in force any more; nobody but us hears of it."""
    first = await stage.turn("one")
    request = stage.request("two", previous_response_id=first["id"])
    resolved = await stage.acme.resolve(request)
    (family,) = (await stage.store.for_tenant(ACME).scan("families", after=None, limit=10)).payloads
    assert await stage.store.for_tenant(ACME).replace([_with_another_commitment(family)]) == 1
    second = await stage.commit(request, resolved)
    assert await stage.texts(second["id"]) == ["one", "ONE", "two", "TWO"]


def _with_another_commitment(family: Payload) -> Replacement:
    """As a rotation leaves it, that has got as far as to commit this family to the next key."""
    return Replacement(old=family, payload=family.payload + (2).to_bytes(4, "big") + os.urandom(32))


async def test_versions_of_a_prompt_that_are_added_at_once_all_come_to_be(stage: Stage) -> None:
    """Each is sealed as the version that it becomes."""
    prompt = await stage.acme.prompts.create(Prompt(instructions="0"))
    revised = await asyncio.gather(
        *(stage.acme.prompts.revise(prompt["id"], Prompt(instructions=str(number))) for number in range(1, 9))
    )
    assert sorted(int(version["version"]) for version in revised) == list(range(2, 10))
    state = stage.another().for_tenant(ACME)
    for version in revised:
        assert await state.prompts.retrieve(prompt["id"], version["version"]) == version
    assert (await state.prompts.list(CursorPage())).data[0]["version"] == "9"


async def test_an_answer_that_holds_content_goes_with_what_it_is_of(stage: Stage) -> None:
    """So a key remembers no content of a response that is deleted."""
    response = await stage.turn("hi")
    claim = await stage.acme.keys.take(b"k", b"f", holder="h", ttl_s=60, expires_at=2**40)
    assert isinstance(claim, KeyClaim)
    kept = UnstoredAnswer(answer={"said": "hi"}, response_id=response["id"])
    await stage.acme.keys.settle(await stage.acme.keys.settlement(claim, kept))
    found = await stage.acme.keys.take(b"k", b"f", holder="h", ttl_s=60, expires_at=2**40)
    assert not isinstance(found, KeyClaim)
    assert found.kept == kept
    await stage.acme.delete(response["id"])
    page = await stage.store.for_tenant(ACME).scan("idempotency", after=None, limit=10)
    assert page.payloads == ()


async def test_an_answer_that_names_what_was_created_stays(stage: Stage) -> None:
    """So that whoever asks again hears that it was deleted."""
    claim = await stage.acme.keys.take(b"k", b"f", holder="h", ttl_s=60, expires_at=2**40)
    assert isinstance(claim, KeyClaim)
    created = await stage.acme.conversations.create(
        ConversationDraft(metadata={}), settle=lambda kept: stage.acme.keys.settlement(claim, kept)
    )
    await stage.acme.conversations.delete(created["id"])
    found = await stage.another().for_tenant(ACME).keys.take(b"k", b"f", holder="h", ttl_s=60, expires_at=2**40)
    assert not isinstance(found, KeyClaim)
    assert found.kept == CreatedConversation(created["id"])
    with pytest.raises(ConversationNotFound):
        await stage.acme.recall(found.kept)


async def test_a_dry_run_says_what_a_deletion_would_take_along(stage: Stage) -> None:
    """And changes nothing; the deletion then does just that."""
    response = await stage.turn("hi")
    expected = await stage.acme.delete(response["id"], dry_run=True)
    assert await stage.acme.retrieve(response["id"]) == response
    assert await stage.acme.delete(response["id"]) == expected
    assert expected.responses == (response["id"],)
    assert expected.items == 2
    with pytest.raises(ResponseNotFound):
        await stage.acme.delete(response["id"], dry_run=True)
