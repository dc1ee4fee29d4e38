"""
The ASGI application: guard, route, handle, render errors. No rules of the API are here.

Plain ASGI, so that it runs under any server and mounts in any application. Every error that reaches this place is
answered as OpenAI's envelope with the request's id.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from antiphon.engine.gateway import Gateway
from antiphon.hub.errors import AntiphonError, GatewayError
from antiphon.hub.format import StateFormat
from antiphon.hub.principal import LOCAL
from antiphon.server.body import BodyLimits, ClientDisconnected, Receive
from antiphon.server.conversations import ConversationsEndpoints
from antiphon.server.exchange import Exchange
from antiphon.server.guard import Guard
from antiphon.server.reply import Send
from antiphon.server.responses import ResponsesEndpoints
from antiphon.server.routes import Route, RouteTable
from antiphon.server.service import ServiceEndpoints
from antiphon.server.sse import StreamLimits

__all__ = ["Edge"]

Scope = Mapping[str, Any]


class Edge:
    """
    Serves a gateway.

    Args:
        on_startup, on_shutdown: Awaited at the ASGI lifespan's ends; None where somebody else runs the gateway's life.
    """

    def __init__(
        self,
        gateway: Gateway,
        state_format: StateFormat,
        *,
        guard: Guard | None = None,
        body_limits: BodyLimits | None = None,
        stream_limits: StreamLimits | None = None,
        on_startup: Callable[[], Awaitable[None]] | None = None,
        on_shutdown: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._gateway = gateway
        self._log = gateway.log
        self._guard = guard or Guard()
        self._on_startup = on_startup
        self._on_shutdown = on_shutdown
        body_limits = body_limits or BodyLimits()
        self.routes = RouteTable(_routes(gateway, state_format, body_limits, stream_limits or StreamLimits()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        match scope["type"]:
            case "http":
                await self._http(scope, receive, send)
            case "lifespan":
                await self._lifespan(receive, send)
            case "websocket":
                await send({"type": "websocket.close", "code": 1008, "reason": "WebSocket is not supported yet."})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send, request_id=self._gateway.ids.request(), principal=LOCAL)
        try:
            exchange.extra += self._guard.check(scope["headers"])
            if exchange.method == "OPTIONS" and b"access-control-request-method" in exchange.headers:
                asked = exchange.headers.get(b"access-control-request-headers", b"")
                await exchange.answer({}, self._guard.preflight(asked))
                return
            route, exchange.params = self.routes.find(exchange.method, exchange.path)
            await route.handler(exchange)
        except ClientDisconnected:
            self._log.info("client_disconnected", request=exchange.request_id)
        except AntiphonError as error:
            await self._answer_error(exchange, error)
        except Exception as error:  # noqa: BLE001 - the last place that can tell the client
            self._log.crash("request_crashed", error, request=exchange.request_id, path=exchange.path)
            await self._answer_error(
                exchange, GatewayError("The server had an error while processing your request. Sorry about that!")
            )

    async def _answer_error(self, exchange: Exchange, error: AntiphonError) -> None:
        if exchange.answered:
            self._log.warning("error_after_answer", request=exchange.request_id, error=error.message)
            return
        await exchange.answer_error(error)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    if self._on_startup is not None:
                        await self._on_startup()
                except AntiphonError as error:
                    await send({"type": "lifespan.startup.failed", "message": error.message})
                    return
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                if self._on_shutdown is not None:
                    await self._on_shutdown()
                await send({"type": "lifespan.shutdown.complete"})
                return


def _routes(
    gateway: Gateway, state_format: StateFormat, body_limits: BodyLimits, stream_limits: StreamLimits
) -> list[Route]:
    responses = ResponsesEndpoints(gateway, state_format, body_limits=body_limits, stream_limits=stream_limits)
    conversations = ConversationsEndpoints(gateway, state_format, body_limits=body_limits)
    service = ServiceEndpoints(gateway)
    return [
        Route("POST", "/v1/responses", responses.create, "Run a turn"),
        Route("GET", "/v1/responses/{}", responses.retrieve, "Retrieve a response"),
        Route("DELETE", "/v1/responses/{}", responses.delete, "Delete a response"),
        Route("GET", "/v1/responses/{}/input_items", responses.input_items, "List what the model saw"),
        Route("POST", "/v1/conversations", conversations.create, "Create a conversation"),
        Route("GET", "/v1/conversations/{}", conversations.retrieve, "Retrieve a conversation"),
        Route("POST", "/v1/conversations/{}", conversations.update, "Update a conversation's metadata"),
        Route("DELETE", "/v1/conversations/{}", conversations.delete, "Delete a conversation"),
        Route("GET", "/v1/conversations/{}/items", conversations.items, "List a conversation's items"),
        Route("GET", "/v1/models", service.models, "List the models"),
        Route("GET", "/v1/models/{}", service.model, "Retrieve a model"),
        Route("GET", "/livez", service.live, "Whether the process serves"),
        Route("GET", "/readyz", service.ready, "Whether turns can be taken"),
    ]
