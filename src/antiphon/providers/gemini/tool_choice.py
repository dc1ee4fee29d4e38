"""Which tools are offered, and whether one has to be called: ``tools`` and ``toolConfig``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from antiphon.hub.errors import InvalidRequest, UnsupportedParameter
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import TurnRequest
from antiphon.providers.gemini.quirks import Quirks
from antiphon.providers.gemini.tools import Tool, Toolbox

__all__ = ["Offer", "allowed_names", "offer_tools"]

_Mode = Literal["AUTO", "ANY", "NONE", "VALIDATED"]


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """``tools`` and ``toolConfig`` of a body, and what they leave out."""

    fields: JsonObject
    not_applied: tuple[str, ...] = ()


class _Choice(msgspec.Struct, frozen=True):
    tools: Sequence[Tool]
    mode: _Mode = "AUTO"
    only: Sequence[Tool] = ()


def offer_tools(toolbox: Toolbox, request: TurnRequest, quirks: Quirks) -> Offer:
    """
    Apply the request's ``tool_choice`` and ``parallel_tool_calls``.

    Raises:
        InvalidRequest: The choice names a tool that the request does not have, or demands one where there is none.
        UnsupportedParameter: The choice is of a kind that Gemini does not have.
    """
    choice = _choose(toolbox, request.tool_choice)
    not_applied = toolbox.not_applied
    if choice.tools and not request.parallel_tool_calls:
        not_applied += ("parallel_tool_calls",)
    if any(tool.strict for tool in choice.tools):
        if quirks.validated_calls:
            choice = msgspec.structs.replace(choice, mode="VALIDATED") if choice.mode == "AUTO" else choice
        else:
            not_applied += ("tools.strict",)
    declarations = [tool.declaration for tool in choice.tools]
    tools = [{"functionDeclarations": declarations}] if declarations else []
    hosted = [] if request.tool_choice == "none" else toolbox.hosted
    fields: JsonObject = {"tools": [*tools, *hosted]} if tools or hosted else {}
    return Offer(fields={**fields, **_config(choice)}, not_applied=not_applied)


def allowed_names(toolbox: Toolbox, request: TurnRequest) -> frozenset[str] | None:
    """The upstream's names of the tools that ``allowed_tools`` lets the model call; None where the request has none."""
    choice = request.tool_choice
    if isinstance(choice, str) or choice["type"] != "allowed_tools":
        return None
    return frozenset(tool.wire_name for tool in _allowed(toolbox.tools, choice))


def _config(choice: _Choice) -> JsonObject:
    if not choice.tools or choice.mode == "AUTO":
        return {}
    calling: JsonObject = {"mode": choice.mode}
    if choice.only:
        calling["allowedFunctionNames"] = [tool.wire_name for tool in choice.only]
    return {"toolConfig": {"functionCallingConfig": calling}}


def _choose(toolbox: Toolbox, choice: str | JsonObject) -> _Choice:
    tools = toolbox.tools
    kind = choice if isinstance(choice, str) else choice["type"]
    match kind:
        case "none":
            return _Choice(tools, "NONE")
        case "auto":
            return _Choice(tools)
        case "required":
            return _required(tools, tools)
        case "function" | "custom":
            assert isinstance(choice, dict)
            return _required(tools, _find(tools, choice)[:1])
        case "allowed_tools":
            assert isinstance(choice, dict)
            allowed = _allowed(tools, choice)
            # Names can only be listed where one of them has to be called.
            return _required(tools, allowed) if choice["mode"] == "required" else _Choice(allowed)
        case _:
            raise UnsupportedParameter(
                f"Tool choice '{kind}' is not supported by this upstream. Use 'none', 'auto', 'required', 'function', "
                "'custom' or 'allowed_tools'.",
                param="tool_choice",
            )


def _required(tools: Sequence[Tool], only: Sequence[Tool]) -> _Choice:
    if not only:
        raise InvalidRequest(
            "Tool choice 'required' must be specified together with tools that this upstream supports.",
            param="tool_choice",
        )
    return _Choice(tools, "ANY", () if len(only) == len(tools) else only)


def _allowed(tools: Sequence[Tool], choice: JsonObject) -> list[Tool]:
    wanted: set[str] = set()
    for index, entry in enumerate(choice["tools"]):
        if entry["type"] not in ("function", "custom", "namespace"):
            raise UnsupportedParameter(
                f"A tool of type '{entry['type']}' cannot be offered to this upstream's model.",
                param=f"tool_choice.tools[{index}]",
            )
        wanted.update(tool.wire_name for tool in _find(tools, entry))
    return [tool for tool in tools if tool.wire_name in wanted]


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
