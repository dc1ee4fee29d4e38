"""
Items as chat messages.

What a chat history needs and a list of items does not have: all calls of one step in one assistant message, together
with the text beside them, and the tool messages directly behind it. So a user message that stands between a call and
its output moves behind the output; nothing else changes its place, and no text is lost.

What chat has no words for in an item that it otherwise knows does not go up: annotations, log probabilities, a
message's ``phase``, an item's id and status. Reasoning goes up only as :class:`ReasoningReplay` allows. An item that
adds tools is no message: its tools stand with the request's. Item types that chat does not know are refused; those of
the history have been handed over before (:mod:`antiphon.hub.handover`).
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import orjson

from antiphon.hub.errors import InvalidRequest
from antiphon.hub.handover import known_parts
from antiphon.hub.items import Item, JsonObject
from antiphon.hub.spot import Spot
from antiphon.hub.turn import ModelCall
from antiphon.providers.openai_chat.content import (
    Content,
    join_content,
    output_content,
    text_content,
    user_content,
)
from antiphon.providers.openai_chat.quirks import Quirks
from antiphon.providers.openai_chat.reasoning import ReasoningReplay, own_data
from antiphon.providers.openai_chat.tools import Toolbox, flat_name, wraps_custom_tools

__all__ = ["encode_messages"]


def encode_messages(call: ModelCall, quirks: Quirks, toolbox: Toolbox) -> list[JsonObject]:
    """
    The ``messages`` of a chat body: the instructions, then the whole context.

    Raises:
        UnsupportedParameter: An item or a part of one that chat, or this upstream, cannot take; names it.
        InvalidRequest: A tool output without its call, or a call without its output.

    Note:
        O(items), about 1 µs for a message of one text. Changes nothing that it is given.
    """
    transcript = _Transcript(call, quirks, toolbox)
    for index, item in enumerate(call.items):
        transcript.feed(item, index)
    return transcript.finish()


class _Step:
    """An assistant message with calls, and the tool messages that have to follow it."""

    __slots__ = ("answered", "message", "outputs")

    def __init__(self, message: JsonObject) -> None:
        message["tool_calls"] = []
        self.message = message
        self.outputs: list[JsonObject | None] = []
        self.answered = False


class _Transcript:
    """Chat messages in the making."""

    def __init__(self, call: ModelCall, quirks: Quirks, toolbox: Toolbox) -> None:
        self._call = call
        self._quirks = quirks
        self._wraps_custom = wraps_custom_tools(quirks)
        self._wire_names = toolbox.wire_names()
        self._reasoning = ReasoningReplay(call, quirks)
        self._entries: list[JsonObject | _Step] = []
        self._waiting: dict[str, list[tuple[_Step, int]]] = {}
        if call.request.instructions is not None:
            self._entries.append({"role": "system", "content": call.request.instructions})

    def feed(self, item: Item, index: int) -> None:
        """Take the next item."""
        write = _WRITERS.get(item.type)
        if write is None:
            raise self._spot(item, index).refuse(f"Items of type '{item.type}' cannot be sent to this upstream.")
        write(self, item, index)

    def finish(self) -> list[JsonObject]:
        """All messages in their final order."""
        for call_id in self._waiting:
            raise InvalidRequest(f"No tool output found for function call {call_id}.", param="input")
        messages: list[JsonObject] = []
        for entry in self._entries:
            if isinstance(entry, _Step):
                self._reasoning.fill_gap(entry.message)
                messages.append(entry.message)
                messages.extend(output for output in entry.outputs if output is not None)
            else:
                messages.append(entry)
        return messages

    def _spot(self, item: Item, index: int) -> Spot:
        return Spot(item, index, self._call.input_start)

    def leave_out(self, item: Item, index: int) -> None:
        """An item that adds tools is no message: its tools stand with the request's."""

    # Messages.

    def write_message(self, item: Item, index: int) -> None:
        role, content = item.body["role"], item.body["content"]
        spot = self._spot(item, index)
        if role == "assistant":
            self._add_assistant(known_parts(content, spot), spot)
            return
        if role == "user":
            message = {"role": role, "content": user_content(content, spot, self._quirks)}
        elif role == "system":
            message = {"role": role, "content": text_content(content, spot)}
        elif role == "developer":
            message = {"role": self._quirks.developer_role, "content": text_content(content, spot)}
        else:
            raise spot.refuse(f"Messages of role '{role}' cannot be sent to this upstream.", "role")
        self._reasoning.discard()
        self._entries.append(message)

    # The assistant's side.

    def _add_assistant(self, content: Content, spot: Spot) -> None:
        shown, refusals = self._split_refusals(content)
        text = text_content(shown, spot)
        step = self._open_step()
        if step is None:
            message: JsonObject = {"role": "assistant", "content": text}
            self._entries.append(message)
        else:
            message = step.message
            message["content"] = join_content(message.get("content"), text)
        if refusals:
            said_before = [message["refusal"]] if "refusal" in message else []
            message["refusal"] = "\n".join(said_before + refusals)
        self._reasoning.onto(message)

    def _split_refusals(self, content: Content) -> tuple[Content, list[str]]:
        """What is said as text, and the refusals that go into their own field."""
        if isinstance(content, str):
            return content, []
        if self._quirks.assistant_refusal == "field":
            refusals = [part["refusal"] for part in content if part["type"] == "refusal"]
            return [part for part in content if part["type"] != "refusal"], refusals
        return [
            {"type": "output_text", "text": part["refusal"]} if part["type"] == "refusal" else part for part in content
        ], []

    def write_reasoning(self, item: Item, index: int) -> None:
        self._reasoning.feed(item, index)

    # Calls and their outputs.

    def write_function_call(self, item: Item, index: int) -> None:
        body = item.body
        self._add_call(item, "function", {"name": self._wire_name(body), "arguments": body["arguments"]})

    def write_custom_call(self, item: Item, index: int) -> None:
        body = item.body
        name = self._wire_name(body)
        if self._wraps_custom:
            arguments = orjson.dumps({"input": body["input"]}).decode()
            self._add_call(item, "function", {"name": name, "arguments": arguments})
        else:
            self._add_call(item, "custom", {"name": name, "input": body["input"]})

    def _add_call(self, item: Item, kind: str, called: JsonObject) -> None:
        step = self._open_step() or self._begin_step()
        call_id = item.body["call_id"]
        self._waiting.setdefault(call_id, []).append((step, len(step.outputs)))
        step.outputs.append(None)
        tool_call = {"id": self._wire_call_id(call_id), "type": kind, kind: called}
        data = own_data(item, self._call.account)
        if data is not None and "extra_content" in data:
            tool_call["extra_content"] = data["extra_content"]  # Gemini refuses a call without its thought signature
        step.message["tool_calls"].append(tool_call)
        self._reasoning.onto(step.message)

    def write_output(self, item: Item, index: int) -> None:
        call_id, output = item.body["call_id"], item.body["output"]
        waiting = self._waiting.get(call_id)
        if not waiting:
            raise InvalidRequest(f"No tool call found for function call output with call_id {call_id}.", param="input")
        step, position = waiting.pop(0)
        if not waiting:
            del self._waiting[call_id]
        content = output_content(output, self._spot(item, index), self._quirks)
        step.outputs[position] = {"role": "tool", "tool_call_id": self._wire_call_id(call_id), "content": content}
        step.answered = True

    def _open_step(self) -> _Step | None:
        """The last entry, if calls were made in it and none is answered yet: what comes now was said beside them."""
        last = self._entries[-1] if self._entries else None
        return last if isinstance(last, _Step) and not last.answered else None

    def _begin_step(self) -> _Step:
        """A step after the last entry, or made of it, if that is the assistant's text before its calls."""
        last = self._entries[-1] if self._entries else None
        if isinstance(last, dict) and last["role"] == "assistant":
            step = self._entries[-1] = _Step(last)
            return step
        step = _Step({"role": "assistant"})
        self._entries.append(step)
        return step

    def _wire_name(self, body: JsonObject) -> str:
        name: str = body["name"]
        namespace = body.get("namespace")
        if namespace is None:
            return name
        return self._wire_names.get((namespace, name)) or flat_name(namespace, name)

    def _wire_call_id(self, call_id: str) -> str:
        if self._quirks.tool_call_ids == "as_is":
            return call_id
        return sha256(call_id.encode()).hexdigest()[:9]


_WRITERS: dict[str, Callable[[_Transcript, Item, int], None]] = {
    "additional_tools": _Transcript.leave_out,
    "message": _Transcript.write_message,
    "reasoning": _Transcript.write_reasoning,
    "function_call": _Transcript.write_function_call,
    "custom_tool_call": _Transcript.write_custom_call,
    "function_call_output": _Transcript.write_output,
    "custom_tool_call_output": _Transcript.write_output,
}
