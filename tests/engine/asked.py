"""Targets that answer as a test prepares it, without a socket, and a clock that a test turns."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from antiphon.engine.answers import Answer, Question
from antiphon.engine.attempts import Asking, Attempts, Retries
from antiphon.engine.budgets import BudgetPolicy
from antiphon.engine.health import HealthPolicy
from antiphon.engine.target import Target
from antiphon.engine.upstreams import Upstream
from antiphon.hub.turn import ModelCall, TurnRequest
from antiphon.providers import openai_chat
from antiphon.telemetry import Log
from antiphon.transport.replay import PreparedReply, ReplayTransport

__all__ = ["OK", "Clock", "Stage", "error", "question", "target"]

MODEL = "m"
_ONCE = Retries(per_target=0)
_STRICT = HealthPolicy(failures=3, ejection_s=10, longest_s=35)
_USUAL = BudgetPolicy()
OK = PreparedReply(blocks=(b"{}",))


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds


def error(status: int, code: str | None = None, **headers: str) -> PreparedReply:
    """An error as a server answers it."""
    body = orjson.dumps({"error": {"message": "no", "code": code}})
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return PreparedReply(status=status, headers={"content-type": "application/json", **named}, blocks=(body,))


def target(name: str, *prepared: PreparedReply, upstream: dict[str, Any] | None = None, **options: Any) -> Target:
    """A target with an upstream of its own, which answers with *prepared* and then not at all."""
    made = Upstream(
        name, openai_chat.provider({}), ReplayTransport(prepared), models=[MODEL], clock=Clock(), **(upstream or {})
    )
    return Target(made, MODEL, **options)


def transport_of(asked: Target) -> ReplayTransport:
    """What a target answers with."""
    assert isinstance(asked.way, ReplayTransport)
    return asked.way


def question(asked: Target, *, stream: bool = False) -> Question:
    """Any question to a target."""
    call = ModelCall(
        model=asked.model,
        account=asked.upstream.account,
        items=(),
        input_start=0,
        request=TurnRequest(model="alias"),
        stream=stream,
    )
    return Question(target=asked, call=call, request=asked.upstream.provider.encode(call))


@dataclass
class Stage:
    """
    What all turns of a test share.

    Attributes:
        slept_s: The pauses that were made.
        log: What was written.
    """

    retries: Retries = _ONCE
    health: HealthPolicy = _STRICT
    budget: BudgetPolicy = _USUAL
    clock: Clock = field(default_factory=Clock)
    slept_s: list[float] = field(default_factory=list)
    log: io.StringIO = field(default_factory=io.StringIO)

    def __post_init__(self) -> None:
        self.attempts = Attempts(
            self.retries,
            health=self.health,
            budget=self.budget,
            clock=self.clock,
            chance=lambda: 0.0,
            sleep=self._sleep,
            log=Log("info", stream=self.log),
        )

    async def _sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.clock.advance(seconds)

    async def ask(self, *targets: Target, stream: bool = False) -> tuple[str, Asking]:
        """Who answered a turn, whose answer is read to its end; and how it went."""
        answer, asking = await self.begin(targets, stream=stream)
        answer.ended()
        await answer.close()
        return answer.target.upstream.name, asking

    async def begin(self, targets: Sequence[Target], *, stream: bool = False) -> tuple[Answer, Asking]:
        """The answer to a turn, still open; and how it went."""
        asking = self.attempts.asking(targets)

        async def put(asked: Target) -> Answer:
            return await asking.send(question(asked, stream=stream))

        return await asking.first(put), asking

    async def fail(self, *targets: Target, stream: bool = False) -> tuple[Exception, Asking]:
        """How a turn fails that nobody answers; and how it went."""
        asking = self.attempts.asking(targets)

        async def put(asked: Target) -> Answer:
            return await asking.send(question(asked, stream=stream))

        try:
            await asking.first(put)
        except Exception as fault:  # noqa: BLE001 - the test says which it has to be
            return fault, asking
        raise AssertionError("somebody answered")
