"""
Who may talk to this server from where: the Host and Origin of a request.

A web page elsewhere must not spend the user's keys through a gateway on the loopback interface, neither directly
(CORS) nor by making its own name resolve to us (DNS rebinding). So exactly one Host is needed and it has to be one of
ours, and an Origin has to be our own or one that is configured by name. And the head has to be within its limits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from antiphon.hub.errors import Forbidden, InvalidRequest
from antiphon.server.head import HeadLimits, RawHeaders

__all__ = ["Guard"]

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:@/]+)(?::[0-9]*)?")

_CORS_METHODS = b"GET, POST, DELETE, OPTIONS"
_CORS_MAX_AGE = b"600"


class Guard:
    """
    Args:
        allowed_hosts: Names, without port, under which this server may be addressed besides the loopback ones.
        cors_origins: Origins (``scheme://host[:port]``) whose pages may call; their browsers are told so.
        limits: Of a request's head.
    """

    def __init__(
        self,
        *,
        allowed_hosts: Iterable[str] = (),
        cors_origins: Iterable[str] = (),
        limits: HeadLimits | None = None,
    ) -> None:
        self._limits = limits or HeadLimits()
        self._hosts = frozenset(name.lower() for name in (*_LOOPBACK, *allowed_hosts))
        self._origins = frozenset(origin.lower().rstrip("/") for origin in cors_origins)

    def check(self, headers: RawHeaders) -> list[tuple[bytes, bytes]]:
        """
        Let a request through, or not.

        Returns:
            CORS headers for the answer; empty without a configured Origin.

        Raises:
            HeadersTooLarge: The head exceeds a limit.
            InvalidRequest: Not exactly one Host, or another field twice that may stand there once.
            Forbidden: A foreign Host or Origin.
        """
        self._limits.check(headers)
        hosts = []
        origin = None
        for name, value in headers:
            if name == b"host":
                hosts.append(value)
            elif name == b"origin":
                origin = value
        if len(hosts) != 1:
            raise InvalidRequest("A request needs exactly one Host header.")
        host = hosts[0].decode("latin-1").lower()
        if _name_of(host) not in self._hosts:
            raise Forbidden(
                f"The Host '{_shown(host)}' is not one of this server's names. "
                "Add it to server.allowed_hosts if it should be."
            )
        return [] if origin is None else self._check_origin(origin.decode("latin-1").lower(), host)

    def _check_origin(self, origin: str, host: str) -> list[tuple[bytes, bytes]]:
        if origin in self._origins:
            return [
                (b"access-control-allow-origin", origin.encode("latin-1")),
                (b"access-control-expose-headers", b"*"),
                (b"vary", b"origin"),
            ]
        if origin in (f"http://{host}", f"https://{host}"):
            return []
        raise Forbidden(
            f"Requests from pages of '{_shown(origin)}' are not allowed. "
            "Add the origin to server.cors_origins if they should be."
        )

    @staticmethod
    def preflight(asked_headers: bytes) -> list[tuple[bytes, bytes]]:
        """What a browser is told that asks before it calls; only for an Origin that was let through."""
        return [
            (b"access-control-allow-methods", _CORS_METHODS),
            (b"access-control-allow-headers", asked_headers or b"*"),
            (b"access-control-max-age", _CORS_MAX_AGE),
        ]


def _name_of(host: str) -> str:
    """The name in a Host, without its port; empty for what is neither."""
    match = _HOST.fullmatch(host)
    return match.group(1) if match else ""


def _shown(value: str) -> str:
    return "".join(char for char in value[:100] if char.isprintable())
