"""What tests of commands share."""

from __future__ import annotations

from pathlib import Path

import pytest

from .administering import CommandLine


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line on a store that is not there yet."""
    monkeypatch.chdir(tmp_path)
    for name in ("ANTIPHON_STORE", "ANTIPHON_KEY", "ANTIPHON_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return CommandLine(tmp_path, capsys)
