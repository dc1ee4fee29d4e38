"""
A request's settings: ``generationConfig``, and what stands beside it.

A default of the API is never spelled out, and null is never sent. Not sent at all: ``metadata`` and ``store`` (the
state is ours), ``max_tool_calls`` (it concerns hosted tools only).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from antiphon.hub.errors import UnsupportedParameter
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import ModelCall, TurnRequest
from antiphon.providers.gemini.quirks import Quirks
from antiphon.providers.gemini.schema import openapi_schema
from antiphon.providers.gemini.thinking import encode_thinking

__all__ = ["Settings", "encode_settings"]

_NUMBERS = {
    "temperature": "temperature",
    "top_p": "topP",
    "max_output_tokens": "maxOutputTokens",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
_MOST_STOPS = 5
_TIERS = {"default": "standard", "flex": "flex", "priority": "priority"}
_LOGPROBS = "message.output_text.logprobs"
# For whom, and out of which cache: nothing that the model sees.
_NOT_ABOUT_THE_ANSWER = ("user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """
    Body fields, and what they leave out.

    Attributes:
        not_applied: The client's names of what it asked for and Gemini has no words for.
    """

    fields: JsonObject
    not_applied: tuple[str, ...]


def encode_settings(call: ModelCall, quirks: Quirks) -> Settings:
    """
    The settings of *call* as body fields.

    Raises:
        UnsupportedParameter: A setting that changes the answer, and that Gemini does not have.
    """
    request = call.request
    config: JsonObject = {
        field: value for name, field in _NUMBERS.items() if (value := getattr(request, name)) is not None
    }
    config |= _stop(request)
    config |= _logprobs(request)
    config |= _text(request.text, quirks)
    config |= encode_thinking(call, quirks)
    fields: JsonObject = {"generationConfig": config} if config else {}
    if request.service_tier not in (None, "auto"):
        fields["serviceTier"] = _tier(str(request.service_tier))
    if quirks.safety_settings:
        fields["safetySettings"] = [
            {"category": category, "threshold": threshold} for category, threshold in quirks.safety_settings.items()
        ]
    return Settings(fields=fields, not_applied=tuple(_not_applied(request, quirks)))


def _stop(request: TurnRequest) -> JsonObject:
    if len(request.stop) > _MOST_STOPS:
        raise UnsupportedParameter(
            f"This upstream takes at most {_MOST_STOPS} texts for 'stop', not {len(request.stop)}.", param="stop"
        )
    return {"stopSequences": list(request.stop)} if request.stop else {}


def _logprobs(request: TurnRequest) -> JsonObject:
    if _LOGPROBS not in request.include:
        return {}
    fields: JsonObject = {"responseLogprobs": True}
    return {**fields, "logprobs": request.top_logprobs} if request.top_logprobs else fields


def _text(text: JsonObject, quirks: Quirks) -> JsonObject:
    verbosity = text.get("verbosity")
    if verbosity not in (None, "medium"):
        raise UnsupportedParameter(
            f"Verbosity '{verbosity}' cannot be asked of this upstream. Leave it out, and say it in the instructions.",
            param="text.verbosity",
        )
    text_format = text.get("format") or {"type": "text"}
    match text_format["type"]:
        case "text":
            return {}
        case "json_object":
            return {"responseMimeType": "application/json"}
        case "json_schema":
            return {"responseMimeType": "application/json", **_answer_schema(text_format, quirks)}
        case other:
            raise UnsupportedParameter(
                f"Text format '{other}' cannot be asked of this upstream. Use 'text', 'json_object' or 'json_schema'.",
                param="text.format.type",
            )


def _answer_schema(text_format: JsonObject, quirks: Quirks) -> JsonObject:
    """The schema is kept to in every case, and its name is for the client; what it is for is told in the schema."""
    schema: JsonObject = text_format["schema"]
    if text_format.get("description") and "description" not in schema:
        schema = {"description": text_format["description"], **schema}
    if quirks.schemas == "openapi":
        return {"responseSchema": openapi_schema(schema, "text.format.schema")}
    return {"responseJsonSchema": schema}


def _tier(service_tier: str) -> str:
    if service_tier not in _TIERS:
        raise UnsupportedParameter(
            f"Service tier '{service_tier}' cannot be asked of this upstream. Use 'auto', 'default', 'flex' or "
            "'priority'.",
            param="service_tier",
        )
    return _TIERS[service_tier]


def _not_applied(request: TurnRequest, quirks: Quirks) -> Iterator[str]:
    if request.top_logprobs and _LOGPROBS not in request.include:
        yield "top_logprobs"
    for name in _NOT_ABOUT_THE_ANSWER:
        if getattr(request, name) is not None:
            yield name
    if quirks.thinking == "none" and (request.reasoning.get("summary") or request.reasoning.get("generate_summary")):
        yield "reasoning.summary"
    if request.reasoning.get("context") not in (None, "auto"):
        yield "reasoning.context"
