"""
The form of a JSON value: what a schema can tell apart, and nothing else.

A suite answers the same few things many thousand times with other texts and numbers in them. Values of one form are
valid together or not at all, so each form has to be looked at once.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

__all__ = ["form_of", "words_in"]

# Between two neighbours of these no schema of the documents draws a line: maxLength is 64, 512 and far more.
_LENGTHS = (0, 1, 40, 64, 512)


def form_of(value: Any, words: frozenset[str]) -> Hashable:
    """
    Equal for values that no schema tells apart.

    Args:
        words: The texts that some schema names (:func:`words_in`); of any other only the length counts.
    """
    match value:
        case dict():
            return tuple((name, form_of(member, words)) for name, member in sorted(value.items()))
        case list():
            return ("list", min(len(value), 2), frozenset(form_of(member, words) for member in value))
        case str():
            return value if value in words else ("text", sum(len(value) > length for length in _LENGTHS))
        case bool() | None:
            return value
        case _:
            return (type(value).__name__, value < 0, int(abs(value)).bit_length())


def words_in(schema: Any) -> frozenset[str]:
    """The texts that are named in enumerations and constants anywhere in *schema*."""
    return frozenset(_words(schema))


def _words(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for name, member in node.items():
            if name in {"enum", "const"}:
                yield from (
                    word for word in (member if isinstance(member, list) else [member]) if isinstance(word, str)
                )
            yield from _words(member)
    elif isinstance(node, list):
        for member in node:
            yield from _words(member)
