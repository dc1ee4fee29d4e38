"""
WebSocket mode of ``/v1/responses``: the handshake.

It passes the same guard and shows the same credentials as every request; whoever may not come in is told why with an
HTTP answer, before the connection is accepted. What follows then is :mod:`.ws_connection`.

A connection may outlive its key, so the credential is looked at again whenever a turn is to begin on it. A turn that
runs already comes to its end, as it does over HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from antiphon.engine.audit_entry import REQUEST_ID
from antiphon.engine.gateway import Gateway
from antiphon.engine.plan import TurnOptions
from antiphon.hub.errors import AntiphonError, GatewayError, InsufficientScope, InvalidRequest, NotFound
from antiphon.hub.principal import Principal, Scope
from antiphon.server.auth import NOBODY, Authenticator, subprotocol_of
from antiphon.server.body import BodyLimits, Receive
from antiphon.server.exchange import Exchange
from antiphon.server.guard import Guard
from antiphon.server.reply import Send
from antiphon.server.responses import turn_options
from antiphon.server.ws_connection import SocketConnection
from antiphon.server.ws_lanes import SocketLimits

__all__ = ["WebSocketEndpoint"]

SocketScope = Mapping[str, Any]

_PATH = "/v1/responses"
_NEEDED: Final[Scope] = "responses:write"
_OPERATION = "createResponse"
_POLICY_VIOLATION = 1008


class WebSocketEndpoint:
    """
    Args:
        max_lag_bytes: See :class:`antiphon.server.sse.StreamLimits`.
    """

    def __init__(
        self,
        gateway: Gateway,
        *,
        authenticator: Authenticator,
        guard: Guard,
        body_limits: BodyLimits,
        limits: SocketLimits,
        max_lag_bytes: int,
    ) -> None:
        self._gateway = gateway
        self._authenticator = authenticator
        self._guard = guard
        self._body_limits = body_limits
        self._limits = limits
        self._max_lag_bytes = max_lag_bytes

    async def __call__(self, scope: SocketScope, receive: Receive, send: Send) -> None:
        """Serve one ASGI ``websocket`` scope."""
        exchange = Exchange(
            {**scope, "method": "GET"},
            receive,
            _denial(scope, send),
            request_id=self._gateway.ids.request(),
            principal=NOBODY,
        )
        REQUEST_ID.set(exchange.request_id)
        await receive()  # websocket.connect
        try:
            options = await self._admit(scope, exchange)
        except AntiphonError as error:
            await exchange.answer_error(error)
            return
        except Exception as error:  # noqa: BLE001 - the last place that can tell the client
            self._gateway.log.crash("handshake_crashed", error, request=exchange.request_id, path=exchange.path)
            await exchange.answer_error(
                GatewayError("The server had an error while processing your request. Sorry about that!")
            )
            return
        accept: dict[str, Any] = {"type": "websocket.accept", "headers": list(exchange.closing())}
        subprotocol = subprotocol_of(scope.get("subprotocols", ()))
        if subprotocol is not None:
            accept["subprotocol"] = subprotocol
        await send(accept)
        await self._connection(scope, exchange, options, send).serve()

    async def _principal(self, scope: SocketScope) -> Principal:
        """Who is at the other end, if that is somebody who may begin a turn now."""
        principal = await self._authenticator.authenticate(scope["headers"], subprotocols=scope.get("subprotocols", ()))
        if _NEEDED not in principal.scopes:
            error = InsufficientScope(_NEEDED)
            self._gateway.trail.note(principal, "access.refused", _OPERATION, error=error)
            raise error
        return principal

    async def _admit(self, scope: SocketScope, exchange: Exchange) -> TurnOptions:
        self._guard.check(scope["headers"])
        if exchange.path != _PATH:
            raise NotFound(f"Invalid URL (WebSocket {_shown(exchange.path)})")
        await self._principal(scope)
        options = turn_options(exchange, {})
        if options.key is not None:
            raise InvalidRequest("An Idempotency-Key names one request; a WebSocket carries many. Leave it out.")
        self._gateway.turns.refuse_draining()
        return options

    def _connection(self, scope: SocketScope, exchange: Exchange, options: TurnOptions, send: Send) -> SocketConnection:
        return SocketConnection(
            self._gateway,
            exchange.receive,
            send,
            authenticate=partial(self._principal, scope),
            options=options,
            request_id=exchange.request_id,
            body_limits=self._body_limits,
            limits=self._limits,
            max_lag_bytes=self._max_lag_bytes,
        )


def _denial(scope: SocketScope, send: Send) -> Send:
    """Sends an HTTP answer in place of the handshake's; a server that cannot do so answers 403 by itself."""
    can_answer = "websocket.http.response" in (scope.get("extensions") or {})

    async def deny(message: Mapping[str, Any]) -> None:
        if can_answer:
            await send({**message, "type": f"websocket.{message['type']}"})
        elif message["type"] == "http.response.start":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})

    return deny


def _shown(path: str) -> str:
    return "".join(char for char in path[:200] if char.isprintable())
