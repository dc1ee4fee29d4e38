"""One HTTP exchange: the request as the endpoints see it, and the ways to answer it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from antiphon.hub.errors import AntiphonError, InsufficientScope, InvalidRequest
from antiphon.hub.format import ErrorForm
from antiphon.hub.items import JsonObject
from antiphon.hub.principal import Principal, Scope
from antiphon.server.body import BodyLimits, Malformed, Receive, malformed_request, read_json
from antiphon.server.reply import Headers, Send, error_headers, send_body, send_error, send_json, send_json_bytes
from antiphon.version import VERSION

__all__ = ["VERSIONS", "Exchange"]

# The API's own version, and ours: by the latter another gateway recognises this one.
VERSIONS = ((b"openai-version", b"2020-10-01"), (b"x-antiphon-version", VERSION.encode()))


class Exchange:
    """
    Attributes:
        headers: By lower-case name; of a repeated header the last.
        params: What the route's placeholders matched.
        error_form: How errors are answered; None for OpenAI's envelope. Set by :meth:`speak`.
        extra: Headers that every answer to this request carries.
        received_at: When its head had arrived, on the monotonic clock.
    """

    def __init__(
        self, scope: Mapping[str, Any], receive: Receive, send: Send, *, request_id: str, principal: Principal
    ) -> None:
        self.method: str = scope["method"]
        self.path = _path(scope)
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.params: tuple[str, ...] = ()
        self.receive = receive
        self.send = send
        self.request_id = request_id
        self.principal = principal
        self.received_at = time.monotonic()
        self.extra: list[tuple[bytes, bytes]] = [(b"x-request-id", request_id.encode()), *VERSIONS]
        self.answered = False
        self.error_form: ErrorForm | None = None
        self._query_string: bytes = scope.get("query_string", b"")

    def speak(self, form: ErrorForm) -> None:
        """Answer errors in this form, and name the request in every answer as it does."""
        self.error_form = form
        if form.id_header is not None:
            self.extra.append((form.id_header.encode(), self.request_id.encode()))

    @property
    def query(self) -> dict[str, list[str]]:
        """The query's parameters, each with all its values."""
        return parse_qs(self._query_string.decode("latin-1"), keep_blank_values=True)

    def refuse_query(self, *, but: frozenset[str] = frozenset()) -> None:
        """
        For operations without query parameters: one that is ignored would be a wish that is silently not granted.

        Args:
            but: Those that an operation has and that ask for nothing.

        Raises:
            InvalidRequest: There is one; names it.
        """
        for name in self.query:
            if name in but:
                continue
            shown = name[:100]
            raise InvalidRequest(f"Unknown parameter: '{shown}'.", param=shown, code="unknown_parameter")

    def require(self, scope: Scope) -> None:
        """
        See whether the caller may do more than what the route needs of everybody.

        Raises:
            InsufficientScope: It may not.
        """
        if scope not in self.principal.scopes:
            raise InsufficientScope(scope)

    async def read_json(
        self, limits: BodyLimits, *, empty: JsonObject | None = None, malformed: Malformed = malformed_request
    ) -> JsonObject:
        """The body; see :func:`antiphon.server.body.read_json`."""
        return await read_json(self.headers, self.receive, limits, empty=empty, malformed=malformed)

    async def answer(self, value: object, headers: Headers = (), *, status: int = 200) -> None:
        """Answer with a JSON value."""
        self.answered = True
        await send_json(self.send, value, (*self.closing(), *headers), status=status)

    async def answer_bytes(
        self, body: bytes, headers: Headers = (), *, media_type: bytes = b"application/json"
    ) -> None:
        """Answer with bytes: a JSON value that is encoded already, or what *media_type* says."""
        self.answered = True
        await send_body(self.send, body, ((b"content-type", media_type), *self.closing(), *headers))

    async def answer_error(self, error: AntiphonError, headers: Headers = ()) -> None:
        """Answer with an error."""
        self.answered = True
        form = self.error_form
        if form is None:
            await send_error(self.send, error, (*self.closing(), *headers))
        else:
            body = form.encode_error(error, request_id=self.request_id)
            told = (*error_headers(error), *self.closing(), *headers)
            await send_json_bytes(self.send, body, told, status=form.shown_status(error.http_status))

    def closing(self) -> Headers:
        """The headers that every answer carries, for an answer that begins now."""
        took_ms = round((time.monotonic() - self.received_at) * 1000)
        return (*self.extra, (b"openai-processing-ms", b"%d" % took_ms))


def _path(scope: Mapping[str, Any]) -> str:
    """
    The path below where the application is mounted, still percent-encoded.

    A placeholder matches one segment as the client wrote it, so an encoded slash inside an id stays inside it.
    """
    raw: bytes | None = scope.get("raw_path")
    path = raw.partition(b"?")[0].decode("latin-1") if raw else str(scope["path"])
    return path.removeprefix(scope.get("root_path", ""))
