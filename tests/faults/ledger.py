"""What the clients of one life were told, one line for each fact, written at once: it survives the process's death."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

__all__ = ["Answered", "Asked", "Ended", "Erased", "Fact", "Ledger", "Made", "Refused", "Said", "Told"]


class Asked(msgspec.Struct, tag=True, frozen=True):
    """
    A turn is about to be asked for.

    Attributes:
        turn: Its name, which is in its input's text.
        parent: The name of what it continues: a turn, or a conversation.
        conversation: The id of the conversation that it is made in.
        key: Its idempotency key.
    """

    tenant: str
    turn: str
    parent: str | None = None
    conversation: str | None = None
    key: str | None = None
    background: bool = False


class Answered(msgspec.Struct, tag=True, frozen=True):
    """A turn has ended, and its client was told so with this response."""

    turn: str
    response: dict[str, Any]


class Said(msgspec.Struct, tag=True, frozen=True):
    """An event of a turn's stream has arrived, as these bytes."""

    turn: str
    response_id: str
    event: str


class Made(msgspec.Struct, tag=True, frozen=True):
    """A conversation was made, with one item that says its name."""

    tenant: str
    name: str
    body: dict[str, Any]


class Erased(msgspec.Struct, tag=True, frozen=True):
    """Something is about to be erased, or was, with what stands on it: turns and conversations, by their names."""

    names: tuple[str, ...]
    done: bool


class Refused(msgspec.Struct, tag=True, frozen=True):
    """The gateway said that it could not do something."""

    what: str
    kind: str
    message: str


class Ended(msgspec.Struct, tag=True, frozen=True):
    """The life came to its end. Attributes: how many points of the disk it had, by kind."""

    points: tuple[str, ...]


Fact = Asked | Answered | Said | Made | Erased | Refused | Ended

_DECODER = msgspec.json.Decoder(Fact)


class Ledger:
    """Appends facts to a file, each of them whole."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)

    def add(self, fact: Fact) -> None:
        """Write a fact down."""
        os.write(self._descriptor, msgspec.json.encode(fact) + b"\n")

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)


class Told:
    """
    The facts of a ledger, in order and by kind.

    Attributes:
        asked: By the turn's name.
        answered: The response that was told last, by the turn's name.
        answers: All answers; a turn with a key may have got several.
        said: The events that have arrived, by the turn's name.
        made: By the conversation's name.
        erased: The names of what was erased; *erasing* those of what may have been.
        ended: The life came to its end.
    """

    def __init__(self, facts: list[Fact]) -> None:
        self.asked = {fact.turn: fact for fact in facts if isinstance(fact, Asked)}
        self.answered = {fact.turn: fact.response for fact in facts if isinstance(fact, Answered)}
        self.answers = [fact for fact in facts if isinstance(fact, Answered)]
        self.said: dict[str, list[Said]] = {}
        self.made = {fact.name: fact for fact in facts if isinstance(fact, Made)}
        self.erased: set[str] = set()
        self.erasing: set[str] = set()
        self.refused = [fact for fact in facts if isinstance(fact, Refused)]
        self.ended = next((fact for fact in facts if isinstance(fact, Ended)), None)
        for fact in facts:
            if isinstance(fact, Said):
                self.said.setdefault(fact.turn, []).append(fact)
            if isinstance(fact, Erased):
                (self.erased if fact.done else self.erasing).update(fact.names)
        self.erasing -= self.erased

    @classmethod
    def of(cls, path: Path) -> Told:
        """Read a ledger; none is an empty one."""
        lines = path.read_bytes().split(b"\n") if path.exists() else []
        return cls([_DECODER.decode(line) for line in lines if line])
