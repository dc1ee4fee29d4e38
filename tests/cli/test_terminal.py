"""Output for people: colour and progress where they can be seen, and nowhere else."""

from __future__ import annotations

import io

import pytest

from antiphon.cli.terminal import Terminal


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environment", "coloured"),
    [
        (Screen(), {"TERM": "xterm"}, True),
        (Screen(), {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (Screen(), {"TERM": "xterm", "NO_COLOR": ""}, True),
        (Screen(), {"TERM": "dumb"}, False),
        (io.StringIO(), {"TERM": "xterm"}, False),
    ],
    ids=["terminal", "NO_COLOR", "an empty NO_COLOR", "dumb", "pipe"],
)
def test_colour(stream: io.StringIO, environment: dict[str, str], coloured: bool) -> None:
    """Colour is for a terminal that wants it."""
    styled = Terminal(stream, environment).styled("word", "green", "bold")

    assert styled == ("\x1b[32;1mword\x1b[0m" if coloured else "word")


def test_progress_is_replaced() -> None:
    """A line of progress vanishes before the next line."""
    stream = Screen()
    terminal = Terminal(stream, {"TERM": "xterm"})

    terminal.progress("10 %")
    terminal.progress("20 %")
    terminal.line("done")
    terminal.line("next")

    assert stream.getvalue() == "\r\x1b[2K10 %\r\x1b[2K20 %\r\x1b[2Kdone\nnext\n"


def test_progress_on_a_pipe() -> None:
    """A pipe gets whole lines only."""
    stream = io.StringIO()
    terminal = Terminal(stream, {})

    terminal.progress("10 %")
    terminal.problem("bad")
    terminal.warning("odd")

    assert stream.getvalue() == "error: bad\nwarning: odd\n"
