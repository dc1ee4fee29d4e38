"""What a request can ask of an upstream, by name: a call for each, and the same call without it."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from antiphon.hub.events import ReplyEnd
from antiphon.hub.items import CALL_TYPES, JsonObject
from antiphon.hub.turn import ModelCall
from antiphon.streams.accumulator import Accumulator
from tests.providers.kit.calls import function_tool, image_data, item, model_call, user
from tests.providers.kit.dialects import DIALECTS
from tests.providers.kit.history import answer_to
from tests.providers.kit.requests import REQUESTS

__all__ = ["FEATURES", "Feature", "kept_thinking"]


class Feature(NamedTuple):
    """
    Something that a request can ask.

    Attributes:
        call: That asks it.
        without: The same one that does not ask it.
    """

    call: ModelCall
    without: ModelCall


_LOOK = function_tool("look")
_HI = model_call(user("Hi"))
_WITH_TOOL = model_call(tools=(_LOOK,))
_WITH_TOOLS = model_call(tools=(_LOOK, function_tool("find")))
_FILE_URL: JsonObject = {"type": "input_file", "file_url": "https://files.example/a.pdf"}
_FILE_ID: JsonObject = {"type": "input_file", "file_id": "file_1"}
_AUDIO: JsonObject = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
# As a hosted tool needs to be described, and nothing besides.
_HOSTED: dict[str, JsonObject] = {
    "web search": {"type": "web_search"},
    "file search": {"type": "file_search", "vector_store_ids": ["vs_1"]},
    "code interpreter": {"type": "code_interpreter", "container": {"type": "auto"}},
    "image generation": {"type": "image_generation"},
    "a remote MCP server": {"type": "mcp", "server_label": "crm", "server_url": "https://mcp.example"},
    "computer use": {"type": "computer_use_preview", "display_width": 800, "display_height": 600},
    "shell": {"type": "shell"},
    "apply patch": {"type": "apply_patch"},
}
# How each dialect's recorded replies call the one whose reasoning is sealed.
_SEALED = {
    "anthropic": "thinking_sealed.sse",
    "bedrock": "reasoning_sealed.jsonl",
    "gemini": "sealed.sse",
    "openai_chat": "openrouter_encrypted.sse",
    "openai_responses": "reasoning_sealed.sse",
}


def _of_kit(name: str, without: ModelCall = _HI) -> Feature:
    return Feature(REQUESTS[name], without)


def _shows(part: JsonObject) -> Feature:
    return Feature(model_call(user("Hi", part)), _HI)


def _less(name: str, *types: str) -> Feature:
    """A call of the kit's, and it without the items of some types."""
    call = REQUESTS[name]
    kept = tuple(entry for entry in call.items if entry.type not in types)
    start = max(call.input_start - (len(call.items) - len(kept)), 0)
    return Feature(call, msgspec.structs.replace(call, items=kept, input_start=start))


FEATURES: dict[str, dict[str, Feature]] = {
    "What is said": {
        "a text": _of_kit("one text", model_call(user("Ho"))),
        "instructions": _of_kit("instructions"),
        "messages of the system": _of_kit("a system message"),
        "messages of the developer": _of_kit("a developer message"),
        "an answer to go on with": _of_kit("it ends with the assistant"),
        "images as data": _shows(image_data()),
        "images by URL": _shows({"type": "input_image", "image_url": "https://images.example/a.png", "detail": "auto"}),
        "images by id": _shows({"type": "input_image", "file_id": "file_1", "detail": "auto"}),
        "files as data": _of_kit("a file as data", model_call(user("Read"))),
        "files by URL": _shows(_FILE_URL),
        "files by id": _shows(_FILE_ID),
        "audio": _shows(_AUDIO),
    },
    "Tools": {
        "functions": _of_kit("a tool"),
        "strict functions": _of_kit("a strict tool", _WITH_TOOL),
        "custom tools": Feature(model_call(tools=({"type": "custom", "name": "patch", "description": "P"},)), _HI),
        "namespaces": _of_kit("a tool in a namespace"),
        "choice: none": _of_kit("no tool may be called", _WITH_TOOL),
        "choice: any": _of_kit("a tool has to be called", _WITH_TOOLS),
        "choice: this one": _of_kit("one tool has to be called", _WITH_TOOLS),
        "choice: some": _of_kit("some tools may be called", _WITH_TOOLS),
        "one call at a time": _of_kit("one call at a time", _WITH_TOOL),
        "calls and outputs": _less("a call and its output", "function_call", "function_call_output"),
        "a tool's images": _of_kit("an output with an image", REQUESTS["a call and its output"]),
        **{name: Feature(model_call(tools=(tool,)), _HI) for name, tool in _HOSTED.items()},
    },
    "How it is answered": {
        "temperature": Feature(model_call(temperature=0.5), _HI),
        "top_p": Feature(model_call(top_p=0.5), _HI),
        "both of them": Feature(model_call(temperature=0.5, top_p=0.5), model_call(temperature=0.5)),
        "temperature over 1": Feature(model_call(temperature=1.5), _HI),
        "penalties": _of_kit("penalties"),
        "texts to stop at": _of_kit("texts to stop at"),
        "a limit of output": _of_kit("a limit of output"),
        "log probabilities": _of_kit("log probabilities"),
        "JSON": _of_kit("a JSON object", model_call(user("Say JSON"))),
        "JSON of a schema": _of_kit("a JSON schema"),
        "verbosity": _of_kit("few words"),
    },
    "Reasoning": {
        "effort": _of_kit("effort"),
        "no reasoning": _of_kit("no effort"),
        "summaries": _of_kit("a summary of reasoning", model_call(reasoning={"effort": "low"})),
    },
    "History": {
        "reasoning of another upstream": _less("reasoning of another provider", "reasoning"),
        "what another upstream's tools made": _less(
            "what another upstream's tools made", "web_search_call", "mcp_call"
        ),
        "an earlier refusal": _of_kit("an earlier refusal", model_call(user("Hi"), user("Why?"))),
        "items that nobody knows": Feature(
            model_call(user("Hi"), item("holograph", data="x"), user("Ho"), input_start=2),
            model_call(user("Hi"), user("Ho"), input_start=1),
        ),
    },
    "Besides": {
        "an end user": _of_kit("an end user"),
        "a cache key": _of_kit("a cache key"),
        "a service tier": _of_kit("a service tier"),
    },
}
"""By section."""


def kept_thinking(dialect: str) -> Feature:
    """That what an upstream sealed of its reasoning comes back to it: as it was recorded, in the turn after."""
    accumulator = Accumulator()
    events = DIALECTS[dialect].decode(_SEALED[dialect]).events
    accumulator.feed([event for event in events if not isinstance(event, ReplyEnd)])
    items = accumulator.items()
    said = [*items, *(answer_to(entry) for entry in items if entry.type in CALL_TYPES)]
    bare = [entry for entry in said if entry.type != "reasoning"]
    return Feature(
        model_call(user("Hi"), *said, user("Go on"), reasoning={"context": "all_turns"}),
        model_call(user("Hi"), *bare, user("Go on"), reasoning={"context": "all_turns"}),
    )
