"""The upstream's list of models: ``GET /models``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from antiphon.hub.errors import UpstreamBroken
from antiphon.hub.items import JsonObject
from antiphon.hub.upstream import UpstreamRequest

__all__ = ["LIST_MODELS", "context_window", "decode_models"]

# What JavaScript still counts exactly: more is no date and no size, but a mistake.
_LARGEST = 2**53 - 1

LIST_MODELS = UpstreamRequest(method="GET", path="/models")


def decode_models(body: bytes) -> list[JsonObject]:
    """
    Model objects ``{"id", "object", "created", "owned_by"}``, in the upstream's order, with ``context_window`` where
    the upstream gives one.

    Takes OpenAI's envelope, a bare list (Together) and ``"data": null`` (Ollama without models).

    Raises:
        UpstreamBroken: The body is neither, or an entry has no id.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UpstreamBroken("The upstream's list of models is not valid JSON.") from error
    if isinstance(document, dict):
        if "data" not in document:
            raise UpstreamBroken("The upstream's list of models has no 'data'.")
        document = document["data"] if document["data"] is not None else []
    if not isinstance(document, list):
        raise UpstreamBroken("The upstream's list of models is not a list.")
    return [_model(entry) for entry in document]


def context_window(model: JsonObject) -> int | None:
    """How many tokens a model takes, in whichever field of a listed model its server says it; None for most."""
    return next((size for size in _window_sizes(model) if type(size) is int and 0 < size <= _LARGEST), None)


def _window_sizes(model: JsonObject) -> Iterator[Any]:
    """What may be the size, the one that holds here and now before what the model could have elsewhere."""
    meta, top_provider = model.get("meta"), model.get("top_provider")
    if isinstance(meta, dict):
        yield meta.get("n_ctx")  # llama.cpp, one slot's share
    yield model.get("loaded_context_length")  # LM Studio
    yield model.get("max_model_len")  # vLLM, SGLang
    if isinstance(top_provider, dict):
        yield top_provider.get("context_length")  # OpenRouter, of whom it asks first
    yield model.get("context_window")  # Groq, and another Antiphon
    yield model.get("context_length")  # OpenRouter, Together
    yield model.get("max_context_length")  # LM Studio, Mistral
    if isinstance(meta, dict):
        yield meta.get("n_ctx_train")  # llama.cpp before it told n_ctx: what the model was made for


def _model(entry: object) -> JsonObject:
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), str) or not entry["id"]:
        raise UpstreamBroken("An entry of the upstream's list of models has no 'id'.")
    created, owner = entry.get("created"), entry.get("owned_by")
    model: JsonObject = {
        "id": entry["id"],
        "object": "model",
        "created": int(created) if isinstance(created, int | float) and 0 <= created <= _LARGEST else 0,
        "owned_by": owner if isinstance(owner, str) else "",
    }
    window = context_window(entry)
    return model if window is None else {**model, "context_window": window}
