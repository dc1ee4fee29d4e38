"""
What the load has sent and what it was told: the truth that the gateway's file is held against.

A turn is *acknowledged* once its JSON body or its terminal event has arrived whole. One that was sent and not
acknowledged when the gateway died is *in doubt*: it may be stored or not, but whole or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.echo_upstream import MODEL, TOOL, echoed
from tests.support.history_model import HistoryModel, Saying, said_in_items

__all__ = ["Conversation", "JsonObject", "Ledger", "Turn", "item_of", "without_call_ids"]

JsonObject = Mapping[str, Any]

_TOOLS = [{"type": "function", "name": TOOL, "parameters": {"type": "object", "properties": {}}, "strict": False}]


@dataclass(eq=False)
class Turn:
    """
    One turn that was sent.

    Attributes:
        tag: Its key in the model; a part of its input's text, so that it can be recognised wherever it is stored.
        parent: The key of what it stands on.
        said: Its own input.
        expected: The output that its history leads to, calls without their ids.
        response_id: Known from the first event of a stream, or from the answer.
        response: The terminal response as the client received it; None while it is in doubt.
    """

    tag: str
    parent: str | None
    said: tuple[Saying, ...]
    expected: tuple[Saying, ...]
    request: JsonObject
    conversation: Conversation | None = None
    response_id: str | None = None
    response: JsonObject | None = None


@dataclass(eq=False)
class Conversation:
    """
    A conversation that was acknowledged.

    Attributes:
        body: As the client received it.
        newest: The key of its newest turn, or its own id for the items that it was made with.
        in_doubt: A turn that may have entered it before the gateway died.
        locked: A turn died in it, so that its lease has to run out before it takes another.
    """

    body: JsonObject
    newest: str
    in_doubt: Turn | None = None
    locked: bool = False

    @property
    def id(self) -> str:
        """The gateway's id."""
        return str(self.body["id"])


@dataclass
class Ledger:
    """Everything that was sent in one sweep."""

    model: HistoryModel = field(default_factory=HistoryModel)
    acknowledged: list[Turn] = field(default_factory=list)
    in_doubt: list[Turn] = field(default_factory=list)
    conversations: list[Conversation] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    _sent: int = 0

    def next_tag(self) -> str:
        """A key for a new turn."""
        self._sent += 1
        return f"turn-{self._sent}"

    def turn(self, parent: str | None, *, tools: bool, stream: bool, conversation: Conversation | None = None) -> Turn:
        """A turn that is about to be sent: it answers the open call of what it stands on and says its own tag."""
        tag = self.next_tag()
        history = self.model.after(parent)
        said = (*_answers(history), ("user", f"this is {tag}"))
        request: dict[str, Any] = {"model": MODEL, "input": [item_of(saying) for saying in said], "stream": stream}
        if tools:
            request["tools"] = _TOOLS
        return Turn(
            tag=tag,
            parent=parent,
            said=said,
            expected=echoed([*history, *said], tools=tools),
            request=request,
            conversation=conversation,
        )

    def acknowledge(self, turn: Turn, response: JsonObject) -> None:
        """The client has been told that *turn* is complete."""
        turn.response = response
        turn.response_id = str(response["id"])
        answered = said_in_items(response["output"])
        if response["status"] != "completed" or without_call_ids(answered) != turn.expected:
            self.violations.append(f"{turn.tag} ({turn.response_id}): answered {answered} instead of {turn.expected}")
        self.acknowledged.append(turn)
        self._enters(turn, answered)

    def leave_in_doubt(self, turn: Turn) -> None:
        """The gateway died before the client was told."""
        self.in_doubt.append(turn)
        if turn.conversation is not None:
            turn.conversation.in_doubt = turn
            turn.conversation.locked = True

    def settle(self, conversation: Conversation, shown: Sequence[Saying] | None) -> None:
        """The turn that was in doubt has entered the conversation and is shown like this, or has not (None)."""
        turn, conversation.in_doubt = conversation.in_doubt, None
        if turn is not None and shown is not None:
            self._enters(turn, shown)

    def summary(self) -> str:
        """How far it has come, for people."""
        return f"{len(self.acknowledged)} turns acknowledged, {len(self.violations)} violations"

    def _enters(self, turn: Turn, answered: Sequence[Saying]) -> None:
        self.model.add(turn.tag, parent=turn.parent, said=turn.said, answered=answered)
        if turn.conversation is not None:
            turn.conversation.newest = turn.tag


def without_call_ids(sayings: Sequence[Saying]) -> tuple[Saying, ...]:
    """Sayings as they can be predicted: the gateway mints the ids of calls."""
    return tuple(("call", "", *saying[2:]) if saying[0] == "call" else saying for saying in sayings)


def _answers(history: Sequence[Saying]) -> list[Saying]:
    if history and history[-1][0] == "call":
        return [("output", history[-1][1], f"result for {history[-1][3]}")]
    return []


def item_of(saying: Saying) -> JsonObject:
    """An input item that says this."""
    match saying:
        case ("output", call_id, text):
            return {"type": "function_call_output", "call_id": call_id, "output": text}
        case (role, text):
            return {"role": role, "content": text}
        case _:
            raise AssertionError(f"the load does not send {saying}")
