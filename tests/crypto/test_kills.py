"""Rotation killed at moments of chance; a small share of ``python -m tests.crypto.kills``."""

from __future__ import annotations

from pathlib import Path

from tests.crypto.kills import sweep


async def test_a_rotation_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    """Three kills while others write: all that was written is read, and the last call ends the rotation."""
    assert await sweep(tmp_path, count=3, seed=11) == []
