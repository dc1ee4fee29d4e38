"""
Scenarios of long conversations: what a turn costs after 1, 10, 100 and 1000, and what it adds to the file.

A chain is built by ``previous_response_id``, one call at a time. Without a gateway the client has to send the whole
conversation again: that is what nginx passes through for the same turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median

import apsw
import orjson

from benchmarks.bench import Bench, Row, turn
from benchmarks.load import Caller, LoadFailed
from benchmarks.processes import Server

__all__ = ["history"]

MARKS = {1: 50, 10: 5, 100: 9, 1000: 15}  # turn: how many turns around it are measured
SHORT_CHAINS = 5


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What turns of one length cost: mean CPU and median wait."""

    cpu_ms: float
    wait_ms: float


@dataclass(kw_only=True)
class Meter:
    """Collects turns of one length."""

    cpu_s: list[float] = field(default_factory=list)
    waits_s: list[float] = field(default_factory=list)

    def cost(self) -> Cost:
        return Cost(cpu_ms=fmean(self.cpu_s) * 1e3, wait_ms=median(self.waits_s) * 1e3)


@dataclass(frozen=True, kw_only=True)
class FileSize:
    """The store after a number of turns: bytes of the checkpointed file, and bytes sent to the disk so far."""

    turns: int
    size_bytes: int
    written_bytes: int | None


class Chain:
    """A conversation that grows turn by turn."""

    def __init__(self, server: Server, caller: Caller, *, last: str | None = None) -> None:
        self._server = server
        self._caller = caller
        self.last = last
        self.turns = 0
        self.item_bytes: list[int] = []

    async def grow(self, turns: int, meter: Meter | None = None) -> None:
        """Add turns until there are *turns*."""
        while self.turns < turns:
            await self._add(meter)

    async def _add(self, meter: Meter | None) -> None:
        request = turn(previous=self.last)
        before = self._server.cpu_s()
        answer, wait_s = await self._caller.post(request)
        if meter is not None:
            meter.cpu_s.append(self._server.cpu_s() - before)
            meter.waits_s.append(wait_s)
        response = orjson.loads(answer)
        self.last = response["id"]
        self.turns += 1
        self.item_bytes.append(_item_bytes(request, response))


async def history(bench: Bench) -> list[Row]:
    """Turn 1, 10, 100 and 1000: wait, CPU, and bytes on the disk."""
    marks = [mark for mark in MARKS if mark <= bench.effort.turns]
    nginx = {mark: await _resend(bench, mark) for mark in marks}
    if bench.gateway is None:
        return [row for mark in marks for row in _turn_rows(mark, nginx[mark], None)]
    store = bench.directory / "history" / "antiphon.db"
    store.parent.mkdir()
    costs, sizes, chain = await _grow(bench, store, marks)
    rows = [row for mark in marks for row in _turn_rows(mark, nginx[mark], costs[mark])]
    return [*rows, _warm_row(costs), await _cold_row(bench, store, chain), *_growth_rows(sizes, chain)]


async def _grow(bench: Bench, store: Path, marks: list[int]) -> tuple[dict[int, Cost], list[FileSize], Chain]:
    """One long chain, with short ones before it for the marks that a single chain passes too quickly."""
    gateway = bench.start_gateway(store)
    meters = {mark: Meter() for mark in marks}
    sizes: list[FileSize] = []
    try:
        async with Caller.open(bench.responses(gateway)) as caller:
            await Chain(gateway, caller).grow(bench.effort.samples)
            for _ in range(min(MARKS[1], bench.effort.calls)):
                await Chain(gateway, caller).grow(1, meters[1])
            for _ in range(min(SHORT_CHAINS, bench.effort.samples)):
                await _pass(Chain(gateway, caller), 10, meters[10])
            chain = Chain(gateway, caller)
            sizes.append(_size(store, gateway, 0))
            for mark in marks:
                if mark > 10:
                    await _pass(chain, mark, meters[mark])
                else:
                    await chain.grow(mark)
                sizes.append(_size(store, gateway, chain.turns))
            await chain.grow(bench.effort.turns)
    finally:
        gateway.stop()
    return {mark: meter.cost() for mark, meter in meters.items()}, sizes, chain


async def _pass(chain: Chain, mark: int, meter: Meter) -> None:
    half = MARKS[mark] // 2
    await chain.grow(mark - half - 1)
    await chain.grow(mark + half, meter)


async def _resend(bench: Bench, mark: int) -> Cost:
    """The same turn without a memory: nginx passes the whole conversation."""
    body = orjson.dumps({"model": "instant", "messages": list(_messages(mark))})
    meter = Meter()
    async with Caller.open(bench.passed_through()) as caller:
        await caller.post(body)
        for _ in range(min(MARKS[mark], bench.effort.calls)):
            before = bench.proxy.cpu_s()
            _, wait_s = await caller.post(body)
            meter.cpu_s.append(bench.proxy.cpu_s() - before)
            meter.waits_s.append(wait_s)
    return meter.cost()


def _messages(turns: int) -> Iterator[dict[str, str]]:
    text = orjson.loads(turn())["input"]
    for _ in range(turns - 1):
        yield {"role": "user", "content": text}
        yield {"role": "assistant", "content": text[:200]}
    yield {"role": "user", "content": text}


def _turn_rows(mark: int, nginx: Cost, antiphon: Cost | None) -> list[Row]:
    return [
        Row(
            metric=f"turn {mark}: CPU",
            unit="ms",
            nginx=nginx.cpu_ms,
            antiphon=antiphon.cpu_ms if antiphon else None,
        ),
        Row(
            metric=f"turn {mark}: wait, median",
            unit="ms",
            nginx=nginx.wait_ms,
            antiphon=antiphon.wait_ms if antiphon else None,
        ),
    ]


def _warm_row(costs: dict[int, Cost]) -> Row:
    longest = max(costs)
    return Row(
        metric=f"turn {longest} against turn 10, CPU, warm",
        unit="times",
        antiphon=costs[longest].cpu_ms / costs[10].cpu_ms,
    )


async def _cold_row(bench: Bench, store: Path, chain: Chain) -> Row:
    """What the first turn after a start pays for each item before it, beyond what a turn without history costs."""
    each_us = []
    for _ in range(bench.effort.samples):
        gateway = bench.start_gateway(store)
        try:
            async with Caller.open(bench.responses(gateway)) as caller:
                fresh, cold = Meter(), Meter()
                await Chain(gateway, caller).grow(10)  # so that nothing is done for the first time but the reading
                for _ in range(5):
                    await Chain(gateway, caller).grow(1, fresh)
                await Chain(gateway, caller, last=chain.last).grow(1, cold)
        finally:
            gateway.stop()
        each_us.append((cold.cost().cpu_ms - fresh.cost().cpu_ms) * 1e3 / (2 * chain.turns))
    return Row(
        metric=f"CPU per earlier item, cold, {2 * chain.turns} items",
        unit="µs",
        antiphon=median(each_us),
        target="≤ 15 µs",
    )


def _growth_rows(sizes: list[FileSize], chain: Chain) -> list[Row]:
    """Growth between the last three measuring points: the same for any length of the history."""
    items = fmean(chain.item_bytes)
    rows = []
    for before, after in list(pairwise(sizes))[-2:]:
        turns = after.turns - before.turns
        label = f"turns {before.turns + 1} to {after.turns}"
        rows.append(
            Row(
                metric=f"file per turn, {label}",
                unit="bytes",
                antiphon=(after.size_bytes - before.size_bytes) / turns,
                target=f"≤ {2 * items + 2048:.0f} (2 x items + 2 KB)",
            )
        )
        if after.written_bytes is not None and before.written_bytes is not None:
            written = (after.written_bytes - before.written_bytes) / turns
            rows.append(
                Row(metric=f"sent to the disk per turn, write-ahead included, {label}", unit="bytes", antiphon=written)
            )
    return rows


def _size(store: Path, gateway: Server, turns: int) -> FileSize:
    with closing(apsw.Connection(str(store))) as connection:
        connection.set_busy_timeout(10_000)
        connection.execute(
            "SELECT count(*) FROM sqlite_schema"
        ).fetchall()  # before it has read, it knows no write-ahead log
        _, checkpointed = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    if checkpointed < 0:
        raise LoadFailed(f"{store.name} could not be checkpointed, so its size says nothing.")
    return FileSize(turns=turns, size_bytes=store.stat().st_size, written_bytes=gateway.written_bytes())


def _item_bytes(request: bytes, response: dict[str, list[object]]) -> int:
    """JSON bytes of a turn's own items: its message, and what was answered."""
    part = {"type": "input_text", "text": orjson.loads(request)["input"]}
    message = {"type": "message", "role": "user", "content": [part]}
    return len(orjson.dumps(message)) + sum(len(orjson.dumps(item)) for item in response["output"])
