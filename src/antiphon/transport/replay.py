"""
A transport that answers from prepared replies: for tests, and for trying a provider without its server.

It is a whole transport, not a mock: what it yields is what the engine gets, cut where the test cuts it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import msgspec

from antiphon.hub.errors import UpstreamBroken, UpstreamError, UpstreamUnreachable
from antiphon.hub.upstream import UpstreamReply, UpstreamRequest

__all__ = ["PreparedReply", "ReplayReply", "ReplayTransport"]


class PreparedReply(msgspec.Struct, frozen=True, kw_only=True):
    """
    One answer.

    Attributes:
        headers: Names in lower case.
        blocks: The body as :meth:`read_block` yields it, one after the other.
        refusal: Raised by ``send`` instead of an answer.
        error: Raised where the blocks end, instead of the body's end.
        gate: The blocks from ``gate_before`` on are held back until it is set.
    """

    status: int = 200
    headers: Mapping[str, str] = msgspec.field(default_factory=lambda: {"content-type": "application/json"})
    blocks: Sequence[bytes] = ()
    refusal: UpstreamError | None = None
    error: UpstreamError | None = None
    gate: asyncio.Event | None = None
    gate_before: int = 0


class ReplayReply:
    """An answer that is being read."""

    def __init__(self, prepared: PreparedReply) -> None:
        self._prepared = prepared
        self._next = 0
        self.ended = False
        self.closed = False

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._prepared.status

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case."""
        return MappingProxyType(dict(self._prepared.headers))

    async def read_block(self) -> bytes:
        """See :class:`antiphon.hub.upstream.UpstreamReply`."""
        prepared = self._prepared
        if prepared.gate is not None and self._next >= prepared.gate_before:
            await prepared.gate.wait()
        if self._next < len(prepared.blocks):
            self._next += 1
            return prepared.blocks[self._next - 1]
        if prepared.error is not None:
            raise prepared.error
        self.ended = True
        return b""

    async def read_all(self, limit_bytes: int) -> bytes:
        """See :class:`antiphon.hub.upstream.UpstreamReply`."""
        body = b""
        while block := await self.read_block():
            body += block
            if len(body) > limit_bytes:
                raise UpstreamBroken(f"The upstream answered with more than {limit_bytes} bytes.")
        return body

    async def close(self) -> None:
        """Note that the reader is done."""
        self.closed = True


class ReplayTransport:
    """
    Answers requests from a list, in order.

    Attributes:
        requests: What was sent, oldest first.
        replies: The answers that were given, so that a test can see whether they were read to the end and closed.

    Args:
        prepared: The answers. A request after the last one finds no upstream.
    """

    def __init__(self, prepared: Iterable[PreparedReply] = ()) -> None:
        self._prepared = list(prepared)
        self.requests: list[UpstreamRequest] = []
        self.replies: list[ReplayReply] = []
        self.closed = False

    def prepare(self, *replies: PreparedReply) -> None:
        """Add answers at the end of the list."""
        self._prepared.extend(replies)

    async def send(self, request: UpstreamRequest) -> UpstreamReply:
        """See :class:`antiphon.hub.upstream.Transport`."""
        self.requests.append(request)
        if not self._prepared:
            raise UpstreamUnreachable("No reply is prepared for this request.")
        prepared = self._prepared.pop(0)
        if prepared.refusal is not None:
            raise prepared.refusal
        reply = ReplayReply(prepared)
        self.replies.append(reply)
        return reply

    async def close(self) -> None:
        """Note that nobody will ask again."""
        self.closed = True
