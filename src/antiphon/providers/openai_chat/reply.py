"""
What a chat completions server answers, typed: a chunk of a stream, and a whole completion, which is one chunk more.

Only what is looked at is decoded. Unknown fields are skipped and every field may be null or absent, because servers
differ in that. Read further: :mod:`.decode`.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import orjson

from antiphon.hub.errors import UpstreamBroken
from antiphon.hub.items import JsonObject
from antiphon.hub.usage import Usage

__all__ = [
    "Choice",
    "Chunk",
    "Delta",
    "Function",
    "Logprobs",
    "TokenUsage",
    "ToolCall",
    "decode_chunk",
    "keepable",
    "read_annotation",
    "read_logprobs",
    "read_usage",
]

# What databases and JavaScript still count exactly.
_Count = Annotated[int, msgspec.Meta(le=2**53 - 1)]
_Byte = Annotated[int, msgspec.Meta(ge=0, le=255)]
# How deep in a response something of the upstream's own may come to stand.
_LEVELS_ABOVE = 16


class Function(msgspec.Struct, gc=False):
    """A function call, or a piece of one. Some servers send the arguments as an object instead of its JSON."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class Custom(msgspec.Struct, gc=False):
    """A call of a custom tool, or a piece of one."""

    name: str | None = None
    input: str | None = None


class ToolCall(msgspec.Struct):
    """
    A tool call, or a piece of one.

    Attributes:
        index: Which call of the reply. Missing in whole replies and at some servers; always 0 at some others.
        extra_content: Gemini's thought signature, which it wants back with the call.
    """

    index: int | None = None
    id: str | None = None
    function: Function | None = None
    custom: Custom | None = None
    extra_content: JsonObject | None = None


class Delta(msgspec.Struct):
    """
    A message, or what has come to it.

    Attributes:
        content: Text, or Mistral's list of typed parts.
        reasoning_content: DeepSeek, Moonshot, Qwen, llama.cpp, older vLLM.
        reasoning: OpenRouter, Groq, Ollama, newer vLLM.
        reasoning_text: GitHub Copilot.
        reasoning_details: OpenRouter: text, summaries and encrypted reasoning as it must be sent back.
        function_call: The API's form before there were tools.
    """

    content: str | list[JsonObject] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_text: str | None = None
    reasoning_details: list[JsonObject] | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: Function | None = None
    annotations: list[JsonObject] | None = None


class Logprob(msgspec.Struct):
    """The probability of one token, and of what else could have stood there."""

    token: str
    logprob: float
    bytes: list[_Byte] | None = None
    top_logprobs: list[Logprob] | None = None


class Logprobs(msgspec.Struct):
    """The probabilities of a piece of text."""

    content: list[Logprob] | None = None


class Choice(msgspec.Struct):
    """
    One answer: a delta in a stream, a message in a whole completion.

    Attributes:
        stop_reason: vLLM's: the text at which it stopped, or the number of a token.
        matched_stop: SGLang's, likewise.
    """

    index: int | None = None
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None
    error: Any = None
    stop_reason: Any = None
    matched_stop: Any = None


class PromptDetails(msgspec.Struct, gc=False):
    """Of the prompt's tokens: read from the cache, and written to it (OpenRouter)."""

    cached_tokens: _Count | None = None
    cache_write_tokens: _Count | None = None


class CompletionDetails(msgspec.Struct, gc=False):
    """Of the generated tokens: reasoning."""

    reasoning_tokens: _Count | None = None


class TokenUsage(msgspec.Struct, gc=False):
    """
    Token counts.

    Attributes:
        prompt_cache_hit_tokens: DeepSeek's.
        cached_tokens: Moonshot's and StepFun's.
        reasoning_tokens: SGLang's.
    """

    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    total_tokens: _Count | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    prompt_cache_hit_tokens: _Count | None = None
    cached_tokens: _Count | None = None
    reasoning_tokens: _Count | None = None


class Groq(msgspec.Struct):
    """Groq's own corner of a chunk."""

    usage: TokenUsage | None = None
    error: Any = None


class Chunk(msgspec.Struct):
    """
    One event of a stream, or a whole completion.

    Attributes:
        choices: Empty in the chunk that carries the usage, and in Azure's first one. None: this is no completion.
        error: What went wrong, in the middle of a stream or with status 200.
    """

    choices: list[Choice] | None = None
    model: str | None = None
    usage: TokenUsage | None = None
    service_tier: str | None = None
    error: Any = None
    x_groq: Groq | None = None


_decoder = msgspec.json.Decoder(Chunk)


def decode_chunk(data: bytes) -> Chunk:
    """
    Read one chunk or a whole completion.

    Raises:
        UpstreamBroken: It is not JSON, or a field is of a type that no server gives it.
    """
    try:
        return _decoder.decode(data)
    except msgspec.DecodeError as error:
        raise UpstreamBroken(f"The upstream's reply is not a chat completion: {error}.") from error
    except (UnicodeDecodeError, RecursionError) as error:
        why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else "it is nested too deeply"
        raise UpstreamBroken(f"The upstream's reply is not a chat completion: {why}.") from error


def read_usage(usage: TokenUsage) -> Usage:
    """The hub's counts. Reasoning is part of the output, also where the server (xAI) counts it beside it."""
    prompt = usage.prompt_tokens_details or PromptDetails()
    completion = usage.completion_tokens_details or CompletionDetails()
    input_tokens, output_tokens = _tokens(usage.prompt_tokens), _tokens(usage.completion_tokens)
    reasoning_tokens = _tokens(completion.reasoning_tokens or usage.reasoning_tokens)
    if usage.total_tokens == input_tokens + output_tokens + reasoning_tokens:
        output_tokens += reasoning_tokens
    return Usage(
        input_tokens=input_tokens,
        cached_tokens=_tokens(prompt.cached_tokens or usage.prompt_cache_hit_tokens or usage.cached_tokens),
        cache_write_tokens=_tokens(prompt.cache_write_tokens),
        output_tokens=output_tokens,
        reasoning_tokens=reasoning_tokens,
    )


def _tokens(count: int | None) -> int:
    """A count; 0 where there is none, which some servers write as -1."""
    return max(count or 0, 0)


def keepable(value: JsonObject) -> JsonObject:
    """
    *value* as it is, if a response that holds it can be written as JSON.

    Raises:
        UpstreamBroken: It holds a number of more than 64 bits, or is nested too deeply.
    """
    outer: object = value
    for _ in range(_LEVELS_ABOVE):
        outer = [outer]
    try:
        orjson.dumps(outer)
    except orjson.JSONEncodeError as error:
        raise UpstreamBroken(f"The upstream's reply holds what cannot be kept as JSON: {error}.") from error
    return value


def read_logprobs(logprobs: list[Logprob]) -> tuple[JsonObject, ...]:
    """Token probabilities in the Responses API's form, which has no null in them."""
    return tuple(
        {**_read_logprob(entry), "top_logprobs": [_read_logprob(other) for other in entry.top_logprobs or ()]}
        for entry in logprobs
    )


def _read_logprob(entry: Logprob) -> JsonObject:
    return {"token": entry.token, "bytes": entry.bytes or [], "logprob": entry.logprob}


def read_annotation(annotation: JsonObject) -> JsonObject:
    """
    A citation in the Responses API's form: flat, where chat nests it under the name of its type.

    Raises:
        UpstreamBroken: See :func:`keepable`.
    """
    kind = keepable(annotation).get("type")
    nested = annotation.get(kind) if isinstance(kind, str) else None
    flat = {"type": kind, **nested} if isinstance(nested, dict) else dict(annotation)
    if kind == "url_citation":
        for name, missing in (("start_index", 0), ("end_index", 0), ("url", ""), ("title", "")):
            if flat.get(name) is None:
                flat[name] = missing
    return flat
