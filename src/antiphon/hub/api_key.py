"""
API keys as text: how they are made, read, hashed and shown.

    sk-antiphon-<environment>-<key id, 12>-<secret, 43>-<checksum, 6>

Key id, secret and checksum are base62 (``0-9A-Za-z``). The id is public and finds the record; 43 digits of secret are
256 bits; the checksum is the CRC-32 of everything before it, so that a mistyped key is known as one without a look-up,
and scanners for leaked secrets can tell a key from noise. A store keeps a keyed hash of the whole text, never the
text.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable
from typing import Literal
from zlib import crc32

import msgspec

__all__ = ["ApiKey", "Environment", "mint", "parse", "shown"]

# `live` keys are tenants'; `admin` keys are administrators' and open no tenant's data.
Environment = Literal["live", "admin"]

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_DIGITS = 12
_SECRET_DIGITS = 43
_CHECKSUM_DIGITS = 6
_HINT_CHARS = 4
_LENGTHS = frozenset(
    len(f"sk-antiphon-{environment}---") + _ID_DIGITS + _SECRET_DIGITS + _CHECKSUM_DIGITS
    for environment in ("live", "admin")
)

_KEY = re.compile(r"sk-antiphon-(live|admin)-([0-9A-Za-z]{12})-([0-9A-Za-z]{43})-[0-9A-Za-z]{6}", re.ASCII)
_PREFIX = re.compile(r"sk-(?:antiphon-(?:live|admin)-)?", re.ASCII)

# Of a text that is shorter than this, prefix and ending would show too much.
_MIN_SHOWN_CHARS = 20
_SHOWN_BEFORE = 3
_SHOWN_AFTER = 4


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """
    A well-formed API key. Whether it is anybody's is not known here.

    Attributes:
        text: The whole key: a secret.
    """

    environment: Environment
    key_id: str
    text: str

    @property
    def hint(self) -> str:
        """The last four characters of the secret, to be recognised by people."""
        return self.text[: -_CHECKSUM_DIGITS - 1][-_HINT_CHARS:]

    def mac(self, pepper: bytes) -> bytes:
        """What a store keeps of the key: HMAC-SHA-256 of the whole text under the store's pepper."""
        return hmac.digest(pepper, self.text.encode(), "sha256")

    def __repr__(self) -> str:
        return f"ApiKey({shown(self.text)})"

    __str__ = __repr__


def mint(environment: Environment, *, key_id: str = "", below: Callable[[int], int] = secrets.randbelow) -> ApiKey:
    """
    A new key.

    Args:
        key_id: Of the key whose secret is replaced; empty for a new id.
        below: An unpredictable number from 0 to below its argument.

    Raises:
        ValueError: No such id can be.
    """
    named = key_id or _digits(_ID_DIGITS, below)
    unchecked = f"sk-antiphon-{environment}-{named}-{_digits(_SECRET_DIGITS, below)}-"
    key = parse(unchecked + _checksum(unchecked))
    if key is None:
        raise ValueError(f"'{named}' is no key id: expected {_ID_DIGITS} letters and digits.")
    return key


def parse(text: str) -> ApiKey | None:
    """The key that a text is; None for a text that is none, or was mistyped."""
    if len(text) not in _LENGTHS:
        return None
    match = _KEY.fullmatch(text)
    if match is None or _checksum(text[:-_CHECKSUM_DIGITS]) != text[-_CHECKSUM_DIGITS:]:
        return None
    return ApiKey(environment="admin" if match[1] == "admin" else "live", key_id=match[2], text=text)


def shown(text: str) -> str:
    """What may be told of a credential, so that its owner recognises it: a few characters, and of a short one none."""
    if len(text) < _MIN_SHOWN_CHARS:
        return "***"
    match = _PREFIX.match(text)
    start = (match.end() if match else 0) + _SHOWN_BEFORE
    return _printable(text[:start]) + "***" + _printable(text[-_SHOWN_AFTER:])


def _digits(count: int, below: Callable[[int], int]) -> str:
    return "".join(_ALPHABET[below(len(_ALPHABET))] for _ in range(count))


def _checksum(text: str) -> str:
    value = crc32(text.encode())
    digits = ""
    for _ in range(_CHECKSUM_DIGITS):
        value, digit = divmod(value, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


def _printable(text: str) -> str:
    return "".join(char if " " < char <= "~" else "?" for char in text)
