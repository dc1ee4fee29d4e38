"""Presets: what a rich call becomes for each vendor, what it refuses, and that the lists are sound."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import orjson
import pytest

from antiphon.app.dialects import dialects, make_provider
from antiphon.app.presets import LOCAL, PRESETS
from antiphon.hub.errors import UnsupportedParameter
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import ModelCall
from tests.app.upstream_table import PAGE, page_with_tables
from tests.providers.kit.calls import (
    file_data,
    function_call,
    function_output,
    function_tool,
    image_url,
    message,
    model_call,
    reasoning,
    user,
)
from tests.providers.kit.requests import REQUESTS

TOOLS = (function_tool("look"), function_tool("find"))

# Two calls of one tool loop; the first has a thought that its client brought along. No effort, one call at a time.
RICH = model_call(
    message("developer", "Be brief."),
    user("What is it?", image_url()),
    reasoning("Hm."),
    function_call("call_1"),
    function_output("call_1", "A cat."),
    function_call("call_2", "find"),
    function_output("call_2", "In the box."),
    tools=TOOLS,
    parallel_tool_calls=False,
    max_output_tokens=100,
    temperature=0.5,
    top_p=0.9,
    reasoning={"effort": "none"},
    user="user-1",
    safety_identifier="safe-1",
    prompt_cache_key="thread-1",
    prompt_cache_retention="24h",
    service_tier="flex",
    stream=True,
)

_NOTHING: JsonObject = {}
_THOUGHT: JsonObject = {"reasoning_content": "Hm."}
_OPTIONAL: JsonObject = {
    "max_tokens": 100,
    "parallel_tool_calls": False,
    "reasoning_effort": "none",
    "user": "user-1",
    "safety_identifier": "safe-1",
    "prompt_cache_key": "thread-1",
    "prompt_cache_retention": "24h",
    "service_tier": "flex",
    "stream_options": {"include_usage": True},
}


class Golden(NamedTuple):
    """
    What the rich call becomes.

    Attributes:
        without: The optional fields of the common ground that are not sent.
        fields: Those that are sent besides, or otherwise.
        system: The role of the developer's message.
        thought: What the first call's message has besides the call.
        blank: What the second one's has.
        call_ids: Of the two calls.
        not_applied: What is reported to the client.
    """

    without: str = ""
    fields: JsonObject = _NOTHING
    system: str = "system"
    thought: JsonObject = _THOUGHT
    blank: JsonObject = _NOTHING
    call_ids: tuple[str, str] = ("call_1", "call_2")
    not_applied: tuple[str, ...] = ()

    def body(self) -> JsonObject:
        """The whole body."""
        optional = {name: value for name, value in _OPTIONAL.items() if name not in self.without.split()}
        first, second = self.call_ids
        return {
            "model": "upstream-model",
            "messages": [
                {"role": self.system, "content": "Be brief."},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What is it?"},
                        {"type": "image_url", "image_url": {"url": "https://images.example/cat.png"}},
                    ],
                },
                {"role": "assistant", "tool_calls": [_call(first, "look")], **self.thought},
                {"role": "tool", "tool_call_id": first, "content": "A cat."},
                {"role": "assistant", "tool_calls": [_call(second, "find")], **self.blank},
                {"role": "tool", "tool_call_id": second, "content": "In the box."},
            ],
            "tools": [_tool("look"), _tool("find")],
            "temperature": 0.5,
            "top_p": 0.9,
            "stream": True,
            **optional,
            **self.fields,
        }


def _call(call_id: str, name: str) -> JsonObject:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": "{}"}}


def _tool(name: str) -> JsonObject:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return {"type": "function", "function": {"name": name, "description": f"{name}s", "parameters": parameters}}


_OPENAI = Golden("max_tokens", {"max_completion_tokens": 100}, system="developer")
_BLANK: JsonObject = {"reasoning_content": " "}
_THINKS_OFF: JsonObject = {"thinking": {"type": "disabled"}}
_ZHIPU = Golden(
    "parallel_tool_calls reasoning_effort user safety_identifier prompt_cache_key prompt_cache_retention service_tier "
    "stream_options",
    {**_THINKS_OFF, "user_id": "safe-1"},
    not_applied=("parallel_tool_calls", "prompt_cache_key", "prompt_cache_retention", "service_tier", "user"),
)
_TEMPLATE: JsonObject = {"chat_template_kwargs": {"enable_thinking": False}}

GOLDEN = {
    "openai": _OPENAI,
    "azure_openai": _OPENAI,
    "deepseek": Golden(
        "parallel_tool_calls reasoning_effort user safety_identifier prompt_cache_key prompt_cache_retention "
        "service_tier",
        {**_THINKS_OFF, "user_id": "safe-1"},
        blank=_BLANK,
        not_applied=("parallel_tool_calls", "prompt_cache_key", "prompt_cache_retention", "service_tier", "user"),
    ),
    "groq": Golden(
        "max_tokens safety_identifier prompt_cache_key prompt_cache_retention",
        {"max_completion_tokens": 100},
        thought={"reasoning": "Hm."},
        not_applied=("safety_identifier", "prompt_cache_key", "prompt_cache_retention"),
    ),
    "mistral": Golden(
        "user safety_identifier prompt_cache_retention service_tier stream_options",
        thought={"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]},
        call_ids=("74196fe72", "1b68f83fa"),
        not_applied=("user", "safety_identifier", "prompt_cache_retention", "service_tier"),
    ),
    "xai": Golden("max_tokens", {"max_completion_tokens": 100}),
    "openrouter": Golden(),
    "fireworks": Golden(
        "safety_identifier prompt_cache_retention stream_options",
        not_applied=("safety_identifier", "prompt_cache_retention"),
    ),
    "together": Golden(),
    "cohere": Golden(
        "parallel_tool_calls user safety_identifier prompt_cache_key prompt_cache_retention service_tier",
        system="developer",
        not_applied=(
            "parallel_tool_calls",
            "user",
            "safety_identifier",
            "prompt_cache_key",
            "prompt_cache_retention",
            "service_tier",
        ),
    ),
    "gemini_openai": Golden(
        "parallel_tool_calls user safety_identifier prompt_cache_key prompt_cache_retention service_tier",
        not_applied=(
            "parallel_tool_calls",
            "user",
            "safety_identifier",
            "prompt_cache_key",
            "prompt_cache_retention",
            "service_tier",
        ),
    ),
    "moonshot": Golden(
        "max_tokens reasoning_effort prompt_cache_retention service_tier",
        {"max_completion_tokens": 100, **_THINKS_OFF},
        blank=_BLANK,
        not_applied=("prompt_cache_retention", "service_tier"),
    ),
    "modelscope": Golden("reasoning_effort", {"enable_thinking": False}),
    "siliconflow": Golden("reasoning_effort", {"enable_thinking": False}),
    "stepfun": Golden(thought={"reasoning": "Hm."}),
    "zhipu": _ZHIPU,
    "zai": _ZHIPU,
    "ollama": Golden(
        "parallel_tool_calls user safety_identifier prompt_cache_key prompt_cache_retention service_tier",
        thought={"reasoning": "Hm."},
        not_applied=(
            "parallel_tool_calls",
            "user",
            "safety_identifier",
            "prompt_cache_key",
            "prompt_cache_retention",
            "service_tier",
        ),
    ),
    "lm_studio": Golden(),
    "llamacpp": Golden(),
    "vllm": Golden("reasoning_effort", _TEMPLATE),
    "sglang": Golden("reasoning_effort", _TEMPLATE),
}


def encoded(name: str, call: ModelCall) -> JsonObject:
    """The body that a preset makes of a call."""
    body: JsonObject = orjson.loads(make_provider(name, {}).encode(call).body)
    return body


@pytest.mark.parametrize("name", PRESETS)
def test_a_rich_call(name: str) -> None:
    """Each preset sends exactly this body, and reports exactly this as not applied."""
    golden = GOLDEN[name]

    request = make_provider(name, {}).encode(RICH)

    assert orjson.loads(request.body) == golden.body()
    assert request.not_applied == golden.not_applied
    assert (request.path, request.stream) == ("/chat/completions", True)


_SCHEMA = {"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}}}
PROBES: dict[str, dict[str, Any]] = {
    "a demanded call": {"tools": TOOLS, "tool_choice": "required"},
    "penalties": {"presence_penalty": 0.5, "frequency_penalty": 0.25},
    "log probabilities": {"top_logprobs": 3, "include": frozenset({"message.output_text.logprobs"})},
    "few words": {"text": {"format": {"type": "text"}, "verbosity": "low"}},
    "an object": {"text": {"format": {"type": "json_object"}}},
    "a schema": {"text": _SCHEMA},
}
_NO_LOGPROBS = {"log probabilities": "include"}
_NO_VERBOSITY = {"few words": "text.verbosity"}
_NO_DEMAND = {"a demanded call": "tool_choice"}
_NO_SCHEMA = {"a schema": "text.format.type"}
_ZHIPU_REFUSES = {**_NO_DEMAND, "penalties": "presence_penalty", **_NO_LOGPROBS, **_NO_VERBOSITY, **_NO_SCHEMA}

REFUSED: dict[str, dict[str, str]] = {
    "openai": {},
    "azure_openai": {},
    "deepseek": {**_NO_VERBOSITY, **_NO_SCHEMA},
    "groq": {**_NO_LOGPROBS, **_NO_VERBOSITY},
    "mistral": {**_NO_LOGPROBS, **_NO_VERBOSITY},
    "xai": {},
    "openrouter": {},
    "fireworks": _NO_VERBOSITY,
    "together": _NO_LOGPROBS,
    "cohere": {**_NO_DEMAND, **_NO_LOGPROBS, **_NO_VERBOSITY},
    "gemini_openai": _NO_VERBOSITY,
    "moonshot": {**_NO_DEMAND, **_NO_VERBOSITY},
    "modelscope": {},
    "siliconflow": {},
    "stepfun": _NO_SCHEMA,
    "zhipu": _ZHIPU_REFUSES,
    "zai": _ZHIPU_REFUSES,
    "ollama": _NO_VERBOSITY,
    "lm_studio": {"an object": "text.format.type"},
    "llamacpp": {},
    "vllm": {},
    "sglang": {},
}


@pytest.mark.parametrize("name", PRESETS)
def test_what_is_refused(name: str) -> None:
    """What changes the model's words and the vendor does not take is refused by name; everything else is sent."""
    refused = {}
    for probe, request in PROBES.items():
        try:
            encoded(name, model_call(**request))
        except UnsupportedParameter as error:
            refused[probe] = error.param

    assert refused == REFUSED[name]


# Settings of the requests that every dialect answers, with the value that each asks for.
SETTINGS: dict[str, dict[str, object]] = {
    "temperature and top_p": {"temperature": 0.5, "top_p": 0.9},
    "penalties": {"presence_penalty": 0.5, "frequency_penalty": 0.25},
    "a limit of output": {"max_output_tokens": 100},
    "effort": {"reasoning.effort": "high"},
    "few words": {"text.verbosity": "low"},
    "an end user": {"safety_identifier": "u-1"},
    "a cache key": {"prompt_cache_key": "thread-1"},
    "a service tier": {"service_tier": "flex"},
    "one call at a time": {"parallel_tool_calls": False},
}


@pytest.mark.parametrize("name", PRESETS)
def test_nothing_is_dropped_in_silence(name: str) -> None:
    """Whatever is asked for is sent, or reported as not applied, or refused by name; for every preset."""
    for case, settings in SETTINGS.items():
        sent, told = answer_to(name, REQUESTS[case])
        if sent is None:
            assert told <= settings.keys(), case
            continue
        for setting, value in settings.items():
            assert (value in sent.values()) != (setting in told), case


def answer_to(name: str, call: ModelCall) -> tuple[JsonObject | None, set[str | None]]:
    """The body with what was not applied, or None with the parameter that is refused."""
    try:
        request = make_provider(name, {}).encode(call)
    except UnsupportedParameter as error:
        return None, {error.param}
    return orjson.loads(request.body), set(request.not_applied)


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("openai", {"type": "function", "function": {"name": "look"}}),
        ("groq", {"type": "function", "function": {"name": "look"}}),
        ("xai", {"type": "function", "function": {"name": "look"}}),
        ("openrouter", {"type": "function", "function": {"name": "look"}}),
        ("deepseek", "required"),
        ("lm_studio", "required"),
    ],
)
def test_a_demanded_tool(name: str, sent: object) -> None:
    """One tool is demanded by its name where the vendor documents that, else by offering no other."""
    body = encoded(name, model_call(tools=TOOLS, tool_choice={"type": "function", "name": "look"}))

    assert body["tool_choice"] == sent
    assert len(body["tools"]) == (1 if sent == "required" else 2)


@pytest.mark.parametrize("name", PRESETS)
def test_files(name: str) -> None:
    """A file's data goes to those that document it, and is refused for the others."""
    call = model_call(user(file_data()))
    if name in ("openai", "azure_openai", "openrouter"):
        (part,) = encoded(name, call)["messages"][0]["content"]
        assert part["type"] == "file"
    else:
        with pytest.raises(UnsupportedParameter):
            encoded(name, call)


def test_configured_quirks_win() -> None:
    """A quirk of the configuration takes the place of the preset's own; the others stay."""
    quirks = {"drop": [], "stream_usage": True}

    body = orjson.loads(make_provider("mistral", quirks).encode(RICH).body)

    assert body["user"] == "user-1"
    assert body["stream_options"] == {"include_usage": True}
    assert body["messages"][3]["tool_call_id"] == GOLDEN["mistral"].call_ids[0]


def test_an_unknown_quirk_of_a_preset() -> None:
    """A preset has its dialect's quirks and no others."""
    with pytest.raises(ValueError, match=r"Unknown quirk 'strem_usage'\. Did you mean 'stream_usage'\?"):
        make_provider("mistral", {"strem_usage": True})


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_sound(name: str) -> None:
    """It has a dialect that exists, an address, a page of https and the day on which that was read."""
    preset = PRESETS[name]

    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
    assert preset.dialect in dialects()
    assert re.match(r"https?://|\{[A-Z_]+\}/", preset.defaults.base_url)
    assert not preset.defaults.base_url.endswith("/")
    assert preset.source.startswith("https://")
    assert re.fullmatch(r"2\d{3}-\d{2}-\d{2}", preset.read)
    assert bool(preset.defaults.key_variable) == (preset.port is None)


def test_names_mean_one_thing() -> None:
    """No preset is called like a dialect, and no two local servers have the same port or owner."""
    assert sorted(set(PRESETS) & set(dialects())) == []
    assert len({preset.port for preset in LOCAL}) == len(LOCAL)
    owners = [owner for preset in LOCAL for owner in preset.owners]
    assert len(set(owners)) == len(owners)


def test_every_preset_is_held_here() -> None:
    """A new preset comes with its golden request and its refusals."""
    assert list(GOLDEN) == list(REFUSED) == list(PRESETS)


def test_the_page_shows_what_there_is() -> None:
    """The tables of docs/upstreams.md are those of the code. ``python -m tests.app.upstream_table`` writes them."""
    page = PAGE.read_text(encoding="utf-8")

    assert page_with_tables(page) == page
    assert all(f"`{name}`" in page for name in PRESETS)
