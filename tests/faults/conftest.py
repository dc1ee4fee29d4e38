"""One life that went well, which tests take copies of."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.ledger import Ledger, Told
from tests.faults.life import live

__all__ = ["NAME"]

NAME = "antiphon.db"


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a life that has ended: the store, its key file, the ledger."""
    folder = tmp_path_factory.mktemp("lived")
    ledger = Ledger(folder / "ledger")
    asyncio.run(live(folder / NAME, ledger))
    ledger.close()
    assert Told.of(folder / "ledger").refused == []
    return folder


@pytest.fixture
def copy_of_life(lived: Path, tmp_path: Path) -> Callable[[], Path]:
    """Makes one more copy of that folder."""
    copies = 0

    def copy() -> Path:
        nonlocal copies
        copies += 1
        return Path(shutil.copytree(lived, tmp_path / f"copy-{copies}"))

    return copy
