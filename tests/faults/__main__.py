"""``python -m tests.faults writes --seed 7``: exit code 0 only if nothing was wrong."""

from __future__ import annotations

import argparse
import secrets
import sys

from tests.faults import writes


def main() -> int:
    """Run a sweep in a temporary folder. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("name", choices=("writes",))
    parser.add_argument("--count", type=int, help="how many points of each kind; all if it is left out")
    parser.add_argument("--mode", choices=writes.MODES, action="append", help="only this; may be given several times")
    parser.add_argument("--seed", type=int, help="repeats a sweep's choices; the scheduler's are its own")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else secrets.randbelow(1_000_000)
    print(f"seed {seed}", flush=True)
    report = writes.sweep(
        seed=seed,
        count=options.count,
        modes=options.mode or writes.MODES,
        say=lambda line: print(line, flush=True),
    )
    for violation in report.violations:
        print(f"VIOLATION {violation}", file=sys.stderr)
    print(report)
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
