"""
What is known of Claude's models: what each generation takes and refuses.

A request that one model takes is an error at the next (thinking by a budget, a temperature, a tool that has to be
called), and one upstream serves them all, so it cannot be a setting of the upstream alone. A model of Claude's that is
not listed is taken for one of the newest generation, any other for a server that speaks the dialect of the first.

Sources: the model pages and migration guides at ``platform.claude.com/docs``, as of November 2026.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

__all__ = ["Family", "Sampling", "Thinking", "family_of"]

Thinking = Literal["budget", "adaptive", "none"]
Sampling = Literal["both", "one", "none"]


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """
    A generation of models.

    Attributes:
        max_output_tokens: The most that ``max_tokens`` may be; None where it is not known.
        thinking: How thinking is asked for: by a budget of tokens, by an effort, or not at all.
        thinks_unasked: Whether a request that says nothing about thinking gets some.
        thinking_stops: Whether thinking can be turned off.
        sampling: Whether temperature and top_p may both be set, only one of them, or neither.
        forced_tools: Whether the model can be made to call a tool.
        late_system: Whether messages of the system may stand between others, or only at the beginning.
        structured: Whether text can be held to a JSON schema, and a tool's arguments to theirs.
    """

    max_output_tokens: int | None = None
    thinking: Thinking = "adaptive"
    thinks_unasked: bool = False
    thinking_stops: bool = True
    sampling: Sampling = "none"
    forced_tools: bool = True
    late_system: bool = False
    structured: bool = True


_CLAUDE_3 = Family(max_output_tokens=4096, thinking="none", sampling="both", structured=False)
_CLAUDE_3_5 = Family(max_output_tokens=8192, thinking="none", sampling="both", structured=False)
_CLAUDE_3_7 = Family(max_output_tokens=64_000, thinking="budget", sampling="both", structured=False)
_SONNET_4 = Family(max_output_tokens=64_000, thinking="budget", sampling="both", structured=False)
_OPUS_4 = Family(max_output_tokens=32_000, thinking="budget", sampling="both", structured=False)
_OPUS_4_1 = Family(max_output_tokens=32_000, thinking="budget", sampling="one")
_CLAUDE_4_5 = Family(max_output_tokens=64_000, thinking="budget", sampling="one")
_CLAUDE_4_6 = Family(max_output_tokens=128_000, sampling="one")
_OPUS_4_7 = Family(max_output_tokens=128_000)
_OPUS_4_8 = Family(max_output_tokens=128_000, late_system=True)
_SONNET_5 = Family(max_output_tokens=128_000, thinks_unasked=True)
_OPUS_5 = Family(max_output_tokens=128_000, thinks_unasked=True, late_system=True)
_ALWAYS_THINKING = Family(max_output_tokens=128_000, thinks_unasked=True, thinking_stops=False, late_system=True)
_CLAUDE_5_5 = msgspec.structs.replace(_ALWAYS_THINKING, forced_tools=False)

# The first that is found in a name. Other places write the same name differently: a region or `anthropic.` before it,
# a date or a version behind it.
_FAMILIES: tuple[tuple[re.Pattern[str], Family], ...] = tuple(
    (re.compile(pattern), family)
    for pattern, family in (
        (r"claude-3-5", _CLAUDE_3_5),
        (r"claude-3-7", _CLAUDE_3_7),
        (r"claude-3\b", _CLAUDE_3),
        (r"claude-opus-4-1\b", _OPUS_4_1),
        (r"claude-(?:opus|sonnet|haiku)-4-5\b", _CLAUDE_4_5),
        (r"claude-(?:opus|sonnet)-4-6\b", _CLAUDE_4_6),
        (r"claude-opus-4-7\b", _OPUS_4_7),
        (r"claude-opus-4-8\b", _OPUS_4_8),
        (r"claude-opus-4(?:-0\b|[-@]20\d{6}|\Z)", _OPUS_4),
        (r"claude-sonnet-4(?:-0\b|[-@]20\d{6}|\Z)", _SONNET_4),
        (r"claude-(?:opus|sonnet)-5-5\b", _CLAUDE_5_5),
        (r"claude-(?:fable|mythos)-5-1\b", _CLAUDE_5_5),
        (r"claude-(?:fable|mythos)\b", _ALWAYS_THINKING),
        (r"claude-sonnet-5\b", _SONNET_5),
        (r"claude", _OPUS_5),
    )
)
_ANOTHER_VENDORS = Family(thinking="budget", sampling="both")


def family_of(model: str) -> Family:
    """What the model of this name takes, whichever place serves it."""
    name = model.lower().replace(".", "-")  # OpenRouter writes 4.5
    return next((family for pattern, family in _FAMILIES if pattern.search(name)), _ANOTHER_VENDORS)
