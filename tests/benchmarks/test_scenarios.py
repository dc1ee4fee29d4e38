"""Every scenario of the benchmark runs, with as little load as there can be. No figure is asserted."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from benchmarks.bench import SMOKE, Bench, Row, turn
from benchmarks.load import LoadFailed, Target, check_stream, closed_loop
from benchmarks.nginx import NginxMissing, find_nginx, start_nginx
from benchmarks.processes import Server, start
from benchmarks.run import SCENARIOS, table

HAS_NGINX = find_nginx() is not None
HAS_GATEWAY = importlib.util.find_spec("antiphon.__main__") is not None
NEEDS_NGINX = {"memory", "start"}  # they start servers of their own


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start(
        [sys.executable, "-m", "benchmarks.upstream"], directory=tmp_path_factory.mktemp("upstream"), core=None
    )
    yield server
    server.stop()


@pytest.fixture(scope="module")
def bench(upstream: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The servers of a benchmark. Without an nginx on this machine the upstream passes for one."""
    directory = tmp_path_factory.mktemp("bench")
    with ExitStack() as running:
        proxy = upstream
        if HAS_NGINX:
            proxy = start_nginx(upstream, directory / "nginx", None)
            running.callback(proxy.stop)
        bench = Bench(effort=SMOKE, directory=directory, upstream=upstream, proxy=proxy)
        if HAS_GATEWAY:
            bench.gateway = bench.start_gateway()
            running.callback(bench.gateway.stop)
        yield bench


@pytest.fixture
def direct(upstream: Server) -> Target:
    return Target(host=upstream.host, port=upstream.port, path="/v1/chat/completions")


@pytest.mark.parametrize("name", SCENARIOS)
async def test_scenario_runs(bench: Bench, name: str) -> None:
    """A scenario yields rows that have a figure for whatever it measured."""
    if name in NEEDS_NGINX and not HAS_NGINX:
        with pytest.raises(NginxMissing, match="install"):
            await SCENARIOS[name](bench)
        return
    rows = await SCENARIOS[name](bench)
    assert rows
    assert all(row.nginx is not None or row.antiphon is not None for row in rows)


@pytest.mark.parametrize("model", ["instant", "paced-500"])
async def test_upstream_streams_what_was_asked_for(direct: Target, model: str) -> None:
    """A stream of the upstream holds exactly the tokens that the request names, at any speed."""
    await check_stream(direct, turn(model=model, tokens=7), 7)


async def test_a_short_stream_is_noticed(direct: Target) -> None:
    """A stream with fewer tokens than expected fails the check."""
    with pytest.raises(LoadFailed, match="held 7"):
        await check_stream(direct, turn(tokens=7), 8)


async def test_paced_tokens_are_timed(direct: Target) -> None:
    """Each paced token says when it was sent, and the load generator reads it once."""
    result = await closed_loop(direct, turn(model="paced-500", tokens=5), connections=3, seconds=0, timed=True)
    assert len(result.delays_ns) == 15
    assert min(result.delays_ns) > 0


async def test_an_error_fails_the_run(upstream: Server) -> None:
    """An answer that is not 200 ends the run with what was answered."""
    nowhere = Target(host=upstream.host, port=upstream.port, path="/nowhere")
    with pytest.raises(LoadFailed, match="No such path"):
        await closed_loop(nowhere, turn(), connections=2, seconds=0)


async def test_a_closed_loop_keeps_to_its_limit(direct: Target) -> None:
    """No more requests are sent than the limit says."""
    result = await closed_loop(direct, turn(), connections=2, seconds=60, limit=11)
    assert 11 == result.answers == len(result.latencies_s)


def test_table_shows_missing_figures() -> None:
    """A figure that was not measured is a dash."""
    row = Row(metric="POST", unit="per CPU-second", nginx=1234.5, target="≥ 0.08")
    assert table([row]).splitlines()[-1] == "| POST | per CPU-second | 1,234 | - | - | ≥ 0.08 |"
