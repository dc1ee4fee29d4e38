"""
Embeddings: ``InvokeModel`` with the body of the model's own house, as Converse has none.

Amazon's Titan takes one text in a request, Cohere's Embed up to 96. Models of other houses are refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import quote

import msgspec

from antiphon.hub.embedding import EmbeddingRequest, Embeddings
from antiphon.hub.errors import UnsupportedParameter, UpstreamBroken
from antiphon.hub.items import JsonObject
from antiphon.hub.upstream import UpstreamRequest

__all__ = ["decode_embeddings", "embedding_request", "max_inputs"]

_HEADERS = {"content-type": "application/json", "accept": "application/json"}
# In which the runtime counts what it was given, for models whose body says nothing of it.
_COUNT_HEADER = "x-amzn-bedrock-input-token-count"
_COHERE_MOST = 96
_MOST_DIGITS = 15

_House = Literal["titan", "titan_1", "cohere", "cohere_3"]
# By a part of the model's id, which stands in those of inference profiles and their ARNs as well.
_HOUSES: Mapping[str, _House] = {
    "amazon.titan-embed-text-v1": "titan_1",
    "amazon.titan-embed-text": "titan",
    "cohere.embed-english-v3": "cohere_3",
    "cohere.embed-multilingual-v3": "cohere_3",
    "cohere.embed": "cohere",
}
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


class _ByType(msgspec.Struct, rename={"floats": "float"}):
    floats: list[list[float]]


class _Answer(msgspec.Struct, rename={"input_tokens": "inputTextTokenCount"}):
    """What either house answers: Titan one vector and its tokens, Cohere a list, or lists by their type."""

    embedding: list[float] | None = None
    embeddings: list[list[float]] | _ByType | None = None
    input_tokens: _Count | None = None


def max_inputs(model: str) -> int:
    """
    How many texts one request may have.

    Raises:
        UnsupportedParameter: The model is of another house.
    """
    return _COHERE_MOST if _house(model).startswith("cohere") else 1


def embedding_request(request: EmbeddingRequest, *, input_type: str) -> UpstreamRequest:
    """
    The request for some vectors.

    Args:
        input_type: What the vectors are for, which Cohere's models want to know.

    Raises:
        UnsupportedParameter: The model is of another house, or cannot be told what the request asks for.
    """
    texts = [text for text in request.inputs if isinstance(text, str)]
    if len(texts) != len(request.inputs):
        raise UnsupportedParameter("This upstream embeds texts, and no lists of token ids.", param="input")
    house = _house(request.model)
    if request.dimensions is not None and house in ("titan_1", "cohere_3"):
        raise UnsupportedParameter(
            f"The vectors of the model '{request.model}' have one length only.", param="dimensions"
        )
    body = _titan(request, texts) if house.startswith("titan") else _cohere(request, texts, input_type)
    return UpstreamRequest(
        path=f"/model/{quote(request.model, safe='')}/invoke",
        headers=_HEADERS,
        body=msgspec.json.encode(body),
        not_applied=() if request.user is None else ("user",),
    )


def decode_embeddings(body: bytes, headers: Mapping[str, str]) -> Embeddings:
    """
    The vectors of an answer.

    Raises:
        UpstreamBroken: It has none.
    """
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamBroken(f"The upstream's embeddings are none: {error}.") from error
    tokens = _counted(headers) if answer.input_tokens is None else answer.input_tokens
    if answer.embedding is not None:
        return Embeddings(vectors=(answer.embedding,), input_tokens=tokens)
    if answer.embeddings is None:
        raise UpstreamBroken("The upstream's answer has no embeddings.")
    listed = answer.embeddings.floats if isinstance(answer.embeddings, _ByType) else answer.embeddings
    return Embeddings(vectors=tuple(listed), input_tokens=tokens)


def _house(model: str) -> _House:
    for part, house in _HOUSES.items():
        if part in model:
            return house
    raise UnsupportedParameter(
        f"This upstream embeds with Amazon's Titan and Cohere's Embed; '{model[:200]}' is neither.", param="model"
    )


def _titan(request: EmbeddingRequest, texts: list[str]) -> JsonObject:
    sizes = {} if request.dimensions is None else {"dimensions": request.dimensions}
    return {"inputText": texts[0], **sizes}


def _cohere(request: EmbeddingRequest, texts: list[str], input_type: str) -> JsonObject:
    sizes = {} if request.dimensions is None else {"output_dimension": request.dimensions}
    return {"texts": texts, "input_type": input_type, "embedding_types": ["float"], "truncate": "NONE", **sizes}


def _counted(headers: Mapping[str, str]) -> int | None:
    said = headers.get(_COUNT_HEADER, "")
    return int(said) if said.isascii() and said.isdigit() and len(said) <= _MOST_DIGITS else None
