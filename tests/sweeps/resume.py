"""The resume sweep: streams that are cut after every event and resumed: running, ended, and after a crash."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.sweeps.client import Streamed
from tests.sweeps.report import Report
from tests.sweeps.stage import Stage
from tests.sweeps.upstream import MODEL, SHAPES, TOOLS, Plan

__all__ = ["Cut", "check_cut", "check_whole", "sweep"]

_TOO_MUCH = 20
# More than the longest stream has events: what lies beyond the end is resumed as well.
_CUTS = 20
_PAUSES_S = (0.005, 0.02)


@dataclass(frozen=True)
class Cut:
    """
    A stream that was cut after *after* events and resumed.

    Attributes:
        seen: Before the cut.
        rest: What the resumption brought.
    """

    name: str
    after: int
    seen: Sequence[bytes]
    rest: Sequence[bytes]


@dataclass(eq=False)
class _Turn:
    marker: str
    shape: str
    background: bool
    whole: Streamed = field(default_factory=Streamed)
    running: list[Cut] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.marker} ({'background' if self.background else 'foreground'} {self.shape})"


def check_cut(cut: Cut, whole: Sequence[bytes]) -> list[str]:
    """What was seen and what the resumption brought are the whole stream, byte for byte."""
    after = min(cut.after, len(whole))
    flaws = []
    if list(cut.seen) != list(whole[: len(cut.seen)]):
        flaws.append("began otherwise than the whole stream")
    if list(cut.rest) != list(whole[after:]):
        flaws.append(f"brought {len(cut.rest)} events, and not the {len(whole) - after} that follow")
    return [f"{cut.name}, cut after {cut.after}: {flaw}" for flaw in flaws]


def check_whole(name: str, whole: Streamed, status: str) -> list[str]:
    """An uncut stream ends, as its model's answer leads to."""
    ended = (whole.terminal or {}).get("status")
    return [] if whole.ended and ended == status else [f"{name}: ended as {ended}, not as {status}: {whole.status}"]


async def sweep(folder: Path, *, count: int, seed: int, say: Callable[[str], None] = lambda _: None) -> Report:
    """Cut and resume streams *count* times at least, and tell what was found."""
    report = Report("resume", seed)
    async with Stage.set(folder / "resume.db") as stage:
        one = _Sweep(stage, report, random.Random(seed))  # noqa: S311 - chooses what is tested, hides nothing
        while report.figures["resumptions"] < count and len(report.violations) < _TOO_MUCH:
            await one.round()
            say(str(report))
    return report


class _Sweep:
    def __init__(self, stage: Stage, report: Report, rng: random.Random) -> None:
        self._stage = stage
        self._report = report
        self._rng = rng
        self._sent = 0

    async def round(self) -> None:
        """Every shape in both modes: while it runs, after its end, and in the next process."""
        turns = [self._turn(shape, background=background) for shape in SHAPES for background in (False, True)]
        for turn in turns:
            await self._run(turn)
            self._judge(turn, "while running", turn.running)
            await self._resume_all(turn, "afterwards")
        await self._stage.crash()
        for turn in turns:
            await self._resume_all(turn, "after a crash")

    def _turn(self, shape: str, *, background: bool) -> _Turn:
        self._sent += 1
        turn = _Turn(f"resume-{self._sent}", shape, background)
        self._stage.upstream.plans[turn.marker] = Plan(shape=shape, pause_s=self._rng.choice(_PAUSES_S))
        return turn

    async def _run(self, turn: _Turn) -> None:
        body = {
            "model": MODEL,
            "input": f"{turn.marker} speaks",
            "background": turn.background,
            "stream": True,
            "tools": TOOLS,
            "stream_options": {"include_obfuscation": False},
        }
        reading = asyncio.create_task(self._stage.client.stream("POST", "/responses", body, into=turn.whole))
        await turn.whole.begun.wait()
        cuts = await asyncio.gather(*(self._cut(turn, after) for after in range(1, _CUTS)))
        await reading
        turn.running = [cut for cut in cuts if cut is not None]
        self._report.complain(check_whole(turn.name, turn.whole, SHAPES[turn.shape][1]))

    async def _cut(self, turn: _Turn, after: int) -> Cut | None:
        """Read so many events, hang up, and read on from there; None if the stream had ended before that."""
        path = f"/responses/{turn.whole.response_id}?stream=true"
        seen = await self._stage.client.stream("GET", path, frames=after)
        if turn.whole.ended:
            return None
        rest = await self._stage.client.stream("GET", f"{path}&starting_after={after - 1}")
        return Cut(f"{turn.name} while running", after, seen.frames, rest.frames)

    async def _resume_all(self, turn: _Turn, moment: str) -> None:
        path = f"/responses/{turn.whole.response_id}?stream=true"
        places = range(len(turn.whole.frames) + 2)
        rests = await asyncio.gather(
            *(
                self._stage.client.stream("GET", path + (f"&starting_after={after - 1}" if after else ""))
                for after in places
            )
        )
        cuts = [
            Cut(f"{turn.name} {moment}", after, turn.whole.frames[:after], rest.frames)
            for after, rest in zip(places, rests, strict=True)
        ]
        self._judge(turn, moment, cuts)

    def _judge(self, turn: _Turn, moment: str, cuts: Sequence[Cut]) -> None:
        self._report.figures["resumptions"] += len(cuts)
        self._report.figures[moment] += len(cuts)
        for cut in cuts:
            self._report.complain(check_cut(cut, turn.whole.frames))
