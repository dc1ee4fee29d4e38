"""Quirks that fit a body to an upstream: fields that are refused, renamed or left out, and words that differ."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from antiphon.hub.errors import UnsupportedParameter
from antiphon.hub.items import Item, JsonObject, Private
from antiphon.providers.openai_chat import provider
from tests.providers.kit.calls import (
    ACCOUNT,
    assistant,
    function_call,
    function_output,
    function_tool,
    model_call,
    reasoning,
    user,
)

TOOLS = (function_tool("look"),)
SCHEMA = {"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}}}
OBJECT = {"format": {"type": "json_object"}}


def sent(quirks: dict[str, object], *items: Item, **request: Any) -> tuple[JsonObject, tuple[str, ...]]:
    """The body that a call becomes without model and messages, and what was not applied."""
    encoded = provider(quirks).encode(model_call(*items, **request))
    body = orjson.loads(encoded.body)
    return {name: value for name, value in body.items() if name not in ("model", "messages")}, encoded.not_applied


def messages(quirks: dict[str, object], *items: Item, **request: Any) -> list[JsonObject]:
    """The messages that items become."""
    found: list[JsonObject] = orjson.loads(provider(quirks).encode(model_call(*items, **request)).body)["messages"]
    return found


@pytest.mark.parametrize(
    ("refuse", "request_", "param"),
    [
        ("verbosity", {"text": {"format": {"type": "text"}, "verbosity": "low"}}, "text.verbosity"),
        ("logprobs", {"include": frozenset({"message.output_text.logprobs"})}, "include"),
        ("presence_penalty", {"presence_penalty": 0.0}, "presence_penalty"),
        ("tool_choice", {"tools": TOOLS, "tool_choice": "required"}, "tool_choice"),
        ("tool_choice", {"tools": TOOLS, "tool_choice": {"type": "function", "name": "look"}}, "tool_choice"),
        ("max_tokens", {"max_output_tokens": 5}, "max_output_tokens"),
        ("reasoning_effort", {"reasoning": {"effort": "high"}}, "reasoning.effort"),
    ],
)
def test_refused_fields(refuse: str, request_: dict[str, Any], param: str) -> None:
    """A field that changes what the model says is refused by the client's name, and passes where nobody asks for it."""
    with pytest.raises(UnsupportedParameter) as caught:
        sent({"refuse": [refuse]}, **request_)

    assert (caught.value.param, caught.value.status) == (param, 400)
    assert sent({"refuse": [refuse]}, tools=TOOLS)[1] == ()


def test_a_field_that_is_refused_is_not_dropped() -> None:
    """Refusing goes before leaving out."""
    with pytest.raises(UnsupportedParameter):
        sent({"refuse": ["user"], "drop": ["user"]}, user="u")


@pytest.mark.parametrize(
    ("request_", "fields", "not_applied"),
    [
        ({}, {}, ()),
        ({"user": "u"}, {"user_id": "u"}, ()),
        ({"safety_identifier": "s"}, {"user_id": "s"}, ()),
        ({"user": "u", "safety_identifier": "s"}, {"user_id": "s"}, ("user",)),
        ({"max_output_tokens": 5}, {"max_new_tokens": 5}, ()),
    ],
    ids=["nothing", "one", "another", "two for one name", "a field with two names"],
)
def test_renamed_fields(request_: dict[str, Any], fields: JsonObject, not_applied: tuple[str, ...]) -> None:
    """A field goes up under the upstream's name; of two for one name the first listed does, and the other is told."""
    rename = {"safety_identifier": "user_id", "user": "user_id", "max_tokens": "max_new_tokens"}

    assert sent({"rename": rename}, **request_) == (fields, not_applied)


def test_a_dropped_field_is_not_renamed() -> None:
    """What is left out does not come back under another name."""
    assert sent({"drop": ["user"], "rename": {"user": "user_id"}}, user="u") == ({}, ("user",))


@pytest.mark.parametrize("quirk", ["drop", "refuse", "rename"])
def test_only_what_a_body_may_go_without(quirk: str) -> None:
    """A field that is none, or that a body needs, is a mistake in the configuration, told with the nearest."""
    for field in ("temprature", "messages"):
        value: object = {field: "x"} if quirk == "rename" else [field]
        with pytest.raises(ValueError, match=f"Unknown body field to {quirk} '{field}'. Did you mean"):
            provider({quirk: value})


@pytest.mark.parametrize(
    ("known", "text", "form"),
    [
        (["json_object"], OBJECT, {"type": "json_object"}),
        (["json_object"], SCHEMA, None),
        (["json_schema"], OBJECT, None),
        (["json_schema"], SCHEMA, {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}),
        ([], OBJECT, None),
    ],
)
def test_forms_of_json(known: list[str], text: JsonObject, form: JsonObject | None) -> None:
    """A form of JSON that the upstream does not know is refused, with those that it knows; plain text always passes."""
    if form is not None:
        assert sent({"response_formats": known}, text=text) == ({"response_format": form}, ())
    else:
        with pytest.raises(UnsupportedParameter, match=" or ".join(["'text'", *(f"'{kind}'" for kind in known)])) as no:
            sent({"response_formats": known}, text=text)
        assert no.value.param == "text.format.type"
    assert sent({"response_formats": known}, text={"format": {"type": "text"}}) == ({}, ())


@pytest.mark.parametrize(
    ("word", "fields"),
    [
        ("reasoning_effort", {"reasoning_effort": "none"}),
        ("thinking", {"thinking": {"type": "disabled"}}),
        ("enable_thinking", {"enable_thinking": False}),
        ("chat_template_kwargs", {"chat_template_kwargs": {"enable_thinking": False}}),
    ],
)
def test_no_effort(word: str, fields: JsonObject) -> None:
    """That the model is not to think is said in the upstream's words; every other effort in OpenAI's."""
    assert sent({"no_effort": word}, reasoning={"effort": "none"}) == (fields, ())
    assert sent({"no_effort": word}, reasoning={"effort": "low"}) == ({"reasoning_effort": "low"}, ())
    assert sent({"no_effort": word}) == ({}, ())


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("reasoning_content", {"role": "assistant", "content": "Hi.", "reasoning_content": "Hm."}),
        ("reasoning", {"role": "assistant", "content": "Hi.", "reasoning": "Hm."}),
        (
            "thinking",
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
                    {"type": "text", "text": "Hi."},
                ],
            },
        ),
    ],
)
def test_where_unmarked_reasoning_goes(field: str, message: JsonObject) -> None:
    """Reasoning that a client brings goes where the upstream reads it; what is marked goes where it came from."""
    marked = Private(provider="openai_chat", account=ACCOUNT, data={"field": "reasoning_text"})

    assert messages({"reasoning_field": field}, user("a"), reasoning("Hm."), assistant("Hi."))[1] == message
    assert messages({"reasoning_field": field}, user("a"), reasoning("Hm.", private=marked), assistant("Hi."))[1] == {
        "role": "assistant",
        "content": "Hi.",
        "reasoning_text": "Hm.",
    }


def test_calls_without_reasoning() -> None:
    """An upstream that wants reasoning with every call gets a blank with one that another made, and only there."""
    elsewhere = Private(provider="anthropic", account="other", data={"signature": "s"})
    items = (
        user("a"),
        reasoning("Foreign.", private=elsewhere),
        function_call("call_1"),
        function_output("call_1"),
        reasoning("Own."),
        function_call("call_2"),
        function_output("call_2"),
        assistant("Done."),
    )

    blank = messages({"missing_reasoning": "blank"}, *items, tools=TOOLS)
    plain = messages({}, *items, tools=TOOLS)

    assert [message.get("reasoning_content") for message in blank] == [None, " ", None, "Own.", None, None]
    assert [message.get("reasoning_content") for message in plain] == [None, None, None, "Own.", None, None]
