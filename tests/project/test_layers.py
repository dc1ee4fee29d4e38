"""The layers are checked, and the check can fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """The contract check, over the package below *root*."""
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_layers_are_kept() -> None:
    """Imports point down, and codecs do no I/O."""
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("hub/ids.py", "from antiphon.sessions import records"),
        ("engine/run.py", "from antiphon.server import asgi"),
        ("providers/openai_chat/encode.py", "from antiphon.formats import responses"),
        ("providers/openai_chat/decode.py", "import asyncio"),
        ("streams/sse.py", "import aiohttp"),
        ("stores/memory.py", "from antiphon.transport import http"),
    ],
)
def test_a_planted_violation_is_found(copy: Path, module: str, line: str) -> None:
    """An import that points up or sideways, or does I/O in a codec, fails the check."""
    planted = copy / "src" / "antiphon" / module
    planted.write_text(planted.read_text(encoding="utf-8") + f"\n{line}\n", encoding="utf-8")
    result = lint_imports(copy)
    assert result.returncode == 1
    assert "BROKEN" in result.stdout


def test_a_module_without_a_layer_is_found(copy: Path) -> None:
    """A new package has to be given its place."""
    (copy / "src" / "antiphon" / "misc.py").write_text('"""Nowhere."""\n', encoding="utf-8")
    assert lint_imports(copy).returncode == 1
