"""Faults that show over time: kept connections, bodies without an end, trickles, and the fault proxy itself."""

from __future__ import annotations

import asyncio

import pytest

from antiphon.settings import TimeoutSettings
from tests.support.fault_proxy import FaultProxy, Plan
from tests.transport.servers import CHUNKED, chunk, reply, saying, serving
from tests.upstream_faults.doing import HELLO, JSON, WHOLE, said, trickling
from tests.upstream_faults.fault import Answered, Fault
from tests.upstream_faults.stage import events_of, staged


async def test_a_kept_connection_that_the_upstream_has_closed() -> None:
    """A connection that the upstream drops when the next request comes costs another try, and no turn."""
    answered = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        if answered == 1:
            answered = 2
            raise ConnectionError
        answered += 1
        await saying(reply(WHOLE, JSON))(reader, writer)

    async with staged(Fault("kept", once, Answered())) as stage:
        statuses = [(await stage.whole()).status for _ in range(3)]

        assert (statuses, len(stage.faulty.requests), stage.faulty.connections) == ([200] * 3, 4, 2)
        assert len(await stage.stored()) == 3


@pytest.mark.parametrize("status", ["200 OK", "500 No"])
async def test_a_body_of_a_hundred_megabytes(status: str) -> None:
    """A body that is too long for anybody is not read to its end, whether it is an answer or an error."""
    block, sent = b"x" * 1_000_000, 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        head = f"HTTP/1.1 {status}\r\n{JSON}\r\ncontent-length: 100000000\r\n\r\n"
        writer.write(head.encode())
        for _ in range(100):
            writer.write(block)
            await writer.drain()
            sent += len(block)

    async with staged(Fault("endless", endless, Answered())) as stage:
        answer = await stage.whole()

        assert answer.status == (502 if status == "200 OK" else 503)
        await asyncio.wait_for(stage.faulty.gone.wait(), 10)
        assert sent < 30_000_000


async def test_a_trickle_is_no_silence() -> None:
    """A stream that takes longer than the idle limit, and is never silent for as long, comes whole."""
    patience = TimeoutSettings(connect_s=10, first_byte_s=10, idle_s=1.0)
    data = said("Hello there.")
    slow = trickling(data, pause_s=1.5 / len(data))

    async with staged(Fault("trickle", slow, Answered(), timeouts=patience)) as stage:
        began_at = asyncio.get_running_loop().time()
        events = events_of(await stage.streamed())

        assert events[-1]["type"] == "response.completed"
        assert asyncio.get_running_loop().time() - began_at > patience.idle_s


async def test_a_redirect_is_not_followed() -> None:
    """Nobody is asked where an upstream points to: neither it nor the gateway's credential goes there."""
    async with serving(saying(reply(WHOLE, JSON))) as elsewhere:
        moved = saying(reply(b"", f"location: {elsewhere.base_url}/chat/completions", status="307 Go"))
        async with staged(Fault("moved", moved, Answered())) as stage:
            answer = await stage.whole()

            assert (answer.status, answer.error["code"]) == (502, "upstream_broken")
            assert elsewhere.connections == 0


PLANS = {
    "as it is": (Plan(), None, False),
    "in pieces": (Plan(piece_bytes=3), None, False),
    "cut": (Plan(cut_after=10), 10, False),
    "reset": (Plan(cut_after=10, cut="rst"), 10, True),
    "half closed": (Plan(cut_after=10, cut="half close"), 10, False),
    "refused": (Plan(accepts="fin"), 0, False),
    "refused by a reset": (Plan(accepts="rst"), 0, True),
}


@pytest.mark.parametrize(("plan", "size", "is_reset"), PLANS.values(), ids=PLANS.keys())
async def test_the_proxy_obeys(plan: Plan, size: int | None, is_reset: bool) -> None:
    """The fault proxy passes on exactly what it is told to, and ends the connection as it is told to."""
    answer = CHUNKED + chunk(HELLO)
    async with (
        serving(saying(answer, then_close=True)) as server,
        FaultProxy.serve(server.port, plan) as proxy,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        if plan.accepts == "relay":  # bytes that nobody reads would turn an end into a reset
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
        got, was_reset = b"", False
        try:
            while block := await asyncio.wait_for(reader.read(65536), 10):
                got += block
        except ConnectionResetError:
            was_reset = True
        writer.close()

    assert (answer[:size], is_reset) == (got, was_reset)
