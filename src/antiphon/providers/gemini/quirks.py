"""
How an upstream deviates from the Gemini API as it is now, as data.

The defaults are the Gemini API's own with its current models. Vertex AI and older models are a few fields set otherwise
in the configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Literal

import msgspec

__all__ = ["Quirks", "is_of_old_generation", "read_quirks"]

# Up to 2.5: these count thinking in tokens, and take calls without a signature. What comes after, and names such as
# "gemini-flash-latest", which always mean the newest, is of the new generation.
_OLD_GENERATION = ("gemini-1.", "gemini-2.", "gemma")


class Quirks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The deviations of one upstream."""

    host: Literal["gemini", "vertex"] = "gemini"
    """
    Whose it is: the Gemini API, or Google Cloud's Vertex AI, which takes an access token where the other takes a key,
    and whose ``base_url`` ends in ``/publishers/google``.
    """

    schemas: Literal["json_schema", "openapi"] = "json_schema"
    """
    How schemas of tools and answers are written: as they are (``parametersJsonSchema``, ``responseJsonSchema``), or
    reduced to the older subset of OpenAPI (``parameters``, ``responseSchema``), where what that has no words for is
    refused.
    """

    thinking: Literal["by_model", "level", "budget", "none"] = "by_model"
    """
    How effort is asked for: as ``thinkingLevel`` (Gemini 3 and later), as ``thinkingBudget`` in tokens (Gemini 2.5), or
    not at all. ``by_model`` tells the two apart by the model's name.
    """

    missing_signatures: Literal["by_model", "skip", "omit"] = "by_model"
    """
    What stands in for the thought signature of a call that this upstream did not make, or that the client sent without
    its private part: the vendor's documented word that switches the check off (``skip``), or nothing (``omit``). Only
    models that refuse a call without one get it, unless this says otherwise.
    """

    call_ids: bool = True
    """Whether calls and their outputs carry an id. Where not, they are paired by name and order alone."""

    file_uris: bool = True
    """Whether images and files may be named by their URL (``fileData``), which the upstream fetches itself."""

    tool_output_media: bool = True
    """Whether a function's response may hold images and files beside its text (Gemini 3 and later)."""

    media_resolution: bool = False
    """Whether an image's ``detail`` is sent (``mediaResolution`` of the part). Where not, it is reported."""

    validated_calls: bool = True
    """Whether calls may be held to the schemas of strict tools (mode ``VALIDATED``). Where not, it is reported."""

    web_search: Literal["refuse", "google_search"] = "refuse"
    """Whether the API's ``web_search`` becomes the vendor's own search, whose sources come back as citations."""

    unsupported_tools: Literal["reject", "drop"] = "reject"
    """
    What happens to a tool of a type that Gemini does not know (``mcp``, ``file_search``, ...): the request is refused,
    or goes up without the tool, which is reported as not applied.
    """

    counting: bool = True
    """Whether the upstream counts input tokens without a turn (``:countTokens``). Where not, they are estimated."""

    safety_settings: dict[str, str] = {}
    """Thresholds by harm category, sent with every request, such as ``HARM_CATEGORY_HARASSMENT: BLOCK_NONE``."""


def is_of_old_generation(model: str) -> bool:
    """Whether a model's name is one of Gemini 2.5 or before, or of a model without thinking."""
    return model.removeprefix("models/").startswith(_OLD_GENERATION)


def read_quirks(options: Mapping[str, object]) -> Quirks:
    """
    The quirks that a configuration names.

    Raises:
        ValueError: A name is unknown (the message gives the nearest known one) or a value is of the wrong type.
    """
    known = sorted(Quirks.__struct_fields__)
    for name in options:
        if name not in known:
            nearest = get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise ValueError(f"Unknown quirk '{name}'. Did you mean '{nearest}'?")
    try:
        return msgspec.convert(dict(options), Quirks)
    except msgspec.ValidationError as error:
        raise ValueError(f"Wrong value for a quirk: {error}") from error
