"""
Server-sent events of completions: ``data:`` and one line of JSON, no names; ``[DONE]`` behind the last one.

With obfuscation every event that carries something said is padded to a multiple of :data:`BUCKET` bytes, so that its
size says hardly anything about the text in it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from orjson import dumps

from antiphon.hub.items import JsonObject

__all__ = ["BUCKET", "DONE", "KEEP_ALIVE", "Padding", "frame", "json_of"]

BUCKET = 16
DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"

DATA = b"data: "
END = b"\n\n"

_ROWS = 64
_NOISE = secrets.token_urlsafe(BUCKET * (_ROWS + 1)).encode()


def frame(body: JsonObject) -> bytes:
    """One event."""
    return DATA + dumps(body) + END


def json_of(blocks: Iterable[bytes]) -> list[bytes]:
    """The JSON of each event alone; the mark of the end is none."""
    return [block[len(DATA) : -len(END)] for block in blocks if block != DONE]


class Padding:
    """Paddings for one stream: neighbouring events get different ones."""

    def __init__(self) -> None:
        self._row = 0

    def fill(self, size_bytes: int) -> bytes:
        """What fills *size_bytes* up to a multiple of :data:`BUCKET`: 1 to :data:`BUCKET` letters and digits."""
        self._row = (self._row + 1) % _ROWS
        start = self._row * BUCKET
        return _NOISE[start : start + BUCKET - size_bytes % BUCKET]
