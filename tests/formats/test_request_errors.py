"""Every error of a request's decoding, byte for byte as OpenAI says it."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.formats.responses import ResponsesFormat
from antiphon.hub.errors import AntiphonError, InvalidRequest, UnsupportedParameter

FORMAT = ResponsesFormat()
INCLUDES = (
    "'file_search_call.results', 'web_search_call.results', 'web_search_call.action.sources', "
    "'message.input_image.image_url', 'computer_call_output.output.image_url', 'code_interpreter_call.outputs', "
    "'reasoning.encrypted_content', and 'message.output_text.logprobs'"
)
MUTUALLY_EXCLUSIVE = (
    "Mutually exclusive parameters: ''. Ensure you are only providing one of: 'pre..._id' or 'conversation'."
)
NOTHING_TO_ANSWER = "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation' must be provided."
MESSAGES_MOVED = (
    "Unsupported parameter: 'messages'. In the Responses API, this parameter has moved to 'input'. Try again with the "
    "new parameter. See the API documentation for more information: "
    "https://platform.openai.com/docs/api-reference/responses/create."
)
TOOL = {"type": "function", "name": "f"}

Case = tuple[str, dict[str, Any], str, str | None, str | None]

# what is sent (on top of a request that is right), message, param, code
CASES: list[Case] = [
    ("model-missing", {"model": ...}, "Missing required parameter: 'model'.", "model", "missing_required_parameter"),
    (
        "model-null",
        {"model": None},
        "Invalid type for 'model': expected a string, but got an object instead.",
        "model",
        "invalid_type",
    ),
    (
        "model-integer",
        {"model": 7},
        "Invalid type for 'model': expected a string, but got an integer instead.",
        "model",
        "invalid_type",
    ),
    ("input-missing", {"input": ...}, "Missing required parameter: 'input'.", "input", "missing_required_parameter"),
    ("input-null", {"input": None}, "Missing required parameter: 'input'.", "input", "missing_required_parameter"),
    ("input-empty-array", {"input": []}, NOTHING_TO_ANSWER, None, "missing_required_parameter"),
    ("input-empty-string", {"input": ""}, NOTHING_TO_ANSWER, None, "missing_required_parameter"),
    (
        "input-object",
        {"input": {"a": 1}},
        "Invalid type for 'input': expected one of a string or array of input items, but got an object instead.",
        "input",
        "invalid_type",
    ),
    (
        "input-too-long",
        {"input": "x" * 10_485_761},
        (
            "Invalid 'input': string too long. Expected a string with maximum length 10485760, but got a string with "
            "length 10485761 instead."
        ),
        "input",
        "string_above_max_length",
    ),
    ("messages", {"input": ..., "messages": []}, MESSAGES_MOVED, "messages", "unsupported_parameter"),
    ("messages-beside-input", {"messages": []}, MESSAGES_MOVED, "messages", "unsupported_parameter"),
    ("unknown", {"zzz": 1}, "Unknown parameter: 'zzz'.", "zzz", "unknown_parameter"),
    ("unknown-null", {"zzz": None}, "Unknown parameter: 'zzz'.", "zzz", "unknown_parameter"),
    ("unknown-near", {"stop": "x"}, "Unknown parameter: 'stop'. Did you mean 'store'?", "stop", "unknown_parameter"),
    ("near-but-sent", {"modell": "x"}, "Unknown parameter: 'modell'.", "modell", "unknown_parameter"),
    (
        "max-tokens",
        {"max_tokens": 5},
        "Unknown parameter: 'max_tokens'. Did you mean 'max_output_tokens'?",
        "max_tokens",
        "unknown_parameter",
    ),
    (
        "response-format",
        {"response_format": {}},
        "Unknown parameter: 'response_format'. Did you mean 'text.format'?",
        "response_format",
        "unknown_parameter",
    ),
    (
        "include-usage",
        {"stream_options": {"include_usage": True}},
        "Unknown parameter: 'stream_options.include_usage'.",
        "stream_options.include_usage",
        "unknown_parameter",
    ),
    (
        "unknown-nested-near",
        {"text": {"verbositi": "low"}},
        "Unknown parameter: 'text.verbositi'. Did you mean 'text.verbosity'?",
        "text.verbositi",
        "unknown_parameter",
    ),
    (
        "unknown-reasoning",
        {"reasoning": {"bogus": 1}},
        "Unknown parameter: 'reasoning.bogus'.",
        "reasoning.bogus",
        "unknown_parameter",
    ),
    (
        "integer-as-string",
        {"max_output_tokens": "20"},
        "Invalid type for 'max_output_tokens': expected an integer, but got a string instead.",
        "max_output_tokens",
        "invalid_type",
    ),
    (
        "integer-as-decimal",
        {"max_output_tokens": 20.0},
        "Invalid type for 'max_output_tokens': expected an integer, but got a decimal number instead.",
        "max_output_tokens",
        "invalid_type",
    ),
    (
        "integer-as-boolean",
        {"max_output_tokens": True},
        "Invalid type for 'max_output_tokens': expected an integer, but got a boolean instead.",
        "max_output_tokens",
        "invalid_type",
    ),
    (
        "integer-below",
        {"max_output_tokens": 8},
        "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 8 instead.",
        "max_output_tokens",
        "integer_below_min_value",
    ),
    (
        "integer-above",
        {"top_logprobs": 21},
        "Invalid 'top_logprobs': integer above maximum value. Expected a value <= 20, but got 21 instead.",
        "top_logprobs",
        "integer_above_max_value",
    ),
    (
        "integer-of-thousands-of-digits",
        {"top_logprobs": 10**9000},
        (
            "Invalid 'top_logprobs': integer above maximum value. Expected a value <= 20, but got a much larger number "
            "instead."
        ),
        "top_logprobs",
        "integer_above_max_value",
    ),
    (
        "max-tool-calls-zero",
        {"max_tool_calls": 0},
        "Invalid 'max_tool_calls': integer below minimum value. Expected a value >= 1, but got 0 instead.",
        "max_tool_calls",
        "integer_below_min_value",
    ),
    (
        "decimal-below",
        {"temperature": -1},
        "Invalid 'temperature': decimal below minimum value. Expected a value >= 0, but got -1 instead.",
        "temperature",
        "decimal_below_min_value",
    ),
    (
        "decimal-above",
        {"top_p": 1.5},
        "Invalid 'top_p': decimal above maximum value. Expected a value <= 1, but got 1.5 instead.",
        "top_p",
        "decimal_above_max_value",
    ),
    (
        "decimal-as-string",
        {"temperature": "hot"},
        "Invalid type for 'temperature': expected a decimal, but got a string instead.",
        "temperature",
        "invalid_type",
    ),
    (
        "penalty-below",
        {"presence_penalty": -3},
        "Invalid 'presence_penalty': decimal below minimum value. Expected a value >= -2, but got -3 instead.",
        "presence_penalty",
        "decimal_below_min_value",
    ),
    (
        "boolean-as-string",
        {"stream": "yes"},
        "Invalid type for 'stream': expected a boolean, but got a string instead.",
        "stream",
        "invalid_type",
    ),
    (
        "string-as-array",
        {"instructions": []},
        "Invalid type for 'instructions': expected a string, but got an array instead.",
        "instructions",
        "invalid_type",
    ),
    (
        "enum-of-two",
        {"truncation": "bogus"},
        "Invalid value: 'bogus'. Supported values are: 'auto' and 'disabled'.",
        "truncation",
        "invalid_value",
    ),
    (
        "enum-of-three",
        {"text": {"verbosity": "loud"}},
        "Invalid value: 'loud'. Supported values are: 'low', 'medium', and 'high'.",
        "text.verbosity",
        "invalid_value",
    ),
    (
        "enum-of-seven",
        {"reasoning": {"effort": "bogus"}},
        "Invalid value: 'bogus'. Supported values are: 'none', 'minimal', 'low', 'medium', 'high', 'xhigh', and 'max'.",
        "reasoning.effort",
        "invalid_value",
    ),
    (
        "enum-as-object",
        {"truncation": {}},
        "Invalid type for 'truncation': expected one of 'auto' or 'disabled', but got an object instead.",
        "truncation",
        "invalid_type",
    ),
    (
        "effort-as-object",
        {"reasoning": {"effort": {}}},
        (
            "Invalid type for 'reasoning.effort': expected one of one of 'none', 'minimal', 'low', 'medium', 'high', "
            "'xhigh', or 'max' or integer, but got an object instead."
        ),
        "reasoning.effort",
        "invalid_type",
    ),
    (
        "include-bogus",
        {"include": ["reasoning.encrypted_content", "bogus.thing"]},
        f"Invalid value: 'bogus.thing'. Supported values are: {INCLUDES}.",
        "include[1]",
        "invalid_value",
    ),
    (
        "include-as-string",
        {"include": "x"},
        (
            "Invalid type for 'include': expected an array of one of 'fil...lts', 'web...lts', 'web...ces', "
            "'mes...url', 'com...url', 'cod...uts', 'rea...ent', or 'mes...obs', but got a string instead."
        ),
        "include",
        "invalid_type",
    ),
    (
        "metadata-as-string",
        {"metadata": "x"},
        "Invalid type for 'metadata': expected a metadata object, but got a string instead.",
        "metadata",
        "invalid_type",
    ),
    (
        "metadata-17",
        {"metadata": {f"k{i}": "v" for i in range(17)}},
        (
            "Invalid 'metadata': too many properties. Expected an object with at most 16 properties, but got an "
            "object with 17 properties instead."
        ),
        "metadata",
        "object_above_max_properties",
    ),
    (
        "metadata-value-513",
        {"metadata": {"k": "v" * 513}},
        (
            "Invalid 'metadata.k': string too long. Expected a string with maximum length 512, but got a string with "
            "length 513 instead."
        ),
        "metadata.k",
        "string_above_max_length",
    ),
    (
        "metadata-name-65",
        {"metadata": {"k" * 65: "v"}},
        (
            "Invalid property name in 'metadata': 'kkk...kkk' is too long. Expected a string with maximum length 64, "
            "but got a string with length 65 instead."
        ),
        f"metadata.{'k' * 65}",
        "property_name_above_max_length",
    ),
    (
        "metadata-value-integer",
        {"metadata": {"k": 1}},
        "Invalid type for 'metadata.k': expected a string, but got an integer instead.",
        "metadata.k",
        "invalid_type",
    ),
    (
        "safety-identifier-65",
        {"safety_identifier": "s" * 65},
        (
            "Invalid 'safety_identifier': string too long. Expected a string with maximum length 64, but got a "
            "string with length 65 instead."
        ),
        "safety_identifier",
        "string_above_max_length",
    ),
    (
        "format-bogus",
        {"text": {"format": {"type": "bogus"}}},
        "Invalid value: 'bogus'. Supported values are: 'json_object', 'text', and 'json_schema'.",
        "text.format.type",
        "invalid_value",
    ),
    (
        "format-chat-style",
        {"text": {"format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}}},
        "Missing required parameter: 'text.format.name'.",
        "text.format.name",
        "missing_required_parameter",
    ),
    (
        "tools-as-string",
        {"tools": "x"},
        "Invalid type for 'tools': expected an array of tools, but got a string instead.",
        "tools",
        "invalid_type",
    ),
    (
        "tool-without-type",
        {"tools": [{}]},
        "Missing required parameter: 'tools[0].type'.",
        "tools[0].type",
        "missing_required_parameter",
    ),
    (
        "tool-chat-style",
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        "Missing required parameter: 'tools[0].name'.",
        "tools[0].name",
        "missing_required_parameter",
    ),
    (
        "tool-name-pattern",
        {"tools": [TOOL, {"type": "function", "name": "a.b"}]},
        (
            "Invalid 'tools[1].name': string does not match pattern. Expected a string that matches the pattern "
            "'^[a-zA-Z0-9_-]+$'."
        ),
        "tools[1].name",
        "invalid_value",
    ),
    (
        "tool-unknown-key",
        {"tools": [{**TOOL, "paramters": {}}]},
        "Unknown parameter: 'tools[0].paramters'. Did you mean 'tools[0].parameters'?",
        "tools[0].paramters",
        "unknown_parameter",
    ),
    (
        "tool-name-twice",
        {"tools": [TOOL, TOOL]},
        "Invalid 'tools[1].name': another tool is already named 'f'. Give every tool a name of its own.",
        "tools[1].name",
        "invalid_value",
    ),
    (
        "tool-choice-integer",
        {"tool_choice": 7},
        (
            "Invalid type for 'tool_choice': expected one of an object or 'none', 'auto', or 'required', but got an "
            "integer instead."
        ),
        "tool_choice",
        "invalid_type",
    ),
    (
        "tool-choice-bogus",
        {"tool_choice": "bogus"},
        "Invalid value: 'bogus'. Supported values are: 'none', 'auto', and 'required'.",
        "tool_choice",
        "invalid_value",
    ),
    (
        "tool-choice-chat-style",
        {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        "Missing required parameter: 'tool_choice.name'.",
        "tool_choice.name",
        "missing_required_parameter",
    ),
    (
        "conversation-prefix",
        {"conversation": "x"},
        "Invalid 'conversation': 'x'. Expected an ID that begins with 'conv'.",
        "conversation",
        "invalid_value",
    ),
    (
        "two-kinds-of-state",
        {"conversation": "conv_1", "previous_response_id": "resp_1"},
        MUTUALLY_EXCLUSIVE,
        None,
        "mutually_exclusive_parameters",
    ),
    (
        "item-primitive",
        {"input": [7]},
        "Invalid type for 'input[0]': expected an input item, but got an integer instead.",
        "input[0]",
        "invalid_type",
    ),
    (
        "item-null",
        {"input": [None]},
        "Invalid type for 'input[0]': expected an input item, but got null instead.",
        "input[0]",
        "invalid_type",
    ),
    (
        "item-role",
        {"input": [{"role": "tool", "content": "x"}]},
        "Invalid value: 'tool'. Supported values are: 'assistant', 'system', 'developer', and 'user'.",
        "input[0]",
        "invalid_value",
    ),
    (
        "item-empty",
        {"input": ["x", {}][1:]},
        "Invalid value: ''. Supported values are: 'assistant', 'system', 'developer', and 'user'.",
        "input[0]",
        "invalid_value",
    ),
    (
        "item-without-content",
        {"input": [{"role": "user"}]},
        "Missing required parameter: 'input[0].content'.",
        "input[0].content",
        "missing_required_parameter",
    ),
    (
        "item-content-null",
        {"input": [{"role": "user", "content": None}]},
        "Invalid type for 'input[0].content': expected one of an array of objects or string, but got null instead.",
        "input[0].content",
        "invalid_type",
    ),
    (
        "part-of-chat",
        {"input": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]},
        (
            "Invalid value: 'text'. Supported values are: 'input_text', 'input_image', and 'input_file'. "
            "Did you mean 'input_text'?"
        ),
        "input[0].content[0].type",
        "invalid_value",
    ),
    (
        "part-of-the-other-side",
        {"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}]},
        "Invalid value: 'input_text'. Supported values are: 'output_text' and 'refusal'.",
        "input[0].content[0]",
        "invalid_value",
    ),
    (
        "part-without-text",
        {"input": [{"role": "user", "content": [{"type": "input_text"}]}]},
        "Missing required parameter: 'input[0].content[0].text'.",
        "input[0].content[0].text",
        "missing_required_parameter",
    ),
    (
        "image-of-nothing",
        {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
        (
            "Missing required parameter: 'input[0].content[0].image_url'. One of 'image_url' or "
            "'file_id' must be provided."
        ),
        "input[0].content[0].image_url",
        "missing_required_parameter",
    ),
    (
        "image-of-chat",
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": {"url": "u"}}]}]},
        "Invalid type for 'input[0].content[0].image_url': expected a string, but got an object instead.",
        "input[0].content[0].image_url",
        "invalid_type",
    ),
    (
        "phase-bogus",
        {"input": [{"role": "assistant", "content": "x", "phase": "bogus"}]},
        "Invalid value: 'bogus'. Supported values are: 'commentary' and 'final_answer'.",
        "input[0].phase",
        "invalid_value",
    ),
    (
        "call-id-65",
        {"input": [{"type": "function_call_output", "call_id": "c" * 65, "output": "x"}]},
        (
            "Invalid 'input[0].call_id': string too long. Expected a string with maximum length 64, but got a string "
            "with length 65 instead."
        ),
        "input[0].call_id",
        "string_above_max_length",
    ),
    (
        "call-namespace",
        {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "", "namespace": ["n"]}]},
        "Invalid type for 'input[0].namespace': expected a string, but got an array instead.",
        "input[0].namespace",
        "invalid_type",
    ),
    (
        "call-id-empty",
        {"input": [{"type": "function_call_output", "call_id": "", "output": "x"}]},
        (
            "Invalid 'input[0].call_id': empty string. Expected a string with minimum length 1, but got an empty "
            "string instead."
        ),
        "input[0].call_id",
        "empty_string",
    ),
    (
        "id-of-67",
        {"input": [{"role": "user", "content": "x", "id": "m" * 67}]},
        (
            "Invalid 'input[0].id': string too long. Expected a string with maximum length 64, but got a string with "
            "length 67 instead."
        ),
        "input[0].id",
        "string_above_max_length",
    ),
    (
        "id-with-a-slash",
        {"input": [{"role": "user", "content": "x", "id": "a/b"}]},
        (
            "Invalid 'input[0].id': string does not match pattern. Expected a string that matches the pattern "
            "'^[a-zA-Z0-9_-]+$'."
        ),
        "input[0].id",
        "invalid_value",
    ),
    (
        "same-id-twice",
        {"input": [{"id": "rs_x"}, {"type": "reasoning", "id": "rs_x", "summary": []}]},
        "Duplicate item found with id rs_x. Remove duplicate items from your input and try again.",
        "input",
        None,
    ),
]


def request_with(changes: dict[str, Any]) -> dict[str, Any]:
    """A request that is right but for *changes*; ``...`` leaves a field out."""
    body: dict[str, Any] = {"model": "m", "input": "hi", **changes}
    return {name: value for name, value in body.items() if value is not ...}


@pytest.mark.parametrize(
    ("changes", "message", "param", "code"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_wrong_field_is_named_as_openai_names_it(
    changes: dict[str, Any], message: str, param: str | None, code: str | None
) -> None:
    """The whole error body is the recorded one: message, type, param and code."""
    with pytest.raises(InvalidRequest) as caught:
        FORMAT.decode(request_with(changes))

    expected = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    assert {"error": expected} == caught.value.envelope()
    assert caught.value.http_status == 400


def test_an_unknown_item_type_lists_the_known_ones() -> None:
    """The whole item is blamed, and every type that would do is in the message."""
    with pytest.raises(InvalidRequest) as caught:
        FORMAT.decode({"model": "m", "input": [{"type": "bogus_item"}]})

    assert caught.value.param == "input[0]"
    assert caught.value.code == "invalid_value"
    assert caught.value.message.startswith("Invalid value: 'bogus_item'. Supported values are: 'additional_tools', ")
    assert caught.value.message.endswith("'tool_search_output', and 'web_search_call'.")


def test_a_prompt_can_stand_for_model_and_input() -> None:
    """Whether it exists is decided by whoever has the store; kept is which fields the client set itself."""
    variables = {"a": "b", "c": {"type": "input_text", "text": "d"}}
    prompt = {"id": "pmpt_x", "version": "2", "variables": variables}
    request = FORMAT.decode({"prompt": prompt, "tools": [], "temperature": 1, "instructions": None})
    assert (request.prompt, request.model, request.input) == (prompt, "", ())
    assert request.given == {"prompt", "tools", "temperature"}


@pytest.mark.parametrize(
    ("prompt", "param", "code"),
    [
        ({}, "prompt.id", "missing_required_parameter"),
        ({"id": "p", "version": 2}, "prompt.version", "invalid_type"),
        ({"id": "p", "variables": {"a": 7}}, "prompt.variables.a", "invalid_type"),
        ({"id": "p", "variables": {"a": {"type": "output_text"}}}, "prompt.variables.a", "invalid_value"),
        ({"id": "p", "variables": {"a": {"type": "input_text"}}}, "prompt.variables.a.text", None),
        ({"id": "p", "variables": {str(n): "" for n in range(129)}}, "prompt.variables", "object_above_max_properties"),
    ],
    ids=["no-id", "version", "number", "output", "no-text", "too-many"],
)
def test_a_wrong_prompt_is_named(prompt: object, param: str, code: str | None) -> None:
    """As every other field is."""
    with pytest.raises(InvalidRequest) as caught:
        FORMAT.decode({"prompt": prompt})
    assert caught.value.param == param
    assert code is None or caught.value.code == code


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"background_options": {"completion_window": "2h"}}, "background_options"),
        ({"moderation": {"model": "x"}}, "moderation"),
        ({"image": {"context_compression": "enabled"}}, "image"),
        ({"access_programs": {"cyber": "standard"}}, "access_programs"),
        ({"prompt_cache_options": {}}, "prompt_cache_options"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_there_yet_is_refused_by_name(changes: dict[str, Any], param: str) -> None:
    """A valid field without anything behind it is a 400 that names it, never ignored."""
    with pytest.raises(UnsupportedParameter) as caught:
        FORMAT.decode(request_with(changes))

    assert caught.value.param == param
    assert caught.value.code == "unsupported_parameter"
    assert f"'{param}'" in caught.value.message


# Each fault is reported before the one that follows it; pairs as measured at OpenAI.
IN_ORDER: list[tuple[str, dict[str, Any]]] = [
    ("model", {"model": ...}),
    ("messages", {"messages": []}),
    ("zzz", {"zzz": 1}),
    ("previous_response_id", {"previous_response_id": 7}),
    ("prompt", {"prompt": "x"}),
    ("moderation", {"moderation": "x"}),
    ("include", {"include": "x"}),
    ("tools", {"tools": "x"}),
    ("tool_choice", {"tool_choice": 7}),
    ("metadata", {"metadata": "x"}),
    ("text", {"text": "x"}),
    ("temperature", {"temperature": "x"}),
    ("top_p", {"top_p": "x"}),
    ("presence_penalty", {"presence_penalty": "x"}),
    ("frequency_penalty", {"frequency_penalty": "x"}),
    ("parallel_tool_calls", {"parallel_tool_calls": "x"}),
    ("stream", {"stream": "x"}),
    ("stream_options", {"stream_options": "x"}),
    ("background", {"background": "x"}),
    ("max_output_tokens", {"max_output_tokens": "x"}),
    ("max_tool_calls", {"max_tool_calls": "x"}),
    ("reasoning", {"reasoning": "x"}),
    ("user", {"user": 7}),
    ("safety_identifier", {"safety_identifier": 7}),
    ("prompt_cache_options", {"prompt_cache_options": "x"}),
    ("prompt_cache_key", {"prompt_cache_key": 7}),
    ("prompt_cache_retention", {"prompt_cache_retention": "x"}),
    ("truncation", {"truncation": "x"}),
    ("instructions", {"instructions": 7}),
    ("store", {"store": "x"}),
    ("service_tier", {"service_tier": "x"}),
    ("top_logprobs", {"top_logprobs": "x"}),
    ("context_management", {"context_management": "x"}),
]


@pytest.mark.parametrize("index", range(len(IN_ORDER) - 1), ids=[name for name, _ in IN_ORDER[:-1]])
def test_faults_are_reported_in_the_measured_order(index: int) -> None:
    """Of two faults in one request the one that OpenAI checks first is reported."""
    (first, changes), (_, later) = IN_ORDER[index], IN_ORDER[index + 1]
    body = request_with({**later, **changes})
    if first == "messages":
        del body["input"]

    with pytest.raises(InvalidRequest) as caught:
        FORMAT.decode(body)

    assert caught.value.param == first


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"input": [], "truncation": "bogus"}, "truncation"),
        ({"input": [{}], "truncation": "bogus"}, "input[0]"),
        ({"input": ..., "zzz": 1}, "input"),
        ({"background": True, "conversation": "conv_1", "previous_response_id": "resp_1"}, None),
        ({"input": "", "truncation": "auto"}, None),
    ],
    ids=["field-before-emptiness", "item-before-field", "absence-before-unknown", "state-before-support", "empty-last"],
)
def test_stages_are_kept(changes: dict[str, Any], param: str | None) -> None:
    """Presence, names, fields, state and support are checked in this order."""
    with pytest.raises(AntiphonError) as caught:
        FORMAT.decode(request_with(changes))

    assert caught.value.param == param


def test_a_long_value_is_not_echoed_whole() -> None:
    """A message stays readable whatever a client sends as a name or a value."""
    with pytest.raises(InvalidRequest) as caught:
        FORMAT.decode({"model": "m", "input": "x", "n" * 100_000: 1})

    assert len(caught.value.message) < 200
    assert len(caught.value.param or "") < 200
