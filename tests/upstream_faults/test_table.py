"""The table of faults: each row with a stream and without, with a second upstream, and what is stored of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.support.asgi_client import Answer
from tests.upstream_faults import bodies, connections, statuses, streams
from tests.upstream_faults.fault import Answered, Broken, Fault, Refused
from tests.upstream_faults.stage import BOTH, Stage, events_of, staged

TABLE = {
    f"{module.__name__.rpartition('.')[2]}: {fault.name}": fault
    for module in (connections, statuses, bodies, streams)
    for fault in module.FAULTS
}

every_fault = pytest.mark.parametrize("fault", TABLE.values(), ids=TABLE.keys())


@every_fault
async def test_a_turn_without_a_stream(fault: Fault) -> None:
    """Without a stream a fault is one HTTP error of the right status, code and type, and is stored if it had begun."""
    async with staged(fault) as stage:
        answer = await stage.whole()
        stored = await stage.stored()

        match fault.outcome:
            case Refused():
                _assert_refused(answer, fault.outcome, stage)
                assert stored == []
            case Broken(status, code, kind):
                assert (answer.status, answer.error["code"], answer.error["type"]) == (status, code, kind)
                assert answer.headers["x-antiphon-upstream"] == "faulty"
                _assert_failed(stored, fault.outcome)
                assert stored[0]["id"] == answer.headers["x-antiphon-response-id"]
            case Answered():
                assert answer.status == 200, answer.body
                assert answer.headers["x-antiphon-upstream"] == "faulty"
                _assert_answered(answer.json, fault.outcome)
                assert stored == [answer.json]


@every_fault
async def test_a_turn_with_a_stream(fault: Fault) -> None:
    """With a stream a fault before the answer is the same HTTP error; after it there is one terminal event, stored."""
    async with staged(fault) as stage:
        answer = await stage.streamed()
        stored = await stage.stored()

        match fault.outcome:
            case Refused():
                _assert_refused(answer, fault.outcome, stage)
                assert stored == []
            case Broken(said=said):
                events = events_of(answer)
                assert answer.headers["x-antiphon-upstream"] == "faulty"
                assert events[-1]["type"] == "response.failed"
                assert said == _said_in(events)
                _assert_failed(stored, fault.outcome)
                assert stored == [events[-1]["response"]]
            case Answered(status=status):
                events = events_of(answer)
                assert events[-1]["type"] == f"response.{status}"
                assert fault.outcome.text == _said_in(events)
                _assert_answered(events[-1]["response"], fault.outcome)
                assert stored == [events[-1]["response"]]


@every_fault
async def test_a_second_upstream(fault: Fault) -> None:
    """The second upstream answers if the first one refused for reasons of its own, and never after its answer began."""
    async with staged(fault) as stage:
        answer = await stage.whole(BOTH)

        if isinstance(fault.outcome, Refused) and fault.outcome.elsewhere:
            assert (answer.status, answer.headers["x-antiphon-upstream"]) == (200, "healthy")
            _assert_answered(answer.json, Answered())
        else:
            assert stage.healthy.requests == []
            assert answer.status == (200 if isinstance(fault.outcome, Answered) else fault.outcome.status)


def test_the_table_has_all_kinds() -> None:
    """The table is long, no fault is in it twice, and every outcome there is occurs often."""
    kinds = Counter(type(fault.outcome) for fault in TABLE.values())

    assert len(TABLE) == sum(len(module.FAULTS) for module in (connections, statuses, bodies, streams)) >= 200
    assert min(kinds[kind] for kind in (Refused, Broken, Answered)) >= 40


def _assert_refused(answer: Answer, outcome: Refused, stage: Stage) -> None:
    error = answer.error
    assert (answer.status, error["code"], error["type"]) == (outcome.status, outcome.code, outcome.type), error
    assert error["message"]
    assert answer.headers.get("retry-after") == outcome.retry_after
    assert "x-antiphon-response-id" not in answer.headers
    assert len(stage.faulty.requests) == outcome.tries


def _assert_failed(stored: list[Any], outcome: Broken) -> None:
    (response,) = stored
    assert (response["status"], response["error"]["code"]) == ("failed", outcome.stream_code)
    assert response["error"]["message"]


def _assert_answered(response: Any, outcome: Answered) -> None:
    assert (response["status"], response["error"]) == (outcome.status, None)
    assert outcome.output == tuple(item["type"] for item in response["output"])
    assert outcome.text == _text_of(response)
    usage = response["usage"]
    assert outcome.usage == (usage and (usage["input_tokens"], usage["output_tokens"]))


def _text_of(response: Any) -> str:
    parts = [part for item in response["output"] for part in item.get("content") or ()]
    return "".join(part["text"] for part in parts if part["type"] == "output_text")


def _said_in(events: list[Any]) -> str:
    return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
