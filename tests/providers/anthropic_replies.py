"""Replies of the Messages API as the documentation shows them, and ways to decode them."""

from __future__ import annotations

from pathlib import Path

import orjson

from antiphon.hub.items import JsonObject
from antiphon.hub.upstream import ReplyEvent
from antiphon.providers.anthropic.decode import MessageDecoder
from antiphon.providers.anthropic.frames import AwsFrames
from antiphon.providers.anthropic.tools import Origin
from tests.providers.kit.calls import ACCOUNT
from tests.providers.kit.replies import streamed
from tests.streams.fixed_ids import FAMILY, counting_ids

__all__ = ["decode_stream", "decode_whole", "decoder", "sse", "transcript"]

_TRANSCRIPTS = Path(__file__).parent.parent / "transcripts" / "anthropic"
_ORIGINS = {
    "apply_patch": Origin(kind="custom", namespace=None, name="apply_patch"),
    "crm__find": Origin(kind="function", namespace="crm", name="find"),
}


def transcript(name: str) -> bytes:
    """The bytes of a transcript: ``.sse`` or ``.bin`` for a stream, ``.json`` for a whole reply."""
    return (_TRANSCRIPTS / name).read_bytes()


def decoder(*, aws: bool = False, allowed: frozenset[str] | None = None) -> MessageDecoder:
    """A decoder whose ids are the same every time."""
    frames = AwsFrames(ACCOUNT) if aws else None
    return MessageDecoder(counting_ids(), FAMILY, ACCOUNT, origins=_ORIGINS, allowed=allowed, frames=frames)


def decode_stream(*blocks: bytes, aws: bool = False, allowed: frozenset[str] | None = None) -> list[ReplyEvent]:
    """The events of a stream that came in these blocks, and then ended."""
    return streamed(decoder(aws=aws, allowed=allowed), *blocks)


def decode_whole(body: bytes) -> list[ReplyEvent]:
    """The events of a reply in one piece."""
    return [*decoder().whole(body)]


def sse(*events: JsonObject) -> bytes:
    """A stream of these events."""
    return b"".join(b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps(event)) for event in events)
