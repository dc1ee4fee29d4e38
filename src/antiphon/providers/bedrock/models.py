"""
The list of models, which is the control plane's business: another host, another service to sign for.

The runtime host has no such path, so an upstream serves the models that are configured. A base URL behind which both
are (a proxy of one's own) lists them.
"""

from __future__ import annotations

import orjson

from antiphon.hub.errors import UpstreamBroken
from antiphon.hub.items import JsonObject
from antiphon.hub.upstream import UpstreamRequest

__all__ = ["LIST_MODELS", "decode_models"]

LIST_MODELS = UpstreamRequest(method="GET", path="/foundation-models")


def decode_models(body: bytes) -> list[JsonObject]:
    """
    Model objects of an answer of ``ListFoundationModels``, in its order.

    Raises:
        UpstreamBroken: It is none.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UpstreamBroken("The upstream's list of models is not valid JSON.") from error
    models = document.get("modelSummaries") if isinstance(document, dict) else None
    if not isinstance(models, list):
        raise UpstreamBroken("The upstream's list of models has no 'modelSummaries'.")
    return [_model(entry) for entry in models]


def _model(entry: object) -> JsonObject:
    if not isinstance(entry, dict) or not isinstance(entry.get("modelId"), str) or not entry["modelId"]:
        raise UpstreamBroken("An entry of the upstream's list of models has no 'modelId'.")
    owner = entry.get("providerName")
    return {
        "id": entry["modelId"],
        "object": "model",
        "created": 0,
        "owned_by": owner if isinstance(owner, str) else "",
    }
