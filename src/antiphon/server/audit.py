"""The endpoint that shows a tenant its own audit trail."""

from __future__ import annotations

from antiphon.engine.gateway import Gateway
from antiphon.hub.format import StateFormat
from antiphon.hub.items import JsonObject
from antiphon.server.exchange import Exchange
from antiphon.sessions.directory import AuditRecord

__all__ = ["AuditEndpoints", "shown_record"]


class AuditEndpoints:
    """List entries."""

    def __init__(self, gateway: Gateway, state_format: StateFormat) -> None:
        self._gateway = gateway
        self._state_format = state_format

    async def list(self, exchange: Exchange) -> None:
        """``GET /v1/audit``."""
        wanted = self._state_format.decode_audit(exchange.query)
        page = await self._gateway.audit(wanted, exchange.principal)
        data = [shown_record(record) for record in page.records]
        await exchange.answer({"object": "list", "data": data, "has_more": page.has_more})


def shown_record(record: AuditRecord) -> JsonObject:
    """An entry as clients see it."""
    entry = record.entry
    return {
        "object": "audit_entry",
        "index": record.index,
        "at_ms": entry.at_ms,
        "actor": entry.actor,
        "action": entry.action,
        "object_id": entry.object_id,
        "outcome": entry.outcome,
        "request_id": entry.request_id,
        "link": record.link.hex(),
    }
