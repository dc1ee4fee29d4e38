"""The Responses provider itself: how it is configured and reached, its list of models, and counting."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from antiphon.hub.errors import UnsupportedParameter, UpstreamBroken
from antiphon.hub.items import JsonObject
from antiphon.hub.upstream import CacheKeyed, Counts, KeyPlace, Known, UpstreamDefaults
from antiphon.providers.openai_responses import OpenAIResponses, Quirks, provider
from tests.providers.kit.calls import function_tool, model_call, user

COUNTING = OpenAIResponses(Quirks(counting="input_tokens"))


def test_where_openai_is() -> None:
    """Without a word in the configuration it is OpenAI, with the key from the usual variable."""
    assert isinstance(OpenAIResponses(), Known)
    assert OpenAIResponses().defaults == UpstreamDefaults(
        base_url="https://api.openai.com/v1", key_variable="OPENAI_API_KEY", key_place=KeyPlace()
    )
    assert OpenAIResponses().dialect == "openai_responses"


def test_a_configuration_sets_quirks() -> None:
    """Options are quirks by name, as a YAML file has them."""
    configured = provider({"reasoning": "never", "tool_types": ["function"], "drop": ["user"]})

    body = orjson.loads(configured.encode(model_call(user="u")).body)

    assert "user" not in body
    assert "include" not in body


@pytest.mark.parametrize(
    ("options", "named"),
    [
        pytest.param({"reasonings": "never"}, "'reasoning'", id="unknown name"),
        pytest.param({"reasoning": "always"}, "reasoning", id="unknown value"),
        pytest.param({"tool_types": "function"}, "tool_types", id="no list"),
        pytest.param({"drop": ["top_k"]}, "'top_p'", id="unknown field to drop"),
        pytest.param({"drop": ["store"]}, "Did you mean", id="a field that cannot be missing"),
    ],
)
def test_wrong_quirks(options: dict[str, object], named: str) -> None:
    """A mistake in the configuration is an error that names the nearest right word or the field."""
    with pytest.raises(ValueError, match=r"quirk|drop") as caught:
        provider(options)

    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("quirks", "expected"),
    [({}, True), ({"cache_key": False}, False), ({"drop": ["prompt_cache_key"]}, False)],
    ids=["OpenAI", "no keys", "dropped"],
)
def test_who_takes_a_key_for_the_cache(quirks: dict[str, object], expected: bool) -> None:
    """The gateway makes a key only for an upstream that gets it."""
    configured = provider(quirks)

    assert isinstance(configured, CacheKeyed)
    assert configured.takes_cache_key is expected


# The list of models.


def model(model_id: str, created: int = 0, owner: str = "", **more: int) -> JsonObject:
    return {"id": model_id, "object": "model", "created": created, "owned_by": owner, **more}


LISTS: dict[str, tuple[Any, list[JsonObject]]] = {
    "OpenAI": (
        {"object": "list", "data": [{"id": "b", "object": "model", "created": 7, "owned_by": "x"}, {"id": "a"}]},
        [model("b", 7, "x"), model("a")],
    ),
    "llama.cpp": ({"data": [{"id": "a", "meta": {"n_ctx": 4096}}]}, [model("a", context_window=4096)]),
    "LM Studio": (
        {"data": [{"id": "a", "max_context_length": 9000, "loaded_context_length": 4096}]},
        [model("a", context_window=4096)],
    ),
    "vLLM": ({"data": [{"id": "a", "max_model_len": 32768}]}, [model("a", context_window=32768)]),
    "bare list": ([{"id": "a", "created": 1.5}], [model("a", 1)]),
    "no models (Ollama)": ({"object": "list", "data": None}, []),
    "empty": ({"data": []}, []),
    "fields of the wrong type": (
        {"data": [{"id": "a", "created": "today", "owned_by": None, "context_window": "large", "meta": 1}]},
        [model("a")],
    ),
    "sizes that are none": ({"data": [{"id": "a", "max_model_len": 0, "context_length": True}]}, [model("a")]),
}


@pytest.mark.parametrize(("document", "expected"), LISTS.values(), ids=LISTS)
def test_lists_of_models(document: Any, expected: list[JsonObject]) -> None:
    """Every known shape gives the API's model objects, in the upstream's order."""
    request = OpenAIResponses().list_models()

    assert (request.method, request.path, request.body) == ("GET", "/models", b"")
    assert OpenAIResponses().decode_models(orjson.dumps(document)) == expected


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"<html>", b"\xff\xfe", b"null", b"7", b"{}", b'{"data": 1}', b'{"data": ["a"]}'),
        *(b'{"data": [{"name": "a"}]}', b'{"data": [{"id": ""}]}', b'{"error": {"message": "no"}}'),
    ],
)
def test_what_is_no_list_of_models(body: bytes) -> None:
    """Anything else is the upstream's fault, said as such."""
    with pytest.raises(UpstreamBroken):
        OpenAIResponses().decode_models(body)


# Counting.


def test_a_count_asks_the_same_question() -> None:
    """All that makes the prompt is sent as in a turn, and nothing that only a turn has."""
    call = model_call(
        user("Hi"),
        instructions="Be brief.",
        tools=(function_tool("look"),),
        tool_choice="required",
        reasoning={"effort": "low"},
        max_output_tokens=500,
        stream=True,
        user="u",
    )

    request = COUNTING.count(call)

    assert request is not None
    counted, turn = orjson.loads(request.body), orjson.loads(COUNTING.encode(call).body)
    assert (request.path, request.stream) == ("/responses/input_tokens", False)
    names = ("model", "input", "instructions", "tools", "tool_choice", "reasoning")
    assert counted == {name: turn[name] for name in names}


def test_no_count_without_the_quirk() -> None:
    """Few servers have the endpoint, so it is asked only where the configuration says so."""
    assert isinstance(COUNTING, Counts)
    assert OpenAIResponses().count(model_call()) is None


def test_a_count_is_refused_like_a_turn() -> None:
    """What cannot be asked cannot be counted."""
    thin = OpenAIResponses(Quirks(counting="input_tokens", tool_types=("function",)))

    with pytest.raises(UnsupportedParameter):
        thin.count(model_call(tools=({"type": "web_search"},)))


def test_the_answer_is_the_number() -> None:
    """The endpoint answers with one number."""
    assert COUNTING.decode_count(b'{"object":"response.input_tokens","input_tokens":16}') == 16


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"input_tokens":null}', b'{"input_tokens":-1}', b'{"input_tokens":true}']
)
def test_an_answer_without_a_count_is_broken(body: bytes) -> None:
    """Nothing is made up in its place."""
    with pytest.raises(UpstreamBroken):
        COUNTING.decode_count(body)
