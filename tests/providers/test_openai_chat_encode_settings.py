"""A request's settings as fields of the chat body."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.hub.errors import InvalidRequest, UnsupportedParameter
from antiphon.hub.items import JsonObject
from antiphon.providers.openai_chat import Quirks
from tests.providers.chat_calls import encode, encoded_body, model_call

SCHEMA = {"type": "object", "properties": {}}
LOGPROBS = frozenset({"message.output_text.logprobs"})

SETTINGS: dict[str, tuple[dict[str, Any], Quirks, JsonObject, tuple[str, ...]]] = {
    "max_output_tokens": ({"max_output_tokens": 64}, Quirks(), {"max_tokens": 64}, ()),
    "max_output_tokens for OpenAI": (
        {"max_output_tokens": 64},
        Quirks(max_tokens_field="max_completion_tokens"),
        {"max_completion_tokens": 64},
        (),
    ),
    "sampling": (
        {"temperature": 0.0, "top_p": 0.5, "presence_penalty": 1.0, "frequency_penalty": -1.0},
        Quirks(),
        {"temperature": 0.0, "top_p": 0.5, "presence_penalty": 1.0, "frequency_penalty": -1.0},
        (),
    ),
    "identity": (
        {"user": "u", "safety_identifier": "s", "prompt_cache_key": "k", "prompt_cache_retention": "24h"},
        Quirks(),
        {"user": "u", "safety_identifier": "s", "prompt_cache_key": "k", "prompt_cache_retention": "24h"},
        (),
    ),
    "service tier": ({"service_tier": "flex"}, Quirks(), {"service_tier": "flex"}, ()),
    "automatic service tier": ({"service_tier": "auto"}, Quirks(), {}, ()),
    "state is ours": ({"metadata": {"a": "b"}, "store": True, "max_tool_calls": 3}, Quirks(), {}, ()),
    "logprobs": ({"include": LOGPROBS}, Quirks(), {"logprobs": True}, ()),
    "top logprobs": (
        {"include": LOGPROBS, "top_logprobs": 3},
        Quirks(),
        {"logprobs": True, "top_logprobs": 3},
        (),
    ),
    "top logprobs that nobody would see": ({"top_logprobs": 3}, Quirks(), {}, ("top_logprobs",)),
    "text": ({"text": {"format": {"type": "text"}, "verbosity": "medium"}}, Quirks(), {}, ()),
    "verbosity": ({"text": {"format": {"type": "text"}, "verbosity": "low"}}, Quirks(), {"verbosity": "low"}, ()),
    "json object": (
        {"text": {"format": {"type": "json_object"}}},
        Quirks(),
        {"response_format": {"type": "json_object"}},
        (),
    ),
    "json schema": (
        {"text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}}},
        Quirks(),
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}}},
        (),
    ),
    "json schema with nulls": (
        {
            "text": {
                "format": {
                    "type": "json_schema",
                    "name": "n",
                    "schema": SCHEMA,
                    "strict": None,
                    "description": "d",
                }
            }
        },
        Quirks(),
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "description": "d", "schema": SCHEMA},
            }
        },
        (),
    ),
    "effort": ({"reasoning": {"effort": "low"}}, Quirks(), {"reasoning_effort": "low"}, ()),
    "null effort": ({"reasoning": {"effort": None, "summary": None, "mode": "standard"}}, Quirks(), {}, ()),
    "reasoning summary": ({"reasoning": {"summary": "auto"}}, Quirks(), {}, ("reasoning.summary",)),
    "old reasoning summary": ({"reasoning": {"generate_summary": "auto"}}, Quirks(), {}, ("reasoning.summary",)),
    "reasoning context that the upstream has not": (
        {"reasoning": {"context": "all_turns"}},
        Quirks(replay_reasoning="never"),
        {},
        ("reasoning.context",),
    ),
    "truncation": ({"truncation": "auto"}, Quirks(), {}, ()),
    "dropped": (
        {"max_output_tokens": 64, "reasoning": {"effort": "low"}, "user": "u"},
        Quirks(drop=("max_tokens", "reasoning_effort", "verbosity")),
        {"user": "u"},
        ("max_output_tokens", "reasoning.effort"),
    ),
}


@pytest.mark.parametrize(("request_fields", "quirks", "expected", "missed"), SETTINGS.values(), ids=SETTINGS.keys())
def test_settings(
    request_fields: dict[str, Any], quirks: Quirks, expected: JsonObject, missed: tuple[str, ...]
) -> None:
    """A setting becomes chat's field for it, null is never sent, and what has no effect is reported."""
    call = model_call(**request_fields)
    body = encoded_body(call, quirks)
    del body["model"], body["messages"]
    assert body == expected
    assert encode(call, quirks).not_applied == missed


@pytest.mark.parametrize(
    ("request_fields", "param"),
    [
        pytest.param({"reasoning": {"mode": "pro"}}, "reasoning.mode", id="pro mode"),
        pytest.param({"text": {"format": {"type": "grammar"}}}, "text.format.type", id="unknown format"),
    ],
)
def test_settings_that_chat_does_not_have(request_fields: dict[str, Any], param: str) -> None:
    """A setting that would change the answer and cannot be said is refused by name."""
    with pytest.raises(UnsupportedParameter) as caught:
        encode(model_call(**request_fields))
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("quirks", "expected"),
    [
        pytest.param(Quirks(), {"stream": True, "stream_options": {"include_usage": True}}, id="with usage"),
        pytest.param(Quirks(stream_usage=False), {"stream": True}, id="without usage"),
    ],
)
def test_a_stream_is_asked_for_with_its_usage(quirks: Quirks, expected: JsonObject) -> None:
    """A stream reports its token counts unless the upstream does not know how."""
    body = encoded_body(model_call(stream=True), quirks)
    assert {name: body[name] for name in body if name.startswith("stream")} == expected
    assert encode(model_call(stream=True), quirks).stream


def test_what_is_not_json_is_the_clients_error() -> None:
    """A value that JSON cannot hold is refused, not raised as a foreign exception."""
    deep: JsonObject = {}
    for _ in range(300):
        deep = {"properties": {"a": deep}}
    with pytest.raises(InvalidRequest):
        encode(model_call(text={"format": {"type": "json_schema", "name": "n", "schema": deep}}))
