"""
The requests that every dialect has an answer to: what it sends upstream, or which parameter it refuses by name.

Each dialect's own test holds a mapping from these names to the JSON body that it sends, or to the name of the refused
parameter; a test of the kit's own sees that no dialect leaves one out.
"""

from __future__ import annotations

from antiphon.hub.turn import ModelCall
from tests.providers.kit.calls import (
    ELSEWHERE,
    assistant,
    custom_call,
    custom_output,
    file_data,
    function_call,
    function_output,
    function_tool,
    image_data,
    image_url,
    item,
    message,
    model_call,
    reasoning,
    user,
)

__all__ = ["REQUESTS", "TOLD_ID"]

# The call_id of what is told of another upstream's call: a hash of the item's id.
TOLD_ID = "call_32012c4c32888ee2c4ba4331"

_SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
_JSON_SCHEMA = {
    "format": {"type": "json_schema", "name": "answer", "schema": _SCHEMA, "strict": True},
    "verbosity": "medium",
}
_JSON_OBJECT = {"format": {"type": "json_object"}, "verbosity": "medium"}
_TOOL = function_tool("look")
_OTHER = function_tool("find")
_LOOP = (user("Weather?"), function_call("call_1", arguments='{"city":"Paris"}'), function_output("call_1", "18 C"))

REQUESTS: dict[str, ModelCall] = {
    "one text": model_call(user("Hi")),
    "a stream": model_call(user("Hi"), stream=True),
    "instructions": model_call(user("Hi"), instructions="Be brief."),
    "a system message": model_call(message("system", "Be brief."), user("Hi")),
    "a developer message": model_call(message("developer", "Be brief."), user("Hi")),
    "instructions and messages of the system": model_call(
        message("system", "One."), user("Hi"), message("developer", "Two."), user("Ho"), instructions="Zero."
    ),
    "a dialogue": model_call(user("Hi"), assistant("Hello."), user("Who?")),
    "two user messages in a row": model_call(user("Hi"), user("there")),
    "an assistant speaks first": model_call(assistant("Hello."), user("Hi")),
    "it ends with the assistant": model_call(user("Hi"), assistant("Once upon")),
    "many parts": model_call(user("a", "b")),
    "an empty text": model_call(user(""), assistant(""), user("Hi")),
    "an image as data": model_call(user("What?", image_data())),
    "an image by URL": model_call(user(image_url())),
    "a file as data": model_call(user("Read", file_data())),
    "an earlier refusal": model_call(user("Hi"), assistant({"type": "refusal", "refusal": "No."}), user("Why?")),
    "a tool": model_call(tools=(_TOOL,)),
    "a strict tool": model_call(tools=({**_TOOL, "strict": True},)),
    "a tool without parameters": model_call(
        tools=({"type": "function", "name": "ping", "parameters": None, "strict": None},)
    ),
    "no tool may be called": model_call(tools=(_TOOL,), tool_choice="none"),
    "a tool has to be called": model_call(tools=(_TOOL, _OTHER), tool_choice="required"),
    "one tool has to be called": model_call(tools=(_TOOL, _OTHER), tool_choice={"type": "function", "name": "look"}),
    "some tools may be called": model_call(
        tools=(_TOOL, _OTHER),
        tool_choice={"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "look"}]},
    ),
    "one call at a time": model_call(tools=(_TOOL,), parallel_tool_calls=False),
    "a call and its output": model_call(*_LOOP, tools=(_TOOL,)),
    "text before a call": model_call(user("Weather?"), assistant("Let me see."), *_LOOP[1:], tools=(_TOOL,)),
    "parallel calls": model_call(
        user("Weather?"),
        function_call("call_1", arguments='{"city":"Paris"}'),
        function_call("call_2", arguments='{"city":"Rome"}'),
        function_output("call_2", "25 C"),
        function_output("call_1", "18 C"),
        tools=(_TOOL,),
    ),
    "arguments that are no JSON": model_call(
        user("Hi"), function_call("call_1", arguments="{half"), function_output("call_1"), tools=(_TOOL,)
    ),
    "an output with an image": model_call(
        user("Hi"),
        function_call("call_1"),
        function_output("call_1", [{"type": "input_text", "text": "see"}, image_data()]),
        tools=(_TOOL,),
    ),
    "a custom tool": model_call(
        user("Hi"),
        custom_call("call_1", "patch", "*** begin"),
        custom_output("call_1"),
        tools=({"type": "custom", "name": "patch", "description": "Patches."},),
    ),
    "a tool in a namespace": model_call(
        tools=({"type": "namespace", "name": "crm", "description": "C", "tools": [_OTHER]},),
    ),
    "a hosted tool": model_call(tools=({"type": "web_search"},)),
    "reasoning of another provider": model_call(user("Hi"), reasoning("Hm."), assistant("Hello."), user("Who?")),
    "an unknown item": model_call(user("Hi"), item("holograph", data="x"), user("Ho")),
    "temperature and top_p": model_call(temperature=0.5, top_p=0.9),
    "a limit of output": model_call(max_output_tokens=100),
    "penalties": model_call(presence_penalty=0.5, frequency_penalty=0.25),
    "log probabilities": model_call(top_logprobs=3, include=frozenset({"message.output_text.logprobs"})),
    "effort": model_call(reasoning={"effort": "high"}),
    "no effort": model_call(reasoning={"effort": "none"}),
    "a summary of reasoning": model_call(reasoning={"effort": "low", "summary": "auto"}),
    "encrypted reasoning is asked for": model_call(include=frozenset({"reasoning.encrypted_content"})),
    "a JSON object": model_call(user("Say JSON"), text=_JSON_OBJECT),
    "a JSON schema": model_call(text=_JSON_SCHEMA),
    "few words": model_call(text={"format": {"type": "text"}, "verbosity": "low"}),
    "an end user": model_call(safety_identifier="u-1"),
    "a cache key": model_call(prompt_cache_key="thread-1"),
    "a service tier": model_call(service_tier="flex"),
    "texts to stop at": model_call(stop=("END", "###")),
    "a tool that failed": model_call(
        user("Hi"), function_call("call_1"), function_output("call_1", "No city.", status="incomplete"), tools=(_TOOL,)
    ),
    "what another upstream's tools made": model_call(
        user("Hi"),
        item("web_search_call", status="completed", private=ELSEWHERE),
        item("mcp_call", private=ELSEWHERE, name="find", arguments='{"q":"x"}', output="Found."),
        assistant("Hello."),
        user("Who?"),
        input_start=4,
    ),
}
