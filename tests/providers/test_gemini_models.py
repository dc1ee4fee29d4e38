"""The list of models, and the count of tokens."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest

from antiphon.hub.errors import UnsupportedParameter, UpstreamBroken
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import ModelCall
from antiphon.hub.upstream import UpstreamRequest
from antiphon.providers.gemini import Gemini, Quirks
from tests.providers.kit.calls import function_tool, item, model_call, user


def model(model_id: str, **more: Any) -> JsonObject:
    return {"id": model_id, "object": "model", "created": 0, "owned_by": "google", **more}


def test_the_list_is_asked_for_with_a_get() -> None:
    """One page, and no body."""
    request = Gemini().list_models()
    assert request is not None
    assert (request.method, request.path, request.body) == ("GET", "/models?pageSize=1000", b"")


FLASH = {
    "name": "models/gemini-3.5-flash",
    "version": "001",
    "displayName": "Gemini 3.5 Flash",
    "inputTokenLimit": 1048576,
    "outputTokenLimit": 65536,
    "supportedGenerationMethods": ["generateContent", "countTokens"],
    "thinking": True,
}
LISTS: dict[str, tuple[Any, list[JsonObject]]] = {
    "as it is": (
        {"models": [FLASH, {"name": "models/imagen-4", "supportedGenerationMethods": ["predict"]}]},
        [model("gemini-3.5-flash", context_window=1048576)],
    ),
    "one that embeds": (
        {"models": [{"name": "models/embedding-001", "supportedGenerationMethods": ["embedContent"]}]},
        [model("embedding-001")],
    ),
    "a proxy's, without methods": ({"models": [{"name": "models/x"}, {"name": "y"}]}, [model("x"), model("y")]),
    "a tuned model": ({"models": [{"name": "tunedModels/mine-1"}]}, [model("tunedModels/mine-1")]),
    "no models": ({}, []),
    "no limit": ({"models": [{"name": "models/x", "inputTokenLimit": 0}]}, [model("x")]),
}


@pytest.mark.parametrize(("document", "expected"), LISTS.values(), ids=LISTS.keys())
def test_lists_of_models(document: Any, expected: list[JsonObject]) -> None:
    """Models that answer or embed are listed under the names by which they are asked, in the upstream's order."""
    assert Gemini().decode_models(orjson.dumps(document)) == expected


@pytest.mark.parametrize("name", ["gemini-3.5-flash", "tunedModels/mine-1"])
def test_a_listed_model_can_be_asked(name: str) -> None:
    """A name of the list leads to its model."""
    call = msgspec.structs.replace(model_call(user("Hi")), model=name)
    collection = "" if name.startswith("tuned") else "models/"
    assert Gemini().encode(call).path == f"/{collection}{name}:generateContent"


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"models":7}', b'{"models":[{}]}', b'{"models":[{"name":""}]}', b"\xff"]
)
def test_no_list_of_models(body: bytes) -> None:
    """Anything else is the upstream's fault."""
    with pytest.raises(UpstreamBroken, match="list of models"):
        Gemini().decode_models(body)


# Counting.


CALL = model_call(user("Hi"), instructions="Be brief.", tools=(function_tool("look"),), temperature=0.5, stream=True)


def counting(call: ModelCall, quirks: Quirks) -> UpstreamRequest:
    request = Gemini(quirks).count(call)
    assert request is not None
    return request


def test_the_whole_request_is_counted() -> None:
    """What is counted is what would be asked, instructions and tools included."""
    asked = orjson.loads(Gemini().encode(CALL).body)

    request = counting(CALL, Quirks())

    assert (request.method, request.path, request.stream) == ("POST", "/models/upstream-model:countTokens", False)
    assert orjson.loads(request.body) == {"generateContentRequest": {"model": "models/upstream-model", **asked}}


def test_vertex_counts_the_fields_as_they_are() -> None:
    """Vertex AI takes the fields that have tokens, without what is around them."""
    asked = orjson.loads(Gemini().encode(CALL).body)
    tools = (function_tool("look", strict=True),)
    more = msgspec.structs.replace(CALL.request, tools=tools, service_tier="flex")

    request = counting(msgspec.structs.replace(CALL, request=more), Quirks(host="vertex"))

    assert orjson.loads(request.body) == asked


def test_counting_can_be_left_to_an_estimate() -> None:
    """An upstream that cannot count is not asked."""
    assert Gemini(Quirks(counting=False)).count(CALL) is None


def test_what_cannot_be_asked_cannot_be_counted() -> None:
    """The same is refused as in a turn."""
    with pytest.raises(UnsupportedParameter):
        Gemini().count(model_call(item("holograph")))


def test_a_count() -> None:
    """The total counts."""
    assert Gemini().decode_count(b'{"totalTokens": 31, "cachedContentTokenCount": 4}') == 31


@pytest.mark.parametrize("body", [b"", b"{}", b'{"totalTokens":"31"}', b'{"totalTokens":-1}', b"\xff", b"[" * 100_000])
def test_no_count(body: bytes) -> None:
    """Anything else is the upstream's fault."""
    with pytest.raises(UpstreamBroken, match="count of tokens"):
        Gemini().decode_count(body)
