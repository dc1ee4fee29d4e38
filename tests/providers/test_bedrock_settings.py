"""Settings, quirks and cache points as Converse has them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from antiphon.hub.errors import UnsupportedParameter, UpstreamBroken
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import ModelCall
from antiphon.hub.upstream import Counts, KeyPlace, Known, UpstreamDefaults
from antiphon.providers.bedrock import Bedrock, Quirks, provider
from tests.providers.kit.calls import assistant, function_call, function_output, function_tool, model_call, user

POINT = {"cachePoint": {"type": "default"}}


def encoded(call: ModelCall, **quirks: Any) -> JsonObject:
    body: JsonObject = orjson.loads(Bedrock(Quirks(**quirks)).encode(call).body)
    return body


def not_applied(**request: Any) -> tuple[str, ...]:
    return Bedrock().encode(model_call(**request)).not_applied


# Reasoning.


@pytest.mark.parametrize(
    ("style", "effort", "expected"),
    [
        ("effort", "minimal", {"outputConfig": {"effort": "minimal"}}),
        ("effort", "none", {}),
        (
            "adaptive",
            "high",
            {"outputConfig": {"effort": "high"}, "additionalModelRequestFields": {"thinking": {"type": "adaptive"}}},
        ),
        ("adaptive", "none", {"additionalModelRequestFields": {"thinking": {"type": "disabled"}}}),
        (
            "budget",
            "low",
            {"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 2048}}},
        ),
        ("budget", "none", {}),
        (
            "nova",
            "medium",
            {"additionalModelRequestFields": {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}}},
        ),
        ("nova", "none", {"additionalModelRequestFields": {"reasoningConfig": {"type": "disabled"}}}),
        ("reasoning_effort", "low", {"additionalModelRequestFields": {"reasoning_effort": "low"}}),
        ("none", "none", {}),
    ],
)
def test_effort(style: str, effort: str, expected: JsonObject) -> None:
    """An effort is said in the words of the model that is configured."""
    body = encoded(model_call(reasoning={"effort": effort}), reasoning=style)

    assert {name: value for name, value in body.items() if name != "messages"} == expected


@pytest.mark.parametrize(("style", "effort"), [("none", "low"), ("nova", "xhigh"), ("budget", "colossal")])
def test_efforts_that_are_refused(style: str, effort: str) -> None:
    """An effort that the model does not have is refused; the message names those that it has."""
    with pytest.raises(UnsupportedParameter, match=r"It has 'm|It has 'none'") as raised:
        encoded(model_call(reasoning={"effort": effort}), reasoning=style)

    assert raised.value.param == "reasoning.effort"


@pytest.mark.parametrize(("limit", "budget"), [(20_000, 8192), (8193, 8192), (8192, 7168), (1500, 1024)])
def test_a_budget_fits_the_limit_of_output(limit: int, budget: int) -> None:
    """Thinking is part of the output: its budget leaves room below the limit."""
    body = encoded(model_call(reasoning={"effort": "medium"}, max_output_tokens=limit), reasoning="budget")

    assert body["additionalModelRequestFields"]["thinking"]["budget_tokens"] == budget
    assert budget < limit


def test_a_limit_of_output_in_which_nobody_can_think() -> None:
    """Where the limit of output is below the least budget, the limit is what is refused."""
    with pytest.raises(UnsupportedParameter) as raised:
        encoded(model_call(reasoning={"effort": "low"}, max_output_tokens=1024), reasoning="budget")

    assert raised.value.param == "max_output_tokens"


def test_budgets_are_configured() -> None:
    """What an effort is worth is the operator's to say."""
    body = encoded(model_call(reasoning={"effort": "low"}), reasoning="budget", thinking_budgets={"low": 5000})

    assert body["additionalModelRequestFields"]["thinking"]["budget_tokens"] == 5000


def test_without_an_effort_nothing_is_said() -> None:
    """A request that asks for no effort leaves the model as it is, whatever the model is."""
    for style in ("effort", "adaptive", "budget", "nova", "reasoning_effort", "none"):
        assert set(encoded(model_call(), reasoning=style)) == {"messages"}


# Other settings.


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        ({"temperature": 1.5}, "temperature"),
        ({"frequency_penalty": -0.5}, "frequency_penalty"),
        ({"text": {"format": {"type": "text"}, "verbosity": "high"}}, "text.verbosity"),
        ({"text": {"format": {"type": "regex"}}}, "text.format.type"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
    ],
)
def test_settings_that_are_refused(request_: dict[str, Any], param: str) -> None:
    """What would change the answer and cannot be said is refused by name."""
    with pytest.raises(UnsupportedParameter) as raised:
        encoded(model_call(**request_))

    assert raised.value.param == param


def test_defaults_say_nothing() -> None:
    """A setting that is the API's default is not spelled out."""
    request: dict[str, Any] = {"presence_penalty": 0.0, "frequency_penalty": 0.0, "service_tier": "auto"}

    assert set(encoded(model_call(**request))) == {"messages"}
    assert not_applied(**request) == ()


def test_a_temperature_of_nothing_is_one() -> None:
    """Zero is a value like any other."""
    assert encoded(model_call(temperature=0.0, top_p=0.0))["inferenceConfig"] == {"temperature": 0.0, "topP": 0.0}


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        ({"user": "u"}, ("user",)),
        ({"prompt_cache_retention": "24h"}, ("prompt_cache_retention",)),
        ({"service_tier": "scale"}, ("service_tier",)),
        ({"top_logprobs": 2}, ("top_logprobs",)),
        ({"reasoning": {"generate_summary": "auto"}}, ("reasoning.summary",)),
        ({"parallel_tool_calls": False}, ()),
    ],
)
def test_settings_that_are_not_applied(request_: dict[str, Any], names: tuple[str, ...]) -> None:
    """What changes nothing in what the model says is left out and reported."""
    assert not_applied(**request_) == names


def test_a_schema_with_a_description() -> None:
    """A schema's name and description go up beside it."""
    text = {"format": {"type": "json_schema", "name": "n", "description": "d", "schema": {"type": "object"}}}

    json_schema = encoded(model_call(text=text))["outputConfig"]["textFormat"]["structure"]["jsonSchema"]

    assert json_schema == {"schema": '{"type":"object"}', "name": "n", "description": "d"}


def test_guardrail_and_fields_of_the_model() -> None:
    """A guardrail, and fields that only the model understands, go with every call; an effort is added to them."""
    body = encoded(
        model_call(reasoning={"effort": "low"}),
        guardrail="gr4rd1",
        guardrail_version="3",
        additional_fields={"top_k": 5},
        reasoning="reasoning_effort",
    )

    assert body["guardrailConfig"] == {"guardrailIdentifier": "gr4rd1", "guardrailVersion": "3"}
    assert body["additionalModelRequestFields"] == {"top_k": 5, "reasoning_effort": "low"}


def test_configured_fields_are_never_changed() -> None:
    """One call's effort does not stay for the next."""
    dialect = Bedrock(Quirks(additional_fields={"top_k": 5}, reasoning="reasoning_effort"))

    dialect.encode(model_call(reasoning={"effort": "low"}))

    assert orjson.loads(dialect.encode(model_call()).body)["additionalModelRequestFields"] == {"top_k": 5}


# Cache points.


def test_cache_points() -> None:
    """The system, the end of the history's last user message, and the end of the input are marked."""
    items = (user("One"), assistant("Uno."), user("Two"))

    body = encoded(model_call(*items, input_start=2, instructions="Translate."), cache_points="5m")

    assert body["system"][-1] == POINT
    assert [said["content"][-1] == POINT for said in body["messages"]] == [True, False, True]


def test_cache_points_in_a_tool_loop() -> None:
    """Within a tool loop the results that came last end the stable part."""
    items = (user("Hi"), function_call("c1"), function_output("c1"))

    messages = encoded(model_call(*items, input_start=2), cache_points="5m")["messages"]

    assert [said["content"][-1] == POINT for said in messages] == [True, False, True]


def test_one_message_has_one_cache_point() -> None:
    """Without a history there is one end, and with nothing new there is one as well."""
    for input_start in (0, 1):
        body = encoded(model_call(user("Hi"), input_start=input_start), cache_points="5m")

        assert body == {"messages": [{"role": "user", "content": [{"text": "Hi"}, POINT]}]}


def test_cache_points_that_last() -> None:
    """A cache that is to last an hour says so; a marked request is otherwise the one without marks."""
    call = model_call(user("Hi"), instructions="Be brief.")
    body = encoded(call, cache_points="1h")

    assert body["system"].pop() == {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert body["messages"][0]["content"].pop() == {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert body == encoded(call)


# Quirks and what else a provider says of itself.


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"resoning": "nova"}, "Did you mean 'reasoning'"),
        ({"reasoning": "hard"}, "Wrong value"),
        ({"cache_points": True}, "Wrong value"),
        ({"region": "the moon"}, "not a region"),
        ({"region": "evil.example/eu-west-1"}, "not a region"),
    ],
)
def test_quirks_that_are_none(options: dict[str, object], words: str) -> None:
    """A quirk that is unknown or wrong is an error of the configuration."""
    with pytest.raises(ValueError, match=words):
        provider(options)


def test_defaults() -> None:
    """Bedrock is reached in a region, with a signature or with a key of its own."""
    dialect = provider({"region": "us-gov-west-1"})

    assert isinstance(dialect, Known)
    assert dialect.dialect == "bedrock"
    assert dialect.defaults == UpstreamDefaults(
        base_url="https://bedrock-runtime.us-gov-west-1.amazonaws.com",
        key_variable="AWS_BEARER_TOKEN_BEDROCK",
        signing="sigv4",
    )
    assert dialect.defaults.key_place == KeyPlace(header="authorization", prefix="Bearer ")
    assert provider({}).defaults.base_url == "https://bedrock-runtime.{AWS_REGION}.amazonaws.com"


def test_counting() -> None:
    """Where it is configured the upstream counts: what is sent of the call is what counts."""
    call = model_call(
        user("Hi"),
        instructions="Be brief.",
        tools=(function_tool("look"),),
        temperature=0.5,
        reasoning={"effort": "low"},
    )
    dialect = Bedrock(Quirks(counting="count_tokens", reasoning="budget"))
    assert isinstance(dialect, Counts)

    request = dialect.count(call)

    assert request is not None
    assert (request.path, request.stream) == ("/model/upstream-model/count-tokens", False)
    body = orjson.loads(dialect.encode(call).body)
    counted = {name: body[name] for name in ("messages", "system", "toolConfig", "additionalModelRequestFields")}
    assert orjson.loads(request.body) == {"input": {"converse": counted}}
    assert dialect.decode_count(b'{"inputTokens":12}') == 12
    assert Bedrock().count(call) is None


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"inputTokens":"many"}', b"\xff"])
def test_counts_that_are_none(body: bytes) -> None:
    """An answer without a count is broken."""
    with pytest.raises(UpstreamBroken):
        Bedrock().decode_count(body)


def test_models() -> None:
    """Models are the control plane's, so there is no list; where a base URL leads there as well, there is one."""
    dialect = Bedrock(Quirks(lists_models=True))
    body = {"modelSummaries": [{"modelId": "amazon.nova-lite-v1:0", "providerName": "Amazon"}, {"modelId": "m"}]}

    request = dialect.list_models()

    assert Bedrock().list_models() is None
    assert request is not None
    assert (request.method, request.path, request.body) == ("GET", "/foundation-models", b"")
    assert dialect.decode_models(orjson.dumps(body)) == [
        {"id": "amazon.nova-lite-v1:0", "object": "model", "created": 0, "owned_by": "Amazon"},
        {"id": "m", "object": "model", "created": 0, "owned_by": ""},
    ]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"modelSummaries":[{}]}', b'{"modelSummaries":[{"modelId":""}]}']
)
def test_lists_of_models_that_are_none(body: bytes) -> None:
    """What is no list of models is broken."""
    with pytest.raises(UpstreamBroken):
        Bedrock().decode_models(body)
