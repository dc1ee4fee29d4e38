"""One page out of a list of items, by item id. Pure; every store whose view is a list in memory shares it."""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.hub.errors import ItemNotFound
from antiphon.sessions.records import ItemPage, Page, StoredItem

__all__ = ["listed", "not_in_list", "page_of"]


def listed(items: Sequence[StoredItem]) -> list[StoredItem]:
    """The items that a list shows: not removed, not left out, not erased."""
    return [item for item in items if item.payload is not None and not item.removed and not item.left_out]


def page_of(items: Sequence[StoredItem], page: Page) -> ItemPage:
    """
    Cut *page* out of *items* (oldest first).

    An item may stand in a list twice, once by reference. A cursor is an id, and means its first place in the page's
    order; so a page that goes on never ends with a repetition, which would send the reader round in circles: the
    repetition is passed over, and what comes after it is shown in its stead.

    Raises:
        ItemNotFound: ``page.after`` is not among *items*.
    """
    ordered = list(items) if page.order == "asc" else list(reversed(items))
    first: dict[str, int] = {}
    for index, item in enumerate(ordered):
        first.setdefault(str(item.id), index)
    start = 0 if page.after is None else _place_of(page.after, first) + 1
    taken = list(range(start, min(start + page.limit, len(ordered))))
    following = start + len(taken)
    while taken and following < len(ordered) and first[str(ordered[taken[-1]].id)] < taken[-1]:
        taken[-1] = following
        following += 1
    return ItemPage(items=tuple(ordered[index] for index in taken), has_more=following < len(ordered))


def _place_of(item_id: str, first: dict[str, int]) -> int:
    place = first.get(item_id)
    if place is None:
        raise not_in_list(item_id)
    return place


def not_in_list(item_id: str) -> ItemNotFound:
    """The error of a cursor that is not in its list."""
    return ItemNotFound(f"Item with id '{item_id}' not found.", param="after")
