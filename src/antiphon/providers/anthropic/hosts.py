"""
Where requests go, and what of them is in the path instead of the body: Anthropic, Google Cloud, Amazon Bedrock.

All three take the same body, but for its ``model``, ``stream`` and version. Google's base URL ends in
``/publishers/anthropic/models``, Amazon's is the host of its runtime.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import orjson

from antiphon.hub.errors import InvalidRequest
from antiphon.hub.items import JsonObject
from antiphon.hub.upstream import KeyPlace, UpstreamDefaults, UpstreamRequest
from antiphon.providers.anthropic.quirks import Quirks

__all__ = ["count_request", "defaults_of", "list_models_request", "message_request"]

_VERSION = "2023-06-01"
_BODY_VERSIONS = {"vertex": "vertex-2023-10-16", "bedrock": "bedrock-2023-05-31"}
_COUNTED = frozenset({"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config"})
# The API's largest page; no account has so many models.
_MODELS_PATH = "/models?limit=1000"

_DEFAULTS = {
    "anthropic": UpstreamDefaults(
        base_url="https://api.anthropic.com/v1",
        key_variable="ANTHROPIC_API_KEY",
        key_place=KeyPlace(header="x-api-key", prefix=""),
    ),
    "vertex": UpstreamDefaults(),
    "bedrock": UpstreamDefaults(signing="sigv4"),
}


def defaults_of(quirks: Quirks) -> UpstreamDefaults:
    """How the host is usually reached. The clouds' base URLs name a region and have to be configured."""
    return _DEFAULTS[quirks.host]


def message_request(body: JsonObject, quirks: Quirks, *, stream: bool, not_applied: tuple[str, ...]) -> UpstreamRequest:
    """The request for a message whose body, model included, is as Anthropic takes it."""
    match quirks.host:
        case "anthropic":
            path, written = "/messages", {**body, "stream": True} if stream else body
        case "vertex":
            path = f"/{_segment(body['model'])}:{'streamRawPredict' if stream else 'rawPredict'}"
            written = _without_model(body, quirks, stream=stream)
        case "bedrock":
            path = f"/model/{_segment(body['model'])}/{'invoke-with-response-stream' if stream else 'invoke'}"
            written = _without_model(body, quirks, stream=False)
    return UpstreamRequest(
        path=path, headers=_headers(quirks), body=_json(written), stream=stream, not_applied=not_applied
    )


def count_request(body: JsonObject, quirks: Quirks) -> UpstreamRequest | None:
    """The request for how many tokens of input *body* has; None where the host does not count."""
    if quirks.host == "bedrock":
        return None
    counted = {name: value for name, value in body.items() if name in _COUNTED}
    if quirks.host == "vertex":
        counted["anthropic_version"] = _BODY_VERSIONS["vertex"]
        return UpstreamRequest(path="/count-tokens:rawPredict", headers=_headers(quirks), body=_json(counted))
    return UpstreamRequest(path="/messages/count_tokens", headers=_headers(quirks), body=_json(counted))


def list_models_request(quirks: Quirks) -> UpstreamRequest | None:
    """The request for the models; None at the clouds, which have no such path."""
    if quirks.host != "anthropic":
        return None
    return UpstreamRequest(method="GET", path=_MODELS_PATH, headers=_headers(quirks))


def _without_model(body: JsonObject, quirks: Quirks, *, stream: bool) -> JsonObject:
    written = {name: value for name, value in body.items() if name != "model"}
    written["anthropic_version"] = _BODY_VERSIONS[quirks.host]
    if stream:
        written["stream"] = True
    if quirks.host == "bedrock" and quirks.betas:
        written["anthropic_beta"] = list(quirks.betas)
    return written


def _headers(quirks: Quirks) -> Mapping[str, str]:
    headers = {"content-type": "application/json"}
    if quirks.host == "anthropic":
        headers["anthropic-version"] = _VERSION
    if quirks.host != "bedrock" and quirks.betas:
        headers["anthropic-beta"] = ",".join(quirks.betas)
    return headers


def _segment(model: str) -> str:
    """A model's name as one part of a path. Colons are in the names of Bedrock's models, and `@` in Google's."""
    return quote(model, safe=":@")


def _json(body: JsonObject) -> bytes:
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        raise InvalidRequest(
            "The request cannot be written as JSON: it is nested too deeply or is not text."
        ) from error
