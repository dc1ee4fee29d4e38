"""One of several equal model servers: each request fails in the way that was planned for it there, or is answered."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from tests.support.scripted_upstream import delta, finish

__all__ = ["BEFORE", "MODEL", "REFUSED", "WITHIN", "Called", "Ledger", "PlannedUpstream"]

MODEL = "planned-1"

# Faults before a byte of an answer, by status and headers; a status of 0 drops the connection.
BEFORE: Mapping[str, tuple[int, Mapping[str, str]]] = {
    "dropped": (0, {}),
    "server error": (500, {}),
    "overloaded": (503, {"retry-after-ms": "2"}),
    "rate limit": (429, {"retry-after-ms": "2"}),
    "long rate limit": (429, {"retry-after": "1"}),
    "wrong key": (401, {}),
}
REFUSED = "invalid request"
# Faults within an answer: how many of its words are said.
WITHIN: Mapping[str, int] = {"cut at once": 0, "cut after a word": 1, "cut before the end": 4}


@dataclass
class Called:
    """One request, in the order in which all servers were asked."""

    upstream: str
    marker: str
    fault: str
    began: bool = False
    said: str = ""


@dataclass
class Ledger:
    """
    What all servers were asked, and what they are to do.

    Attributes:
        plans: The fault for each request with a marker at a server, the next one first; then it is answered.
    """

    calls: list[Called] = field(default_factory=list)
    plans: MutableMapping[tuple[str, str], list[str]] = field(default_factory=dict)

    def of(self, marker: str) -> Sequence[Called]:
        """The requests of one turn."""
        return [call for call in self.calls if call.marker == marker]


class PlannedUpstream:
    """Use :meth:`serve`."""

    def __init__(self, name: str, ledger: Ledger) -> None:
        self.name = name
        self.url = ""
        self._ledger = ledger

    @classmethod
    @contextlib.asynccontextmanager
    async def serve(cls, name: str, ledger: Ledger) -> AsyncIterator[PlannedUpstream]:
        """A server on a free loopback port."""
        upstream = cls(name, ledger)
        application = web.Application()
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

    def words(self, marker: str) -> list[str]:
        """What it answers: words that no other server and no other turn has."""
        return [f"{self.name}-{marker}-{number} " for number in range(5)]

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        marker = body["messages"][-1]["content"].split(" ", 1)[0]
        planned = self._ledger.plans.get((self.name, marker)) or ["none"]
        call = Called(self.name, marker, planned.pop(0))
        self._ledger.calls.append(call)
        if call.fault in BEFORE:
            return await self._fail(request, call.fault)
        if call.fault == REFUSED:
            return _error(400, {})
        return await self._answer(request, call)

    async def _fail(self, request: web.Request, fault: str) -> web.StreamResponse:
        status, headers = BEFORE[fault]
        if status:
            return _error(status, headers)
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async def _answer(self, request: web.Request, call: Called) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        call.began = True
        await response.prepare(request)
        words = self.words(call.marker)
        for word in words[: WITHIN.get(call.fault, len(words))]:
            await response.write(delta(content=word))
            call.said += word
            await asyncio.sleep(0)
        if call.fault in WITHIN:
            assert request.transport is not None
            request.transport.close()
            return response
        await response.write(finish())
        await response.write_eof()
        return response


def _error(status: int, headers: Mapping[str, Any]) -> web.Response:
    return web.json_response({"error": {"message": "as planned", "code": None}}, status=status, headers=headers)
