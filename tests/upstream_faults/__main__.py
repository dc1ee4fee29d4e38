"""``python -m tests.upstream_faults cuts --count 200000 --seed 7``: exit code 0 only if nothing was wrong."""

from __future__ import annotations

import argparse
import secrets
import sys

from tests.upstream_faults.cuts import sweep


def main() -> int:
    """Run a sweep. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.upstream_faults", description=__doc__)
    parser.add_argument("name", choices=["cuts"])
    parser.add_argument("--count", type=int, default=200_000, help="how many cases")
    parser.add_argument("--seed", type=int, help="repeats a sweep's cases")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else secrets.randbelow(1_000_000)
    report = sweep(count=options.count, seed=seed)
    for violation in report.violations[:50]:
        print(f"VIOLATION {violation}", file=sys.stderr)
    print(report)
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
