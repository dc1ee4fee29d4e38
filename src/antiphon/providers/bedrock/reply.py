"""
What Converse answers, typed: the events of a stream, and a whole reply.

Only what is looked at is decoded. Unknown fields are skipped, and any field may be null or absent. Read further:
:mod:`.decode`.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec
import orjson

from antiphon.hub.errors import UpstreamBroken
from antiphon.hub.items import JsonObject
from antiphon.hub.usage import Usage

__all__ = [
    "Block",
    "Chunk",
    "Delta",
    "Reply",
    "ServiceTier",
    "TokenUsage",
    "ToolUse",
    "Trace",
    "decode_chunk",
    "decode_reply",
    "read_arguments",
    "read_citation",
    "read_usage",
]

# What databases and JavaScript still count exactly.
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


class ToolUseStart(msgspec.Struct, rename="camel", gc=False):
    """A call begins. ``type`` is set for a tool that the upstream runs itself."""

    name: str | None = None
    type: str | None = None


class ToolUseDelta(msgspec.Struct, rename="camel", gc=False):
    """A piece of a call's arguments, as JSON in the making."""

    input: str = ""


class ReasoningDelta(msgspec.Struct, rename="camel", gc=False):
    """A piece of reasoning: of its text, or of its signature, or all of it, encrypted."""

    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class Start(msgspec.Struct, rename="camel"):
    """What a block is, where its pieces do not say it."""

    tool_use: ToolUseStart | None = None
    tool_result: Any = None
    image: Any = None


class Delta(msgspec.Struct, rename="camel"):
    """What has come to a block."""

    text: str | None = None
    tool_use: ToolUseDelta | None = None
    reasoning_content: ReasoningDelta | None = None
    citation: JsonObject | None = None
    tool_result: Any = None
    image: Any = None


class TokenUsage(msgspec.Struct, rename="camel", gc=False):
    """Token counts. ``inputTokens`` leaves out what was read from the cache or written to it."""

    input_tokens: _Count | None = None
    output_tokens: _Count | None = None
    cache_read_input_tokens: _Count | None = None
    cache_write_input_tokens: _Count | None = None


class PromptRouter(msgspec.Struct, rename="camel"):
    """Which model a prompt router has chosen."""

    invoked_model_id: str | None = None


class Trace(msgspec.Struct, rename="camel"):
    """How the reply came about."""

    prompt_router: PromptRouter | None = None


class ServiceTier(msgspec.Struct):
    """The tier that a call was served in."""

    type: str | None = None


class ModelFields(msgspec.Struct):
    """What was asked for of a model's own reply: the text at which it stopped."""

    stop_sequence: str | None = None


class Chunk(msgspec.Struct, rename="camel"):
    """The payload of an event, whichever event it is."""

    content_block_index: int = 0
    start: Start | None = None
    delta: Delta | None = None
    stop_reason: str | None = None
    additional_model_response_fields: ModelFields | None = None
    usage: TokenUsage | None = None
    trace: Trace | None = None
    service_tier: ServiceTier | None = None


class ToolUse(msgspec.Struct, rename="camel"):
    """A whole call."""

    name: str | None = None
    input: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"{}"))
    type: str | None = None


class ReasoningText(msgspec.Struct, rename="camel"):
    """A whole thought, and what seals it."""

    text: str | None = None
    signature: str | None = None


class Reasoning(msgspec.Struct, rename="camel"):
    """A block of reasoning: readable, or encrypted."""

    reasoning_text: ReasoningText | None = None
    redacted_content: str | None = None


class CitedText(msgspec.Struct):
    """A text with citations."""

    text: str | None = None


class Citations(msgspec.Struct, rename="camel"):
    """A text, and what it cites."""

    content: list[CitedText] | None = None
    citations: list[JsonObject] | None = None


class Block(msgspec.Struct, rename="camel"):
    """A whole block of content."""

    text: str | None = None
    tool_use: ToolUse | None = None
    reasoning_content: Reasoning | None = None
    citations_content: Citations | None = None
    tool_result: Any = None
    image: Any = None


class Message(msgspec.Struct):
    """What the model said."""

    content: list[Block] | None = None


class Output(msgspec.Struct):
    """What the operation yields."""

    message: Message | None = None


class Reply(msgspec.Struct, rename="camel"):
    """A whole reply."""

    output: Output | None = None
    stop_reason: str | None = None
    additional_model_response_fields: ModelFields | None = None
    usage: TokenUsage | None = None
    trace: Trace | None = None
    service_tier: ServiceTier | None = None


_T = TypeVar("_T", Chunk, Reply)
_chunk_decoder = msgspec.json.Decoder(Chunk)
_reply_decoder = msgspec.json.Decoder(Reply)


def decode_chunk(payload: bytes) -> Chunk:
    """
    The payload of an event.

    Raises:
        UpstreamBroken: It is not JSON, or a field is of a type that the API does not give it.
    """
    return _decode(_chunk_decoder, payload)


def decode_reply(body: bytes) -> Reply:
    """
    A whole reply.

    Raises:
        UpstreamBroken: See :func:`decode_chunk`.
    """
    return _decode(_reply_decoder, body)


def _decode(decoder: msgspec.json.Decoder[_T], data: bytes) -> _T:
    try:
        return decoder.decode(data)
    except msgspec.DecodeError as error:
        raise UpstreamBroken(f"The upstream's reply is not one of Converse: {error}.") from error
    except (UnicodeDecodeError, RecursionError) as error:
        why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else "it is nested too deeply"
        raise UpstreamBroken(f"The upstream's reply is not one of Converse: {why}.") from error


def read_arguments(use: ToolUse) -> str:
    """
    A whole call's arguments as they were written; empty if there are none, as a stream has it.

    Raises:
        UpstreamBroken: They are not UTF-8.
    """
    written = bytes(use.input)
    try:
        return "" if written == b"{}" else written.decode()
    except UnicodeDecodeError as error:
        raise UpstreamBroken("The upstream's reply is not one of Converse: it is not UTF-8.") from error


def read_usage(usage: TokenUsage) -> Usage:
    """The hub's counts: the input with its cached part. How much of the output was reasoning is not reported."""
    cached, written = usage.cache_read_input_tokens or 0, usage.cache_write_input_tokens or 0
    return Usage(
        input_tokens=(usage.input_tokens or 0) + cached + written,
        cached_tokens=cached,
        cache_write_tokens=written,
        output_tokens=usage.output_tokens or 0,
    )


def read_citation(citation: JsonObject) -> JsonObject | None:
    """
    A citation of a page, in the Responses API's form; None for one of a document, which the API names by a file's id.

    Raises:
        UpstreamBroken: It holds what cannot be kept as JSON.
    """
    location = citation.get("location")
    web = location.get("web") if isinstance(location, dict) else None
    if not isinstance(web, dict) or not isinstance(web.get("url"), str):
        return None
    title = citation.get("title")
    found = {
        "type": "url_citation",
        "start_index": 0,
        "end_index": 0,
        "url": web["url"],
        "title": title if isinstance(title, str) else "",
    }
    try:
        orjson.dumps(found)
    except orjson.JSONEncodeError as error:
        raise UpstreamBroken("The upstream's reply holds a citation that is not text.") from error
    return found
