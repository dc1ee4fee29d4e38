"""The ways to interfere with a background turn that a client, or its model, has."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.sweeps.client import Answer, Streamed
from tests.sweeps.stage import Stage
from tests.sweeps.upstream import MODEL, TOOLS, Plan

__all__ = ["ALWAYS_SHOWN", "KINDS", "PROCESS_KINDS", "Abort"]

# What happens to the whole process happens to all turns that are under way in it.
PROCESS_KINDS = ("kill", "terminate")

# Of a stream whose model is silent: created and queued.
ALWAYS_SHOWN = 2


@dataclass(eq=False)
class Abort:
    """
    One turn and what is done to it.

    Attributes:
        stage: After so many events of its stream.
        conversation: In which it runs, or None.
        readers: What each reader has been shown.
        told: Responses by which somebody was told how it ended.
        gone: Somebody was told that it is deleted.
        cancelled: Somebody asked for its end.
        flaws: What was answered wrongly meanwhile.
    """

    marker: str
    kind: str
    stage: int
    plan: Plan
    conversation: str | None = None
    response_id: str | None = None
    readers: list[Streamed] = field(default_factory=list)
    told: list[Any] = field(default_factory=list)
    gone: bool = False
    cancelled: bool = False
    flaws: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.marker}: {self.kind} after {self.stage} events of {self.plan.shape}"

    @property
    def text(self) -> str:
        """Its input."""
        return f"{self.marker} speaks"

    @property
    def request(self) -> dict[str, Any]:
        """Its body, without the stream."""
        place = {} if self.conversation is None else {"conversation": self.conversation}
        return {"model": MODEL, "input": self.text, "background": True, "tools": TOOLS, **place}

    @property
    def path(self) -> str:
        """Of its response."""
        return f"/responses/{self.response_id}"

    @property
    def allowed(self) -> frozenset[str]:
        """The ends that it may come to."""
        if self.kind in PROCESS_KINDS:
            return frozenset({self.plan.status, "failed"})
        if self.kind == "stall and cancel":
            return frozenset({"cancelled"})
        return frozenset({self.plan.status, "cancelled"} if self.cancelled else {self.plan.status})

    @property
    def came_in_time(self) -> bool:
        """Whether the turn had not ended, as far as its client knew, when it was interfered with."""
        return (
            self.kind == "drop"
            or self.plan.stall_after is not None
            or not self.readers
            or self.readers[0].terminal is None
        )

    async def follow(self, stage: Stage, method: str, path: str, body: object = None, *, frames: int | None) -> None:
        """Read a stream of it; whatever is shown counts, also if the gateway dies."""
        reader = Streamed()
        self.readers.append(reader)
        await stage.client.stream(method, path, body, frames=frames, into=reader)
        self.response_id = self.response_id or reader.response_id
        if reader.status not in (0, 200):
            self.flaws.append(f"{self.name}: its stream was refused with {reader.status}: {reader.body}")
        if reader.terminal is not None:
            self.told.append(reader.terminal)

    async def queue(self, stage: Stage) -> None:
        """Begin it without a stream."""
        answer = await stage.client.call("POST", "/responses", self.request)
        if answer.status != 200:
            raise AssertionError(f"{self.name}: refused with {answer.status}: {answer.body}")
        self.response_id = answer.body["id"]

    async def reach(self, stage: Stage) -> None:
        """Follow it as far as its stage, and hang up."""
        await self.queue(stage)
        if self.stage:
            await self.follow(stage, "GET", f"{self.path}?stream=true", frames=self.stage)

    async def cancel(self, stage: Stage) -> None:
        """Ask for its end, and take in the answer."""
        self.cancelled = True
        answer = await stage.client.call("POST", f"{self.path}/cancel")
        if answer.status == 200:
            self.told.append(answer.body)
            self._expect(answer, 200, answer.body["status"] == "cancelled")
        else:
            self._expect(answer, 400, "Cannot cancel a" in str(answer.body["error"]["message"]))

    async def delete(self, stage: Stage) -> None:
        """Try to delete it, and take in the answer."""
        answer = await stage.client.call("DELETE", self.path)
        self.gone = answer.status == 200
        in_flight = answer.status == 400 and "in-flight" in answer.body["error"]["message"]
        self._expect(answer, answer.status, self.gone or in_flight)

    def _expect(self, answer: Answer, status: int, fits: bool) -> None:
        if answer.status != status or not fits:
            self.flaws.append(f"{self.name}: answered with {answer.status}: {answer.body}")


async def _hang_up(abort: Abort, stage: Stage) -> None:
    body = {**abort.request, "stream": True}
    await abort.follow(stage, "POST", "/responses", body, frames=max(abort.stage, 1))


async def _hang_up_a_follower(abort: Abort, stage: Stage) -> None:
    await abort.reach(stage)


async def _cancel(abort: Abort, stage: Stage) -> None:
    await abort.reach(stage)
    await abort.cancel(stage)


async def _cancel_twice(abort: Abort, stage: Stage) -> None:
    await abort.reach(stage)
    follower = asyncio.create_task(abort.follow(stage, "GET", f"{abort.path}?stream=true", frames=None))
    await asyncio.gather(abort.cancel(stage), abort.cancel(stage))
    await follower


async def _delete(abort: Abort, stage: Stage) -> None:
    await abort.reach(stage)
    await abort.delete(stage)


async def _follow_to_the_end(abort: Abort, stage: Stage) -> None:
    body = {**abort.request, "stream": True}
    await abort.follow(stage, "POST", "/responses", body, frames=None)


async def _outlast_the_drain(abort: Abort, stage: Stage) -> None:
    """Nobody may follow a turn that is still silent when the drain ends: the server would complain about the reader."""
    if abort.plan.stall_after is None:
        await _follow_to_the_end(abort, stage)
    else:
        await abort.reach(stage)


# The stage of a drop is the model's: after so many of its events.
KINDS: dict[str, Callable[[Abort, Stage], Awaitable[None]]] = {
    "hang up": _hang_up,
    "hang up a follower": _hang_up_a_follower,
    "cancel": _cancel,
    "cancel twice": _cancel_twice,
    "delete": _delete,
    "drop": _follow_to_the_end,
    "stall and cancel": _cancel,
    "kill": _follow_to_the_end,
    "terminate": _outlast_the_drain,
}
