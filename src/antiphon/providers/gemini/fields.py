"""What the client of the Responses API calls the fields that Gemini complains about."""

from __future__ import annotations

import re

__all__ = ["client_field"]

# By the path on the wire in snake case, which is how the API names fields in errors; the longest beginning counts.
_CLIENT_NAMES = {
    "contents": "input",
    "system_instruction": "instructions",
    "tools": "tools",
    "tool_config": "tool_choice",
    "service_tier": "service_tier",
    "model": "model",
    "generation_config.temperature": "temperature",
    "generation_config.top_p": "top_p",
    "generation_config.max_output_tokens": "max_output_tokens",
    "generation_config.presence_penalty": "presence_penalty",
    "generation_config.frequency_penalty": "frequency_penalty",
    "generation_config.logprobs": "top_logprobs",
    "generation_config.response_logprobs": "include",
    "generation_config.response_mime_type": "text.format",
    "generation_config.response_json_schema": "text.format",
    "generation_config.response_schema": "text.format",
    "generation_config.thinking_config": "reasoning",
}
_REQUEST = re.compile(r"\A(?:\w*Request\.|request\.)")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_INDEX = re.compile(r"\[\d*\]")


def client_field(path: str) -> str | None:
    """
    The client's name of a field, or None if *path* is not one.

    Only the field itself is named: indices behind it count contents and declarations, not the client's items.
    """
    name = _INDEX.sub("", _HUMP.sub("_", _REQUEST.sub("", path))).lower()
    while name:
        if name in _CLIENT_NAMES:
            return _CLIENT_NAMES[name]
        name = name.rpartition(".")[0]
    return None
