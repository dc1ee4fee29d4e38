"""
Antiphon's benchmark: one table of what it costs, beside nginx passing the same bytes through in the same minutes.

    python -m benchmarks.run                    the whole table, about eight minutes
    python -m benchmarks.run --quick            about a minute
    python -m benchmarks.run --only post        one scenario
"""

from __future__ import annotations

import argparse
import functools
import gc
import os
import platform
import shlex
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import orjson
import uvloop

from benchmarks.bench import GATEWAY_COMMAND, QUICK, SMOKE, THOROUGH, Bench, Effort, Row
from benchmarks.history import history
from benchmarks.load import LoadFailed
from benchmarks.nginx import NginxMissing, start_nginx
from benchmarks.processes import Server, StartFailed, cores, pinned, raise_file_limit, start
from benchmarks.resources import memory, starting
from benchmarks.traffic import harness, one_call, paced, post, saturated, token_delay
from benchmarks.upstream import EVENTS_PER_WRITE

__all__ = ["SCENARIOS", "main", "table"]

Scenario = Callable[[Bench], Awaitable[list[Row]]]

SCENARIOS: Mapping[str, Scenario] = {
    "harness": harness,
    "post": post,
    "saturated": saturated,
    "paced-100": functools.partial(paced, streams=100),
    "paced-200": functools.partial(paced, streams=200),
    "paced-1000": functools.partial(paced, streams=1000, floor=None),
    "token-delay": token_delay,
    "one-call": one_call,
    "history": history,
    "memory": memory,
    "start": starting,
}
EFFORTS: Mapping[str, Effort] = {"thorough": THOROUGH, "quick": QUICK, "smoke": SMOKE}
NOT_QUICK = {"paced-1000"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table; 1 if a ratio is under its floor, 2 if there was nothing to measure with."""
    options = _parser().parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as directory:
            rows = uvloop.run(_measure(options, Path(directory)))
    except (NginxMissing, StartFailed, LoadFailed) as error:
        print(error, file=sys.stderr)
        return 2
    print(table(rows))
    if options.json is not None:
        options.json.write_bytes(orjson.dumps(_document(options, rows), option=orjson.OPT_INDENT_2))
    for row in filter(lambda row: row.doubtful, rows):
        print(
            f"{row.metric}: nginx used {row.nginx_busy:.0%} of its core; measure again when nothing else runs",
            file=sys.stderr,
        )
    under = [row for row in rows if options.fail_under is not None and _is_under(row, options.fail_under)]
    for row in under:
        print(f"{row.metric}: {row.ratio:.3f} of nginx, target {row.target}", file=sys.stderr)
    return 1 if under else 0


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| metric | unit | nginx | antiphon | ratio | target |", "|---|---|---:|---:|---:|---|"]
    for row in rows:
        figures = [_figure(row.nginx), _figure(row.antiphon), _figure(row.ratio)]
        lines.append(f"| {row.metric} | {row.unit} | {' | '.join(figures)} | {row.target} |")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    effort = parser.add_mutually_exclusive_group()
    effort.add_argument("--quick", dest="effort", action="store_const", const="quick", help="in about a minute")
    effort.add_argument("--smoke", dest="effort", action="store_const", const="smoke", help="only show that it runs")
    parser.set_defaults(effort="thorough")
    parser.add_argument("--only", choices=SCENARIOS, action="append", metavar="NAME", help=", ".join(SCENARIOS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows here")
    parser.add_argument(
        "--fail-under",
        type=float,
        nargs="?",
        const=1.0,
        metavar="SHARE",
        help="exit with 1 if a ratio to nginx is under SHARE of its target (1 if no SHARE is given)",
    )
    parser.add_argument("--no-gateway", action="store_true", help="measure nginx alone")
    parser.add_argument(
        "--gateway",
        type=shlex.split,
        default=list(GATEWAY_COMMAND),
        metavar="COMMAND",
        help="instead of `antiphon serve`",
    )
    parser.add_argument("--api-key", help="sent to the gateway as a bearer token")
    parser.add_argument(
        "--events-per-write", type=int, default=EVENTS_PER_WRITE, help="of the upstream's streams without pause"
    )
    return parser


async def _measure(options: argparse.Namespace, directory: Path) -> list[Row]:
    raise_file_limit()
    server_core, load_core = cores()
    rows: list[Row] = []
    with pinned(load_core), _bench(options, directory, server_core, load_core) as bench, _without_collector():
        for name in _chosen(options):
            print(f"{name} …", file=sys.stderr)
            rows += await SCENARIOS[name](bench)
    return rows


def _chosen(options: argparse.Namespace) -> list[str]:
    if options.only:
        return [name for name in SCENARIOS if name in options.only]
    return [name for name in SCENARIOS if options.effort != "quick" or name not in NOT_QUICK]


@contextmanager
def _bench(
    options: argparse.Namespace, directory: Path, server_core: int | None, load_core: int | None
) -> Iterator[Bench]:
    """All servers running; stopped in the end, whatever happens."""
    running: list[Server] = []
    try:
        command = [sys.executable, "-m", "benchmarks.upstream", "--events-per-write", str(options.events_per_write)]
        upstream = start(command, directory=directory / "upstream", core=load_core)
        running.append(upstream)
        proxy = start_nginx(upstream, directory / "nginx", server_core)
        running.append(proxy)
        bench = Bench(
            effort=EFFORTS[options.effort],
            directory=directory,
            upstream=upstream,
            proxy=proxy,
            gateway_command=options.gateway,
            api_key=options.api_key,
            server_core=server_core,
        )
        if not options.no_gateway:
            bench.gateway = bench.start_gateway()
            running.append(bench.gateway)
        yield bench
    finally:
        for server in reversed(running):
            server.stop()


@contextmanager
def _without_collector() -> Iterator[None]:
    """A collection in the load generator would show as the server's latency."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _is_under(row: Row, share: float) -> bool:
    return row.floor is not None and row.ratio is not None and row.ratio < share * row.floor


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"


def _document(options: argparse.Namespace, rows: Sequence[Row]) -> dict[str, object]:
    return {
        "effort": options.effort,
        "events_per_write": options.events_per_write,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "rows": [asdict(row) for row in rows],
    }


if __name__ == "__main__":
    sys.exit(main())
