"""
AWS event streams: bytes in, whole messages out (``application/vnd.amazon.eventstream``).

A message is a prelude (its length, the length of its headers, a CRC-32 of both), headers with typed values, a payload,
and a CRC-32 of everything before. Both checksums are verified, so a message is either what was sent or an error. What
the headers mean (``:message-type``, ``:event-type``) is for whoever knows the dialect.

Specification: Smithy, "Event stream specification", section "Message encoding" for HTTP.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import MappingProxyType
from uuid import UUID
from zlib import crc32

import msgspec

from antiphon.hub.errors import UpstreamBroken

__all__ = ["DEFAULT_MAX_MESSAGE_BYTES", "EventStreamMessage", "EventStreamParser", "HeaderValue"]

HeaderValue = bool | int | bytes | str | UUID

# What Amazon's own client takes: 24 MiB of payload and 128 KiB of headers.
_MAX_HEADERS_BYTES = 128 * 1024
DEFAULT_MAX_MESSAGE_BYTES = 24 * 1024 * 1024 + _MAX_HEADERS_BYTES + 16

# How many blocks of headers are remembered in their decoded form, and how long one may be.
_KEPT_HEADERS = 32
_LONGEST_KEPT_BYTES = 256

_PRELUDE = struct.Struct("!III")
_CHECKSUM = struct.Struct("!I")
_LENGTH = struct.Struct("!H")
_SMALLEST_MESSAGE = _PRELUDE.size + _CHECKSUM.size

_INTEGERS = {
    2: struct.Struct("!b"),
    3: struct.Struct("!h"),
    4: struct.Struct("!i"),
    5: struct.Struct("!q"),
    8: struct.Struct("!q"),  # a moment, in milliseconds since 1970
}
_TRUE, _FALSE, _BYTES, _TEXT, _UUID = 0, 1, 6, 7, 9


class EventStreamMessage(msgspec.Struct, frozen=True):
    """
    One message.

    Attributes:
        headers: By name. A timestamp is its milliseconds since 1970.
    """

    headers: Mapping[str, HeaderValue]
    payload: bytes


class EventStreamParser:
    """
    Parses one stream.

    Args:
        max_message_bytes: The longest message, checksums included; a longer one is refused as soon as it says so.
    """

    def __init__(self, *, max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES) -> None:
        self._max_message_bytes = max_message_bytes
        self._held = bytearray()
        self._fault: UpstreamBroken | None = None
        # The messages of a stream carry the same few headers over and over.
        self._headers: dict[bytes, Mapping[str, HeaderValue]] = {}

    def feed(self, block: bytes) -> list[EventStreamMessage]:
        """
        Take bytes as they came, cut anywhere.

        Returns:
            The messages that ended in this block, in order.

        Raises:
            UpstreamBroken: A checksum or a length is wrong, or a header is not one. Messages that came before it in the
                same block are returned, and the next call raises it. The parser is of no use after that.
        """
        self._raise_fault()
        self._held += block
        messages: list[EventStreamMessage] = []
        start = 0
        try:
            while (size := self._size_at(start)) and len(self._held) - start >= size:
                messages.append(self._message(bytes(self._held[start : start + size])))
                start += size
        except UpstreamBroken as fault:
            self._fault = fault
            if not messages:
                raise
        del self._held[:start]
        return messages

    def finish(self) -> None:
        """
        The stream ended.

        Raises:
            UpstreamBroken: A fault that was held back, or the stream ended within a message.
        """
        self._raise_fault()
        if self._held:
            raise UpstreamBroken("The upstream's event stream ended within a message.")

    def _raise_fault(self) -> None:
        if self._fault is not None:
            raise self._fault

    def _size_at(self, start: int) -> int:
        """The size of the message that begins at *start*, or 0 as long as its prelude is not there."""
        if len(self._held) - start < _PRELUDE.size:
            return 0
        size, headers_size, checksum = _PRELUDE.unpack_from(self._held, start)
        if crc32(self._held[start : start + 8]) != checksum:
            raise UpstreamBroken("A message of the upstream's event stream has a prelude with the wrong checksum.")
        if headers_size > min(size - _SMALLEST_MESSAGE, _MAX_HEADERS_BYTES):
            raise UpstreamBroken(
                f"A message of the upstream's event stream says it has {headers_size} bytes of headers."
            )
        if size > self._max_message_bytes:
            raise UpstreamBroken(
                f"The upstream sent an event of more than max_message_bytes ({self._max_message_bytes} bytes)."
            )
        return int(size)

    def _message(self, frame: bytes) -> EventStreamMessage:
        if crc32(memoryview(frame)[: -_CHECKSUM.size]) != _CHECKSUM.unpack_from(frame, len(frame) - _CHECKSUM.size)[0]:
            raise UpstreamBroken("A message of the upstream's event stream has the wrong checksum.")
        headers_end = _PRELUDE.size + _PRELUDE.unpack_from(frame)[1]
        headers = self._read_headers(frame[_PRELUDE.size : headers_end])
        return EventStreamMessage(headers, frame[headers_end : -_CHECKSUM.size])

    def _read_headers(self, block: bytes) -> Mapping[str, HeaderValue]:
        headers = self._headers.get(block)
        if headers is None:
            try:
                headers = MappingProxyType(_read_headers(block))
            except (struct.error, IndexError, ValueError) as error:
                raise UpstreamBroken("A message of the upstream's event stream has headers that are none.") from error
            if len(self._headers) < _KEPT_HEADERS and len(block) < _LONGEST_KEPT_BYTES:
                self._headers[block] = headers
        return headers


def _read_headers(block: bytes) -> dict[str, HeaderValue]:
    """
    The headers in *block*.

    Raises:
        ValueError: A header is cut off, comes twice, or is of no known type; or `struct.error`, or `IndexError`.
    """
    headers: dict[str, HeaderValue] = {}
    position = 0
    while position < len(block):
        name_end = position + 1 + block[position]
        name, kind = _slice(block, position + 1, name_end).decode(), block[name_end]
        if name in headers or not name:
            raise ValueError(name)
        headers[name], position = _read_value(block, name_end + 1, kind)
    return headers


def _read_value(block: bytes, start: int, kind: int) -> tuple[HeaderValue, int]:
    """A header's value, and where it ends."""
    if kind in (_TRUE, _FALSE):
        return kind == _TRUE, start
    if (integer := _INTEGERS.get(kind)) is not None:
        return integer.unpack_from(block, start)[0], start + integer.size
    if kind in (_BYTES, _TEXT):
        first = start + _LENGTH.size
        end = first + _LENGTH.unpack_from(block, start)[0]
        value = _slice(block, first, end)
        return (value if kind == _BYTES else value.decode()), end
    if kind == _UUID:
        return UUID(bytes=_slice(block, start, start + 16)), start + 16
    raise ValueError(kind)


def _slice(block: bytes, start: int, end: int) -> bytes:
    if end > len(block):
        raise ValueError(end)
    return block[start:end]
