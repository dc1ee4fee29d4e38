"""
Embeddings: ``:batchEmbedContents`` of the Gemini API, ``:predict`` of Vertex AI.

Vertex AI takes one text in a request for the models that are called Gemini, and many for those before them.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from antiphon.hub.embedding import EmbeddingRequest, Embeddings
from antiphon.hub.errors import UnsupportedParameter, UpstreamBroken
from antiphon.hub.items import JsonObject
from antiphon.hub.upstream import UpstreamRequest
from antiphon.providers.gemini.address import resource_name, resource_path
from antiphon.providers.gemini.quirks import Quirks

__all__ = ["decode_embeddings", "embedding_request", "max_inputs"]

_HEADERS = {"content-type": "application/json"}
_MOST = {"gemini": 100, "vertex": 250}
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


class _Statistics(msgspec.Struct):
    token_count: Annotated[float, msgspec.Meta(ge=0, le=2**53 - 1)] | None = None


class _Vector(msgspec.Struct):
    values: list[float]
    statistics: _Statistics | None = None


class _Used(msgspec.Struct, rename="camel"):
    prompt_token_count: _Count | None = None


class _Batch(msgspec.Struct, rename="camel"):
    embeddings: list[_Vector]
    usage_metadata: _Used | None = None


class _Prediction(msgspec.Struct):
    embeddings: _Vector


class _Predictions(msgspec.Struct):
    predictions: list[_Prediction]


def max_inputs(model: str, quirks: Quirks) -> int:
    """How many texts one request may have."""
    is_single = quirks.host == "vertex" and resource_name(model).removeprefix("models/").startswith("gemini")
    return 1 if is_single else _MOST[quirks.host]


def embedding_request(request: EmbeddingRequest, quirks: Quirks) -> UpstreamRequest:
    """
    The request for some vectors.

    Raises:
        UnsupportedParameter: It is about token ids, which mean nothing to these models.
    """
    texts = [text for text in request.inputs if isinstance(text, str)]
    if len(texts) != len(request.inputs):
        raise UnsupportedParameter("This upstream embeds texts, and no lists of token ids.", param="input")
    method, body = _predict(request, texts) if quirks.host == "vertex" else _batch(request, texts)
    return UpstreamRequest(
        path=resource_path(request.model, method),
        headers=_HEADERS,
        body=msgspec.json.encode(body),
        not_applied=() if request.user is None else ("user",),
    )


def decode_embeddings(body: bytes, quirks: Quirks) -> Embeddings:
    """
    The vectors of an answer.

    Raises:
        UpstreamBroken: It has none.
    """
    try:
        if quirks.host == "vertex":
            return _predicted(msgspec.json.decode(body, type=_Predictions))
        batch = msgspec.json.decode(body, type=_Batch)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamBroken(f"The upstream's embeddings are none: {error}.") from error
    used = batch.usage_metadata
    return Embeddings(
        vectors=tuple(vector.values for vector in batch.embeddings),
        input_tokens=None if used is None else used.prompt_token_count,
    )


def _batch(request: EmbeddingRequest, texts: list[str]) -> tuple[str, JsonObject]:
    settings: JsonObject = {"model": resource_name(request.model)}
    if request.dimensions is not None:
        settings["outputDimensionality"] = request.dimensions
    return "batchEmbedContents", {
        "requests": [{**settings, "content": {"parts": [{"text": text}]}} for text in texts],
    }


def _predict(request: EmbeddingRequest, texts: list[str]) -> tuple[str, JsonObject]:
    # Without autoTruncate, a text that is too long would be cut without a word.
    parameters: JsonObject = {"autoTruncate": False}
    if request.dimensions is not None:
        parameters["outputDimensionality"] = request.dimensions
    return "predict", {"instances": [{"content": text} for text in texts], "parameters": parameters}


def _predicted(answer: _Predictions) -> Embeddings:
    vectors = [prediction.embeddings for prediction in answer.predictions]
    counts = [None if vector.statistics is None else vector.statistics.token_count for vector in vectors]
    known = [count for count in counts if count is not None]
    return Embeddings(
        vectors=tuple(vector.values for vector in vectors),
        input_tokens=int(sum(known)) if len(known) == len(counts) else None,
    )
