"""
Items as Gemini's contents.

What Gemini needs and a list of items does not have: two roles only, user and model; all calls of one step in one
content of the model, and all of their outputs, in the order of the calls, in one content of the user directly behind
it. So a user's message that stands between a call and its output moves behind the output; nothing else changes its
place. Neighbours of one role become one content, but the outputs of a step stay alone in theirs.

Instructions, and the messages of system and developer wherever they stand, are the system instruction, a part for each
of their texts. Reasoning goes back only as parts that this account has signed. What Gemini has no words for in an item
that it otherwise knows does not go up: annotations, log probabilities, a message's ``phase``, the name of a file that
is sent as data, an item's id and status. Item types that it does not know are refused; those of the history have been
handed over before (:mod:`antiphon.hub.handover`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from antiphon.hub.errors import InvalidRequest, UnsupportedParameter
from antiphon.hub.handover import known_parts
from antiphon.hub.items import Item, JsonObject
from antiphon.hub.spot import Spot
from antiphon.hub.turn import ModelCall
from antiphon.providers.gemini.arguments import arguments_object, input_object
from antiphon.providers.gemini.content import PartWriter, said_texts
from antiphon.providers.gemini.quirks import Quirks, is_of_old_generation
from antiphon.providers.gemini.signatures import SKIP_VALIDATION, call_signature, sealed_parts, signed_text_parts
from antiphon.providers.gemini.tools import Toolbox, legal_name

__all__ = ["Dialogue", "encode_dialogue"]


class Dialogue(msgspec.Struct, frozen=True, kw_only=True):
    """
    The fields of a body that hold what was said.

    Attributes:
        fields: ``contents``, and ``systemInstruction`` where there is one.
        not_applied: The client's names of what has no words and changes nothing that is asked.
    """

    fields: JsonObject
    not_applied: tuple[str, ...]


def encode_dialogue(call: ModelCall, quirks: Quirks, toolbox: Toolbox) -> Dialogue:
    """
    The whole context of *call*.

    Raises:
        UnsupportedParameter: An item or a part of one that Gemini, or this upstream, cannot take; names it. Or nothing
            is left that could be answered.
        InvalidRequest: A tool output without its call, or a call without its output.

    Note:
        O(items). Changes nothing that it is given.
    """
    transcript = _Transcript(call, quirks, toolbox)
    for index, item in enumerate(call.items):
        transcript.feed(item, index)
    return transcript.finish()


class _Turn:
    """What one role says: a content, and, if calls were made in it, the outputs that have to follow it."""

    __slots__ = ("answered", "calls", "outputs", "parts", "role")

    def __init__(self, role: str) -> None:
        self.role = role
        self.parts: list[JsonObject] = []
        self.calls: list[JsonObject] = []
        self.outputs: list[JsonObject | None] = []
        self.answered = False

    def contents(self) -> list[JsonObject]:
        """The contents on the wire; none where nothing was said."""
        said = [{"role": self.role, "parts": self.parts}] if self.parts else []
        outputs = [output for output in self.outputs if output is not None]
        return [*said, {"role": "user", "parts": outputs}] if outputs else said


class _Transcript:
    """Contents in the making."""

    def __init__(self, call: ModelCall, quirks: Quirks, toolbox: Toolbox) -> None:
        self._call = call
        self._quirks = quirks
        self._wire_names = toolbox.wire_names()
        self._writer = PartWriter(quirks)
        instructions = call.request.instructions
        self._system: list[JsonObject] = [{"text": instructions}] if instructions else []
        self._turns: list[_Turn] = []
        self._waiting: dict[str, list[tuple[_Turn, int, str]]] = {}

    def feed(self, item: Item, index: int) -> None:
        """Take the next item."""
        spot = Spot(item, index, self._call.input_start)
        write = _WRITERS.get(item.type)
        if write is None:
            raise spot.refuse(f"Items of type '{item.type}' cannot be sent to this upstream.")
        write(self, item, spot)

    def finish(self) -> Dialogue:
        """Everything in its final order."""
        for call_id in self._waiting:
            raise InvalidRequest(f"No tool output found for function call {call_id}.", param="input")
        if self._stands_in_for_signatures():
            self._sign_current_turn()
        contents = [content for turn in self._turns for content in turn.contents()]
        if not contents:
            raise UnsupportedParameter(
                "This upstream answers messages only, and there is none that says something. Add one of the user.",
                param="input",
            )
        system: JsonObject = {"systemInstruction": {"parts": self._system}} if self._system else {}
        return Dialogue(fields={**system, "contents": contents}, not_applied=self._writer.not_applied)

    def leave_out(self, item: Item, spot: Spot) -> None:
        """An item that adds tools is no content: its tools stand with the request's."""

    # Messages.

    def write_message(self, item: Item, spot: Spot) -> None:
        role, content = item.body["role"], item.body["content"]
        if role == "assistant":
            self._say("model", self._assistant_parts(item, said_texts(known_parts(content, spot), spot)))
        elif role == "user":
            self._say("user", self._writer.message(content, spot))
        elif role in ("system", "developer"):
            self._system += [{"text": text} for text in said_texts(content, spot) if text]
        else:
            raise spot.at("role").refuse(f"Messages of role '{role}' cannot be sent to this upstream.")

    def _assistant_parts(self, item: Item, texts: list[str]) -> list[JsonObject]:
        if item.private is not None and len(texts) == 1:
            return signed_text_parts(item, texts[0], self._call.account)
        return [{"text": text} for text in texts if text]

    def write_reasoning(self, item: Item, spot: Spot) -> None:
        self._say("model", sealed_parts(item, self._call.account))

    # Calls and their outputs.

    def write_function_call(self, item: Item, spot: Spot) -> None:
        self._add_call(item, arguments_object(item.body["arguments"]))

    def write_custom_call(self, item: Item, spot: Spot) -> None:
        self._add_call(item, input_object(item.body["input"]))

    def _add_call(self, item: Item, arguments: Any) -> None:
        call_id, name = item.body["call_id"], self._wire_name(item.body)
        turn = self._turn("model")
        self._waiting.setdefault(call_id, []).append((turn, len(turn.outputs), name))
        turn.outputs.append(None)
        part: JsonObject = {"functionCall": {**self._id(call_id), "name": name, "args": arguments}}
        signature = call_signature(item, self._call.account)
        if signature is not None:
            part["thoughtSignature"] = signature
        turn.parts.append(part)
        turn.calls.append(part)

    def write_output(self, item: Item, spot: Spot) -> None:
        call_id = item.body["call_id"]
        waiting = self._waiting.get(call_id)
        if not waiting:
            raise InvalidRequest(f"No tool call found for function call output with call_id {call_id}.", param="input")
        turn, position, name = waiting.pop(0)
        if not waiting:
            del self._waiting[call_id]
        said = self._writer.response(item.body["output"], spot)
        turn.outputs[position] = {"functionResponse": {**self._id(call_id), "name": name, **said}}
        turn.answered = True

    def _wire_name(self, body: JsonObject) -> str:
        """The name under which a tool is offered, or would be, if it is not any more."""
        namespace, name = body.get("namespace"), body["name"]
        return self._wire_names.get((namespace, name)) or legal_name(namespace, name)

    def _id(self, call_id: str) -> JsonObject:
        return {"id": call_id} if self._quirks.call_ids else {}

    # Turns.

    def _say(self, role: str, parts: list[JsonObject]) -> None:
        if parts:
            self._turn(role).parts += parts

    def _turn(self, role: str) -> _Turn:
        """The last turn, if it is of this role and no call in it is answered yet; else a new one."""
        last = self._turns[-1] if self._turns else None
        if last is None or last.role != role or last.answered:
            last = _Turn(role)
            self._turns.append(last)
        return last

    # Calls that others made.

    def _stands_in_for_signatures(self) -> bool:
        quirk = self._quirks.missing_signatures
        return quirk == "skip" or (quirk == "by_model" and not is_of_old_generation(self._call.model))

    def _sign_current_turn(self) -> None:
        """Only the first call of each step since the user last spoke is checked for its signature."""
        for turn in reversed(self._turns):
            if turn.role == "user" and turn.parts:
                return
            if turn.calls:
                turn.calls[0].setdefault("thoughtSignature", SKIP_VALIDATION)


_WRITERS: dict[str, Callable[[_Transcript, Item, Spot], None]] = {
    "additional_tools": _Transcript.leave_out,
    "message": _Transcript.write_message,
    "reasoning": _Transcript.write_reasoning,
    "function_call": _Transcript.write_function_call,
    "custom_tool_call": _Transcript.write_custom_call,
    "function_call_output": _Transcript.write_output,
    "custom_tool_call_output": _Transcript.write_output,
}
