"""
Completions and chunks as the upstream wrote them, under the id that the response has here.

A stream counts tokens at its end whether or not the client wants that; where it does not, the count is left out.
Chunks are padded as ours are, unless the upstream has padded them or the client wants none.
"""

from __future__ import annotations

from antiphon.formats.chat.frames import DATA, DONE, END, Padding
from antiphon.formats.chat.ids import CHAT_PREFIX, shown_id
from antiphon.formats.verbatim.document import one_line, read, write
from antiphon.hub.items import JsonObject

__all__ = ["ChunkWords", "own_completion"]

_NULL = b"null"
_EMPTY = b"[]"
_PADDING = "obfuscation"


def own_completion(body: bytes, response: JsonObject) -> bytes:
    """The upstream's own completion, under the id of *response*."""
    return write(read(body) | {"id": shown_id(response["id"])})


class ChunkWords:
    """
    How chunks are passed on. Implements :class:`~antiphon.formats.verbatim.stream.Words`.

    Args:
        wants_usage: Whether the client asked for a count of tokens.
        pads: Whether sizes are to say little of what is said.
    """

    opens = False
    mark = DONE

    def __init__(self, *, wants_usage: bool, pads: bool) -> None:
        self._wants_usage = wants_usage
        self._padding = Padding() if pads else None
        self._id = CHAT_PREFIX

    def begin(self, response: JsonObject, *, is_open: bool) -> None:
        self._id = shown_id(response["id"])

    def shown(self, data: bytes) -> bytes | None:
        chunk = read(data) | {"id": self._id}
        says_nothing = bytes(chunk.get("choices", _NULL)).strip() in (_EMPTY, _NULL)
        if not self._wants_usage and "usage" in chunk:
            if bytes(chunk["usage"]) == _NULL:
                del chunk["usage"]  # stands there only because a count was asked for
            elif says_nothing:
                return None
        if self._padding is None:
            chunk.pop(_PADDING, None)
        shown = one_line(write(chunk))
        if self._padding is None or says_nothing or _PADDING in chunk:
            return shown
        return b'%b,"obfuscation":"%b"}' % (shown[:-1], self._padding.fill(len(shown)))

    def frame(self, shown: bytes) -> bytes:
        return DATA + shown + END
