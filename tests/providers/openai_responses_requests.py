"""What the named requests of the kit become in this dialect."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import orjson

from antiphon.hub.items import Item, JsonObject
from antiphon.hub.turn import ModelCall
from antiphon.hub.upstream import UpstreamRequest
from antiphon.providers.openai_responses import OpenAIResponses, Quirks
from tests.providers.kit.calls import file_data, image_data, image_url, model_call
from tests.providers.kit.requests import TOLD_ID

__all__ = ["EXPECTED", "REFUSED", "encode", "encoded_body", "encoded_input", "hashed", "message"]


def encode(call: ModelCall, **quirks: Any) -> UpstreamRequest:
    return OpenAIResponses(Quirks(**quirks)).encode(call)


def encoded_body(call: ModelCall, **quirks: Any) -> JsonObject:
    body: JsonObject = orjson.loads(encode(call, **quirks).body)
    return body


def encoded_input(*items: Item, **quirks: Any) -> list[JsonObject]:
    context: list[JsonObject] = encoded_body(model_call(*items), **quirks)["input"]
    return context


def hashed(prefix: str, item_id: str) -> str:
    """The id that is made of one of ours for an upstream that wants one."""
    return f"{prefix}_{sha256(item_id.encode()).hexdigest()[:50]}"


def message(role: str, *parts: str | JsonObject) -> JsonObject:
    """A message as it goes up; a string is a text of the role's kind."""

    def part(value: str | JsonObject) -> JsonObject:
        if not isinstance(value, str):
            return value
        if role == "assistant":
            return {"type": "output_text", "text": value, "annotations": []}
        return {"type": "input_text", "text": value}

    return {"type": "message", "role": role, "content": [part(value) for value in parts]}


def _body(*items: JsonObject, **fields: Any) -> JsonObject:
    return {
        "model": "upstream-model",
        "input": list(items) or [message("user", "Hi")],
        "store": False,
        "include": ["reasoning.encrypted_content"],
        **fields,
    }


def _tool(name: str, **more: Any) -> JsonObject:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return {"type": "function", "name": name, "description": f"{name}s", "parameters": parameters, **more}


def _call(call_id: str, arguments: str = "{}") -> JsonObject:
    return {"type": "function_call", "call_id": call_id, "name": "look", "arguments": arguments}


def _output(call_id: str, output: Any = "done") -> JsonObject:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


_HI = message("user", "Hi")
_SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
_LOOK, _FIND = _tool("look"), _tool("find")
_PARIS, _ROME = '{"city":"Paris"}', '{"city":"Rome"}'

# Nothing of the API is beyond this dialect: no request is refused.
EXPECTED: dict[str, JsonObject] = {
    "one text": _body(),
    "a stream": _body(stream=True),
    "instructions": _body(instructions="Be brief."),
    "a system message": _body(message("system", "Be brief."), _HI),
    "a developer message": _body(message("developer", "Be brief."), _HI),
    "instructions and messages of the system": _body(
        message("system", "One."), _HI, message("developer", "Two."), message("user", "Ho"), instructions="Zero."
    ),
    "a dialogue": _body(_HI, message("assistant", "Hello."), message("user", "Who?")),
    "two user messages in a row": _body(_HI, message("user", "there")),
    "an assistant speaks first": _body(message("assistant", "Hello."), _HI),
    "it ends with the assistant": _body(_HI, message("assistant", "Once upon")),
    "many parts": _body(message("user", "a", "b")),
    "an empty text": _body(message("user", ""), message("assistant", ""), _HI),
    "an image as data": _body(message("user", "What?", image_data())),
    "an image by URL": _body(message("user", image_url())),
    "a file as data": _body(message("user", "Read", file_data())),
    "an earlier refusal": _body(
        _HI, message("assistant", {"type": "refusal", "refusal": "No."}), message("user", "Why?")
    ),
    "a tool": _body(tools=[_LOOK]),
    "a strict tool": _body(tools=[{**_LOOK, "strict": True}]),
    "a tool without parameters": _body(tools=[{"type": "function", "name": "ping"}]),
    "no tool may be called": _body(tools=[_LOOK], tool_choice="none"),
    "a tool has to be called": _body(tools=[_LOOK, _FIND], tool_choice="required"),
    "one tool has to be called": _body(tools=[_LOOK, _FIND], tool_choice={"type": "function", "name": "look"}),
    "some tools may be called": _body(
        tools=[_LOOK, _FIND],
        tool_choice={"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "look"}]},
    ),
    "one call at a time": _body(tools=[_LOOK], parallel_tool_calls=False),
    "a call and its output": _body(
        message("user", "Weather?"), _call("call_1", _PARIS), _output("call_1", "18 C"), tools=[_LOOK]
    ),
    "text before a call": _body(
        message("user", "Weather?"),
        message("assistant", "Let me see."),
        _call("call_1", _PARIS),
        _output("call_1", "18 C"),
        tools=[_LOOK],
    ),
    "parallel calls": _body(
        message("user", "Weather?"),
        _call("call_1", _PARIS),
        _call("call_2", _ROME),
        _output("call_2", "25 C"),
        _output("call_1", "18 C"),
        tools=[_LOOK],
    ),
    "arguments that are no JSON": _body(_HI, _call("call_1", "{half"), _output("call_1"), tools=[_LOOK]),
    "an output with an image": _body(
        _HI,
        _call("call_1"),
        _output("call_1", [{"type": "input_text", "text": "see"}, image_data()]),
        tools=[_LOOK],
    ),
    "a custom tool": _body(
        _HI,
        {"type": "custom_tool_call", "call_id": "call_1", "name": "patch", "input": "*** begin"},
        {"type": "custom_tool_call_output", "call_id": "call_1", "output": "done"},
        tools=[{"type": "custom", "name": "patch", "description": "Patches."}],
    ),
    "a tool in a namespace": _body(tools=[{"type": "namespace", "name": "crm", "description": "C", "tools": [_FIND]}]),
    "a hosted tool": _body(tools=[{"type": "web_search"}]),
    "reasoning of another provider": _body(_HI, message("assistant", "Hello."), message("user", "Who?")),
    "an unknown item": _body(_HI, {"type": "holograph", "data": "x"}, message("user", "Ho")),
    "temperature and top_p": _body(temperature=0.5, top_p=0.9),
    "a limit of output": _body(max_output_tokens=100),
    "penalties": _body(presence_penalty=0.5, frequency_penalty=0.25),
    "log probabilities": _body(top_logprobs=3, include=["message.output_text.logprobs", "reasoning.encrypted_content"]),
    "effort": _body(reasoning={"effort": "high"}),
    "no effort": _body(reasoning={"effort": "none"}),
    "a summary of reasoning": _body(reasoning={"effort": "low", "summary": "auto"}),
    "encrypted reasoning is asked for": _body(),
    "a JSON object": _body(message("user", "Say JSON"), text={"format": {"type": "json_object"}}),
    "a JSON schema": _body(
        text={"format": {"type": "json_schema", "name": "answer", "schema": _SCHEMA, "strict": True}}
    ),
    "few words": _body(text={"verbosity": "low"}),
    "an end user": _body(safety_identifier="u-1"),
    "a cache key": _body(prompt_cache_key="thread-1"),
    "a service tier": _body(service_tier="flex"),
    "a tool that failed": _body(_HI, _call("call_1"), _output("call_1", "No city."), tools=[_LOOK]),
    "what another upstream's tools made": _body(
        _HI,
        {**_call(TOLD_ID, '{"q":"x"}'), "name": "find"},
        _output(TOLD_ID, "Found."),
        message("assistant", "Hello."),
        message("user", "Who?"),
    ),
}
# What other dialects have and this API has not.
REFUSED = {"texts to stop at": "stop"}
