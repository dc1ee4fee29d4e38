"""
A history that one upstream began and another one goes on with.

What only its maker understands is no reason to refuse a turn. Messages, functions and custom tools everybody has words
for. Of everything else in the *history* a dialect says which items it can carry; the rest is handed over:

- what says something is told as a call of a function and what it gave: tools that the client runs (``shell``,
  ``local_shell``, ``apply_patch``, ``computer``), and of those that an upstream ran itself MCP calls, code, a search of
  files whose results were kept, and pictures that were made;
- what says nothing that the messages around it do not say is left out, and reported as not applied: searches of the
  web, lists and approvals of MCP tools, tool searches, programs, and items that this version does not know.

A call, not a text: what a model finds among its own words it imitates. What the client itself puts into this turn's
input is its affair, and refused by name where it cannot be said.

The table of ``docs/providers/README.md`` is made of :data:`TOLD` and :data:`LEFT_OUT`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from operator import attrgetter
from typing import Any, Final

import msgspec
import orjson

from antiphon.hub.ids import ItemId
from antiphon.hub.items import CALL_TYPES, OUTPUT_TYPES, Item, JsonObject
from antiphon.hub.spot import Spot
from antiphon.hub.turn import ModelCall

__all__ = ["COMMON_TYPES", "LEFT_OUT", "TOLD", "Handover", "hand_over", "known_parts"]

# What every dialect has words for, or leaves out where it stands (reasoning of others).
COMMON_TYPES: Final = frozenset(
    {
        "additional_tools",
        "custom_tool_call",
        "custom_tool_call_output",
        "function_call",
        "function_call_output",
        "message",
        "reasoning",
    }
)
# What is told, and the name of the function as whose call; empty where the item has a name of its own.
TOLD: Final[Mapping[str, str]] = {
    "apply_patch_call": "apply_patch",
    "code_interpreter_call": "code_interpreter",
    "computer_call": "computer",
    "custom_tool_call": "",
    "file_search_call": "file_search",
    "image_generation_call": "image_generation",
    "local_shell_call": "local_shell",
    "mcp_call": "",
    "shell_call": "shell",
}
# What is left out, besides types that this version does not know.
LEFT_OUT: Final = (
    "compaction",
    "compaction_trigger",
    "configuration_update",
    "item_reference",
    "mcp_approval_request",
    "mcp_approval_response",
    "mcp_list_tools",
    "program",
    "program_output",
    "tool_search_call",
    "tool_search_output",
    "web_search_call",
)

_TYPE_OF = attrgetter("type")
_SAID_PARTS = frozenset({"input_text", "output_text", "refusal", "text"})
# What of a call is what it was called with.
_ARGUMENTS = ("action", "actions", "operation", "input", "code", "queries", "revised_prompt")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]")
_MAX_NAME_CHARS = 64
_NOTHING_KEPT = "(What it gave was not kept.)"
_PICTURE = "(A picture, which cannot be shown here.)"


class Handover(msgspec.Struct, frozen=True):
    """
    A call that a dialect can carry.

    Attributes:
        not_applied: ``history.<type>`` for each type of item that was left out.
    """

    call: ModelCall
    not_applied: tuple[str, ...] = ()


def hand_over(
    call: ModelCall, carried: frozenset[str] = COMMON_TYPES, *, carries: Callable[[Item], bool] | None = None
) -> Handover:
    """
    *call* with a history that everybody understands.

    Args:
        carried: The types of items that the dialect has words for, whoever made them.
        carries: Whether it has words for an item of another type; None if for none.

    Returns:
        The call itself, if there is nothing to do. Otherwise one whose ``input_start`` has moved with its items, so
        that places in the input are still the client's.

    Note:
        O(items); no code is interpreted for each unless there is something to do.
    """
    if carried.issuperset(map(_TYPE_OF, call.items)):
        return Handover(call)
    return _Teller(call, carried, carries).finish()


def known_parts(content: str | list[JsonObject], spot: Spot) -> str | list[JsonObject]:
    """What the assistant said; in an older message without parts that only its maker has words for."""
    if isinstance(content, str) or not spot.is_history or all(part["type"] in _SAID_PARTS for part in content):
        return content
    return [part for part in content if part["type"] in _SAID_PARTS]


class _Teller:
    """Tells one history."""

    def __init__(self, call: ModelCall, carried: frozenset[str], carries: Callable[[Item], bool] | None) -> None:
        self._call = call
        self._carried = carried
        self._carries = carries
        self._told_calls: set[str] = set()
        self._left_out: dict[str, None] = {}

    def finish(self) -> Handover:
        """All of it."""
        start = max(self._call.input_start, 0)
        history = [told for item in self._call.items[:start] for told in self._tell(item)]
        given = [self._answer(item) for item in self._call.items[start:]]
        moved = self._call.input_start + len(history) - start
        call = msgspec.structs.replace(self._call, items=(*history, *given), input_start=moved)
        return Handover(call, tuple(self._left_out))

    def _tell(self, item: Item) -> Iterator[Item]:
        if item.type in self._carried or (self._carries is not None and self._carries(item)):
            yield item
        elif item.type in CALL_TYPES:
            self._told_calls.add(item.body["call_id"])
            yield _call_of(item, item.body["call_id"])
        elif item.type in OUTPUT_TYPES:
            yield self._answer(item)
        elif item.type in TOLD and (output := _hosted_output(item.body)) is not None:
            call_id = f"call_{sha256(item.id.encode()).hexdigest()[:24]}"
            yield _call_of(item, call_id)
            yield _output_of(item, call_id, output)
        else:
            self._left_out[f"history.{item.type}"] = None

    def _answer(self, item: Item) -> Item:
        """An output of a call that was told, as the output of a function; also one that the client gives now."""
        if item.type in self._carried or item.body.get("call_id") not in self._told_calls:
            return item
        return _output_of(item, item.body["call_id"], _text_of_output(item.body.get("output"), item.body))


def _call_of(item: Item, call_id: str) -> Item:
    name = TOLD[item.type] or str(item.body.get("name"))
    told: JsonObject = {
        "id": item.id,
        "type": "function_call",
        "status": "completed",
        "call_id": call_id,
        "name": _NOT_IN_A_NAME.sub("_", name)[:_MAX_NAME_CHARS],
        "arguments": _arguments(item.body),
    }
    return Item(item.id, "function_call", told)


def _output_of(item: Item, call_id: str, output: Any) -> Item:
    # The id of a told pair's second half: items of one context differ in their ids.
    item_id = ItemId(f"{item.id}_output") if item.type not in OUTPUT_TYPES else item.id
    told = {"id": item_id, "type": "function_call_output", "call_id": call_id, "output": output}
    return Item(item_id, "function_call_output", told)


def _arguments(body: JsonObject) -> str:
    if isinstance(body.get("arguments"), str):
        return str(body["arguments"])
    return orjson.dumps({name: body[name] for name in _ARGUMENTS if body.get(name) is not None}).decode()


def _text_of_output(output: Any, body: JsonObject) -> Any:
    """What a tool of the client's gave: content as it is, a picture in words, everything else as JSON."""
    if isinstance(output, str):
        return output
    if output is None:
        return str(body.get("status", "completed"))
    if body["type"] == "computer_call_output":
        return _PICTURE
    if body["type"] == "custom_tool_call_output":
        return output
    return orjson.dumps(output).decode()


def _hosted_output(body: JsonObject) -> str | None:
    """
    What a tool that an upstream ran gave, in words; None if the item says nothing of it that is worth a word.

    The item is the upstream's own: any field may be missing, or be something else.
    """
    match body["type"]:
        case "mcp_call":
            failure = body.get("error")
            return f"Error: {_shown(failure)}" if failure else _shown(body.get("output") or _NOTHING_KEPT)
        case "code_interpreter_call":
            outputs = body.get("outputs")
            return "\n".join(map(_code_output, outputs if isinstance(outputs, list) else ())) or _NOTHING_KEPT
        case "file_search_call":
            return orjson.dumps(results).decode() if (results := body.get("results")) else None
        case "image_generation_call":
            return _PICTURE
        case _:
            return None


def _code_output(output: Any) -> str:
    is_picture = isinstance(output, dict) and output.get("type") == "image"
    return _PICTURE if is_picture else _shown(output.get("logs", output) if isinstance(output, dict) else output)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
