"""
JSON objects with members put in the place of others, everything else byte for byte as it was.

Nothing below the members is decoded, so that numbers stay as they were written, whatever their length.
"""

from __future__ import annotations

from typing import Any

import msgspec

from antiphon.hub.errors import UpstreamBroken

__all__ = ["Document", "one_line", "read", "write"]

# A member's value is its bytes where it came from upstream; what is put in its place may be anything.
Document = dict[str, Any]

_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read(data: bytes | msgspec.Raw) -> Document:
    """
    An object's members, each as its bytes.

    Raises:
        UpstreamBroken: It is no object.
    """
    try:
        return dict(_decoder.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamBroken("The upstream's reply cannot be passed on: it is no JSON object.") from error


def write(document: Document) -> bytes:
    """The object as JSON."""
    return msgspec.json.encode(document)


def one_line(data: bytes) -> bytes:
    """The same JSON without line ends, which can only stand between its tokens, for a line of a stream."""
    return data.replace(b"\r", b" ").replace(b"\n", b" ")
