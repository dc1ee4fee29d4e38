"""
The sweep of system calls: the kernel's own answers to SQLite are replaced by errors, or the process dies in them.

What :mod:`tests.faults.vfs` does from within, strace does from without, on the system's own files: nothing of ours
stands between SQLite and the kernel. Needs ``strace``; counts are those of each thread.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.faults.invariants import judge
from tests.faults.ledger import Told
from tests.sweeps.report import Report

__all__ = ["sweep"]

_ROOT = Path(__file__).parents[2]
_NAME = "antiphon.db"
_CALLS = ("pwrite64", "fdatasync", "fsync")
_INJECTIONS = {"pwrite64": ("error=ENOSPC", "error=EIO"), "fdatasync": ("error=EIO",), "fsync": ("error=EIO",)}


def sweep(*, count: int, seed: int, say: Callable[[str], None] = lambda _: None) -> Report:
    """Inject so many faults into the system calls of as many lives."""
    if shutil.which("strace") is None:
        raise SystemExit("There is no strace; on Debian: apt-get install strace")
    report = Report("syscalls", seed)
    rng = random.Random(seed)  # noqa: S311 - chooses what fails, hides nothing
    started_at = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="antiphon-syscalls-") as scratch:
        calls = _counted(Path(scratch) / "honest")
        report.figures.update({f"{call} calls of a thread": number for call, number in calls.items()})
        for index in range(count):
            call = rng.choice([call for call in _CALLS if calls[call]])
            injection = rng.choice((*_INJECTIONS[call], "signal=SIGKILL"))
            when = rng.randrange(1, calls[call] + 1)
            folder = Path(scratch) / str(index)
            _live(folder, f"inject={call}:{injection}:when={when}", folder / "trace")
            report.figures[injection] += 1
            (folder / "trace").unlink(missing_ok=True)
            told = Told.of(folder / "ledger")
            report.figures["answered"] += len(told.answered)
            report.figures["refused"] += len(told.refused)
            found = asyncio.run(judge(folder / _NAME, told))
            report.violations += [f"{call} {injection} at {when}: {violation}" for violation in found]
            shutil.rmtree(folder)
            if index % 20 == 19:
                say(f"{index + 1} faults, {len(report.violations)} violations")
    report.figures["seconds"] = round(time.monotonic() - started_at)
    return report


def _counted(folder: Path) -> Counter[str]:
    """How often the busiest thread of a life makes each call."""
    _live(folder, f"trace={','.join(_CALLS)}", folder / "trace")
    made = Counter(tuple(line.split("(")[0].split()[:2]) for line in (folder / "trace").read_text().splitlines())
    busiest: Counter[str] = Counter()
    for (_, call, *_), number in ((key, number) for key, number in made.items() if len(key) > 1):
        busiest[call] = max(busiest[call], number)
    return Counter({call: busiest[call] for call in _CALLS})


def _live(folder: Path, expression: str, trace: Path) -> None:
    folder.mkdir()
    command: Sequence[str] = (sys.executable, "-m", "tests.faults.life", str(folder))
    strace = ("strace", "-f", "-qq", "-o", str(trace), "-e", expression)
    subprocess.run([*strace, *command], cwd=_ROOT, capture_output=True, timeout=120, check=False)
