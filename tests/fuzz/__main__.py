"""``python -m tests.fuzz --count 1000000 --seed 7``: exit code 0 only if nothing was answered as it should not be."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys

from tests.fuzz.sweep import sweep


def main() -> int:
    """Run a sweep. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=200_000, help="how many requests")
    parser.add_argument("--seed", type=int, help="repeats a sweep's requests")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else secrets.randbelow(1_000_000)
    report = asyncio.run(sweep(count=options.count, seed=seed, say=lambda line: print(line, flush=True)))
    for violation in report.violations:
        print(f"VIOLATION {violation}", file=sys.stderr)
    print(report)
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
