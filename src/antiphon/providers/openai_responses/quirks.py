"""
How a Responses server deviates from OpenAI's own, as data.

The defaults are OpenAI's API as it is published; a thinner server is a handful of fields set otherwise in the
configuration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Literal

import msgspec

__all__ = ["Quirks", "read_quirks"]

# What a body may go without and still be the same question, in a poorer form. Not `input`, `model` and `store`.
_OPTIONAL_FIELDS = frozenset(
    {
        "frequency_penalty",
        "include",
        "max_output_tokens",
        "max_tool_calls",
        "parallel_tool_calls",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "stream_options",
        "temperature",
        "text",
        "tool_choice",
        "top_logprobs",
        "top_p",
        "user",
    }
)


class Quirks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The deviations of one upstream."""

    reasoning: Literal["by_model", "encrypted", "text", "never"] = "by_model"
    """
    How earlier reasoning goes back: ``encrypted`` asks for encrypted content with every call and sends it back (OpenAI,
    Azure, xAI, Ollama); ``text`` sends back the raw text that the upstream showed (vLLM, llama.cpp); ``never`` leaves
    all of it out. ``by_model`` is ``never`` for those models of OpenAI that do not reason, by their names, because they
    refuse a request with either; and ``encrypted`` for all others.
    """

    output_items: Literal["brief", "full"] = "brief"
    """
    In which form messages and reasoning of the model go back: ``brief`` without id and status, which OpenAI takes;
    ``full`` with both, for servers that read them by the published schema (vLLM). The ids are made of ours by a hash.
    """

    assistant_refusal: Literal["refusal", "text"] = "refusal"
    """Whether an earlier refusal goes back as such, or as text, for servers that know no refusals (llama.cpp)."""

    tool_types: tuple[str, ...] | None = None
    """The types of tools that the upstream takes; None for all. A model server alone knows ``function`` at most."""

    unsupported_tools: Literal["reject", "drop"] = "reject"
    """
    What happens to a tool of another type: the request is refused by name, or goes up without the tool, which is
    reported as not applied.
    """

    counting: Literal["none", "input_tokens"] = "none"
    """How input tokens are counted without a turn: estimated here, or asked of ``POST /responses/input_tokens``."""

    cache_key: bool = True
    """
    Whether the upstream finds what it has cached by ``prompt_cache_key``. Then all calls of one log carry the same one,
    if the client gives none.
    """

    drop: tuple[str, ...] = ()
    """
    Body fields that the upstream refuses or does not heed: never sent, and reported as not applied when a request asks
    for them.
    """


def read_quirks(options: Mapping[str, object]) -> Quirks:
    """
    The quirks that a configuration names.

    Raises:
        ValueError: A name is unknown (the message gives the nearest known one) or a value is of the wrong type.
    """
    for name in options:
        _require_known("quirk", name, Quirks.__struct_fields__)
    try:
        quirks = msgspec.convert(dict(options), Quirks)
    except msgspec.ValidationError as error:
        raise ValueError(f"Wrong value for a quirk: {error}") from error
    for field in quirks.drop:
        _require_known("body field to drop", field, _OPTIONAL_FIELDS)
    return quirks


def _require_known(what: str, name: str, known: Iterable[str]) -> None:
    names = sorted(known)
    if name not in names:
        nearest = get_close_matches(name, names, n=1, cutoff=0.0)[0]
        raise ValueError(f"Unknown {what} '{name}'. Did you mean '{nearest}'?")
