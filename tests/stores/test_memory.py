"""What is the in-memory store's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.hub.errors import StoreUnavailable
from antiphon.hub.ids import TenantId
from antiphon.stores.memory import InMemorySessionStore
from antiphon.testing.store_contents import contents, fill
from antiphon.testing.store_suite import StoreFixture


async def test_store_without_a_file_is_not_copied(memory: StoreFixture, tmp_path: Path) -> None:
    """A backup of a store that is in no file is refused, and leaves no file."""
    path = tmp_path / "copy.db"
    with pytest.raises(StoreUnavailable, match="not in a file"):
        await memory.store.backup(str(path))
    assert not path.exists()


async def test_store_without_a_file_has_nothing_to_compact(memory: StoreFixture) -> None:
    """Compacting tells of no progress, since there is nothing to do."""
    told: list[str] = []
    await memory.store.compact(progress=told.append)
    assert told == []


async def test_closed_store_cannot_serve() -> None:
    """A store that nobody has open, or any more, says so; while one of two still has it, it serves."""
    store = InMemorySessionStore()
    with pytest.raises(StoreUnavailable):
        await store.ping()
    await store.open()
    await store.open()
    await store.close()
    await store.ping()
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.ping()


async def test_tenant_at_hand_sees_its_end(memory: StoreFixture) -> None:
    """Whoever holds a tenant's store while it is erased sees nothing any more, and goes on with what comes anew."""
    held = memory.acme
    await fill(memory, held)
    _, has_more = await memory.store.erase_tenant(TenantId("acme"))
    assert has_more is False
    assert await contents(held) == {}
    await fill(memory, memory.acme)
    assert await contents(held) == await contents(memory.acme)


async def test_dry_run_shares_nothing_with_the_store(memory: StoreFixture) -> None:
    """What a dry run did on its copy is not seen by whoever asks meanwhile or later."""
    made = await fill(memory, memory.acme)
    before = await contents(memory.acme)
    for _ in range(3):
        receipt = await memory.acme.delete_response(made.response, cascade=True, dry_run=True)
        assert receipt is not None
        assert receipt.responses == (made.response,)
    assert await contents(memory.acme) == before
    assert await memory.store.check() == []
