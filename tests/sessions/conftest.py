"""Sessions over every store and codec, with a clock that the test sets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from antiphon.crypto.codec import SealingCodec
from antiphon.crypto.services import EphemeralKeys
from antiphon.sessions.codec import Codec, PlainCodec
from antiphon.sessions.store import SessionStore
from antiphon.stores.memory import InMemorySessionStore
from antiphon.stores.sqlite import SQLiteSessionStore
from antiphon.testing.store_fixture import FixedClock
from tests.sessions.stage import Stage


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, clock: FixedClock, tmp_path: Path) -> AsyncIterator[SessionStore]:
    store: SessionStore = (
        InMemorySessionStore(clock=clock)
        if request.param == "memory"
        else SQLiteSessionStore(tmp_path / "store.db", clock=clock)
    )
    await store.open()
    yield store
    await store.close()


@pytest.fixture(params=["plain", "sealed"])
async def codec(request: pytest.FixtureRequest, store: SessionStore, clock: FixedClock) -> Codec:
    codec: Codec = (
        PlainCodec() if request.param == "plain" else SealingCodec(store, service=EphemeralKeys(), clock=clock)
    )
    await codec.open()
    return codec


@pytest.fixture
def stage(store: SessionStore, codec: Codec, clock: FixedClock) -> Stage:
    return Stage(store, codec, clock)
