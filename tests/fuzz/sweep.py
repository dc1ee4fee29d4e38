"""
Asks one gateway after the other hostile requests, and looks at every answer.

What has to hold: exactly one answer; never a 5xx, because nothing behind the gateway fails; an error is the envelope of
its path, OpenAI's or that of Messages, with the request's id; anything else is what its Content-Type says; no line of
level error in the log; and the process does not grow.
"""

from __future__ import annotations

import gc
import io
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import orjson

from antiphon import InMemorySessionStore
from antiphon.telemetry import Log
from tests.fuzz.requests import Request, RequestMaker
from tests.support.asgi_client import Answer, ask
from tests.support.ready_upstream import ready_gateway

__all__ = ["Report", "sweep", "violation"]

# A gateway keeps what it stored; a new one now and then keeps that apart from what would be a leak.
_PER_GATEWAY = 5_000
_MOST_VIOLATIONS = 20
_MESSAGE_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


@dataclass
class Report:
    """
    What a sweep found.

    Attributes:
        statuses: How often each was answered.
        peaks: The process's largest size in bytes after each gateway.
    """

    seed: int
    count: int = 0
    took_s: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    peaks: list[int] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        statuses = ", ".join(f"{count} x {status}" for status, count in sorted(self.statuses.items()))
        sizes = f"{self.peaks[0] >> 20} to {self.peaks[-1] >> 20} MiB" if self.peaks else "unknown"
        return (
            f"{self.count} requests, seed {self.seed}: {len(self.violations)} violations; {statuses}; "
            f"{self.count / max(self.took_s, 1e-9):.0f} requests/s; size {sizes}"
        )


async def sweep(*, count: int, seed: int, say: Callable[[str], None] = lambda _: None) -> Report:
    """
    Ask *count* requests.

    Args:
        say: Told about the progress.
    """
    report = Report(seed)
    maker = RequestMaker(seed)
    began = time.monotonic()
    while report.count < count and len(report.violations) < _MOST_VIOLATIONS:
        await _ask_one_gateway(maker, min(_PER_GATEWAY, count - report.count), report)
        gc.collect()
        report.peaks.append(_peak_bytes())
        report.took_s = time.monotonic() - began
        say(str(report))
    # The first gateways fill caches and pools; after them nothing may add up.
    if len(report.peaks) > 4 and report.peaks[-1] > 1.25 * report.peaks[3]:
        report.violations.append(f"the process grew from {report.peaks[3]} to {report.peaks[-1]} bytes")
    return report


async def _ask_one_gateway(maker: RequestMaker, count: int, report: Report) -> None:
    written = io.StringIO()
    gateway, _ = ready_gateway(InMemorySessionStore(), log=Log("warning", stream=written))
    async with gateway:
        app = gateway.asgi()
        for _ in range(count):
            request = maker.make()
            answer = await ask(
                app, request.method, request.target, headers=request.headers, chunks=_chunks(request.body)
            )
            report.count += 1
            report.statuses[answer.status] += 1
            found = violation(request, answer)
            if found is not None:
                report.violations.append(f"{found}: {request!r} was answered {answer!r}"[:3000])
    if " level=error " in written.getvalue():
        report.violations.append(f"the log has errors: {written.getvalue()[:3000]}")


def _chunks(body: bytes) -> list[bytes]:
    return [body[start : start + 500] for start in range(0, len(body), 500)] or [b""]


def violation(request: Request, answer: Answer) -> str | None:
    """What is wrong with an answer; None if nothing is."""
    if answer.starts != 1:
        return f"{answer.starts} answers"
    if not 200 <= answer.status < 500:
        return f"status {answer.status}"
    if not answer.headers.get("x-request-id", "").startswith("req_"):
        return "no request id"
    if request.method == "HEAD":
        return "a body for HEAD" if answer.body else None
    try:
        if answer.status >= 400:
            assert _message(request, answer)
        elif answer.headers["content-type"] == "application/json":
            orjson.loads(answer.body)
        elif answer.headers["content-type"].startswith("text/event-stream"):
            assert answer.body.endswith(_MESSAGE_STOP if _is_messages(request) else b"data: [DONE]\n\n")
    except (AssertionError, KeyError, orjson.JSONDecodeError) as error:
        return f"not an answer of its kind ({type(error).__name__} {error})"
    return None


def _is_messages(request: Request) -> bool:
    path = request.target.partition("?")[0]
    return path == "/v1/messages" or path.startswith("/v1/messages/")


def _message(request: Request, answer: Answer) -> str:
    """What an error says, in the envelope that its path has."""
    if not _is_messages(request):
        return str(answer.error["message"])
    envelope = answer.json
    assert set(envelope) == {"type", "error", "request_id"}
    assert envelope["request_id"] == answer.headers["x-request-id"]
    return str(envelope["error"]["message"])


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
