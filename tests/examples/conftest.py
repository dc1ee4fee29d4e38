"""What the examples run against: a real model behind one gateway, a scripted one behind another, a Node of our own."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from antiphon.local import LocalModel
from tests.examples.running import EXAMPLES, NODE, NPM, run
from tests.support.gateway_process import GatewayProcess
from tests.support.scripted_upstream import ScriptedUpstream

_UPSTREAM = "http://127.0.0.1:9000/v1"  # as examples/antiphon.yaml has it


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def gateway(local_model: LocalModel, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GatewayProcess]:
    """A gateway in front of the real model, configured as the examples' own file says."""
    folder = tmp_path_factory.mktemp("gateway")
    arguments = _configured(folder, local_model.base_url)
    async with GatewayProcess.serving(folder / "antiphon.db", "", arguments=arguments) as serving:
        yield serving


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def scripted() -> AsyncIterator[ScriptedUpstream]:
    """A model that says what the test tells it to."""
    async with ScriptedUpstream.serve() as upstream:
        yield upstream


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def scripted_gateway(
    scripted: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[GatewayProcess]:
    """A gateway in front of the scripted model, configured alike."""
    folder = tmp_path_factory.mktemp("scripted")
    async with GatewayProcess.serving(
        folder / "antiphon.db", "", arguments=_configured(folder, scripted.url)
    ) as serving:
        yield serving


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def javascript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the JavaScript examples with the packages of their lock file installed."""
    folder = tmp_path_factory.mktemp("javascript") / "examples"
    shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
    options = ("--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error")
    await run([NODE, NPM, "ci", *options], cwd=folder / "js", env=dict(os.environ))
    return folder / "js"


def _configured(folder: Path, upstream_url: str) -> tuple[str, str]:
    """Arguments that make ``antiphon serve`` read the examples' configuration, with another upstream."""
    text = (EXAMPLES / "antiphon.yaml").read_text(encoding="utf-8")
    assert _UPSTREAM in text
    file = folder / "antiphon.yaml"
    file.write_text(text.replace(_UPSTREAM, upstream_url), encoding="utf-8")
    return ("--config", str(file))
