"""
Lists of small numbers as short strings: one character for a number below 62, one more for each further digit.

The last character of a number is a letter or a digit and counts in 62nds; those before it are punctuation and count in
31sts. None of them is escaped in JSON. The alphabet is part of what is stored and never changes.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["pack", "unpack"]

_LAST = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_MORE = " !#$%&'()*+,-./:;<=>?@[]^_`{|}~"

# A byte for each byte, so that the usual list of the lengths of tokens is one call in each direction.
_NONE = 255
_TO_LAST = _LAST.encode().ljust(256, b"\xff")
_FROM_LAST = bytes(_LAST.find(chr(byte)) % 256 for byte in range(256))


def pack(numbers: Sequence[int]) -> str:
    """*numbers*, none of them negative, in printable ASCII."""
    if max(numbers, default=0) < len(_LAST):
        return bytes(numbers).translate(_TO_LAST).decode("ascii")
    return "".join(map(_spell, numbers))


def unpack(packed: str) -> list[int]:
    """
    The numbers that :func:`pack` was given.

    Raises:
        ValueError: *packed* was not made by it.
    """
    numbers = packed.encode("ascii").translate(_FROM_LAST)
    return list(numbers) if _NONE not in numbers else _read(packed)


def _spell(number: int) -> str:
    number, last = divmod(number, len(_LAST))
    digits = [_LAST[last]]
    while number:
        number, digit = divmod(number, len(_MORE))
        digits.append(_MORE[digit])
    return "".join(reversed(digits))


def _read(packed: str) -> list[int]:
    numbers = []
    number = 0
    for character in packed:
        last = _LAST.find(character)
        if last < 0:
            number = number * len(_MORE) + _MORE.index(character)
        else:
            numbers.append(number * len(_LAST) + last)
            number = 0
    if packed[-1] not in _LAST:
        raise ValueError("A packed list of numbers ends within a number.")
    return numbers
