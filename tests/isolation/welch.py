"""Welch's t-test on times, which have long tails on one side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, variance

__all__ = ["LIMIT", "trimmed", "welch"]

LIMIT = 4.5
"""Beyond it two means differ: in 7 of a million comparisons of equal ones, if nothing but chance is at work."""

_KEPT = 0.9


def welch(one: Sequence[float], two: Sequence[float]) -> float:
    """
    By how many standard errors the mean of *one* is above that of *two*.

    The slowest tenth of all samples together is left out: it is interrupts and other processes, and belongs to neither.
    """
    first, second = trimmed(one, two)
    spread = math.sqrt(variance(first) / len(first) + variance(second) / len(second))
    return (fmean(first) - fmean(second)) / spread if spread else 0.0


def trimmed(one: Sequence[float], two: Sequence[float]) -> tuple[list[float], list[float]]:
    """Both without what is above the same bound."""
    bound = sorted((*one, *two))[int((len(one) + len(two)) * _KEPT) - 1]
    return [value for value in one if value <= bound], [value for value in two if value <= bound]
