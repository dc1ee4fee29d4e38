"""Every store passes the one suite, all of it."""

from __future__ import annotations

import pytest

from antiphon.sessions.store import SessionStore, TenantStore
from antiphon.stores.memory import InMemorySessionStore
from antiphon.stores.sqlite import SQLiteSessionStore
from antiphon.testing.store_suite import CHECKS, Check, StoreFixture


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
async def test_memory_keeps_its_promises(check: Check, memory: StoreFixture) -> None:
    """The reference model behaves as the protocol says."""
    await check.run(memory)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
async def test_sqlite_keeps_its_promises(check: Check, sqlite: StoreFixture) -> None:
    """The SQLite store behaves as the protocol says."""
    await check.run(sqlite)


def test_each_check_states_one_promise() -> None:
    """Names are unique and every check says in a sentence what it promises."""
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert all(check.promise.endswith(".") for check in CHECKS)
    assert len(CHECKS) >= 60


def test_stores_fit_the_protocol(memory: StoreFixture) -> None:
    """The type checker accepts both stores as what the protocol asks for."""
    stores: list[SessionStore] = [InMemorySessionStore(), SQLiteSessionStore("unused.db")]
    tenant: TenantStore = memory.acme
    assert len(stores) == 2
    assert hasattr(tenant, "commit")
