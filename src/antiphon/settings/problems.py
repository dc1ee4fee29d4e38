"""What is wrong with the settings, and where it stands."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Protocol

import msgspec

__all__ = ["Place", "PlaceOf", "Problem", "SettingAtFault", "SettingsError", "nearest"]


class Place(msgspec.Struct, frozen=True):
    """
    Where a value came from.

    Attributes:
        source: A file's path, an environment variable or a flag.
        line: In the file, from 1; None elsewhere.
    """

    source: str
    line: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"


class PlaceOf(Protocol):
    """Tells where the value of a key stands."""

    def __call__(self, *key: str | int) -> Place: ...


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong. The text never holds a secret."""

    place: Place
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


class SettingAtFault(ValueError):
    """
    What is wrong with one key of a section, as whoever completes the section sees it.

    Attributes:
        key: Within the section.
        text: What is wrong with it, and what to do.
    """

    def __init__(self, key: str, text: str) -> None:
        super().__init__(f"{key}: {text}")
        self.key = key
        self.text = text


class SettingsError(Exception):
    """The settings cannot be used. ``problems`` lists all that was found, in the order of the sources."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def nearest(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?``, or the list of what is known if nothing is near."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known here: {', '.join(names)}" if names else ""
