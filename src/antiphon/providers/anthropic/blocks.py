"""
The content blocks of a reply, as items.

Blocks come one after the other, each with a beginning, pieces and an end. Texts that follow each other are one text:
the API cuts it where a citation begins. Thinking that follows thinking is another part of one item of reasoning. A
custom tool that went up as a function is unwrapped here.

Blocks of other kinds are of tools that the API runs itself. The gateway never asks for these; where a server sends
one all the same it goes by as an event of its own (``anthropic.content_block``), without its ids, and is not stored.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from antiphon.hub.errors import UpstreamBroken
from antiphon.hub.events import OtherEvent
from antiphon.hub.items import JsonObject
from antiphon.hub.redaction import clean_text
from antiphon.hub.upstream import ReplyEvent
from antiphon.providers.anthropic.reply import Block, Citation, Delta, decode_block, decode_object
from antiphon.providers.anthropic.thinking import THINKING_BLOCKS, keep_blocks
from antiphon.providers.anthropic.tools import Origin
from antiphon.streams.assembler import Assembler

__all__ = ["Blocks"]

_SHOWN_CHARS = 64
_CARRIED_BY = {
    "text_delta": "text",
    "citations_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "thinking",
    "input_json_delta": "tool_use",
}
_IN_PIECES = frozenset(_CARRIED_BY.values())


class _Wrapped(msgspec.Struct, forbid_unknown_fields=True):
    """The arguments with which a wrapped custom tool is called."""

    input: str


_wrapped_decoder = msgspec.json.Decoder(_Wrapped)


class Blocks:
    """
    Follows the blocks of one reply.

    Args:
        assembler: Gets the items.
        account: To whom thinking goes back.
        origins: The upstream's names of the tools, and what each stands for.
        allowed: The upstream's names of the only tools that may be called; None for any.
    """

    def __init__(
        self,
        assembler: Assembler,
        account: str,
        origins: Mapping[str, Origin],
        allowed: frozenset[str] | None,
    ) -> None:
        self._assembler = assembler
        self._account = account
        self._origins = origins
        self._allowed = allowed
        self._count = 0
        self._events: list[ReplyEvent] = []
        # The open block.
        self._kind: str | None = None
        self._index: int | None = None
        self._pieces: list[str] = []
        self._citations: list[Citation] = []
        self._thought: JsonObject = {}
        self._wraps = False
        # What is around it: the length of the text it goes on with, the thoughts of its item, a call without a word.
        self._text_chars = 0
        self._thoughts: list[JsonObject] = []
        self._silent_call: int | None = None

    def take(self) -> list[ReplyEvent]:
        """The events since the last call."""
        self._events += self._assembler.take()
        events, self._events = self._events, []
        return events

    def start(self, raw: msgspec.Raw, index: int | None = None) -> None:
        """
        A block begins, with what is there of it.

        Raises:
            UpstreamBroken: Another one has not ended, or the block is not one.
        """
        if self._kind is not None:
            raise UpstreamBroken("The upstream began a content block within another.")
        block = decode_block(raw)
        self.close()
        self._kind, self._index, self._pieces = block.type, index, []
        match block.type:
            case "text":
                self._start_text(block)
            case "thinking" | "redacted_thinking":
                self._start_thought(block, raw)
            case "tool_use":
                self._start_call(block)
            case _:
                self._pass_on(decode_object(raw))

    def feed(self, delta: Delta, index: int | None = None) -> None:
        """
        A piece of the open block. One of a kind that nobody knows is passed over.

        Raises:
            UpstreamBroken: The piece belongs to no open block, or is of another kind than the block.
        """
        if self._kind is None or index != self._index:
            raise UpstreamBroken("The upstream sent a piece of a content block that is not open.")
        carrier = _CARRIED_BY.get(delta.type or "")
        if carrier is None or self._kind not in _IN_PIECES:
            return
        if carrier != self._kind:
            raise UpstreamBroken(f"The upstream sent a piece of {carrier} in a content block of {self._kind}.")
        match delta.type:
            case "text_delta":
                self._add_text(delta.text or "")
            case "citations_delta" if delta.citation is not None:
                self._citations.append(delta.citation)
            case "thinking_delta":
                self._add_thinking(delta.thinking or "")
            case "signature_delta":
                self._thought["signature"] = self._thought.get("signature", "") + (delta.signature or "")
            case "input_json_delta":
                self._add_arguments(delta.partial_json or "")

    def stop(self, index: int | None = None) -> None:
        """
        The open block ends.

        Raises:
            UpstreamBroken: There is none of this index.
        """
        if self._kind is None or index != self._index:
            raise UpstreamBroken("The upstream ended a content block that is not open.")
        kind, self._kind = self._kind, None
        if kind == "text":
            self._stop_text()
        elif kind in THINKING_BLOCKS:
            self._stop_thought()
        elif kind == "tool_use":
            self._stop_call()

    @property
    def is_open(self) -> bool:
        """Whether a block has begun and not ended."""
        return self._kind is not None

    def close(self) -> None:
        """What was said last is whole: a call that came without arguments has none."""
        if self._silent_call is not None:
            self._assembler.call_delta(self._silent_call, "{}")
            self._silent_call = None

    def _pass_on(self, block: JsonObject) -> None:
        shown = {name: value for name, value in block.items() if name not in ("id", "tool_use_id")}
        self._events += self._assembler.take()
        self._events.append(OtherEvent("anthropic.content_block", {"content_block": shown}))

    # Text.

    def _start_text(self, block: Block) -> None:
        if self._assembler.open_item != "message":
            self._text_chars = 0
        self._citations = list(block.citations or ())
        self._add_text(block.text or "")

    def _add_text(self, text: str) -> None:
        self._pieces.append(text)
        self._assembler.text(text)

    def _stop_text(self) -> None:
        """A citation is of the whole block that it stands in."""
        start = self._text_chars
        self._text_chars += sum(map(len, self._pieces))
        for citation in self._citations:
            self._assembler.annotation(_annotation(citation, start, self._text_chars))

    # Thinking.

    def _start_thought(self, block: Block, raw: msgspec.Raw) -> None:
        if self._assembler.open_item != "reasoning":
            self._thoughts = []
        self._thought = decode_object(raw)
        self._add_thinking(block.thinking or "")

    def _add_thinking(self, text: str) -> None:
        if text:
            self._pieces.append(text)
            self._assembler.reasoning_summary(text)

    def _stop_thought(self) -> None:
        """Only what is signed, or sealed, can go back: thinking that was cut off is neither."""
        self._assembler.end_thought()
        if self._thought["type"] == "thinking":
            self._thought["thinking"] = "".join(self._pieces)
            if not self._thought.get("signature"):
                return
        self._thoughts.append(self._thought)
        self._assembler.reasoning_private(keep_blocks(list(self._thoughts), self._account))

    # Calls.

    def _start_call(self, block: Block) -> None:
        name = block.name
        if not name:
            raise UpstreamBroken("The upstream sent a tool call without a name.")
        if self._allowed is not None and name not in self._allowed:
            named = clean_text(name[:_SHOWN_CHARS])
            raise UpstreamBroken(f"The upstream's model called '{named}', which 'tool_choice' does not allow.")
        origin = self._origins.get(name) or Origin(kind="function", namespace=None, name=name)
        self._wraps = origin.kind == "custom"
        self._count += 1
        begin = self._assembler.open_custom_call if self._wraps else self._assembler.open_function_call
        begin(self._count, origin.name, namespace=origin.namespace)
        given = _text_of(block.input)
        if given.strip("{} \t\r\n"):
            self._add_arguments(given)

    def _add_arguments(self, piece: str) -> None:
        self._pieces.append(piece)
        if not self._wraps:
            self._assembler.call_delta(self._count, piece)

    def _stop_call(self) -> None:
        arguments = "".join(self._pieces)
        if self._wraps:
            self._assembler.call_delta(self._count, _unwrap(arguments))
        elif not arguments:
            self._silent_call = self._count


def _text_of(raw: msgspec.Raw) -> str:
    try:
        return bytes(raw).decode()
    except UnicodeDecodeError as error:
        raise UpstreamBroken("The upstream sent a tool call whose arguments are not UTF-8.") from error


def _unwrap(arguments: str) -> str:
    """The input in the arguments of a wrapped call, or the arguments as they are if they do not hold just that."""
    try:
        return _wrapped_decoder.decode(arguments).input
    except (msgspec.DecodeError, RecursionError):
        return arguments


def _annotation(citation: Citation, start: int, end: int) -> JsonObject:
    """A citation in the Responses API's form."""
    url = citation.url or citation.source
    if url is not None:
        title = citation.title or ""
        return {"type": "url_citation", "start_index": start, "end_index": end, "url": url, "title": title}
    return {"type": "file_citation", "file_id": "", "filename": citation.document_title or "", "index": end}
