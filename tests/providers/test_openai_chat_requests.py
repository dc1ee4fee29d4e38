"""What a chat completions server is sent for the requests that every dialect has an answer to."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from antiphon.hub.errors import UnsupportedParameter
from antiphon.hub.items import JsonObject
from antiphon.providers.openai_chat import OpenAIChat
from tests.providers.kit.calls import image_data
from tests.providers.kit.requests import REQUESTS, TOLD_ID

_CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_FREE_TEXT = {"type": "string", "description": "The tool's whole input, as free-form text."}
_FREE = {"type": "object", "properties": {"input": _FREE_TEXT}, "required": ["input"], "additionalProperties": False}
_SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


def says(role: str, content: str | list[JsonObject]) -> JsonObject:
    return {"role": role, "content": content}


def text(value: str) -> JsonObject:
    return {"type": "text", "text": value}


def image(url: str) -> JsonObject:
    return {"type": "image_url", "image_url": {"url": url}}


def tool(name: str, **more: Any) -> JsonObject:
    fields = {"description": f"{name}s", "parameters": _CITY, **more}
    return {"type": "function", "function": {"name": name, **fields}}


def calls(*made: tuple[str, str], name: str = "look", **more: Any) -> JsonObject:
    """An assistant's message with calls: ids and arguments."""
    entries = [{"id": id_, "type": "function", "function": {"name": name, "arguments": args}} for id_, args in made]
    return {"role": "assistant", **more, "tool_calls": entries}


def gives(call_id: str, content: str = "done") -> JsonObject:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def body(*messages: JsonObject, **fields: Any) -> JsonObject:
    return {"model": "upstream-model", "messages": [*messages] or [HI], **fields}


HI, ASKED = says("user", "Hi"), says("user", "Weather?")
LOOK, FIND = tool("look"), tool("find")
PARIS, ROME = '{"city":"Paris"}', '{"city":"Rome"}'

# The whole body, or the name of the parameter that is refused.
BODIES: dict[str, JsonObject | str] = {
    "one text": body(),
    "a stream": body(stream=True, stream_options={"include_usage": True}),
    "instructions": body(says("system", "Be brief."), HI),
    "a system message": body(says("system", "Be brief."), HI),
    "a developer message": body(says("system", "Be brief."), HI),
    "instructions and messages of the system": body(
        says("system", "Zero."), says("system", "One."), HI, says("system", "Two."), says("user", "Ho")
    ),
    "a dialogue": body(HI, says("assistant", "Hello."), says("user", "Who?")),
    "two user messages in a row": body(HI, says("user", "there")),
    "an assistant speaks first": body(says("assistant", "Hello."), HI),
    "it ends with the assistant": body(HI, says("assistant", "Once upon")),
    "many parts": body(says("user", [text("a"), text("b")])),
    "an empty text": body(says("user", ""), says("assistant", ""), HI),
    "an image as data": body(says("user", [text("What?"), image(image_data()["image_url"])])),
    "an image by URL": body(says("user", [image("https://images.example/cat.png")])),
    "a file as data": "input[0].content[1]",
    "an earlier refusal": body(HI, says("assistant", "No."), says("user", "Why?")),
    "a tool": body(tools=[LOOK]),
    "a strict tool": body(tools=[tool("look", strict=True)]),
    "a tool without parameters": body(tools=[{"type": "function", "function": {"name": "ping"}}]),
    "no tool may be called": body(),
    "a tool has to be called": body(tools=[LOOK, FIND], tool_choice="required"),
    "one tool has to be called": body(tools=[LOOK], tool_choice="required"),
    "some tools may be called": body(tools=[LOOK]),
    "one call at a time": body(tools=[LOOK], parallel_tool_calls=False),
    "a call and its output": body(ASKED, calls(("call_1", PARIS)), gives("call_1", "18 C"), tools=[LOOK]),
    "text before a call": body(
        ASKED, calls(("call_1", PARIS), content="Let me see."), gives("call_1", "18 C"), tools=[LOOK]
    ),
    "parallel calls": body(
        ASKED,
        calls(("call_1", PARIS), ("call_2", ROME)),
        gives("call_1", "18 C"),
        gives("call_2", "25 C"),
        tools=[LOOK],
    ),
    "arguments that are no JSON": body(HI, calls(("call_1", "{half")), gives("call_1"), tools=[LOOK]),
    "an output with an image": "input[2].output[1]",
    "a custom tool": body(
        HI,
        calls(("call_1", '{"input":"*** begin"}'), name="patch"),
        gives("call_1"),
        tools=[tool("patch", description="Patches.", parameters=_FREE)],
    ),
    "a tool in a namespace": body(tools=[tool("crm__find", description="C\n\nfinds")]),
    "a hosted tool": "tools[0]",
    "reasoning of another provider": body(HI, says("assistant", "Hello."), says("user", "Who?")),
    "an unknown item": "input[1]",
    "temperature and top_p": body(temperature=0.5, top_p=0.9),
    "a limit of output": body(max_tokens=100),
    "penalties": body(presence_penalty=0.5, frequency_penalty=0.25),
    "log probabilities": body(logprobs=True, top_logprobs=3),
    "effort": body(reasoning_effort="high"),
    "no effort": body(reasoning_effort="none"),
    "a summary of reasoning": body(reasoning_effort="low"),
    "encrypted reasoning is asked for": body(),
    "a JSON object": body(says("user", "Say JSON"), response_format={"type": "json_object"}),
    "a JSON schema": body(
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": _SCHEMA, "strict": True},
        }
    ),
    "few words": body(verbosity="low"),
    "an end user": body(safety_identifier="u-1"),
    "a cache key": body(prompt_cache_key="thread-1"),
    "a service tier": body(service_tier="flex"),
    "texts to stop at": body(stop=["END", "###"]),
    "a tool that failed": body(HI, calls(("call_1", "{}")), gives("call_1", "No city."), tools=[LOOK]),
    "what another upstream's tools made": body(
        HI,
        calls((TOLD_ID, '{"q":"x"}'), name="find"),
        gives(TOLD_ID, "Found."),
        says("assistant", "Hello."),
        says("user", "Who?"),
    ),
}
NOT_APPLIED = {
    "a summary of reasoning": ("reasoning.summary",),
    "what another upstream's tools made": ("history.web_search_call",),
}


def test_every_request_of_the_kit_has_its_answer() -> None:
    """No request that dialects are held against is left out."""
    assert list(REQUESTS) == list(BODIES)


@pytest.mark.parametrize("name", [name for name, sent in BODIES.items() if not isinstance(sent, str)])
def test_what_is_sent(name: str) -> None:
    """A request becomes exactly this body, and says what of it is not in there."""
    request = OpenAIChat().encode(REQUESTS[name])

    assert orjson.loads(request.body) == BODIES[name]
    assert (request.method, request.path, request.stream) == ("POST", "/chat/completions", name == "a stream")
    assert request.not_applied == NOT_APPLIED.get(name, ())


@pytest.mark.parametrize("name", [name for name, sent in BODIES.items() if isinstance(sent, str)])
def test_what_is_refused(name: str) -> None:
    """What chat cannot say is refused under the name that the client gave it."""
    with pytest.raises(UnsupportedParameter) as refused:
        OpenAIChat().encode(REQUESTS[name])

    assert refused.value.param == BODIES[name]
