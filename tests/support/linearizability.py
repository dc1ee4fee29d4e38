"""
Whether what clients were told could have happened one turn after the other.

A conversation is an append-only list. A turn is one step: it sees the whole list as it is, then appends what it said
and what it was answered. The answer proves what it saw (:func:`tests.support.history_model.answer_to`), so the order of
the steps is not searched for but read off the final list, and then held against the answers and against time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.support.history_model import Saying, answer_to

__all__ = ["Turn", "check_forks", "check_history"]


@dataclass(frozen=True)
class Turn:
    """
    One turn as its client saw it.

    Attributes:
        client: Names it; unique.
        said: Its input; unique.
        answered: The text of the answer; None if the conversation was locked.
        began_at: Before the request was sent, on any clock that all clients share.
        ended_at: When its answer had arrived.
    """

    client: str
    said: Saying
    answered: str | None
    began_at: float
    ended_at: float


def check_history(turns: Sequence[Turn], final: Sequence[Saying], *, initial: Sequence[Saying] = ()) -> list[str]:
    """
    What keeps a recorded history from being one of turns that ran one after the other; nothing if it is one.

    Args:
        turns: Every turn that was sent, in any order.
        final: The list after all of them.
        initial: The list before.
    """
    entered = [turn for turn in turns if turn.answered is not None]
    refused = [turn for turn in turns if turn.answered is None]
    flaws = _list_flaws(entered, refused, final, initial)
    if flaws:
        return flaws
    order = _order(entered, final, initial)
    return [*_sight_flaws(order, initial), *_time_flaws(order), *_refusal_flaws(refused, entered)]


def check_forks(turns: Sequence[Turn], parent: Sequence[Saying]) -> list[str]:
    """What keeps turns from being independent steps on one parent: each of them sees the parent, and no other turn."""
    flaws = [f"{turn.client} was refused" for turn in turns if turn.answered is None]
    for turn in turns:
        expected = answer_to([*parent, turn.said])
        if turn.answered is not None and turn.answered != expected:
            flaws.append(f"{turn.client} did not see its parent alone: it was answered {turn.answered!r}")
    return flaws


def _list_flaws(
    entered: Sequence[Turn], refused: Sequence[Turn], final: Sequence[Saying], initial: Sequence[Saying]
) -> list[str]:
    """Every turn that was acknowledged stands in the list once, its answer behind it; nothing else does."""
    flaws = [] if list(final[: len(initial)]) == list(initial) else ["the list has lost what it began with"]
    appended = final[len(initial) :]
    counts = Counter(appended)
    flaws += [
        f"{turn.client} was acknowledged and stands in the list {counts[turn.said]} times"
        for turn in entered
        if counts[turn.said] != 1
    ]
    flaws += [f"{turn.client} was refused and stands in the list" for turn in refused if counts[turn.said]]
    if flaws:
        return flaws
    answers = {turn.said: ("assistant", turn.answered) for turn in entered}
    for place in range(0, len(appended), 2):
        said, answered = appended[place], appended[place + 1 : place + 2]
        if said not in answers:
            flaws.append(f"{said} stands where a turn should begin, and is none that was acknowledged")
        elif [answers[said]] != list(answered):
            flaws.append(f"{said} is followed by {list(answered)}, not by its answer")
    return flaws


def _order(entered: Sequence[Turn], final: Sequence[Saying], initial: Sequence[Saying]) -> list[Turn]:
    by_said = {turn.said: turn for turn in entered}
    return [by_said[said] for said in final[len(initial) :: 2]]


def _sight_flaws(order: Sequence[Turn], initial: Sequence[Saying]) -> list[str]:
    """Each turn saw everything that stands before it, and nothing else."""
    flaws = []
    seen = list(initial)
    for turn in order:
        seen.append(turn.said)
        if turn.answered != answer_to(seen):
            flaws.append(f"{turn.client} did not see the {len(seen) - 1} items before it: answered {turn.answered!r}")
        assert turn.answered is not None
        seen.append(("assistant", turn.answered))
    return flaws


def _time_flaws(order: Sequence[Turn]) -> list[str]:
    """A turn that had ended before another began stands before it."""
    flaws = []
    latest: Turn | None = None
    for turn in order:
        if latest is not None and turn.ended_at < latest.began_at:
            flaws.append(f"{turn.client} had ended before {latest.client} began, and stands behind it")
        if latest is None or turn.began_at > latest.began_at:
            latest = turn
    return flaws


def _refusal_flaws(refused: Sequence[Turn], entered: Sequence[Turn]) -> list[str]:
    """A turn is refused only while another one holds the list."""
    return [
        f"{turn.client} was refused, and nobody else held the conversation"
        for turn in refused
        if not any(other.began_at < turn.ended_at and turn.began_at < other.ended_at for other in entered)
    ]
