"""
What all scenarios share: the servers, how much effort to spend, and the row that a scenario yields.

The gateway and nginx run on one core and take turns; the upstream and the load generator have the other.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import orjson

from benchmarks.load import Result, Target, closed_loop
from benchmarks.nginx import start_nginx
from benchmarks.processes import Server, start

__all__ = ["GATEWAY_COMMAND", "QUICK", "SMOKE", "THOROUGH", "Bench", "Effort", "Row", "Run", "median_of", "turn"]

GATEWAY_COMMAND = (sys.executable, "-m", "antiphon", "serve")

LEAST_BUSY = 0.65  # the two halves of the harness keep nginx at 0.75 to 0.9 of a core when the machine is quiet

_TEXT = (
    "We left before dawn and followed the river down to the old bridge, where the road turns west. "
    "What should we have taken with us for a walk of three days, and what could have stayed at home? "
)


@dataclass(frozen=True, kw_only=True)
class Effort:
    """
    How long to measure.

    Attributes:
        rounds: How often each server has its turn; figures are medians over them.
        seconds: Of one run without pause.
        tokens: Of one paced stream; the Responses API wants at least 16.
        calls: One at a time.
        turns: The length of the longest conversation.
        samples: Of what is measured in single shots, such as starting.
        streams_divisor: The numbers of paced streams are divided by this.
    """

    rounds: int
    seconds: float
    tokens: int
    calls: int
    turns: int
    samples: int
    streams_divisor: int = 1


THOROUGH = Effort(rounds=5, seconds=3.0, tokens=200, calls=500, turns=1000, samples=5)
QUICK = Effort(rounds=2, seconds=1.0, tokens=75, calls=200, turns=100, samples=2)
SMOKE = Effort(rounds=1, seconds=0.05, tokens=16, calls=3, turns=12, samples=1, streams_divisor=20)


@dataclass(frozen=True, kw_only=True)
class Row:
    """
    One line of the table. A figure that there is not (nginx stores nothing) is None.

    Attributes:
        ratio: Antiphon to nginx, where that is what the target is about.
        target: The first target, in words.
        floor: The least *ratio* that meets the target; None if the target is no ratio to nginx.
        nginx_busy: The share of its core that it used.
        antiphon_busy: The same.
        saturating: Whether a server should have had all the work that it could do.
    """

    metric: str
    unit: str
    nginx: float | None = None
    antiphon: float | None = None
    ratio: float | None = None
    target: str = ""
    floor: float | None = None
    nginx_busy: float | None = None
    antiphon_busy: float | None = None
    saturating: bool = False

    @property
    def doubtful(self) -> bool:
        """
        Whether nginx had too little to do: something else ran on this machine, or the harness was too slow.

        How much a proxy reads at once depends on the pace, so that such a figure may be off by a factor.
        """
        return self.saturating and self.nginx_busy is not None and self.nginx_busy < LEAST_BUSY


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of the load generator and what the server under test used meanwhile."""

    result: Result
    cpu_s: float
    upstream_cpu_s: float


@dataclass(kw_only=True)
class Bench:
    """
    The running servers of one benchmark.

    Attributes:
        gateway_command: Without the options that :meth:`start_gateway` adds.
        api_key: Sent to the gateway, if it has been given keys.
        proxy: What the gateway is compared with.
        server_core: For the proxy and the gateway; None where the system does not pin.
    """

    effort: Effort
    directory: Path
    upstream: Server
    proxy: Server
    gateway: Server | None = None
    gateway_command: Sequence[str] = GATEWAY_COMMAND
    api_key: str | None = None
    server_core: int | None = None
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def direct(self) -> Target:
        """The upstream itself."""
        return _chat(self.upstream)

    def passed_through(self, proxy: Server | None = None) -> Target:
        """The upstream behind nginx."""
        return _chat(proxy or self.proxy)

    def responses(self, gateway: Server) -> Target:
        """The gateway's ``POST /v1/responses``."""
        headers = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        return Target(host=gateway.host, port=gateway.port, path="/v1/responses", headers=headers)

    def start_gateway(self, store: Path | None = None) -> Server:
        """A gateway of its own, on *store* or on a new one."""
        directory = self.directory / f"gateway-{next(self._numbers)}"
        options = [
            "--upstream",
            f"{self.upstream.url}/v1",
            "--store",
            f"sqlite:///{store or directory / 'antiphon.db'}",
        ]
        command = [*self.gateway_command, *options, "--port", "0"]
        return start(command, directory=directory, core=self.server_core)

    def start_proxy(self) -> Server:
        """One more nginx."""
        return start_nginx(self.upstream, self.directory / f"nginx-{next(self._numbers)}", self.server_core)

    async def run(
        self, server: Server, target: Target, body: bytes, *, connections: int, seconds: float, timed: bool = False
    ) -> Run:
        """Have *server* answer as in :func:`closed_loop` and measure what it uses."""
        cpu, upstream_cpu = server.cpu_s(), self.upstream.cpu_s()
        result = await closed_loop(target, body, connections=connections, seconds=seconds, timed=timed)
        return Run(result=result, cpu_s=server.cpu_s() - cpu, upstream_cpu_s=self.upstream.cpu_s() - upstream_cpu)

    async def compare(
        self, body: bytes, *, connections: int, seconds: float, timed: bool = False
    ) -> tuple[list[Run], list[Run]]:
        """Runs of nginx and of the gateway, taking turns, with the same bytes."""
        proxy: list[Run] = []
        gateway: list[Run] = []
        sides = [(self.proxy, self.passed_through(), proxy)]
        if self.gateway is not None:
            sides.append((self.gateway, self.responses(self.gateway), gateway))
        for _ in range(self.effort.rounds):
            for server, target, runs in sides:
                runs.append(await self.run(server, target, body, connections=connections, seconds=seconds, timed=timed))
        return proxy, gateway


def turn(*, model: str = "instant", tokens: int | None = None, previous: str | None = None) -> bytes:
    """
    A request of about 1 KB, streamed if *tokens* are given.

    The upstream reads only what both dialects have in common, so the same bytes go to nginx and to the gateway.
    """
    body: dict[str, object] = {"model": model, "input": (_TEXT * 5)[:900]}
    if tokens is not None:
        body |= {"stream": True, "max_output_tokens": tokens}
    if previous is not None:
        body["previous_response_id"] = previous
    return orjson.dumps(body)


def median_of(values: Sequence[float]) -> float | None:
    """The median, or None of nothing."""
    return median(values) if values else None


def _chat(server: Server) -> Target:
    return Target(host=server.host, port=server.port, path="/v1/chat/completions")
