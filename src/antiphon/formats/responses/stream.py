"""
Writes a Responses stream: ``event: <type>``, one line of JSON, a blank line; sequence numbers without gaps from 0.

Nearly all events of a stream are deltas that differ in one string. They are written from a template of bytes made once
per item and part, into which the escaped delta goes; everything else goes through :func:`encode_event`, which is the
rule that the templates follow (a test holds them equal).

With obfuscation, every delta carries a padding that fills its JSON up to a multiple of :data:`BUCKET` bytes, so that
the size of an event says hardly anything about the text in it. It counts bytes, not characters: bytes are what a
listener on the line sees, and a character may be six of them.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from orjson import dumps

from antiphon.hub.errors import UpstreamBroken
from antiphon.hub.events import (
    CustomToolCallInputDelta,
    Event,
    FunctionCallArgumentsDelta,
    OtherEvent,
    OutputTextDelta,
    ReasoningSummaryTextDelta,
    ReasoningTextDelta,
    RefusalDelta,
    type_of,
)
from antiphon.hub.items import JsonObject

__all__ = ["BUCKET", "ResponsesStreamEncoder", "encode_event"]

BUCKET = 16

Delta = (
    OutputTextDelta
    | RefusalDelta
    | FunctionCallArgumentsDelta
    | CustomToolCallInputDelta
    | ReasoningTextDelta
    | ReasoningSummaryTextDelta
)

_TEMPLATED: frozenset[type] = frozenset(
    {
        OutputTextDelta,
        RefusalDelta,
        FunctionCallArgumentsDelta,
        CustomToolCallInputDelta,
        ReasoningTextDelta,
        ReasoningSummaryTextDelta,
    }
)

_NOISE = secrets.token_urlsafe(1024)
# 64 rows of paddings, by how many bytes of the last bucket the delta fills; neighbouring events use different rows.
_PADDINGS = [[_NOISE[row * BUCKET : (row + 1) * BUCKET - filled] for filled in range(BUCKET)] for row in range(64)]
_PADDING_BYTES = [[padding.encode() for padding in row] for row in _PADDINGS]

# The type becomes the `event:` line: a name of an upstream's own must not be able to end it.
_NAME = re.compile(r"[a-z][a-z0-9_.]{0,99}")
_OURS = ("type", "sequence_number", "obfuscation")

_PROBE = "\x00"
_DATA = b"\ndata: "


class ResponsesStreamEncoder:
    """
    One stream, for one reader.

    Args:
        obfuscate: Pad the deltas.
        start: The sequence number of the first event.
    """

    def __init__(self, *, obfuscate: bool, start: int = 0) -> None:
        self._obfuscate = obfuscate
        self._next = start
        self._part = _NO_PART
        self._parts: dict[tuple[object, ...], _Part] = {}

    def encode(self, events: Iterable[Event | OtherEvent]) -> bytes:
        """
        Server-sent events, each with its sequence number; whole events only.

        Raises:
            UpstreamBroken: An event that rides along has a type that is not a plain name.
        """
        obfuscate = self._obfuscate
        number = self._next
        kind: Any  # what it is decides which fields there are
        kind, item_id, index, template = self._part
        blocks: list[bytes] = []
        event: Any
        for event in events:
            # No calls of our own between two deltas of one part: this is where a stream spends its time.
            if not (
                type(event) is kind
                and event.item_id == item_id
                and (index is None or event.content_index == index)
                and not (kind is OutputTextDelta and event.logprobs)
            ):
                if not _has_template(event):
                    blocks.append(encode_event(event, number, obfuscate=obfuscate))
                    number += 1
                    continue
                self._part = kind, item_id, index, template = self._find(event)
            text = dumps(event.delta)
            if obfuscate:
                blocks.append(template % (text, _PADDING_BYTES[number & 63][(len(text) - 2) & 15], number))
            else:
                blocks.append(template % (text, number))
            number += 1
        self._next = number
        return b"".join(blocks)

    def encode_each(self, events: Iterable[Event | OtherEvent]) -> list[bytes]:
        """
        The JSON of each event alone, for a transport that has frames of its own.

        Raises:
            UpstreamBroken: As :meth:`encode`.
        """
        blocks = [self.encode((event,)) for event in events]
        # A type holds no line break, so what follows the first one is the data.
        return [block[block.index(_DATA) + len(_DATA) : -2] for block in blocks]

    def _find(self, event: Delta) -> _Part:
        index = event.summary_index if isinstance(event, ReasoningSummaryTextDelta) else _content_index(event)
        key = (type(event), event.item_id, index)
        part = self._parts.get(key)
        if part is None:
            # A summary's index has a name of its own, which the loop does not know: without a kind it asks every time.
            kind = None if isinstance(event, ReasoningSummaryTextDelta) else type(event)
            template = _template(event, obfuscate=self._obfuscate)
            part = self._parts[key] = _Part(kind, event.item_id, index, template)
        return part


def encode_event(event: Event | OtherEvent, number: int, *, obfuscate: bool) -> bytes:
    """One event's bytes, whatever it is; *number* is its sequence number."""
    name = type_of(event)
    fields = _fields_of(event)
    if obfuscate and name.endswith(".delta") and "delta" in fields:
        fields["obfuscation"] = _PADDINGS[number % 64][_filled(dumps(fields["delta"]))]
    body = dumps({"type": name, **fields, "sequence_number": number})
    return b"event: %b\ndata: %b\n\n" % (name.encode(), body)


def _fields_of(event: Event | OtherEvent) -> JsonObject:
    if isinstance(event, OtherEvent):
        if not _NAME.fullmatch(event.type):
            raise UpstreamBroken("The upstream sent an event whose type is not a plain name.")
        return {name: value for name, value in event.fields.items() if name not in _OURS}
    return {name: getattr(event, name) for name in event.__struct_fields__ if name != "private"}


def _filled(escaped: bytes) -> int:
    return (len(escaped) - 2) % BUCKET


def _has_template(event: Event | OtherEvent) -> bool:
    return type(event) in _TEMPLATED and not (isinstance(event, OutputTextDelta) and event.logprobs)


class _Part(NamedTuple):
    """
    Where a template belongs: all deltas of one part differ in the delta alone.

    An item stands at one ``output_index`` for good, so its id and the part's own index say which part it is.
    """

    kind: type | None
    item_id: str
    place: int | None
    template: bytes


_NO_PART = _Part(None, "", None, b"")


def _content_index(event: Delta) -> int | None:
    return getattr(event, "content_index", None)


def _template(event: Delta, *, obfuscate: bool) -> bytes:
    """The bytes of *event* with the delta, the padding and the number left open."""
    block = encode_event(msgspec.structs.replace(event, delta=_PROBE), 0, obfuscate=False).replace(b"%", b"%%")
    head, _, tail = block.rpartition(b'"sequence_number":0')
    before, _, after = head.rpartition(dumps(_PROBE))
    padding = b'"obfuscation":"%b",' if obfuscate else b""
    return before + b"%b" + after + padding + b'"sequence_number":%d' + tail
