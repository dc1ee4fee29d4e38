"""Webhooks: what is told to whom about a background response that has ended (OpenAI's webhook events)."""

from __future__ import annotations

import msgspec

from antiphon.hub.items import JsonObject

__all__ = ["EVENTS", "Webhook"]

# Of a response's status, the event that tells of it.
EVENTS = {
    "completed": "response.completed",
    "failed": "response.failed",
    "cancelled": "response.cancelled",
    "incomplete": "response.incomplete",
}


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """
    One event for one receiver.

    Attributes:
        id: The event's; a receiver that is told twice sees the same one.
        url: The receiver.
        event: The body: ``{"id", "object": "event", "created_at", "type", "data": {"id"}}``.
    """

    id: str
    response_id: str
    url: str
    created_at: int
    event: JsonObject
