"""What a turn says, in the hub's words, and how OpenAI's own client reads what chat makes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import httpx2
from openai import OpenAI

from antiphon.hub import events as ev
from antiphon.hub.events import Event, OtherEvent
from antiphon.hub.format import DialectTurn
from antiphon.hub.items import JsonObject
from antiphon.hub.response import opening_response, render
from antiphon.hub.turn import TurnRequest
from antiphon.hub.usage import Usage
from antiphon.streams.accumulator import Accumulator
from antiphon.streams.assembler import Assembler
from antiphon.streams.order import OrderCheck
from tests.streams.fixed_ids import FAMILY, counting_ids

__all__ = [
    "HEX",
    "LOGPROB",
    "USAGE",
    "Said",
    "Script",
    "client",
    "failed",
    "logging_turn",
    "refusing_client",
    "say",
    "turn",
]

HEX = "0123456789abcdef00665ef2d2a1b2c3d4e5f60718293a4b5c"
USAGE = Usage(input_tokens=11, cached_tokens=3, cache_write_tokens=2, output_tokens=7, reasoning_tokens=4)
LOGPROB = {"token": "Hi", "bytes": [72, 105], "logprob": -0.5, "top_logprobs": []}

Script = Callable[[Assembler], None]


class Said(NamedTuple):
    """A turn: every event of its stream, and the response at its end."""

    events: list[Event | OtherEvent]
    response: JsonObject


def turn(*, usage_in_stream: bool = True, obfuscate: bool = False, **request: Any) -> DialectTurn:
    """A request of which only what is named here matters."""
    return DialectTurn(
        request=TurnRequest(model="m", include_obfuscation=obfuscate, **request), usage_in_stream=usage_in_stream
    )


def logging_turn() -> DialectTurn:
    """A request for log probabilities."""
    return turn(include=frozenset({"message.output_text.logprobs"}))


def say(
    script: Script,
    *,
    status: Literal["completed", "incomplete"] = "completed",
    reason: str | None = None,
    usage: Usage | None = USAGE,
    tier: str | None = None,
    model: str = "m",
) -> Said:
    """A turn that says what *script* tells the assembler, in the order that all streams keep."""
    opening = opening_response(
        TurnRequest(model="m"), id=f"resp_{HEX}", created_at=1_700_000_000, model=model, conversation_id=None
    )
    assembler = Assembler(counting_ids(), FAMILY)
    script(assembler)
    assembler.end(status=status, incomplete_reason=reason, usage=usage, model=None, service_tier=tier)
    said = [event for event in assembler.take() if not isinstance(event, ev.ReplyEnd)]
    accumulator = Accumulator()
    accumulator.feed(said)
    response = render(
        opening,
        status=status,
        output=accumulator.output(),
        usage=usage,
        incomplete_reason=reason,
        completed_at=1_700_000_001,
        service_tier=tier,
    )
    events = [ev.ResponseCreated(opening), ev.ResponseInProgress(opening), *said, ev.terminal_event(response)]
    OrderCheck().feed(events)
    return Said(events, response)


def failed(code: str, message: str) -> list[Event | OtherEvent]:
    """A turn that began to speak and then failed."""
    begun = say(lambda said: said.text("Hel"))
    response = render(begun.events[0].response, status="failed", output=[], error={"code": code, "message": message})  # type: ignore[union-attr]
    return [*begun.events[:-1], ev.ResponseFailed(response)]


def client(body: bytes, *, stream: bool, strict: bool = True) -> OpenAI:
    """OpenAI's client, strict about types unless told otherwise, for whom the server answers *body* to everything."""
    content_type = "text/event-stream" if stream else "application/json"

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": content_type}, content=body)

    return OpenAI(
        api_key="none",
        base_url="http://127.0.0.1/v1",
        max_retries=0,
        http_client=httpx2.Client(transport=httpx2.MockTransport(answer)),
        _strict_response_validation=strict,
    )


def refusing_client(status: int, body: bytes) -> OpenAI:
    """OpenAI's client, for whom the server answers this error to everything."""
    transport = httpx2.MockTransport(lambda _: httpx2.Response(status, content=body))
    return OpenAI(
        api_key="none", base_url="http://127.0.0.1/v1", max_retries=0, http_client=httpx2.Client(transport=transport)
    )
