"""The envelope of every list: ``{"object": "list", "data", "first_id", "last_id", "has_more"}``."""

from __future__ import annotations

from antiphon.hub.format import PageRequest, StateFormat
from antiphon.hub.items import JsonObject
from antiphon.sessions.sessions import ListedItems

__all__ = ["list_body"]


def list_body(listed: ListedItems, page: PageRequest, state_format: StateFormat) -> JsonObject:
    """A page of items as clients expect it; both ends are item ids, or null for an empty page."""
    data = [state_format.show_item(item, page.include) for item in listed.items]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": listed.has_more,
    }
