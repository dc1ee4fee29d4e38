"""
Reading one page of a view's items: only the positions around it are looked at, however long the view is.

A window is a range of positions along the path, each of which is there once. What of it is not shown (removed, left
out, erased) is passed over, and the next window is read until the page is full.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import apsw
import msgspec

from antiphon.hub.errors import StoreCorrupt
from antiphon.hub.ids import TenantId
from antiphon.sessions.records import Head, ItemPage, Page, StoredItem
from antiphon.stores.paging import listed, not_in_list
from antiphon.stores.sqlite import queries
from antiphon.stores.sqlite.rows import item_of, rows_of

__all__ = ["read_page"]

# Positions between two looks at the event loop: about a millisecond of work.
_WINDOW = 256


async def read_page(connection: apsw.Connection, tenant: TenantId, head: Head, page: Page) -> ItemPage:
    """
    The *page* of what *head* shows, as :func:`~antiphon.stores.paging.page_of` cuts it out of the whole.

    Costs the page, what is passed over, and the logs between the head and the page. *connection* holds a snapshot.

    Raises:
        ItemNotFound: ``page.after`` is not among these items.
        StoreCorrupt: A position is missing, or a reference points at nothing.
    """
    view = _View(connection=connection, tenant=tenant, head=head, ascending=page.order == "asc")
    start = view.beginning if page.after is None else view.place_after(page.after)
    taken: list[StoredItem] = []
    async with aclosing(view.items_from(start, page.limit + 1)) as following:
        async for item in following:
            if len(taken) < page.limit:
                taken.append(item)
            elif view.is_repetition(taken[-1]):
                taken[-1] = item
            else:
                return ItemPage(items=tuple(taken), has_more=True)
    return ItemPage(items=tuple(taken), has_more=False)


class _View(msgspec.Struct, frozen=True, kw_only=True):
    """What *head* shows, in one order."""

    connection: apsw.Connection
    tenant: TenantId
    head: Head
    ascending: bool

    @property
    def beginning(self) -> int:
        return 0 if self.ascending else self.head.position

    def place_after(self, item_id: str) -> int:
        """Where a page begins that follows an item."""
        place = self._first_place(item_id)
        if place is None:
            raise not_in_list(item_id)
        return place + 1 if self.ascending else place - 1

    def is_repetition(self, item: StoredItem) -> bool:
        """Whether the item shows at an earlier place as well."""
        return self._first_place(str(item.id)) != item.position

    async def items_from(self, start: int, count: int) -> AsyncGenerator[StoredItem, None]:
        """The items from position *start* on; the first window is of *count* positions."""
        while 0 <= start <= self.head.position:
            if self.ascending:
                low, high = start, min(start + count - 1, self.head.position)
            else:
                low, high = max(start - count + 1, 0), start
            window = self._window(low, high)
            for item in window if self.ascending else reversed(window):
                yield item
            start, count = (high + 1 if self.ascending else low - 1), _WINDOW
            await asyncio.sleep(0)

    def _window(self, low: int, high: int) -> list[StoredItem]:
        head = (self.head.log, low, high, self.head.position, self.head.epoch)
        rows = rows_of(self.connection, queries.READ_WINDOW, self.tenant, *head)
        hidden = set(rows_of(self.connection, queries.FIND_HIDDEN_IN_WINDOW, self.tenant, *head))
        items = sorted(map(item_of, rows), key=lambda item: item.position)
        if [item.position for item in items] != list(range(low, high + 1)):
            raise StoreCorrupt(
                f"The positions {low} to {high} of a view of log {self.head.log} have a gap. "
                "Run the store's check, and restore a backup if it reports problems."
            )
        return listed([item for item in items if (item.log, item.position) not in hidden])

    def _first_place(self, item_id: str) -> int | None:
        head = (self.head.position, self.head.epoch)
        places = rows_of(self.connection, queries.FIND_SHOWN, self.tenant, self.head.log, item_id, *head)
        return int(places[0 if self.ascending else -1][1]) if places else None
