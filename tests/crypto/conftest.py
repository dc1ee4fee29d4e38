"""Both stores, open."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from antiphon.sessions.store import SessionStore
from antiphon.stores.memory import InMemorySessionStore
from antiphon.stores.sqlite import SQLiteSessionStore


@pytest.fixture
async def memory() -> AsyncIterator[SessionStore]:
    store = InMemorySessionStore()
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SessionStore]:
    store = SQLiteSessionStore(tmp_path / "store.db")
    await store.open()
    yield store
    await store.close()


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest) -> SessionStore:
    found: SessionStore = request.getfixturevalue(request.param)
    return found
