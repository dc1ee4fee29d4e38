"""A gateway process whose connections are limited tightly, so that a test sees the limits within seconds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.gateway_process import GatewayProcess
from tests.support.scripted_upstream import ScriptedUpstream

LIMITS = """
server:
  max_body_bytes: 2000000
  limits:
    header_timeout_s: 2.0
    body_timeout_s: 2.0
    send_timeout_s: 2.0
    min_rate: 1000000
    keep_alive_s: 2
    max_connections: 60
    max_connections_per_address: 50
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_upstream() -> AsyncIterator[ScriptedUpstream]:
    """One for a module."""
    async with ScriptedUpstream.serve() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def limited_gateway(
    request: pytest.FixtureRequest, shared_upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[GatewayProcess]:
    """
    A real gateway; on its way out it has to drain, and to have logged no fault.

    A module whose clients are never slow says so by ``LIMITS`` of its own: a busy machine may stand still for seconds.
    """
    folder: Path = tmp_path_factory.mktemp("limited")
    settings = folder / "antiphon.yaml"
    settings.write_text(getattr(request.module, "LIMITS", LIMITS))
    gateway = GatewayProcess(folder / "antiphon.db", shared_upstream.url, arguments=("--config", str(settings)))
    await gateway.start()
    try:
        yield gateway
    except BaseException:
        await gateway.kill()
        raise
    await gateway.stop()


@pytest.fixture
def port(limited_gateway: GatewayProcess) -> int:
    """Where it listens."""
    return int(limited_gateway.root.rpartition(":")[2])


@pytest.fixture
def scripted(shared_upstream: ScriptedUpstream) -> ScriptedUpstream:
    """Its upstream, which has seen nothing yet."""
    shared_upstream.scripts.clear()
    shared_upstream.requests.clear()
    return shared_upstream
