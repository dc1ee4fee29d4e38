"""
What a model server has to be told, predicted by a model simple enough to be right: turns with pointers to their
parents.

Messages of a chat request and items of the Responses API are both reduced to *sayings*: who said what, without ids, and
without the two ways in which chat can group a text and its tool calls. A deterministic answer is derived from the
sayings, so that one answer vouches for the whole history that it stands on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "HistoryModel",
    "Saying",
    "answer_to",
    "heard",
    "said_in_items",
    "said_in_messages",
]

# ("user", text), ("assistant", text), ("call", call_id, name, arguments) or ("output", call_id, text).
Saying = tuple[str, ...]

JsonObject = Mapping[str, Any]


@dataclass
class _Turn:
    parent: str | None
    said: tuple[Saying, ...]
    answered: tuple[Saying, ...]


@dataclass
class HistoryModel:
    """Turns by key, each with its parent's key."""

    _turns: dict[str, _Turn] = field(default_factory=dict)

    def add(self, key: str, *, parent: str | None, said: Iterable[Saying], answered: Iterable[Saying]) -> None:
        """A turn has ended: *said* is its own input, *answered* its output."""
        self._turns[key] = _Turn(parent, tuple(said), tuple(answered))

    def after(self, key: str | None) -> list[Saying]:
        """What a turn that continues *key* stands on, oldest first."""
        path: list[_Turn] = []
        while key is not None:
            turn = self._turns[key]
            path.append(turn)
            key = turn.parent
        return [saying for turn in reversed(path) for saying in (*turn.said, *turn.answered)]

    def before(self, key: str) -> list[Saying]:
        """What the model saw in turn *key*: its history and its own input."""
        turn = self._turns[key]
        return [*self.after(turn.parent), *turn.said]


def said_in_messages(messages: Sequence[JsonObject]) -> list[Saying]:
    """The sayings of a chat request."""
    return [saying for message in messages for saying in _said_in_message(message)]


def said_in_items(items: Iterable[JsonObject]) -> list[Saying]:
    """The sayings of items as the Responses API shows them."""
    return [_said_in_item(item) for item in items]


def heard(sayings: Sequence[Saying]) -> str:
    """A short fingerprint of a history."""
    return hashlib.sha256(json.dumps(sayings).encode()).hexdigest()[:16]


def answer_to(sayings: Sequence[Saying]) -> str:
    """What the echo says to a history: two to nine words that nothing else would be answered with."""
    fingerprint = heard(sayings)
    words = [f"word{digit}" for digit in fingerprint[: int(fingerprint[0], 16) // 2]]
    return " ".join([f"heard {len(sayings)}", fingerprint, *words])


def _said_in_message(message: JsonObject) -> list[Saying]:
    role = message["role"]
    if role == "tool":
        return [("output", message["tool_call_id"], _text(message["content"]))]
    text: list[Saying] = [(role, _text(message["content"]))] if message.get("content") else []
    functions = [(call["id"], call["function"]) for call in message.get("tool_calls") or ()]
    return [*text, *(("call", call_id, function["name"], function["arguments"]) for call_id, function in functions)]


def _said_in_item(item: JsonObject) -> Saying:
    match item["type"]:
        case "message":
            return (item["role"], _text(item["content"]))
        case "function_call":
            return ("call", item["call_id"], item["name"], item["arguments"])
        case "function_call_output":
            return ("output", item["call_id"], _text(item["output"]))
        case other:
            raise AssertionError(f"no saying for an item of type {other}")


def _text(content: str | Sequence[JsonObject]) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)
