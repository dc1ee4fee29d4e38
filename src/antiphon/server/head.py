"""
The limits of a request's head, and what may stand in it only once.

They hold under every ASGI server; :mod:`antiphon.server.protocol` holds them already while the head arrives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from antiphon.hub.errors import HeadersTooLarge, InvalidRequest

__all__ = ["HeadLimits", "RawHeaders", "name_once", "too_large", "too_many"]

RawHeaders = Sequence[tuple[bytes, bytes]]

# ": " and the line's end: what a field costs besides its name and value.
_FIELD_BYTES = 4

# Two of one of these would leave open which one counts, and whoever is in front of us may think otherwise.
_ONCE = (
    b"authorization",
    b"content-encoding",
    b"content-length",
    b"content-type",
    b"host",
    b"idempotency-key",
    b"origin",
    b"transfer-encoding",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadLimits:
    """
    Attributes:
        max_header_bytes: All fields of a head together.
        max_headers: How many fields a head has.
        max_url_bytes: Path and query together.
    """

    max_header_bytes: int = 64 * 1024
    max_headers: int = 100
    max_url_bytes: int = 8 * 1024

    def check(self, headers: RawHeaders) -> None:
        """
        See whether a head is within the limits.

        Raises:
            HeadersTooLarge: It is not; names the limit.
            InvalidRequest: A field that may stand in it once stands in it again.
        """
        if len(headers) > self.max_headers:
            raise too_many(self)
        names = []
        size_bytes = 0
        for name, value in headers:
            size_bytes += len(name) + len(value) + _FIELD_BYTES
            names.append(name)
        if size_bytes > self.max_header_bytes:
            raise too_large(self)
        if len(set(names)) < len(names):
            for name in _ONCE:
                if names.count(name) > 1:
                    raise name_once(name)


def too_many(limits: HeadLimits) -> HeadersTooLarge:
    """The error for a head of too many fields."""
    return HeadersTooLarge(f"The request has more than max_headers ({limits.max_headers}) header fields.")


def too_large(limits: HeadLimits) -> HeadersTooLarge:
    """The error for a head of too many bytes."""
    return HeadersTooLarge(f"The request's headers are larger than max_header_bytes ({limits.max_header_bytes} bytes).")


def name_once(name: bytes) -> InvalidRequest:
    """The error for a field that stands in a head twice."""
    shown = name.decode("latin-1").title()
    if name == b"host":
        return InvalidRequest("A request needs exactly one Host header.")
    return InvalidRequest(f"The header '{shown}' stands in the request more than once.", param=shown)
