"""Scenarios of traffic: how much one core carries, and what a call and a token wait."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bench import Bench, Row, Run, median_of, turn
from benchmarks.load import Target, check_stream, closed_loop

__all__ = ["harness", "one_call", "paced", "post", "saturated", "token_delay"]

CONNECTIONS = 32
STREAMS = 16
TOKENS = 200
RATE = 50


async def harness(bench: Bench) -> list[Row]:
    """What the load generator and the upstream can do without anything between them."""
    seconds = bench.effort.seconds
    posts = await bench.run(bench.upstream, bench.direct(), turn(), connections=CONNECTIONS, seconds=seconds)
    streams = await bench.run(bench.upstream, bench.direct(), turn(tokens=TOKENS), connections=STREAMS, seconds=seconds)
    unit = "per CPU-second"
    return [
        Row(metric="harness: load generator, POST", unit=unit, nginx=_per(posts, posts.result.load_cpu_s)),
        Row(metric="harness: upstream, POST", unit=unit, nginx=_per(posts, posts.cpu_s)),
        Row(
            metric="harness: load generator, tokens", unit=unit, nginx=_per(streams, streams.result.load_cpu_s, TOKENS)
        ),
        Row(metric="harness: upstream, tokens", unit=unit, nginx=_per(streams, streams.cpu_s, TOKENS)),
    ]


async def post(bench: Bench) -> list[Row]:
    """Durable ``POST /v1/responses`` against the same bytes passed through."""
    proxy, gateway = await bench.compare(turn(), connections=CONNECTIONS, seconds=bench.effort.seconds)
    return [
        _ratio(f"POST, stored, {CONNECTIONS} connections", "per CPU-second", proxy, gateway, 1, 0.08, saturating=True)
    ]


async def saturated(bench: Bench) -> list[Row]:
    """Streams without pause."""
    body = turn(tokens=TOKENS)
    await _check(bench, body, TOKENS)
    proxy, gateway = await bench.compare(body, connections=STREAMS, seconds=bench.effort.seconds)
    return [
        _ratio(
            f"{STREAMS} streams without pause", "tokens per CPU-second", proxy, gateway, TOKENS, 0.7, saturating=True
        )
    ]


async def paced(bench: Bench, streams: int, floor: float | None = 0.5) -> list[Row]:
    """Streams at the speed of a model."""
    tokens = bench.effort.tokens
    body = turn(model=f"paced-{RATE}", tokens=tokens)
    connections = max(1, streams // bench.effort.streams_divisor)
    await _check(bench, body, tokens)
    proxy, gateway = await bench.compare(body, connections=connections, seconds=0)
    metric = f"{streams} streams at {RATE} tokens per second"
    return [_ratio(metric, "tokens per CPU-second", proxy, gateway, tokens, floor)]


async def token_delay(bench: Bench) -> list[Row]:
    """How much longer a token is under way than without anything between."""
    body = turn(model=f"paced-{RATE}", tokens=bench.effort.tokens)
    direct: list[float] = []
    for _ in range(bench.effort.rounds):
        run = await bench.run(bench.upstream, bench.direct(), body, connections=20, seconds=0, timed=True)
        direct.extend(_delays_ms([run]))
    proxy, gateway = await bench.compare(body, connections=20, seconds=0, timed=True)
    return [_added("added per token, 20 streams, median", direct, _delays_ms(proxy), _delays_ms(gateway), "≤ 0.3 ms")]


async def one_call(bench: Bench) -> list[Row]:
    """How much longer one call at a time takes, with the wait for the disk shown beside it."""
    body = turn()
    direct: list[float] = []
    proxy: list[float] = []
    gateway: list[float] = []
    for _ in range(bench.effort.rounds):
        direct += await _calls_ms(bench, bench.direct(), body)
        proxy += await _calls_ms(bench, bench.passed_through(), body)
        if bench.gateway is not None:
            gateway += await _calls_ms(bench, bench.responses(bench.gateway), body)
    sync_ms = _sync_ms(bench.directory)
    row = _added(
        "added to one call at a time, median", direct, proxy, gateway, f"≤ {0.9 + sync_ms:.2f} ms (0.9 + fsync)"
    )
    return [row, Row(metric="one fsync on the store's file system, median", unit="ms", antiphon=sync_ms)]


async def _calls_ms(bench: Bench, target: Target, body: bytes) -> list[float]:
    result = await closed_loop(target, body, connections=1, seconds=60, limit=bench.effort.calls)
    return [latency * 1e3 for latency in result.latencies_s]


async def _check(bench: Bench, body: bytes, tokens: int) -> None:
    await check_stream(bench.passed_through(), body, tokens)
    if bench.gateway is not None:
        await check_stream(bench.responses(bench.gateway), body, tokens)


def _ratio(
    metric: str,
    unit: str,
    proxy: Sequence[Run],
    gateway: Sequence[Run],
    each: int,
    floor: float | None,
    *,
    saturating: bool = False,
) -> Row:
    nginx = median_of([_per(run, run.cpu_s, each) for run in proxy])
    antiphon = median_of([_per(run, run.cpu_s, each) for run in gateway])
    return Row(
        metric=metric,
        unit=unit,
        nginx=nginx,
        antiphon=antiphon,
        ratio=antiphon / nginx if antiphon and nginx else None,
        target=f"≥ {floor}" if floor else "",
        floor=floor,
        nginx_busy=median_of([run.cpu_s / run.result.wall_s for run in proxy]),
        antiphon_busy=median_of([run.cpu_s / run.result.wall_s for run in gateway]),
        saturating=saturating,
    )


def _added(metric: str, direct: list[float], proxy: list[float], gateway: list[float], target: str) -> Row:
    base = median_of(direct) or 0.0
    nginx, antiphon = median_of(proxy), median_of(gateway)
    return Row(
        metric=metric,
        unit="ms",
        nginx=nginx - base if nginx is not None else None,
        antiphon=antiphon - base if antiphon is not None else None,
        target=target,
    )


def _per(run: Run, cpu_s: float, each: int = 1) -> float:
    return run.result.answers * each / max(cpu_s, 1e-9)


def _delays_ms(runs: Sequence[Run]) -> list[float]:
    return [delay / 1e6 for run in runs for delay in run.result.delays_ns]


def _sync_ms(directory: Path) -> float:
    """The median time to append a page of 4 KB and have it on the disk, as a commit does."""
    taken = []
    with (directory / "sync").open("wb", buffering=0) as file:
        for _ in range(50):
            file.write(bytes(4096))
            began = time.perf_counter()
            os.fsync(file.fileno())
            taken.append((time.perf_counter() - began) * 1e3)
    return median_of(taken) or 0.0
