"""
A request's settings as fields of the upstream's body, everything but items and tools.

The names are the same on both sides, so this is about what does not go up: a default is never spelled out and null is
never sent. Never sent at all, because Antiphon keeps the state and makes the context fit: ``previous_response_id``,
``conversation``, ``background``, ``metadata``, ``prompt``, ``truncation`` and ``context_management``; ``store`` is
always false.
"""

from __future__ import annotations

from antiphon.hub.errors import UnsupportedParameter
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import ModelCall, TurnRequest
from antiphon.providers.openai_responses.quirks import Quirks
from antiphon.providers.openai_responses.reasoning import replay_mode

__all__ = ["encode_settings", "is_asked_for"]

_ENCRYPTED = "reasoning.encrypted_content"

_SAME = (
    "instructions",
    "max_output_tokens",
    "temperature",
    "top_p",
    "top_logprobs",
    "presence_penalty",
    "frequency_penalty",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
)


def encode_settings(call: ModelCall, quirks: Quirks) -> JsonObject:
    """
    The settings of *call* as body fields.

    Raises:
        UnsupportedParameter: ``stop``, which other dialects have and this one has not.
    """
    request = call.request
    if request.stop:
        raise UnsupportedParameter("'stop' cannot be asked of this upstream. Leave it out.", param="stop")
    fields: JsonObject = {"store": False}
    fields |= {name: value for name in _SAME if (value := getattr(request, name)) is not None}
    if call.cache_key is not None and quirks.cache_key:
        fields.setdefault("prompt_cache_key", call.cache_key)
    if request.max_tool_calls is not None and "max_tool_calls" not in request.not_applied:
        fields["max_tool_calls"] = request.max_tool_calls
    if request.service_tier not in (None, "auto"):
        fields["service_tier"] = request.service_tier
    if include := _include(call, quirks):
        fields["include"] = include
    if text := _text(request.text):
        fields["text"] = text
    if reasoning := {name: value for name, value in request.reasoning.items() if value is not None}:
        fields["reasoning"] = reasoning
    if call.stream:
        fields["stream"] = True
        if not request.include_obfuscation:
            fields["stream_options"] = {"include_obfuscation": False}
    return fields


def is_asked_for(field: str, request: TurnRequest) -> bool:
    """Whether a body field says something that the client wanted: encrypted reasoning and a key are our own wish."""
    if field == "prompt_cache_key":
        return request.prompt_cache_key is not None
    return field != "include" or bool(request.include - {_ENCRYPTED})


def _include(call: ModelCall, quirks: Quirks) -> list[str]:
    wanted = set(call.request.include) - {_ENCRYPTED}
    if replay_mode(quirks, call.model) == "encrypted":
        wanted.add(_ENCRYPTED)
    return sorted(wanted)


def _text(text: JsonObject) -> JsonObject:
    fields: JsonObject = {}
    text_format = text.get("format")
    if text_format is not None and text_format != {"type": "text"}:
        fields["format"] = text_format
    if text.get("verbosity") not in (None, "medium"):
        fields["verbosity"] = text["verbosity"]
    return fields
