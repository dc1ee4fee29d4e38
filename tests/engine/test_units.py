"""What belongs together in a context."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from antiphon.engine.units import unanswered, units
from antiphon.hub.items import Item
from tests.engine.contexts import assistant, call, contexts, is_paired, item, output, reasoning, user

GROUPS: dict[str, tuple[list[Item], list[list[int]]]] = {
    "nothing": ([], []),
    "messages": ([user("a"), assistant("b"), user("c")], [[0], [1], [2]]),
    "a call": ([user("a"), call("b", "1"), output("c", "1"), assistant("d")], [[0], [1, 2], [3]]),
    "calls one after the other": (
        [call("a", "1"), output("b", "1"), call("c", "2"), output("d", "2")],
        [[0, 1], [2, 3]],
    ),
    "calls at once": ([call("a", "1"), call("b", "2"), output("c", "1"), output("d", "2")], [[0, 1, 2, 3]]),
    "outputs the other way round": (
        [call("a", "1"), call("b", "2"), output("c", "2"), output("d", "1")],
        [[0, 1, 2, 3]],
    ),
    "a message in between": ([call("a", "1"), user("b"), output("c", "1"), user("d")], [[0, 1, 2], [3]]),
    "reasoning": ([reasoning("a"), assistant("b"), user("c")], [[0, 1], [2]]),
    "reasoning before a call": ([reasoning("a"), reasoning("b"), call("c", "1"), output("d", "1")], [[0, 1, 2, 3]]),
    "reasoning at the end": ([user("a"), reasoning("b")], [[0], [1]]),
    "a call that waits": ([user("a"), call("b", "1")], [[0], [1]]),
    "the same call id again": ([call("a", "1"), output("b", "1"), call("c", "1"), output("d", "1")], [[0, 1], [2, 3]]),
    "the same call id of another kind": (
        [call("a", "1"), item("b", "custom_tool_call_output", call_id="1", output="x"), output("c", "1")],
        [[0, 1, 2]],
    ),
}


@pytest.mark.parametrize(("items", "expected"), GROUPS.values(), ids=GROUPS.keys())
def test_units(items: list[Item], expected: list[list[int]]) -> None:
    """Items that cannot stand without one another are one unit, and every other item is one of its own."""
    assert [list(unit) for unit in units(items)] == expected


@settings(deadline=None)
@given(contexts())
def test_what_is_left_after_whole_units_is_a_context(items: tuple[Item, ...]) -> None:
    """Wherever a context is cut between units, its rest has no lone output, and no reasoning lost what it led to."""
    found = units(items)
    assert [place for unit in found for place in unit] == list(range(len(items)))
    for unit in found:
        rest = items[unit.start :]
        assert is_paired(rest)
        cut_from_its_reasoning = unit.start > 0 and items[unit.start - 1].type == "reasoning"
        assert not cut_from_its_reasoning


@settings(deadline=None)
@given(contexts(pending=True))
def test_calls_that_wait(items: tuple[Item, ...]) -> None:
    """Without the calls that are not answered, and their reasoning, a context is whole."""
    waiting = unanswered(items)
    rest = tuple(each for place, each in enumerate(items) if place not in waiting)
    assert is_paired(rest)
    assert all(items[place].type in ("function_call", "custom_tool_call", "reasoning") for place in waiting)
    assert bool(waiting) == (not is_paired(items))
