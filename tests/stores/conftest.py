"""Both stores, fresh and open, with a clock that the test sets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from antiphon.stores.memory import InMemorySessionStore
from antiphon.stores.sqlite import SQLiteSessionStore
from antiphon.testing.store_suite import FixedClock, StoreFixture


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
async def memory(clock: FixedClock) -> AsyncIterator[StoreFixture]:
    store = InMemorySessionStore(clock=clock)
    await store.open()
    yield StoreFixture(store, clock)
    await store.close()


@pytest.fixture
async def sqlite(clock: FixedClock, tmp_path: Path) -> AsyncIterator[StoreFixture]:
    store = SQLiteSessionStore(tmp_path / "store.db", clock=clock)
    await store.open()

    async def reopen() -> None:
        await store.close()
        await store.open()

    yield StoreFixture(store, clock, reopen)
    await store.close()
