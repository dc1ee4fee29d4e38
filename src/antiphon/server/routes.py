"""
Routes: a table of method, path and handler.

A path is matched segment by segment; ``{}`` matches one segment, which is handed over as it came. A route that is not
in the table does not exist.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import unquote

import msgspec

from antiphon.hub.errors import MethodNotAllowed, NotFound
from antiphon.server.exchange import Exchange

__all__ = ["Handler", "Route", "RouteTable"]

Handler = Callable[[Exchange], Awaitable[None]]


class Route(msgspec.Struct, frozen=True):
    """
    One operation.

    Attributes:
        path: With ``{}`` for each placeholder.
        summary: What it does, for documentation.
    """

    method: str
    path: str
    handler: Handler
    summary: str


class RouteTable:
    """All routes of a server, found by method and path."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._fixed = {(route.method, route.path): route for route in routes if "{}" not in route.path}
        self._patterns = [(tuple(route.path.split("/")), route) for route in routes if "{}" in route.path]

    def find(self, method: str, path: str) -> tuple[Route, tuple[str, ...]]:
        """
        The route for a request and what its placeholders matched.

        Raises:
            NotFound: No route has this path.
            MethodNotAllowed: A route has this path with another method.
        """
        route = self._fixed.get((method, path))
        if route is not None:
            return route, ()
        segments = path.split("/")
        for pattern, candidate in self._patterns:
            params = _match(pattern, segments)
            if params is not None and candidate.method == method:
                return candidate, params
        raise self._unknown(method, path, segments)

    def _unknown(self, method: str, path: str, segments: Sequence[str]) -> NotFound | MethodNotAllowed:
        methods = {route.method for route in self.routes if route.path == path}
        methods |= {route.method for pattern, route in self._patterns if _match(pattern, segments) is not None}
        shown = "".join(char for char in path[:200] if char.isprintable())
        if methods:
            allowed = ", ".join(sorted(methods))
            return MethodNotAllowed(f"Not allowed to {method} on {shown}. Allowed methods: {allowed}.")
        return NotFound(f"Invalid URL ({method} {shown})")


def _match(pattern: Sequence[str], segments: Sequence[str]) -> tuple[str, ...] | None:
    if len(pattern) != len(segments):
        return None
    params = []
    for expected, segment in zip(pattern, segments, strict=True):
        if expected == "{}":
            if not segment:
                return None
            params.append(unquote(segment))
        elif expected != segment:
            return None
    return tuple(params)
