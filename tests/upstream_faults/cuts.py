"""
Golden streams cut and split at every byte, within one process: decoder, order check, accumulator, format.

A stream that is cut is never a success unless its own end had come, it ends in exactly one terminal event, and what it
says is a prefix of what the whole stream says. One that is split, into as many pieces as you like, says the same as the
whole. Nothing but an error of our own tree is ever raised.
"""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from antiphon.formats.responses.stream import ResponsesStreamEncoder
from antiphon.hub.errors import AntiphonError, UpstreamBroken, UpstreamError
from antiphon.hub.events import (
    Event,
    OtherEvent,
    ReplyEnd,
    ResponseCreated,
    ResponseInProgress,
    terminal_event,
)
from antiphon.hub.items import JsonObject
from antiphon.hub.upstream import ReplyEvent
from antiphon.streams.accumulator import Accumulator
from antiphon.streams.order import OrderCheck
from tests.providers.openai_chat_replies import decoder
from tests.upstream_faults.golden import golden_streams

__all__ = ["Case", "Report", "sweep"]

End = Literal["ended", "broken"]
_TERMINAL = (b"event: response.completed\n", b"event: response.incomplete\n", b"event: response.failed\n")


class Case(NamedTuple):
    """
    One way in which a stream comes.

    Attributes:
        cut: How many of its bytes come.
        borders: Where those are split into blocks.
        end: What follows them: the end as HTTP has it, or a broken connection.
    """

    stream: str
    cut: int
    borders: tuple[int, ...]
    end: End


class Outcome(NamedTuple):
    """
    What a reader sees of a turn.

    Attributes:
        status: Of the terminal event.
        said: The bytes of all events before it.
        output: The response's items.
        error: What it failed of.
    """

    status: str
    said: bytes
    terminal: bytes
    output: list[JsonObject]
    error: AntiphonError | None


@dataclass
class Report:
    """What a sweep found."""

    count: int
    seed: int
    seconds: float = 0.0
    ends: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        ends = ", ".join(f"{count} {status}" for status, count in sorted(self.ends.items()))
        rate = self.count / self.seconds if self.seconds else 0.0
        return f"{self.count} cases, seed {self.seed}: {ends}; {rate:.0f} a second; {len(self.violations)} violations"


def sweep(*, count: int, seed: int, decode: Callable[[Case, bytes], Outcome] | None = None) -> Report:
    """
    Try *count* cases: every cut and every split of every golden stream in turn, then splits into more pieces at random.

    Args:
        seed: The order of the cases, and where the pieces of the random ones are.
        decode: What is judged, for a test that plants a bug. None for the gateway's own way.
    """
    decode = decode or outcome_of
    streams = golden_streams()
    wholes = {name: decode(Case(name, len(data), (), "ended"), data) for name, data in streams.items()}
    report = Report(count, seed)
    began_at = time.perf_counter()
    chance = random.Random(seed)  # noqa: S311 - the same cases every time
    for case in itertools.islice(_cases(streams, chance), count):
        complaint = _judge(case, streams[case.stream], wholes[case.stream], decode, report)
        if complaint:
            report.violations.append(f"{case}: {complaint}")
    report.seconds = time.perf_counter() - began_at
    return report


def outcome_of(case: Case, data: bytes) -> Outcome:
    """Carry a case out as the engine does."""
    order, accumulator, encoder = OrderCheck(), Accumulator(), ResponsesStreamEncoder(obfuscate=False)
    opening: list[Event | OtherEvent] = [ResponseCreated({}), ResponseInProgress({})]
    order.feed(opening)
    said = [encoder.encode(opening)]
    end: ReplyEnd | None = None
    error: AntiphonError | None = None
    try:
        for batch in _batches(case, data):
            last = batch[-1] if batch else None
            if isinstance(last, ReplyEnd):
                end = last
            events: list[Event | OtherEvent] = [event for event in batch if not isinstance(event, ReplyEnd)]
            assert len(batch) - len(events) == isinstance(last, ReplyEnd), "an end that is not the last"
            order.feed(events)
            accumulator.feed(events)
            said.append(encoder.encode(events))
    except AntiphonError as fault:
        error, end = fault, None
        accumulator.close_open("incomplete")
    status = "failed" if end is None else end.status
    terminal = terminal_event({"status": status})
    order.feed([terminal])
    return Outcome(status, b"".join(said), encoder.encode([terminal]), accumulator.output(), error)


def _batches(case: Case, data: bytes) -> Iterator[Sequence[ReplyEvent]]:
    reply = decoder()
    for start, stop in itertools.pairwise((0, *case.borders, case.cut)):
        if reply.ended:
            break
        yield reply.feed(data[start:stop])
    if case.end == "broken" and not reply.ended:
        raise UpstreamBroken("The connection was closed.")
    yield reply.finish()


def _cases(golden: Mapping[str, bytes], chance: random.Random) -> Iterator[Case]:
    """Every cut with both ends and every split, shuffled; then, for ever, pieces at random."""
    every = [
        case
        for name, data in golden.items()
        for at in range(len(data))
        for case in (
            Case(name, at, (), "ended"),
            Case(name, at, (), "broken"),
            Case(name, len(data), (at,), "ended"),
        )
    ]
    chance.shuffle(every)
    yield from every
    names = sorted(golden)
    while True:
        name = chance.choice(names)
        size = len(golden[name])
        cut = size if chance.random() < 0.3 else chance.randrange(size)
        pieces = chance.choice((1, 2, 5, 30))
        borders = sorted(chance.randrange(cut + 1) for _ in range(pieces))
        yield Case(name, cut, tuple(borders), chance.choice(("ended", "broken")))


def _judge(
    case: Case, data: bytes, whole: Outcome, decode: Callable[[Case, bytes], Outcome], report: Report
) -> str | None:
    """What is wrong with a case; None for nothing."""
    try:
        outcome = decode(case, data)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
        return f"raised {type(error).__name__}: {error}"
    report.ends[outcome.status] += 1
    if outcome.error is not None and not isinstance(outcome.error, UpstreamError):
        return f"the gateway's own fault: {outcome.error!r}"
    if sum(map((outcome.said + outcome.terminal).count, _TERMINAL)) != 1:
        return "not exactly one terminal event"
    if outcome.status != "failed" or (case.cut == len(data) and case.end == "ended"):
        return _compare_whole(case, data, outcome, whole)
    return _compare_prefix(outcome, whole)


def _compare_whole(case: Case, data: bytes, outcome: Outcome, whole: Outcome) -> str | None:
    if (outcome.status, outcome.output) != (whole.status, whole.output):
        return f"'{outcome.status}' with another output than the whole stream's '{whole.status}'"
    if outcome.status != "failed" and b"[DONE]" not in data[: case.cut]:
        return "a success without the stream's end"
    return None if outcome.said == whole.said else "other events than the whole stream's"


def _compare_prefix(outcome: Outcome, whole: Outcome) -> str | None:
    if not whole.said.startswith(outcome.said):
        return "events that are no prefix of the whole stream's"
    if any(item.get("status") == "in_progress" for item in outcome.output):
        return "an item that is still open in a response that has ended"
    done = [item for item in outcome.output if item.get("status") == "completed"]
    return None if done == whole.output[: len(done)] else "items that are not the whole stream's"
