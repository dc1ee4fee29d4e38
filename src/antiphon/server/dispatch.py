"""
From an HTTP request to its answer: guard, route, authenticate, handle, render errors.

What every listener does alike, whatever its operations are. Every error that reaches this place is answered with the
request's id, as OpenAI's envelope or in the form of the dialect whose path it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from antiphon.engine.audit_entry import REQUEST_ID
from antiphon.hub.errors import AntiphonError, GatewayError, InsufficientScope, KeysUnavailable
from antiphon.hub.principal import Principal
from antiphon.server.auth import NOBODY, Authenticator
from antiphon.server.bodiless import without_body
from antiphon.server.body import ClientDisconnected, Receive
from antiphon.server.exchange import Exchange
from antiphon.server.guard import Guard
from antiphon.server.reply import Send
from antiphon.server.routes import PUBLIC, Route, RouteTable
from antiphon.telemetry import Log

__all__ = ["Dispatcher", "OnRefused"]

OnRefused = Callable[[Principal, Route, InsufficientScope], None]


class Dispatcher:
    """
    Answers the HTTP requests of one listener.

    Args:
        new_request_id: Names each request.
        on_refused: Told of everybody who is known and may not do what was asked for.
    """

    def __init__(
        self,
        routes: RouteTable,
        *,
        authenticator: Authenticator,
        guard: Guard,
        new_request_id: Callable[[], str],
        on_refused: OnRefused | None = None,
        log: Log,
    ) -> None:
        self._routes = routes
        self._authenticator = authenticator
        self._guard = guard
        self._new_request_id = new_request_id
        self._on_refused = on_refused
        self._log = log

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["method"] == "HEAD":
            send = without_body(send)
        exchange = Exchange(scope, receive, send, request_id=self._new_request_id(), principal=NOBODY)
        REQUEST_ID.set(exchange.request_id)
        form = self._routes.error_form(exchange.path)
        if form is not None:
            exchange.speak(form)
        try:
            await self._handle(exchange, scope)
        except ClientDisconnected:
            self._log.info("client_disconnected", request=exchange.request_id)
        except AntiphonError as error:
            await self._answer_error(exchange, error)
        except Exception as error:  # noqa: BLE001 - the last place that can tell the client
            self._log.crash("request_crashed", error, request=exchange.request_id)
            await self._answer_error(
                exchange, GatewayError("The server had an error while processing your request. Sorry about that!")
            )

    async def _handle(self, exchange: Exchange, scope: Mapping[str, Any]) -> None:
        exchange.extra += self._guard.check(scope["headers"])
        if exchange.method == "OPTIONS" and b"access-control-request-method" in exchange.headers:
            asked = exchange.headers.get(b"access-control-request-headers", b"")
            await exchange.answer({}, self._guard.preflight(asked))
            return
        route, exchange.params = self._routes.find(exchange.method, exchange.path)
        try:
            # What was found decides what is needed, never the path.
            if route.scope != PUBLIC:
                exchange.principal = await self._authenticator.authenticate(scope["headers"])
                exchange.require(route.scope)
            await route.handler(exchange)
        except InsufficientScope as error:
            if self._on_refused is not None:
                self._on_refused(exchange.principal, route, error)
            raise

    async def _answer_error(self, exchange: Exchange, error: AntiphonError) -> None:
        if isinstance(error, KeysUnavailable):
            self._log.error("keys_unavailable", request=exchange.request_id, error=error.message)
        if exchange.answered:
            self._log.warning("error_after_answer", request=exchange.request_id, error=error.message)
            return
        await exchange.answer_error(error)
