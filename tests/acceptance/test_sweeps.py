"""The small versions of ``python -m tests.sweeps``, and their checkers, shown what a broken gateway would show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.sweeps import aborts, idempotency, resume
from tests.sweeps.client import Streamed
from tests.sweeps.duplicates import KeyRecord, Outcome, check_key
from tests.sweeps.endings import Ending, check_ending
from tests.sweeps.resume import Cut, check_cut, check_whole


async def test_no_abort_leaves_a_turn_stuck(tmp_path: Path) -> None:
    """Forty background turns, interfered with in every way: each comes to one end, which its stream says too."""
    report = await aborts.sweep(tmp_path, count=40, seed=20)
    assert report.violations == []
    figures = report.figures
    assert figures["restarts by kill"], f"nothing was killed: {report}"
    assert figures["restarts by terminate"], f"nothing was drained: {report}"
    assert figures["ended as cancelled"], f"nothing was cancelled: {report}"
    assert figures["ended as failed"], f"nothing failed: {report}"


async def test_every_cut_is_resumed(tmp_path: Path) -> None:
    """Six kinds of streams, cut after every event, while they run, afterwards and after a crash: the same bytes."""
    report = await resume.sweep(tmp_path, count=300, seed=20)
    assert report.violations == []
    for moment in ("while running", "afterwards", "after a crash"):
        assert report.figures[moment] > 50, f"too few cuts {moment}: {report}"


async def test_duplicates_are_one_turn(tmp_path: Path) -> None:
    """Thirty keys with ten senders each, and kills in between: one visible success for each key."""
    report = await idempotency.sweep(tmp_path, count=30, seed=20)
    assert report.violations == []
    assert report.figures["kills"], f"nothing was killed: {report}"
    assert report.figures["keys hit by a kill"], f"the kills hit nothing: {report}"


# The checker of the abort sweep.

_ITEM = {"id": "msg_2", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "yes"}]}
_SAID = {"id": "msg_1", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
_RESPONSE = {"id": "resp_1", "status": "completed", "output": [_ITEM]}


def _frame(number: int, kind: str, **fields: object) -> bytes:
    event = {"type": f"response.{kind}", **fields, "sequence_number": number}
    return b"event: response.%s\ndata: %s" % (kind.encode(), orjson.dumps(event))


_STREAM = (
    _frame(0, "created", response={"id": "resp_1", "status": "queued"}),
    _frame(1, "output_text.delta", delta="yes"),
    _frame(2, "completed", response=_RESPONSE),
)

_ENDING = Ending(
    name="cancelled late",
    allowed=frozenset({"completed", "cancelled"}),
    retrieved=_RESPONSE,
    again=_RESPONSE,
    replay=_STREAM,
    seen=(_STREAM[:2], (), _STREAM),
    told=(_RESPONSE,),
    input="hi",
    items=(_SAID, _ITEM),
)
_CANCELLED = {**_RESPONSE, "status": "cancelled"}

BROKEN_ENDINGS: dict[str, tuple[dict[str, Any], str]] = {
    "wrong end": ({"allowed": frozenset({"failed"})}, "ended as completed"),
    "two ends": ({"again": _CANCELLED}, "changed afterwards"),
    "told another end": ({"told": (_RESPONSE, _CANCELLED)}, "told another end"),
    "no end in the stream": ({"replay": _STREAM[:2]}, "its end at []"),
    "two ends in the stream": ({"replay": (*_STREAM, _frame(3, "failed", response=_CANCELLED))}, "its end at [2, 3]"),
    "event after the end": ({"replay": (*_STREAM, _STREAM[1])}, "its end at [2]"),
    "stream with another end": (
        {"replay": (*_STREAM[:2], _frame(2, "failed", response=_CANCELLED))},
        "ends otherwise",
    ),
    "end of the wrong type": (
        {"replay": (*_STREAM[:2], _frame(2, "failed", response=_RESPONSE))},
        "ends otherwise",
    ),
    "lost event": ({"replay": (_STREAM[0], _STREAM[2])}, "not numbered in order"),
    "changed event": ({"replay": (_STREAM[0], _frame(1, "output_text.delta", delta="no"), _STREAM[2])}, "changed"),
    "shown more than there is": ({"seen": ((*_STREAM, _STREAM[2]),)}, "changed or lost"),
    "not in its conversation": ({"items": ()}, "its conversation has"),
    "twice in its conversation": ({"items": (_SAID, _ITEM, _SAID, _ITEM)}, "its conversation has"),
    "half in its conversation": ({"items": (_SAID,)}, "its conversation has"),
    "entered though cancelled": (
        {
            "retrieved": _CANCELLED,
            "again": _CANCELLED,
            "told": (),
            "seen": (),
            "replay": (*_STREAM[:2], _frame(2, "failed", response=_CANCELLED)),
        },
        "entered its conversation",
    ),
    "asked twice": ({"calls": 2}, "asked 2 times"),
}


def test_a_right_ending_is_not_reported() -> None:
    """Readers that saw nothing, a part, or all of the stream; a turn that stands in its conversation."""
    assert check_ending(_ENDING) == []


@pytest.mark.parametrize("name", BROKEN_ENDINGS)
def test_a_broken_ending_is_reported(name: str) -> None:
    """Every way in which a turn could end twice, differently for different readers, or in half is noticed and named."""
    changes, alarm = BROKEN_ENDINGS[name]
    flaws = check_ending(replace(_ENDING, **changes))
    assert any(alarm in flaw for flaw in flaws), flaws


# The checker of the resume sweep.


def test_a_right_cut_is_not_reported() -> None:
    """Cuts within the stream, at its end and beyond."""
    for after in range(len(_STREAM) + 2):
        assert check_cut(Cut("a", after, _STREAM[:after], _STREAM[after:]), _STREAM) == []


@pytest.mark.parametrize(
    ("seen", "rest"),
    [
        (_STREAM[:1], _STREAM[2:]),
        (_STREAM[:1], _STREAM),
        (_STREAM[:1], _STREAM[1:2]),
        (_STREAM[1:2], _STREAM[1:]),
        (_STREAM[:1], (_STREAM[1] + b" ", _STREAM[2])),
    ],
    ids=["lost event", "repeated event", "no end", "another beginning", "another byte"],
)
def test_a_broken_cut_is_reported(seen: tuple[bytes, ...], rest: tuple[bytes, ...]) -> None:
    """A stream that goes on otherwise than it would have is noticed."""
    assert check_cut(Cut("a", 1, seen, rest), _STREAM) != []


def test_a_stream_that_does_not_end_as_it_should_is_reported() -> None:
    """Without its sentinel, or with another end than the model's answer leads to."""
    whole = Streamed(status=200, frames=list(_STREAM), ended=True)
    assert check_whole("a", whole, "completed") == []
    assert check_whole("a", whole, "incomplete") != []
    assert check_whole("a", replace(whole, ended=False), "completed") != []


# The checker of the idempotency sweep.

_FIRST = Outcome(200, _RESPONSE)
_REPLAY = replace(_FIRST, replayed=True)
_RECORD = KeyRecord("key", (_REPLAY, _FIRST, _REPLAY), _REPLAY, calls=1, crashed=False, end="completed", items=2)
_OTHER = replace(_REPLAY, response={**_RESPONSE, "id": "resp_2"})
_FAILURE = Outcome(500, {"id": "resp_1"}, replayed=True)

BROKEN_KEYS: dict[str, tuple[Callable[[KeyRecord], KeyRecord], str]] = {
    "two turns": (lambda record: replace(record, outcomes=(*record.outcomes, _OTHER)), "in 2 ways"),
    "two originals": (lambda record: replace(record, outcomes=(_FIRST, _FIRST)), "2 senders were told"),
    "no original": (lambda record: replace(record, outcomes=(_REPLAY, _REPLAY)), "nobody was told"),
    "forgotten": (lambda record: replace(record, later=_FIRST), "who came last"),
    "another answer later": (lambda record: replace(record, later=_OTHER), "in 2 ways"),
    "one is refused": (lambda record: replace(record, outcomes=(*record.outcomes, _FAILURE)), "answered with 500"),
    "failed without a crash": (lambda record: replace(record, end="failed"), "ended as failed"),
    "asked twice": (lambda record: replace(record, calls=2), "asked 2 times"),
    "asked three times around a crash": (lambda record: replace(record, calls=3, crashed=True), "asked 3 times"),
    "never asked": (lambda record: replace(record, calls=0), "asked 0 times"),
    "twice in its conversation": (lambda record: replace(record, items=4), "4 items instead of 2"),
    "other events": (
        lambda record: replace(record, outcomes=(_FIRST, replace(_REPLAY, events=_STREAM[:1]))),
        "in 2 ways",
    ),
    "success of a failed turn": (lambda record: replace(record, end="failed", crashed=True, items=0), "failed and was"),
}


@pytest.mark.parametrize(
    "record",
    [
        _RECORD,
        replace(_RECORD, calls=2, crashed=True, outcomes=(_REPLAY, _REPLAY)),
        KeyRecord("key", (_FAILURE,), _FAILURE, calls=1, crashed=True, end="failed", items=0),
    ],
    ids=["no crash", "carried out again after a crash", "failed in a crash"],
)
def test_a_right_key_is_not_reported(record: KeyRecord) -> None:
    """One original and its replays; around a crash, a second call or a failure that everybody is told of."""
    assert check_key(record) == []


@pytest.mark.parametrize("name", BROKEN_KEYS)
def test_a_broken_key_is_reported(name: str) -> None:
    """Every way in which a key could stand for two turns, or for none, is noticed and named."""
    broken, alarm = BROKEN_KEYS[name]
    flaws = check_key(broken(_RECORD))
    assert any(alarm in flaw for flaw in flaws), flaws
