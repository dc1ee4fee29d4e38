"""The response object: its fields and their order, its moments, and its compact form."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai._models import validate_type
from openai.types.responses import Response

from antiphon.formats.responses import ResponsesFormat
from antiphon.hub.errors import StoreCorrupt
from antiphon.hub.items import JsonObject
from antiphon.hub.response import TERMINAL, compact, expand, opening_response, render
from antiphon.hub.turn import TurnRequest
from antiphon.hub.usage import Usage

FORMAT = ResponsesFormat()
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "status": "completed",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "x", "annotations": [], "logprobs": []}],
}
USAGE = Usage(input_tokens=3, output_tokens=2)

# The order of the wire; what only a terminal body has stands at the end.
WIRE = """
id object created_at status background completed_at error frequency_penalty incomplete_details instructions
max_output_tokens max_tool_calls model moderation output parallel_tool_calls presence_penalty previous_response_id
prompt_cache_key prompt_cache_retention reasoning safety_identifier service_tier store temperature text tool_choice
tool_usage tools top_logprobs top_p truncation usage user metadata billing
"""
TERMINAL_NAMES = WIRE.split()

FULL = {
    "model": "alias",
    "input": "hi",
    "instructions": "be brief",
    "previous_response_id": "resp_0",
    "tools": [
        {"type": "function", "name": "f", "parameters": {"type": "object"}},
        {"type": "custom", "name": "c"},
    ],
    "tool_choice": {"type": "function", "name": "f"},
    "metadata": {"a": "b"},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}, "verbosity": "low"},
    "temperature": 0,
    "top_p": 0.5,
    "presence_penalty": 1,
    "frequency_penalty": -1,
    "parallel_tool_calls": False,
    "max_output_tokens": 100,
    "max_tool_calls": 2,
    "reasoning": {"effort": "low", "summary": "auto"},
    "user": "u",
    "safety_identifier": "s",
    "prompt_cache_key": "k",
    "prompt_cache_retention": "24h",
    "store": False,
    "service_tier": "flex",
    "top_logprobs": 5,
}


def opened(body: JsonObject, *, conversation_id: str | None = None) -> JsonObject:
    """The opening response of a request."""
    request = FORMAT.decode(body)
    return opening_response(request, id="resp_1", created_at=7, model=request.model, conversation_id=conversation_id)


PLAIN = opened({"model": "m", "input": "hi"})

MOMENTS: dict[str, dict[str, Any]] = {
    "queued": {"status": "queued", "output": []},
    "in_progress": {"status": "in_progress", "output": []},
    "completed": {"status": "completed", "output": [MESSAGE], "usage": USAGE, "completed_at": 9, "model": "m-2026"},
    "incomplete": {
        "status": "incomplete",
        "output": [MESSAGE],
        "usage": USAGE,
        "incomplete_reason": "max_output_tokens",
    },
    "failed": {"status": "failed", "output": [], "error": {"code": "server_error", "message": "broke"}},
    "cancelled": {"status": "cancelled", "output": [MESSAGE], "completed_at": 9},
}


@pytest.mark.parametrize("request_body", [{"model": "m", "input": "hi"}, FULL], ids=["plain", "full"])
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("conversation_id", [None, "conv_1"], ids=["", "conversation"])
def test_every_moment_passes_the_sdks_strict_types(
    request_body: JsonObject, moment: str, conversation_id: str | None
) -> None:
    """The SDK builds its own response from the bytes without a complaint."""
    body = render(opened(request_body, conversation_id=conversation_id), **MOMENTS[moment])

    validate_type(type_=Response, value=orjson.loads(FORMAT.encode_response(body)))


def test_the_fields_stand_in_the_order_of_the_wire() -> None:
    """A terminal body has exactly the recorded fields, in their order."""
    assert list(render(PLAIN, **MOMENTS["completed"])) == TERMINAL_NAMES


def test_a_running_body_says_nothing_of_billing() -> None:
    """Who pays is said when something has to be paid for."""
    expected = [name for name in TERMINAL_NAMES if name != "billing"]

    assert expected == list(PLAIN)
    assert expected == list(render(PLAIN, **MOMENTS["in_progress"]))


def test_a_conversation_is_named_only_where_there_is_one() -> None:
    """It stands behind ``completed_at``, as an object with the id."""
    body = render(opened({"model": "m", "input": "hi"}, conversation_id="conv_1"), **MOMENTS["completed"])

    assert body["conversation"] == {"id": "conv_1"}
    assert list(body)[5:7] == ["completed_at", "conversation"]
    assert "conversation" not in PLAIN


def test_a_plain_request_is_echoed_with_the_apis_defaults() -> None:
    """What was not asked for is echoed as OpenAI echoes it."""
    settings = {name: PLAIN[name] for name in ("temperature", "top_p", "top_logprobs", "truncation", "tool_choice")}

    assert settings == {
        "temperature": 1.0,
        "top_p": 1.0,
        "top_logprobs": 0,
        "truncation": "disabled",
        "tool_choice": "auto",
    }
    assert PLAIN["reasoning"] == {"effort": None, "summary": None}
    assert PLAIN["text"] == {"format": {"type": "text"}, "verbosity": "medium"}
    assert (PLAIN["presence_penalty"], PLAIN["frequency_penalty"]) == (0.0, 0.0)


def test_a_full_request_is_echoed_whole() -> None:
    """Every setting comes back; the service tier is the one that served, later."""
    echo = opened(FULL)
    same = {name: echo[name] for name in FULL if name not in ("model", "input", "tools", "text", "service_tier")}

    assert {name: FULL[name] for name in same} == same
    assert [tool["name"] for tool in echo["tools"]] == ["f", "c"]
    assert echo["service_tier"] == "auto"


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_moment_shows_what_holds_then(moment: str) -> None:
    """Usage, tier and end are null or provisional until the response is terminal."""
    body = render(PLAIN, **{"usage": USAGE, "completed_at": 9, **MOMENTS[moment]})

    ended = moment in TERMINAL
    assert body["service_tier"] == ("default" if ended else "auto")
    assert body["usage"] == (USAGE.body() if ended else None)
    assert body["completed_at"] == (9 if moment == "completed" else None)
    assert body.get("billing") == ({"payer": "developer"} if ended else None)


def test_what_the_upstream_reported_is_shown() -> None:
    """Model and tier are the upstream's own, the reason and the error the turn's."""
    body = render(
        PLAIN, status="incomplete", output=[], incomplete_reason="content_filter", service_tier="flex", model="n"
    )

    assert (body["service_tier"], body["model"]) == ("flex", "n")
    assert body["incomplete_details"] == {"reason": "content_filter"}
    assert render(PLAIN, **MOMENTS["failed"])["error"] == {"code": "server_error", "message": "broke"}


def test_rendering_leaves_the_base_alone() -> None:
    """One opening serves every event of its turn."""
    before = orjson.dumps(PLAIN)
    output: list[JsonObject] = []

    body = render(PLAIN, status="completed", output=output, completed_at=9)
    output.append(MESSAGE)

    assert before == orjson.dumps(PLAIN)
    assert body["output"] == []


def test_a_plain_turn_is_stored_in_a_few_bytes() -> None:
    """Only what differs from the defaults is kept, and never the output."""
    body = render(PLAIN, status="completed", output=[MESSAGE], usage=USAGE, completed_at=9)

    expected = {"v": 1, "id": "resp_1", "created_at": 7, "status": "completed", "completed_at": 9, "model": "m"}
    assert {**expected, "usage": USAGE.body()} == compact(body)


@pytest.mark.parametrize("version", [2, None, "1"], ids=repr)
def test_a_response_of_an_unknown_version_is_an_error(version: object) -> None:
    """It is never filled up with the wrong defaults."""
    with pytest.raises(StoreCorrupt):
        expand({**compact(PLAIN), "v": version})


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from([0.0, 1.0, 0.5]) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
CHANGES = st.dictionaries(
    st.sampled_from([name for name in TERMINAL_NAMES if name not in ("output", "status")]), JSON, max_size=4
)
TURNS = st.builds(
    TurnRequest,
    model=st.text(max_size=5),
    instructions=st.none() | st.text(max_size=5),
    store=st.booleans(),
    temperature=st.none() | st.sampled_from([0.0, 1.0, 1.5]),
    top_logprobs=st.none() | st.integers(0, 20),
    tool_choice=st.sampled_from(["auto", "none", {"type": "function", "name": "f"}]),
    reasoning=st.sampled_from([{}, {"effort": None}, {"effort": "low"}, {"context": "auto"}]),
    metadata=st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
)


@given(request=TURNS, moment=st.sampled_from(sorted(MOMENTS)), conversation_id=st.none() | st.just("conv_1"))
def test_what_was_compacted_expands_to_the_same_bytes(
    request: TurnRequest, moment: str, conversation_id: str | None
) -> None:
    """Every response that a turn can have comes back with the same values, types and order, but without its output."""
    base = opening_response(request, id="resp_1", created_at=7, model=request.model, conversation_id=conversation_id)
    body = render(base, **MOMENTS[moment])

    stored = orjson.loads(orjson.dumps(compact(body)))

    assert orjson.dumps({**body, "output": []}) == orjson.dumps(expand(stored))


@given(changes=CHANGES, dropped=st.sets(st.sampled_from(TERMINAL_NAMES)), turn_round=st.booleans(), extra=JSON)
def test_any_other_set_of_fields_survives_too(
    changes: JsonObject, dropped: set[str], turn_round: bool, extra: object
) -> None:
    """Fields of an upstream, missing ones and another order cost a little space, never their place."""
    body = {**render(PLAIN, **MOMENTS["completed"]), **changes, "later": extra}
    kept = {name: value for name, value in body.items() if name not in dropped}
    if turn_round:
        kept = dict(reversed(kept.items()))

    expanded = expand(orjson.loads(orjson.dumps(compact(kept))))

    emptied = {name: [] if name == "output" else value for name, value in kept.items()}
    assert orjson.dumps(emptied) == orjson.dumps(expanded)
