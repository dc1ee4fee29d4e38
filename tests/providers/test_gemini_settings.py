"""Settings of a request, and of an upstream."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest

from antiphon.hub.errors import UnsupportedParameter
from antiphon.hub.items import JsonObject
from antiphon.hub.upstream import Counts, KeyPlace, Known, Metered, Provider, UpstreamDefaults
from antiphon.providers.gemini import Gemini, Quirks, provider
from tests.providers.gemini_replies import decoder
from tests.providers.kit.calls import model_call, user


def config(quirks: Quirks | None = None, *, model: str = "gemini-3.5-flash", **request: Any) -> JsonObject:
    call = msgspec.structs.replace(model_call(user("Hi"), **request), model=model)
    fields: JsonObject = orjson.loads(Gemini(quirks or Quirks()).encode(call).body).get("generationConfig", {})
    return fields


def refused(quirks: Quirks | None = None, **request: Any) -> str | None:
    with pytest.raises(UnsupportedParameter) as raised:
        config(quirks, **request)
    return raised.value.param


def not_applied(quirks: Quirks | None = None, **request: Any) -> tuple[str, ...]:
    return Gemini(quirks or Quirks()).encode(model_call(user("Hi"), **request)).not_applied


# Thinking.


LEVELS = {"minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH"}
BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}


@pytest.mark.parametrize("effort", LEVELS)
def test_effort_as_a_level(effort: str) -> None:
    """New models are asked for a level."""
    expected = {"thinkingConfig": {"thinkingLevel": LEVELS[effort]}}
    assert config(reasoning={"effort": effort}) == expected
    assert config(Quirks(thinking="level"), model="gemini-2.5-flash", reasoning={"effort": effort}) == expected


@pytest.mark.parametrize("effort", BUDGETS)
def test_effort_as_a_budget(effort: str) -> None:
    """Models of the 2.5 series are asked for a number of tokens; none of them is no thinking."""
    expected = {"thinkingConfig": {"thinkingBudget": BUDGETS[effort]}}
    assert config(model="gemini-2.5-flash", reasoning={"effort": effort}) == expected
    assert config(Quirks(thinking="budget"), reasoning={"effort": effort}) == expected


@pytest.mark.parametrize("effort", ["none", "xhigh"])
def test_an_effort_that_there_is_not(effort: str) -> None:
    """A level that the model does not have is refused rather than rounded."""
    assert refused(reasoning={"effort": effort}) == "reasoning.effort"


def test_a_model_without_thinking() -> None:
    """Where thinking cannot be asked for an effort is refused, and a summary reported."""
    quirks = Quirks(thinking="none")
    assert refused(quirks, reasoning={"effort": "low"}) == "reasoning.effort"
    assert config(quirks, reasoning={"summary": "auto"}) == {}
    assert not_applied(quirks, reasoning={"summary": "auto"}) == ("reasoning.summary",)


@pytest.mark.parametrize("field", ["summary", "generate_summary"])
def test_a_summary_alone(field: str) -> None:
    """A summary is asked for without an effort too, under its old name as well."""
    assert config(reasoning={field: "detailed"}) == {"thinkingConfig": {"includeThoughts": True}}


def test_other_wishes_about_reasoning() -> None:
    """A mode that there is not is refused; which signatures go back is not the client's choice, and reported."""
    assert refused(reasoning={"mode": "pro"}) == "reasoning.mode"
    assert config(reasoning={"mode": "standard"}) == {}
    assert not_applied(reasoning={"context": "all_turns"}) == ("reasoning.context",)
    assert not_applied(reasoning={"context": "auto"}) == ()


# Answers.


SCHEMA: JsonObject = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


def text(**text_format: Any) -> JsonObject:
    return {"format": text_format, "verbosity": "medium"}


def test_an_answer_by_schema() -> None:
    """A schema goes up as it is or reduced, and what it is for stands in it unless it says that itself."""
    asked = text(type="json_schema", name="a", schema=SCHEMA, description="An answer.")
    named = text(type="json_schema", name="a", schema={**SCHEMA, "description": "Own."}, description="An answer.")

    assert config(text=asked)["responseJsonSchema"] == {**SCHEMA, "description": "An answer."}
    assert config(text=named)["responseJsonSchema"] == {**SCHEMA, "description": "Own."}
    assert config(Quirks(schemas="openapi"), text=asked) == {
        "responseMimeType": "application/json",
        "responseSchema": {
            "description": "An answer.",
            "type": "OBJECT",
            "properties": {"a": {"type": "STRING"}},
            "required": ["a"],
        },
    }


def test_answers_that_cannot_be_asked_for() -> None:
    """A format, a schema or a verbosity without words is refused by name."""
    loose = {**SCHEMA, "not": {"type": "null"}}
    assert refused(text=text(type="grammar")) == "text.format.type"
    assert refused(Quirks(schemas="openapi"), text=text(type="json_schema", schema=loose)) == "text.format.schema"
    assert refused(text={"verbosity": "high"}) == "text.verbosity"
    assert config(text={}) == {}


def test_log_probabilities() -> None:
    """They are asked for by `include`; a number of alternatives without it is reported."""
    include = frozenset({"message.output_text.logprobs"})
    assert config(include=include) == {"responseLogprobs": True}
    assert config(top_logprobs=2) == {}
    assert not_applied(top_logprobs=2) == ("top_logprobs",)


TIERS = {"auto": None, "default": "standard", "flex": "flex", "priority": "priority"}


@pytest.mark.parametrize("tier", TIERS)
def test_service_tiers(tier: str) -> None:
    """A tier has the vendor's name."""
    assert orjson.loads(Gemini().encode(model_call(service_tier=tier)).body).get("serviceTier") == TIERS[tier]


def test_a_tier_that_there_is_not() -> None:
    """A tier of others is refused."""
    assert refused(service_tier="scale") == "service_tier"


def test_what_is_not_about_the_answer() -> None:
    """For whom and out of which cache is reported, in the client's words."""
    asked = not_applied(user="u", safety_identifier="s", prompt_cache_key="k", prompt_cache_retention="24h")
    assert asked == ("user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention")


def test_safety_settings() -> None:
    """Thresholds of the configuration go up with every request."""
    quirks = provider({"safety_settings": {"HARM_CATEGORY_HARASSMENT": "BLOCK_NONE"}})
    assert orjson.loads(quirks.encode(model_call()).body)["safetySettings"] == [
        {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}
    ]


# The upstream.


def test_it_is_a_provider() -> None:
    """The dialect has what providers have, and what they may have."""
    gemini = provider({})
    ready: Provider = gemini

    assert ready.dialect == "gemini"
    assert isinstance(gemini, Known)
    assert isinstance(gemini, Counts)
    assert isinstance(decoder(), Metered)
    assert gemini.defaults.base_url == "https://generativelanguage.googleapis.com/v1beta"
    assert (gemini.defaults.key_variable, gemini.defaults.key_place) == (
        "GEMINI_API_KEY",
        KeyPlace("x-goog-api-key", ""),
    )


def test_vertex_ai() -> None:
    """Google Cloud takes a bearer token, and has to be told where; what is asked is the same."""
    vertex = provider({"host": "vertex"})

    assert vertex.defaults == UpstreamDefaults()
    assert vertex.encode(model_call()).path == "/models/upstream-model:generateContent"
    assert vertex.encode(model_call()) == provider({}).encode(model_call())


def test_quirks_are_configured_by_name() -> None:
    """An unknown quirk names the nearest known one; a wrong value is told."""
    with pytest.raises(ValueError, match="Did you mean 'thinking'"):
        provider({"thinkin": "level"})
    with pytest.raises(ValueError, match="Wrong value for a quirk"):
        provider({"thinking": "deep"})
    asked = provider({"thinking": "budget"}).encode(model_call(reasoning={"effort": "low"}))
    assert orjson.loads(asked.body)["generationConfig"] == {"thinkingConfig": {"thinkingBudget": 1024}}
