"""How times, sizes and receipts are written for people."""

from __future__ import annotations

from datetime import UTC, datetime

from antiphon.cli.terminal import Terminal
from antiphon.sessions.directory import Erasure

__all__ = ["day", "moment", "print_receipt", "size"]

_UNITS = ("B", "kB", "MB", "GB", "TB")


def moment(at_s: float | None, absent: str = "-") -> str:
    """A time in UTC to the second; *absent* for none."""
    return absent if at_s is None else f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H:%M:%S}Z"


def day(at_s: float | None, absent: str = "-") -> str:
    """A day in UTC; *absent* for none."""
    return absent if at_s is None else f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d}"


def size(size_bytes: int) -> str:
    """A number of bytes, to three digits."""
    value, unit = float(size_bytes), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{size_bytes} B" if unit == 0 else f"{value:.3g} {_UNITS[unit]}"


def print_receipt(terminal: Terminal, erased: Erasure, *, dry_run: bool) -> None:
    """What was erased, in numbers; of a dry run, what would be."""
    counts = {
        "responses": len(erased.responses),
        "conversations": len(erased.conversations),
        "prompts": len(erased.prompts),
        "items": erased.items,
        **{name.replace("_", " "): count for name, count in sorted(erased.other.items())},
        "keys destroyed": erased.keys_destroyed,
    }
    terminal.line("would be erased" if dry_run else "erased")
    terminal.facts(
        *((f"  {name}", str(count)) for name, count in counts.items()), ("  content", size(erased.payload_bytes))
    )
