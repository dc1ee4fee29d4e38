"""A gateway between a client and two upstreams: one that misbehaves, and one that does not."""

from __future__ import annotations

import io
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import trustme

from antiphon import Gateway, InMemorySessionStore, Target, upstream
from antiphon.engine.attempts import Retries
from antiphon.engine.turn import TurnPolicy
from antiphon.server.asgi import Edge
from antiphon.telemetry import Log
from tests.support.asgi_client import Answer, ask, post
from tests.transport.servers import Server, serving
from tests.upstream_faults.doing import CREDENTIAL, WHOLE, json_body
from tests.upstream_faults.fault import Fault

__all__ = ["BOTH", "FAULTY", "Stage", "events_of", "staged"]

FAULTY = "m"
"""The model of the upstream that misbehaves."""

BOTH = "both"
"""The same model, with the upstream that behaves behind it."""

_POLICY = TurnPolicy(
    max_response_bytes=4 * 1024 * 1024,
    retries=Retries(per_target=1, first_pause_s=0.001, longest_pause_s=0.05),
)


@dataclass(frozen=True)
class Stage:
    """
    What a test of a fault talks to.

    Attributes:
        faulty, healthy: The two upstreams.
        secrets: What no client may ever be shown.
        log: What the gateway has written: nothing, as no fault of an upstream is one of its own.
    """

    app: Edge
    faulty: Server
    healthy: Server
    secrets: tuple[bytes, ...]
    log: io.StringIO

    async def whole(self, model: str = FAULTY) -> Answer:
        """A turn as JSON."""
        return await self._turn(model, stream=False)

    async def streamed(self, model: str = FAULTY) -> Answer:
        """A turn as a stream."""
        return await self._turn(model, stream=True)

    async def stored(self) -> list[Any]:
        """Every response that the gateway has kept, the newest first, as it answers it."""
        listed = (await ask(self.app, "GET", "/v1/responses")).json["data"]
        return [(await ask(self.app, "GET", f"/v1/responses/{one['id']}")).json for one in listed]

    async def _turn(self, model: str, *, stream: bool) -> Answer:
        answer = await post(self.app, "/v1/responses", {"model": model, "input": "hi", "stream": stream})
        shown = answer.body + repr(answer.headers).encode()
        assert [secret for secret in self.secrets if secret in shown] == []
        assert self.log.getvalue() == ""
        return answer


@asynccontextmanager
async def staged(fault: Fault) -> AsyncIterator[Stage]:
    """The stage for one fault."""
    log = io.StringIO()
    async with (
        serving(fault.does, tls=_tls(fault)) as faulty,
        serving(json_body(WHOLE)) as healthy,
    ):
        bad = upstream(
            _place(fault, faulty), name="faulty", api_key=CREDENTIAL, models=[FAULTY], timeouts=fault.timeouts
        )
        good = upstream(healthy.base_url, name="healthy", models=["n"])
        gateway = Gateway(
            [bad, good],
            aliases={BOTH: [Target(bad, FAULTY), Target(good, "n")]},
            policy=_POLICY,
            log=Log("warning", stream=log),
        ).with_session_store(InMemorySessionStore())
        secrets = (CREDENTIAL[:12].encode(), b"127.0.0.1", b"10.1.2.3", b"node-7", b"localhost")
        try:
            yield Stage(gateway.asgi(), faulty, healthy, secrets, log)
        finally:
            await gateway.shutdown(0.0)


def events_of(answer: Answer) -> list[Any]:
    """The events of a stream, which has to be one: numbered without a gap, one of them terminal, and that the last."""
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"].startswith("text/event-stream")
    *frames, done, rest = answer.body.decode().split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    events = [orjson.loads(frame.split("\ndata: ", 1)[1]) for frame in frames]
    assert list(range(len(events))) == [event["sequence_number"] for event in events]
    ends = [event for event in events if event["type"].split(".")[1] in ("completed", "incomplete", "failed")]
    assert [events[-1]] == ends
    return events


def _place(fault: Fault, server: Server) -> str:
    match fault.at:
        case "http":
            return server.base_url
        case "https":
            return server.base_url.replace("http:", "https:")
        case "nowhere":
            with socket.create_server(("127.0.0.1", 0)) as free:
                return f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        case "no such name":
            return "http://nobody.invalid/v1"
        case "not a name":
            return f"http://{'x' * 70}.invalid/v1"


def _tls(fault: Fault) -> ssl.SSLContext | None:
    if fault.tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    names = {"stranger": "127.0.0.1", "other host": "elsewhere.test"}
    trustme.CA().issue_cert(names[fault.tls]).configure_cert(context)
    return context
