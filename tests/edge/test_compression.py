"""Compressed request bodies: what is taken, and that no small body can become a large cost."""

from __future__ import annotations

import asyncio
import gzip
import random
import struct
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from functools import partial

import orjson
import pytest

from antiphon import InMemorySessionStore
from antiphon.hub.errors import InvalidRequest, PayloadTooLarge, UnsupportedMediaType
from antiphon.server.body import BodyLimits
from antiphon.server.compression import coding_of, decompress
from tests.support.asgi_client import Answer, ask
from tests.support.ready_upstream import MODEL, ready_gateway

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MIB = 1024 * 1024
CAP = 4 * MIB
BLANK_BOMB = zstd.compress(b" " * 64 * MIB)
COMPRESS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstd.compress}
CODINGS = pytest.mark.parametrize("coding", COMPRESS)


def said(text: str) -> bytes:
    """A turn's body."""
    return orjson.dumps({"model": MODEL, "input": text, "store": False})


async def sent(coding: bytes, body: bytes, *, limits: BodyLimits | None = None) -> Answer:
    """The answer to a compressed body that comes in small chunks."""
    gateway, _ = ready_gateway(InMemorySessionStore())
    chunks = [body[start : start + 1000] for start in range(0, len(body), 1000)] or [b""]
    headers = [(b"content-type", b"application/json"), (b"content-encoding", coding)]
    async with gateway:
        return await ask(gateway.asgi(body_limits=limits), "POST", "/v1/responses", headers=headers, chunks=chunks)


# What is taken.


@pytest.mark.parametrize("coding", [b"gzip", b"zstd", b"x-gzip", b"ZSTD", b" gzip ", b"identity", b""])
async def test_a_compressed_turn_is_a_turn(coding: bytes) -> None:
    """A body in gzip or zstd is answered like the one that it was made of."""
    name = coding.decode().strip().lower().removeprefix("x-")
    answer = await sent(coding, COMPRESS[name](said("hi")) if name in COMPRESS else said("hi"))
    assert (answer.status, answer.json["status"]) == (200, "completed")


@CODINGS
@pytest.mark.parametrize("size_bytes", [1, 1000, 300 * 1024, 3 * MIB])
def test_what_comes_out_is_what_went_in(coding: str, size_bytes: int) -> None:
    """Whatever its size, a body is the same after compressing and decompressing."""
    body = random.Random(size_bytes).randbytes(size_bytes)  # noqa: S311 - the same bytes every time
    assert decompress(coding, COMPRESS[coding](body), max_bytes=CAP) == body


@CODINGS
def test_an_empty_body_can_be_compressed(coding: str) -> None:
    """Nothing, compressed, is nothing."""
    assert decompress(coding, COMPRESS[coding](b""), max_bytes=CAP) == b""


@pytest.mark.parametrize("level", [1, 3, 9, 15, 19])
def test_every_usual_level_of_zstd_is_taken(level: int) -> None:
    """The levels up to 19 stay within the window that is taken, for bodies as large as are taken."""
    body = orjson.dumps([f"item {number} of many, no two alike" for number in range(90_000)])
    assert decompress("zstd", zstd.compress(body, level), max_bytes=CAP) == body


# What is not.


@CODINGS
def test_a_body_that_breaks_off_is_refused_at_every_byte(coding: str) -> None:
    """There is no prefix of a compressed body that passes for a shorter body."""
    whole = COMPRESS[coding](said("Is this all?" * 20))
    for end in range(len(whole)):
        with pytest.raises(InvalidRequest, match=f"not a valid {coding} body"):
            decompress(coding, whole[:end], max_bytes=CAP)


@CODINGS
@pytest.mark.parametrize("rest", [b"\x00", b"garbage", b"{}", "itself"])
def test_what_follows_a_body_is_refused(coding: str, rest: bytes | str) -> None:
    """A body is one member or frame; bytes behind it, even a second one, are an error and not dropped."""
    whole = COMPRESS[coding](said("hi"))
    with pytest.raises(InvalidRequest, match="bytes follow its end"):
        decompress(coding, whole + (rest if isinstance(rest, bytes) else whole), max_bytes=CAP)


@CODINGS
def test_a_damaged_body_is_refused_or_the_same(coding: str) -> None:
    """A byte that was changed on the way never gives another body."""
    body = said("What was said" * 50)
    whole = COMPRESS[coding](body) if coding == "gzip" else _with_checksum(body)
    for place in range(len(whole)):
        changed = whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :]
        try:
            assert decompress(coding, changed, max_bytes=CAP) == body
        except (InvalidRequest, PayloadTooLarge):
            continue


def _with_checksum(body: bytes) -> bytes:
    return zstd.compress(body, options={zstd.CompressionParameter.checksum_flag: 1})


@pytest.mark.parametrize(
    "named", [b"br", b"deflate", b"compress", b"gzip, zstd", b"zstd,zstd", b"gzip,identity", b"gzip;q=1", b"\xff"]
)
async def test_other_codings_are_refused_by_name(named: bytes) -> None:
    """Whatever is not one layer of gzip or zstd is 415, and says what is supported."""
    answer = await sent(named, said("hi"))
    assert answer.status == 415
    assert "gzip, zstd" in answer.error["message"]
    with pytest.raises(UnsupportedMediaType):
        coding_of({b"content-encoding": named})


async def test_two_layers_in_two_headers_are_refused() -> None:
    """A second Content-Encoding is not overlooked."""
    gateway, transport = ready_gateway(None)
    headers = [(b"content-encoding", b"gzip"), (b"content-encoding", b"identity")]
    async with gateway:
        answer = await ask(gateway.asgi(), "POST", "/v1/responses", headers=headers, chunks=[said("hi")])
    assert (answer.status, answer.error["param"], transport.turns) == (400, "Content-Encoding", 0)


# Bombs.


def _deflated(size_bytes: int, unit: bytes, level: int, wbits: int = 31) -> bytes:
    packer = zlib.compressobj(level, wbits=wbits)
    block = unit * (MIB // len(unit))
    return b"".join(packer.compress(block) for _ in range(size_bytes // MIB)) + packer.flush()


def _framed(size_bytes: int, unit: bytes, level: int, **options: int) -> bytes:
    packer = zstd.ZstdCompressor(
        options={
            zstd.CompressionParameter.compression_level: level,
            **{getattr(zstd.CompressionParameter, name): value for name, value in options.items()},
        }
    )
    block = unit * (MIB // len(unit))
    return b"".join(packer.compress(block) for _ in range(size_bytes // MIB)) + packer.flush()


def _rle_frame(blocks: int) -> bytes:
    """A frame by hand: each four bytes stand for 128 KiB (RFC 8878, 3.1.1.2)."""
    head = struct.pack("<I", 0xFD2FB528) + bytes([0x00, 0x58])
    block = struct.pack("<I", (128 * 1024) << 3 | 1 << 1)[:3] + b" "
    last = struct.pack("<I", (128 * 1024) << 3 | 1 << 1 | 1)[:3] + b" "
    return head + block * (blocks - 1) + last


UNITS = {
    "zeros": b"\x00",
    "blanks": b" ",
    "brackets": b"[",
    "empty lists": b"[],",
    "ones": b"1,",
    "text": b'{"a":"b"},',
}

BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    **{
        f"gzip, {mib} MiB of {name}, level {level}": ("gzip", partial(_deflated, mib * MIB, unit, level))
        for name, unit in UNITS.items()
        for mib, level in ((64, 1), (64, 9), (8, 6))
    },
    **{
        f"zstd, {mib} MiB of {name}, level {level}": ("zstd", partial(_framed, mib * MIB, unit, level))
        for name, unit in UNITS.items()
        for mib, level in ((64, 1), (64, 19), (8, 3))
    },
    "zstd, four bytes for each 128 KiB": ("zstd", lambda: _rle_frame(2000)),
    "zstd, the same without an end in sight": ("zstd", lambda: _rle_frame(40_000)),
    "zstd, a window of 128 MiB": ("zstd", lambda: _framed(16 * MIB, b" ", 3, window_log=27)),
    "zstd, a long-distance window": (
        "zstd",
        lambda: _framed(16 * MIB, b" ", 3, window_log=25, enable_long_distance_matching=1),
    ),
    "gzip within gzip": ("gzip", lambda: gzip.compress(_deflated(64 * MIB, b" ", 9) * 3) * 2),
    "zstd within zstd": ("zstd", lambda: zstd.compress(_rle_frame(4000)) * 2),
}


def test_there_are_forty_bombs() -> None:
    """The table below is as long as it is said to be."""
    assert len(BOMBS) >= 40


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_and_takes_little_memory(name: str) -> None:
    """A body that would grow beyond measure is refused, and meanwhile takes no more than what is allowed of it."""
    coding, make = BOMBS[name]
    bomb = make()
    tracemalloc.start()
    try:
        with pytest.raises((PayloadTooLarge, InvalidRequest)):
            decompress(coding, bomb, max_bytes=CAP)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 2 * CAP


def test_small_bodies_may_be_as_repetitive_as_they_like() -> None:
    """Up to 1 MiB no ratio is looked at: a megabyte of blanks costs nothing."""
    body = b" " * MIB
    assert decompress("zstd", zstd.compress(body), max_bytes=CAP) == body


@CODINGS
async def test_the_cap_counts_decompressed_bytes(coding: str) -> None:
    """A body that is small enough on the wire and too large behind it is 413, and names the limit."""
    limits = BodyLimits(max_body_bytes=2000)
    at_limit = said("x" * (2000 - len(said(""))))
    answers = [
        await sent(coding.encode(), COMPRESS[coding](body), limits=limits) for body in (at_limit, at_limit + b" ")
    ]
    assert [answer.status for answer in answers] == [200, 413]
    assert "max_body_bytes" in answers[1].error["message"]


@CODINGS
async def test_a_large_body_is_decompressed_beside_the_event_loop(coding: str) -> None:
    """While megabytes are decompressed, other tasks go on."""
    noise = random.Random(7).randbytes(3 * MIB).hex()  # noqa: S311 - the same bytes every time
    body = COMPRESS[coding](said(noise[:4_000_000]))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    beside = asyncio.get_running_loop().create_task(others())
    answer = await sent(coding.encode(), body)
    before = len(body) // 1000  # as many turns as chunks come even if nothing went on beside it
    beside.cancel()
    assert answer.status == 200
    assert turns > before
