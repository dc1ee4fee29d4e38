"""
What a request may say to leave out where an upstream cannot be told of it: the names, and what each of them covers.

A parameter goes by the name under which it is refused, a tool and an item by their type, a content part by its kind.
Other dialects' own names of parameters are taken as well.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType

import msgspec

from antiphon.hub.errors import InvalidRequest
from antiphon.hub.turn import TurnRequest

__all__ = [
    "DROP_PARAM",
    "EVERYTHING",
    "FIELDS",
    "ITEMS",
    "NESTED_FIELDS",
    "PARTS",
    "TOOLS",
    "check_names",
    "covers",
    "with_wish",
]

DROP_PARAM = "x-antiphon-drop"
EVERYTHING = "all"

FIELDS = frozenset(
    {
        "frequency_penalty",
        "max_output_tokens",
        "max_tool_calls",
        "parallel_tool_calls",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "stop",
        "temperature",
        "tool_choice",
        "top_logprobs",
        "top_p",
        "user",
    }
)
"""Fields of :class:`~antiphon.hub.turn.TurnRequest` that go back to their default as a whole."""

NESTED_FIELDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "reasoning": frozenset({"context", "effort", "generate_summary", "mode", "summary"}),
        "text": frozenset({"format", "verbosity"}),
    }
)
"""Fields whose members go back to their default one by one."""

TOOLS = frozenset(
    {
        "apply_patch",
        "code_interpreter",
        "computer",
        "computer_use",
        "computer_use_preview",
        "custom",
        "file_search",
        "function",
        "image_generation",
        "local_shell",
        "mcp",
        "namespace",
        "programmatic_tool_calling",
        "shell",
        "tool_search",
        "web_search",
        "web_search_2025_08_26",
        "web_search_preview",
        "web_search_preview_2025_03_11",
    }
)
"""Types of tools; ``tools`` means all of them."""

PARTS = frozenset({"input_audio", "input_file", "input_image"})
"""Types of content parts. Text always stays."""

ITEMS = frozenset(
    {
        "additional_tools",
        "apply_patch_call",
        "apply_patch_call_output",
        "code_interpreter_call",
        "computer_call",
        "computer_call_output",
        "configuration_update",
        "file_search_call",
        "image_generation_call",
        "local_shell_call",
        "local_shell_call_output",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_call",
        "mcp_list_tools",
        "program",
        "program_output",
        "shell_call",
        "shell_call_output",
        "tool_search_call",
        "tool_search_output",
        "web_search_call",
    }
)
"""Types of items that not every dialect can say. Messages, reasoning and calls of functions always stay."""

_SYNONYMS = {
    "audio": "input_audio",
    "file": "input_file",
    "image": "input_image",
    "logprobs": "include",
    "max_completion_tokens": "max_output_tokens",
    "max_tokens": "max_output_tokens",
    "output_config.effort": "reasoning.effort",
    "output_config.format": "text.format",
    "reasoning_effort": "reasoning.effort",
    "response_format": "text.format",
    "stop_sequences": "stop",
    "thinking": "reasoning",
    "verbosity": "text.verbosity",
    "web_search_options": "web_search",
}

_KNOWN = frozenset(
    {
        EVERYTHING,
        "include",
        "tools",
        *FIELDS,
        *NESTED_FIELDS,
        *(f"{field}.{member}" for field, members in NESTED_FIELDS.items() for member in members),
        *TOOLS,
        *PARTS,
        *ITEMS,
    }
)


def check_names(names: Iterable[str]) -> frozenset[str]:
    """
    What may be left out, in the names of this module.

    Args:
        names: As a client or a configuration wrote them.

    Raises:
        ValueError: Nothing goes by one of them; says which one may be meant.
    """
    meant = frozenset(_SYNONYMS.get(name, name) for name in names)
    for name in sorted(meant - _KNOWN):
        nearest = get_close_matches(name, sorted(_KNOWN | _SYNONYMS.keys()), n=1, cutoff=0.0)[0]
        raise ValueError(f"Nothing that may be dropped is called '{name[:64]}'. Did you mean '{nearest}'?")
    return meant


def with_wish(request: TurnRequest, names: Collection[str]) -> TurnRequest:
    """
    A request that says what may be left out of it.

    Raises:
        InvalidRequest: Nothing goes by one of *names*.
    """
    try:
        return msgspec.structs.replace(request, drop=check_names(names)) if names else request
    except ValueError as error:
        raise InvalidRequest(f"Invalid '{DROP_PARAM}': {error}", param=DROP_PARAM) from error


def covers(wish: frozenset[str], *names: str) -> bool:
    """Whether a wish names one of *names*, or everything."""
    return EVERYTHING in wish or not wish.isdisjoint(names)
