"""
How the model is to think and answer: ``thinking``, ``output_config``, ``context_management``.

An effort is a word that both sides have. A budget of tokens is none of the hub's, and becomes the effort that comes
nearest. A client that asks for thinking gets to see it, as a summary, unless it says that it need not be shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from antiphon.formats.checks.schema import Anything, Arr, ByType, Enum, Field, Int, Obj, Schema, Str, Tagged
from antiphon.formats.messages.blocks import need
from antiphon.formats.messages.refusal import Only, Refused, TaggedOrRefused
from antiphon.formats.messages.thoughts import Shown
from antiphon.hub.errors import InvalidRequest
from antiphon.hub.items import JsonObject

__all__ = ["CONTEXT_MANAGEMENT", "JSON_FORMAT", "OUTPUT_CONFIG", "THINKING", "Thinking", "read_thinking", "text_of"]

_SMALLEST_BUDGET = 1024
# Up to so many tokens, which efforts are worth as budgets where this gateway turns one into the other.
_EFFORTS = ((4096, "low"), (12_288, "medium"))
_LARGEST_EFFORT = "high"
# What the API takes for an effort that nobody names.
_DEFAULT_EFFORT = "high"

_DISPLAY = Field(schema=Enum(("summarized", "omitted")))


def _kind(tag: str, **fields: Field) -> Obj:
    return Obj(fields={"type": need(Enum((tag,))), **fields})


THINKING: Schema = Tagged(
    variants={
        "enabled": _kind("enabled", budget_tokens=need(Int(minimum=_SMALLEST_BUDGET)), display=_DISPLAY),
        "adaptive": _kind("adaptive", display=_DISPLAY),
        "disabled": _kind("disabled"),
        "between_tools": Refused("Use 'adaptive'."),
    }
)

JSON_FORMAT: Schema = _kind("json_schema", schema=need(ByType(cases={dict: Anything()}, expected="an object")))
OUTPUT_CONFIG: Schema = Obj(
    fields={
        "effort": Field(schema=Enum(("low", "medium", "high", "xhigh", "max"))),
        "format": Field(schema=JSON_FORMAT),
        "task_budget": Field(schema=Refused()),
    }
)

_KEEP_ALL_REMEDY = "Use 'all'."
_KEEP_ALL = ByType(
    cases={
        str: Only(Str(), value="all", remedy=_KEEP_ALL_REMEDY),
        dict: Only(Obj(fields={}, extra="keep"), value={"type": "all"}, remedy=_KEEP_ALL_REMEDY),
    },
    expected="one of a string or object",
)
_EDIT = TaggedOrRefused(
    variants={
        "clear_thinking_20251015": Obj(fields={"type": need(Str()), "keep": need(_KEEP_ALL)}),
    },
    noun="edits",
)
CONTEXT_MANAGEMENT: Schema = Obj(fields={"edits": Field(schema=Arr(item=_EDIT), default=[])})


class Thinking(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a request says about thinking.

    Attributes:
        reasoning: The hub's words for it.
        shown: What of it the client gets to see.
        not_applied: What of it has no effect.
    """

    reasoning: JsonObject
    shown: Shown = "text"
    not_applied: tuple[str, ...] = ()


def read_thinking(fields: Mapping[str, Any]) -> Thinking:
    """
    The thinking that checked fields ask for.

    Raises:
        InvalidRequest: The budget leaves no room for an answer.
    """
    thinking = fields.get("thinking") or {"type": "unsaid"}
    effort = fields.get("output_config", {}).get("effort")
    said = {} if effort is None else {"effort": effort}
    # The one edit that is served keeps all thinking.
    kept = {"context": "all_turns"} if fields.get("context_management", {}).get("edits") else {}
    shown: Shown = "signature" if thinking.get("display") == "omitted" else "text"
    summary = {"summary": "auto"} if shown == "text" else {}
    match thinking["type"]:
        case "enabled":
            _check_budget(thinking["budget_tokens"], fields.get("max_tokens"))
            said = said or {"effort": _effort(thinking["budget_tokens"])}
            return Thinking(reasoning=said | summary | kept, shown=shown, not_applied=("thinking.budget_tokens",))
        case "adaptive":
            # Of the two words of the hub that make a model think, one has to be said.
            return Thinking(reasoning=((said | summary) or {"effort": _DEFAULT_EFFORT}) | kept, shown=shown)
        case "disabled":
            not_applied = () if effort is None else ("output_config.effort",)
            return Thinking(reasoning={"effort": "none"} | kept, shown="nothing", not_applied=not_applied)
        case _:
            return Thinking(reasoning=said | kept)


def text_of(fields: Mapping[str, Any]) -> JsonObject:
    """
    The text that checked fields ask for.

    Raises:
        InvalidRequest: Its format is there twice, under its name and under the one that it had in a beta.
    """
    new, old = fields.get("output_config", {}).get("format"), fields.get("output_format")
    if new is not None and old is not None:
        raise InvalidRequest(
            "Mutually exclusive parameters: 'output_format' and 'output_config.format'. Use the second.",
            param="output_format",
        )
    wanted = new or old
    if wanted is None:
        return {"format": {"type": "text"}, "verbosity": "medium"}
    # The dialect has no name for a schema, and holds to each.
    schema = {"type": "json_schema", "name": "output", "schema": wanted["schema"], "strict": True}
    return {"format": schema, "verbosity": "medium"}


def _effort(budget_tokens: int) -> str:
    return next((effort for most, effort in _EFFORTS if budget_tokens <= most), _LARGEST_EFFORT)


def _check_budget(budget_tokens: int, max_tokens: int | None) -> None:
    if max_tokens is not None and budget_tokens >= max_tokens:
        raise InvalidRequest(
            f"Invalid 'thinking.budget_tokens': {budget_tokens} tokens leave nothing of 'max_tokens' ({max_tokens}) "
            "for the answer. Lower the one or raise the other.",
            param="thinking.budget_tokens",
        )
