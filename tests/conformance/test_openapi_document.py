"""OpenAI's document finds what is wrong with an answer, and only that."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from antiphon import Gateway, InMemorySessionStore, upstream
from tests.conformance.prune import PRUNED, prune
from tests.gateway.conftest import serving
from tests.support.openapi_document import OpenAPIDocument, published
from tests.support.openapi_document_forgiven import FORGIVEN
from tests.support.openapi_document_sdk import sdk_event_violations, sdk_violations
from tests.support.recorder_form import form_of, words_in
from tests.support.scripted_upstream import ScriptedUpstream

Plant = Callable[[Any], object]
_EMPTY_LIST: dict[str, Any] = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}

_COMPACTION: dict[str, Any] = {
    "id": "resp_1",
    "object": "response.compaction",
    "created_at": 1,
    "output": [
        {
            "id": "msg_1",
            "type": "message",
            "role": "user",
            "status": "completed",
            "content": [{"type": "input_text", "text": "hi"}],
        }
    ],
    "usage": {
        "input_tokens": 1,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 1,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 2,
    },
}


@dataclass
class Answers:
    """What a gateway really answers."""

    response: dict[str, Any]
    events: dict[str, dict[str, Any]]


@pytest.fixture
async def answers() -> AsyncIterator[Answers]:
    async with ScriptedUpstream.serve() as scripted:
        gateway = Gateway([upstream(scripted.url, name="scripted")]).with_session_store(InMemorySessionStore())
        async with serving(gateway, scripted) as client:
            events = await client.stream("hi")
            yield Answers(await client.respond("hi"), {event["type"]: event for event in events})


def test_what_the_gateway_answers_is_clean(answers: Answers) -> None:
    """A response and every event of a stream are as the document and the client have them."""
    found = published().violations("POST", "/v1/responses", 200, answers.response)
    found += sdk_violations("POST", "/v1/responses", 200, answers.response)
    for event in answers.events.values():
        found += published().event_violations(event) + sdk_event_violations(event)
    assert found == []


@pytest.mark.parametrize(
    ("plant", "place"),
    [
        pytest.param(lambda body: body.pop("tool_choice"), "$", id="missing"),
        pytest.param(lambda body: body.update(created_at="now"), "$.created_at", id="wrong-type"),
        pytest.param(lambda body: body.update(status="done"), "$.status", id="unknown-word"),
        pytest.param(lambda body: body.update(metadata={"a": 1}), "$.metadata.a", id="deep"),
        pytest.param(lambda body: body["output"][0].pop("id"), "$.output[0]", id="item-without-id"),
        pytest.param(lambda body: body["output"][0].update(role="user"), "$.output[0]", id="item-of-another-role"),
        pytest.param(lambda body: body["output"][0].update(type="thought"), "$.output[0]", id="unknown-item"),
        pytest.param(
            lambda body: body["output"][0]["content"][0].pop("annotations"), "$.output[0].content[0]", id="part"
        ),
        pytest.param(lambda body: body["usage"].pop("total_tokens"), "$.usage", id="usage"),
        pytest.param(lambda body: body.update(usage=3), "$.usage", id="forgiven-only-if-null"),
    ],
)
def test_a_planted_violation_of_a_body_is_found_where_it_is(answers: Answers, plant: Plant, place: str) -> None:
    """One complaint, at the field that is wrong."""
    body = copy.deepcopy(answers.response)
    plant(body)
    found = published().violations("POST", "/v1/responses", 200, body)
    assert [complaint.split(": ")[0] for complaint in found] == [place]


@pytest.mark.parametrize(
    ("kind", "plant"),
    [
        pytest.param("response.output_text.delta", lambda event: event.pop("item_id"), id="missing"),
        pytest.param("response.output_text.delta", lambda event: event.update(delta=1), id="wrong-type"),
        pytest.param("response.output_text.delta", lambda event: event.update(type="response.text"), id="unknown"),
        pytest.param("response.output_item.added", lambda event: event["item"].pop("role"), id="in-its-item"),
        pytest.param("response.completed", lambda event: event["response"].pop("output"), id="in-its-response"),
        pytest.param("response.completed", lambda event: event.pop("sequence_number"), id="without-number"),
    ],
)
def test_a_planted_violation_of_an_event_is_found(answers: Answers, kind: str, plant: Plant) -> None:
    """By the document; an event of a stream is checked as strictly as a body."""
    event = copy.deepcopy(answers.events[kind])
    plant(event)
    assert len(published().event_violations(event)) == 1


@pytest.mark.parametrize(
    "plant",
    [
        pytest.param(lambda body: body.pop("output"), id="missing"),
        pytest.param(lambda body: body.update(parallel_tool_calls="yes"), id="wrong-type"),
        pytest.param(lambda body: body.update(temperature="1"), id="text-for-a-number"),
    ],
)
def test_the_clients_types_are_strict(answers: Answers, plant: Plant) -> None:
    """What the client would take without looking is found."""
    body = copy.deepcopy(answers.response)
    plant(body)
    assert sdk_violations("POST", "/v1/responses", 200, body)


def test_an_error_is_the_envelope_on_every_route() -> None:
    """Whatever was asked for, an error says message, type, param and code."""
    error = {"message": "No.", "type": "invalid_request_error", "param": None, "code": None}
    for path in ("/v1/responses", "/v1/nowhere"):
        assert published().violations("POST", path, 400, {"error": error}) == []
    assert len(published().violations("POST", "/v1/responses", 400, {"error": {"message": "No."}})) == 3
    assert sdk_violations("POST", "/v1/responses", 400, {"error": {"type": "invalid_request_error"}})


def test_a_route_that_is_described_nowhere_is_a_violation() -> None:
    """A new route has to be described before it can answer."""
    assert published().violations("GET", "/v1/nowhere", 200, {}) == [
        "$: the answer of GET /v1/nowhere is described nowhere"
    ]


def test_each_forgiveness_is_needed(answers: Answers) -> None:
    """An entry of the list that forgives nothing would only hide something one day."""
    strict = OpenAPIDocument(json.loads(PRUNED.read_bytes()), prefix="/v1", forgiven=())
    begun = answers.events["response.created"]["response"]
    complaints = strict.violations("POST", "/v1/responses", 200, begun)
    complaints += strict.violations("GET", "/v1/conversations/conv_1/items", 200, _EMPTY_LIST)
    complaints += strict.event_violations({"type": "response.compaction.compacting"})
    complaints += sdk_violations("POST", "/v1/responses/compact", 200, _COMPACTION, forgiven=())
    needed = {entry.pattern for entry in FORGIVEN if any(_matches(entry.pattern, said) for said in complaints)}
    assert needed == {entry.pattern for entry in FORGIVEN}


def test_the_ends_of_a_page_are_forgiven_only_to_an_empty_one(answers: Answers) -> None:
    """A page with items has to name its first and its last."""
    path = f"/v1/responses/{answers.response['id']}/input_items"
    full = {**_EMPTY_LIST, "data": answers.response["output"]}
    assert published().violations("GET", path, 200, _EMPTY_LIST) == []
    assert len(published().violations("GET", path, 200, full)) == 2


def test_the_pruned_document_is_what_pruning_makes() -> None:
    """It holds nothing that cannot be reached, and pruning it again changes nothing."""
    document = json.loads(PRUNED.read_bytes())
    assert prune(document) == document


def test_values_of_one_form_are_those_that_no_schema_tells_apart(answers: Answers) -> None:
    """Another text or number is the same form; another word of the API, kind, or field is not."""
    words = published().words
    event = answers.events["response.output_text.delta"]

    def form(**changed: object) -> object:
        return form_of({**event, **changed}, words)

    assert form(delta="Hello") == form(delta="World")
    for other in ({"delta": 1}, {"delta": None}, {"type": "response.output_text.done"}, {"logprobs": [1]}, {"x": 0}):
        assert form(**other) != form()
    assert form_of(True, words) != form_of(1, words)
    assert words_in({"anyOf": [{"const": "a"}, {"enum": ["b", 1]}]}) == {"a", "b"}


def _matches(pattern: str, complaint: str) -> bool:
    return re.fullmatch(pattern, complaint) is not None
