"""Documents do not rot: what they name exists, what they show runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_PATH = re.compile(r"`((?:src/|docs/|tests/|benchmarks/)?[\w./-]+(?:\.py|\.md|\.toml|\.sql|/))`")
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
_HOMES = ("", "src/antiphon/", "docs/")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_path_that_a_document_names_exists(document: Path) -> None:
    """Files and folders in backquotes, and links to other files."""
    text = document.read_text(encoding="utf-8")
    missing = [name for name in _PATH.findall(text) if not any((ROOT / home / name).exists() for home in _HOMES)]
    missing += [link for link in _LINK.findall(text) if not (document.parent / link).exists()]
    assert missing == []


def test_every_decision_has_a_number_of_its_own() -> None:
    """Decision records are numbered without gaps."""
    numbers = [int(path.name[:4]) for path in sorted((ROOT / "docs" / "adr").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))
