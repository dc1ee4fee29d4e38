"""
Which of a request's tools are offered, and whether the model has to use one.

Converse has ``auto``, ``any`` and one named tool. It has no ``none``: tools are forbidden by not being offered. But a
context with calls in it is refused without tools, so there the tools stay, and the reply is checked instead. A call
that ``tool_choice`` does not allow never reaches the client.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from antiphon.hub.errors import InvalidRequest, UnsupportedParameter
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import ModelCall
from antiphon.providers.bedrock.tools import Tool, Toolbox, wire_name_of

__all__ = ["Offer", "offer_tools"]


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is offered.

    Attributes:
        config: The body's ``toolConfig``; None for none.
        allowed: The upstream's names of the only tools that may be called; None for any.
        not_applied: The client's names of what it asked for and Converse has no words for.
    """

    config: JsonObject | None = None
    allowed: frozenset[str] | None = None
    not_applied: tuple[str, ...] = ()


class _Choice(msgspec.Struct, frozen=True, kw_only=True):
    tools: Sequence[Tool]
    wire: JsonObject | None = None
    limits: bool = False


def offer_tools(toolbox: Toolbox, call: ModelCall) -> Offer:
    """
    Apply the request's ``tool_choice`` and ``parallel_tool_calls``.

    Raises:
        InvalidRequest: The choice names a tool that the request does not have, or demands one where there is none.
        UnsupportedParameter: The choice is of a kind that Converse does not have.
    """
    choice = _choose(toolbox.tools, call.request.tool_choice)
    if not choice.tools:
        return _offer_nothing(toolbox, call)
    config: JsonObject = {"tools": [tool.entry for tool in choice.tools]}
    if choice.wire is not None:
        config["toolChoice"] = choice.wire
    return Offer(
        config=config,
        allowed=frozenset(tool.wire_name for tool in choice.tools) if choice.limits else None,
        not_applied=(*toolbox.not_applied, *(() if call.request.parallel_tool_calls else ("parallel_tool_calls",))),
    )


def _offer_nothing(toolbox: Toolbox, call: ModelCall) -> Offer:
    """No tool may be called; but calls in the context need the tools that they are of."""
    called = dict.fromkeys(_called(call))
    if not called:
        return Offer(allowed=frozenset() if toolbox.tools else None, not_applied=toolbox.not_applied)
    entries = [tool.entry for tool in toolbox.tools] or [
        {"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object"}}}} for name in called
    ]
    return Offer(config={"tools": entries}, allowed=frozenset(), not_applied=toolbox.not_applied)


def _called(call: ModelCall) -> Iterator[str]:
    for item in call.items:
        if item.type in ("function_call", "custom_tool_call"):
            yield wire_name_of(item.body.get("namespace"), item.body["name"])


def _choose(tools: Sequence[Tool], choice: str | JsonObject) -> _Choice:
    kind = choice if isinstance(choice, str) else choice["type"]
    match kind:
        case "none":
            return _Choice(tools=())
        case "auto":
            return _Choice(tools=tools)
        case "required":
            return _required(tools)
        case "function" | "custom":
            assert isinstance(choice, dict)
            return _Choice(tools=tools, wire={"tool": {"name": _find(tools, choice)[0].wire_name}})
        case "allowed_tools":
            assert isinstance(choice, dict)
            return _allowed(tools, choice)
        case _:
            raise UnsupportedParameter(
                f"Tool choice '{kind}' is not supported by this upstream. Use 'none', 'auto', 'required', 'function', "
                "'custom' or 'allowed_tools'.",
                param="tool_choice",
            )


def _required(tools: Sequence[Tool], *, limits: bool = False) -> _Choice:
    if not tools:
        raise InvalidRequest(
            "Tool choice 'required' must be specified together with tools that this upstream supports.",
            param="tool_choice",
        )
    return _Choice(tools=tools, wire={"any": {}}, limits=limits)


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
    return _required(allowed, limits=True) if choice["mode"] == "required" else _Choice(tools=allowed, limits=True)


def _find(tools: Sequence[Tool], entry: JsonObject) -> list[Tool]:
    """The tools that an entry of a choice names: one, or all of a namespace."""
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
