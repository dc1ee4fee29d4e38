"""
A context that is too long, told apart from every other complaint, with the numbers that the server gives.

What the numbers mean differs: some servers count the wanted output as well. Here they are made to mean one thing: how
many tokens of input there are, and how many there is room for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from antiphon.hub.errors import ContextLengthExceeded
from antiphon.providers.openai_chat.error_body import Complaint

__all__ = ["OUTPUT_LIMIT_WORDS", "read_overflow"]

_CODES = frozenset(
    {
        "context_length_exceeded",
        "context_window_exceeded",
        "exceed_context_size_error",  # llama.cpp, as the type
        "model_max_prompt_tokens_exceeded",  # GitHub Models
    }
)
# Each alternative is a vendor's own wording: OpenAI/vLLM/DeepSeek/Mistral/SGLang/Ollama, LM Studio, xAI, Anthropic and
# Fireworks, Bedrock, llama.cpp, Groq/Cerebras, Gemini, TGI/Together, Cohere, Moonshot, DashScope, Zhipu.
_WORDS = re.compile(
    r"context[ _](?:length|window|limit)|overflows? the context|maximum prompt length|(?:prompt|input) is too long"
    r"|context size|reduce the length of the (?:messages|prompt|input)|input token count .{0,40}exceeds"
    r"|`inputs` (?:tokens|must have)|too many tokens|exceeded model token limit|range of input length"
    r"|prompt exceeds max length",
    re.IGNORECASE,
)
# vLLM mentions the context length here too, but it is the wish for output that is too large.
OUTPUT_LIMIT_WORDS: Final = re.compile(r"max_(?:completion_|output_)?tokens\W.{0,80}too large", re.IGNORECASE)


def _patterns(*sources: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(source.replace("#", r"(\d{1,12})"), re.IGNORECASE) for source in sources)


_WINDOW = _patterns(
    r"maximum context length (?:is|of) #",  # OpenAI, vLLM, OpenRouter
    r"available context size \(# tokens",  # llama.cpp
    r"context length \(# tokens",  # SGLang
    r"with # maximum context length",  # Mistral
    r"maximum number of tokens allowed \(#",  # Gemini
    r"maximum prompt length is #",  # xAI
    r"> # maximum",  # Anthropic
    r"context limit: \d{1,12} \+ \d{1,12} > #",  # Anthropic, with output
    r"model token limit: #",  # Moonshot
    r"range of input length should be \[\d+, #",  # DashScope
    r"must be <= #",  # TGI
)
_INPUT = _patterns(
    r"\(# in the messages",  # OpenAI, older vLLM
    r"messages resulted in # tokens",  # OpenAI
    r"prompt contains (?:at least )?# (?:input )?tokens",  # vLLM, Mistral
    r"your request has # input tokens",  # vLLM
    r"\(# of text input",  # OpenRouter
    r"request \(# tokens\) exceeds",  # llama.cpp
    r"input \(# tokens\) is longer",  # SGLang
    r"input token count \(#",  # Gemini
    r"request contains # tokens",  # xAI
    r"too long: # tokens",  # Anthropic
    r"context limit: # \+",  # Anthropic, with output
    r"given: # `inputs`",  # TGI
    r"\(requested: #",  # Moonshot
)
_FUNCTIONS = _patterns(r"# in the functions")  # OpenAI counts the tools' definitions beside the messages
_OUTPUT = _patterns(
    r"# in the completion",  # OpenAI, older vLLM
    r"requested # output tokens",  # vLLM
    r"# in the output",  # OpenRouter
    r"context limit: \d{1,12} \+ # >",  # Anthropic
    r"and # `max_new_tokens`",  # TGI
)


def read_overflow(status: int, complaint: Complaint) -> ContextLengthExceeded | None:
    """
    The error for a context that is too long; None if *complaint* is about something else.

    Servers do not agree on the status, so the words decide as well: 500 was llama.cpp's.
    """
    if status not in (400, 413, 422, 500) or OUTPUT_LIMIT_WORDS.search(complaint.text):
        return None
    if _CODES.isdisjoint((complaint.code, complaint.kind)) and not _WORDS.search(complaint.text):
        return None
    limit, needed = _room(complaint), _needed(complaint)
    if limit is None or needed is None or not 0 < limit < needed:
        # Alone, or at odds with each other, the numbers mean something else than what they seem to.
        return ContextLengthExceeded()
    return ContextLengthExceeded(limit_tokens=limit, needed_tokens=needed)


def _room(complaint: Complaint) -> int | None:
    window = complaint.window_tokens or _first(_WINDOW, complaint.text)
    return None if window is None else window - (_first(_OUTPUT, complaint.text) or 0)


def _needed(complaint: Complaint) -> int | None:
    needed = complaint.input_tokens or _first(_INPUT, complaint.text)
    return None if needed is None else needed + (_first(_FUNCTIONS, complaint.text) or 0)


def _first(patterns: Sequence[re.Pattern[str]], text: str) -> int | None:
    for pattern in patterns:
        match = pattern.search(text)
        if match:
            return int(match.group(1))
    return None
