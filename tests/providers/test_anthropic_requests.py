"""What the Messages API is sent for the requests that every dialect has an answer to."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from antiphon.hub.errors import UnsupportedParameter
from antiphon.hub.items import JsonObject
from antiphon.providers.anthropic import Anthropic
from tests.providers.kit.calls import file_data, image_data
from tests.providers.kit.requests import REQUESTS, TOLD_ID

_MARK = {"cache_control": {"type": "ephemeral"}}
_CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_LOOK = {"name": "look", "description": "looks", "input_schema": _CITY}
_FIND = {"name": "find", "description": "finds", "input_schema": _CITY}
_PNG = image_data()["image_url"].partition(",")[2]
_PDF = file_data()["file_data"].partition(",")[2]
_IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": _PNG}}
_SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}

_FREE_TEXT = {"type": "string", "description": "The whole input of the tool, as free text."}


def text(value: str, **more: Any) -> JsonObject:
    return {"type": "text", "text": value, **more}


def user(*content: str | JsonObject) -> JsonObject:
    return {"role": "user", "content": [text(part) if isinstance(part, str) else part for part in content]}


def assistant(*content: str | JsonObject) -> JsonObject:
    return {**user(*content), "role": "assistant"}


def use(call_id: str, arguments: JsonObject, name: str = "look") -> JsonObject:
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def result(call_id: str, content: str | list[JsonObject] = "done") -> JsonObject:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content}


def body(*messages: JsonObject, **fields: Any) -> JsonObject:
    return {"model": "upstream-model", "max_tokens": 8192, "messages": [*messages] or [user("Hi")], **fields}


_LOOK_LAST: JsonObject = {"tools": [{**_LOOK, **_MARK}]}
_BRIEF: JsonObject = {"system": [text("Be brief.", **_MARK)]}
_ANSWERED = (assistant(use("call_1", {"city": "Paris"})), user(result("call_1", "18 C")))

SENT: dict[str, JsonObject] = {
    "one text": body(),
    "a stream": body(stream=True),
    "instructions": body(**_BRIEF),
    "a system message": body(**_BRIEF),
    "a developer message": body(**_BRIEF),
    "instructions and messages of the system": body(
        user("Hi", "Ho"), system=[text("Zero."), text("One."), text("Two.", **_MARK)]
    ),
    "a dialogue": body(user("Hi"), assistant("Hello."), user("Who?")),
    "two user messages in a row": body(user("Hi", "there")),
    "an assistant speaks first": body(user("(The assistant speaks first.)"), assistant("Hello."), user("Hi")),
    "it ends with the assistant": body(user("Hi"), assistant("Once upon"), user("(Go on.)")),
    "many parts": body(user("a", "b")),
    "an empty text": body(),
    "an image as data": body(user("What?", _IMAGE)),
    "an image by URL": body(
        user({"type": "image", "source": {"type": "url", "url": "https://images.example/cat.png"}})
    ),
    "a file as data": body(
        user(
            "Read",
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": _PDF},
                "title": "a.pdf",
            },
        )
    ),
    "an earlier refusal": body(user("Hi"), assistant("No."), user("Why?")),
    "a tool": body(**_LOOK_LAST),
    "a strict tool": body(tools=[{**_LOOK, "strict": True, **_MARK}]),
    "a tool without parameters": body(
        tools=[{"name": "ping", "input_schema": {"type": "object", "properties": {}}, **_MARK}]
    ),
    "no tool may be called": body(**_LOOK_LAST, tool_choice={"type": "none"}),
    "a tool has to be called": body(tools=[_LOOK, {**_FIND, **_MARK}], tool_choice={"type": "any"}),
    "one tool has to be called": body(tools=[_LOOK, {**_FIND, **_MARK}], tool_choice={"type": "tool", "name": "look"}),
    "some tools may be called": body(**_LOOK_LAST),
    "one call at a time": body(**_LOOK_LAST, tool_choice={"type": "auto", "disable_parallel_tool_use": True}),
    "a call and its output": body(user("Weather?"), *_ANSWERED, **_LOOK_LAST),
    "text before a call": body(
        user("Weather?"),
        assistant("Let me see.", use("call_1", {"city": "Paris"})),
        user(result("call_1", "18 C")),
        **_LOOK_LAST,
    ),
    "parallel calls": body(
        user("Weather?"),
        assistant(use("call_1", {"city": "Paris"}), use("call_2", {"city": "Rome"})),
        user(result("call_1", "18 C"), result("call_2", "25 C")),
        **_LOOK_LAST,
    ),
    "arguments that are no JSON": body(
        user("Hi"), assistant(use("call_1", {"arguments": "{half"})), user(result("call_1")), **_LOOK_LAST
    ),
    "an output with an image": body(
        user("Hi"), assistant(use("call_1", {})), user(result("call_1", [text("see"), _IMAGE])), **_LOOK_LAST
    ),
    "a custom tool": body(
        user("Hi"),
        assistant(use("call_1", {"input": "*** begin"}, "patch")),
        user(result("call_1")),
        tools=[
            {
                "name": "patch",
                "description": "Patches.",
                "input_schema": {
                    "type": "object",
                    "properties": {
                        "input": {"type": "string", "description": "The whole input of the tool, as free text."}
                    },
                    "required": ["input"],
                    "additionalProperties": False,
                },
                **_MARK,
            }
        ],
    ),
    "a tool in a namespace": body(
        tools=[{"name": "crm__find", "description": "C\n\nfinds", "input_schema": _CITY, **_MARK}]
    ),
    "reasoning of another provider": body(user("Hi"), assistant("Hello."), user("Who?")),
    "temperature and top_p": body(temperature=0.5, top_p=0.9),
    "a limit of output": {**body(), "max_tokens": 100},
    "effort": body(thinking={"type": "enabled", "budget_tokens": 6144}),
    "no effort": body(thinking={"type": "disabled"}),
    "a summary of reasoning": body(thinking={"type": "enabled", "budget_tokens": 4096}),
    "encrypted reasoning is asked for": body(),
    "a JSON schema": body(output_config={"format": {"type": "json_schema", "schema": _SCHEMA}}),
    "an end user": body(metadata={"user_id": "u-1"}),
    "a cache key": body(),
    "a service tier": body(),
    "texts to stop at": body(stop_sequences=["END", "###"]),
    "a tool that failed": body(
        user("Hi"),
        assistant(use("call_1", {})),
        user({**result("call_1", "No city."), "is_error": True}),
        **_LOOK_LAST,
    ),
    "what another upstream's tools made": body(
        user("Hi"),
        assistant(use(TOLD_ID, {"q": "x"}, "find")),
        user({**result(TOLD_ID, "Found.")}),
        assistant(text("Hello.", **_MARK)),
        user("Who?"),
        tools=[{"name": "find", "input_schema": {"type": "object"}, **_MARK}],
        tool_choice={"type": "none"},
    ),
}
REFUSED = {
    "a hosted tool": "tools[0]",
    "an unknown item": "input[1]",
    "penalties": "presence_penalty",
    "log probabilities": "include",
    "a JSON object": "text.format.type",
    "few words": "text.verbosity",
}
NOT_APPLIED = {
    "a cache key": ("prompt_cache_key",),
    "a service tier": ("service_tier",),
    "a summary of reasoning": ("reasoning.summary",),
    "what another upstream's tools made": ("history.web_search_call",),
}


def test_every_request_has_an_answer() -> None:
    """Each of the requests that all dialects share is either sent or refused, and none is left out."""
    assert [*sorted(SENT), *sorted(REFUSED)] == [
        *sorted(name for name in REQUESTS if name in SENT),
        *sorted(name for name in REQUESTS if name not in SENT),
    ]


@pytest.mark.parametrize("name", SENT)
def test_what_is_sent(name: str) -> None:
    """A request becomes exactly this body, at this path, and says what of it is not in there."""
    request = Anthropic().encode(REQUESTS[name])

    assert orjson.loads(request.body) == SENT[name]
    assert (request.method, request.path, request.stream) == ("POST", "/messages", name == "a stream")
    assert request.headers == {"content-type": "application/json", "anthropic-version": "2023-06-01"}
    assert request.not_applied == NOT_APPLIED.get(name, ())


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    """What cannot be said is refused under the name that the client gave it."""
    with pytest.raises(UnsupportedParameter) as refused:
        Anthropic().encode(REQUESTS[name])

    assert refused.value.param == REFUSED[name]
