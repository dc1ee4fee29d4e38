"""
How the events of a stream are wrapped: as server-sent events, or, at Amazon Bedrock, as frames of an AWS event stream.

The event itself is the same JSON in both. Nothing of it is looked at here.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from typing import Protocol

import msgspec

from antiphon.hub.errors import UpstreamBroken
from antiphon.providers.anthropic.errors import translate_stream_error
from antiphon.streams.aws_event_stream import EventStreamMessage, EventStreamParser
from antiphon.streams.sse import SseParser

__all__ = ["AwsFrames", "Frames", "SseFrames"]


class Frames(Protocol):
    """Takes bytes as they come, gives the data of whole events."""

    def feed(self, block: bytes) -> Iterator[bytes]:
        """
        The events that ended in this block, one after the other.

        Raises:
            UpstreamError: A frame is malformed, or is itself an error.
        """
        ...

    def finish(self) -> Iterator[bytes]:
        """
        The connection ended: the event that was cut off right behind its data, if there is one.

        Raises:
            UpstreamError: A fault that was held back, or the stream ended within a frame.
        """
        ...


class SseFrames:
    """Server-sent events. Each says its own type, so their names are not looked at."""

    def __init__(self) -> None:
        self._parser = SseParser()

    def feed(self, block: bytes) -> Iterator[bytes]:
        for _, data in self._parser.feed(block):
            yield data

    def finish(self) -> Iterator[bytes]:
        for _, data in self._parser.pending():  # some proxies drop the last blank line
            yield data


class _Chunk(msgspec.Struct):
    bytes: str


_chunk_decoder = msgspec.json.Decoder(_Chunk)
_object_decoder = msgspec.json.Decoder(dict[str, object])


class AwsFrames:
    """
    Frames of an AWS event stream.

    Args:
        upstream: The configured name, for errors.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._parser = EventStreamParser()

    def feed(self, block: bytes) -> Iterator[bytes]:
        for message in self._parser.feed(block):
            yield from self._data(message)

    def finish(self) -> Iterator[bytes]:
        self._parser.finish()
        yield from ()

    def _data(self, message: EventStreamMessage) -> Iterator[bytes]:
        kind = message.headers.get(":message-type", "event")
        if kind != "event":
            name = message.headers.get(":exception-type") or message.headers.get(":error-code") or ""
            raise translate_stream_error(
                _object(message.payload), upstream=self._upstream, kind=f"{str(name)[:1].upper()}{str(name)[1:]}"
            )
        if message.headers.get(":event-type", "chunk") == "chunk":
            yield _chunk(message.payload)


def _chunk(payload: bytes) -> bytes:
    try:
        return b64decode(_chunk_decoder.decode(payload).bytes, validate=True)
    except (msgspec.DecodeError, ValueError) as error:
        raise UpstreamBroken("A chunk of the upstream's event stream holds no bytes.") from error


def _object(payload: bytes) -> dict[str, object]:
    try:
        return _object_decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}  # the frame's headers say what went wrong
