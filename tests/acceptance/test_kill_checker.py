"""The kill sweep's checker, shown what a broken gateway would show: it has to report every one of these."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from tests.kills.checker import (
    ObservedConversation,
    ObservedTurn,
    check_conversation,
    check_stored,
    check_turn,
    entered,
    probe,
)
from tests.kills.ledger import Conversation, Ledger, Turn
from tests.support.history_model import Saying, answer_to

Break = Callable[[ObservedTurn], ObservedTurn]


def _item(number: int, saying: Saying) -> dict[str, Any]:
    match saying:
        case ("call", _, name, arguments):
            return {
                "type": "function_call",
                "id": f"fc_{number}",
                "call_id": f"call_{number}",
                "name": name,
                "arguments": arguments,
            }
        case ("output", call_id, text):
            return {"type": "function_call_output", "id": f"fc_{number}", "call_id": call_id, "output": text}
        case (role, text):
            return {
                "type": "message",
                "id": f"msg_{number}",
                "role": role,
                "content": [{"type": "output_text", "text": text}],
            }
        case _:
            raise AssertionError(saying)


def _answered(ledger: Ledger, turn: Turn, *, first_id: int) -> dict[str, Any]:
    output = [_item(first_id + index, saying) for index, saying in enumerate(turn.expected)]
    response = {"id": f"resp_{turn.tag}", "status": "completed", "output": output, "usage": {"input_tokens": 3}}
    ledger.acknowledge(turn, response)
    return response


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def turn(ledger: Ledger) -> Turn:
    """The second turn of a chain; it ended with a tool call."""
    first = ledger.turn(None, tools=False, stream=False)
    _answered(ledger, first, first_id=10)
    second = ledger.turn(first.tag, tools=True, stream=True)
    _answered(ledger, second, first_id=20)
    return second


@pytest.fixture
def seen(ledger: Ledger, turn: Turn) -> ObservedTurn:
    """What a gateway shows that has kept it."""
    history = ledger.model.after(turn.tag)
    return ObservedTurn(
        response=deepcopy(dict(turn.response or {})),
        input_items=[_item(number, saying) for number, saying in enumerate(ledger.model.before(turn.tag))],
        continued=answer_to([*history, *probe(history)]),
    )


def _changed_text(seen: ObservedTurn) -> ObservedTurn:
    assert seen.response is not None
    response = deepcopy(dict(seen.response))
    response["output"][0]["content"][0]["text"] += "!"
    return replace(seen, response=response)


def _with(**fields: object) -> Break:
    def broken(seen: ObservedTurn) -> ObservedTurn:
        assert seen.response is not None
        return replace(seen, response={**seen.response, **fields})

    return broken


def _half(seen: ObservedTurn) -> ObservedTurn:
    assert seen.response is not None
    return replace(seen, response={**seen.response, "output": seen.response["output"][:1]})


BROKEN: dict[str, tuple[Break, str]] = {
    "lost turn": (lambda seen: replace(seen, response=None), "lost"),
    "changed text": (_changed_text, "changed: output"),
    "changed id": (_with(id="resp_other"), "changed: id"),
    "changed status": (_with(status="failed"), "changed: status"),
    "changed usage": (_with(usage=None), "changed: usage"),
    "new field": (_with(surprise=1), "changed: surprise"),
    "half turn": (_half, "changed: output"),
    "lost input item": (lambda seen: replace(seen, input_items=seen.input_items[1:]), "input items"),
    "duplicated input item": (
        lambda seen: replace(seen, input_items=[*seen.input_items, seen.input_items[-1]]),
        "2 times",
    ),
    "swapped input items": (lambda seen: replace(seen, input_items=seen.input_items[::-1]), "input items"),
    "other history": (lambda seen: replace(seen, continued=answer_to([("user", "hi")])), "another history"),
}


def test_nothing_is_reported_where_nothing_is_wrong(ledger: Ledger, turn: Turn, seen: ObservedTurn) -> None:
    """A turn that is as it was told raises no alarm."""
    assert check_turn(turn, seen, ledger.model) == []
    assert check_stored(turn, seen) == []
    assert ledger.violations == []


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_turn_is_reported(name: str, ledger: Ledger, turn: Turn, seen: ObservedTurn) -> None:
    """Every way in which a gateway could break its word about an acknowledged turn is noticed and named."""
    broken, alarm = BROKEN[name]
    violations = check_turn(turn, broken(seen), ledger.model)
    assert any(alarm in violation for violation in violations), violations


@pytest.mark.parametrize("name", ["lost turn", "changed text", "changed status", "half turn", "duplicated input item"])
def test_a_broken_turn_in_doubt_is_reported(name: str, turn: Turn, seen: ObservedTurn) -> None:
    """A turn that nobody was told of may be missing, but what the file has of it is whole."""
    broken, _ = BROKEN[name]
    assert check_stored(turn, broken(seen)) != []


def test_a_wrong_answer_is_reported(ledger: Ledger) -> None:
    """An answer that its history does not lead to is a violation as soon as it arrives."""
    turn = ledger.turn(None, tools=False, stream=False)
    turn.expected = (("assistant", "another history"),)
    stranger = ledger.turn(None, tools=False, stream=False)
    stranger.expected = (("assistant", "something else"),)
    response = {"id": "resp_1", "status": "completed", "output": [_item(1, stranger.expected[0])]}
    ledger.acknowledge(turn, response)
    assert len(ledger.violations) == 1


@pytest.fixture
def conversation(ledger: Ledger) -> Conversation:
    """A conversation with one acknowledged turn and one in doubt."""
    conversation = Conversation(body={"id": "conv_1", "metadata": {}}, newest="conv_1")
    ledger.model.add("conv_1", parent=None, said=[("user", "by hand")], answered=[])
    ledger.conversations.append(conversation)
    first = ledger.turn("conv_1", tools=False, stream=False, conversation=conversation)
    _answered(ledger, first, first_id=10)
    ledger.leave_in_doubt(ledger.turn(conversation.newest, tools=False, stream=False, conversation=conversation))
    return conversation


def _shown(ledger: Ledger, conversation: Conversation, *, doubt_items: int) -> ObservedConversation:
    turn = conversation.in_doubt
    assert turn is not None
    sayings = [*ledger.model.after(conversation.newest), *[*turn.said, *turn.expected][:doubt_items]]
    items = [_item(number, saying) for number, saying in enumerate(sayings)]
    return ObservedConversation(body=dict(conversation.body), items=items)


def _check(ledger: Ledger, conversation: Conversation, seen: ObservedConversation) -> list[str]:
    return check_conversation(conversation.body, conversation.newest, seen, ledger)


@pytest.mark.parametrize("doubt_items", [0, 2])
def test_a_whole_conversation_is_not_reported(ledger: Ledger, conversation: Conversation, doubt_items: int) -> None:
    """The turn in doubt may have entered, whole, or not."""
    seen = _shown(ledger, conversation, doubt_items=doubt_items)
    assert _check(ledger, conversation, seen) == []
    turn = conversation.in_doubt
    assert turn is not None
    expected = list(turn.expected) if doubt_items else None
    assert expected == entered(turn, seen, ledger.model.after(conversation.newest))


def test_half_a_turn_in_a_conversation_is_reported(ledger: Ledger, conversation: Conversation) -> None:
    """A conversation that ends with a turn's input, and not its output, has a turn in half."""
    assert _check(ledger, conversation, _shown(ledger, conversation, doubt_items=1)) != []


def test_a_stranger_in_a_conversation_is_reported(ledger: Ledger, conversation: Conversation) -> None:
    """Items that nobody sent are noticed."""
    seen = _shown(ledger, conversation, doubt_items=2)
    assert _check(ledger, conversation, replace(seen, items=[*seen.items, _item(99, ("user", "who?"))])) != []


def test_a_lost_conversation_is_reported(ledger: Ledger, conversation: Conversation) -> None:
    """An acknowledged conversation has to be known."""
    assert _check(ledger, conversation, ObservedConversation(body=None)) != []


def test_a_lost_item_of_a_conversation_is_reported(ledger: Ledger, conversation: Conversation) -> None:
    """An item of an acknowledged turn that is gone is noticed, whatever follows it."""
    seen = _shown(ledger, conversation, doubt_items=2)
    assert _check(ledger, conversation, replace(seen, items=seen.items[1:])) != []
