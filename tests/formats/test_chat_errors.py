"""Every error of a chat request's decoding, byte for byte as OpenAI says it; and what is refused here by name."""

from __future__ import annotations

import contextlib
from typing import Any

import openai
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.formats.chat import ChatFormat
from antiphon.formats.chat.request import FIELDS, decode
from antiphon.hub.errors import (
    AntiphonError,
    ContextLengthExceeded,
    InvalidRequest,
    ModelNotFound,
    UnsupportedParameter,
    UpstreamUnavailable,
)
from antiphon.hub.items import JsonObject
from tests.formats.chat_answers import refusing_client

FORMAT = ChatFormat()
HELLO = {"role": "user", "content": "Hello"}
CALLING = {
    "role": "assistant",
    "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "c2", "type": "function", "function": {"name": "f", "arguments": "{}"}},
    ],
}
TOOL = {"type": "function", "function": {"name": "f"}}
ROLES = "'system', 'assistant', 'user', 'function', 'tool', and 'developer'"
NULL_CONTENT = "Invalid value for 'content': expected a string, got null."
UNANSWERED = (
    "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The "
    "following tool_call_ids did not have response messages: "
)


def result(call_id: str) -> JsonObject:
    return {"role": "tool", "tool_call_id": call_id, "content": "1"}


def refused(**fields: Any) -> InvalidRequest:
    """The error of a request that is right but for these fields, at any dialect; ``...`` leaves one out."""
    body = {"model": "m", "messages": [HELLO], **fields}
    with pytest.raises(InvalidRequest) as raised:
        decode({name: value for name, value in body.items() if value is not ...})
    return raised.value


Case = tuple[str, dict[str, Any], str, str | None, str | None]

# what is sent (on top of a request that is right), message, param, code
CASES: list[Case] = [
    ("no-model", {"model": ...}, "you must provide a model parameter", None, None),
    ("model-null", {"model": None}, "you must provide a model parameter", None, None),
    (
        "model-integer",
        {"model": 7},
        "Invalid type for 'model': expected a string, but got an integer instead.",
        "model",
        "invalid_type",
    ),
    (
        "no-messages",
        {"messages": ...},
        "Missing required parameter: 'messages'.",
        "messages",
        "missing_required_parameter",
    ),
    (
        "messages-string",
        {"messages": "ping"},
        "Invalid type for 'messages': expected an array of objects, but got a string instead.",
        "messages",
        "invalid_type",
    ),
    (
        "messages-empty",
        {"messages": []},
        "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
        "messages",
        "empty_array",
    ),
    (
        "message-string",
        {"messages": ["ping"]},
        "Invalid type for 'messages[0]': expected an object, but got a string instead.",
        "messages[0]",
        "invalid_type",
    ),
    (
        "no-role",
        {"messages": [{"content": "ping"}]},
        "Missing required parameter: 'messages[0].role'.",
        "messages[0].role",
        "missing_required_parameter",
    ),
    (
        "unknown-role",
        {"messages": [{"role": "bogus", "content": "ping"}]},
        f"Invalid value: 'bogus'. Supported values are: {ROLES}.",
        "messages[0].role",
        "invalid_value",
    ),
    (
        "content-integer",
        {"messages": [{"role": "user", "content": 7}]},
        (
            "Invalid type for 'messages[0].content': expected one of a string or array of objects, but got an integer "
            "instead."
        ),
        "messages[0].content",
        "invalid_type",
    ),
    ("content-null", {"messages": [{"role": "user", "content": None}]}, NULL_CONTENT, "messages.[0].content", None),
    ("content-absent", {"messages": [HELLO, {"role": "assistant"}]}, NULL_CONTENT, "messages.[1].content", None),
    (
        "substitutes-are-the-assistants",
        {"messages": [{"role": "user", "refusal": "no"}]},
        NULL_CONTENT,
        "messages.[0].content",
        None,
    ),
    (
        "developer-content-absent",
        {"messages": [{"role": "developer"}]},
        "Missing required parameter: 'messages[0].content'.",
        "messages[0].content",
        "missing_required_parameter",
    ),
    (
        "developer-content-null",
        {"messages": [{"role": "developer", "content": None}]},
        "Invalid type for 'messages[0].content': expected one of a string or array of objects, but got null instead.",
        "messages[0].content",
        "invalid_type",
    ),
    (
        "unknown-part",
        {"messages": [{"role": "user", "content": [{"type": "input_text", "text": "x"}]}]},
        (
            "Invalid value: 'input_text'. Supported values are: 'text', 'image_url', 'input_audio', and 'file'. "
            "Did you mean 'text'?"
        ),
        "messages[0].content[0].type",
        "invalid_value",
    ),
    (
        "image-as-string",
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "https://x.example"}]}]},
        "Invalid type for 'messages[0].content[0].image_url': expected an object, but got a string instead.",
        "messages[0].content[0].image_url",
        "invalid_type",
    ),
    (
        "no-calls",
        {"messages": [{"role": "assistant", "content": "x", "tool_calls": []}]},
        (
            "Invalid 'messages[0].tool_calls': empty array. Expected an array with minimum length 1, but got an empty "
            "array instead."
        ),
        "messages[0].tool_calls",
        "empty_array",
    ),
    (
        "result-without-call",
        {"messages": [HELLO, result("c1")]},
        "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
        "messages.[1].role",
        None,
    ),
    (
        "result-of-another-call",
        {"messages": [HELLO, CALLING, result("c9")]},
        "Invalid parameter: 'tool_call_id' of 'c9' not found in 'tool_calls' of previous message.",
        "messages.[2].tool_call_id",
        None,
    ),
    ("calls-without-result", {"messages": [CALLING, HELLO]}, UNANSWERED + "c1, c2", "messages", None),
    ("call-without-result", {"messages": [CALLING, result("c2")]}, UNANSWERED + "c1", "messages", None),
    ("unknown", {"zzz": 1}, "Unknown parameter: 'zzz'.", "zzz", "unknown_parameter"),
    (
        "unknown-near",
        {"temperatur": 1},
        "Unknown parameter: 'temperatur'. Did you mean 'temperature'?",
        "temperatur",
        "unknown_parameter",
    ),
    ("of-another-api", {"reasoning": {}}, "Unknown parameter: 'reasoning'.", "reasoning", "unknown_parameter"),
    (
        "n-string",
        {"n": "2"},
        "Invalid type for 'n': expected an integer, but got a string instead.",
        "n",
        "invalid_type",
    ),
    (
        "n-zero",
        {"n": 0},
        "Invalid 'n': integer below minimum value. Expected a value >= 1, but got 0 instead.",
        "n",
        "integer_below_min_value",
    ),
    (
        "temperature-string",
        {"temperature": "hot"},
        "Invalid type for 'temperature': expected a decimal, but got a string instead.",
        "temperature",
        "invalid_type",
    ),
    (
        "penalty-above",
        {"frequency_penalty": 3},
        "Invalid 'frequency_penalty': decimal above maximum value. Expected a value <= 2, but got 3 instead.",
        "frequency_penalty",
        "decimal_above_max_value",
    ),
    (
        "five-stops",
        {"stop": ["a", "b", "c", "d", "e"]},
        (
            "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length 5 "
            "instead."
        ),
        "stop",
        "array_above_max_length",
    ),
    (
        "tier",
        {"service_tier": {"a": 1}},
        (
            "Invalid type for 'service_tier': expected one of 'auto', 'default', 'fast', 'flex', 'priority', or "
            "'scale', but got an object instead."
        ),
        "service_tier",
        "invalid_type",
    ),
    (
        "format-without-type",
        {"response_format": {}},
        "Missing required parameter: 'response_format.type'.",
        "response_format.type",
        "missing_required_parameter",
    ),
    (
        "unknown-format",
        {"response_format": {"type": "bogus"}},
        "Invalid value: 'bogus'. Supported values are: 'json_object', 'json_schema', and 'text'.",
        "response_format.type",
        "invalid_value",
    ),
    (
        "format-without-schema",
        {"response_format": {"type": "json_schema"}},
        "Missing required parameter: 'response_format.json_schema'.",
        "response_format.json_schema",
        "missing_required_parameter",
    ),
    (
        "tools-string",
        {"tools": "none"},
        "Invalid type for 'tools': expected an array of objects, but got a string instead.",
        "tools",
        "invalid_type",
    ),
    (
        "tool-without-function",
        {"tools": [{"type": "function"}]},
        "Missing required parameter: 'tools[0].function'.",
        "tools[0].function",
        "missing_required_parameter",
    ),
    (
        "tool-without-name",
        {"tools": [{"type": "function", "function": {}}]},
        "Missing required parameter: 'tools[0].function.name'.",
        "tools[0].function.name",
        "missing_required_parameter",
    ),
    (
        "two-of-a-name",
        {"tools": [TOOL, TOOL]},
        "Invalid 'tools[1].function.name': another tool is already named 'f'. Give every tool a name of its own.",
        "tools[1].function.name",
        "invalid_value",
    ),
    (
        "choice-integer",
        {"tools": [TOOL], "tool_choice": 7},
        (
            "Invalid type for 'tool_choice': expected one of one of 'none', 'auto', or 'required' or object, but got "
            "an integer instead."
        ),
        "tool_choice",
        "invalid_type",
    ),
    (
        "choice-without-tools",
        {"tool_choice": "auto"},
        "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
        "tool_choice",
        None,
    ),
    (
        "stream-options-without-stream",
        {"stream_options": {"include_usage": True}},
        "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
        "stream_options",
        None,
    ),
    (
        "unknown-stream-option",
        {"stream": True, "stream_options": {"bogus": 1}},
        "Unknown parameter: 'stream_options.bogus'.",
        "stream_options.bogus",
        "unknown_parameter",
    ),
    (
        "top-logprobs-alone",
        {"top_logprobs": 1},
        "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.",
        "top_logprobs",
        None,
    ),
    (
        "both-limits",
        {"max_tokens": 1, "max_completion_tokens": 1},
        "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
        "max_tokens",
        "invalid_parameter_combination",
    ),
]


@pytest.mark.parametrize(
    ("fields", "message", "param", "code"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_mistakes(fields: dict[str, Any], message: str, param: str | None, code: str | None) -> None:
    """The message, the param and the code are OpenAI's."""
    error = refused(**fields)

    assert (message, param, code) == (error.message, error.param, error.code)


ORDER: list[tuple[dict[str, Any], str | None]] = [
    ({"model": ..., "zzz": 1}, None),
    ({"messages": ..., "zzz": 1}, "messages"),
    ({"n": "abc", "zzz": 1}, "zzz"),
    ({"messages": [], "zzz": 1}, "zzz"),
    ({"temperature": "x", "n": "abc"}, "n"),
    ({"store": "x", "stream": "y"}, "stream"),
    ({"metadata": "x", "store": "y"}, "store"),
    ({"verbosity": "bogus", "user": 7}, "user"),
    ({"service_tier": "bogus", "seed": 1.5}, "seed"),
    ({"messages": [{"role": "user"}, {"role": "user", "content": 7}]}, "messages[1].content"),
    ({"messages": [{"role": "user"}], "temperature": "x"}, "temperature"),
    ({"n": 2, "top_logprobs": 1}, "top_logprobs"),
]


@pytest.mark.parametrize(("fields", "param"), ORDER, ids=[str(number) for number in range(len(ORDER))])
def test_the_order_of_checks(fields: dict[str, Any], param: str | None) -> None:
    """Of two mistakes OpenAI reports this one."""
    assert param == refused(**fields).param


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("logit_bias", {"5": 1}),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("functions", [{"name": "f"}]),
        ("function_call", "auto"),
        ("moderation", {"model": "x"}),
        ("prompt_cache_options", {"mode": "explicit"}),
    ],
)
def test_what_cannot_be_served_is_refused_by_name(field: str, value: Any) -> None:
    """A field of the API that nothing is behind is never left out in silence."""
    error = refused(**{field: value})

    assert isinstance(error, UnsupportedParameter)
    assert (field, "unsupported_parameter") == (error.param, error.code)


def test_earlier_audio_is_refused_by_name() -> None:
    """An id of audio means something only to the server that made it."""
    error = refused(messages=[{"role": "assistant", "audio": {"id": "audio_1"}}])

    assert (UnsupportedParameter, "messages[0].audio") == (type(error), error.param)


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "function", "name": "f", "content": "1"}],
        [{"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}],
        [
            {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "g", "content": "1"},
        ],
        [CALLING | {"function_call": {"name": "f", "arguments": "{}"}}],
    ],
    ids=["no-call", "no-result", "another-name", "both-kinds"],
)
def test_a_legacy_call_needs_its_result_and_the_other_way_round(messages: list[JsonObject]) -> None:
    """Neither can go to a model alone."""
    assert "function" in refused(messages=messages).message


def test_lists_are_limited() -> None:
    """Of messages, what they become is counted; the message names the limit."""
    small = ChatFormat(max_items=2, max_tools=1)
    two_tools = [TOOL, {"type": "custom", "custom": {"name": "c"}}]
    for param, limit, fields in (
        ("messages", "max_items", {"messages": [CALLING, result("c1"), result("c2")]}),
        ("tools", "max_tools", {"messages": [HELLO], "tools": two_tools}),
    ):
        with pytest.raises(InvalidRequest, match=limit) as raised:
            small.decode({"model": "m", **fields})
        assert (param, "array_above_max_length") == (raised.value.param, raised.value.code)


ENVELOPES: list[tuple[AntiphonError, str | None]] = [
    (InvalidRequest("x", param="input[3].content[0]"), "messages"),
    (InvalidRequest("x", param="messages[3].content"), "messages[3].content"),
    (UnsupportedParameter("x", param="text.format.type"), "response_format"),
    (UnsupportedParameter("x", param="text.verbosity"), "verbosity"),
    (UnsupportedParameter("x", param="reasoning.effort"), "reasoning_effort"),
    (UnsupportedParameter("x", param="max_output_tokens"), "max_completion_tokens"),
    (UnsupportedParameter("x", param="tools[0]"), "tools[0]"),
    (ContextLengthExceeded(), "messages"),
    (UpstreamUnavailable("x"), None),
]


@pytest.mark.parametrize(("error", "param"), ENVELOPES, ids=[str(number) for number in range(len(ENVELOPES))])
def test_an_error_names_chats_fields(error: AntiphonError, param: str | None) -> None:
    """What was said of a field of the hub is said of the one that the client sent."""
    body = orjson.loads(FORMAT.encode_error(error, request_id="req_1"))

    expected = {"message": error.message, "type": error.error_type, "param": param, "code": error.code}
    assert {"error": expected} == body


def test_openais_client_raises_what_was_said() -> None:
    """It finds type, param and code where it looks for them."""
    body = FORMAT.encode_error(ModelNotFound("m"), request_id="req_1")

    with pytest.raises(openai.NotFoundError, match="does not exist") as raised:
        refusing_client(404, body).chat.completions.create(model="m", messages=[])
    assert (raised.value.type, raised.value.code) == ("invalid_request_error", "model_not_found")


NAMES = st.sampled_from(["role", "content", "type", "text", "tool_calls", "id", "function", "name", "image_url", "url"])
WORDS = st.sampled_from(["user", "assistant", "tool", "function", "text", "image_url", "custom", "auto", "", "c1"])
LEAVES = st.none() | st.booleans() | st.integers() | st.just(10**60) | st.floats() | WORDS | st.text(max_size=4)
JSON: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=10,
)
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": WORDS}, optional={"content": JSON, "tool_calls": JSON, "function_call": JSON}),
    max_size=3,
)


@settings(max_examples=150, deadline=None)
@given(messages=MESSAGES | JSON, fields=st.dictionaries(st.sampled_from(list(FIELDS)), JSON, max_size=4))
def test_whatever_is_sent_ends_in_a_turn_or_in_an_error(messages: Any, fields: dict[str, Any]) -> None:
    """No body brings the decoder down."""
    with contextlib.suppress(InvalidRequest):
        FORMAT.decode({"model": "m", **fields, "messages": messages})
