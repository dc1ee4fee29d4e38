"""
How the suite is shared out when it runs in several processes (``pytest -n 4``).

A file stays in one process, as its fixtures are made once for it. Everything in front of the real model stays in one
process too, and has one model: two at a time would take turns on the same cores and both be slower than one after the
other.

The suite starts some hundred processes. Where the environment keeps bytecode from being written, each would compile
everything anew, three times as long as it takes otherwise: then it is kept in pytest's own cache.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path

import pytest
import pytest_asyncio
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling, Scheduling

from antiphon.local import LocalModel

ROOT = Path(__file__).parents[1]

if sys.dont_write_bytecode:
    sys.dont_write_bytecode = False
    sys.pycache_prefix = str(ROOT / ".pytest_cache" / "bytecode")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Hands out whole files, and all that need the model as if they were one."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "model" if _needs_model(file) else file


@cache
def _needs_model(file: str) -> bool:
    return "mark.model" in (ROOT / file).read_text(encoding="utf-8")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """What hands out the tests."""
    config.option.loadscopereorder = False  # the model's come early, and take longest
    return ByFile(config, log)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def local_model() -> AsyncIterator[LocalModel]:
    """
    A real model behind a real inference server, started once.

    A module that uses it runs in the session's event loop (``pytestmark``), because a child process belongs to the loop
    that started it.
    """
    # One thread: the other cores are busy with other tests. 8192 tokens for each turn: some clients send many tools.
    async with LocalModel(context_tokens=16_384, threads=1) as model:
        yield model
