"""Recorded and documented replies of chat completions servers, and what decoding one gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from antiphon.hub.events import ReplyEnd, ResponseCompleted, ResponseCreated, ResponseIncomplete
from antiphon.hub.items import Item, JsonObject
from antiphon.hub.upstream import ReplyEvent
from antiphon.providers.openai_chat.decode import ChatReplyDecoder
from antiphon.streams.accumulator import Accumulator
from antiphon.streams.order import OrderCheck
from tests.streams.fixed_ids import FAMILY, counting_ids

__all__ = ["ACCOUNT", "Outcome", "decoder", "frames", "outcome", "stream", "transcript", "without_ids"]

ACCOUNT = "vendor"
_TRANSCRIPTS = Path(__file__).parent.parent / "transcripts" / "openai_chat"


class Outcome(NamedTuple):
    """What a reply has become: its items as they are stored, and its end."""

    items: list[Item]
    end: ReplyEnd


def transcript(name: str) -> bytes:
    """The bytes of a transcript: ``.sse`` for a stream, ``.json`` for a whole reply."""
    return (_TRANSCRIPTS / name).read_bytes()


def decoder(**options: Any) -> ChatReplyDecoder:
    """A decoder whose ids are the same every time."""
    return ChatReplyDecoder(
        counting_ids(),
        FAMILY,
        ACCOUNT,
        custom_tools=frozenset({"apply_patch"}),
        namespaces={"crm__find": ("crm", "find")},
        **options,
    )


def stream(*blocks: bytes, **options: Any) -> list[ReplyEvent]:
    """The events of a stream that came in these blocks, and then ended."""
    reply = decoder(**options)
    events = [event for block in blocks for event in reply.feed(block)]
    return [*events, *reply.finish()]


def frames(*chunks: str) -> bytes:
    """A stream of these chunks' data."""
    return "".join(f"data: {chunk}\n\n" for chunk in chunks).encode()


def outcome(events: list[ReplyEvent]) -> Outcome:
    """Fold events that must be in order."""
    *rest, end = events
    assert isinstance(end, ReplyEnd)
    said = [event for event in rest if not isinstance(event, ReplyEnd)]
    assert len(said) == len(rest)
    OrderCheck().feed(
        [ResponseCreated({}), *said, (ResponseCompleted if end.status == "completed" else ResponseIncomplete)({})]
    )
    accumulator = Accumulator()
    accumulator.feed(said)
    return Outcome(accumulator.items(), end)


def without_ids(items: list[Item]) -> list[JsonObject]:
    """The bodies of items without what is minted."""
    return [{name: value for name, value in item.body.items() if name not in ("id", "call_id")} for item in items]
