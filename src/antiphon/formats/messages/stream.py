"""
Writes a stream: ``event: <type>``, one line of JSON, a blank line.

    message_start, ping, (content_block_start, content_block_delta*, content_block_stop)*, message_delta, message_stop

Blocks stand one behind the other, whatever the hub's items do: what comes of an item while another one is said waits
until that one is done. The input of a call is said when it is whole, and is an object then; a client that asks for it
eagerly gets it as the model writes it. Citations are said at the end of their text, from which they quote. What a
stream has used is known at its end alone.

Specification: ``platform.claude.com/docs/en/build-with-claude/streaming``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, NamedTuple

import orjson

from antiphon.formats.messages.answer import citations_of, ending, input_of, opening, tool_use, usage_of
from antiphon.formats.messages.errors import stream_error
from antiphon.formats.messages.thoughts import BETWEEN, Shown, seal_of
from antiphon.hub.events import (
    ContentPartAdded,
    ContentPartDone,
    Event,
    FunctionCallArgumentsDelta,
    LifecycleEvent,
    OtherEvent,
    OutputItemAdded,
    OutputItemDone,
    OutputTextDelta,
    ReasoningSummaryPartAdded,
    ReasoningSummaryTextDelta,
    ReasoningTextDelta,
    RefusalDelta,
    ResponseCompleted,
    ResponseCreated,
    ResponseFailed,
    ResponseIncomplete,
)
from antiphon.hub.items import JsonObject

__all__ = ["MessageStreamEncoder"]


class _Frame(NamedTuple):
    name: str
    data: bytes


class MessageStreamEncoder:
    """
    One stream, for one reader. Implements :class:`~antiphon.hub.format.StreamEncoder`.

    Args:
        shown: What of thinking is shown.
        eager_tools: The names of the tools whose input is said as it comes.
    """

    def __init__(self, shown: Shown = "text", eager_tools: frozenset[str] = frozenset()) -> None:
        self._shown = shown
        self._eager_tools = eager_tools
        self._frames: list[_Frame] = []
        # The item that is said, and what came of later ones.
        self._output_index = 0
        self._held: dict[int, list[Event]] = {}
        self._eager = False
        # The block that is open, and which part of a message it is.
        self._block_index = -1
        self._is_open = False
        self._part: int | None = None
        # Between two parts of one item's reasoning.
        self._thought = False
        self._gap = False

    def encode(self, events: Iterable[Event | OtherEvent]) -> bytes:
        """Server-sent events for all that *events* say; nothing for some."""
        return b"".join(b"event: %b\ndata: %b\n\n" % (name.encode(), data) for name, data in self._encoded(events))

    def encode_each(self, events: Iterable[Event | OtherEvent]) -> list[bytes]:
        """The JSON of each event of the dialect alone, of which there may be more or fewer than *events*."""
        return [frame.data for frame in self._encoded(events)]

    def _encoded(self, events: Iterable[Event | OtherEvent]) -> list[_Frame]:
        for event in events:
            if isinstance(event, LifecycleEvent):
                self._live(event)
            elif isinstance(event, Event):
                self._take(event)
        frames, self._frames = self._frames, []
        return frames

    # The message.

    def _live(self, event: LifecycleEvent) -> None:
        match event:
            case ResponseCreated():
                self._emit("message_start", message=opening(event.response))
                self._emit("ping")
            case ResponseCompleted() | ResponseIncomplete():
                self._emit("message_delta", delta=ending(event.response), usage=usage_of(event.response))
                self._emit("message_stop")
            case ResponseFailed():
                self._add(stream_error(event.response))

    def _take(self, event: Event) -> None:
        """Say an event of the item that is said; keep one of a later item."""
        index = event.output_index  # type: ignore[attr-defined]  # all events but those of the response's life have it
        if index != self._output_index:
            self._held.setdefault(index, []).append(event)
            return
        self._say(event)
        while self._output_index in self._held:
            for held in self._held.pop(self._output_index):
                self._say(held)

    def _say(self, event: Event) -> None:
        say = self._SAID.get(type(event))
        if say is not None:
            say(self, event)

    # Items.

    def _begin_item(self, event: OutputItemAdded) -> None:
        item = event.item
        if item["type"] in ("function_call", "custom_tool_call"):
            self._eager = item["type"] == "function_call" and item["name"] in self._eager_tools
            self._open(tool_use(item))

    def _end_item(self, event: OutputItemDone) -> None:
        match event.item["type"]:
            case "function_call" | "custom_tool_call":
                if not self._eager:
                    self._add_input(input_of(event.item))
            case "reasoning" if self._shown != "nothing":
                self._end_thought(event)
        self._close()
        self._thought = self._gap = False
        self._output_index += 1

    # Texts.

    def _add_text(self, event: OutputTextDelta | RefusalDelta) -> None:
        text = event.delta
        if not text:
            return
        if self._part != event.content_index:
            self._close()
            self._open({"type": "text", "text": "", "citations": None})
            self._part = event.content_index
        self._delta("text_delta", text=text)

    def _end_part(self, event: ContentPartDone) -> None:
        if self._part == event.content_index:
            for citation in citations_of(event.part):
                self._delta("citations_delta", citation=citation)
            self._close()

    # Calls.

    def _add_arguments(self, event: FunctionCallArgumentsDelta) -> None:
        if self._eager and event.delta:
            self._add_input(event.delta)

    def _add_input(self, text: str) -> None:
        self._delta("input_json_delta", partial_json=text)

    # Thinking.

    def _begin_thought_part(self, _: ReasoningSummaryPartAdded | ContentPartAdded) -> None:
        self._gap = self._thought

    def _add_thought(self, event: ReasoningSummaryTextDelta | ReasoningTextDelta) -> None:
        if not event.delta or self._shown != "text":
            return
        if not self._is_open:
            self._open_thought()
        text = BETWEEN + event.delta if self._gap else event.delta
        self._thought, self._gap = True, False
        self._delta("thinking_delta", thinking=text)

    def _end_thought(self, event: OutputItemDone) -> None:
        seal = seal_of(event.private)
        if seal.signature:
            if not self._is_open:
                self._open_thought()
            self._delta("signature_delta", signature=seal.signature)
        self._close()
        for block in seal.redacted:
            self._open(block)
            self._close()

    def _open_thought(self) -> None:
        self._open({"type": "thinking", "thinking": "", "signature": ""})

    # Blocks.

    def _open(self, block: JsonObject) -> None:
        self._block_index += 1
        self._is_open = True
        self._emit("content_block_start", index=self._block_index, content_block=block)

    def _delta(self, kind: str, **fields: Any) -> None:
        self._emit("content_block_delta", index=self._block_index, delta={"type": kind, **fields})

    def _close(self) -> None:
        if self._is_open:
            self._emit("content_block_stop", index=self._block_index)
        self._is_open = False
        self._part = None

    def _emit(self, kind: str, **fields: Any) -> None:
        self._add({"type": kind, **fields})

    def _add(self, body: JsonObject) -> None:
        self._frames.append(_Frame(body["type"], orjson.dumps(body)))

    # Each method takes the event type that it is listed under.
    _SAID: ClassVar[dict[type, Callable[[Any, Any], None]]] = {
        OutputItemAdded: _begin_item,
        OutputItemDone: _end_item,
        OutputTextDelta: _add_text,
        RefusalDelta: _add_text,
        ContentPartAdded: _begin_thought_part,
        ContentPartDone: _end_part,
        FunctionCallArgumentsDelta: _add_arguments,
        ReasoningSummaryPartAdded: _begin_thought_part,
        ReasoningSummaryTextDelta: _add_thought,
        ReasoningTextDelta: _add_thought,
    }
