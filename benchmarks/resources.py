"""Scenarios of what a server needs by itself: memory, and the time until it serves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from benchmarks.bench import Bench, Row, median_of, turn
from benchmarks.load import Caller, Target, closed_loop
from benchmarks.processes import Server
from benchmarks.traffic import RATE

__all__ = ["memory", "starting"]

OPEN_STREAMS = 200


async def memory(bench: Bench) -> list[Row]:
    """Resident memory at rest, and what each open stream adds to it."""
    proxy = bench.start_proxy()
    try:
        proxy_idle, proxy_stream = await _memory(bench, proxy, bench.passed_through(proxy))
    finally:
        proxy.stop()
    gateway_idle: float | None = None
    gateway_stream: float | None = None
    if bench.gateway is not None:
        gateway = bench.start_gateway()
        try:
            gateway_idle, gateway_stream = await _memory(bench, gateway, bench.responses(gateway))
        finally:
            gateway.stop()
    return [
        Row(metric="memory idle", unit="MB", nginx=proxy_idle, antiphon=gateway_idle, target="≤ 70 MB"),
        Row(
            metric=f"memory per open stream, {OPEN_STREAMS} open",
            unit="KB",
            nginx=proxy_stream,
            antiphon=gateway_stream,
            target="≤ 100 KB",
        ),
    ]


async def starting(bench: Bench) -> list[Row]:
    """From the start of the process to its first answer."""
    proxy = [await _start_s(bench.start_proxy, bench.passed_through) for _ in range(bench.effort.samples)]
    gateway: list[float] = []
    if bench.gateway is not None:
        gateway = [await _start_s(bench.start_gateway, bench.responses) for _ in range(bench.effort.samples)]
    return [
        Row(
            metric="start to the first answered request",
            unit="s",
            nginx=median_of(proxy),
            antiphon=median_of(gateway),
            target="≤ 1 s",
        )
    ]


async def _memory(bench: Bench, server: Server, target: Target) -> tuple[float, float]:
    """Megabytes after a first call, and kilobytes that each open stream adds."""
    await closed_loop(target, turn(), connections=1, seconds=0)
    idle = server.rss_bytes()
    streams = OPEN_STREAMS // bench.effort.streams_divisor
    body = turn(model=f"paced-{RATE}", tokens=bench.effort.tokens)
    load = asyncio.create_task(closed_loop(target, body, connections=streams, seconds=0))
    peak = idle
    while not load.done():
        await asyncio.wait([load], timeout=0.1)
        peak = max(peak, server.rss_bytes())
    await load
    return idle / 1e6, (peak - idle) / 1e3 / streams


async def _start_s(start: Callable[[], Server], target: Callable[[Server], Target]) -> float:
    began = time.perf_counter()
    server = start()
    try:
        async with Caller.open(target(server)) as caller:
            await caller.post(turn())
        return time.perf_counter() - began
    finally:
        server.stop()
