"""
Builds well-formed event sequences from the fragments of a dialect that has none of its own.

A chat upstream sends pieces of text, reasoning and tool calls in whatever order its model produces them. The assembler
opens an item when its first piece comes, closes it when another item begins or the reply ends, and says in between what
the Responses stream says, in its order. One item is open at a time. Whatever the fragments are, what comes out passes
:class:`antiphon.streams.order.OrderCheck`.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Literal

from antiphon.hub.errors import UpstreamBroken
from antiphon.hub.events import (
    AnnotationAdded,
    ContentPartAdded,
    ContentPartDone,
    CustomToolCallInputDelta,
    CustomToolCallInputDone,
    FunctionCallArgumentsDelta,
    FunctionCallArgumentsDone,
    OutputItemAdded,
    OutputItemDone,
    OutputTextDelta,
    OutputTextDone,
    ReasoningSummaryPartAdded,
    ReasoningSummaryPartDone,
    ReasoningSummaryTextDelta,
    ReasoningSummaryTextDone,
    ReasoningTextDelta,
    ReasoningTextDone,
    RefusalDelta,
    RefusalDone,
    ReplyEnd,
)
from antiphon.hub.ids import Family, IdFactory
from antiphon.hub.items import JsonObject, Private
from antiphon.hub.upstream import ReplyEvent
from antiphon.hub.usage import Usage

__all__ = ["Assembler", "ItemType"]

ItemType = Literal["message", "reasoning", "function_call", "custom_tool_call"]

# What deltas go into. A call's arguments or input are its only part and have no events of opening and closing.
_PartType = Literal["output_text", "refusal", "reasoning_text", "summary_text", "arguments", "input"]


class Assembler:
    """
    Makes the events of one reply.

    Args:
        ids: Mints the items' ids, and the ``call_id`` of calls that are given none.
        family: The family in which item ids are minted.

    Attributes:
        open_item: The type of the item that is open now, for the caller to read.
    """

    def __init__(self, ids: IdFactory, family: Family) -> None:
        self._ids = ids
        self._family = family
        self._events: list[ReplyEvent] = []
        # The open item. `_item` holds what the finished parts make of it so far.
        self.open_item: ItemType | None = None
        self._item: JsonObject = {}
        self._item_id = ""
        self._output_index = -1
        self._private: Private | None = None
        self._call_key: Hashable = None
        self._closed_calls: set[Hashable] = set()
        # The open part of the open item.
        self._part_type: _PartType | None = None
        self._part_index = 0
        self._pieces: list[str] = []
        self._logprobs: list[JsonObject] = []
        self._annotations: list[JsonObject] = []

    def take(self) -> list[ReplyEvent]:
        """The events since the last call."""
        events = self._events
        self._events = []
        return events

    # Messages.

    def text(self, delta: str, logprobs: tuple[JsonObject, ...] = ()) -> None:
        """A piece of text. *logprobs* are in the Responses API's form."""
        if not delta and not logprobs:
            return
        if self._part_type != "output_text":
            self._open_text()
        self._pieces.append(delta)
        if logprobs:
            self._logprobs += logprobs
        self._events.append(OutputTextDelta(self._item_id, self._output_index, self._part_index, delta, logprobs))

    def annotation(self, annotation: JsonObject) -> None:
        """A citation in the text of the open message, in the Responses API's form."""
        if self._part_type != "output_text":
            self._open_text()
        where = (self._item_id, self._output_index, self._part_index)
        self._events.append(AnnotationAdded(*where, len(self._annotations), annotation))
        self._annotations.append(annotation)

    def refusal(self, delta: str) -> None:
        """A piece of a refusal: a part of its own in the open message."""
        if not delta:
            return
        if self._part_type != "refusal":
            self._open_content_part("message", "refusal", {"type": "refusal", "refusal": ""})
        self._pieces.append(delta)
        self._events.append(RefusalDelta(self._item_id, self._output_index, self._part_index, delta))

    def message_private(self, private: Private) -> None:
        """What the provider needs back with the open message; the last one given stands. There has to be one."""
        assert self.open_item == "message"
        self._private = private

    # Reasoning.

    def reasoning_text(self, delta: str, private: Private | None = None) -> None:
        """A piece of raw reasoning. *private* belongs to the item; the last one given stands."""
        if not delta:
            return
        if self._part_type != "reasoning_text":
            self._open_content_part("reasoning", "reasoning_text", {"type": "reasoning_text", "text": ""})
        if private is not None:
            self._private = private
        self._pieces.append(delta)
        self._events.append(ReasoningTextDelta(self._item_id, self._output_index, self._part_index, delta))

    def reasoning_summary(self, delta: str, private: Private | None = None) -> None:
        """A piece of a summary of the reasoning. *private* belongs to the item; the last one given stands."""
        if not delta:
            return
        if self._part_type != "summary_text":
            self._open_summary_part()
        if private is not None:
            self._private = private
        self._pieces.append(delta)
        self._events.append(ReasoningSummaryTextDelta(self._item_id, self._output_index, self._part_index, delta))

    def end_thought(self) -> None:
        """What is thought next is a part of its own, in the same item of reasoning."""
        if self._part_type in ("reasoning_text", "summary_text"):
            self._close_part()

    def reasoning_private(self, private: Private) -> None:
        """What the provider needs back with the open reasoning item; opens an empty one if there is none."""
        if self.open_item != "reasoning":
            self._open_reasoning()
        self._private = private

    # Calls.

    def open_function_call(
        self,
        key: Hashable,
        name: str,
        *,
        call_id: str | None = None,
        namespace: str | None = None,
        private: Private | None = None,
    ) -> None:
        """
        A function call begins.

        Args:
            key: What the caller knows the call by; unique within the reply.
            name: The tool's own name, as the client sent it.
            call_id: By which the client knows it already; None for a new one.
            namespace: The namespace of the tool, for a tool that was flattened on the way out.
            private: What the provider needs back with this call.

        Raises:
            UpstreamBroken: There has been a call of this key.
        """
        call: JsonObject = {"arguments": "", "call_id": call_id or self._ids.call(), "name": name}
        self._open_call("function_call", key, call, namespace=namespace, private=private)
        self._part_type = "arguments"

    def open_custom_call(
        self,
        key: Hashable,
        name: str,
        *,
        call_id: str | None = None,
        namespace: str | None = None,
        private: Private | None = None,
    ) -> None:
        """A call of a custom tool begins. See :meth:`open_function_call`."""
        call: JsonObject = {"call_id": call_id or self._ids.call(), "input": "", "name": name}
        self._open_call("custom_tool_call", key, call, namespace=namespace, private=private)
        self._part_type = "input"

    def call_delta(self, key: Hashable, delta: str) -> None:
        """
        A piece of the arguments or the input of the open call.

        Raises:
            UpstreamBroken: The call of this key is closed, or was never opened.
        """
        if not delta:
            return
        if self._call_key != key or self._part_type not in ("arguments", "input"):
            state = "after another item had begun" if key in self._closed_calls else "that had not begun"
            raise UpstreamBroken(f"The upstream sent a piece of a tool call {state}.")
        self._pieces.append(delta)
        kind = FunctionCallArgumentsDelta if self._part_type == "arguments" else CustomToolCallInputDelta
        self._events.append(kind(self._item_id, self._output_index, delta))

    # The end.

    def end(
        self,
        *,
        status: Literal["completed", "incomplete"],
        incomplete_reason: str | None = None,
        usage: Usage | None = None,
        model: str | None = None,
        service_tier: str | None = None,
        stop_sequence: str | None = None,
    ) -> None:
        """The reply is whole, or was cut short: the item that is still open ends with it, in the same status."""
        self._close_item(status)
        self._events.append(
            ReplyEnd(
                status=status,
                incomplete_reason=incomplete_reason,
                usage=usage,
                model=model,
                service_tier=service_tier,
                stop_sequence=stop_sequence,
            )
        )

    # Opening.

    def _open_text(self) -> None:
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        self._open_content_part("message", "output_text", part)

    def _open_content_part(
        self,
        item_type: Literal["message", "reasoning"],
        part_type: Literal["output_text", "refusal", "reasoning_text"],
        part: JsonObject,
    ) -> None:
        if self.open_item == item_type:
            self._close_part()
        elif item_type == "message":
            self._open_item("message", {"content": [], "role": "assistant"})
        else:
            self._open_reasoning()
        self._part_type = part_type
        self._part_index = len(self._item.setdefault("content", []))
        self._events.append(ContentPartAdded(self._item_id, self._output_index, self._part_index, part))

    def _open_summary_part(self) -> None:
        if self.open_item == "reasoning":
            self._close_part()
        else:
            self._open_reasoning()
        self._part_type = "summary_text"
        self._part_index = len(self._item["summary"])
        part = {"type": "summary_text", "text": ""}
        self._events.append(ReasoningSummaryPartAdded(self._item_id, self._output_index, self._part_index, part))

    def _open_reasoning(self) -> None:
        self._open_item("reasoning", {"summary": []})

    def _open_call(
        self,
        item_type: Literal["function_call", "custom_tool_call"],
        key: Hashable,
        call: JsonObject,
        *,
        namespace: str | None,
        private: Private | None,
    ) -> None:
        if key in self._closed_calls or (self._part_type in ("arguments", "input") and key == self._call_key):
            raise UpstreamBroken("The upstream began the same tool call twice.")
        if namespace is not None:
            call["namespace"] = namespace
        self._open_item(item_type, call)
        self._call_key = key
        self._private = private

    def _open_item(self, item_type: ItemType, fields: JsonObject) -> None:
        self._close_item("completed")
        self.open_item = item_type
        self._item_id = self._ids.item(item_type, self._family)
        self._output_index += 1
        self._item = {"id": self._item_id, "type": item_type, "status": "in_progress", **fields}
        shown = {name: [] if isinstance(value, list) else value for name, value in self._item.items()}
        self._events.append(OutputItemAdded(self._output_index, shown))

    # Closing.

    def _close_item(self, status: Literal["completed", "incomplete"]) -> None:
        if self.open_item is None:
            return
        if self._part_type in ("arguments", "input"):
            self._closed_calls.add(self._call_key)
        self._close_part()
        self._item["status"] = status
        self._events.append(OutputItemDone(self._output_index, self._item, self._private))
        self.open_item = None
        self._private = None

    def _close_part(self) -> None:
        text = "".join(self._pieces)
        where = (self._item_id, self._output_index, self._part_index)
        match self._part_type:
            case "output_text":
                self._close_text(text)
            case "refusal":
                self._events.append(RefusalDone(*where, text))
                self._keep_content({"type": "refusal", "refusal": text})
            case "reasoning_text":
                self._events.append(ReasoningTextDone(*where, text))
                self._keep_content({"type": "reasoning_text", "text": text})
            case "summary_text":
                part = {"type": "summary_text", "text": text}
                self._events += (ReasoningSummaryTextDone(*where, text), ReasoningSummaryPartDone(*where, part))
                self._item["summary"].append(part)
            case "arguments":
                self._item["arguments"] = text
                self._events.append(
                    FunctionCallArgumentsDone(self._item_id, self._output_index, text, self._item["name"])
                )
            case "input":
                self._item["input"] = text
                self._events.append(CustomToolCallInputDone(self._item_id, self._output_index, text))
            case None:
                return
        self._part_type = None
        self._pieces = []

    def _close_text(self, text: str) -> None:
        where = (self._item_id, self._output_index, self._part_index)
        self._events.append(OutputTextDone(*where, text, tuple(self._logprobs)))
        self._keep_content(
            {"type": "output_text", "text": text, "annotations": self._annotations, "logprobs": self._logprobs}
        )
        self._annotations, self._logprobs = [], []

    def _keep_content(self, part: JsonObject) -> None:
        self._events.append(ContentPartDone(self._item_id, self._output_index, self._part_index, part))
        self._item["content"].append(part)
