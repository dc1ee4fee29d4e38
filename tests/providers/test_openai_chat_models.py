"""The list of models, and the provider's configuration."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from antiphon.hub.errors import UpstreamBroken
from antiphon.hub.items import JsonObject
from antiphon.providers.openai_chat import OpenAIChat, provider
from tests.providers.chat_calls import encoded_body, model_call


def model(model_id: str, created: int = 0, owner: str = "") -> JsonObject:
    return {"id": model_id, "object": "model", "created": created, "owned_by": owner}


def test_the_list_is_asked_for_with_a_get() -> None:
    """The request has no body."""
    request = OpenAIChat().list_models()
    assert (request.method, request.path, request.body) == ("GET", "/models", b"")


LLAMACPP = {
    "models": [{"name": "smollm2-135m", "capabilities": ["completion"]}],
    "object": "list",
    "data": [
        {
            "id": "smollm2-135m",
            "aliases": ["smollm2-135m"],
            "object": "model",
            "created": 1795359201,
            "owned_by": "llamacpp",
            "meta": {"n_ctx": 4096},
        }
    ],
}

LISTS: dict[str, tuple[Any, list[JsonObject]]] = {
    "openai": (
        {"object": "list", "data": [{"id": "b", "object": "model", "created": 7, "owned_by": "x"}, {"id": "a"}]},
        [model("b", 7, "x"), model("a")],
    ),
    "llama.cpp": (LLAMACPP, [{**model("smollm2-135m", 1795359201, "llamacpp"), "context_window": 4096}]),
    "bare list (Together)": ([{"id": "a", "type": "chat", "created": 1.5}], [model("a", 1)]),
    "no models (Ollama)": ({"object": "list", "data": None}, []),
    "empty": ({"data": []}, []),
    "fields of the wrong type": ({"data": [{"id": "a", "created": "today", "owned_by": None}]}, [model("a")]),
}


@pytest.mark.parametrize(("document", "expected"), LISTS.values(), ids=LISTS.keys())
def test_lists_of_models(document: Any, expected: list[JsonObject]) -> None:
    """Every known shape gives the API's model objects, in the upstream's order."""
    assert OpenAIChat().decode_models(orjson.dumps(document)) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff\xfe",
        b"null",
        b"7",
        b'"models"',
        b"{}",
        b'{"data": 1}',
        b'{"data": {"id": "a"}}',
        b'{"data": ["a"]}',
        b'{"data": [{"name": "a"}]}',
        b'{"data": [{"id": ""}]}',
        b'{"data": [{"id": 3}]}',
        b'{"error": {"message": "no"}}',
    ],
)
def test_what_is_no_list_of_models(body: bytes) -> None:
    """Anything else is the upstream's fault, said as such."""
    with pytest.raises(UpstreamBroken):
        OpenAIChat().decode_models(body)


# Configuration.


def test_a_configuration_sets_quirks() -> None:
    """Options are quirks by name, as a YAML file has them."""
    configured = provider({"max_tokens_field": "max_completion_tokens", "drop": ["user"]})
    body = encoded_body(model_call(max_output_tokens=64, user="u"))
    assert "max_tokens" in body
    configured_body = orjson.loads(configured.encode(model_call(max_output_tokens=64, user="u")).body)
    assert configured_body["max_completion_tokens"] == 64
    assert "user" not in configured_body


@pytest.mark.parametrize(
    ("options", "named"),
    [
        pytest.param({"max_token_field": "max_tokens"}, "'max_tokens_field'", id="unknown name"),
        pytest.param({"max_tokens_field": "tokens"}, "max_tokens_field", id="unknown value"),
        pytest.param({"files": "yes"}, "files", id="wrong type"),
        pytest.param({"drop": "user"}, "drop", id="no list"),
        pytest.param({"drop": ["max_token"]}, "'max_tokens'", id="unknown field to drop"),
        pytest.param({"drop": ["messages"]}, "'messages'", id="a field that cannot be missing"),
    ],
)
def test_wrong_quirks(options: dict[str, object], named: str) -> None:
    """A mistake in the configuration is an error that names the nearest right word or the field."""
    with pytest.raises(ValueError, match=r"quirk|drop") as caught:
        provider(options)
    assert named in str(caught.value)
