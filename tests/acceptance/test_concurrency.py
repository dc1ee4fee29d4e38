"""Many clients at once: the small version of ``python -m tests.sweeps concurrency --count 200``, and its checker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.history_model import Saying, answer_to
from tests.support.linearizability import Turn, check_forks, check_history
from tests.sweeps.concurrency import sweep

_INITIAL: list[Saying] = [("user", "made by hand")]

History = tuple[list[Turn], list[Saying]]


async def test_many_clients_take_turns(tmp_path: Path) -> None:
    """Forty at once in a conversation, waiting for one, and on one parent: the history is one of turns in a row."""
    report = await sweep(tmp_path, count=40, seed=20)
    assert report.violations == []
    assert report.figures["succeeded in a conversation"] > 3, f"too few turns to prove anything: {report}"
    assert report.figures["refused in a conversation"] > 0, f"nobody met the lock: {report}"
    assert report.figures["succeeded waiting for a conversation"] == 40
    assert report.figures["succeeded on one parent"] == 40


def _good() -> History:
    """Four turns of which the second and the third overlap, and one that was refused during the first."""
    turns: list[Turn] = []
    items = list(_INITIAL)
    for number, (began_at, ended_at) in enumerate([(0, 10), (11, 15), (14, 20), (21, 30)]):
        items.append(("user", f"client-{number}"))
        answer = answer_to(items)
        turns.append(Turn(f"client-{number}", items[-1], answer, began_at, ended_at))
        items.append(("assistant", answer))
    refused = Turn("client-refused", ("user", "client-refused"), None, 1, 2)
    return [*turns[::-1], refused], items


def _changed(turns: Sequence[Turn], client: str, **fields: object) -> list[Turn]:
    return [replace(turn, **fields) if turn.client == client else turn for turn in turns]  # type: ignore[arg-type]  # any field


def _lost_update(history: History) -> History:
    """Two turns saw the same list, and the second one's append replaced the first one's."""
    turns, items = history
    answer = answer_to([*items[:3], ("user", "client-2")])
    changed = _changed(turns, "client-2", answered=answer)
    return changed, [*items[:3], ("user", "client-2"), ("assistant", answer), *items[7:]]


def _stale_read(history: History) -> History:
    """A turn entered behind another one that it had not seen."""
    turns, items = history
    answer = answer_to([*items[:3], ("user", "client-2")])
    return _changed(turns, "client-2", answered=answer), [*items[:6], ("assistant", answer), *items[7:]]


def _double_append(history: History) -> History:
    turns, items = history
    return turns, [*items, *items[-2:]]


def _half_append(history: History) -> History:
    turns, items = history
    return turns, items[:-1]


def _mixed_append(history: History) -> History:
    turns, items = history
    return turns, [*items[:4], items[5], items[4], *items[6:]]


def _order_violation(history: History) -> History:
    """The last turn had ended before the first one began."""
    turns, items = history
    return _changed(turns, "client-3", began_at=-2, ended_at=-1), items


def _entered_though_refused(history: History) -> History:
    turns, items = history
    said = [*items, ("user", "client-refused")]
    return turns, [*said, ("assistant", answer_to(said))]


def _refused_without_need(history: History) -> History:
    turns, items = history
    return _changed(turns, "client-refused", began_at=100, ended_at=101), items


def _lost_beginning(history: History) -> History:
    turns, items = history
    return turns, items[1:]


def _stranger(history: History) -> History:
    turns, items = history
    return turns, [*items, ("user", "who?"), ("assistant", "nobody")]


WRONG: dict[str, tuple[Callable[[History], History], str]] = {
    "lost update": (_lost_update, "client-1 was acknowledged and stands in the list 0 times"),
    "stale read": (_stale_read, "client-2 did not see the 5 items before it"),
    "double append": (_double_append, "stands in the list 2 times"),
    "half append": (_half_append, "is followed by []"),
    "mixed appends": (_mixed_append, "is followed by"),
    "order violation": (_order_violation, "client-3 had ended before client-2 began"),
    "entered though refused": (_entered_though_refused, "was refused and stands in the list"),
    "refused without need": (_refused_without_need, "nobody else held the conversation"),
    "lost beginning": (_lost_beginning, "lost what it began with"),
    "stranger": (_stranger, "is none that was acknowledged"),
}


def test_a_right_history_is_not_reported() -> None:
    """Turns that overlap may stand in any order; a refusal during a turn is right."""
    turns, items = _good()
    assert check_history(turns, items, initial=_INITIAL) == []


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_history_is_reported(name: str) -> None:
    """Every way in which a list could lose, repeat, hide or mix turns is noticed and named."""
    wrong, alarm = WRONG[name]
    turns, items = wrong(_good())
    flaws = check_history(turns, items, initial=_INITIAL)
    assert any(alarm in flaw for flaw in flaws), flaws


def test_forks_that_see_their_parent_alone_are_not_reported() -> None:
    """Each answer follows from the parent and the turn's own input."""
    turns = [Turn(name, ("user", name), answer_to([*_INITIAL, ("user", name)]), 0, 1) for name in ("a", "b")]
    assert check_forks(turns, _INITIAL) == []


@pytest.mark.parametrize("seen", [[], [*_INITIAL, ("user", "b"), ("assistant", "b's")]], ids=["nothing", "another"])
def test_a_fork_that_sees_anything_else_is_reported(seen: list[Saying]) -> None:
    """A fork without its parent, or with a turn that forked from the same parent, is noticed."""
    turn = Turn("a", ("user", "a"), answer_to([*seen, ("user", "a")]), 0, 1)
    assert len(check_forks([turn], _INITIAL)) == 1


def test_a_refused_fork_is_reported() -> None:
    """Continuing a response never fails because others do."""
    assert check_forks([Turn("a", ("user", "a"), None, 0, 1)], _INITIAL) == ["a was refused"]
