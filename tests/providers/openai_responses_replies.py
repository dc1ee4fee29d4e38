"""The transcripts of Responses upstreams, and short ways to decode them."""

from __future__ import annotations

from pathlib import Path

from antiphon.hub.turn import ModelCall
from antiphon.hub.upstream import ReplyEvent
from antiphon.providers.openai_responses import OpenAIResponses
from antiphon.providers.openai_responses.decode import ResponsesReplyDecoder
from tests.providers.kit.calls import model_call
from tests.providers.kit.replies import streamed
from tests.streams.fixed_ids import FAMILY, counting_ids

__all__ = ["decoder", "frames", "stream", "transcript", "whole"]

_TRANSCRIPTS = Path(__file__).parent.parent / "transcripts" / "openai_responses"


def transcript(name: str) -> bytes:
    """The bytes of a transcript: ``.sse`` for a stream, ``.json`` for a whole reply."""
    return (_TRANSCRIPTS / name).read_bytes()


def decoder(call: ModelCall | None = None) -> ResponsesReplyDecoder:
    """A decoder whose ids are the same every time."""
    return OpenAIResponses().decoder(call or model_call(), counting_ids(), FAMILY)


def stream(*blocks: bytes, call: ModelCall | None = None) -> list[ReplyEvent]:
    """The events of a stream that came in these blocks, and then ended."""
    return streamed(decoder(call), *blocks)


def whole(body: bytes, call: ModelCall | None = None) -> list[ReplyEvent]:
    """The events of a reply in one piece."""
    return [*decoder(call).whole(body)]


def frames(*events: str) -> bytes:
    """A stream of these events' data."""
    return "".join(f"data: {event}\n\n" for event in events).encode()
