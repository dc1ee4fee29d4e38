"""
Streams of chat: ``chat.completion.chunk`` objects, made of the hub's events.

The first chunk says who speaks. It waits for what is said first, because its ``content`` is null before a call and
empty before a text. Then come pieces, then one chunk with the ``finish_reason``, then the usage if it was asked for,
then ``[DONE]``. Folding the pieces gives the message of the whole answer (:mod:`.answer`). What failed ends in an
``error`` and is not done.

Nearly all chunks are pieces of text, which differ in one string: they are written from a template of bytes. Everything
else goes through ``_say``, which is the rule that the template follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from antiphon.formats.chat.answer import CALL_FIELDS, REASONING_GAP, Answer, chat_call, logprobs_of, read_answer
from antiphon.formats.chat.chunks import Chunks, TextTemplate
from antiphon.formats.chat.frames import json_of
from antiphon.formats.chat.ids import CHAT_PREFIX
from antiphon.formats.chat.settings import LOGPROBS
from antiphon.hub.events import (
    CustomToolCallInputDelta,
    Event,
    FunctionCallArgumentsDelta,
    LifecycleEvent,
    OtherEvent,
    OutputItemAdded,
    OutputTextDelta,
    ReasoningSummaryTextDelta,
    ReasoningTextDelta,
    RefusalDelta,
    ResponseCompleted,
    ResponseCreated,
    ResponseFailed,
    ResponseIncomplete,
)
from antiphon.hub.format import DialectTurn
from antiphon.hub.items import CALL_TYPES, JsonObject

__all__ = ["ChatStreamEncoder"]


class ChatStreamEncoder:
    """
    One stream, for one reader, from its first event on.

    Args:
        turn: What was asked for: whether log probabilities, the usage and padding are wanted.
    """

    def __init__(self, turn: DialectTurn) -> None:
        self._wants_logprobs = LOGPROBS in turn.request.include
        self._chunks = Chunks("chat.completion.chunk", CHAT_PREFIX, turn)
        self._text_template: TextTemplate | None = None
        self._speaks = False  # whether the first chunk is out
        self._has_content = False  # whether the content is more than null
        self._calls: dict[int, int] = {}  # the index of a call among calls, by its output_index
        self._thought: tuple[object, ...] = ()  # the part of the last piece of reasoning

    def encode(self, events: Iterable[Event | OtherEvent]) -> bytes:
        """
        Server-sent events; whole ones only. Many of the hub's events say nothing in chat.

        Raises:
            UpstreamBroken: The model makes a call of a type that chat does not have.
        """
        return b"".join(self._encode(events))

    def encode_each(self, events: Iterable[Event | OtherEvent]) -> list[bytes]:
        """
        The JSON of each chunk alone, for a transport that has frames of its own.

        Raises:
            UpstreamBroken: As :meth:`encode`.
        """
        return json_of(self._encode(events))

    def _encode(self, events: Iterable[Event | OtherEvent]) -> list[bytes]:
        for event in events:
            write = self._WRITERS.get(type(event))
            if write is not None:
                write(self, event)
        return self._chunks.take()

    # What is said.

    def _begin(self, event: LifecycleEvent) -> None:
        self._chunks.begin(event.response)

    def _text(self, event: OutputTextDelta) -> None:
        if not event.delta and not event.logprobs:
            return
        self._open(content="")
        self._has_content = True
        if self._wants_logprobs and event.logprobs:
            self._say({"content": event.delta}, logprobs=logprobs_of(event.logprobs))
            return
        if self._text_template is None:
            self._text_template = self._chunks.template(_choice({"content": TextTemplate.PROBE}))
        self._chunks.add_text(self._text_template, event.delta)

    def _refusal(self, event: RefusalDelta) -> None:
        self._open(content=None)
        self._say({"refusal": event.delta})

    def _reasoning(self, event: ReasoningTextDelta | ReasoningSummaryTextDelta) -> None:
        if not event.delta:
            return
        self._open(content=None)
        part = _part_of(event)
        gap = REASONING_GAP if self._thought not in ((), part) else ""
        self._thought = part
        self._say({"reasoning_content": gap + event.delta})

    def _item(self, event: OutputItemAdded) -> None:
        if event.item["type"] not in CALL_TYPES:
            return
        call = chat_call(event.item)
        self._open(content=None)
        index = self._calls[event.output_index] = len(self._calls)
        self._say({"tool_calls": [{"index": index, **call}]})

    def _arguments(self, event: FunctionCallArgumentsDelta) -> None:
        self._call_piece(event.output_index, "function_call", event.delta)

    def _input(self, event: CustomToolCallInputDelta) -> None:
        self._call_piece(event.output_index, "custom_tool_call", event.delta)

    def _call_piece(self, output_index: int, item_type: str, delta: str) -> None:
        kind, field = CALL_FIELDS[item_type]
        self._say({"tool_calls": [{"index": self._calls[output_index], kind: {field: delta}}]})

    # The end.

    def _end(self, event: LifecycleEvent) -> None:
        response = event.response
        answer = read_answer(response)
        self._say_rest(answer)
        tier = {"service_tier": response["service_tier"]}
        self._chunks.add(_choice({}, finish_reason=answer.finish_reason), more=tier)
        self._chunks.end(response, tier)

    def _say_rest(self, answer: Answer) -> None:
        """What is known only at the end: that nothing was said, and all citations, which clients join as one list."""
        if not self._speaks:
            self._open(content=answer.content)
        elif answer.content == "" and not self._has_content:
            self._say({"content": ""})
        if answer.annotations:
            self._say({"annotations": list(answer.annotations)})

    def _fail(self, event: LifecycleEvent) -> None:
        self._chunks.fail(event.response)

    # Chunks.

    def _open(self, *, content: str | None) -> None:
        if not self._speaks:
            self._speaks = True
            self._has_content = content is not None
            self._chunks.add(_choice({"role": "assistant", "content": content, "refusal": None}))

    def _say(self, delta: JsonObject, *, logprobs: JsonObject | None = None) -> None:
        self._chunks.add(_choice(delta, logprobs=logprobs), said=delta)

    # Each method takes the event type that it is listed under.
    _WRITERS: ClassVar[Mapping[type, Callable[[Any, Any], None]]] = {
        CustomToolCallInputDelta: _input,
        FunctionCallArgumentsDelta: _arguments,
        OutputItemAdded: _item,
        OutputTextDelta: _text,
        ReasoningSummaryTextDelta: _reasoning,
        ReasoningTextDelta: _reasoning,
        RefusalDelta: _refusal,
        ResponseCompleted: _end,
        ResponseCreated: _begin,
        ResponseFailed: _fail,
        ResponseIncomplete: _end,
    }


def _choice(delta: JsonObject, *, logprobs: JsonObject | None = None, finish_reason: str | None = None) -> JsonObject:
    return {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}


def _part_of(event: ReasoningTextDelta | ReasoningSummaryTextDelta) -> tuple[object, ...]:
    index = event.summary_index if isinstance(event, ReasoningSummaryTextDelta) else event.content_index
    return (type(event), event.output_index, index)
