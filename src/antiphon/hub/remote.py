"""
Content that a request names by its URL, and how it is had: what the engine and whoever fetches agree on.

Whoever fetches a URL of a client does so from inside the operator's network, so it is told nothing but the URL, and
says nothing but what was there or that it could not be had.
"""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

__all__ = ["ByteBudget", "Fetch", "RemoteContent", "RemoteKind", "Unfetchable"]

RemoteKind = Literal["image", "file"]


class RemoteContent(msgspec.Struct, frozen=True, kw_only=True):
    """
    What was at a URL.

    Attributes:
        media_type: Without parameters, in lower case. Of an image, what its bytes say.
    """

    data: bytes
    media_type: str


class Unfetchable(Exception):
    """
    A URL gave nothing that can be used.

    Attributes:
        reason: ``unreachable`` stands for everything that says where the gateway can and cannot go: an address that is
            refused, that does not answer or that answers with an error are one and the same.
    """

    def __init__(self, reason: Literal["unreachable", "too_large", "wrong_type"]) -> None:
        super().__init__(reason)
        self.reason = reason


class ByteBudget:
    """
    How many bytes may still be fetched, for several that fetch at the same time.

    Args:
        limit_bytes: For all of them together.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.left_bytes = limit_bytes

    def spend(self, size_bytes: int) -> None:
        """
        Take so many.

        Raises:
            Unfetchable: There are not as many left.
        """
        if size_bytes > self.left_bytes:
            raise Unfetchable("too_large")
        self.left_bytes -= size_bytes


class Fetch(Protocol):
    """Gets what is at a client's URL."""

    async def __call__(self, url: str, kind: RemoteKind, budget: ByteBudget) -> RemoteContent:
        """
        What is at *url*, within a time that is the fetcher's own.

        Args:
            url: As the client wrote it, valid or not.
            budget: What is spent for the bytes that come.

        Raises:
            Unfetchable: It cannot be had.
        """
        ...

    async def close(self) -> None:
        """Close idle connections."""
        ...
