"""
Deadlines: how long one attempt may take, beyond the silences that the way to its upstream bounds.

Both run from when the request is sent, a queue of our own not counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from antiphon.hub.errors import UpstreamTimeout

__all__ = ["Deadlines", "awaited"]

T = TypeVar("T")


class Deadlines(msgspec.Struct, frozen=True, kw_only=True):
    """
    How long an attempt may take; None for as long as the transport lets it.

    Attributes:
        first_token_s: Until the first byte of a streamed reply's body. Where it is set, a reply has begun only with
            that byte, and until then another target can still be asked.
        total_s: Until the reply's end.
    """

    first_token_s: float | None = None
    total_s: float | None = None

    def begins_within_s(self, *, is_stream: bool) -> float | None:
        """How long it may be until the answer has begun; None for no limit."""
        if not is_stream or self.first_token_s is None:
            return self.total_s
        return self.first_token_s if self.total_s is None else min(self.first_token_s, self.total_s)


async def awaited(doing: Awaitable[T], *, by_s: float | None, late: Callable[[], str]) -> T:
    """
    What *doing* comes to, if that is in time; it is broken off otherwise.

    Args:
        by_s: On the event loop's clock; None for whenever that is.
        late: Says what is told of it if it is not.

    Raises:
        UpstreamTimeout: It was broken off.
    """
    if by_s is None:
        return await doing
    limit = asyncio.timeout_at(by_s)
    try:
        async with limit:
            return await doing
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise UpstreamTimeout(late()) from error
