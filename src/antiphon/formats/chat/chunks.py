"""The chunks of one stream: what those of chat and of text completions have in common."""

from __future__ import annotations

from orjson import dumps

from antiphon.formats.chat.errors import failure_of
from antiphon.formats.chat.frames import DONE, Padding, frame
from antiphon.formats.chat.ids import shown_id
from antiphon.formats.chat.usage import chat_usage
from antiphon.hub.format import DialectTurn
from antiphon.hub.items import JsonObject

__all__ = ["Chunks", "TextTemplate"]

_PROBE = "\x00"


class Chunks:
    """
    Writes chunks, one behind the other.

    Args:
        kind: The ``object`` of each.
        prefix: That of their id.
        turn: Whether the usage and padding are wanted.
    """

    def __init__(self, kind: str, prefix: str, turn: DialectTurn) -> None:
        self._kind = kind
        self._prefix = prefix
        self._wants_usage = turn.usage_in_stream
        self._padding = Padding() if turn.request.include_obfuscation else None
        self._head: JsonObject = {}
        self._blocks: list[bytes] = []

    def begin(self, response: JsonObject) -> None:
        """What all chunks say of the response."""
        self._head = {
            "id": shown_id(response["id"], self._prefix),
            "object": self._kind,
            "created": response["created_at"],
            "model": response["model"],
        }

    def add(self, choice: JsonObject, *, said: object = None, more: JsonObject | None = None) -> None:
        """A chunk with one choice; *said* is what its size must not tell, *more* stands beside the choice."""
        body = self._body(choice)
        if more:
            body |= more
        if self._padding is not None and said:
            body["obfuscation"] = self._padding.fill(len(dumps(said))).decode()
        self._blocks.append(frame(body))

    def add_text(self, template: TextTemplate, text: str) -> None:
        """A chunk made of a template."""
        escaped = dumps(text)
        values = (escaped,) if self._padding is None else (escaped, self._padding.fill(len(escaped)))
        self._blocks.append(template.block % values)

    def template(self, choice: JsonObject) -> TextTemplate:
        """
        The template of all chunks with this choice, whose text is :attr:`TextTemplate.PROBE`.

        With padding it leaves open that too.
        """
        body = self._body(choice)
        probe = dumps(_PROBE)
        if self._padding is not None:
            body["obfuscation"] = _PROBE
        # The choice stands behind what others have named.
        head, choices, rest = frame(body).replace(b"%", b"%%").partition(b'"choices":[')
        return TextTemplate(head + choices + rest.replace(probe, b"%b", 1).replace(probe, b'"%b"'))

    def end(self, response: JsonObject, more: JsonObject | None = None) -> None:
        """What the response has used, if that was asked for and is known, and the mark of the end."""
        if self._wants_usage and response["usage"] is not None:
            usage = chat_usage(response["usage"])
            self._blocks.append(frame({**self._head, "choices": [], **(more or {}), "usage": usage}))
        self._blocks.append(DONE)

    def fail(self, response: JsonObject) -> None:
        """What went wrong. No mark of the end follows: nothing is done."""
        self._blocks.append(frame(failure_of(response)))

    def take(self) -> list[bytes]:
        """The events since the last call."""
        blocks, self._blocks = self._blocks, []
        return blocks

    def _body(self, choice: JsonObject) -> JsonObject:
        body = {**self._head, "choices": [choice]}
        if self._wants_usage:
            body["usage"] = None
        return body


class TextTemplate:
    """The bytes of a chunk with its text, and its padding where there is one, left open."""

    __slots__ = ("block",)

    PROBE = _PROBE

    def __init__(self, block: bytes) -> None:
        self.block = block
