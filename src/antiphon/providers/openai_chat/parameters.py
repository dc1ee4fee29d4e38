"""
A request's settings as fields of the chat completions body, everything but messages and tools.

Specification: ``CreateChatCompletionRequest``. A default of the API is never spelled out, and null is never sent:
servers differ in which fields they know, not in their defaults. Not sent at all: ``metadata`` and ``store`` (the state
is ours), ``max_tool_calls`` (it concerns hosted tools only).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from antiphon.hub.errors import UnsupportedParameter
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import ModelCall, TurnRequest
from antiphon.providers.openai_chat.quirks import Quirks

__all__ = ["Settings", "encode_settings"]

_SAME_NAME = (
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
)
_LOGPROBS = "message.output_text.logprobs"
_NO_EFFORT: Mapping[str, JsonObject] = {
    "reasoning_effort": {"reasoning_effort": "none"},
    "thinking": {"thinking": {"type": "disabled"}},
    "enable_thinking": {"enable_thinking": False},
    "chat_template_kwargs": {"chat_template_kwargs": {"enable_thinking": False}},
}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """
    Body fields, and what they leave out.

    Attributes:
        not_applied: The client's names of what it asked for and chat has no words for.
    """

    fields: JsonObject
    not_applied: tuple[str, ...]


def encode_settings(call: ModelCall, quirks: Quirks) -> Settings:
    """
    The settings of *call* as body fields.

    Raises:
        UnsupportedParameter: A text format or a reasoning mode that chat does not have.
    """
    request = call.request
    fields: JsonObject = {name: value for name in _SAME_NAME if (value := getattr(request, name)) is not None}
    if call.cache_key is not None and quirks.cache_key:
        fields.setdefault("prompt_cache_key", call.cache_key)
    if request.max_output_tokens is not None:
        fields[quirks.max_tokens_field] = request.max_output_tokens
    if request.stop:
        fields["stop"] = list(request.stop)
    if request.service_tier not in (None, "auto"):
        fields["service_tier"] = request.service_tier
    fields |= _logprobs(request)
    fields |= _text(request.text, quirks)
    fields |= _reasoning(request.reasoning, quirks)
    if call.stream:
        fields["stream"] = True
        if quirks.stream_usage:
            fields["stream_options"] = {"include_usage": True}
    return Settings(fields=fields, not_applied=tuple(_not_applied(request, quirks)))


def _logprobs(request: TurnRequest) -> JsonObject:
    if _LOGPROBS not in request.include:
        return {}
    return {"logprobs": True, "top_logprobs": request.top_logprobs} if request.top_logprobs else {"logprobs": True}


def _text(text: JsonObject, quirks: Quirks) -> JsonObject:
    fields = _response_format(text.get("format") or {"type": "text"}, quirks)
    verbosity = text.get("verbosity")
    if verbosity not in (None, "medium"):
        fields["verbosity"] = verbosity
    return fields


def _response_format(text_format: JsonObject, quirks: Quirks) -> JsonObject:
    match text_format["type"]:
        case "text":
            return {}
        case "json_object" if "json_object" in quirks.response_formats:
            return {"response_format": {"type": "json_object"}}
        case "json_schema" if "json_schema" in quirks.response_formats:
            # Flat in the Responses API, nested in chat.
            names = ("name", "description", "schema", "strict")
            schema = {name: text_format[name] for name in names if text_format.get(name) is not None}
            return {"response_format": {"type": "json_schema", "json_schema": schema}}
        case other:
            known = " or ".join(f"'{kind}'" for kind in ("text", *quirks.response_formats))
            raise UnsupportedParameter(
                f"Text format '{other}' cannot be asked of this upstream. Use {known}.", param="text.format.type"
            )


def _reasoning(reasoning: JsonObject, quirks: Quirks) -> JsonObject:
    mode = reasoning.get("mode")
    if mode not in (None, "standard"):
        raise UnsupportedParameter(
            f"Reasoning mode '{mode}' cannot be asked of this upstream. Use 'standard'.", param="reasoning.mode"
        )
    effort = reasoning.get("effort")
    if effort == "none":
        return dict(_NO_EFFORT[quirks.no_effort])
    return {} if effort is None else {"reasoning_effort": effort}


def _not_applied(request: TurnRequest, quirks: Quirks) -> Iterator[str]:
    if request.top_logprobs and _LOGPROBS not in request.include:
        yield "top_logprobs"
    if request.reasoning.get("summary") or request.reasoning.get("generate_summary"):
        yield "reasoning.summary"
    if quirks.replay_reasoning == "never" and request.reasoning.get("context") not in (None, "auto"):
        yield "reasoning.context"
