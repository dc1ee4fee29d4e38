"""What a context looks like behind a compaction item."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.crypto import Sealer
from antiphon.engine.checkpoints import Checkpoint, CheckpointSeal, expand
from antiphon.engine.context import Context
from antiphon.hub.errors import InvalidEncryptedContent
from antiphon.hub.ids import ItemId, TenantId
from antiphon.hub.items import Item
from tests.engine.contexts import assistant, call, contexts, ids, is_paired, item, output, reasoning, text_of, user

SEALER = Sealer(bytes(range(32)))
SEAL = CheckpointSeal(SEALER, TenantId("ours"))


def compaction(item_id: str = "cmp", *, kept: int = 0, summary: str = "What was said.") -> Item:
    return SEAL.item(ItemId(item_id), Checkpoint(summary=summary, kept=kept))


def shown(*items: Item, input_items: int = 0) -> list[str]:
    return ids(expand(items, SEAL, input_items=input_items).items)


def test_without_a_compaction_all_is_shown() -> None:
    """A context is what it was."""
    items = (user("a"), assistant("b"))
    assert expand(items, SEAL, input_items=1) == Context(items=items, input_items=1)


def test_the_summary_stands_for_all_before_it() -> None:
    """The model reads the summary in the place of the items, as something that the user said."""
    context = expand((user("a"), assistant("b"), compaction(summary="Ada likes tea."), user("c")), SEAL, input_items=1)
    assert ids(context.items) == ["cmp", "c"]
    summary = context.items[0]
    assert (summary.type, summary.body["role"]) == ("message", "user")
    assert "\n\nAda likes tea.\n\n" in text_of(summary)
    assert (context.summary, context.compacted, context.input_start) == (0, 2, 1)


def test_the_latest_counts() -> None:
    """A summary that was summarised itself is gone, and so is all between the two."""
    items = (user("a"), compaction("cmp 1", summary="one"), user("b"), compaction("cmp 2", summary="two"), user("c"))
    context = expand(items, SEAL)
    assert ids(context.items) == ["cmp 2", "c"]
    assert "two" in text_of(context.items[0])


def test_what_was_kept_is_shown() -> None:
    """Items right before the compaction stay where its maker kept them."""
    context = expand((user("a"), user("b"), user("c"), compaction(kept=2), user("d")), SEAL, input_items=2)
    assert ids(context.items) == ["b", "c", "cmp", "d"]
    assert (context.summary, context.compacted) == (2, 1)


def test_more_is_kept_than_there_is() -> None:
    """A client that sends less than it was given gets along with what it sends."""
    assert shown(user("a"), compaction(kept=5), user("b")) == ["a", "cmp", "b"]


def test_an_earlier_compaction_is_never_kept() -> None:
    """There is one summary, and no sealed text ever goes up."""
    assert shown(user("a"), compaction("cmp 1"), user("b"), compaction("cmp 2", kept=3)) == ["a", "b", "cmp 2"]


def test_a_call_that_is_answered_behind_it_is_carried_over() -> None:
    """A tool loop goes on across a compaction: the call and its reasoning follow the summary."""
    items = (user("a"), reasoning("r"), call("b", "1"), compaction(), output("o", "1"))
    assert shown(*items) == ["cmp", "r", "b", "o"]


def test_a_call_that_was_answered_before_it_is_not() -> None:
    """Of calls made at once only those are carried over whose output is still to come."""
    items = (call("a", "1"), call("b", "2"), output("o1", "1"), compaction(), output("o2", "2"))
    assert shown(*items) == ["cmp", "b", "o2"]


def test_half_a_pair_is_not_kept() -> None:
    """An output whose call is left out goes with it."""
    items = (call("a", "1"), output("b", "1"), user("c"), compaction(kept=2))
    assert shown(*items) == ["c", "cmp"]


@settings(deadline=None)
@given(contexts(), st.data())
def test_pairing_holds_behind_every_compaction(items: tuple[Item, ...], data: st.DataObject) -> None:
    """Wherever compactions stand and whatever they keep, the model gets whole pairs, and all that came after."""
    for number in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(items)))
        mark = compaction(f"cmp {number}", kept=data.draw(st.integers(0, 6)))
        items = (*items[:place], mark, *items[place:])
    context = expand(items, SEAL, input_items=1)
    place = max(place for place, each in enumerate(items) if each.type == "compaction")
    behind = items[place + 1 :]
    assert is_paired(context.items)
    assert not any(each.type == "compaction" for each in context.items)
    assert context.items[len(context.items) - len(behind) :] == behind
    assert context.summary is not None
    assert context.items[context.summary].id == items[place].id
    assert context.compacted + len(context.items) == len(items)


# Seals.


def test_nothing_of_a_summary_can_be_read() -> None:
    """A client carries an opaque text."""
    body = compaction(summary="Ada likes tea.").body
    assert set(body) == {"id", "type", "encrypted_content"}
    assert "Ada" not in body["encrypted_content"]


@pytest.mark.parametrize(
    "foreign",
    [
        pytest.param(CheckpointSeal(SEALER, TenantId("theirs")), id="another tenant"),
        pytest.param(CheckpointSeal(Sealer(os.urandom(32)), TenantId("ours")), id="another key"),
    ],
)
def test_another_tenants_compaction_is_refused(foreign: CheckpointSeal) -> None:
    """It gets the answer of the API, which names the item and tells nothing else."""
    theirs = foreign.item(ItemId("cmp_7"), Checkpoint(summary="secret"))
    with pytest.raises(InvalidEncryptedContent) as caught:
        expand((theirs, user("a")), SEAL)
    assert caught.value.envelope() == {
        "error": {
            "message": "The encrypted content for item cmp_7 could not be verified.",
            "type": "invalid_request_error",
            "param": "input",
            "code": "invalid_encrypted_content",
        }
    }


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("gAAAAABpzfWE_k5OtOa3sTEbupueyuGGrezu8qQwIs0tBzhGnuGHf4CETdD8c1lm0sAkbJey8w", id="of OpenAI"),
        pytest.param("", id="empty"),
        pytest.param(SEALER.seal(b"{}", ("compaction", "ours")), id="another form"),
        pytest.param(SEALER.seal(b"\xff", ("compaction", "ours")), id="not JSON"),
        pytest.param(SEALER.seal(b'{"v":2,"summary":"x","kept":0}', ("compaction", "ours")), id="a later version"),
        pytest.param(SEALER.seal(b'{"v":1,"summary":"x","kept":0}', ("cursor", "ours")), id="another purpose"),
    ],
)
def test_what_is_no_compaction_of_ours_is_refused(content: str) -> None:
    """Whatever it is, it is one error."""
    with pytest.raises(InvalidEncryptedContent, match="for item cmp_x could not be verified"):
        expand((user("a"), item("cmp_x", "compaction", encrypted_content=content)), SEAL)


def test_only_the_latest_is_opened() -> None:
    """What is not shown need not be readable: a history outlives the servers that it was made with."""
    assert shown(item("cmp 0", "compaction", encrypted_content="of another server"), compaction("cmp 1")) == ["cmp 1"]
