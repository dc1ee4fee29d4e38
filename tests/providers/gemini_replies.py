"""Replies of Gemini, and what decoding one gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from antiphon.hub.items import JsonObject
from antiphon.hub.turn import ModelCall
from antiphon.hub.upstream import ReplyEvent
from antiphon.providers.gemini import Gemini
from antiphon.providers.gemini.decode import GeminiReplyDecoder
from tests.providers.kit.calls import function_tool, model_call, user
from tests.providers.kit.replies import streamed
from tests.streams.fixed_ids import FAMILY, counting_ids

__all__ = ["chunk", "decoder", "frames", "stream", "transcript"]

_TRANSCRIPTS = Path(__file__).parent.parent / "transcripts" / "gemini"
_CALL = model_call(
    user("Hi"),
    tools=(
        function_tool("look"),
        {"type": "custom", "name": "apply_patch", "description": "Patches."},
        {"type": "namespace", "name": "crm", "description": "Customers.", "tools": [function_tool("find")]},
    ),
)


def transcript(name: str) -> bytes:
    """The bytes of a transcript: ``.sse`` for a stream, ``.json`` for a whole reply, ``.bin`` for a JSON array."""
    return (_TRANSCRIPTS / name).read_bytes()


def decoder(call: ModelCall = _CALL) -> GeminiReplyDecoder:
    """A decoder whose ids are the same every time."""
    return Gemini().decoder(call, counting_ids(), FAMILY)


def stream(*blocks: bytes, call: ModelCall = _CALL) -> list[ReplyEvent]:
    """The events of a stream that came in these blocks, and then ended."""
    return streamed(decoder(call), *blocks)


def frames(*chunks: Any) -> bytes:
    """A stream of these chunks."""
    return b"".join(b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in chunks)


def chunk(*parts: JsonObject, finish: str | None = "STOP", **candidate: Any) -> JsonObject:
    """A chunk of these parts."""
    reason = {} if finish is None else {"finishReason": finish}
    return {"candidates": [{"content": {"parts": list(parts), "role": "model"}, **reason, **candidate}]}
