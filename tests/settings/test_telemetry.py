"""Log lines: one line per event, whatever is in the values."""

from __future__ import annotations

import io
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.telemetry import Level, Log, StandardLogHandler


def logged(level: Level = "debug") -> tuple[Log, io.StringIO]:
    stream = io.StringIO()
    return Log(level, stream=stream, clock=lambda: 1_700_000_000.25), stream


def test_a_line() -> None:
    """The event comes first, then level and time, then the fields in their order; None is left out."""
    log, stream = logged()

    log.info("turn.completed", response_id="resp_1", items=2, seconds=0.123456789, streamed=True, error=None)

    assert stream.getvalue() == (
        "turn.completed level=info time=2023-11-14T22:13:20.250Z response_id=resp_1 items=2 seconds=0.123457 "
        "streamed=true\n"
    )


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("two words", '"two words"'),
        ("", '""'),
        ("a=b", '"a=b"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("a\nlevel=error", '"a\\nlevel=error"'),
        ("a\u2028b\x1b[31m", '"a\\u2028b\\u001b[31m"'),
        ("http://host:1/v1", "http://host:1/v1"),
        ("back\\slash", '"back\\\\slash"'),
    ],
)
def test_quoting(value: str, written: str) -> None:
    """A value that could be mistaken for something else is quoted and escaped."""
    log, stream = logged()

    log.info("event", value=value)

    assert stream.getvalue().endswith(f" value={written}\n")


@given(st.text())
def test_a_value_never_ends_its_line(value: str) -> None:
    """No value makes a second line or a second key."""
    log, stream = logged()

    log.warning("event", value=value, last="here")

    assert len(stream.getvalue().splitlines()) == 1
    assert stream.getvalue().endswith(" last=here\n")


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_the_level(level: Level) -> None:
    """Lines below the level are not written, and the log says so beforehand."""
    log, stream = logged(level)
    levels: list[Level] = ["debug", "info", "warning", "error"]

    for name in levels:
        getattr(log, name)(name)

    expected = levels[levels.index(level) :]
    assert [line.split()[0] for line in stream.getvalue().splitlines()] == expected
    assert [name for name in levels if log.writes(name)] == expected


def test_lines_of_libraries() -> None:
    """A library's record becomes one line; of an exception only its type and place are told."""
    log, stream = logged("info")
    with pytest.raises(ValueError, match="own words") as caught:
        int("the user's own words")
    failure = (ValueError, caught.value, caught.tb)
    record = logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, "It %s", ("broke",), failure)

    StandardLogHandler(log).handle(record)
    StandardLogHandler(log).handle(logging.LogRecord("x", logging.INFO, "", 0, "chatter", (), None))

    line = stream.getvalue()
    assert line.startswith('uvicorn.error level=error time=2023-11-14T22:13:20.250Z message="It broke" ')
    assert "exception=ValueError at=test_telemetry.py:" in line
    assert "own words" not in line
    assert "chatter" not in line
