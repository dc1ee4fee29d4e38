"""
How a server of the Messages API deviates from Anthropic's own, as data.

The defaults are Anthropic's own API. What depends on the model alone is known of Claude's models (:mod:`.families`);
where a quirk says something about that, the quirk stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Literal

import msgspec

from antiphon.providers.anthropic.families import Family, family_of

__all__ = ["Quirks", "read_quirks"]


class Quirks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The deviations of one upstream."""

    host: Literal["anthropic", "vertex", "bedrock"] = "anthropic"
    """
    Whose paths and bodies these are: Anthropic's, Google Cloud's (``:rawPredict``) or Amazon Bedrock's
    (``/model/{id}/invoke``, whose streams are AWS event streams).
    """

    max_tokens: int | None = None
    """
    The limit of the output that is sent when a request has none: the API demands one. Without this quirk the most that
    the model can, where that is known, else 8192.
    """

    thinking: Literal["by_model", "budget", "adaptive", "none"] = "by_model"
    """
    What ``reasoning.effort`` becomes: a budget of thinking tokens, adaptive thinking with ``output_config.effort``, or
    a refusal, for models that do not think.
    """

    sampling: Literal["by_model", "both", "one", "none"] = "by_model"
    """Whether temperature and top_p may both be set, only one of them, or neither."""

    late_system: Literal["by_model", "top", "in_place"] = "by_model"
    """
    Where a message of the system goes that stands between others: to the end of the system prompt at the top, or behind
    the user's turn in which it falls. The clouds do not say which of their models take the latter: there it is the top.
    """

    structured_outputs: bool | None = None
    """
    Whether ``output_config.format`` and a tool's ``strict`` are understood. Where not, a JSON schema is refused by name
    and ``strict`` is reported as not applied.
    """

    json_object: Literal["reject", "instruction"] = "reject"
    """
    What a text format of type ``json_object`` becomes, which the API does not have: a refusal, or a sentence at the end
    of the system prompt, which the model follows or does not.
    """

    replay_thinking: Literal["tool_loop", "always", "never"] = "tool_loop"
    """
    Which earlier thinking goes back: that of the current tool loop (everything after the last user message), which the
    API demands, all of it, or none. A request's ``reasoning.context`` chooses between the first two.
    """

    caching: bool = True
    """Whether the stable beginning of a prompt is marked to be cached (``cache_control``)."""

    cache_ttl: Literal["5m", "1h"] = "5m"
    """How long the cache keeps it. Writing costs more with the longer one."""

    images: bool = True
    """Whether messages and tool results may hold images."""

    documents: bool = True
    """Whether messages and tool results may hold documents."""

    unsupported_tools: Literal["reject", "drop"] = "reject"
    """
    What happens to a tool of a type that the dialect does not know (``web_search``, ``mcp``, ...): the request is
    refused, or goes up without the tool, which is reported as not applied.
    """

    verbatim: bool = True
    """
    Whether a client that speaks this dialect may say what only the upstream knows: its request goes up as it came.
    Where not, unknown fields are refused, as at an upstream of another dialect.
    """

    betas: tuple[str, ...] = ()
    """Features in beta to turn on with every request (``anthropic-beta``)."""

    def family(self, model: str) -> Family:
        """What *model* takes at this upstream."""
        family = family_of(model)
        return msgspec.structs.replace(
            family,
            max_output_tokens=self.max_tokens or family.max_output_tokens,
            thinking=family.thinking if self.thinking == "by_model" else self.thinking,
            late_system=self._takes_late_system(family),
            sampling=family.sampling if self.sampling == "by_model" else self.sampling,
            structured=family.structured if self.structured_outputs is None else self.structured_outputs,
        )

    def _takes_late_system(self, family: Family) -> bool:
        if self.late_system == "by_model":
            return family.late_system and self.host == "anthropic"
        return self.late_system == "in_place"


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
        quirks = msgspec.convert(dict(options), Quirks)
    except msgspec.ValidationError as error:
        raise ValueError(f"Wrong value for a quirk: {error}") from error
    if quirks.max_tokens is not None and quirks.max_tokens < 1:
        raise ValueError(f"Wrong value for a quirk: max_tokens must be at least 1, not {quirks.max_tokens}.")
    return quirks
