"""
The fields of a chat completions body and what the client of the Responses API calls them.

A client is told of a field by the name under which it asked for it, whether the field was left out on the way up
(``not_applied``) or an upstream complained about it (``param``).
"""

from __future__ import annotations

import re

__all__ = ["OPTIONAL_FIELDS", "client_name", "client_param"]

_CLIENT_NAMES = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "verbosity": "text.verbosity",
    "reasoning_effort": "reasoning.effort",
    "thinking": "reasoning.effort",
    "enable_thinking": "reasoning.effort",
    "chat_template_kwargs": "reasoning.effort",
    "logprobs": "include",
}

# What a body may go without and still be the same question, in a poorer form.
OPTIONAL_FIELDS = frozenset(
    {
        "frequency_penalty",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "parallel_tool_calls",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "service_tier",
        "stop",
        "temperature",
        "tool_choice",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
    }
)

_LEADING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def client_name(field: str) -> str:
    """The client's name of a body field."""
    return _CLIENT_NAMES.get(field, field)


def client_param(path: str) -> str | None:
    """
    The client's name of the field that an upstream complained about, or None if *path* is not one.

    Only the field itself is named: indices behind it count chat messages and flattened tools, not the client's.
    """
    match = _LEADING_NAME.match(path)
    return client_name(match.group()) if match else None
