"""Embeddings: texts as vectors. No turn: nothing of it is stored, and nothing stands on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from antiphon.hub.items import JsonObject

__all__ = ["EmbeddingFormat", "EmbeddingRequest", "Embeddings"]


class EmbeddingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """
    One decoded request.

    Attributes:
        inputs: What is to be embedded: all texts, or all lists of token ids.
        dimensions: The length of the vectors; None for the model's own.
        encoding_format: How the client wants its vectors; upstreams are free to send others.
    """

    model: str
    inputs: tuple[str, ...] | tuple[tuple[int, ...], ...]
    dimensions: int | None = None
    encoding_format: Literal["float", "base64"] = "float"
    user: str | None = None


class Embeddings(msgspec.Struct, frozen=True, kw_only=True):
    """
    The vectors of some inputs.

    Attributes:
        vectors: One for each input, in their order.
        input_tokens: What the upstream counted for all of them; None if it did not say.
    """

    vectors: tuple[Sequence[float], ...]
    input_tokens: int | None = None


class EmbeddingFormat(Protocol):
    """How clients ask for embeddings, and how they get them."""

    def decode(self, body: JsonObject) -> EmbeddingRequest:
        """
        Read a request, checked field by field.

        Raises:
            InvalidRequest: Names the first field that is wrong.
        """
        ...

    def encode(self, request: EmbeddingRequest, vectors: Sequence[Sequence[float]], *, input_tokens: int) -> bytes:
        """The JSON body of an answer."""
        ...

    def schemas(self) -> Mapping[str, JsonObject]:
        """JSON Schemas of the request and the answer, by name: ``CreateEmbedding`` and ``EmbeddingList``."""
        ...
