"""
``POST /v1/messages`` and ``POST /v1/messages/count_tokens``: the table of every field, and the way to a turn.

A field of the wrong form is an error that names it; one that is valid and has nothing behind it is refused by name. A
field that changes nothing in what the model says is accepted and reported as not applied.

Specification: ``platform.claude.com/docs/en/api/messages``, version 2023-06-01, and the betas that its SDK knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from antiphon.formats.checks.flaw import Flaw
from antiphon.formats.checks.schema import Arr, Bool, Enum, Field, Int, Num, Obj, Str
from antiphon.formats.messages.blocks import CACHE_CONTROL, MESSAGE, SYSTEM, need
from antiphon.formats.messages.refusal import Only, Refused, refusal
from antiphon.formats.messages.settings import (
    CONTEXT_MANAGEMENT,
    JSON_FORMAT,
    OUTPUT_CONFIG,
    THINKING,
    Thinking,
    read_thinking,
    text_of,
)
from antiphon.formats.messages.thoughts import Shown
from antiphon.formats.messages.tools import TOOL_CHOICE, TOOLS, ToolList, read_choice, read_tools
from antiphon.formats.messages.transcript import Transcript, read_messages, system_text
from antiphon.hub.errors import InvalidRequest
from antiphon.hub.format import DialectTurn
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import TurnRequest

__all__ = ["COUNT_FIELDS", "FIELDS", "REQUEST", "MessagesTurn", "decode", "decode_count"]

_FREE_OBJECT = Obj(fields={}, extra="keep")
_STATE_IS_OURS = "Send the messages, or continue a response over the Responses API."

# What a count takes; in the order in which flaws are reported.
COUNT_FIELDS: dict[str, Field] = {
    "model": need(Str(min_length=1)),
    "messages": need(Arr(item=MESSAGE, min_length=1, max_length=100_000)),
    "system": Field(schema=SYSTEM),
    "tools": Field(schema=TOOLS, default=[]),
    "tool_choice": Field(schema=TOOL_CHOICE),
    "thinking": Field(schema=THINKING),
    "output_config": Field(schema=OUTPUT_CONFIG, default={}),
    "output_format": Field(schema=JSON_FORMAT),
    "cache_control": CACHE_CONTROL,
    "speed": Field(schema=Only(Enum(("standard", "fast")), value="standard")),
    "context_management": Field(schema=CONTEXT_MANAGEMENT, default={}),
    "mcp_servers": Field(schema=Refused("Call the server's tools yourself, and offer them in 'tools'.")),
    "compaction": Field(schema=Refused(_STATE_IS_OURS)),
    "thread": Field(schema=Refused(_STATE_IS_OURS)),
    "user_profile_id": Field(schema=Refused()),
    "workspace_id": Field(schema=Refused()),
}

FIELDS: dict[str, Field] = {
    "model": COUNT_FIELDS["model"],
    "max_tokens": need(Int(minimum=0)),
    **COUNT_FIELDS,
    "temperature": Field(schema=Num(minimum=0, maximum=1)),
    "top_p": Field(schema=Num(minimum=0, maximum=1)),
    "top_k": Field(schema=Refused("Leave it out, or use 'top_p'."), verbatim_only=True),
    "stop_sequences": Field(schema=Arr(item=Str(min_length=1)), default=[]),
    "stream": Field(schema=Bool(), default=False),
    "metadata": Field(schema=Obj(fields={"user_id": Field(schema=Str(max_length=512))}), default={}),
    "service_tier": Field(schema=Enum(("auto", "standard_only"))),
    "diagnostics": Field(schema=_FREE_OBJECT),
    "container": Field(schema=Refused()),
    "inference_geo": Field(schema=Refused(), verbatim_only=True),
    "fallbacks": Field(schema=Refused("Models that stand in for others are configured at the gateway.")),
    "fallback_credit_token": Field(schema=Refused()),
    "billing_policy": Field(schema=Refused()),
}

REQUEST = Obj(fields=FIELDS)
_COUNT = Obj(fields=COUNT_FIELDS)

_SERVICE_TIERS = {"auto": "auto", "standard_only": "default"}


class MessagesTurn(DialectTurn, frozen=True, kw_only=True):
    """
    A turn that was asked for in this dialect.

    Attributes:
        shown: What the client sees of thinking.
        eager_tools: The tools whose input it wants as it is written, whole or not.
    """

    shown: Shown = "text"
    eager_tools: frozenset[str] = frozenset()


def decode(body: JsonObject) -> MessagesTurn:
    """
    Read ``POST /v1/messages``.

    Raises:
        InvalidRequest: Names the first field that is wrong.
        UnsupportedParameter: Names a field that is known and cannot be served.
    """
    fields = _checked(REQUEST, body)
    _refuse_pre_warming(fields)
    _refuse_prefill(fields["messages"])
    return _turn(fields)


def decode_count(body: JsonObject) -> MessagesTurn:
    """Read ``POST /v1/messages/count_tokens``. Raises as :func:`decode`."""
    return _turn({"stream": False, "metadata": {}, "stop_sequences": [], **_checked(_COUNT, body)})


def _checked(schema: Obj, body: JsonObject) -> Mapping[str, Any]:
    try:
        return schema.check(body)
    except Flaw as flaw:
        raise flaw.error() from None


def _refuse_pre_warming(fields: Mapping[str, Any]) -> None:
    if fields["max_tokens"] == 0:
        flaw = refusal("Ask for at least one token.", "0, which only fills a cache")
        raise flaw.under(".max_tokens").error()


def _refuse_prefill(messages: list[JsonObject]) -> None:
    """A message that the model is to go on with: there is no word for it, and most models cannot."""
    if messages[-1]["role"] == "assistant":
        flaw = refusal("End with a message of the user, and ask for the form that you want.", "an answer begun already")
        raise flaw.under(f".messages[{len(messages) - 1}]").error()


def _turn(fields: Mapping[str, Any]) -> MessagesTurn:
    transcript, tools, thinking = read_messages(fields["messages"]), read_tools(fields["tools"]), read_thinking(fields)
    choice = read_choice(fields.get("tool_choice"), tools.tools)
    if not transcript.items:
        raise InvalidRequest("Invalid 'messages': none of them says anything.", param="messages")
    request = TurnRequest(
        model=fields["model"],
        input=transcript.items,
        instructions=system_text(fields.get("system")),
        store=False,
        stream=fields["stream"],
        tools=tools.tools,
        tool_choice=choice.tool_choice,
        parallel_tool_calls=choice.parallel,
        max_output_tokens=fields.get("max_tokens"),
        temperature=fields.get("temperature"),
        top_p=fields.get("top_p"),
        stop=tuple(fields["stop_sequences"]),
        text=text_of(fields),
        reasoning=thinking.reasoning,
        service_tier=_SERVICE_TIERS.get(fields.get("service_tier", "")),
        safety_identifier=fields["metadata"].get("user_id"),
        not_applied=_not_applied(fields, transcript, tools, thinking),
    )
    return MessagesTurn(request=request, private=transcript.private, shown=thinking.shown, eager_tools=tools.eager)


def _not_applied(
    fields: Mapping[str, Any], transcript: Transcript, tools: ToolList, thinking: Thinking
) -> tuple[str, ...]:
    names = list(thinking.not_applied)
    system = fields.get("system")
    in_system = isinstance(system, list) and any("cache_control" in block for block in system)
    # Which beginnings are cached is the provider's to decide: it knows what the next turn will begin with.
    if "cache_control" in fields or in_system or transcript.marks or tools.marks:
        names.append("cache_control")
    if "diagnostics" in fields:
        names.append("diagnostics")
    return tuple(names)
