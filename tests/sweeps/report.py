"""What a sweep found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Report"]


@dataclass
class Report:
    """
    Figures and violations, as they come.

    Attributes:
        figures: How often what happened; a sweep that met nothing proves nothing.
        violations: What was wrong, in words.
    """

    name: str
    seed: int
    figures: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def complain(self, violations: Sequence[str]) -> None:
        """Add violations."""
        self.violations += violations

    def __str__(self) -> str:
        figures = ", ".join(f"{count} {what}" for what, count in sorted(self.figures.items()))
        return f"{self.name}, seed {self.seed}: {figures}; {len(self.violations)} violations"
