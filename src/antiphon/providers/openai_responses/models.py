"""The upstream's list of models: ``GET /models``."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from antiphon.hub.errors import UpstreamBroken
from antiphon.hub.items import JsonObject
from antiphon.hub.upstream import UpstreamRequest

__all__ = ["LIST_MODELS", "decode_models"]

_LARGEST = 2**53 - 1  # what JavaScript still counts exactly

LIST_MODELS = UpstreamRequest(method="GET", path="/models")


def decode_models(body: bytes) -> list[JsonObject]:
    """
    Model objects in the upstream's order, with ``context_window`` where the upstream says how much a model takes.

    Raises:
        UpstreamBroken: The body is no list of models, or an entry has no id.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UpstreamBroken("The upstream's list of models is not valid JSON.") from error
    entries = document.get("data", document) if isinstance(document, dict) else document
    if entries is None and document is not None:
        return []  # Ollama without models
    if not isinstance(entries, list):
        raise UpstreamBroken("The upstream's list of models is not a list.")
    return [_model(entry) for entry in entries]


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
    window = next((size for size in _windows(entry) if type(size) is int and 0 < size <= _LARGEST), None)
    return model if window is None else {**model, "context_window": window}


def _windows(entry: JsonObject) -> Iterator[object]:
    """Where servers say how many tokens a model takes, what holds for this server before what the model could do."""
    meta = entry.get("meta")
    if isinstance(meta, dict):
        yield meta.get("n_ctx")  # llama.cpp
    yield entry.get("loaded_context_length")  # LM Studio
    yield entry.get("max_model_len")  # vLLM
    yield entry.get("context_window")  # another Antiphon, Groq
    yield entry.get("context_length")  # xAI, OpenRouter
    yield entry.get("max_context_length")  # LM Studio
