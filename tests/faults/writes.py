"""
The sweep of writes: at every point at which the store writes, syncs, truncates or deletes, something goes wrong.

- ``error``: the call fails, in turn with a full disk, an I/O error and a write that is cut short; the life goes on.
- ``kill``: the process dies right before it.
- ``cut``: the power fails right before it; of what was not synced nothing has arrived, or any part of it.
- ``lost``: a sync fails, the life goes on to its end, and then the power fails.

After each the store is opened again and judged.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from tests.faults.forks import forked
from tests.faults.invariants import judge
from tests.faults.ledger import Ledger, Told
from tests.faults.life import live
from tests.faults.vfs import Fault, faulty_disk
from tests.sweeps.report import Report

__all__ = ["MODES", "Mode", "sweep"]

Mode = Literal["error", "kill", "cut", "lost"]
MODES: tuple[Mode, ...] = ("error", "kill", "cut", "lost")

_NAME = "antiphon.db"
_ERRORS: tuple[Fault, ...] = ("full", "error", "short")


def sweep(
    *,
    seed: int,
    count: int | None = None,
    modes: Sequence[Mode] = MODES,
    say: Callable[[str], None] = lambda _: None,
) -> Report:
    """
    Meet so many points in each mode, evenly spread over the life; None for all of them.

    Must be called where no other thread runs: it forks.
    """
    report = Report("writes", seed)
    started_at = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="antiphon-writes-") as scratch:
        points = _points(Path(scratch))
        report.figures["points"] = len(points)
        for mode in modes:
            chosen = [at for at, kind in enumerate(points, 1) if mode != "lost" or kind == "sync"]
            step = 1 if count is None else max(len(chosen) / count, 1)
            for index in range(int(len(chosen) / step)):
                at = chosen[int(index * step + seed % max(int(step), 1))]
                _meet(Path(scratch), mode, at, seed, report)
                if index % 100 == 99:
                    say(f"{mode}: {index + 1} points, {len(report.violations)} violations")
    report.figures["seconds"] = round(time.monotonic() - started_at)
    return report


def _points(scratch: Path) -> tuple[str, ...]:
    """What a life does to an honest disk, which also has to pass."""
    folder = scratch / "honest"
    folder.mkdir()
    assert forked(partial(_live, folder, "error", 0, 0)) == 0, "the life fails on an honest disk"
    told = Told.of(folder / "ledger")
    assert told.ended is not None
    assert not told.refused, told.refused
    return told.ended.points


def _meet(scratch: Path, mode: Mode, at: int, seed: int, report: Report) -> None:
    folder = scratch / f"{mode}-{at}"
    folder.mkdir()
    code = forked(partial(_live, folder, mode, at, seed))
    left = sorted(folder.glob("cut-*")) if mode in {"cut", "lost"} else [folder]
    name = f"{mode} at point {at}"
    report.figures[f"{mode}s"] += 1
    report.figures["answered"] += len(Told.of(folder / "ledger").answered)
    report.figures["refused"] += len(Told.of(folder / "ledger").refused)
    if code not in ((0, -signal.SIGKILL) if mode in {"kill", "cut"} else (0,)):
        report.violations.append(f"{name}: the process ended with {code}")
    for store in left:
        _keep_beside(folder, store)
        report.figures["judged"] += 1
        if forked(partial(_judge, store)) != 0:
            report.violations.append(f"{name}: the judge died")
        found = store / "violations"
        report.violations += [f"{name}: {line}" for line in found.read_text().splitlines()] if found.exists() else []
    shutil.rmtree(folder)


def _keep_beside(life: Path, store: Path) -> None:
    """The key file and the ledger, which are not on the disk that loses power."""
    for name in (f"{_NAME}.key", "ledger"):
        if store != life and (life / name).exists():
            shutil.copy(life / name, store / name)


def _live(folder: Path, mode: Mode, at: int, seed: int) -> None:
    fault: Fault = _ERRORS[(at + seed) % len(_ERRORS)] if mode == "error" else "sync" if mode == "lost" else mode
    cuts = (folder / "cut-0", folder / "cut-1") if mode in {"cut", "lost"} else ()
    ledger = Ledger(folder / "ledger")
    with faulty_disk(fault, at, cuts=cuts, seed=seed + at) as disk:
        asyncio.run(live(folder / _NAME, ledger, disk))
        if mode == "lost" or (mode == "cut" and not disk.met):
            disk.cut()
    ledger.close()


def _judge(store: Path) -> None:
    found = asyncio.run(judge(store / _NAME, Told.of(store / "ledger")))
    if found:
        (store / "violations").write_text("".join(f"{violation}\n" for violation in found))
