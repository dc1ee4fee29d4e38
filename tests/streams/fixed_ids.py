"""Ids that count up, so that two runs mint the same ones."""

from __future__ import annotations

from itertools import count

from antiphon.hub.ids import Family, IdFactory

__all__ = ["FAMILY", "counting_ids"]

FAMILY = Family("00000000000000aa")


def counting_ids() -> IdFactory:
    """A factory whose n-th id always is the same."""
    numbers = count(1)
    return IdFactory(lambda: 1_760_000_000.0, random_bytes=lambda size: next(numbers).to_bytes(size, "big"))
