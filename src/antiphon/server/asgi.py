"""
The ASGI application: which operations there are, and what serves them. No rules of the API are here.

Plain ASGI, so that it runs under any server and mounts in any application.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from itertools import chain
from typing import Any

from antiphon.engine.gateway import Gateway
from antiphon.hub.completions import CompletionFormat
from antiphon.hub.embedding import EmbeddingFormat
from antiphon.hub.errors import AntiphonError
from antiphon.hub.format import ClientDialects, StateFormat
from antiphon.hub.items import JsonObject
from antiphon.server.audit import AuditEndpoints
from antiphon.server.auth import Authenticator, NoKeys
from antiphon.server.body import BodyLimits, Receive
from antiphon.server.chat_completions import StoredCompletionsEndpoints
from antiphon.server.chat_table import stored_completion_operations
from antiphon.server.conversations import ConversationsEndpoints
from antiphon.server.dialect_table import dialect_operations
from antiphon.server.dispatch import Dispatcher
from antiphon.server.documentation import Documentation
from antiphon.server.embeddings import EmbeddingsEndpoints
from antiphon.server.embeddings_table import embedding_operations
from antiphon.server.end_users import EndUsersEndpoints
from antiphon.server.guard import Guard
from antiphon.server.library import LibraryEndpoints
from antiphon.server.library_table import library_operations
from antiphon.server.people_table import people_operations
from antiphon.server.prompts import PromptsEndpoints
from antiphon.server.reply import Send
from antiphon.server.responses import ResponsesEndpoints
from antiphon.server.routes import Route, RouteTable
from antiphon.server.service import ServiceEndpoints
from antiphon.server.sse import StreamLimits
from antiphon.server.table import operations
from antiphon.server.transfer import TransferEndpoints
from antiphon.server.webhooks import WebhooksEndpoints
from antiphon.server.websocket import WebSocketEndpoint
from antiphon.server.ws_lanes import SocketLimits

__all__ = ["Edge"]

Scope = Mapping[str, Any]


class Edge:
    """
    Serves a gateway.

    Args:
        dialects: What is served besides the Responses API.
        stored_chat: How chat completions that were stored are shown.
        embeddings: How embeddings are asked for.
        authenticator: Who says who calls; without one everybody is let in as the local principal.
        on_startup, on_shutdown: Awaited at the ASGI lifespan's ends; None where somebody else runs the gateway's life.
    """

    def __init__(
        self,
        gateway: Gateway,
        state_format: StateFormat,
        dialects: ClientDialects,
        stored_chat: CompletionFormat,
        *,
        embeddings: EmbeddingFormat,
        authenticator: Authenticator | None = None,
        guard: Guard | None = None,
        body_limits: BodyLimits | None = None,
        stream_limits: StreamLimits | None = None,
        socket_limits: SocketLimits | None = None,
        on_startup: Callable[[], Awaitable[None]] | None = None,
        on_shutdown: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        authenticator = authenticator or NoKeys()
        guard = guard or Guard()
        self._on_startup = on_startup
        self._on_shutdown = on_shutdown
        body_limits = body_limits or BodyLimits()
        stream_limits = stream_limits or StreamLimits()
        routes = [
            *_routes(gateway, state_format, body_limits, stream_limits),
            *dialect_operations(gateway, dialects, body_limits, stream_limits),
            *embedding_operations(EmbeddingsEndpoints(gateway, embeddings, body_limits=body_limits)),
            *stored_completion_operations(
                StoredCompletionsEndpoints(gateway, stored_chat, body_limits=body_limits), dialects.chat
            ),
        ]
        schemas = _together(state_format.schemas(), dialects.schemas(), embeddings.schemas(), stored_chat.schemas())
        self.routes = RouteTable(Documentation(routes, schemas).routes)
        self._dispatch = Dispatcher(
            self.routes,
            authenticator=authenticator,
            guard=guard,
            new_request_id=gateway.ids.request,
            on_refused=lambda who, route, error: gateway.trail.note(who, "access.refused", route.name, error=error),
            log=gateway.log,
        )
        self._websocket = WebSocketEndpoint(
            gateway,
            authenticator=authenticator,
            guard=guard,
            body_limits=body_limits,
            limits=socket_limits or SocketLimits(),
            max_lag_bytes=stream_limits.max_reader_lag_bytes,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        match scope["type"]:
            case "http":
                await self._dispatch(scope, receive, send)
            case "lifespan":
                await self._lifespan(receive, send)
            case "websocket":
                await self._websocket(scope, receive, send)

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


def _together(*schemas: Mapping[str, JsonObject]) -> dict[str, JsonObject]:
    """
    All schemas by name.

    Raises:
        ValueError: Two that differ have one name.
    """
    found: dict[str, JsonObject] = {}
    for name, schema in chain.from_iterable(each.items() for each in schemas):
        if found.setdefault(name, schema) != schema:
            raise ValueError(f"There are two schemas with the name '{name}'.")
    return found


def _routes(
    gateway: Gateway, state_format: StateFormat, body_limits: BodyLimits, stream_limits: StreamLimits
) -> list[Route]:
    responses = ResponsesEndpoints(gateway, state_format, body_limits=body_limits, stream_limits=stream_limits)
    conversations = ConversationsEndpoints(gateway, state_format, body_limits=body_limits)
    service = ServiceEndpoints(gateway)
    return [
        *operations(responses, conversations, WebhooksEndpoints(gateway, state_format), service),
        *library_operations(
            LibraryEndpoints(gateway, state_format),
            conversations,
            TransferEndpoints(gateway, state_format, body_limits=body_limits),
            PromptsEndpoints(gateway, state_format, body_limits=body_limits),
        ),
        *people_operations(EndUsersEndpoints(gateway, state_format), AuditEndpoints(gateway, state_format)),
    ]
