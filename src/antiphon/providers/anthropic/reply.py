"""
What the Messages API answers, typed: an event of a stream, and a whole message.

Only what is looked at is decoded; unknown fields and unknown kinds are skipped. Read further: :mod:`.decode`.
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
    "Citation",
    "Delta",
    "Message",
    "StopDetails",
    "StreamEvent",
    "TokenUsage",
    "decode_block",
    "decode_event",
    "decode_message",
    "decode_object",
]

# What databases and JavaScript still count exactly.
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
# How deep in a response something of the API's own may come to stand.
_LEVELS_ABOVE = 16


class OutputDetails(msgspec.Struct, gc=False):
    """Of the generated tokens: thinking."""

    thinking_tokens: _Count | None = None


class TokenUsage(msgspec.Struct):
    """Token counts; those of the input leave out what was read from the cache or written to it."""

    input_tokens: _Count | None = None
    cache_read_input_tokens: _Count | None = None
    cache_creation_input_tokens: _Count | None = None
    output_tokens: _Count | None = None
    output_tokens_details: OutputDetails | None = None
    service_tier: str | None = None

    def updated(self, later: TokenUsage) -> TokenUsage:
        """These counts with what a later event says of them; each event's are of the whole message so far."""
        said = {name: value for name in self.__struct_fields__ if (value := getattr(later, name)) is not None}
        return msgspec.structs.replace(self, **said)

    def counted(self) -> Usage:
        """The hub's counts: the input includes what is cached."""
        read, written = self.cache_read_input_tokens or 0, self.cache_creation_input_tokens or 0
        details = self.output_tokens_details or OutputDetails()
        return Usage(
            input_tokens=(self.input_tokens or 0) + read + written,
            cached_tokens=read,
            cache_write_tokens=written,
            output_tokens=self.output_tokens or 0,
            reasoning_tokens=details.thinking_tokens or 0,
        )


class Citation(msgspec.Struct):
    """
    Where something in a text is from: a page of the web, a search result, or a document of the request.

    Attributes:
        source: What a search result of the request was called, which may be its address.
    """

    type: str = ""
    url: str | None = None
    source: str | None = None
    title: str | None = None
    document_title: str | None = None


class Block(msgspec.Struct):
    """
    A content block, or the beginning of one.

    Attributes:
        input: The arguments of a call as they were written.
    """

    type: str
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw()
    citations: list[Citation] | None = None


class StopDetails(msgspec.Struct):
    """Why the API refused to go on."""

    explanation: str | None = None


class Delta(msgspec.Struct):
    """What has come to a block, or to the message."""

    type: str | None = None
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    citation: Citation | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None


class Message(msgspec.Struct):
    """A message, or the beginning of one. *type* is ``error`` where it is none."""

    type: str | None = None
    model: str | None = None
    content: list[msgspec.Raw] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None
    usage: TokenUsage | None = None
    error: Any = None


class StreamEvent(msgspec.Struct):
    """One event of a stream, of whichever type."""

    type: str = ""
    index: int | None = None
    message: Message | None = None
    content_block: msgspec.Raw = msgspec.Raw()
    delta: Delta | None = None
    usage: TokenUsage | None = None
    error: Any = None


_event_decoder = msgspec.json.Decoder(StreamEvent)
_message_decoder = msgspec.json.Decoder(Message)
_block_decoder = msgspec.json.Decoder(Block)
_object_decoder = msgspec.json.Decoder(dict[str, Any])

_Decoded = TypeVar("_Decoded")


def decode_event(data: bytes) -> StreamEvent:
    """
    Read an event's data.

    Raises:
        UpstreamBroken: It is not JSON, or a field is of a type that the API does not give it.
    """
    return _decode(_event_decoder, data)


def decode_message(body: bytes) -> Message:
    """Read a whole message. Raises as :func:`decode_event`."""
    return _decode(_message_decoder, body)


def decode_block(raw: msgspec.Raw) -> Block:
    """Read a content block. Raises as :func:`decode_event`."""
    return _decode(_block_decoder, bytes(raw))


def decode_object(raw: msgspec.Raw) -> JsonObject:
    """
    Read an object that is kept as it is.

    Raises:
        UpstreamBroken: It is no object, or a response that holds it could not be written as JSON.
    """
    decoded = _decode(_object_decoder, bytes(raw))
    outer: object = decoded
    for _ in range(_LEVELS_ABOVE):
        outer = [outer]
    try:
        orjson.dumps(outer)
    except orjson.JSONEncodeError as error:
        raise UpstreamBroken(f"The upstream's reply holds what cannot be kept as JSON: {error}.") from error
    return decoded


def _decode(decoder: msgspec.json.Decoder[_Decoded], data: bytes) -> _Decoded:
    try:
        return decoder.decode(data)
    except msgspec.DecodeError as error:
        raise UpstreamBroken(f"The upstream's reply is no message of its dialect: {error}.") from error
    except (UnicodeDecodeError, RecursionError) as error:
        why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else "it is nested too deeply"
        raise UpstreamBroken(f"The upstream's reply is no message of its dialect: {why}.") from error
