"""Messages and their streams as the upstream wrote them, under the id that the response has here."""

from __future__ import annotations

import re

import msgspec

from antiphon.formats.messages.ids import message_id_of
from antiphon.formats.verbatim.document import one_line, read, write
from antiphon.hub.items import JsonObject

__all__ = ["EventWords", "own_message"]

# What may stand in the line that names an event; others go without that line.
_NAME = re.compile(r"[a-z_]{1,64}")

_START = "message_start"


class _Typed(msgspec.Struct):
    type: object = None


_typed_decoder = msgspec.json.Decoder(_Typed)


def own_message(body: bytes, response: JsonObject) -> bytes:
    """The upstream's own message, under the id of *response*."""
    return write(read(body) | {"id": message_id_of(response["id"])})


class EventWords:
    """How events are passed on. Implements :class:`~antiphon.formats.verbatim.stream.Words`."""

    opens = True
    mark = b""

    def __init__(self) -> None:
        self._id = ""
        self._is_open = False

    def begin(self, response: JsonObject, *, is_open: bool) -> None:
        self._id = message_id_of(response["id"])
        self._is_open = is_open

    def shown(self, data: bytes) -> bytes | None:
        if _type_of(data) != _START:
            return one_line(data)
        if self._is_open:
            return None
        self._is_open = True
        event = read(data)
        if "message" in event:
            event["message"] = read(event["message"]) | {"id": self._id}
        return one_line(write(event))

    def frame(self, shown: bytes) -> bytes:
        name = _type_of(shown)
        line = b"event: %b\n" % name.encode() if isinstance(name, str) and _NAME.fullmatch(name) else b""
        return b"%bdata: %b\n\n" % (line, shown)


def _type_of(data: bytes) -> object:
    return _typed_decoder.decode(data).type
