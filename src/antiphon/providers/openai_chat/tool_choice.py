"""
Which of a request's tools are offered, and whether the model has to use one.

What chat servers share is ``tools`` with ``"required"`` or nothing. So a choice is made, as far as it goes, by what is
offered: no tools for ``none``, the allowed ones alone for ``allowed_tools``, one alone for a named tool. That a model
keeps to the allowed ones is checked in its reply too: the API promises it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from antiphon.hub.errors import InvalidRequest, UnsupportedParameter
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import TurnRequest
from antiphon.providers.openai_chat.quirks import Quirks
from antiphon.providers.openai_chat.tools import Tool, Toolbox, wraps_custom_tools

__all__ = ["Offer", "allowed_names", "offer_tools"]


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """The body's fields about tools (none without tools), and what they leave out."""

    fields: JsonObject
    not_applied: tuple[str, ...] = ()


class _Choice(msgspec.Struct, frozen=True):
    tools: Sequence[Tool]
    wire: str | JsonObject | None = None


def offer_tools(toolbox: Toolbox, request: TurnRequest, quirks: Quirks) -> Offer:
    """
    Apply the request's ``tool_choice`` and ``parallel_tool_calls``.

    Raises:
        InvalidRequest: The choice names a tool that the request does not have, or demands one where there is none.
        UnsupportedParameter: The choice is of a kind that chat does not have.
    """
    choice = _choose(toolbox.tools, request.tool_choice, quirks)
    if not choice.tools:
        return Offer(fields={}, not_applied=toolbox.not_applied)
    fields: JsonObject = {"tools": [tool.body for tool in choice.tools]}
    not_applied = toolbox.not_applied
    if choice.wire is not None:
        fields["tool_choice"] = choice.wire
    if not request.parallel_tool_calls:
        if quirks.parallel_tool_calls:
            fields["parallel_tool_calls"] = False
        else:
            not_applied += ("parallel_tool_calls",)
    return Offer(fields=fields, not_applied=not_applied)


def allowed_names(toolbox: Toolbox, request: TurnRequest) -> frozenset[str] | None:
    """The upstream's names of the tools that ``allowed_tools`` lets the model call; None where the request has none."""
    choice = request.tool_choice
    if isinstance(choice, str) or choice["type"] != "allowed_tools":
        return None
    return frozenset(tool.wire_name for tool in _allowed(toolbox.tools, choice).tools)


def _choose(tools: Sequence[Tool], choice: str | JsonObject, quirks: Quirks) -> _Choice:
    kind = choice if isinstance(choice, str) else choice["type"]
    match kind:
        case "none":
            return _Choice(())
        case "auto":
            return _Choice(tools)
        case "required":
            return _required(tools)
        case "function" | "custom":
            assert isinstance(choice, dict)
            return _named(tools, choice, quirks)
        case "allowed_tools":
            assert isinstance(choice, dict)
            return _allowed(tools, choice)
        case _:
            raise UnsupportedParameter(
                f"Tool choice '{kind}' is not supported by this upstream. Use 'none', 'auto', 'required', 'function', "
                "'custom' or 'allowed_tools'.",
                param="tool_choice",
            )


def _required(tools: Sequence[Tool]) -> _Choice:
    if not tools:
        raise InvalidRequest(
            "Tool choice 'required' must be specified together with tools that this upstream supports.",
            param="tool_choice",
        )
    return _Choice(tools, "required")


def _named(tools: Sequence[Tool], choice: JsonObject, quirks: Quirks) -> _Choice:
    tool = _find(tools, choice)[0]
    if quirks.named_tool_choice == "only_tool":
        return _Choice((tool,), "required")
    kind = "function" if wraps_custom_tools(quirks) else tool.kind
    return _Choice(tools, {"type": kind, kind: {"name": tool.wire_name}})


def _allowed(tools: Sequence[Tool], choice: JsonObject) -> _Choice:
    wanted: set[str] = set()
    for index, entry in enumerate(choice["tools"]):
        if entry["type"] not in ("function", "custom", "namespace"):
            raise UnsupportedParameter(
                f"A tool of type '{entry['type']}' cannot be offered to this upstream's model.",
                param=f"tool_choice.tools[{index}]",
            )
        wanted.update(tool.wire_name for tool in _find(tools, entry))
    allowed = [tool for tool in tools if tool.wire_name in wanted]
    return _required(allowed) if choice["mode"] == "required" else _Choice(allowed)


def _find(tools: Sequence[Tool], entry: JsonObject) -> list[Tool]:
    """
    The tools that an entry of a choice names: one, or all of a namespace.

    A name alone means the tool outside all namespaces, else one in a namespace.
    """
    kind, name, namespace = entry["type"], entry["name"], entry.get("namespace")
    if kind == "namespace":
        found = [tool for tool in tools if tool.namespace == name]
    else:
        named = [tool for tool in tools if (tool.kind, tool.name) == (kind, name)]
        inside = [tool for tool in named if tool.namespace == namespace]
        found = inside or ([] if namespace is not None else named)
    if not found:
        raise InvalidRequest(f"Tool choice '{name}' not found in 'tools' parameter.", param="tool_choice")
    return found
