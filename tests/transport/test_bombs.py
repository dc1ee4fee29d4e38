"""Answers that grow when they are unpacked: an upstream's own limit holds, and memory does too."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import pytest

from antiphon.hub.errors import UpstreamBroken
from antiphon.hub.upstream import UpstreamRequest
from antiphon.transport import HttpTransport

from .servers import reply, saying, serving

_MIB = 1024 * 1024
LIST = UpstreamRequest(method="GET", path="/models")


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
    ],
    ids=["gzip", "deflate"],
)
async def test_a_bomb_is_read_to_the_limit_and_no_further(encoding: str, compress: Callable[[bytes], bytes]) -> None:
    """128 MiB in 128 KiB, of which one is allowed: the answer is broken, and the rest was never in memory."""
    bomb = compress(bytes(128 * _MIB))
    async with serving(saying(reply(bomb, f"content-encoding: {encoding}"))) as server:
        transport = HttpTransport("mock", server.base_url)
        tracemalloc.start()
        try:
            answer = await transport.send(LIST)
            with pytest.raises(UpstreamBroken, match="more than 1048576 bytes"):
                await answer.read_all(_MIB)
            await answer.close()
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            await transport.close()

    assert len(bomb) < 256 * 1024
    assert peak_bytes < 16 * _MIB
