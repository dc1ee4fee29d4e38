"""``python -m tests.kills --count 300 --seed 7``: exit code 0 only if nothing was lost, changed or half there."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import tempfile
from pathlib import Path

from tests.kills.sweep import sweep


def main() -> int:
    """Run a sweep in a temporary folder. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="how many kills")
    parser.add_argument("--seed", type=int, help="repeats a sweep's choices; the scheduler's are its own")
    parser.add_argument("--lanes", type=int, default=2, help="how many gateways, each with a file of its own")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else secrets.randbelow(1_000_000)
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="antiphon-kills-") as folder:
        report = asyncio.run(
            sweep(
                Path(folder),
                count=options.count,
                seed=seed,
                lanes=options.lanes,
                say=lambda line: print(line, flush=True),
            )
        )
    for violation in report.violations:
        print(f"VIOLATION {violation}", file=sys.stderr)
    print(report)
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
