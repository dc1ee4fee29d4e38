"""The page about sealing lists what is in the clear as the schema classifies it."""

from __future__ import annotations

from pathlib import Path

from antiphon.stores.sqlite.columns import COLUMNS

PAGE = Path(__file__).parents[2] / "docs" / "sealing.md"
BEGIN, END = "<!-- generated: columns -->\n", "<!-- end -->"


def listed() -> str:
    """The list, made from the classification of every column."""
    lines = ["| table | sealed | in the clear |", "|---|---|---|"]
    for table, columns in COLUMNS.items():
        sealed = ", ".join(f"`{name}`" for name, kind in columns.items() if kind == "payload") or "-"
        kinds = dict.fromkeys(kind for kind in columns.values() if kind != "payload")
        clear = "; ".join(
            f"{kind}: {', '.join(f'`{name}`' for name, its_kind in columns.items() if its_kind == kind)}"
            for kind in kinds
        )
        lines.append(f"| `{table}` | {sealed} | {clear} |")
    return "\n".join(lines) + "\n"


def test_the_list_is_the_schemas() -> None:
    """What the page says is in the clear is what the schema's classification says, column by column."""
    page = PAGE.read_text(encoding="utf-8")

    assert page.partition(BEGIN)[2].partition(END)[0] == listed()
