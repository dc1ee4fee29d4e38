"""Answers: what a target says to a question, before it is read, and what stands in the way of reading it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec

from antiphon.engine.gates import Place
from antiphon.engine.health import Trial
from antiphon.engine.target import Target
from antiphon.hub.errors import UpstreamBroken, UpstreamError
from antiphon.hub.turn import ModelCall
from antiphon.hub.upstream import UpstreamReply, UpstreamRequest

__all__ = ["Answer", "BegunReply", "Question", "refuse_error"]

# An error's body may be long, or never end: what it says is said at its beginning, and its status is known without it.
_ERROR_BODY_BYTES = 256 * 1024
_ERROR_BODY_S = 5.0


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A call written in its target's dialect."""

    target: Target
    call: ModelCall
    request: UpstreamRequest


class Answer:
    """
    A 2xx answer whose body has not been read, and the question that it answers. Must be closed on every path.

    Attributes:
        ends_at_s: When it has to have ended, on the event loop's clock; None for no such time.
    """

    def __init__(
        self, question: Question, reply: UpstreamReply, *, trial: Trial, place: Place, ends_at_s: float | None
    ) -> None:
        self.target = question.target
        self.call = question.call
        self.request = question.request
        self.reply = reply
        self.ends_at_s = ends_at_s
        self._trial = trial
        self._place = place

    def too_long(self) -> str:
        """What is said of a reply that is not whole in time."""
        total_s = self.target.limits.total_s or 0.0
        return f"The upstream '{self.target.upstream.name}' did not end its answer within {total_s:g} s."

    def ended(self) -> None:
        """The reply was read to its end."""
        self._trial.succeeded()

    def broke_off(self, error: UpstreamError) -> None:
        """The reply is at fault. Nobody else is asked: the model has been heard already."""
        self._trial.failed(error)

    async def close(self) -> None:
        """Let go of the reply, and of its place beside others. May be called twice."""
        try:
            await self.reply.close()
        finally:
            self._trial.close()
            self._place.leave()


class BegunReply:
    """A reply whose first block was read already."""

    def __init__(self, reply: UpstreamReply, block: bytes) -> None:
        self._reply = reply
        self._block: bytes | None = block
        self.status = reply.status
        self.headers = reply.headers

    async def read_block(self) -> bytes:
        """See :class:`antiphon.hub.upstream.UpstreamReply`."""
        block, self._block = self._block, None
        return await self._reply.read_block() if block is None else block

    async def read_all(self, limit_bytes: int) -> bytes:
        """See :class:`antiphon.hub.upstream.UpstreamReply`."""
        first, self._block = self._block or b"", None
        if len(first) > limit_bytes:
            raise UpstreamBroken(f"The upstream answered with more than {limit_bytes} bytes.")
        return first + await self._reply.read_all(limit_bytes - len(first))

    async def close(self) -> None:
        """See :class:`antiphon.hub.upstream.UpstreamReply`."""
        await self._reply.close()


async def refuse_error(target: Target, reply: UpstreamReply) -> None:
    """
    Let an answer pass that is one.

    Raises:
        UpstreamError: It is an error.
    """
    if reply.status < 300:
        return
    upstream = target.upstream
    error = upstream.provider.error(reply.status, reply.headers, await _error_body(reply), upstream=upstream.name)
    upstream.conceal(error)
    raise error


async def _error_body(reply: UpstreamReply) -> bytes:
    """As much of an error's body as comes soon and is worth reading; less if it breaks off, which changes no error."""
    blocks: list[bytes] = []
    size_bytes = 0
    with suppress(UpstreamError, TimeoutError):
        async with asyncio.timeout(_ERROR_BODY_S):
            while size_bytes < _ERROR_BODY_BYTES and (block := await reply.read_block()):
                blocks.append(block)
                size_bytes += len(block)
    return b"".join(blocks)
