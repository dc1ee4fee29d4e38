"""The envelope of every list: ``{"object": "list", "data", "first_id", "last_id", "has_more"}``."""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.hub.format import PageRequest, StateFormat
from antiphon.hub.items import JsonObject
from antiphon.sessions.conversations import ListedItems

__all__ = ["list_body", "page_body"]


def list_body(listed: ListedItems, page: PageRequest, state_format: StateFormat) -> JsonObject:
    """A page of items as clients expect it."""
    data = [state_format.show_item(item, page.include) for item in listed.items]
    return page_body(data, has_more=listed.has_more)


def page_body(data: Sequence[JsonObject], *, has_more: bool) -> JsonObject:
    """A page of anything that has ids; both ends are ids, or null for an empty page."""
    return {
        "object": "list",
        "data": list(data),
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": has_more,
    }
