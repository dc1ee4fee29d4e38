"""
What every dialect's replies are held against: kinds of replies, and what each becomes, whatever the wire looks like.

Each dialect has transcripts of these kinds (or says why it cannot have one), as a stream and as a whole body. The two
forms of one answer give the same items and the same end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from antiphon.hub.events import ReplyEnd, ResponseCompleted, ResponseCreated, ResponseIncomplete
from antiphon.hub.items import Item, JsonObject
from antiphon.hub.upstream import ReplyDecoder, ReplyEvent
from antiphon.streams.accumulator import Accumulator
from antiphon.streams.order import OrderCheck

__all__ = ["KINDS", "Outcome", "outcome", "streamed", "without_ids"]

# Every dialect has at least these.
KINDS = (
    "text",
    "text with every character",  # quotes, newlines, an emoji outside the BMP, U+2028
    "an empty answer",
    "cut short",  # the limit of output
    "stopped by a filter",
    "refusal",
    "one call",
    "text, then a call",
    "parallel calls",
    "a call without arguments",
    "a call that is cut short",
    "reasoning, then text",
    "reasoning, then a call",
    "reasoning that is sealed",  # a signature, or encrypted content
    "usage with a cache",
    "unknown fields and kinds",
    "an error in the stream",
    "overloaded in the stream",
)


class Outcome(NamedTuple):
    """What a reply has become: its items as they are stored, and its end."""

    items: list[Item]
    end: ReplyEnd


def streamed(decoder: ReplyDecoder, *blocks: bytes) -> list[ReplyEvent]:
    """The events of a stream that came in these blocks, and then ended."""
    events = [event for block in blocks for event in decoder.feed(block)]
    return [*events, *decoder.finish()]


def outcome(events: Sequence[ReplyEvent]) -> Outcome:
    """Fold events, which must be in order."""
    *rest, end = events
    assert isinstance(end, ReplyEnd)
    said = [event for event in rest if not isinstance(event, ReplyEnd)]
    assert len(said) == len(rest)
    terminal = ResponseCompleted if end.status == "completed" else ResponseIncomplete
    OrderCheck().feed([ResponseCreated({}), *said, terminal({})])
    accumulator = Accumulator()
    accumulator.feed(said)
    return Outcome(accumulator.items(), end)


def without_ids(items: Sequence[Item]) -> list[JsonObject]:
    """The bodies of items without what is minted."""
    return [{name: value for name, value in item.body.items() if name not in ("id", "call_id")} for item in items]
