"""
Items as Converse's messages.

User and assistant take turns, and the user has the first word and the last: what one of them says in several items
becomes one message, and a context that begins or ends with the assistant, or is nothing but instructions, gets a line
of the user's. (With the last word the assistant would not answer but finish its own sentence; most models refuse to.)
Results of calls stand first in the message behind the calls, in their order; whatever the user said before a result
moves behind it. System and developer messages go where all instructions are, in their order. Texts that are empty or
blank are left out: Converse refuses them, and they say nothing.

What Converse has no words for in an item that it otherwise knows does not go up: annotations, log probabilities, an
item's id and status. Reasoning goes up only as :class:`ReasoningReplay` allows. Unknown types of items are
refused; those of the history have been handed over before (:mod:`antiphon.hub.handover`).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import orjson

from antiphon.hub.call_ids import CallIds
from antiphon.hub.errors import InvalidRequest, UnsupportedParameter
from antiphon.hub.handover import known_parts
from antiphon.hub.items import Item, JsonObject
from antiphon.hub.spot import Spot
from antiphon.hub.turn import ModelCall
from antiphon.providers.bedrock.content import Blocks, is_blank
from antiphon.providers.bedrock.quirks import Quirks
from antiphon.providers.bedrock.reasoning import ReasoningReplay
from antiphon.providers.bedrock.tools import Toolbox, wire_name_of

__all__ = ["Transcript", "encode_transcript"]

_OPENING = "(The assistant begins.)"
_CLOSING = "(Go on.)"


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """
    A context as Converse has it.

    Attributes:
        system: The blocks of all instructions.
        messages: The dialogue.
        last_of_history: The place of the last of *messages* that is the user's and was there before this turn's own
            input; None if there is none.
        not_applied: The client's names of what it asked for of a part and Converse has no words for.
    """

    system: list[JsonObject]
    messages: list[JsonObject]
    last_of_history: int | None = None
    not_applied: tuple[str, ...] = ()


def encode_transcript(call: ModelCall, quirks: Quirks, toolbox: Toolbox) -> Transcript:
    """
    The instructions and the whole context.

    Raises:
        UnsupportedParameter: An item or a part of one that Converse cannot take, or nothing is said at all.
        InvalidRequest: A tool output without its call, or a call without its output.

    Note:
        O(items). Changes nothing that it is given.
    """
    writer = _Writer(call, quirks, toolbox)
    for index, item in enumerate(call.items):
        writer.feed(item, index)
    return writer.finish()


class _Message:
    """One side's words, and for calls the results that have to follow them."""

    __slots__ = ("answered", "blocks", "index", "results", "role")

    def __init__(self, role: str, index: int) -> None:
        self.role = role
        self.index = index  # of the item that it began with
        self.blocks: list[JsonObject] = []
        self.results: list[JsonObject | None] = []
        self.answered = False


class _Writer:
    """Messages in the making."""

    def __init__(self, call: ModelCall, quirks: Quirks, toolbox: Toolbox) -> None:
        self._call = call
        self._wire_names = toolbox.wire_names()
        self._blocks = Blocks()
        self._reasoning = ReasoningReplay(call, quirks)
        self._messages: list[_Message] = []
        self._call_ids = CallIds()
        self._waiting: dict[str, list[tuple[_Message, int, str]]] = {}
        instructions = call.request.instructions
        self._system: list[JsonObject] = [{"text": instructions}] if not is_blank(instructions or "") else []

    def feed(self, item: Item, index: int) -> None:
        """Take the next item."""
        write = _WRITERS.get(item.type)
        if write is None:
            raise self._spot(item, index).refuse(f"Items of type '{item.type}' cannot be sent to this upstream.")
        write(self, item, index)

    def finish(self) -> Transcript:
        """Everything, in its final order."""
        for call_id in self._waiting:
            raise InvalidRequest(f"No tool output found for function call {call_id}.", param="input")
        if not self._messages and not self._system:
            raise UnsupportedParameter("This upstream needs a message that says something.", param="input")
        messages: list[JsonObject] = []
        if self._messages and self._messages[0].role == "assistant":
            _append(messages, "user", [{"text": _OPENING}])
        last_of_history = None
        for message in self._messages:
            _append(messages, message.role, message.blocks)
            if message.role == "user" and message.index < self._call.input_start:
                last_of_history = len(messages) - 1
            results = [result for result in message.results if result is not None]
            if results:
                _append(messages, "user", results)
        if not messages or messages[-1]["role"] == "assistant":
            _append(messages, "user", [{"text": _CLOSING}])
        return Transcript(
            system=self._system,
            messages=messages,
            last_of_history=last_of_history,
            not_applied=tuple(self._blocks.not_applied),
        )

    def _spot(self, item: Item, index: int) -> Spot:
        return Spot(item, index, self._call.input_start)

    def leave_out(self, item: Item, index: int) -> None:
        """An item that adds tools is no message: its tools stand with the request's."""

    # Messages.

    def write_message(self, item: Item, index: int) -> None:
        role, content, spot = item.body["role"], item.body["content"], self._spot(item, index)
        match role:
            case "user":
                self._add_user(self._blocks.user(content, spot), index)
            case "assistant":
                self._add_assistant(self._blocks.text(known_parts(content, spot), spot), index)
            case "system" | "developer":
                self._system += self._blocks.text(content, spot)
            case _:
                raise spot.refuse(f"Messages of role '{role}' cannot be sent to this upstream.", "role")

    def _add_user(self, blocks: list[JsonObject], index: int) -> None:
        self._reasoning.take()  # it led to nothing
        if not blocks:
            return
        if not self._messages or self._messages[-1].role != "user":
            self._messages.append(_Message("user", index))
        self._messages[-1].blocks += blocks

    def _add_assistant(self, blocks: list[JsonObject], index: int) -> _Message:
        last = self._messages[-1] if self._messages else None
        if last is None or last.role != "assistant" or last.answered:
            last = _Message("assistant", index)
            if not blocks:
                return last
            self._messages.append(last)
        if blocks:
            last.blocks += self._reasoning.take()
            last.blocks += blocks
        return last

    def write_reasoning(self, item: Item, index: int) -> None:
        self._reasoning.feed(item, index)

    # Calls and their results.

    def write_function_call(self, item: Item, index: int) -> None:
        self._add_call(item, _arguments(item.body["arguments"]), index)

    def write_custom_call(self, item: Item, index: int) -> None:
        self._add_call(item, {"input": item.body["input"]}, index)

    def _add_call(self, item: Item, arguments: JsonObject | orjson.Fragment, index: int) -> None:
        body = item.body
        call_id, namespace, name = body["call_id"], body.get("namespace"), body["name"]
        wire_name = self._wire_names.get((namespace, name)) or wire_name_of(namespace, name)
        wire_id = self._call_ids.take(call_id)
        use = {"toolUseId": wire_id, "name": wire_name, "input": arguments}
        message = self._add_assistant([{"toolUse": use}], index)
        self._waiting.setdefault(call_id, []).append((message, len(message.results), wire_id))
        message.results.append(None)

    def write_output(self, item: Item, index: int) -> None:
        call_id = item.body["call_id"]
        waiting = self._waiting.get(call_id)
        if not waiting:
            raise InvalidRequest(f"No tool call found for function call output with call_id {call_id}.", param="input")
        message, place, wire_id = waiting.pop(0)
        if not waiting:
            del self._waiting[call_id]
        content = self._blocks.output(item.body["output"], self._spot(item, index))
        message.results[place] = {"toolResult": {"toolUseId": wire_id, "content": content}}
        message.answered = True


def _append(messages: list[JsonObject], role: str, blocks: list[JsonObject]) -> None:
    if messages and messages[-1]["role"] == role:
        messages[-1]["content"] += blocks
    else:
        messages.append({"role": role, "content": [*blocks]})


def _arguments(arguments: str) -> JsonObject | orjson.Fragment:
    """
    A call's arguments, which have to be an object here: as they were written, so that a cached prefix stays one.

    What is no object, which only another model can have written, becomes the one field of one.
    """
    try:
        if isinstance(orjson.loads(arguments), dict):
            return orjson.Fragment(arguments)
    except orjson.JSONDecodeError:
        pass
    return {"arguments": arguments} if arguments else {}


_WRITERS: dict[str, Callable[[_Writer, Item, int], None]] = {
    "additional_tools": _Writer.leave_out,
    "message": _Writer.write_message,
    "reasoning": _Writer.write_reasoning,
    "function_call": _Writer.write_function_call,
    "custom_tool_call": _Writer.write_custom_call,
    "function_call_output": _Writer.write_output,
    "custom_tool_call_output": _Writer.write_output,
}
