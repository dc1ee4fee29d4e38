"""The upstream's list of models: ``GET /models``."""

from __future__ import annotations

import orjson

from antiphon.hub.errors import UpstreamBroken
from antiphon.hub.items import JsonObject
from antiphon.hub.upstream import UpstreamRequest

__all__ = ["LIST_MODELS", "decode_models"]

LIST_MODELS = UpstreamRequest(method="GET", path="/models")


def decode_models(body: bytes) -> list[JsonObject]:
    """
    Model objects ``{"id", "object", "created", "owned_by"}``, in the upstream's order.

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


def _model(entry: object) -> JsonObject:
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), str) or not entry["id"]:
        raise UpstreamBroken("An entry of the upstream's list of models has no 'id'.")
    created, owner = entry.get("created"), entry.get("owned_by")
    return {
        "id": entry["id"],
        "object": "model",
        "created": int(created) if isinstance(created, int | float) else 0,
        "owned_by": owner if isinstance(owner, str) else "",
    }
