"""
A context that is too long, told apart from all other complaints, with the numbers that the server gives.

They are made to mean one thing: how many tokens of input there are, and how many there is room for. Some servers count
the output that was wanted as well.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from antiphon.hub.errors import ContextLengthExceeded
from antiphon.providers.openai_responses.error_body import Complaint

__all__ = ["is_about_output", "read_overflow"]

_STATUSES = frozenset({400, 413, 422, 500})
_CODES = frozenset({"context_length_exceeded", "context_window_exceeded", "exceed_context_size_error"})
# As OpenAI and Azure, vLLM, llama.cpp, LM Studio, xAI, Ollama and SGLang say it.
_WORDS = re.compile(
    r"context (?:length|window|size|limit)|context_length|overflows? the context|maximum prompt length"
    r"|(?:prompt|input) is too long|exceeds? the (?:available|model'?s) context|too many tokens"
    r"|reduce the length of the (?:messages|prompt|input)",
    re.IGNORECASE,
)
# The wish for output is too large, not the context: vLLM's words, which name the context length too.
_OUTPUT_WORDS = re.compile(r"max_(?:output_|completion_)?tokens\W.{0,80}too large", re.IGNORECASE)


def _patterns(*sources: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(source.replace("#", r"(\d{1,12})"), re.IGNORECASE) for source in sources)


_WINDOW: Final = _patterns(
    r"maximum context length (?:is|of) #",  # OpenAI, vLLM
    r"available context size \(# tokens",  # llama.cpp
    r"context length of (?:only )?# tokens",  # LM Studio
    r"context length \(# tokens",  # SGLang
    r"maximum prompt length is #",  # xAI
)
_INPUT: Final = _patterns(
    r"resulted in # tokens",  # OpenAI
    r"\(# in the (?:messages|input)",  # OpenAI, older vLLM
    r"prompt contains (?:at least )?# (?:input )?tokens",  # vLLM
    r"your request has # input tokens",  # vLLM
    r"request \(# tokens\) exceeds",  # llama.cpp
    r"first # tokens when",  # LM Studio
    r"input \(# tokens\) is longer",  # SGLang
    r"request contains # tokens",  # xAI
)
_OUTPUT: Final = _patterns(r"# in the completion", r"requested # output tokens")  # OpenAI and vLLM


def read_overflow(status: int, complaint: Complaint) -> ContextLengthExceeded | None:
    """The error for a context that is too long; None if *complaint* is about something else."""
    if status not in _STATUSES or is_about_output(complaint):
        return None
    if _CODES.isdisjoint((complaint.code, complaint.kind)) and not _WORDS.search(complaint.text):
        return None
    window = complaint.window_tokens or _first(_WINDOW, complaint.text)
    needed = complaint.input_tokens or _first(_INPUT, complaint.text)
    limit = None if window is None else window - (_first(_OUTPUT, complaint.text) or 0)
    if limit is None or needed is None or not 0 < limit < needed:
        # One alone, or two at odds with each other, mean something else than they seem to.
        return ContextLengthExceeded()
    return ContextLengthExceeded(limit_tokens=limit, needed_tokens=needed)


def is_about_output(complaint: Complaint) -> bool:
    """Whether the output that was asked for is what is too long."""
    return bool(_OUTPUT_WORDS.search(complaint.text))


def _first(patterns: Sequence[re.Pattern[str]], text: str) -> int | None:
    found = (pattern.search(text) for pattern in patterns)
    return next((int(match.group(1)) for match in found if match), None)
