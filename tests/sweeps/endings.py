"""
Judges how a turn ended that somebody interfered with. Pure: given what was seen, it lists violations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.sweeps.client import event_of

__all__ = ["Ending", "JsonObject", "check_ending"]

JsonObject = dict[str, Any]

_TERMINAL = {
    "response.completed": ("completed",),
    "response.incomplete": ("incomplete",),
    "response.failed": ("failed", "cancelled"),
}
_ENTERS = ("completed", "incomplete")


@dataclass(frozen=True)
class Ending:
    """
    A turn that has ended, as its clients saw it.

    Attributes:
        name: What was done to it, and when, for people.
        allowed: The ends that it may have come to.
        seen: The events that readers were shown until they hung up, were cut off, or saw the end.
        told: The response as others were told that it ended: by a cancellation, or by the terminal event.
        retrieved: The response once it had ended.
        again: The response later.
        replay: Its stream, later.
        input: The text of its input.
        items: All items of its conversation; None if it was in none.
        calls: How often the model was asked.
        most_calls: How often it may have been asked.
    """

    name: str
    allowed: frozenset[str]
    retrieved: JsonObject
    again: JsonObject
    replay: Sequence[bytes]
    seen: Sequence[Sequence[bytes]] = ()
    told: Sequence[JsonObject] = ()
    input: str = ""
    items: Sequence[JsonObject] | None = None
    calls: int = 1
    most_calls: int = 1


def check_ending(ending: Ending) -> list[str]:
    """Exactly one end, the same for everybody; a stream that was only ever added to; a conversation that is whole."""
    flaws = [*_end_flaws(ending), *_stream_flaws(ending), *_conversation_flaws(ending)]
    if ending.calls > ending.most_calls:
        flaws.append(f"the model was asked {ending.calls} times, at most {ending.most_calls} are allowed")
    return [f"{ending.name} ({ending.retrieved.get('id')}): {flaw}" for flaw in flaws]


def _end_flaws(ending: Ending) -> list[str]:
    status = ending.retrieved["status"]
    flaws = []
    if status not in ending.allowed:
        flaws.append(f"ended as {status}, not as one of {sorted(ending.allowed)}")
    if ending.again != ending.retrieved:
        flaws.append(f"had ended as {status} and changed afterwards: {ending.again}")
    flaws += [f"somebody was told another end: {told}" for told in ending.told if told != ending.retrieved]
    return flaws


def _stream_flaws(ending: Ending) -> list[str]:
    events = [event_of(frame) for frame in ending.replay]
    ends = [place for place, event in enumerate(events) if event["type"] in _TERMINAL]
    if ends != [len(events) - 1]:
        return [f"its stream has its end at {ends} of {len(events)} events"]
    flaws = []
    last = events[-1]
    if last["response"] != ending.retrieved or ending.retrieved["status"] not in _TERMINAL[last["type"]]:
        flaws.append(f"its stream ends otherwise than it is retrieved: {last}")
    if [event["sequence_number"] for event in events] != list(range(len(events))):
        flaws.append("its stream is not numbered in order")
    for seen in ending.seen:
        if list(seen) != list(ending.replay[: len(seen)]):
            at = next((n for n, pair in enumerate(zip(seen, ending.replay, strict=False)) if pair[0] != pair[1]), "end")
            flaws.append(f"a reader was shown {len(seen)} events of which the stream has changed or lost some, at {at}")
    return flaws


def _conversation_flaws(ending: Ending) -> list[str]:
    if ending.items is None:
        return []
    shown = [item["id"] for item in ending.items[1:]]
    output = [item["id"] for item in ending.retrieved["output"]]
    if ending.retrieved["status"] not in _ENTERS:
        return [f"ended without success and entered its conversation: {ending.items}"] if ending.items else []
    texts = [part["text"] for item in ending.items[:1] for part in item["content"]]
    if texts != [ending.input] or shown != output:
        return [f"its conversation has {texts} and {shown} instead of {[ending.input]} and {output}"]
    return []
