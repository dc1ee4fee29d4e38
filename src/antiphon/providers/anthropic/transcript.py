"""
Items as messages of the Messages API.

What the API needs and a list of items does not have: turns of user and assistant that alternate; all calls of one step
in one assistant message, in the order in which they were made, together with the thinking and the text around them; all
results of that step at the beginning of the user message directly behind it. So a user message that stands between a
call and its output moves behind the outputs; nothing else of the dialogue changes its place.

Messages of the system and the developer go into the system prompt, behind the instructions, wherever they stood. The
newest models take them between other messages, where they stand behind the user's turn in which they fall, or the next:
the API wants a user before and an assistant behind them. Empty texts are refused by the API
and go nowhere. A dialogue that does not begin, or does not end, with the user gets a placeholder there: the API demands
a user's message at the beginning, and takes an assistant's at the end for the beginning of its own answer.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import orjson

from antiphon.hub.call_ids import CallIds
from antiphon.hub.errors import InvalidRequest
from antiphon.hub.handover import known_parts
from antiphon.hub.items import Item, JsonObject
from antiphon.hub.spot import Spot
from antiphon.hub.turn import ModelCall
from antiphon.providers.anthropic.content import BlockWriter, says_something, text_block
from antiphon.providers.anthropic.quirks import Quirks
from antiphon.providers.anthropic.thinking import THINKING_BLOCKS, ThinkingReplay
from antiphon.providers.anthropic.tools import Toolbox

__all__ = ["Transcript", "encode_transcript"]

_OPENING = "(The assistant speaks first.)"
_CLOSING = "(Go on.)"


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """
    The context of a call.

    Attributes:
        system: Blocks of the system prompt.
        messages: In order, each with a list of blocks.
        history_end: The last block of the history among them, which is what the next turn has in common with this one;
            None where there is none that could be marked.
        called: The upstream's names of the tools that were called in it.
        not_applied: What parts of it asked for and the API has no words for.
    """

    system: list[JsonObject]
    messages: list[JsonObject]
    history_end: JsonObject | None
    called: tuple[str, ...]
    not_applied: tuple[str, ...]


def encode_transcript(call: ModelCall, quirks: Quirks, toolbox: Toolbox) -> Transcript:
    """
    The context of *call* as system prompt and messages.

    Raises:
        UnsupportedParameter: An item or a part of one that the API, or this upstream, cannot take; names it.
        InvalidRequest: A tool output without its call, or a call without its output.

    Note:
        O(items). Changes nothing that it is given.
    """
    writer = _Writer(call, quirks, toolbox)
    for index, item in enumerate(call.items):
        writer.feed(item, index)
    return writer.finish()


class _Turn:
    """
    A message in the making.

    A user's turn that answers calls has their results first, each in the place of its call; `answered` is whether any
    of them is there.
    """

    __slots__ = ("answered", "blocks", "results", "role", "system")

    def __init__(self, role: str) -> None:
        self.role = role
        self.blocks: list[JsonObject] = []
        self.results: list[JsonObject | None] = []
        self.system: list[JsonObject] = []  # what the system says behind it
        self.answered = False

    @property
    def waits(self) -> bool:
        """Whether it is nothing yet but the place of results."""
        return bool(self.results) and not self.answered and not self.blocks

    def close(self) -> None:
        """Nothing more comes. Thinking that led to nothing is left out: the API refuses it at the end of a message."""
        while self.blocks and self.blocks[-1]["type"] in THINKING_BLOCKS:
            self.blocks.pop()
        if self.system and not (self.results or self.blocks):
            self.blocks.append(text_block(_CLOSING))

    def message(self) -> JsonObject:
        return {"role": self.role, "content": [*filter(None, self.results), *self.blocks]}


class _Writer:
    def __init__(self, call: ModelCall, quirks: Quirks, toolbox: Toolbox) -> None:
        self._call = call
        self._toolbox = toolbox
        self._content = BlockWriter(quirks)
        self._thinking = ThinkingReplay(call, quirks)
        self._late_system = quirks.family(call.model).late_system
        self._system: list[JsonObject] = []
        self._turns: list[_Turn] = []
        # Where the result of each call goes, and under which id.
        self._waiting: dict[str, list[tuple[_Turn, int, str]]] = {}
        self._call_ids = CallIds()
        self._called: dict[str, None] = {}
        if call.request.instructions is not None and says_something(call.request.instructions):
            self._system.append(text_block(call.request.instructions))
        self._history: list[JsonObject] = []

    def feed(self, item: Item, index: int) -> None:
        """Take the next item."""
        write = _WRITERS.get(item.type)
        if write is None:
            raise self._spot(item, index).refuse(f"Items of type '{item.type}' cannot be sent to this upstream.")
        write(self, item, index)

    def finish(self) -> Transcript:
        """The whole context."""
        for call_id in self._waiting:
            raise InvalidRequest(f"No tool output found for function call {call_id}.", param="input")
        for turn in self._turns:
            turn.close()
        turns = [turn for turn in self._turns if turn.blocks or turn.results]
        if not turns or turns[0].role == "assistant":
            turns.insert(0, _placeholder(_OPENING if turns else _CLOSING))
        if turns[-1].role == "assistant":
            turns.append(_placeholder(_CLOSING))
        return Transcript(
            system=self._system,
            messages=_alternating(turns),
            history_end=self._history_end(turns),
            called=tuple(self._called),
            not_applied=("input_image.detail",) if self._content.leaves_out_detail else (),
        )

    def _history_end(self, turns: list[_Turn]) -> JsonObject | None:
        """Of the history's blocks the one that comes last, which after the moving is not always the newest."""
        known = {id(block) for block in self._history}
        for turn in reversed(turns if known else ()):
            for block in (*reversed(turn.blocks), *reversed(turn.results)):
                if id(block) in known:
                    return block
        return None

    def _spot(self, item: Item, index: int) -> Spot:
        return Spot(item, index, self._call.input_start)

    def _add(self, turn: _Turn, blocks: list[JsonObject], index: int) -> None:
        turn.blocks += blocks
        if index < self._call.input_start:
            self._history += blocks

    def leave_out(self, item: Item, index: int) -> None:
        """An item that adds tools is no message: its tools stand with the request's."""

    # Messages.

    def write_message(self, item: Item, index: int) -> None:
        role, content, spot = item.body["role"], item.body["content"], self._spot(item, index)
        if role == "user":
            self._add(self._user(), self._content.blocks(content, spot), index)
        elif role == "assistant":
            blocks = self._content.texts(known_parts(content, spot), spot)
            if blocks:
                self._add(self._assistant(), blocks, index)
        elif role in ("system", "developer"):
            self._add_system(self._content.texts(content, spot))
        else:
            raise spot.refuse(f"Messages of role '{role}' cannot be sent to this upstream.", "role")

    def _add_system(self, blocks: list[JsonObject]) -> None:
        if self._turns and self._late_system and blocks:
            self._user().system += blocks
        else:
            self._system += blocks

    def write_reasoning(self, item: Item, index: int) -> None:
        blocks = self._thinking.blocks(item, index)
        if blocks:
            self._assistant().blocks += blocks

    # Calls and their outputs.

    def write_function_call(self, item: Item, index: int) -> None:
        self._add_call(item, index, _arguments(item.body["arguments"]))

    def write_custom_call(self, item: Item, index: int) -> None:
        self._add_call(item, index, {"input": item.body["input"]})

    def _add_call(self, item: Item, index: int, arguments: JsonObject | orjson.Fragment) -> None:
        body = item.body
        name = self._toolbox.wire_name(body.get("namespace"), body["name"])
        wire_id = self._call_ids.take(body["call_id"])
        self._called[name] = None
        turn = self._assistant()
        if self._turns[-1] is turn:
            self._turns.append(_Turn("user"))
        reply = self._turns[-1]
        self._waiting.setdefault(body["call_id"], []).append((reply, len(reply.results), wire_id))
        reply.results.append(None)
        self._add(turn, [{"type": "tool_use", "id": wire_id, "name": name, "input": arguments}], index)

    def write_output(self, item: Item, index: int) -> None:
        call_id, output = item.body["call_id"], item.body["output"]
        waiting = self._waiting.get(call_id)
        if not waiting:
            raise InvalidRequest(f"No tool call found for function call output with call_id {call_id}.", param="input")
        turn, position, wire_id = waiting.pop(0)
        if not waiting:
            del self._waiting[call_id]
        blocks = self._content.blocks(output, self._spot(item, index), "output")
        result: JsonObject = {"type": "tool_result", "tool_use_id": wire_id}
        if blocks:
            result["content"] = output if isinstance(output, str) else blocks
        if item.body.get("status") == "incomplete":
            result["is_error"] = True
        turn.results[position] = result
        turn.answered = True
        if index < self._call.input_start:
            self._history.append(result)

    # Turns.

    def _user(self) -> _Turn:
        if not self._turns or self._turns[-1].role != "user":
            self._turns.append(_Turn("user"))
        return self._turns[-1]

    def _assistant(self) -> _Turn:
        """The assistant's turn that is going on: the last one, also if its calls wait for their results."""
        if self._turns and self._turns[-1].waits:
            return self._turns[-2]
        if not self._turns or self._turns[-1].role != "assistant":
            self._turns.append(_Turn("assistant"))
        return self._turns[-1]


def _placeholder(text: str) -> _Turn:
    turn = _Turn("user")
    turn.blocks.append(text_block(text))
    return turn


def _alternating(turns: list[_Turn]) -> list[JsonObject]:
    """The messages; where nothing was left of a turn, its neighbours are one."""
    messages: list[JsonObject] = []
    for turn in turns:
        message = turn.message()
        if messages and messages[-1]["role"] == turn.role:
            messages[-1]["content"] += message["content"]
        else:
            messages.append(message)
        if turn.system:
            messages.append({"role": "system", "content": turn.system})
    return messages


def _arguments(text: str) -> JsonObject | orjson.Fragment:
    """
    The arguments of a call as the object that the API wants, byte for byte as they were.

    What is no object goes up as the only member of one: it was said, and the result behind it refers to it.
    """
    try:
        is_object = isinstance(orjson.loads(text or "{}"), dict)
    except orjson.JSONDecodeError:
        is_object = False
    return orjson.Fragment(text or "{}") if is_object else {"arguments": text}


_WRITERS: dict[str, Callable[[_Writer, Item, int], None]] = {
    "additional_tools": _Writer.leave_out,
    "message": _Writer.write_message,
    "reasoning": _Writer.write_reasoning,
    "function_call": _Writer.write_function_call,
    "custom_tool_call": _Writer.write_custom_call,
    "function_call_output": _Writer.write_output,
    "custom_tool_call_output": _Writer.write_output,
}
