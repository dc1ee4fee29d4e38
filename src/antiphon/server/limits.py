"""The limits of the settings, as those who hold them take them."""

from __future__ import annotations

from antiphon.server.connections import ConnectionLimits
from antiphon.server.head import HeadLimits
from antiphon.settings import LimitSettings

__all__ = ["connection_limits", "head_limits"]


def head_limits(settings: LimitSettings) -> HeadLimits:
    """What holds for a request's head."""
    return HeadLimits(
        max_header_bytes=settings.max_header_bytes,
        max_headers=settings.max_headers,
        max_url_bytes=settings.max_url_bytes,
    )


def connection_limits(settings: LimitSettings) -> ConnectionLimits:
    """What holds for connections."""
    return ConnectionLimits(
        header_timeout_s=settings.header_timeout_s,
        body_timeout_s=settings.body_timeout_s,
        send_timeout_s=settings.send_timeout_s,
        min_rate=settings.min_rate,
        max_connections=settings.max_connections,
        max_per_address=settings.max_connections_per_address,
    )
