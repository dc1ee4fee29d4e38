"""Writes messages of AWS event streams, as a service would send them. Independent of the parser that reads them."""

from __future__ import annotations

import struct
from typing import Any
from uuid import UUID
from zlib import crc32

import orjson

__all__ = ["event", "exception", "frame", "raw_frame"]


def raw_frame(headers: bytes, payload: bytes) -> bytes:
    """A message whose headers are written already."""
    total = 12 + len(headers) + len(payload) + 4
    prelude = struct.pack("!II", total, len(headers))
    message = prelude + struct.pack("!I", crc32(prelude)) + headers + payload
    return message + struct.pack("!I", crc32(message))


def frame(headers: dict[str, Any], payload: bytes = b"") -> bytes:
    """A message; a header's type is that of its value, an integer being of 32 bits."""
    return raw_frame(b"".join(_header(name, value) for name, value in headers.items()), payload)


def event(kind: str, body: Any) -> bytes:
    """An event of a Converse stream."""
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, orjson.dumps(body))


def exception(kind: str, message: str) -> bytes:
    """A fault that the service reports within a stream."""
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, orjson.dumps({"message": message}))


def _header(name: str, value: Any) -> bytes:
    encoded = name.encode()
    return bytes([len(encoded)]) + encoded + _value(value)


def _value(value: Any) -> bytes:
    match value:
        case True:
            return b"\x00"
        case False:
            return b"\x01"
        case int():
            return b"\x04" + struct.pack("!i", value)
        case bytes():
            return b"\x06" + struct.pack("!H", len(value)) + value
        case str():
            return b"\x07" + struct.pack("!H", len(value.encode())) + value.encode()
        case UUID():
            return b"\x09" + value.bytes
        case _:
            raise TypeError(value)
