"""
What the suite does in small, in full: ``python -m tests.isolation timing --samples 20000`` prints t for each operation,
``python -m tests.isolation matrix`` tries every type of item in every operation.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from tests.isolation.matrix import Matrix
from tests.isolation.stage import Stage, populated
from tests.isolation.timing import OPERATIONS, measuring
from tests.isolation.welch import LIMIT


async def _timing(folder: Path, samples: int) -> bool:
    is_good = True
    async with measuring(folder) as timing:
        for surface, ask in timing.surfaces.items():
            for name, measure in OPERATIONS.items():
                t = await timing.t(measure, ask, samples=samples)
                is_good = is_good and abs(t) < LIMIT
                print(f"{name:28} {surface:16} t = {t:+.2f}", flush=True)
    return is_good


async def _matrix(folder: Path) -> bool:
    async with Stage.open(folder) as stage:
        await populated(stage, stage.a)
        await populated(stage, stage.b)
        await stage.settle()
        report = await Matrix(stage, all_types=True).run()
    print(f"{report.count} cells, {len(report.problems)} problems", *report.problems, sep="\n")
    return not report.problems


def main() -> int:
    """Run what is asked for. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.isolation", description=__doc__)
    parser.add_argument("what", choices=("matrix", "timing"))
    parser.add_argument("--samples", type=int, default=20_000, help="of each operation (default 20000)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = _matrix(Path(folder)) if arguments.what == "matrix" else _timing(Path(folder), arguments.samples)
        return 0 if asyncio.run(work) else 1


if __name__ == "__main__":
    raise SystemExit(main())
