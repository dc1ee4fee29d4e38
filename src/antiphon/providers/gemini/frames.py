"""
The documents of a streamed reply, however it is framed.

Asked with ``alt=sse`` the API sends one document in each server-sent event. Where that is lost on the way (a proxy that
drops the query), and for some errors, a stream is one JSON array, or one object, over the whole body. The first
character tells which.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from antiphon.hub.errors import UpstreamBroken
from antiphon.streams.sse import DEFAULT_MAX_EVENT_BYTES, SseParser

__all__ = ["Frames"]

_BLANK = b" \t\r\n"


class Frames:
    """
    Takes a stream's bytes and gives its documents.

    Args:
        max_bytes: The most that is held back for one event, or for a reply that is no event stream.
    """

    def __init__(self, *, max_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._sse = SseParser(max_event_bytes=max_bytes)
        self._begun = False
        self._held: list[bytes] | None = None
        self._held_bytes = 0

    def feed(self, block: bytes) -> list[bytes]:
        """
        Take bytes as they came, cut anywhere.

        Raises:
            UpstreamBroken: There is more than ``max_bytes`` to be held back.
        """
        if not self._begun:
            self._begin(block)
        if self._held is None:
            return [data for _, data in self._sse.feed(block) if data.strip()]
        self._held_bytes += len(block)
        if self._held_bytes > self._max_bytes:
            raise UpstreamBroken(f"The upstream sent a reply of more than {self._max_bytes} bytes in one piece.")
        self._held.append(block)
        return []

    def finish(self) -> Sequence[bytes | msgspec.Raw]:
        """
        What is left when the connection has ended.

        Raises:
            UpstreamBroken: A reply in one piece is not JSON.
        """
        if self._held is None:
            return [data for _, data in self._sse.pending() if data.strip()]
        return _documents(b"".join(self._held))

    def _begin(self, block: bytes) -> None:
        start = block.lstrip(_BLANK)
        if start:
            self._begun = True
            if start[:1] in (b"[", b"{"):
                self._held = []


def _documents(body: bytes) -> Sequence[bytes | msgspec.Raw]:
    if body.lstrip(_BLANK)[:1] == b"{":
        return [body]
    try:
        return msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamBroken("The upstream's reply is an array that is cut off, or not JSON.") from error
