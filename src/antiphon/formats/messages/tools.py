"""
Tools and the choice among them.

A tool of the client's own is a function. Every other type is one that Anthropic runs or has trained its models on, and
is refused by its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from antiphon.formats.checks.schema import Anything, Arr, Bool, ByType, Enum, Field, Obj, Schema, Str, Tagged
from antiphon.formats.messages.blocks import CACHE_CONTROL, need, open_object
from antiphon.formats.messages.refusal import Only, Refused, TaggedOrRefused
from antiphon.hub.errors import InvalidRequest
from antiphon.hub.items import JsonObject

__all__ = ["TOOLS", "TOOL_CHOICE", "Choice", "ToolList", "read_choice", "read_tools"]

_LATER = Only(Bool(), value=False, remedy="Send the tools that the model may use, without 'defer_loading'.")
_TOOL = open_object(
    {
        "type": Field(schema=Enum(("custom",))),
        "name": need(Str(min_length=1, max_length=128, pattern="^[a-zA-Z0-9_-]+$")),
        "description": Field(schema=Str(), default=None),
        "input_schema": need(ByType(cases={dict: Anything()}, expected="an object")),
        "strict": Field(schema=Bool(), default=None),
        "eager_input_streaming": Field(schema=Bool(), default=False),
        "cache_control": CACHE_CONTROL,
        "allowed_callers": Field(schema=Only(Arr(item=Str()), value=["direct"])),
        "defer_loading": Field(schema=_LATER),
        "input_examples": Field(schema=Refused("Describe the input in 'description', or in 'input_schema'.")),
    }
)

TOOLS: Schema = Arr(
    item=TaggedOrRefused(variants={"custom": _TOOL}, noun="tools", default="custom"), expected="an array of tools"
)


def _choice(tag: str, **fields: Field) -> Obj:
    return Obj(fields={"type": need(Enum((tag,))), **fields})


_PARALLEL = Field(schema=Bool(), default=False)
TOOL_CHOICE: Schema = Tagged(
    variants={
        "auto": _choice("auto", disable_parallel_tool_use=_PARALLEL),
        "any": _choice("any", disable_parallel_tool_use=_PARALLEL),
        "tool": _choice("tool", name=need(Str(min_length=1)), disable_parallel_tool_use=_PARALLEL),
        "none": _choice("none"),
    }
)

_SAME = {"auto": "auto", "any": "required", "none": "none"}


class ToolList(msgspec.Struct, frozen=True, kw_only=True):
    """
    The tools of a request.

    Attributes:
        tools: Functions in their full form.
        eager: The names of those whose input the client wants as it is written, whole or not.
        marks: Whether one of them marks the end of what is to be cached.
    """

    tools: tuple[JsonObject, ...]
    eager: frozenset[str]
    marks: bool


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says about calling tools, in the hub's words."""

    tool_choice: str | JsonObject = "auto"
    parallel: bool = True


def read_tools(tools: Sequence[JsonObject]) -> ToolList:
    """
    Checked tools as functions.

    Raises:
        InvalidRequest: Two of them have the same name.
    """
    seen: set[str] = set()
    for index, tool in enumerate(tools):
        if tool["name"] in seen:
            raise InvalidRequest(
                f"Invalid 'tools[{index}].name': another tool is already named '{tool['name']}'. "
                "Give every tool a name of its own.",
                param=f"tools[{index}].name",
            )
        seen.add(tool["name"])
    return ToolList(
        tools=tuple(_function(tool) for tool in tools),
        eager=frozenset(tool["name"] for tool in tools if tool["eager_input_streaming"]),
        marks=any("cache_control" in tool for tool in tools),
    )


def read_choice(choice: Mapping[str, Any] | None, tools: Sequence[JsonObject]) -> Choice:
    """
    A checked ``tool_choice``.

    Raises:
        InvalidRequest: It demands a tool that the request does not have.
    """
    if choice is None:
        return Choice()
    parallel = not choice.get("disable_parallel_tool_use", False)
    kind = choice["type"]
    if kind == "any" and not tools:
        raise InvalidRequest("Invalid 'tool_choice': 'any' needs 'tools'.", param="tool_choice")
    if kind != "tool":
        return Choice(tool_choice=_SAME[kind], parallel=parallel)
    name = choice["name"]
    if all(tool["name"] != name for tool in tools):
        raise InvalidRequest(f"Invalid 'tool_choice.name': there is no tool '{name}' in 'tools'.", param="tool_choice")
    return Choice(tool_choice={"type": "function", "name": name}, parallel=parallel)


_OWN = frozenset(_TOOL.schema.fields) | {"type"}


def _function(tool: Mapping[str, Any]) -> JsonObject:
    return {
        "type": "function",
        "description": tool["description"],
        "name": tool["name"],
        "output_schema": None,
        "parameters": tool["input_schema"],
        "strict": tool["strict"],
        **{name: value for name, value in tool.items() if name not in _OWN},
    }
