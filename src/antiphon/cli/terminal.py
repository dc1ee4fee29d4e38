"""Output for people: colour where it is a terminal and wanted, plain text everywhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TextIO

__all__ = ["Terminal"]

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


class Terminal:
    """
    Writes lines to a stream.

    Args:
        stream: stdout for what was asked for, stderr for what went wrong.
        environment: ``NO_COLOR`` (any value) and ``TERM=dumb`` switch colour off.
    """

    def __init__(self, stream: TextIO, environment: Mapping[str, str] = os.environ) -> None:
        self._stream = stream
        self.is_interactive = stream.isatty() and environment.get("TERM") != "dumb"
        self._colours = self.is_interactive and not environment.get("NO_COLOR")
        self._open_line = False

    def styled(self, text: str, *styles: str) -> str:
        """*text* in *styles*, or as it is."""
        if not self._colours or not text:
            return text
        return f"\x1b[{';'.join(_STYLES[style] for style in styles)}m{text}\x1b[0m"

    def line(self, text: str = "") -> None:
        """A whole line, seen at once even if the stream is a pipe."""
        self._end_progress()
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def write(self, text: str) -> None:
        """Text that is continued."""
        self._stream.write(text)
        self._stream.flush()

    def problem(self, text: str) -> None:
        """Something that went wrong."""
        self.line(f"{self.styled('error:', 'red', 'bold')} {text}")

    def warning(self, text: str) -> None:
        """Something that deserves a look."""
        self.line(f"{self.styled('warning:', 'yellow', 'bold')} {text}")

    def notice(self, text: str) -> None:
        """Something that has to be known."""
        self.line(f"{self.styled('note:', 'cyan', 'bold')} {text}")

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Rows under their heads, in columns as wide as they need. Only the head if there are none."""
        widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]
        self.line(self.styled(_spread(head, widths), "dim"))
        for row in rows:
            self.line(_spread(row, widths))

    def facts(self, *facts: tuple[str, str]) -> None:
        """Values behind their names."""
        width = max((len(name) for name, _ in facts), default=0)
        for name, value in facts:
            self.line(f"{self.styled(name.ljust(width), 'dim')}  {value}")

    def progress(self, text: str) -> None:
        """A line that the next one replaces. Nothing where that cannot be done."""
        if self.is_interactive:
            self._stream.write(f"\r\x1b[2K{text}")
            self._stream.flush()
            self._open_line = True

    def _end_progress(self) -> None:
        if self._open_line:
            self._stream.write("\r\x1b[2K")
            self._open_line = False


def _spread(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
