"""
What it costs to be able to say a stream again: its trace against all its events as JSON. No sockets.

    python -m benchmarks.trace

One message of short deltas, as the assembler makes it. The recorder follows the events in blocks; the trace is asked
for once; replaying gives all events again. Medians, in microseconds of this machine's CPU per event.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import orjson

from antiphon.formats.responses.stream import encode_event
from antiphon.hub.events import Event, OtherEvent, ReplyEnd, ResponseCompleted, ResponseCreated, ResponseInProgress
from antiphon.hub.ids import Family, IdFactory
from antiphon.hub.items import JsonObject
from antiphon.hub.response import opening_response, render
from antiphon.hub.turn import TurnRequest
from antiphon.streams.accumulator import Accumulator
from antiphon.streams.assembler import Assembler
from antiphon.streams.trace import TraceRecorder, replay

__all__ = ["main"]

WORDS = ("The", " quick", " brown", " fox", " jumps", " over", " the", " lazy", " dog", ".")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trace", description="What a trace costs.")
    parser.add_argument("--rounds", type=int, default=15, help="figures are medians over them")
    parser.add_argument("--deltas", type=int, default=[5, 50, 500, 5000], nargs="+", help="how long the streams are")
    parser.add_argument("--block", type=int, default=10, help="how many events come at a time")
    options = parser.parse_args()
    print("| deltas | trace, bytes | bytes per delta | events as JSON, bytes | feed, µs | trace, µs | replay, µs |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for deltas in options.deltas:
        print("| " + " | ".join(_figures(deltas, options.block, options.rounds)) + " |")


def _figures(deltas: int, block: int, rounds: int) -> Iterator[str]:
    said, response = _stream(deltas)
    blocks = [said[start : start + block] for start in range(0, len(said), block)]
    trace = _recorded(blocks).trace(response)
    events = replay(trace, response)
    assert events == [*said, ResponseCompleted(response)]
    yield str(deltas)
    yield str(len(orjson.dumps(trace)))
    yield f"{len(orjson.dumps(trace)) / deltas:.2f}"
    yield str(sum(len(encode_event(event, number, obfuscate=False)) for number, event in enumerate(events)))
    yield f"{_cpu_us(lambda: None, lambda _: _recorded(blocks), rounds) / len(said):.3f}"
    yield f"{_cpu_us(lambda: _recorded(blocks), lambda recorder: recorder.trace(response), rounds) / len(said):.3f}"
    yield f"{_cpu_us(lambda: None, lambda _: replay(trace, response), rounds) / len(said):.3f}"


def _recorded(blocks: list[list[Event | OtherEvent]]) -> TraceRecorder:
    recorder = TraceRecorder()
    for block in blocks:
        recorder.feed(block)
    return recorder


def _stream(deltas: int) -> tuple[list[Event | OtherEvent], JsonObject]:
    ids, family = IdFactory(lambda: 1741570283.0), Family("0123456789abcdef")
    assembler = Assembler(ids, family)
    for number in range(deltas):
        assembler.text(WORDS[number % len(WORDS)])
    assembler.end(status="completed")
    reply = [event for event in assembler.take() if not isinstance(event, ReplyEnd)]
    base = opening_response(
        TurnRequest(model="m"), id=ids.response(family), created_at=1741570283, model="m", conversation_id=None
    )
    shown = render(base, status="in_progress", output=[])
    accumulator = Accumulator()
    accumulator.feed(reply)
    response = render(base, status="completed", output=accumulator.output(), completed_at=1741570285)
    return [ResponseCreated(shown), ResponseInProgress(shown), *reply], response


def _cpu_us(prepare: Callable[[], Any], work: Callable[[Any], object], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        prepared = prepare()
        began = time.process_time_ns()
        work(prepared)
        taken.append((time.process_time_ns() - began) / 1e3)
    return median(taken)


if __name__ == "__main__":
    main()
