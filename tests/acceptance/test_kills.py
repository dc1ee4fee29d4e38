"""The small version of the kill sweep; ``python -m tests.kills --count 1000`` is the long one."""

from __future__ import annotations

from pathlib import Path

from tests.kills.sweep import sweep


async def test_kills_lose_nothing(tmp_path: Path) -> None:
    """Twelve SIGKILLs under load: no acknowledged turn is lost or changed, none is there in half, the file is sound."""
    report = await sweep(tmp_path, count=9, seed=20)
    assert list(report.violations) == []
    assert report.acknowledged > 24, f"too little load to prove anything: {report}"
    assert report.in_doubt > 6, f"the kills hit nothing: {report}"
