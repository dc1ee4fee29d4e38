"""Every field of a request that is right arrives in the turn's request."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.formats.responses import ResponsesFormat
from antiphon.formats.responses.request import FIELDS
from antiphon.hub.errors import InvalidRequest
from antiphon.hub.format import Format, StateFormat
from antiphon.hub.turn import TurnRequest

FORMAT = ResponsesFormat()
# The type checker holds the dialect to both protocols.
AS_FORMAT: Format = FORMAT
AS_STATE_FORMAT: StateFormat = FORMAT
HI = {"type": "message", "role": "user", "status": "completed", "content": [{"type": "input_text", "text": "hi"}]}
FUNCTION = {
    "type": "function",
    "description": None,
    "name": "f",
    "output_schema": None,
    "parameters": None,
    "strict": None,
}

# field, what is sent, where it arrives, what arrives
ROWS: list[tuple[str, Any, str, Any]] = [
    ("model", "gpt-x", "model", "gpt-x"),
    ("input", "hi", "input", (HI,)),
    ("input", [{"role": "user", "content": "hi"}], "input", (HI,)),
    ("previous_response_id", "resp_1", "previous_response_id", "resp_1"),
    ("conversation", "conv_1", "conversation", "conv_1"),
    ("conversation", {"id": "conv_1"}, "conversation", "conv_1"),
    ("include", ["reasoning.encrypted_content"], "include", frozenset({"reasoning.encrypted_content"})),
    ("tools", [{"type": "function", "name": "f"}], "tools", (FUNCTION,)),
    ("tool_choice", "required", "tool_choice", "required"),
    ("tool_choice", {"type": "function", "name": "f"}, "tool_choice", {"type": "function", "name": "f"}),
    ("metadata", {"k": "v"}, "metadata", {"k": "v"}),
    ("text", {"verbosity": "low"}, "text", {"format": {"type": "text"}, "verbosity": "low"}),
    (
        "text",
        {"format": {"type": "json_schema", "name": "n", "schema": {"a": None}}},
        "text",
        {
            "format": {"type": "json_schema", "name": "n", "schema": {"a": None}, "strict": False},
            "verbosity": "medium",
        },
    ),
    ("temperature", 0, "temperature", 0.0),
    ("top_p", 0.5, "top_p", 0.5),
    ("presence_penalty", -2, "presence_penalty", -2.0),
    ("frequency_penalty", 2, "frequency_penalty", 2.0),
    ("parallel_tool_calls", False, "parallel_tool_calls", False),
    ("stream", True, "stream", True),
    ("stream_options", {"include_obfuscation": False}, "include_obfuscation", False),
    ("stream_options", {}, "include_obfuscation", True),
    ("background", False, "not_applied", ()),
    ("max_output_tokens", 16, "max_output_tokens", 16),
    ("max_tool_calls", 3, "max_tool_calls", 3),
    ("max_tool_calls", 3, "not_applied", ("max_tool_calls",)),
    ("reasoning", {"effort": "low", "summary": "auto"}, "reasoning", {"effort": "low", "summary": "auto"}),
    ("reasoning", {"generate_summary": "concise"}, "reasoning", {"summary": "concise"}),
    ("user", "u", "user", "u"),
    ("safety_identifier", "s" * 64, "safety_identifier", "s" * 64),
    ("prompt_cache_key", "k", "prompt_cache_key", "k"),
    ("prompt_cache_retention", "24h", "prompt_cache_retention", "24h"),
    ("truncation", "disabled", "truncation", "disabled"),
    ("instructions", "be brief", "instructions", "be brief"),
    ("store", False, "store", False),
    ("service_tier", "flex", "service_tier", "flex"),
    ("top_logprobs", 20, "top_logprobs", 20),
    ("client_metadata", {"session_id": "s"}, "not_applied", ("client_metadata",)),
]
REFUSED = {
    "prompt",
    "moderation",
    "prompt_cache_options",
    "context_management",
    "background_options",
    "image",
    "access_programs",
}


@pytest.mark.parametrize(("name", "value", "attribute", "expected"), ROWS, ids=[f"{r[0]}-{r[2]}" for r in ROWS])
def test_a_field_arrives(name: str, value: Any, attribute: str, expected: Any) -> None:
    """What the client asked for is in the turn's request, in its full form."""
    turn = FORMAT.decode({"model": "m", "input": "hi", name: value})

    assert expected == getattr(turn, attribute)


def test_the_rows_above_leave_no_field_out() -> None:
    """Every field of the table is either honoured or refused by name."""
    assert set(FIELDS) == {row[0] for row in ROWS} | REFUSED


@pytest.mark.parametrize("name", [name for name in FIELDS if name not in ("model", "input")])
def test_null_is_the_same_as_absent(name: str) -> None:
    """A field that is null decodes to the very request without it."""
    assert FORMAT.decode({"model": "m", "input": "hi"}) == FORMAT.decode({"model": "m", "input": "hi", name: None})


def test_a_plain_request_has_the_apis_defaults() -> None:
    """Only model and input are needed."""
    assert TurnRequest(model="m", input=(HI,)) == FORMAT.decode({"model": "m", "input": "hi"})


@pytest.mark.parametrize("state", [{"previous_response_id": "resp_1"}, {"conversation": "conv_1"}], ids=str)
@pytest.mark.parametrize("empty", [{}, {"input": None}, {"input": []}, {"input": ""}], ids=str)
def test_a_turn_with_state_needs_no_input(state: dict[str, Any], empty: dict[str, Any]) -> None:
    """The history is something to answer."""
    assert FORMAT.decode({"model": "m", **state, **empty}).input == ()


def test_a_limit_of_hosted_calls_counts_where_there_are_hosted_tools() -> None:
    """``max_tool_calls`` is reported as not applied only where nothing could be counted."""
    turn = FORMAT.decode({"model": "m", "input": "hi", "max_tool_calls": 2, "tools": [{"type": "web_search"}]})

    assert turn.not_applied == ()


def test_a_request_is_not_changed() -> None:
    """Defaults are filled into a copy."""
    body = {"model": "m", "input": [{"role": "user", "content": "hi"}], "tools": [{"type": "function", "name": "f"}]}

    FORMAT.decode(body)

    assert body["tools"] == [{"type": "function", "name": "f"}]
    assert body["input"] == [{"role": "user", "content": "hi"}]


def test_unknown_fields_can_be_ignored_and_are_named() -> None:
    """A gateway that is configured so takes them, and says that they had no effect."""
    lenient = ResponsesFormat(unknown_parameters="ignore")

    assert lenient.decode({"model": "m", "input": "hi", "colour": "red"}).not_applied == ("colour",)


def test_the_number_of_input_items_is_limited() -> None:
    """The error names the limit."""
    with pytest.raises(InvalidRequest, match=r"maximum length 2 \(max_items\), but got an array with length 3"):
        ResponsesFormat(max_items=2).decode({"model": "m", "input": [{"role": "user", "content": "hi"}] * 3})
