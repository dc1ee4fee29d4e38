"""The abort sweep: background turns that are interfered with at every stage, none of which may be stuck or broken."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tests.sweeps.abort_kinds import ALWAYS_SHOWN, KINDS, PROCESS_KINDS, Abort
from tests.sweeps.client import Gone, until
from tests.sweeps.endings import Ending, JsonObject, check_ending
from tests.sweeps.report import Report
from tests.sweeps.stage import Stage
from tests.sweeps.upstream import SHAPES, Plan

__all__ = ["sweep"]

_BATCH = 10
_LONGEST = 14
_TOO_MUCH = 20
# Of the turns whose process ends: few enough that the others get to run.
_STALLED_EVERY = 4
_CONVERSED_SHARE = 0.4
_CLIENT_KINDS = [kind for kind in KINDS if kind not in PROCESS_KINDS]
# How many batches in a row meet what: the process dies in two of five.
_BATCHES = ("client", "kill", "client", "terminate", "client")
_RUNNING = ("queued", "in_progress")


async def sweep(folder: Path, *, count: int, seed: int, say: Callable[[str], None] = lambda _: None) -> Report:
    """Interfere with *count* turns, ten at a time, and tell what was found."""
    report = Report("aborts", seed)
    async with Stage.set(folder / "aborts.db") as stage:
        one = _Sweep(stage, report, random.Random(seed))  # noqa: S311 - chooses what is tested, hides nothing
        for sort in itertools.cycle(_BATCHES):
            if report.figures["aborts"] >= count or len(report.violations) > _TOO_MUCH:
                break
            await one.batch(sort)
            say(str(report))
        await stage.settle()
    return report


class _Sweep:
    def __init__(self, stage: Stage, report: Report, rng: random.Random) -> None:
        self._stage = stage
        self._report = report
        self._rng = rng
        self._sent = 0

    async def batch(self, sort: str) -> None:
        aborts = [await self._abort(sort) for _ in range(_BATCH)]
        work = asyncio.gather(*(self._interfere(abort) for abort in aborts))
        if sort in PROCESS_KINDS:
            await self._end_process(sort, aborts)
        await work
        await asyncio.gather(*(self._judge(abort) for abort in aborts))

    async def _abort(self, sort: str) -> Abort:
        self._sent += 1
        kind = self._rng.choice(_CLIENT_KINDS) if sort == "client" else sort
        shape = self._rng.choice(list(SHAPES))
        stage = self._rng.randint(0, _LONGEST)
        within = stage % len(SHAPES[shape][0])
        stalls = kind == "stall and cancel" or (sort in PROCESS_KINDS and self._sent % _STALLED_EVERY == 0)
        plan = Plan(
            shape=shape,
            pause_s=self._rng.choice((0.0, 0.02, 0.04)),
            drop_after=within if kind == "drop" else None,
            stall_after=within if stalls else None,
        )
        stage = within if kind == "drop" else min(stage, ALWAYS_SHOWN) if stalls else stage
        abort = Abort(marker=f"abort-{self._sent}", kind=kind, stage=stage, plan=plan)
        self._stage.upstream.plans[abort.marker] = plan
        if self._is(_CONVERSED_SHARE):
            abort.conversation = (await self._stage.client.call("POST", "/conversations", {})).body["id"]
        return abort

    def _is(self, probability: float) -> bool:
        return self._rng.random() < probability

    async def _interfere(self, abort: Abort) -> None:
        try:
            await KINDS[abort.kind](abort, self._stage)
        except Gone:
            if abort.kind not in PROCESS_KINDS:
                self._report.complain([f"{abort.name}: the gateway closed a connection"])

    async def _end_process(self, sort: str, aborts: Sequence[Abort]) -> None:
        """End the process as soon as the first of its turns has come as far as it is to come."""
        lead = aborts[0]

        async def reached() -> bool | None:
            return bool(lead.told) or sum(len(reader.frames) for reader in lead.readers) >= lead.stage or None

        await until(reached, lead.name)
        for abort in aborts:  # whoever asks the model again is answered
            self._stage.upstream.plans[abort.marker] = replace(abort.plan, stall_after=None)
        self._report.figures[f"restarts by {sort}"] += 1
        await (self._stage.crash() if sort == "kill" else self._stage.restart())

    async def _judge(self, abort: Abort) -> None:
        figures = self._report.figures
        self._report.complain(abort.flaws)
        if abort.response_id is None:
            figures["unknown to the client"] += 1
            await self._judge_unknown(abort)
            return
        figures["aborts"] += 1
        figures[f"{abort.kind}{'' if abort.came_in_time else ', too late'}"] += 1
        if abort.gone:
            await self._judge_deleted(abort)
            return
        try:
            ending = await self._ending(abort)
        except AssertionError as fault:
            self._report.complain([str(fault)])
            return
        figures[f"ended as {ending.retrieved['status']}"] += 1
        self._report.complain(check_ending(ending))

    async def _ending(self, abort: Abort) -> Ending:
        retrieved = await until(lambda: self._ended(abort), abort.name)
        replay = await self._stage.client.stream("GET", f"{abort.path}?stream=true")
        calls = self._stage.upstream.calls[abort.marker]
        return Ending(
            name=abort.name,
            allowed=abort.allowed,
            retrieved=retrieved,
            again=(await self._stage.client.call("GET", abort.path)).body,
            replay=replay.frames,
            seen=[reader.frames for reader in abort.readers],
            told=abort.told,
            input=abort.text,
            items=await self._items(abort),
            calls=calls,
            most_calls=2 if abort.kind in PROCESS_KINDS else 1,
        )

    async def _ended(self, abort: Abort) -> JsonObject | None:
        answer = await self._stage.client.call("GET", abort.path)
        if answer.status != 200:
            raise AssertionError(f"{abort.name}: {abort.response_id} answers {answer.status}: {answer.body}")
        body: JsonObject = answer.body
        return None if body["status"] in _RUNNING else body

    async def _items(self, abort: Abort) -> list[JsonObject] | None:
        """What the conversation of a turn holds; afterwards it has to take an item by hand, so it is free."""
        if abort.conversation is None:
            return None
        path = f"/conversations/{abort.conversation}/items"
        items: list[JsonObject] = (await self._stage.client.call("GET", f"{path}?order=asc&limit=100")).body["data"]
        await until(lambda: self._unlocked(path), f"{abort.name}: its conversation stays locked")
        return items

    async def _unlocked(self, path: str) -> bool | None:
        answer = await self._stage.client.call("POST", path, {"items": [{"role": "user", "content": "free?"}]})
        return True if answer.status == 200 else None

    async def _judge_unknown(self, abort: Abort) -> None:
        """Nobody was told its id; whether it has begun or not, its conversation is free again and not in disorder."""
        try:
            await self._stage.settle()
            items = await self._items(abort) or []
        except AssertionError as fault:
            self._report.complain([str(fault)])
            return
        places = [place for place, item in enumerate(items) if abort.text in str(item.get("content"))]
        if places not in ([], [0]):
            self._report.complain([f"{abort.name}: stands in its conversation at {places}"])

    async def _judge_deleted(self, abort: Abort) -> None:
        self._report.figures["ended and deleted"] += 1
        for path in (abort.path, f"{abort.path}?stream=true"):
            answer = await self._stage.client.call("GET", path)
            if answer.status != 404:
                self._report.complain([f"{abort.name}: deleted, and answers {answer.status} to {path}"])
