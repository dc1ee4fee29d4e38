"""
The tools that a request offers, as they go up: every type as it came, in its place.

Left out are null fields, which only stand for a default: above all ``strict``, which an upstream that takes it at its
word would hold against schemas that were not written for it. A server that knows fewer types than OpenAI says so in
its quirks.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from antiphon.hub.errors import UnsupportedParameter
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import TurnRequest
from antiphon.providers.openai_responses.quirks import Quirks

__all__ = ["Offer", "encode_tools", "offer_tools"]


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """Body fields, and the client's names of what they leave out."""

    fields: JsonObject
    not_applied: tuple[str, ...] = ()


def offer_tools(request: TurnRequest, quirks: Quirks) -> Offer:
    """
    ``tools``, ``tool_choice`` and ``parallel_tool_calls`` as the upstream gets them.

    Raises:
        UnsupportedParameter: The upstream does not take a tool of this type; or the choice demands one that was left
            out.
    """
    offered = encode_tools(request.tools, "tools", quirks)
    fields: JsonObject = {}
    if offered.fields["tools"]:
        fields["tools"] = offered.fields["tools"]
    if request.tool_choice != "auto" and not _is_moot(request, offered):
        fields["tool_choice"] = request.tool_choice
    if request.tools and not request.parallel_tool_calls:
        fields["parallel_tool_calls"] = False
    return Offer(fields=fields, not_applied=offered.not_applied)


def encode_tools(tools: Sequence[JsonObject], path: str, quirks: Quirks) -> Offer:
    """
    A list of tools under the name ``tools``; *path* is where the client put them.

    Raises:
        UnsupportedParameter: The upstream does not take a tool of this type.
    """
    kept: list[JsonObject] = []
    left_out: list[str] = []
    for index, tool in enumerate(tools):
        if quirks.tool_types is None or tool["type"] in quirks.tool_types:
            kept.append(_without_nulls(tool))
        elif quirks.unsupported_tools == "drop":
            left_out.append(f"tools.{tool['type']}")
        else:
            raise UnsupportedParameter(
                f"Tools of type '{tool['type']}' are not supported by this upstream. Use {_spoken(quirks.tool_types)}.",
                param=f"{path}[{index}]",
            )
    return Offer(fields={"tools": kept}, not_applied=tuple(dict.fromkeys(left_out)))


def _is_moot(request: TurnRequest, offered: Offer) -> bool:
    """Whether tools were left out and the choice can do without them."""
    choice = request.tool_choice
    if not offered.not_applied:
        return False
    left_out = {name.removeprefix("tools.") for name in offered.not_applied}
    demands_left_out = isinstance(choice, dict) and choice["type"] in left_out
    if demands_left_out or (choice != "none" and not offered.fields["tools"]):
        raise UnsupportedParameter(
            "The tool choice demands a tool that this upstream does not support. Use 'auto' or 'none'.",
            param="tool_choice",
        )
    return not offered.fields["tools"]


def _without_nulls(tool: JsonObject) -> JsonObject:
    shown = {name: value for name, value in tool.items() if value is not None}
    if tool["type"] == "namespace":
        shown["tools"] = [_without_nulls(inner) for inner in tool["tools"]]
    return shown


def _spoken(types: Sequence[str]) -> str:
    return " or ".join(f"'{name}'" for name in types) or "none"
