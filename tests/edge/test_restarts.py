"""The small version of ``python -m tests.sweeps restarts``."""

from __future__ import annotations

from pathlib import Path

from tests.sweeps import restarts


async def test_a_client_that_tries_twice_sees_no_restart(tmp_path: Path) -> None:
    """Eight restarts under load: no second try fails, and every acknowledged turn is there in the end."""
    report = await restarts.sweep(tmp_path, count=8, seed=20)
    assert report.violations == []
    assert report.figures["restarts"] == 8
    assert report.figures["turns acknowledged"] >= 160
