"""
Which of a request's tools are offered, and whether the model has to use one.

``allowed_tools`` is made by what is offered; that a model keeps to it is checked in its reply too. A model that thinks
by a budget cannot be made to call a tool, and the newest ones never can: that is refused before it is asked.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from antiphon.hub.errors import InvalidRequest, UnsupportedParameter
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import TurnRequest
from antiphon.providers.anthropic.families import Family
from antiphon.providers.anthropic.tools import Tool, Toolbox

__all__ = ["Offer", "allowed_names", "offer_tools"]


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is offered.

    Attributes:
        tools: Entries of the body's ``tools``.
        choice: The body's ``tool_choice``; None leaves it to the model.
    """

    tools: tuple[JsonObject, ...]
    choice: JsonObject | None = None

    @property
    def is_forced(self) -> bool:
        """Whether the model has to call a tool."""
        return self.choice is not None and self.choice["type"] in ("any", "tool")

    @property
    def fields(self) -> JsonObject:
        """The body's fields about tools; none without tools."""
        if not self.tools:
            return {}
        return {"tools": list(self.tools), **({} if self.choice is None else {"tool_choice": self.choice})}


def offer_tools(toolbox: Toolbox, request: TurnRequest, family: Family) -> Offer:
    """
    Apply the request's ``tool_choice`` and ``parallel_tool_calls``.

    Raises:
        InvalidRequest: The choice names a tool that the request does not have, or demands one where there is none.
        UnsupportedParameter: The choice is of a kind that the dialect or the model does not have.
    """
    tools, choice = _choose(toolbox.tools, request.tool_choice)
    if tools and not request.parallel_tool_calls and (choice is None or choice["type"] != "none"):
        choice = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
    offer = Offer(tools=tuple(tool.body for tool in tools), choice=choice)
    if offer.is_forced:
        _check_can_be_forced(request, family)
    return offer


def allowed_names(toolbox: Toolbox, request: TurnRequest) -> frozenset[str] | None:
    """The upstream's names of the tools that ``allowed_tools`` lets the model call; None where the request has none."""
    choice = request.tool_choice
    if isinstance(choice, str) or choice["type"] != "allowed_tools":
        return None
    return frozenset(tool.wire_name for tool in _allowed(toolbox.tools, choice))


_Choice = tuple[Sequence[Tool], JsonObject | None]


def _choose(tools: Sequence[Tool], choice: str | JsonObject) -> _Choice:
    kind = choice if isinstance(choice, str) else choice["type"]
    match kind:
        case "auto":
            return tools, None
        case "none":
            return tools, {"type": "none"}
        case "required":
            return _required(tools)
        case "function" | "custom":
            assert isinstance(choice, dict)
            return tools, {"type": "tool", "name": _find(tools, choice)[0].wire_name}
        case "allowed_tools":
            assert isinstance(choice, dict)
            allowed = _allowed(tools, choice)
            return _required(allowed) if choice["mode"] == "required" else (allowed, None)
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
    return tools, {"type": "any"}


def _check_can_be_forced(request: TurnRequest, family: Family) -> None:
    if not family.forced_tools:
        reason = "This upstream's model cannot be made to call a tool. Use tool choice 'auto' or 'none'."
        raise UnsupportedParameter(reason, param="tool_choice")
    if request.reasoning.get("effort") not in (None, "none"):
        reason = "This upstream's model cannot be made to call a tool while it reasons: set its effort to 'none'."
        raise UnsupportedParameter(reason, param="tool_choice")


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
        found = [tool for tool in tools if tool.origin.namespace == name]
    else:
        named = [tool for tool in tools if (tool.origin.kind, tool.origin.name) == (kind, name)]
        inside = [tool for tool in named if tool.origin.namespace == namespace]
        found = inside or ([] if namespace is not None else named)
    if not found:
        raise InvalidRequest(f"Tool choice '{name}' not found in 'tools' parameter.", param="tool_choice")
    return found
