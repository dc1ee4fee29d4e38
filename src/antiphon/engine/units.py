"""
Which items of a context belong together, and stay or go as one.

A tool call and its output; all calls of a group whose outputs come only after all of them; whatever stands between a
call and its output; reasoning and the item that it led to. What is left after whole units were taken from the beginning
is a context again: no output without its call, no reasoning without what follows it.
"""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.hub.items import CALL_TYPES, OUTPUT_TYPES, Item

__all__ = ["call_pairs", "unanswered", "units", "with_reasoning"]


def call_pairs(items: Sequence[Item]) -> dict[int, int | None]:
    """The place of every tool call, with the place of its output; None for one that is not answered."""
    pairs: dict[int, int | None] = {}
    waiting: dict[tuple[str, str], int] = {}
    for index, item in enumerate(items):
        kind = item.type
        if kind in CALL_TYPES:
            pairs[index] = None
            waiting[kind, item.body["call_id"]] = index
        elif kind in OUTPUT_TYPES:
            call = waiting.pop((OUTPUT_TYPES[kind], item.body["call_id"]), None)
            if call is not None:
                pairs[call] = index
    return pairs


def units(items: Sequence[Item]) -> list[range]:
    """
    The places of *items*, in order and without gaps, as the smallest runs that can be told apart.

    Note:
        O(items).
    """
    ends = _ends(items)
    found: list[range] = []
    start = last = 0
    for index in range(len(items)):
        if index > last:
            found.append(range(start, index))
            start = index
        last = max(last, index, ends.get(index, index))
    if items:
        found.append(range(start, len(items)))
    return found


def unanswered(items: Sequence[Item]) -> frozenset[int]:
    """The places of tool calls that have no output yet, and of the reasoning that led to them."""
    open_calls = {call for call, output in call_pairs(items).items() if output is None}
    return with_reasoning(items, open_calls)


def with_reasoning(items: Sequence[Item], places: set[int]) -> frozenset[int]:
    """*places*, and those of the reasoning that stands right before any of them."""
    found = set(places)
    for place in places:
        before = place - 1
        while before >= 0 and before not in found and items[before].type == "reasoning":
            found.add(before)
            before -= 1
    return frozenset(found)


def _ends(items: Sequence[Item]) -> dict[int, int]:
    """For each item that cannot stand without a later one: the place of that one."""
    ends = {call: output for call, output in call_pairs(items).items() if output is not None}
    last = len(items) - 1
    return ends | {index: min(index + 1, last) for index, item in enumerate(items) if item.type == "reasoning"}
