"""The routing sweep: chains over three equal servers that fail in every way, before their answers and within them."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from antiphon import Gateway, InMemorySessionStore, Target, upstream
from antiphon.engine.attempts import Retries
from antiphon.engine.budgets import BudgetPolicy
from antiphon.engine.gates import Capacity
from antiphon.engine.health import HealthPolicy
from antiphon.engine.turn import TurnPolicy
from antiphon.hub.errors import AntiphonError, UpstreamError
from antiphon.hub.events import OutputTextDelta
from antiphon.telemetry import Log
from tests.sweeps.report import Report
from tests.sweeps.routing_upstream import BEFORE, MODEL, REFUSED, WITHIN, Called, Ledger, PlannedUpstream

__all__ = ["Ended", "check_load", "check_turn", "figures_of", "sweep"]

_NAMES = ("a", "b", "c")
_DUPLICATES = "words that a client got twice"
_LATE = "requests after an answer's first byte"
_SIDE_BY_SIDE = 12
_FAULTY_SHARE = 0.35
_OUTAGE_EVERY = 5
_CHAIN_SHARE = 0.5
_BUDGET = BudgetPolicy(share=0.3, reserve=20)
_POLICY = TurnPolicy(
    retries=Retries(per_target=1, first_pause_s=0.001, longest_pause_s=0.01),
    health=HealthPolicy(failures=4, ejection_s=0.02, longest_s=0.2),
    budget=_BUDGET,
)
_CAPACITY = Capacity(max_parallel=6, max_queued=4, queue_s=5.0)


@dataclass(frozen=True)
class Ended:
    """
    How one turn ended, as its client and the servers saw it.

    Attributes:
        status: Of the response; the error's class where there is none.
        calls: What the servers were asked for it, in order.
        sent: How many requests the answer's header tells of.
        whole: What the server that began an answer says to the turn, if nothing goes wrong.
    """

    marker: str
    status: str
    words: tuple[str, ...]
    calls: Sequence[Called]
    sent: int
    whole: str


async def sweep(folder: Path, *, count: int, seed: int, say: Callable[[str], None] = lambda _: None) -> Report:
    """Run *count* turns, twelve at a time, and tell what was found. Nothing is kept in *folder*."""
    report = Report("routing", seed)
    ledger = Ledger()
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(PlannedUpstream.serve(name, ledger)) for name in _NAMES]
        made = [upstream(server.url, name=server.name, models=[MODEL]) for server in servers]
        targets = [Target(each, MODEL, order=0, capacity=_CAPACITY) for each in made]
        gateway = Gateway(made, aliases={"any": targets}, policy=_POLICY, log=Log("error"))
        gateway = gateway.with_session_store(InMemorySessionStore())
        await stack.enter_async_context(gateway)
        one = _Sweep(gateway, servers, ledger, report, random.Random(seed))  # noqa: S311 - chooses, hides nothing
        await one.calm()
        began_at = time.monotonic()
        while report.figures["turns"] < count and len(report.violations) < 20:
            await one.batch()
            say(str(report))
        calm_s = time.monotonic() - began_at
        report.complain(check_load(report.figures["turns"], report.figures["further requests"], calm_s))
    _show_zeros(report)
    return report


class _Sweep:
    def __init__(
        self,
        gateway: Gateway,
        servers: Sequence[PlannedUpstream],
        ledger: Ledger,
        report: Report,
        rng: random.Random,
    ) -> None:
        self._gateway = gateway
        self._servers = {server.name: server for server in servers}
        self._ledger = ledger
        self._report = report
        self._rng = rng
        self._sent = 0
        self._batches = 0
        self._parents: list[str] = []

    async def calm(self) -> None:
        """Without faults every chain stays with one server, and several servers have some."""
        owners = set()
        for _ in range(12):
            parent, asked = None, set()
            for _ in range(3):
                marker = self._marker()
                parent = (await self._turn(marker, parent))[1]
                asked |= {call.upstream for call in self._ledger.of(marker)}
            owners |= asked
            if len(asked) != 1:
                self._report.complain([f"a chain was served by {sorted(asked)}"])
        self._report.figures["servers with chains"] = len(owners)

    async def batch(self) -> None:
        self._batches += 1
        down = self._rng.choice(_NAMES) if self._batches % _OUTAGE_EVERY == 0 else None
        markers = [self._marker() for _ in range(_SIDE_BY_SIDE)]
        for marker in markers:
            self._plan(marker, down)
        await asyncio.gather(*map(self._judge, markers))

    def _marker(self) -> str:
        self._sent += 1
        return f"t{self._sent}"

    def _plan(self, marker: str, down: str | None) -> None:
        for name in _NAMES:
            if name == down:
                self._ledger.plans[name, marker] = ["server error"] * 4
            elif self._rng.random() < _FAULTY_SHARE:
                kinds = [*BEFORE, *BEFORE, *WITHIN, REFUSED]
                self._ledger.plans[name, marker] = self._rng.choices(kinds, k=self._rng.randint(1, 3))

    async def _judge(self, marker: str) -> None:
        chained = self._parents and self._rng.random() < _CHAIN_SHARE
        ended, response_id = await self._turn(marker, self._rng.choice(self._parents) if chained else None)
        if ended.status == "completed" and response_id is not None:
            self._parents.append(response_id)
        figures = self._report.figures
        figures["turns"] += 1
        figures[f"ended as {ended.status}"] += 1
        figures["further requests"] += max(len(ended.calls) - 1, 0)
        figures.update(figures_of(ended))
        for call in ended.calls:
            figures[f"fault: {call.fault}"] += 1
        self._report.complain(check_turn(ended))

    async def _turn(self, marker: str, parent: str | None) -> tuple[Ended, str | None]:
        body = {"model": "any", "input": f"{marker} please", "stream": True, "previous_response_id": parent}
        run = (await self._gateway.begin(body)).run
        reader = run.reader()
        words: list[str] = []
        try:
            while not reader.at_end:
                await reader.wait()
                words += [event.delta for event in reader.take() if isinstance(event, OutputTextDelta)]
            status = str(run.finished.result()["status"])
        except UpstreamError as error:
            status = type(error).__name__
        except AntiphonError as error:
            status = f"unexpectedly {type(error).__name__}"
        finally:
            reader.close()
        calls = self._ledger.of(marker)
        began = [call for call in calls if call.began]
        whole = "".join(self._servers[began[0].upstream].words(marker)) if began else ""
        return Ended(marker, status, tuple(words), calls, run.facts.attempts, whole), run.response_id


def figures_of(ended: Ended) -> Counter[str]:
    """What a reader of the report wants to know of a turn; the last two are faults of ours."""
    began = next((place for place, call in enumerate(ended.calls) if call.began), len(ended.calls))
    servers = [call.upstream for call in ended.calls]
    return Counter(
        {
            "answers": began < len(ended.calls),
            "faults": sum(call.fault != "none" for call in ended.calls),
            "fallbacks": sum(one != next_one for one, next_one in pairwise(servers)),
            "retries": sum(one == next_one for one, next_one in pairwise(servers)),
            _DUPLICATES: len(ended.words) - len(set(ended.words)),
            _LATE: max(len(ended.calls) - 1 - began, 0),
        }
    )


def _show_zeros(report: Report) -> None:
    """A figure that is nothing is told too."""
    for name in ("answers", "faults", "fallbacks", "retries", _DUPLICATES, _LATE):
        report.figures[name] += 0


def check_turn(ended: Ended) -> list[str]:
    """What is wrong with a turn: said twice, asked after it had begun, ended otherwise than its answer."""
    flaws = []
    began = [place for place, call in enumerate(ended.calls) if call.began]
    if len(began) > 1:
        flaws.append(f"{len(began)} servers began an answer")
    if began and began[0] != len(ended.calls) - 1:
        flaws.append("somebody was asked after an answer had begun")
    if any(call.fault == REFUSED for call in ended.calls[:-1]):
        flaws.append("somebody was asked after the request had been refused")
    if ended.sent != len(ended.calls):
        flaws.append(f"{ended.sent} requests are told of, and {len(ended.calls)} were sent")
    said = "".join(ended.words)
    if len(set(ended.words)) != len(ended.words) or not ended.whole.startswith(said):
        flaws.append(f"it was said: {said}")
    flaws += _check_end(ended, said, began)
    return [f"{ended.marker}: {flaw}" for flaw in flaws]


def _check_end(ended: Ended, said: str, began: Sequence[int]) -> list[str]:
    last = ended.calls[-1] if ended.calls else None
    match ended.status:
        case "completed":
            right = bool(began) and said == ended.whole and last is not None and last.fault == "none"
        case "failed":
            right = last is not None and last.fault in WITHIN
        case "UpstreamRefused":
            right = last is not None and last.fault == REFUSED
        case "UpstreamBusy":
            right = not began
        case _:
            right = last is not None and last.fault in BEFORE
    return [] if right else [f"it ended as {ended.status} after {[call.fault for call in ended.calls]}"]


def check_load(turns: int, further: int, seconds: float) -> list[str]:
    """Whether faults have multiplied the load: each server's turns have a budget of their own."""
    most = _BUDGET.share * turns + len(_NAMES) * (_BUDGET.reserve + seconds + 1)
    return [] if further <= most else [f"{further} further requests for {turns} turns, {most:.0f} at most"]
