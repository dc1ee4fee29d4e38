"""
Judges what the senders of one idempotency key were answered. Pure: given their answers, it lists violations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["KeyRecord", "Outcome", "check_key"]


@dataclass(frozen=True)
class Outcome:
    """
    What one sender was answered in the end.

    Attributes:
        status: Of the HTTP answer.
        response: The response that it was told of: in JSON the body, in a stream the terminal event's; of a failed
            turn in JSON mode only its id.
        events: In a stream, its events.
        replayed: It was told that this is a replay.
        was_cut_off: The gateway died under one of its tries.
    """

    status: int
    response: dict[str, Any]
    events: tuple[bytes, ...] = ()
    replayed: bool = False
    was_cut_off: bool = False


@dataclass(frozen=True)
class KeyRecord:
    """
    Everything that is known of one key.

    Attributes:
        outcomes: One for each sender.
        later: What one who came after all others was answered.
        calls: How often the model was asked.
        crashed: The gateway died while the key was in use.
        end: The status that the turn ended with.
        items: How many items the turn's conversation has; None without one.
    """

    name: str
    outcomes: Sequence[Outcome]
    later: Outcome
    calls: int
    crashed: bool
    end: str
    items: int | None = None


def check_key(record: KeyRecord) -> list[str]:
    """One turn, one answer for everybody; one call of the model if nothing interfered."""
    flaws = [*_answer_flaws(record), *_call_flaws(record), *_conversation_flaws(record)]
    return [f"{record.name}: {flaw}" for flaw in flaws]


def _answer_flaws(record: KeyRecord) -> list[str]:
    everybody = [*record.outcomes, record.later]
    flaws = []
    if record.end != "completed" and not record.crashed:
        flaws.append(f"ended as {record.end}")
    # A turn that had output when its process died has failed, and everybody is told so.
    wrong = [outcome for outcome in everybody if (outcome.status == 200) != _succeeds(record, outcome)]
    flaws += [f"ended as {record.end} and was answered with {outcome.status}" for outcome in wrong]
    answers = {(outcome.status, repr(outcome.response), outcome.events) for outcome in everybody}
    if len(answers) > 1:
        flaws.append(f"answered in {len(answers)} ways: {sorted(answers)}")
    originals = [outcome for outcome in record.outcomes if not outcome.replayed]
    if len(originals) > 1:
        flaws.append(f"{len(originals)} senders were told that theirs was the first")
    if not originals and not record.crashed:
        flaws.append("nobody was told that theirs was the first")
    if not record.later.replayed:
        flaws.append("who came last was not told that it is a replay")
    return flaws


def _succeeds(record: KeyRecord, outcome: Outcome) -> bool:
    """Whether the answer has to be a success: a stream is one from its first byte on, a queued response is one."""
    return record.end == "completed" or bool(outcome.events) or outcome.response.get("status") == "queued"


def _call_flaws(record: KeyRecord) -> list[str]:
    if record.calls == 1 or (record.crashed and record.calls == 2):
        return []
    return [f"the model was asked {record.calls} times"]


def _conversation_flaws(record: KeyRecord) -> list[str]:
    if record.items is None:
        return []
    expected = 2 if record.end == "completed" else 0
    return [] if record.items == expected else [f"its conversation has {record.items} items instead of {expected}"]
