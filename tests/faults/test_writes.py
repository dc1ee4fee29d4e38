"""A part of the sweep of writes; ``python -m tests.faults writes`` meets every point."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.writes import MODES

_ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_lost_at_any_write(mode: str) -> None:
    """Wherever a write or sync fails, kills or loses power, every invariant holds in what is opened afterwards."""
    # A process of its own: it forks, which must not be done beside other threads. Other points every time.
    command = [sys.executable, "-m", "tests.faults", "writes", "--count", "6", "--mode", mode]
    swept = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert swept.returncode == 0, swept.stdout + swept.stderr
    assert "; 0 violations" in swept.stdout
