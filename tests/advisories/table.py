"""
The table of replayed advisories in ``docs/security.md``, made of the tests' own words.

``python -m tests.advisories.table`` writes it anew.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["PAGE", "Replay", "replays", "table", "written"]

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "security.md"
BEGIN, END = "<!-- generated: advisories -->\n", "<!-- end -->"

_ID = re.compile(r"CVE-\d{4}-\d+|GHSA(?:-\w{4}){3}|(?:[\w./-]+)?#\d+|LiteLLM \d+\.\d+\.\d+")


class Replay(NamedTuple):
    """
    A test of an advisory, in its own words.

    Attributes:
        ids: Of advisories, or of threads at GitHub; empty where there is none.
    """

    test: str
    ids: tuple[str, ...]
    happened: str
    holds: str


def replays() -> Iterator[Replay]:
    """Every test of this folder, in order."""
    for path in sorted(HERE.glob("test_*.py")):
        if path.name == "test_table.py":
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                happened, _, holds = (ast.get_docstring(node) or "").partition("\n\n")
                head = happened.partition(": ")[0]
                yield Replay(f"{path.name}::{node.name}", tuple(_ID.findall(head)), _line(happened), _line(holds))


def table() -> str:
    """The table."""
    lines = ["| what happened elsewhere | what holds here | test |", "|---|---|---|"]
    lines += [
        f"| {each.happened} | {each.holds} | {each.test.partition('::')[0].removeprefix('test_').removesuffix('.py')} |"
        for each in replays()
    ]
    return "\n".join(lines) + "\n"


def written() -> str:
    """The table as the page has it."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]


def _line(text: str) -> str:
    return " ".join(text.replace("``", "`").replace("|", "\\|").split())


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    PAGE.write_text(before + BEGIN + table() + END + rest.partition(END)[2], encoding="utf-8")
