"""``python -m tests.faults writes --seed 7``: exit code 0 only if nothing was wrong."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
from collections.abc import Callable

from tests.faults import corruption, syscalls, writes
from tests.sweeps.report import Report


def main() -> int:
    """Run a sweep in a temporary folder. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("name", choices=("writes", "corruption", "syscalls"))
    parser.add_argument("--count", type=int, help="how many points of each kind, or bytes; for writes, all if left out")
    parser.add_argument("--mode", choices=writes.MODES, action="append", help="of writes, only this; may be repeated")
    parser.add_argument("--seed", type=int, help="repeats a sweep's choices; the scheduler's are its own")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else secrets.randbelow(1_000_000)
    print(f"seed {seed}", flush=True)
    report = _swept(options, seed, lambda line: print(line, flush=True))
    for violation in report.violations:
        print(f"VIOLATION {violation}", file=sys.stderr)
    print(report)
    return 1 if report.violations else 0


def _swept(options: argparse.Namespace, seed: int, say: Callable[[str], None]) -> Report:
    match options.name:
        case "writes":
            return writes.sweep(seed=seed, count=options.count, modes=options.mode or writes.MODES, say=say)
        case "corruption":
            return asyncio.run(corruption.sweep(count=options.count or 2000, seed=seed, say=say))
        case _:
            return syscalls.sweep(count=options.count or 40, seed=seed, say=say)


if __name__ == "__main__":
    sys.exit(main())
