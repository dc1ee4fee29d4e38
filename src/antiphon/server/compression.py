"""
Decoding a compressed request body: one layer of gzip (RFC 1952) or zstd (RFC 8878), within bounds. No I/O.

A few kilobytes can stand for gigabytes, so nothing is decoded beyond what is allowed: output is taken in blocks, and
after each block its size and its ratio to what was fed are looked at. A body is exactly one gzip member or one zstd
frame; what follows it, and what breaks off before its end, is an error and never a shorter body.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from antiphon.hub.errors import InvalidRequest, PayloadTooLarge, UnsupportedMediaType

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["CODINGS", "coding_of", "decompress"]

_BLOCK_BYTES = 256 * 1024

# Text compresses to a tenth; JSON that repeats itself to a fiftieth. Small bodies may be anything.
_MAX_RATIO = 200
_RATIO_FREE_BYTES = 1024 * 1024

# RFC 9659: what a client may ask a server to keep for a window, and what `zstd -19` needs.
_MAX_WINDOW_LOG = 23


class _Decoder(Protocol):
    """What both libraries have in common."""

    @property
    def eof(self) -> bool: ...

    def take(self, limit_bytes: int) -> bytes:
        """The next decoded bytes, at most so many; nothing if more input would be needed."""

    @property
    def rest(self) -> bytes:
        """What follows the end."""


class _Gzip:
    def __init__(self, data: bytes) -> None:
        self._inflate = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        self._data = data

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def rest(self) -> bytes:
        return self._inflate.unused_data

    def take(self, limit_bytes: int) -> bytes:
        block = self._inflate.decompress(self._data, limit_bytes)
        self._data = self._inflate.unconsumed_tail
        return block


class _Zstd:
    def __init__(self, data: bytes) -> None:
        self._decompressor = zstd.ZstdDecompressor(
            options={zstd.DecompressionParameter.window_log_max: _MAX_WINDOW_LOG}
        )
        self._data = data

    @property
    def eof(self) -> bool:
        return self._decompressor.eof

    @property
    def rest(self) -> bytes:
        return self._decompressor.unused_data

    def take(self, limit_bytes: int) -> bytes:
        data, self._data = self._data, b""  # it keeps what it has not looked at
        return self._decompressor.decompress(data, limit_bytes)


CODINGS: Mapping[str, Callable[[bytes], _Decoder]] = MappingProxyType({"gzip": _Gzip, "zstd": _Zstd})
"""The codings that are understood, by their name in ``Content-Encoding``."""


def coding_of(headers: Mapping[bytes, bytes]) -> str | None:
    """
    The coding that a body is sent in; None if it is sent as it is.

    Raises:
        UnsupportedMediaType: Another one, or more than one on top of each other.
    """
    named = headers.get(b"content-encoding", b"identity").strip().lower()
    if named in (b"", b"identity"):
        return None
    name = named.decode("latin-1").removeprefix("x-")  # x-gzip is gzip (RFC 9110, 8.4.1.3)
    if name not in CODINGS:
        shown = "".join(char for char in name[:40] if char.isprintable())
        raise UnsupportedMediaType(
            f"Content-Encoding '{shown}' is not supported: send the body uncompressed, or in one of: "
            f"{', '.join(CODINGS)}."
        )
    return name


def decompress(coding: str, data: bytes, *, max_bytes: int) -> bytes:
    """
    A body as it was before it was compressed.

    Args:
        coding: One of :data:`CODINGS`.
        max_bytes: The most that may come out.

    Raises:
        PayloadTooLarge: It is larger, or grows more than it may.
        InvalidRequest: It is damaged, breaks off, does not end where its end is, or needs too large a window.
    """
    decoder = CODINGS[coding](data)
    blocks: list[bytes] = []
    size_bytes = 0
    while not decoder.eof:
        try:
            block = decoder.take(_BLOCK_BYTES)
        except (zlib.error, zstd.ZstdError) as error:
            raise _damaged(coding, "it is damaged, or needs a window of more than 8 MiB") from error
        if not block and not decoder.eof:
            raise _damaged(coding, "it breaks off")
        size_bytes += len(block)
        _check_size(size_bytes, len(data), max_bytes)
        blocks.append(block)
    if decoder.rest:
        raise _damaged(coding, "bytes follow its end")
    return b"".join(blocks)


def _check_size(size_bytes: int, compressed_bytes: int, max_bytes: int) -> None:
    if size_bytes > max_bytes:
        raise PayloadTooLarge(f"The decompressed request body is larger than max_body_bytes ({max_bytes} bytes).")
    if size_bytes > _RATIO_FREE_BYTES and size_bytes > _MAX_RATIO * compressed_bytes:
        raise PayloadTooLarge(
            f"The request body decompresses to more than {_MAX_RATIO} times its size (the compression ratio's limit): "
            "send it uncompressed."
        )


def _damaged(coding: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"The request body is not a valid {coding} body: {why}.", code="invalid_content_encoding")
