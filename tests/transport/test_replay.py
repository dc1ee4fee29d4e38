"""The replaying transport is a whole transport."""

from __future__ import annotations

import asyncio

import pytest

from antiphon.hub.errors import UpstreamBroken, UpstreamTimeout, UpstreamUnreachable
from antiphon.hub.upstream import Transport, UpstreamRequest
from antiphon.transport import PreparedReply, ReplayTransport

ASK = UpstreamRequest(path="/chat/completions", body=b"{}")


async def test_blocks_come_as_they_were_cut() -> None:
    """Each prepared block is one read, and the body then ends; request and reading are on record."""
    replay = ReplayTransport([PreparedReply(status=201, headers={"a": "b"}, blocks=[b"one", b"two"])])
    transport: Transport = replay

    answer = await transport.send(ASK)
    blocks = [await answer.read_block() for _ in range(3)]
    await answer.close()
    await transport.close()

    assert (answer.status, dict(answer.headers), blocks) == (201, {"a": "b"}, [b"one", b"two", b""])
    assert replay.requests == [ASK]
    assert (replay.replies[0].ended, replay.replies[0].closed, replay.closed) == (True, True, True)


async def test_an_error_at_a_point() -> None:
    """A prepared error is raised after the blocks before it."""
    transport = ReplayTransport([PreparedReply(blocks=[b"one"], error=UpstreamTimeout("late"))])

    answer = await transport.send(ASK)

    assert await answer.read_block() == b"one"
    with pytest.raises(UpstreamTimeout, match="late"):
        await answer.read_block()


async def test_a_refusal() -> None:
    """A prepared refusal is raised instead of an answer, and the next request gets the next reply."""
    transport = ReplayTransport([PreparedReply(refusal=UpstreamUnreachable("down"))])
    transport.prepare(PreparedReply(blocks=[b"ok"]))

    with pytest.raises(UpstreamUnreachable, match="down"):
        await transport.send(ASK)
    answer = await transport.send(ASK)

    assert await answer.read_all(10) == b"ok"


async def test_a_gate_holds_the_rest_back() -> None:
    """Blocks behind the gate come when it is opened."""
    gate = asyncio.Event()
    transport = ReplayTransport([PreparedReply(blocks=[b"one", b"two"], gate=gate, gate_before=1)])
    answer = await transport.send(ASK)

    assert await answer.read_block() == b"one"
    waiting = asyncio.create_task(answer.read_block())
    await asyncio.sleep(0)
    assert not waiting.done()
    gate.set()

    assert await waiting == b"two"


async def test_the_limit_of_a_whole_body() -> None:
    """A body over the limit is broken, as with the real transport."""
    transport = ReplayTransport([PreparedReply(blocks=[b"123", b"456"])])

    with pytest.raises(UpstreamBroken):
        await (await transport.send(ASK)).read_all(5)


async def test_nothing_left() -> None:
    """A request for which nothing was prepared finds no upstream."""
    with pytest.raises(UpstreamUnreachable):
        await ReplayTransport().send(ASK)
