"""Ids that nobody ever had, of the shape of ids that somebody has; and answers without what differs by chance."""

from __future__ import annotations

import base64
import json
import os
import random
import re
import string
from collections.abc import Mapping
from typing import Any

__all__ = ["Comparable", "altered", "comparable", "invented"]

_OURS = re.compile(r"(?i)([a-z]+[_-])([0-9a-f]{16})([0-9a-f]{10})?([0-9a-f]+)(-[0-9]+)?")
_SEALED = "ags1_"

_ID = re.compile(r"\b(?:[a-z]+_[0-9a-f]{32,50}|(?:chatcmpl|cmpl)-[0-9a-f]{50}|call_[0-9a-f]{24}|evt_[0-9a-f]{32})\b")
_TIME = re.compile(r'("(?:[a-z_]+_at|at_ms|at|created)": ?)\d+')
_VERSION = re.compile(r'"version":"\d+"')
_SEALED_TEXT = re.compile(r"ags1_[A-Za-z0-9_-]+")
_BY_CHANCE = frozenset(
    ("x-request-id", "request-id", "openai-processing-ms", "x-antiphon-overhead-ms", "content-length")
)

Comparable = tuple[Any, ...]


def invented(value: str) -> str:
    """
    Another value of the same shape: of an id of ours, with the same prefix, version and time; of a sealed text, random
    bytes; of anything else, another letter for each letter and another digit for each digit.
    """
    if value.startswith(_SEALED):
        size = len(value.removeprefix(_SEALED)) * 3 // 4
        return _SEALED + base64.urlsafe_b64encode(os.urandom(size)).rstrip(b"=").decode()
    ours = _OURS.fullmatch(value)
    if ours is not None:
        prefix, family, middle, rest, place = ours.groups("")
        made = f"{prefix}{_hex(len(family))}{middle}{_hex(len(rest))}{place}"
        return made.upper() if value.isupper() else made
    return "".join(_another(char) for char in value)


def altered(value: str) -> str:
    """The same, but for one character near its end."""
    at = next(at for at in range(len(value) - 2, -1, -1) if value[at].isalnum())
    return value[:at] + _another(value[at]) + value[at + 1 :]


def comparable(status: int, headers: Mapping[str, str], body: bytes, value: str) -> Comparable:
    """
    An answer without what differs between two answers to the same question.

    What the question named stands as VALUE; ids are counted in the order in which they occur; times are left out. The
    length of the body is left out where the body has such things, and only there.
    """
    text = body.decode()
    for written in {value, json.dumps(value)[1:-1]} if value else ():
        text = text.replace(written, "VALUE")
    numbers: dict[str, int] = {}
    text = _ID.sub(lambda match: f"ID{numbers.setdefault(match[0], len(numbers))}", text)
    text = _TIME.sub(r"\1TIME", _SEALED_TEXT.sub("SEALED", text))
    text = _VERSION.sub('"version":"NEXT"', text)  # of the caller's own prompt, which the first answer moved on
    kept = tuple((name, each) for name, each in headers.items() if name not in _BY_CHANCE)
    length = (len(body),) if status >= 400 else ()
    return (status, kept, text, *length)


def _hex(digits: int) -> str:
    return os.urandom((digits + 1) // 2).hex()[:digits]


def _another(char: str) -> str:
    for alphabet in ("0123456789abcdef", string.ascii_lowercase, string.ascii_uppercase, string.digits):
        if char in alphabet:
            return random.choice([other for other in alphabet if other != char])  # noqa: S311 - not for secrets
    return char
