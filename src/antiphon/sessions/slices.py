"""Long lists, worked on in slices, so that nobody else has to wait for the whole of one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["in_slices"]

T = TypeVar("T")
R = TypeVar("R")

# How many items are worked on before the event loop gets a turn: a slice stays under a millisecond or two.
_SLICE = 128


async def in_slices(values: Sequence[T], work: Callable[[T], R]) -> list[R]:
    """What *work* makes of each value. The event loop goes on between slices of a list that is long."""
    if len(values) <= _SLICE:
        return [work(value) for value in values]
    done: list[R] = []
    for start in range(0, len(values), _SLICE):
        if start:
            await asyncio.sleep(0)
        done.extend([work(value) for value in values[start : start + _SLICE]])
    return done
