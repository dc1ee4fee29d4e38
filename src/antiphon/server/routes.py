"""
Routes: a table of method, path, handler and what the published documentation says of them.

A path is matched segment by segment; ``{name}`` matches one segment, which is handed over as it came. A route that is
not in the table does not exist, and one that is not documented, or does not say who may call it, cannot be put into it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Final, Literal, get_args
from urllib.parse import unquote

from antiphon.hub.errors import AntiphonError, MethodNotAllowed, NotFound
from antiphon.hub.format import ErrorForm
from antiphon.hub.principal import Scope
from antiphon.server.exchange import Exchange

__all__ = ["PUBLIC", "Access", "Handler", "Route", "RouteTable", "Tag"]

Handler = Callable[[Exchange], Awaitable[None]]
Tag = Literal[
    "Responses",
    "Conversations",
    "Chat",
    "Messages",
    "Embeddings",
    "Prompts",
    "Webhooks",
    "Models",
    "Tenants",
    "Keys",
    "End users",
    "Audit",
    "Service",
]

# What a caller needs: a scope, or nothing, not even a credential.
Access = Scope | Literal["public"]
PUBLIC: Final = "public"

_KNOWN_ACCESS = frozenset((*get_args(Scope), PUBLIC))

_PATH = re.compile(r"(/(?:[a-z0-9_.]+|\{[a-z_]+\}))+")
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True)
class Route:
    """
    One operation, with its documentation.

    The names of *body*, *query*, *answer* and *events* are those of
    :meth:`~antiphon.hub.format.StateFormat.schemas`; a name that is not among them stops the server from starting.

    Attributes:
        path: With a name in braces for each placeholder: ``/v1/responses/{response_id}``.
        summary: What it does, in a few words.
        name: The operation's id in the published document; OpenAI's own where it has the operation.
        tag: The chapter that it stands in.
        scope: What a caller needs; ``public`` for an operation that needs no credential.
        answer: The schema of the body when it succeeds.
        extension: Whether OpenAI's API lacks it.
        body: The schema of the request's body; None if there is none.
        body_media_type: What the body is written in.
        optional_body: Whether an empty body stands for an empty object.
        query: The object schema whose members are the query's parameters; None if every parameter is refused.
        events: The schema of an event where the answer may also be a stream.
        media_type: Of the answer's body when it succeeds.
        idempotent: Whether an ``Idempotency-Key`` is honoured.
        request_headers: The headers that mean something to it besides that key; ``server/headers.py`` says what.
        answer_headers: The headers that it answers besides those of every operation; likewise.
        errors: What it can raise besides the errors that every operation has.
        error_form: How everything that goes wrong on its path, and below it, is answered, whatever the method; None for
            OpenAI's envelope.
        details: More sentences, where the summary leaves questions.
    """

    method: Literal["GET", "POST", "DELETE"]
    path: str
    handler: Handler
    summary: str
    _: KW_ONLY
    name: str
    tag: Tag
    scope: Access
    answer: str
    extension: bool
    body: str | None = None
    body_media_type: str = "application/json"
    optional_body: bool = False
    query: str | None = None
    events: str | None = None
    media_type: str = "application/json"
    idempotent: bool = False
    request_headers: tuple[str, ...] = ()
    answer_headers: tuple[str, ...] = ()
    errors: tuple[type[AntiphonError], ...] = ()
    error_form: ErrorForm | None = None
    details: str = ""

    def __post_init__(self) -> None:
        if not _PATH.fullmatch(self.path):
            raise ValueError(f"Route {self.path}: a placeholder needs a name, as in '/v1/responses/{{response_id}}'.")
        if not (self.summary and self.name and self.answer):
            raise ValueError(f"Route {self.method} {self.path}: a summary, a name and an answer are needed.")
        if self.scope not in _KNOWN_ACCESS:
            raise ValueError(f"Route {self.method} {self.path}: there is no scope '{self.scope}'.")

    @property
    def placeholders(self) -> tuple[str, ...]:
        """Their names, in the order of the path."""
        return tuple(_PLACEHOLDER.findall(self.path))


class RouteTable:
    """
    All routes of a server, found by method and path.

    Raises:
        ValueError: Two routes of one name, or of one method and path.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._fixed: dict[tuple[str, str], Route] = {
            (route.method, route.path): route for route in routes if not route.placeholders
        }
        self._patterns = [(_pattern(route), route) for route in routes if route.placeholders]
        self._forms = {route.path: route.error_form for route in routes if route.error_form is not None}
        _refuse_twins([route.name for route in routes])
        _refuse_twins([f"{route.method} {_PLACEHOLDER.sub('{}', route.path)}" for route in routes])

    def find(self, method: str, path: str) -> tuple[Route, tuple[str, ...]]:
        """
        The route for a request and what its placeholders matched. HEAD finds what GET does.

        Raises:
            NotFound: No route has this path.
            MethodNotAllowed: A route has this path with another method.
        """
        wanted = "GET" if method == "HEAD" else method
        route = self._fixed.get((wanted, path))
        if route is not None:
            return route, ()
        segments = path.split("/")
        for pattern, candidate in self._patterns:
            params = _match(pattern, segments)
            if params is not None and candidate.method == wanted:
                return candidate, params
        raise self._unknown(method, path, segments)

    def error_form(self, path: str) -> ErrorForm | None:
        """How what goes wrong at *path* is answered, whether a route is there or not; None for OpenAI's envelope."""
        while path:
            form = self._forms.get(path)
            if form is not None:
                return form
            path = path.rpartition("/")[0]
        return None

    def _unknown(self, method: str, path: str, segments: Sequence[str]) -> NotFound | MethodNotAllowed:
        methods: set[str] = {route.method for route in self.routes if route.path == path}
        methods |= {route.method for pattern, route in self._patterns if _match(pattern, segments) is not None}
        methods |= {"HEAD"} if "GET" in methods else set()
        shown = "".join(char for char in path[:200] if char.isprintable())
        if methods:
            allowed = tuple(sorted(methods))
            message = f"Not allowed to {method} on {shown}. Allowed methods: {', '.join(allowed)}."
            return MethodNotAllowed(message, allowed=allowed)
        return NotFound(f"Invalid URL ({method} {shown})")


def _pattern(route: Route) -> tuple[str | None, ...]:
    """The path's segments, None for a placeholder."""
    return tuple(None if segment.startswith("{") else segment for segment in route.path.split("/"))


def _refuse_twins(keys: Sequence[str]) -> None:
    twins = {key for key in keys if keys.count(key) > 1}
    if twins:
        raise ValueError(f"Routes that are there twice: {', '.join(sorted(twins))}.")


def _match(pattern: Sequence[str | None], segments: Sequence[str]) -> tuple[str, ...] | None:
    if len(pattern) != len(segments):
        return None
    params = []
    for expected, segment in zip(pattern, segments, strict=True):
        if expected is None:
            if not segment:
                return None
            params.append(unquote(segment))
        elif expected != segment:
            return None
    return tuple(params)
