"""The administrators' commands on a store of the test's own, in the test's own process."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from antiphon.cli import main


class Said(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Its lines on stdout."""
        return self.out.splitlines()


class CommandLine:
    """Runs commands on the store of one folder."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path = folder / "antiphon.db"
        self.key_path = folder / "antiphon.db.key"
        self._capsys = capsys

    @property
    def store(self) -> list[str]:
        """The flag that names the store."""
        return ["--store", f"sqlite:///{self.path}"]

    def run(self, *arguments: str) -> Said:
        """Run a command on the store."""
        self._capsys.readouterr()
        code = main([*arguments, *self.store])
        said = self._capsys.readouterr()
        return Said(code, said.out, said.err)

    def done(self, *arguments: str) -> Said:
        """Run a command that has to succeed."""
        said = self.run(*arguments)
        assert said.code == 0, said.err
        return said
