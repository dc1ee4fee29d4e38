"""
Whether an id that another tenant has takes longer to refuse than one that nobody has.

Both groups of ids are minted by the same factory, in turns, in the same moments: a group that is older, or of another
shape, differs for reasons of its own. They are asked for in random order, with the garbage collector off, after some
hundreds that are not counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from antiphon.sessions.store import SessionStore
from tests.gateway.conftest import serving
from tests.isolation.stage import Stage
from tests.isolation.welch import LIMIT, welch
from tests.support.scripted_upstream import MODEL

__all__ = ["OPERATIONS", "Ask", "Measure", "Timing", "differs", "measuring"]

_IDS = 200
_WARM_UP = 300

Ask = Callable[[str, str, object], Awaitable[int]]


@dataclass(frozen=True)
class Measure:
    """
    An operation that is refused.

    Attributes:
        kind: Of the ids that it is tried with.
        status: Of the refusal.
    """

    method: str
    path: str
    kind: str
    status: int
    body: Mapping[str, Any] | None = None

    def request(self, an_id: str) -> tuple[str, str, object]:
        """What is asked."""
        body = None if self.body is None else {**self.body, "previous_response_id": an_id}
        return self.method, self.path.format(an_id), body


OPERATIONS: Mapping[str, Measure] = {
    "GET response": Measure("GET", "/v1/responses/{}", "response", 404),
    "GET conversation": Measure("GET", "/v1/conversations/{}", "conversation", 404),
    "POST previous_response_id": Measure("POST", "/v1/responses", "response", 400, {"model": MODEL, "input": "x"}),
    "DELETE response": Measure("DELETE", "/v1/responses/{}", "response", 404),
}


@dataclass
class Timing:
    """
    Measures, with the ids of both groups.

    Attributes:
        foreign, missing: Ids by kind.
        surfaces: Ways to ask.
    """

    surfaces: dict[str, Ask] = field(default_factory=dict)
    foreign: dict[str, list[str]] = field(default_factory=lambda: {"response": [], "conversation": []})
    missing: dict[str, list[str]] = field(default_factory=lambda: {"response": [], "conversation": []})

    async def t(self, measure: Measure, ask: Ask, *, samples: int) -> float:
        """Welch's t of foreign against missing ids, over so many samples of both together."""
        groups: tuple[list[float], list[float]] = ([], [])
        order = [number % 2 for number in range(samples + _WARM_UP)]
        random.shuffle(order)
        pools = (self.foreign[measure.kind], self.missing[measure.kind])
        gc.collect()
        gc.disable()
        try:
            for number, group in enumerate(order):
                await asyncio.sleep(0)  # a request that is refused waits for nothing: let others have a turn
                request = measure.request(random.choice(pools[group]))  # noqa: S311 - not for secrets
                begun = time.perf_counter_ns()
                status = await ask(*request)
                took = time.perf_counter_ns() - begun
                assert status == measure.status, status
                if number >= _WARM_UP:
                    groups[group].append(float(took))
        finally:
            gc.enable()
        return welch(*groups)


async def differs(timing: Timing, measure: Measure, ask: Ask, *, samples: int) -> bool:
    """
    Whether both groups differ: beyond the limit twice, the second time on other samples, and in the same direction.

    With equal means one look is beyond the limit in 7 cases of a million. That holds for independent samples; on a busy
    machine neighbours are alike, and tails are fatter. Even if one look were wrong once in a hundred cases, both would
    be, in one direction, once in 20,000: below one in 10,000.
    """
    first = await timing.t(measure, ask, samples=samples)
    if abs(first) < LIMIT:
        return False
    second = await timing.t(measure, ask, samples=samples)
    return abs(second) >= LIMIT and first * second > 0


@contextlib.asynccontextmanager
async def measuring(
    folder: Path, *, around: Callable[[SessionStore], SessionStore] = lambda store: store
) -> AsyncIterator[Timing]:
    """A gateway with ids of both groups, in this process and over the loopback interface, while the block runs."""
    async with Stage.open(folder, around=around) as stage:
        timing = Timing()
        ids = stage.gateway.ids
        for _ in range(_IDS):
            made = await stage.done(stage.b, "POST", "/v1/responses", {"model": MODEL, "input": "x"})
            timing.foreign["response"].append(made["id"])
            timing.missing["response"].append(ids.response(ids.family()))
            body = {"items": [{"role": "user", "content": "x"}]}
            made = await stage.done(stage.b, "POST", "/v1/conversations", body)
            timing.foreign["conversation"].append(made["id"])
            timing.missing["conversation"].append(ids.conversation(ids.family()))

        async def within(method: str, target: str, body: object) -> int:
            return (await stage.ask(method, target, body, key=stage.a.key)).status

        keys = stage.gateway.api_keys()
        async with serving(stage.gateway, stage.upstream, authenticator=keys) as client:
            headers = {"authorization": f"Bearer {stage.a.key}", "content-type": "application/json"}

            async def over_loopback(method: str, target: str, body: object) -> int:
                data = None if body is None else orjson.dumps(body)
                url = client.base_url + target
                async with client.http.request(method, url, data=data, headers=headers) as answer:
                    await answer.read()
                    return answer.status

            timing.surfaces = {"in the process": within, "over loopback": over_loopback}
            yield timing
