"""
Judges what a restarted gateway shows against what its clients were told. Pure: given observations, it lists violations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.kills.ledger import JsonObject, Ledger, Turn, without_call_ids
from tests.support.history_model import HistoryModel, Saying, answer_to, said_in_items

__all__ = [
    "INPUT_ITEMS_SHOWN",
    "ObservedConversation",
    "ObservedTurn",
    "check_conversation",
    "check_stored",
    "check_turn",
    "entered",
    "probe",
]

# The newest input items that are looked at: one page.
INPUT_ITEMS_SHOWN = 100


@dataclass
class ObservedTurn:
    """
    One turn as the gateway shows it now.

    Attributes:
        response: The retrieved body; None if the gateway does not know the id.
        input_items: Its newest input items, oldest first.
        continued: What the echo answered to an unstored continuation with :func:`probe`; None if it was not asked.
    """

    response: JsonObject | None
    input_items: Sequence[JsonObject] = ()
    continued: str | None = None


@dataclass
class ObservedConversation:
    """
    One conversation as the gateway shows it now.

    Attributes:
        body: None if the gateway does not know the id.
        items: All of its items, oldest first.
    """

    body: JsonObject | None
    items: Sequence[JsonObject] = ()


def check_turn(turn: Turn, seen: ObservedTurn, model: HistoryModel) -> list[str]:
    """An acknowledged turn is retrievable, is what was received, and is continued with exactly its history."""
    name = f"{turn.tag} ({turn.response_id})"
    if seen.response is None:
        return [f"{name}: lost"]
    violations = [f"{name}: changed: {difference}" for difference in _differences(turn.response or {}, seen.response)]
    expected = model.before(turn.tag)[-INPUT_ITEMS_SHOWN:]
    shown = said_in_items(seen.input_items)
    if shown != expected:
        violations.append(f"{name}: its input items say {shown} instead of {expected}")
    violations += _duplicates(name, [*seen.input_items, *seen.response["output"]])
    history = [*model.after(turn.tag), *probe(model.after(turn.tag))]
    if seen.continued is not None and seen.continued != answer_to(history):
        violations.append(f"{name}: continued with another history: {seen.continued} instead of {answer_to(history)}")
    return violations


def check_stored(turn: Turn, seen: ObservedTurn) -> list[str]:
    """A turn that was in doubt and is stored is stored whole, and says what its history led to."""
    name = f"{turn.tag} ({turn.response_id}), unacknowledged"
    if seen.response is None:
        return [f"{name}: in the file, and unknown to the gateway"]
    violations = []
    if seen.response["status"] != "completed":
        violations.append(f"{name}: has status {seen.response['status']}")
    answered = without_call_ids(said_in_items(seen.response["output"]))
    if answered != turn.expected:
        violations.append(f"{name}: half or changed: {answered} instead of {turn.expected}")
    own = tuple(said_in_items(seen.input_items[-len(turn.said) :]))
    if own != turn.said:
        violations.append(f"{name}: its own input is {own} instead of {turn.said}")
    return violations + _duplicates(name, [*seen.input_items, *seen.response["output"]])


def check_conversation(known: JsonObject, newest: str, seen: ObservedConversation, ledger: Ledger) -> list[str]:
    """A conversation holds its acknowledged turns, then at most the one that was in doubt, each of them whole."""
    name = f"conversation {known['id']}"
    if seen.body is None:
        return [f"{name}: lost"]
    violations = [f"{name}: changed: {difference}" for difference in _differences(known, seen.body)]
    violations += _duplicates(name, seen.items)
    shown = said_in_items(seen.items)
    expected = ledger.model.after(newest)
    doubt = next((found.in_doubt for found in ledger.conversations if found.id == known["id"]), None)
    rest = shown[len(expected) :]
    if shown[: len(expected)] != expected:
        violations.append(f"{name}: says {shown} instead of {expected}")
    elif rest and (doubt is None or not _is_whole(doubt, rest)):
        violations.append(f"{name}: ends in {rest}, which is not a whole turn that was sent")
    return violations


def entered(turn: Turn, seen: ObservedConversation, history: Sequence[Saying]) -> list[Saying] | None:
    """What a turn in doubt has answered, if it has entered its conversation after *history*; else None."""
    rest = said_in_items(seen.items)[len(history) :]
    return rest[len(turn.said) :] if rest else None


def probe(history: Sequence[Saying]) -> list[Saying]:
    """What a continuation says that only looks at what it stands on."""
    said: list[Saying] = []
    if history and history[-1][0] == "call":
        said.append(("output", history[-1][1], "probed"))
    return [*said, ("user", "What have you heard?")]


def _is_whole(turn: Turn, rest: Sequence[Saying]) -> bool:
    return without_call_ids(rest) == (*turn.said, *turn.expected)


def _differences(told: JsonObject, seen: JsonObject) -> list[str]:
    names = [*told, *(name for name in seen if name not in told)]
    nothing: Any = "(absent)"
    return [
        f"{name} was {told.get(name, nothing)!r} and is {seen.get(name, nothing)!r}"
        for name in names
        if told.get(name, nothing) != seen.get(name, nothing)
    ]


def _duplicates(name: str, items: Sequence[JsonObject]) -> list[str]:
    counts = Counter(item["id"] for item in items)
    return [f"{name}: has item {item_id} {count} times" for item_id, count in counts.items() if count > 1]
