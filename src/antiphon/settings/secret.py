"""A value that does not show itself: not in a log line, a traceback, a message or a dump."""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import Never

__all__ = ["Secret", "is_webhook_secret", "webhook_key"]

_WEBHOOK_PREFIX = "whsec_"
_MIN_WEBHOOK_BYTES = 16


class Secret:
    """A credential. Its text is had from :meth:`reveal` alone; everything else shows ``***``."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The credential itself. For the one place that sends it."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __str__(self) -> str:
        return "***"

    def __format__(self, specification: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> Never:
        raise TypeError("a Secret is not written to anything that can be read back")


def webhook_key(secret: str) -> bytes:
    """
    The bytes of a webhook's secret, ``whsec_<base64>`` (Standard Webhooks).

    Raises:
        ValueError: It has another form, or fewer than 16 bytes.
    """
    if secret.startswith(_WEBHOOK_PREFIX):
        try:
            key = base64.b64decode(secret.removeprefix(_WEBHOOK_PREFIX), validate=True)
        except binascii.Error:
            key = b""
        if len(key) >= _MIN_WEBHOOK_BYTES:
            return key
    raise ValueError("a webhook's secret is 'whsec_' and at least 16 bytes in base64")


def is_webhook_secret(secret: str) -> bool:
    """Whether :func:`webhook_key` takes it."""
    try:
        webhook_key(secret)
    except ValueError:
        return False
    return True
