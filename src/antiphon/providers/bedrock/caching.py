"""
Where a request says that its beginning may be cached.

A cache point covers everything before it: tools, then the system's text, then messages. What a thread has in common
from turn to turn ends with the tools and the system, with what was there before this turn's input, and with this turn's
own end, which is the next turn's beginning. That is at most three points; there may be four.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from antiphon.hub.items import JsonObject
from antiphon.providers.bedrock.encode import Transcript

__all__ = ["with_cache_points"]


def with_cache_points(transcript: Transcript, kept: Literal["none", "5m", "1h"]) -> Transcript:
    """*transcript* with its stable beginnings marked to be kept for so long; itself for ``none``."""
    if kept == "none":
        return transcript
    point: JsonObject = {"cachePoint": {"type": "default"} if kept == "5m" else {"type": "default", "ttl": kept}}
    last = max(place for place, message in enumerate(transcript.messages) if message["role"] == "user")
    ends = (transcript.last_of_history, last)
    return msgspec.structs.replace(
        transcript,
        system=[*transcript.system, point] if transcript.system else [],
        messages=[
            {**message, "content": [*message["content"], point]} if place in ends else message
            for place, message in enumerate(transcript.messages)
        ],
    )
