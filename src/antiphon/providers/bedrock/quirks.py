"""
How a model on Bedrock deviates from the common ground of Converse, as data.

Converse is one API for models of many houses: what it says the same way for all of them needs no quirk. The defaults
are what the API itself has words for; a configuration sets what a model wants otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Literal

import msgspec

__all__ = ["Quirks", "read_quirks"]

_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d+")
# Anthropic's least budget is 1024.
_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768, "max": 65536}


class Quirks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The deviations of one upstream."""

    region: str = ""
    """Where the models run, such as ``eu-central-1``: part of the base URL. Empty for what ``AWS_REGION`` says."""

    reasoning: Literal["effort", "adaptive", "budget", "nova", "reasoning_effort", "none"] = "effort"
    """
    How ``reasoning.effort`` is said. ``effort``: Converse's own ``outputConfig.effort``. ``adaptive``: the same, with
    Claude's adaptive thinking switched on. ``budget``: as a number of tokens for the thinking of older Claudes.
    ``nova``: as Amazon Nova's ``reasoningConfig``. ``reasoning_effort``: under that name, for OpenAI's open models.
    ``none``: the model has no effort, and a request for one is refused.
    """

    thinking_budgets: dict[str, int] = msgspec.field(default_factory=lambda: dict(_BUDGETS))
    """With ``reasoning: budget``, how many tokens of thinking each effort is worth."""

    replay_reasoning: Literal["signed", "always", "never"] = "signed"
    """
    Which earlier reasoning goes back to the upstream that it came from: what carries a signature or is encrypted, which
    Claude wants to see again; what does not as well; or none. A request's ``reasoning.context`` can narrow it down.
    """

    cache_points: Literal["none", "5m", "1h"] = "none"
    """
    Whether the stable beginning of a request is marked to be cached, and for how long. A model that cannot cache
    refuses the marks, so they are not set unless asked for.
    """

    guardrail: str = ""
    """The id or ARN of a guardrail that every call goes through."""

    guardrail_version: str = "DRAFT"
    """The guardrail's version."""

    additional_fields: dict[str, Any] = msgspec.field(default_factory=dict)
    """Sent with every call as ``additionalModelRequestFields``: what only this model understands."""

    unsupported_tools: Literal["reject", "drop"] = "reject"
    """
    What happens to a tool of a type that Converse does not know (``web_search``, ``mcp``, ...): the request is refused,
    or goes up without the tool, which is reported as not applied.
    """

    embedding_input_type: Literal["search_document", "search_query", "classification", "clustering"] = "search_document"
    """What vectors of Cohere's models are for: clients of ``/v1/embeddings`` have no word for it."""

    lists_models: bool = False
    """Whether the control plane's list of models is behind the base URL too, as behind a proxy of one's own."""

    counting: Literal["none", "count_tokens"] = "none"
    """How input tokens are counted without a turn: estimated here, or by asking the upstream, where the model can."""


def read_quirks(options: Mapping[str, object]) -> Quirks:
    """
    The quirks that a configuration names.

    Raises:
        ValueError: A name is unknown (the message gives the nearest known one) or a value is of the wrong type.
    """
    for name in options:
        if name not in Quirks.__struct_fields__:
            nearest = get_close_matches(name, Quirks.__struct_fields__, n=1, cutoff=0.0)[0]
            raise ValueError(f"Unknown quirk '{name}'. Did you mean '{nearest}'?")
    try:
        quirks = msgspec.convert(dict(options), Quirks)
    except msgspec.ValidationError as error:
        raise ValueError(f"Wrong value for a quirk: {error}") from error
    if quirks.region and not _REGION.fullmatch(quirks.region):
        raise ValueError(f"'{quirks.region}' is not a region of AWS, such as 'eu-central-1'.")
    return quirks
