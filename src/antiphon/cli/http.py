"""How uvicorn serves HTTP here: with the protocol that holds the limits of the settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from antiphon.server.limits import connection_limits, head_limits
from antiphon.server.protocol import http_protocol
from antiphon.settings import LimitSettings

__all__ = ["http_options"]


def http_options(limits: LimitSettings, *, next_request_id: Callable[[], str]) -> dict[str, Any]:
    """
    Arguments of :class:`uvicorn.Config`.

    Args:
        next_request_id: Names the requests that never reach the application.
    """
    return {
        "http": http_protocol(
            head=head_limits(limits), limits=connection_limits(limits), next_request_id=next_request_id
        ),
        "timeout_keep_alive": limits.keep_alive_s,
    }
