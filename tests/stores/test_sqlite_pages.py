"""What a page of items costs in SQLite, however long the list is."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from antiphon.hub.ids import TenantId
from antiphon.sessions.records import Head, Page
from antiphon.stores.sqlite.connection import connect
from antiphon.stores.sqlite.pages import read_page
from antiphon.testing.store_fixture import StoreFixture, item, item_id
from tests.stores.test_sqlite_library import meter


async def cost_of(path: Path, head: Head, page: Page) -> int:
    """What reading a page of ten costs, by the meter."""
    connection = connect(path, busy_timeout_ms=1000, read_only=True)
    seen = meter(connection)
    assert len((await read_page(connection, TenantId("acme"), head, page)).items) == page.limit
    connection.close()
    return len(seen)


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_page_costs_the_same_in_a_long_list(
    sqlite: StoreFixture, tmp_path: Path, order: Literal["asc", "desc"]
) -> None:
    """A page in the middle of a long list reads no more than a page of a short one."""
    costs = []
    for name, length in (("short", 40), ("long", 4000)):
        entries = [item(name, index) for index in range(length)]
        head = (await sqlite.create(name, entries)).head
        page = Page(limit=10, order=order, after=item_id(name, length // 2))
        costs.append(await cost_of(tmp_path / "store.db", head, page))
    assert costs[1] <= costs[0] * 1.1 + 1, costs
