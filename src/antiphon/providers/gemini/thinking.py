"""
How much a model thinks, and whether it tells: ``thinkingConfig``.

Newer models take a level, those before them a number of tokens. The numbers are those for which the vendor's own
OpenAI-compatible endpoint lets an effort stand.
"""

from __future__ import annotations

from typing import Final

from antiphon.hub.errors import UnsupportedParameter
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import ModelCall
from antiphon.providers.gemini.quirks import Quirks, is_of_old_generation

__all__ = ["encode_thinking"]

_LEVELS: Final[dict[str, JsonObject]] = {
    "minimal": {"thinkingLevel": "MINIMAL"},
    "low": {"thinkingLevel": "LOW"},
    "medium": {"thinkingLevel": "MEDIUM"},
    "high": {"thinkingLevel": "HIGH"},
}
_BUDGETS: Final[dict[str, JsonObject]] = {
    "none": {"thinkingBudget": 0},
    "minimal": {"thinkingBudget": 1024},
    "low": {"thinkingBudget": 1024},
    "medium": {"thinkingBudget": 8192},
    "high": {"thinkingBudget": 24576},
}


def encode_thinking(call: ModelCall, quirks: Quirks) -> JsonObject:
    """
    The field ``thinkingConfig``; empty where the request says nothing about thinking.

    Raises:
        UnsupportedParameter: An effort or a mode that the model cannot be asked for.
    """
    reasoning = call.request.reasoning
    mode, effort = reasoning.get("mode"), reasoning.get("effort")
    if mode not in (None, "standard"):
        raise UnsupportedParameter(
            f"Reasoning mode '{mode}' cannot be asked of this upstream. Use 'standard'.", param="reasoning.mode"
        )
    config = {} if effort is None else dict(_effort(effort, _known_efforts(call.model, quirks)))
    if quirks.thinking != "none" and (reasoning.get("summary") or reasoning.get("generate_summary")):
        config["includeThoughts"] = True
    return {"thinkingConfig": config} if config else {}


def _known_efforts(model: str, quirks: Quirks) -> dict[str, JsonObject]:
    match quirks.thinking:
        case "none":
            return {}
        case "level":
            return _LEVELS
        case "budget":
            return _BUDGETS
        case "by_model":
            return _BUDGETS if is_of_old_generation(model) else _LEVELS


def _effort(effort: str, known: dict[str, JsonObject]) -> JsonObject:
    if effort not in known:
        names = ", ".join(f"'{name}'" for name in known)
        remedy = f"Use one of {names}." if known else "Leave it out."
        raise UnsupportedParameter(
            f"Effort '{effort}' cannot be asked of this upstream's model. {remedy}", param="reasoning.effort"
        )
    return known[effort]
