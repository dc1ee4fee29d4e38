"""
Log lines: the event's name first, then key-value pairs (logfmt), one line per event, on stderr.

Ids yes, content no: what a person or a model wrote is never passed to a log. Values are quoted and escaped, so that no
value can end its line or look like another key.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Literal, TextIO

__all__ = ["Level", "Log", "StandardLogHandler"]

Level = Literal["debug", "info", "warning", "error"]

_RANKS: dict[Level, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_PLAIN = re.compile(r"[\w./:@%+,\-*\[\]()]+", re.ASCII)
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class Log:
    """
    Writes log lines at or above a level.

    Args:
        level: Lines below it cost one comparison.
        stream: Where lines go; None is the process's stderr as it is at the time of each line.
        clock: Seconds since the epoch, UTC.
    """

    def __init__(
        self, level: Level = "info", *, stream: TextIO | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.level = level
        self._rank = _RANKS[level]
        self._stream = stream
        self._clock = clock

    def writes(self, level: Level) -> bool:
        """Whether lines of this level are written: ask before computing an expensive value."""
        return _RANKS[level] >= self._rank

    def debug(self, event: str, /, **fields: object) -> None:
        """For people who look for a fault."""
        if self._rank <= 10:
            self._write("debug", event, fields)

    def info(self, event: str, /, **fields: object) -> None:
        """What happened, one line per turn."""
        if self._rank <= 20:
            self._write("info", event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        """Something is not as it should be, and the gateway goes on."""
        if self._rank <= 30:
            self._write("warning", event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        """Something failed that the operator has to look at."""
        self._write("error", event, fields)

    def crash(self, event: str, error: BaseException, /, **fields: object) -> None:
        """
        A fault that nobody expected, told by its type and where it was raised.

        Its message is left out: a library's message may quote what a person or a model wrote.
        """
        self._write("error", event, {**fields, "exception": type(error).__name__, "at": _place(error)})

    def _write(self, level: Level, event: str, fields: Mapping[str, object]) -> None:
        pairs = "".join(f" {key}={_text(value)}" for key, value in fields.items() if value is not None)
        time_of_day = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds")
        stream = self._stream if self._stream is not None else sys.stderr
        stream.write(f"{_text(event)} level={level} time={time_of_day.replace('+00:00', 'Z')}{pairs}\n")
        stream.flush()


def _text(value: object) -> str:
    """A value as logfmt writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    if _PLAIN.fullmatch(text):
        return text
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    # Line separators and control characters of any kind: a line of the log is one line in every viewer.
    return character if character.isprintable() else f"\\u{ord(character):04x}"


class StandardLogHandler(logging.Handler):
    """
    Carries records of the standard library's loggers (uvicorn, aiohttp, asyncio) into a :class:`Log`.

    An exception is told by its type and place, not by its message: a library's message may quote a request.
    """

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, object] = {"message": record.getMessage()}
        if record.exc_info is not None and record.exc_info[1] is not None:
            fields |= {"exception": type(record.exc_info[1]).__name__, "at": _place(record.exc_info[1])}
        if record.levelno >= logging.ERROR:
            self._log.error(record.name, **fields)
        elif record.levelno >= logging.WARNING:
            self._log.warning(record.name, **fields)
        else:
            self._log.debug(record.name, **fields)


def _place(error: BaseException) -> str | None:
    """``file.py:line`` of where it was raised."""
    traceback = error.__traceback__
    if traceback is None:
        return None
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return f"{traceback.tb_frame.f_code.co_filename.rpartition('/')[2]}:{traceback.tb_lineno}"
