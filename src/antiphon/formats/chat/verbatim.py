"""
Completions and chunks as the upstream wrote them, under the id that the response has here.

A stream counts tokens at its end whether or not the client wants that; where it does not, the count is left out.
"""

from __future__ import annotations

from antiphon.formats.chat.frames import DATA, DONE, END
from antiphon.formats.chat.ids import CHAT_PREFIX, shown_id
from antiphon.formats.verbatim.document import one_line, read, write
from antiphon.hub.items import JsonObject

__all__ = ["ChunkWords", "own_completion"]

_NULL = b"null"
_EMPTY = b"[]"


def own_completion(body: bytes, response: JsonObject) -> bytes:
    """The upstream's own completion, under the id of *response*."""
    return write(read(body) | {"id": shown_id(response["id"])})


class ChunkWords:
    """
    How chunks are passed on. Implements :class:`~antiphon.formats.verbatim.stream.Words`.

    Args:
        wants_usage: Whether the client asked for a count of tokens.
    """

    opens = False
    mark = DONE

    def __init__(self, *, wants_usage: bool) -> None:
        self._wants_usage = wants_usage
        self._id = CHAT_PREFIX

    def begin(self, response: JsonObject, *, is_open: bool) -> None:
        self._id = shown_id(response["id"])

    def shown(self, data: bytes) -> bytes | None:
        chunk = read(data) | {"id": self._id}
        if not self._wants_usage and "usage" in chunk:
            if bytes(chunk["usage"]) == _NULL:
                del chunk["usage"]  # stands there only because a count was asked for
            elif bytes(chunk.get("choices", _NULL)).strip() == _EMPTY:
                return None
        return one_line(write(chunk))

    def frame(self, shown: bytes) -> bytes:
        return DATA + shown + END
