"""
A Chat Completions server that answers as planned: what is asked is known by the first word of the last user message.

So a sweep can say for each of its turns what the model does, and see how often it was asked.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from tests.support.scripted_upstream import delta, finish, whole

__all__ = ["MODEL", "SHAPES", "TOOLS", "MarkedUpstream", "Plan"]

MODEL = "marked-1"
TOOLS = [{"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}, "strict": False}]

_CALL = [{"index": 0, "id": "up_0", "type": "function", "function": {"name": "look", "arguments": '{"at": "'}}]
_CALL_END = [{"index": 0, "function": {"arguments": 'ü"}'}}]

# What a model may say, event by event, and how a turn of it ends.
SHAPES: dict[str, tuple[Sequence[bytes], str]] = {
    "text": ((*(delta(content=f"w{number} é😀") for number in range(6)), finish()), "completed"),
    "reasoning": (
        (delta(reasoning_content="Let me "), delta(reasoning_content="see."), delta(content="42"), finish()),
        "completed",
    ),
    "calls": (
        (delta(content="Hm."), delta(tool_calls=_CALL), delta(tool_calls=_CALL_END), finish("tool_calls")),
        "completed",
    ),
    "refusal": ((delta(refusal="I would "), delta(refusal="rather not."), finish()), "completed"),
    "cut short": ((delta(content="Never "), delta(content="en"), finish("length")), "incomplete"),
    "broken": ((delta(content="Half "), delta(content="a "), delta(content="word")), "failed"),
}


@dataclass(frozen=True)
class Plan:
    """
    How one turn is answered.

    Attributes:
        pause_s: Before each event.
        drop_after: The connection is dropped after so many events.
        stall_after: Nothing comes after so many events, until the gateway hangs up.
    """

    shape: str = "text"
    pause_s: float = 0.01
    drop_after: int | None = None
    stall_after: int | None = None

    @property
    def status(self) -> str:
        """How the turn ends if nobody interferes."""
        return "failed" if self.drop_after is not None else SHAPES[self.shape][1]


class MarkedUpstream:
    """
    Use :meth:`serve`.

    Attributes:
        plans: By marker; without one it is a short text.
        calls: How often each marker was asked.
    """

    def __init__(self) -> None:
        self.url = ""
        self.plans: dict[str, Plan] = {}
        self.calls: Counter[str] = Counter()

    @classmethod
    @contextlib.asynccontextmanager
    async def serve(cls) -> AsyncIterator[MarkedUpstream]:
        """A server on a free loopback port."""
        upstream = cls()
        application = web.Application()
        application.router.add_get("/v1/models", upstream._models)
        application.router.add_post("/v1/chat/completions", upstream._complete)
        runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            upstream.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
            yield upstream
        finally:
            await runner.cleanup()

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": MODEL, "object": "model"}]})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        marker = _marker(body["messages"])
        self.calls[marker] += 1
        plan = self.plans.get(marker, Plan())
        if not body.get("stream"):
            await asyncio.sleep(plan.pause_s)
            return web.json_response(whole(f"An answer to {marker}"))
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        with contextlib.suppress(ConnectionError):  # the gateway hung up or was killed: there is nobody to tell
            await response.prepare(request)
            await _say(response, request, plan)
        return response


async def _say(response: web.StreamResponse, request: web.Request, plan: Plan) -> None:
    events, status = SHAPES[plan.shape]
    for number, event in enumerate(events):
        await asyncio.sleep(plan.pause_s)
        if number == plan.drop_after:
            break
        if number == plan.stall_after:
            await asyncio.Event().wait()  # until the gateway hangs up, which cancels us
        await response.write(event)
    else:
        if status != "failed":
            await response.write_eof()
            return
    assert request.transport is not None
    request.transport.close()


def _marker(messages: Sequence[dict[str, Any]]) -> str:
    content = next(message["content"] for message in reversed(messages) if message["role"] == "user")
    text = content if isinstance(content, str) else "".join(part["text"] for part in content)
    return text.split(" ", 1)[0]
