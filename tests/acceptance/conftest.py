"""
What the acceptance tests share: gateways, in front of the real local model or of a scripted one.

A module that uses one of these runs in the session's event loop (``pytestmark``), because a child process belongs to
the loop that started it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from antiphon.local import LocalModel
from tests.support.gateway_process import GatewayProcess
from tests.support.scripted_upstream import ScriptedUpstream


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def model_gateway(
    local_model: LocalModel, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[GatewayProcess]:
    """A gateway in front of the real model, on a SQLite file."""
    store = tmp_path_factory.mktemp("model") / "antiphon.db"
    async with GatewayProcess.serving(store, local_model.base_url) as gateway:
        yield gateway


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shared_upstream() -> AsyncIterator[ScriptedUpstream]:
    """One for a module; tests take it as :func:`scripted`."""
    async with ScriptedUpstream.serve() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scripted_gateway(
    shared_upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[GatewayProcess]:
    """A gateway process in front of the scripted model server, on a SQLite file."""
    store = tmp_path_factory.mktemp("scripted") / "antiphon.db"
    async with GatewayProcess.serving(store, shared_upstream.url) as gateway:
        yield gateway


@pytest.fixture
def scripted(shared_upstream: ScriptedUpstream) -> ScriptedUpstream:
    """A model server that does what the test tells it to."""
    shared_upstream.scripts.clear()
    return shared_upstream
