"""
What ``generateContent`` answers, typed: a whole reply, and each chunk of a stream, which is a whole reply in form.

Only what is looked at is decoded. Unknown fields are skipped, and every field may be null or absent. Read further:
:mod:`.decode`.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from antiphon.hub.errors import UpstreamBroken
from antiphon.hub.items import JsonObject
from antiphon.hub.usage import Usage

__all__ = [
    "Candidate",
    "Chunk",
    "CitationMetadata",
    "FunctionCall",
    "GroundingMetadata",
    "Part",
    "TokenCounts",
    "decode_chunk",
    "read_logprobs",
    "read_usage",
]

# What databases and JavaScript still count exactly.
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


class FunctionCall(msgspec.Struct, rename="camel"):
    """
    A call of a function, which always comes whole.

    Attributes:
        will_continue: Vertex AI's pieces of arguments, which come only where they are asked for.
    """

    name: str | None = None
    args: JsonObject | None = None
    will_continue: bool | None = None


class Part(msgspec.Struct, rename="camel"):
    """
    A piece of what the model says: one of text, call or media.

    Attributes:
        thought: Whether the text is a summary of the model's thinking.
        thought_signature: Wanted back on this part. See :mod:`.signatures`.
    """

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: FunctionCall | None = None
    inline_data: Any = None
    file_data: Any = None
    executable_code: Any = None
    code_execution_result: Any = None


class Content(msgspec.Struct):
    """What one role says."""

    parts: list[Part] | None = None


class Web(msgspec.Struct, gc=False):
    """A page."""

    uri: str | None = None
    title: str | None = None


class GroundingChunk(msgspec.Struct):
    """A source that was found; other kinds than pages are left alone."""

    web: Web | None = None


class Segment(msgspec.Struct, gc=False, rename="camel"):
    """A piece of the text, in bytes of its UTF-8."""

    start_index: _Count | None = None
    end_index: _Count | None = None


class GroundingSupport(msgspec.Struct, rename="camel"):
    """Which sources stand behind a piece of the text."""

    segment: Segment | None = None
    grounding_chunk_indices: list[_Count] | None = None


class GroundingMetadata(msgspec.Struct, rename="camel"):
    """What a search has found, and where it is used."""

    grounding_chunks: list[GroundingChunk] | None = None
    grounding_supports: list[GroundingSupport] | None = None


class Citation(msgspec.Struct, gc=False, rename="camel"):
    """A piece of the text that stands elsewhere already."""

    start_index: _Count | None = None
    end_index: _Count | None = None
    uri: str | None = None
    title: str | None = None


class CitationMetadata(msgspec.Struct, rename="camel"):
    """Recited pieces: ``citationSources`` in the Gemini API, ``citations`` at Vertex AI."""

    citation_sources: list[Citation] | None = None
    citations: list[Citation] | None = None


class TokenChoice(msgspec.Struct, gc=False, rename="camel"):
    """A token and its probability."""

    token: str | None = None
    log_probability: float | None = None


class TokenChoices(msgspec.Struct):
    """What else could have stood in a token's place."""

    candidates: list[TokenChoice] | None = None


class LogprobsResult(msgspec.Struct, rename="camel"):
    """The probabilities of a chunk's tokens."""

    chosen_candidates: list[TokenChoice] | None = None
    top_candidates: list[TokenChoices] | None = None


class Candidate(msgspec.Struct, rename="camel"):
    """One answer."""

    content: Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    index: int | None = None
    grounding_metadata: GroundingMetadata | None = None
    citation_metadata: CitationMetadata | None = None
    logprobs_result: LogprobsResult | None = None


class PromptFeedback(msgspec.Struct, rename="camel"):
    """Why a prompt was not answered."""

    block_reason: str | None = None


class TokenCounts(msgspec.Struct, gc=False, rename="camel"):
    """Token counts so far: each chunk has those of the whole reply up to it."""

    prompt_token_count: _Count | None = None
    cached_content_token_count: _Count | None = None
    candidates_token_count: _Count | None = None
    thoughts_token_count: _Count | None = None
    tool_use_prompt_token_count: _Count | None = None


class Chunk(msgspec.Struct, rename="camel"):
    """
    A reply, or a chunk of one.

    Attributes:
        candidates: Absent where the prompt was blocked, and in a chunk that carries counts only.
        error: What went wrong, in the middle of a stream.
    """

    candidates: list[Candidate] | None = None
    prompt_feedback: PromptFeedback | None = None
    usage_metadata: TokenCounts | None = None
    model_version: str | None = None
    error: Any = None


_decoder = msgspec.json.Decoder(Chunk)


def decode_chunk(data: bytes | msgspec.Raw) -> Chunk:
    """
    Read one chunk or a whole reply.

    Raises:
        UpstreamBroken: It is not JSON, or a field is of another type than the API gives it.
    """
    try:
        return _decoder.decode(data)
    except msgspec.DecodeError as error:
        raise UpstreamBroken(f"The upstream's reply is not one of generateContent: {error}.") from error
    except (UnicodeDecodeError, RecursionError) as error:
        why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else "it is nested too deeply"
        raise UpstreamBroken(f"The upstream's reply is not one of generateContent: {why}.") from error


def read_usage(counts: TokenCounts) -> Usage:
    """The hub's counts. What the upstream's own tools gave the model is input; thinking is output."""
    thoughts = counts.thoughts_token_count or 0
    return Usage(
        input_tokens=(counts.prompt_token_count or 0) + (counts.tool_use_prompt_token_count or 0),
        cached_tokens=counts.cached_content_token_count or 0,
        output_tokens=(counts.candidates_token_count or 0) + thoughts,
        reasoning_tokens=thoughts,
    )


def read_logprobs(result: LogprobsResult) -> tuple[JsonObject, ...]:
    """Token probabilities in the Responses API's form."""
    tops = [choices.candidates or [] for choices in result.top_candidates or ()]
    chosen = result.chosen_candidates or []
    return tuple(
        {**_logprob(entry), "top_logprobs": [_logprob(other) for other in (tops[index] if index < len(tops) else ())]}
        for index, entry in enumerate(chosen)
    )


def _logprob(entry: TokenChoice) -> JsonObject:
    token = entry.token or ""
    return {"token": token, "bytes": list(token.encode()), "logprob": entry.log_probability or 0.0}
