"""
The administrators' ASGI application: tenants, API keys and audit trails, on a listener of its own.

It always asks for an administrator's key, on the loopback interface too, and answers nothing of any tenant's content.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from antiphon.engine.administration import Administration
from antiphon.server.admin_documents import schemas
from antiphon.server.admin_endpoints import AdminEndpoints
from antiphon.server.admin_table import admin_operations
from antiphon.server.auth import Authenticator
from antiphon.server.body import BodyLimits, Receive
from antiphon.server.dispatch import Dispatcher
from antiphon.server.documentation import Documentation
from antiphon.server.guard import Guard
from antiphon.server.openapi import About
from antiphon.server.reply import Send
from antiphon.server.routes import RouteTable
from antiphon.telemetry import Log

__all__ = ["ADMINISTRATION", "AdminEdge"]

ADMINISTRATION = About(
    title="Antiphon for administrators",
    introduction="Tenants, their API keys and audit trails. What tenants have stored cannot be read here.",
    credential="An administrator's key, made on the command line: 'antiphon keys create --admin'.",
)

_MAX_BODY_BYTES = 64 * 1024
_MAX_DEPTH = 8


class AdminEdge:
    """
    Serves an :class:`~antiphon.engine.administration.Administration`, whose store somebody else opens and closes.

    Args:
        authenticator: Knows administrators, and nobody else.
        new_request_id: Names each request.
    """

    def __init__(
        self,
        administration: Administration,
        *,
        authenticator: Authenticator,
        guard: Guard,
        new_request_id: Callable[[], str],
        log: Log,
    ) -> None:
        limits = BodyLimits(max_body_bytes=_MAX_BODY_BYTES, max_json_depth=_MAX_DEPTH)
        documentation = Documentation(
            admin_operations(AdminEndpoints(administration, body_limits=limits)), schemas(), ADMINISTRATION
        )
        self.routes = RouteTable(documentation.routes)
        self._dispatch = Dispatcher(
            self.routes, authenticator=authenticator, guard=guard, new_request_id=new_request_id, log=log
        )

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one ASGI scope. A WebSocket is turned away: there is none here."""
        match scope["type"]:
            case "http":
                await self._dispatch(scope, receive, send)
            case "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1000})
