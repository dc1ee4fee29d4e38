"""A short run of the fuzzer, and that it sees what is wrong; ``python -m tests.fuzz`` is the long one."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antiphon import InMemorySessionStore
from tests.fuzz.requests import JSON, Request, RequestMaker
from tests.fuzz.sweep import sweep, violation
from tests.support.asgi_client import Answer, post
from tests.support.ready_upstream import MODEL, ready_gateway

ENVELOPE = b'{"error":{"message":"No.","type":"invalid_request_error","param":null,"code":null}}'


async def test_hostile_requests_are_answered_as_they_should_be() -> None:
    """A few thousand nearly good requests: never a 5xx, always one answer of its kind."""
    report = await sweep(count=4000, seed=7)
    assert report.violations == []
    assert report.count == 4000
    assert report.statuses[200] > 100, "some of them are good"
    assert report.statuses[400] > 1000, "most are not"


def test_the_same_seed_makes_the_same_requests() -> None:
    """What a sweep found can be found again."""
    one, other = RequestMaker(3), RequestMaker(3)
    assert [one.make() for _ in range(200)] == [other.make() for _ in range(200)]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500, {"content-type": "application/json", "x-request-id": "req_1"}, ENVELOPE, 1),
        Answer(400, {"content-type": "application/json", "x-request-id": "req_1"}, b"no", 1),
        Answer(400, {"content-type": "application/json", "x-request-id": "req_1"}, b'{"error":{}}', 1),
        Answer(400, {"content-type": "text/plain", "x-request-id": "req_1"}, ENVELOPE, 1),
        Answer(400, {"content-type": "application/json"}, ENVELOPE, 1),
        Answer(400, {"content-type": "application/json", "x-request-id": "req_1"}, ENVELOPE, 2),
        Answer(),
        Answer(200, {"content-type": "application/json", "x-request-id": "req_1"}, b"{", 1),
        Answer(200, {"content-type": "text/event-stream", "x-request-id": "req_1"}, b"data: {}\n\n", 1),
    ],
    ids=["500", "no JSON", "no envelope", "another type", "no id", "two answers", "none", "half", "no end"],
)
def test_the_sweep_sees_wrong_answers(answer: Answer) -> None:
    """Every kind of answer that must not be is a violation."""
    assert violation(Request("POST", "/v1/responses", (JSON,), b"{}"), answer) is not None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip

FIELDS = (
    "input", "tools", "tool_choice", "metadata", "text", "reasoning", "include", "stream", "store", "temperature",
    "conversation", "previous_response_id", "prompt", "instructions", "context_management", "unheard_of",
)  # fmt: skip


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=3))
async def test_any_value_in_any_field_is_taken_or_refused(fields: dict[str, object]) -> None:
    """Whatever JSON stands in a field, the answer is one of its kind."""
    gateway, _ = ready_gateway(InMemorySessionStore())
    async with gateway:
        answer = await post(gateway.asgi(), "/v1/responses", {"model": MODEL, "input": "hi", **fields})
    assert violation(Request("POST", "/v1/responses", (JSON,), b""), answer) is None
