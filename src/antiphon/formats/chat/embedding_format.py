"""The format of ``/v1/embeddings`` as one: what is read, what is written, and the schemas of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from antiphon.formats.chat.embeddings import decode_embeddings, encode_embeddings
from antiphon.formats.chat.published import request_schemas
from antiphon.formats.checks.answers import INTEGER, NUMBER, const, listed, record
from antiphon.hub.embedding import EmbeddingRequest
from antiphon.hub.items import JsonObject

__all__ = ["OpenAIEmbeddings"]

_REQUEST = "CreateEmbedding"
_VECTOR: JsonObject = {
    "anyOf": [listed(NUMBER), {"type": "string", "description": "Base64 of 32-bit floats, little-endian."}]
}
_ANSWER = record(
    object=const("list"),
    data=listed(record(object=const("embedding"), index=INTEGER, embedding=_VECTOR)),
    model={"type": "string", "description": "As it was asked for."},
    usage=record(prompt_tokens=INTEGER, total_tokens=INTEGER),
)


class OpenAIEmbeddings:
    """Implements :class:`~antiphon.hub.embedding.EmbeddingFormat`. It has no state of its own; one serves everybody."""

    def decode(self, body: JsonObject) -> EmbeddingRequest:
        return decode_embeddings(body)

    def encode(self, request: EmbeddingRequest, vectors: Sequence[Sequence[float]], *, input_tokens: int) -> bytes:
        return encode_embeddings(request, vectors, input_tokens=input_tokens)

    def schemas(self) -> Mapping[str, JsonObject]:
        requests = request_schemas(max_tools=0, refuse_unknown=True)
        return {_REQUEST: requests[_REQUEST], "EmbeddingList": _ANSWER}
