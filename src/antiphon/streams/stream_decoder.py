"""
Reading a streamed reply whose fault comes late: what was said before the fault is still said.

A block may hold good events and, behind them, the one that breaks the reply. The events are given out first, and the
fault when the decoder is asked to finish. All decoders of streams are made of this.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from antiphon.hub.errors import UpstreamError
from antiphon.hub.upstream import ReplyEvent

__all__ = ["StreamDecoder"]


class StreamDecoder(ABC):
    """
    The part of :class:`~antiphon.hub.upstream.ReplyDecoder` that is the same in every dialect: its ``feed`` and
    ``finish``. A dialect reads blocks, sets :attr:`_ended` when it has seen its end, and says what it has made.
    """

    def __init__(self) -> None:
        self._ended = False
        self._fault: UpstreamError | None = None

    @property
    def ended(self) -> bool:
        """Whether the reply's end, or a fault, was seen; whatever follows is ignored."""
        return self._ended

    def feed(self, block: bytes) -> Sequence[ReplyEvent]:
        """See :class:`~antiphon.hub.upstream.ReplyDecoder`."""
        if self._ended:
            return ()
        try:
            self._read(block)
        except UpstreamError as error:
            self._ended = True
            self._fault = error
            events = self._made()
            if not events:
                raise
            return events
        return self._made()

    def finish(self) -> Sequence[ReplyEvent]:
        """See :class:`~antiphon.hub.upstream.ReplyDecoder`."""
        if self._fault is not None:
            raise self._fault
        if self._ended:
            return ()
        self._read_end()
        return self._made()

    @abstractmethod
    def _read(self, block: bytes) -> None:
        """
        Take in a block, cut anywhere.

        Raises:
            UpstreamError: The stream is malformed, or tells of an error.
        """

    @abstractmethod
    def _read_end(self) -> None:
        """
        Take in that the connection has ended before the dialect's own end was seen.

        Raises:
            UpstreamError: The reply is not whole.
        """

    @abstractmethod
    def _made(self) -> Sequence[ReplyEvent]:
        """The events since the last call."""
