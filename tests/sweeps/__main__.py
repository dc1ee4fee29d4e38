"""``python -m tests.sweeps aborts --count 1000 --seed 7``: exit code 0 only if nothing was wrong."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import tempfile
from pathlib import Path

from tests.sweeps import aborts, concurrency, idempotency, restarts, resume, routing

SWEEPS = {
    "aborts": (aborts.sweep, 1000),
    "resume": (resume.sweep, 1000),
    "idempotency": (idempotency.sweep, 500),
    "concurrency": (concurrency.sweep, 200),
    "restarts": (restarts.sweep, 200),
    "routing": (routing.sweep, 2000),
}


def main() -> int:
    """Run a sweep in a temporary folder. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.sweeps", description=__doc__)
    parser.add_argument("name", choices=SWEEPS)
    parser.add_argument("--count", type=int, help="how many aborts, resumptions, keys, clients or turns")
    parser.add_argument("--seed", type=int, help="repeats a sweep's choices; the scheduler's are its own")
    options = parser.parse_args()
    sweep, usual = SWEEPS[options.name]
    seed = options.seed if options.seed is not None else secrets.randbelow(1_000_000)
    with tempfile.TemporaryDirectory(prefix=f"antiphon-{options.name}-") as folder:
        report = asyncio.run(
            sweep(Path(folder), count=options.count or usual, seed=seed, say=lambda line: print(line, flush=True))
        )
    for violation in report.violations:
        print(f"VIOLATION {violation}", file=sys.stderr)
    print(report)
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
