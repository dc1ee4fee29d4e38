"""Reading an upstream's reply: block after block where it streams, in one piece where it does not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import TypeVar

import msgspec

from antiphon.engine.answers import Answer
from antiphon.engine.deadlines import awaited
from antiphon.engine.target import Target
from antiphon.hub.errors import ResponseTooLarge, UpstreamBroken, UpstreamError, UpstreamTimeout
from antiphon.hub.events import ReplyEnd, ResponseCompleted, ResponseCreated
from antiphon.hub.ids import Family, IdFactory
from antiphon.hub.items import Item
from antiphon.hub.upstream import ReplyDecoder, ReplyEvent
from antiphon.streams.accumulator import Accumulator
from antiphon.streams.order import OrderCheck

# A content type is short; what is longer is something else and not shown whole.
_SHOWN_CHARS = 80
# Server-sent events, and the event streams of AWS.
_STREAMS = frozenset({"text/event-stream", "application/vnd.amazon.eventstream"})

__all__ = ["WholeReply", "in_time", "is_stream", "read_events", "read_whole"]

T = TypeVar("T")


class WholeReply(msgspec.Struct, frozen=True, kw_only=True):
    """
    What an upstream answered, read to its end.

    Attributes:
        not_applied: What it was asked without, by name.
    """

    target: Target
    items: tuple[Item, ...]
    end: ReplyEnd
    not_applied: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What the model said aloud."""
        return "".join(
            part["text"]
            for item in self.items
            if item.type == "message"
            for part in item.body["content"]
            if part["type"] == "output_text"
        )


async def read_events(answer: Answer, decoder: ReplyDecoder, *, max_bytes: int) -> AsyncIterator[Sequence[ReplyEvent]]:
    """
    The events of a reply, in batches as they arrive. The caller closes the reply.

    Raises:
        UpstreamError: The reply is broken, or reports an error.
        ResponseTooLarge: It is longer than *max_bytes*.
    """
    reply = answer.reply
    try:
        if not is_stream(answer):
            yield decoder.whole(await reply.read_all(max_bytes))
        else:
            received_bytes = 0
            while not decoder.ended and (block := await reply.read_block()):
                received_bytes += len(block)
                if received_bytes > max_bytes:
                    raise ResponseTooLarge(f"The answer is longer than max_response_bytes ({max_bytes} bytes).")
                yield decoder.feed(block)
            yield decoder.finish()
    except UpstreamError as error:
        answer.target.upstream.conceal(error)
        answer.broke_off(error)
        raise
    answer.ended()


async def in_time(answer: Answer, reading: Awaitable[T]) -> T:
    """
    Await *reading*, which reads an answer, for as long as that may take.

    Raises:
        UpstreamTimeout: It has taken longer.
    """
    try:
        return await awaited(reading, by_s=answer.ends_at_s, late=answer.too_long)
    except UpstreamTimeout as error:
        answer.broke_off(error)
        raise


async def read_whole(answer: Answer, *, ids: IdFactory, family: Family, max_bytes: int) -> WholeReply:
    """
    The whole reply, and close it. For answers that the gateway asked for itself.

    The same events as of any turn pass the same order check and the same accumulator.

    Raises:
        UpstreamError: The reply is broken, or reports an error.
        ResponseTooLarge: It is longer than *max_bytes*.
        StreamOrderViolation: The provider is at fault.
    """
    try:
        decoder = answer.target.upstream.provider.decoder(answer.call, ids, family)
        return await in_time(answer, _read_whole(answer, decoder, max_bytes))
    finally:
        await answer.close()


async def _read_whole(answer: Answer, decoder: ReplyDecoder, max_bytes: int) -> WholeReply:
    order, accumulator = OrderCheck(), Accumulator()
    order.feed([ResponseCreated({})])
    end: ReplyEnd | None = None
    async for events in read_events(answer, decoder, max_bytes=max_bytes):
        if events and isinstance(events[-1], ReplyEnd):
            end = events[-1]
            events = events[:-1]  # noqa: PLW2901 - its end is not part of what it says
        order.feed(events)
        accumulator.feed(events)  # type: ignore[arg-type]  # a ReplyEnd elsewhere was refused by the order check
    if end is None:
        raise UpstreamBroken(f"The answer of upstream '{answer.target.upstream.name}' ended without its end.")
    order.feed([ResponseCompleted({})])
    return WholeReply(
        target=answer.target,
        items=tuple(accumulator.items()),
        end=end,
        not_applied=answer.request.not_applied,
    )


def is_stream(answer: Answer) -> bool:
    """
    Whether a reply has to be read as a stream; some servers answer a stream request with one JSON body.

    Raises:
        UpstreamBroken: It is neither.
    """
    kind = answer.reply.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind in _STREAMS:
        return True
    if kind in ("application/json", "text/json") or kind.endswith("+json"):
        return False
    if kind in ("", "text/plain", "application/octet-stream"):
        return answer.call.stream
    upstream = answer.target.upstream
    error = UpstreamBroken(
        f"Upstream '{upstream.name}' answered with content type '{kind[:_SHOWN_CHARS]}' instead of JSON or a stream."
    )
    upstream.conceal(error)
    raise error
