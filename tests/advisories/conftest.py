"""The production application with keys and two tenants."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.advisories.stage import Stage, Trap, application, trap
from tests.support.scripted_upstream import ScriptedUpstream


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedUpstream]:
    """What is behind the application."""
    async with ScriptedUpstream.serve() as server:
        yield server


@pytest.fixture
async def stage(tmp_path: Path, scripted: ScriptedUpstream) -> AsyncIterator[Stage]:
    """The application."""
    async with application(tmp_path, scripted) as stage:
        yield stage


@pytest.fixture
async def lure() -> AsyncIterator[Trap]:
    """A server that nobody has a reason to call."""
    async with trap() as trapped:
        yield trapped
