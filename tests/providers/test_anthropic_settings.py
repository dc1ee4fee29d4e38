"""Settings of a request, by what each generation of models takes, and the quirks of an upstream."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest

from antiphon.hub.errors import UnsupportedParameter
from antiphon.hub.items import JsonObject
from antiphon.hub.upstream import Counts, KeyPlace, Known, UpstreamDefaults, UpstreamRequest
from antiphon.providers.anthropic import provider
from tests.providers.kit.calls import assistant, function_call, function_output, function_tool, model_call, user

HAIKU, SONNET_46, OPUS_47, OPUS_5, OPUS_55 = (
    "claude-haiku-4-5-20251001",
    "claude-sonnet-4-6",
    "claude-opus-4-7",
    "claude-opus-5",
    "claude-opus-5-5",
)
LOOK = function_tool("look")


def encode(model: str = "upstream-model", quirks: JsonObject | None = None, **request: Any) -> UpstreamRequest:
    call = msgspec.structs.replace(model_call(**request), model=model)
    return provider(quirks or {}).encode(call)


def body(model: str = "upstream-model", quirks: JsonObject | None = None, **request: Any) -> JsonObject:
    written: JsonObject = orjson.loads(encode(model, quirks, **request).body)
    return written


def fields(model: str = "upstream-model", quirks: JsonObject | None = None, **request: Any) -> JsonObject:
    """The body without what every body has."""
    kept = ("model", "messages", "max_tokens", "tools")
    return {name: value for name, value in body(model, quirks, **request).items() if name not in kept}


ADAPTIVE_HIGH: JsonObject = {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}
TAKEN: dict[str, tuple[str, JsonObject, JsonObject]] = {
    "a budget": (HAIKU, {"reasoning": {"effort": "high"}}, {"thinking": {"type": "enabled", "budget_tokens": 24_576}}),
    "the smallest budget": (
        HAIKU,
        {"reasoning": {"effort": "minimal"}, "max_output_tokens": 1025},
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    ),
    "an effort": (SONNET_46, {"reasoning": {"effort": "high"}}, ADAPTIVE_HIGH),
    "the least effort": (
        OPUS_5,
        {"reasoning": {"effort": "minimal"}},
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
    ),
    "a summary": (
        OPUS_55,
        {"reasoning": {"summary": "auto"}},
        {"thinking": {"type": "adaptive", "display": "summarized"}},
    ),
    "no effort": (OPUS_5, {"reasoning": {"effort": "none"}}, {"thinking": {"type": "disabled"}}),
    "no effort of a model that does not think": ("claude-3-5-haiku-latest", {"reasoning": {"effort": "none"}}, {}),
    "an effort and a schema": (
        OPUS_5,
        {"reasoning": {"effort": "max"}, "text": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        {
            "thinking": {"type": "adaptive"},
            "output_config": {"effort": "max", "format": {"type": "json_schema", "schema": {"type": "object"}}},
        },
    ),
    "a temperature": (HAIKU, {"temperature": 0.0}, {"temperature": 0.0}),
    "the default temperature": (OPUS_55, {"temperature": 1.0, "top_p": 1}, {}),
    "top_p beside thinking": (
        HAIKU,
        {"top_p": 0.96, "reasoning": {"effort": "low"}, "max_output_tokens": 20_000},
        {"thinking": {"type": "enabled", "budget_tokens": 4096}, "top_p": 0.96},
    ),
    "a forced call": (OPUS_47, {"tools": (LOOK,), "tool_choice": "required"}, {"tool_choice": {"type": "any"}}),
    "a forced call of a model that thinks unasked": (
        OPUS_5,
        {"tools": (LOOK,), "tool_choice": "required"},
        {"tool_choice": {"type": "any"}, "thinking": {"type": "disabled"}},
    ),
    "a forced call, one at a time": (
        HAIKU,
        {"tools": (LOOK,), "tool_choice": {"type": "function", "name": "look"}, "parallel_tool_calls": False},
        {"tool_choice": {"type": "tool", "name": "look", "disable_parallel_tool_use": True}},
    ),
    "no call, and not two either": (
        HAIKU,
        {"tools": (LOOK,), "tool_choice": "none", "parallel_tool_calls": False},
        {"tool_choice": {"type": "none"}},
    ),
    "no fast capacity": (HAIKU, {"service_tier": "default"}, {"service_tier": "standard_only"}),
    "fast capacity": (HAIKU, {"service_tier": "priority"}, {"service_tier": "auto"}),
    "any capacity": (HAIKU, {"service_tier": "auto"}, {}),
    "an end user by the older name": (HAIKU, {"user": "u-2"}, {"metadata": {"user_id": "u-2"}}),
}


@pytest.mark.parametrize(("model", "request_", "expected"), TAKEN.values(), ids=TAKEN.keys())
def test_a_setting_that_the_model_takes(model: str, request_: JsonObject, expected: JsonObject) -> None:
    """A setting is said in the words that this generation of models understands."""
    assert fields(model, {"caching": False}, **request_) == expected


REFUSED: dict[str, tuple[str, JsonObject, str]] = {
    "a temperature above one": (HAIKU, {"temperature": 1.5}, "temperature"),
    "a temperature of a model that has none": (OPUS_47, {"temperature": 0.5}, "temperature"),
    "top_p of a model that has none": (OPUS_55, {"top_p": 0.5}, "top_p"),
    "both of a model that takes one": (SONNET_46, {"temperature": 0.5, "top_p": 0.5}, "top_p"),
    "a temperature beside thinking": (HAIKU, {"temperature": 0.5, "reasoning": {"effort": "low"}}, "temperature"),
    "a low top_p beside thinking": (HAIKU, {"top_p": 0.5, "reasoning": {"effort": "low"}}, "top_p"),
    "thinking without room": (HAIKU, {"max_output_tokens": 1024, "reasoning": {"effort": "low"}}, "max_output_tokens"),
    "thinking of a model that does not": ("claude-3-haiku", {"reasoning": {"effort": "low"}}, "reasoning.effort"),
    "an effort that nobody knows": (OPUS_5, {"reasoning": {"effort": "heroic"}}, "reasoning.effort"),
    "no thinking of a model that always does": (OPUS_55, {"reasoning": {"effort": "none"}}, "reasoning.effort"),
    "another mode": (OPUS_5, {"reasoning": {"mode": "pro"}}, "reasoning.mode"),
    "a forced call beside thinking": (
        HAIKU,
        {"tools": (LOOK,), "tool_choice": "required", "reasoning": {"effort": "low"}},
        "tool_choice",
    ),
    "a forced call of a model that cannot": (OPUS_55, {"tools": (LOOK,), "tool_choice": "required"}, "tool_choice"),
    "a choice of a hosted tool": (HAIKU, {"tools": (LOOK,), "tool_choice": {"type": "web_search"}}, "tool_choice"),
    "a schema of a model that takes none": (
        "claude-sonnet-4-20250514",
        {"text": {"format": {"type": "json_schema", "schema": {}}}},
        "text.format.type",
    ),
    "a choice among hosted tools": (
        HAIKU,
        {
            "tools": (LOOK,),
            "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp", "server_label": "a"}]},
        },
        "tool_choice.tools[0]",
    ),
    "a namespace of others": (
        HAIKU,
        {"tools": ({"type": "namespace", "name": "a", "tools": [{"type": "mcp"}]},)},
        "tools[0].tools[0]",
    ),
    "a frequency penalty": (HAIKU, {"frequency_penalty": 0.1}, "frequency_penalty"),
    "a tool that waits": (HAIKU, {"tools": ({**LOOK, "defer_loading": True},)}, "tools[0].defer_loading"),
    "a tool for code alone": (HAIKU, {"tools": ({**LOOK, "allowed_callers": ["code"]},)}, "tools[0].allowed_callers"),
}


@pytest.mark.parametrize(("model", "request_", "param"), REFUSED.values(), ids=REFUSED.keys())
def test_a_setting_that_the_model_does_not_take(model: str, request_: JsonObject, param: str) -> None:
    """A setting that would be an error, or would be lost, is refused before the model is asked."""
    with pytest.raises(UnsupportedParameter) as refused:
        encode(model, **request_)

    assert refused.value.param == param


NOT_APPLIED: dict[str, tuple[JsonObject, tuple[str, ...]]] = {
    "a cache": (
        {"prompt_cache_key": "k", "prompt_cache_retention": "24h"},
        ("prompt_cache_key", "prompt_cache_retention"),
    ),
    "two names of one user": ({"user": "a", "safety_identifier": "b"}, ("user",)),
    "a number of probabilities that nobody asked for": ({"top_logprobs": 2}, ("top_logprobs",)),
    "a longer summary": ({"reasoning": {"summary": "detailed"}}, ("reasoning.summary",)),
    "a described format": (
        {"text": {"format": {"type": "json_schema", "schema": {}, "description": "d"}}},
        ("text.format.description",),
    ),
    "what a tool gives": ({"tools": ({**LOOK, "output_schema": {}},)}, ("tools.output_schema",)),
    "the resolution of an image": (
        {"input_image": "high"},
        ("input_image.detail",),
    ),
}


@pytest.mark.parametrize(("request_", "expected"), NOT_APPLIED.values(), ids=NOT_APPLIED.keys())
def test_a_setting_that_changes_nothing(request_: JsonObject, expected: tuple[str, ...]) -> None:
    """What has no words and changes nothing in what the model says is reported by the client's name of it."""
    detail = request_.get("input_image")
    if detail is None:
        assert encode(OPUS_5, **request_).not_applied == expected
        return
    picture = {"type": "input_image", "image_url": "https://images.example/a.png", "detail": detail}
    assert provider({}).encode(model_call(user(picture))).not_applied == expected


LIMITS = {
    "claude-3-haiku-20240307": 4096,
    "claude-3-5-sonnet-20241022": 8192,
    "claude-3-7-sonnet-latest": 64_000,
    "claude-opus-4-20250514": 32_000,
    "claude-opus-4-1-20250805": 32_000,
    "claude-sonnet-4-0": 64_000,
    "claude-sonnet-4-5@20250929": 64_000,
    "us.anthropic.claude-haiku-4-5-20251001-v1:0": 64_000,
    "anthropic.claude-opus-4-6-v1": 128_000,
    "claude-opus-4-8": 128_000,
    "claude-fable-5": 128_000,
    "claude-mythos-5-1": 128_000,
    "claude-next": 128_000,
    "claude-opus-4-9": 128_000,
    "anthropic/claude-sonnet-4.5": 64_000,
    "claude-sonnet-4": 64_000,
    "another-vendors-model": 8192,
}


@pytest.mark.parametrize(("model", "limit"), LIMITS.items())
def test_the_limit_that_the_api_demands(model: str, limit: int) -> None:
    """Without a limit of the request's the model's own is sent, under whichever name a cloud serves it."""
    assert body(model)["max_tokens"] == limit
    assert body(model, max_output_tokens=17)["max_tokens"] == 17
    assert body(model, {"max_tokens": 500})["max_tokens"] == 500


QUIRKS: dict[str, tuple[JsonObject, JsonObject, JsonObject]] = {
    "thinking by effort": ({"thinking": "adaptive"}, {"reasoning": {"effort": "high"}}, ADAPTIVE_HIGH),
    "thinking by a budget": (
        {"thinking": "budget", "max_tokens": 40_000},
        {"reasoning": {"effort": "medium"}},
        {"thinking": {"type": "enabled", "budget_tokens": 12_288}},
    ),
    "sampling": ({"sampling": "both"}, {"temperature": 0.1, "top_p": 0.2}, {"temperature": 0.1, "top_p": 0.2}),
    "no cache": ({"caching": False}, {"instructions": "A"}, {"system": [{"type": "text", "text": "A"}]}),
    "a longer cache": (
        {"cache_ttl": "1h"},
        {"instructions": "A"},
        {"system": [{"type": "text", "text": "A", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
    ),
    "JSON by an instruction": (
        {"json_object": "instruction", "caching": False},
        {"text": {"format": {"type": "json_object"}}, "instructions": "A"},
        {
            "system": [
                {"type": "text", "text": "A"},
                {"type": "text", "text": "Answer with one JSON object and nothing else."},
            ]
        },
    ),
    "a hosted tool is dropped": ({"unsupported_tools": "drop"}, {"tools": ({"type": "web_search"},)}, {}),
}


@pytest.mark.parametrize(("quirks", "request_", "expected"), QUIRKS.values(), ids=QUIRKS.keys())
def test_a_quirk(quirks: JsonObject, request_: JsonObject, expected: JsonObject) -> None:
    """A quirk says what this upstream takes, whatever is known of the model."""
    assert fields("claude-opus-4-8" if "sampling" in quirks else "upstream-model", quirks, **request_) == expected


def test_strict_tools_of_an_upstream_without() -> None:
    """Strictness is left out and reported where it is not understood."""
    request = encode(quirks={"structured_outputs": False}, tools=({**LOOK, "strict": True},))

    assert "strict" not in orjson.loads(request.body)["tools"][0]
    assert request.not_applied == ("tools.strict",)


def test_a_dropped_tool_is_reported() -> None:
    """A tool that went without is named."""
    assert encode(quirks={"unsupported_tools": "drop"}, tools=({"type": "mcp"},)).not_applied == ("tools.mcp",)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"thinkng": "none"}, "Unknown quirk 'thinkng'. Did you mean 'thinking'?"),
        ({"thinking": "deep"}, "Wrong value for a quirk"),
        ({"max_tokens": 0}, "at least 1"),
    ],
)
def test_a_wrong_quirk_is_named(options: JsonObject, words: str) -> None:
    """A mistake in the configuration is found when it is read."""
    with pytest.raises(ValueError, match=words):
        provider(options)


def test_a_context_of_reasoning_that_is_never_replayed() -> None:
    """Where no thinking goes back, a wish for more of it is reported."""
    request = encode(quirks={"replay_thinking": "never"}, reasoning={"context": "all_turns"})

    assert request.not_applied == ("reasoning.context",)


MARKED: dict[str, tuple[JsonObject, list[str]]] = {
    "nothing to keep": ({}, []),
    "tools": ({"tools": (LOOK,)}, ["look"]),
    "tools and instructions": ({"tools": (LOOK,), "instructions": "Be brief."}, ["Be brief."]),
}


@pytest.mark.parametrize(("request_", "expected"), MARKED.values(), ids=MARKED.keys())
def test_the_stable_beginning_is_marked(request_: JsonObject, expected: list[str]) -> None:
    """One mark stands behind tools and system prompt, and none in a turn's own input."""
    assert marks(orjson.loads(encode(**request_).body)) == expected


def test_the_history_is_marked_at_its_end() -> None:
    """What the next turn begins with as well is cached: the history, up to the turn's own input."""
    items = (user("One"), assistant("Two"), user("Three"), assistant("Four"), user("Five", "Six"))
    for start, last in ((0, []), (2, ["Two"]), (4, ["Four"]), (5, ["Six"])):
        request = provider({}).encode(model_call(*items, input_start=start, instructions="Zero"))

        assert marks(orjson.loads(request.body)) == ["Zero", *last]


def test_a_history_that_ends_with_a_result() -> None:
    """A tool's result can be the end of the history, also where something older was moved behind it."""
    items = (user("One"), function_call("c1"), user("Two"), function_output("c1", "Three"), user("Four"))

    assert marks(orjson.loads(provider({}).encode(model_call(*items, input_start=4)).body)) == ["look", "Two"]
    assert marks(orjson.loads(provider({}).encode(model_call(*items, input_start=3)).body)) == ["look", "Two"]
    assert marks(orjson.loads(provider({}).encode(model_call(*items[:2], items[3], input_start=3)).body)) == [
        "look",
        "Three",
    ]


def marks(written: JsonObject) -> list[str]:
    """The text or the name of each marked block, in the API's order."""
    blocks = [*written.get("tools", []), *written.get("system", [])]
    blocks += [block for message in written["messages"] for block in message["content"]]
    return [block.get("text") or block.get("content") or block["name"] for block in blocks if "cache_control" in block]


def test_how_it_is_reached() -> None:
    """The provider knows its usual address, its key, and where that goes, and that it can count."""
    anthropic = provider({})

    assert isinstance(anthropic, Known)
    assert isinstance(anthropic, Counts)
    assert anthropic.dialect == "anthropic"
    assert anthropic.defaults == UpstreamDefaults(
        base_url="https://api.anthropic.com/v1",
        key_variable="ANTHROPIC_API_KEY",
        key_place=KeyPlace(header="x-api-key", prefix=""),
    )
