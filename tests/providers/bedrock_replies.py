"""Documented replies of Converse, and what decoding one gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from antiphon.hub.upstream import ReplyEvent
from antiphon.providers.bedrock import Bedrock, Quirks
from antiphon.providers.bedrock.decode import ConverseReplyDecoder
from tests.providers.bedrock_frames import event, frame
from tests.providers.kit.calls import ACCOUNT, function_tool, model_call, user
from tests.providers.kit.replies import streamed
from tests.streams.fixed_ids import FAMILY, counting_ids

__all__ = ["CALL", "TRANSCRIPTS", "decoder", "frames_of", "stream", "whole", "whole_of"]

TRANSCRIPTS = Path(__file__).parent.parent / "transcripts" / "bedrock"

# What the replies answer: a function, a custom tool, and a tool in a namespace were offered.
CALL = model_call(
    user("Hi"),
    tools=(
        function_tool("look"),
        {"type": "custom", "name": "patch", "description": "Patches."},
        {"type": "namespace", "name": "crm", "description": "C", "tools": [function_tool("find")]},
    ),
)


def decoder(**options: Any) -> ConverseReplyDecoder:
    """A decoder whose ids are the same every time."""
    if options:
        return ConverseReplyDecoder(counting_ids(), FAMILY, ACCOUNT, **options)
    return Bedrock(Quirks()).decoder(CALL, counting_ids(), FAMILY)


def frames_of(name: str) -> list[bytes]:
    """The messages of a stream's transcript, as bytes."""
    return [*_frames((TRANSCRIPTS / f"{name}.jsonl").read_bytes())]


def whole_of(name: str) -> bytes:
    """A whole reply's transcript."""
    return (TRANSCRIPTS / f"{name}.json").read_bytes()


def stream(*blocks: bytes) -> list[ReplyEvent]:
    """The events of a stream that came in these blocks, and then ended."""
    return streamed(decoder(), *blocks)


def whole(body: bytes) -> list[ReplyEvent]:
    """The events of a reply that came in one piece."""
    return [*decoder().whole(body)]


def _frames(transcript: bytes) -> Iterator[bytes]:
    for line in transcript.splitlines():
        entry = orjson.loads(line)
        if "exception" in entry:
            headers = {":exception-type": entry["exception"], ":content-type": "application/json"}
            yield frame({**headers, ":message-type": "exception"}, orjson.dumps(entry["body"]))
        else:
            yield event(entry["event"], entry["body"])
