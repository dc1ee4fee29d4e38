"""
The table of the operations about embeddings. A part of the table of all; see :mod:`antiphon.server.table` for what a
row is.
"""

from __future__ import annotations

from antiphon.hub.errors import (
    ModelNotFound,
    ShuttingDown,
    UnsupportedParameter,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
    UpstreamUnreachable,
)
from antiphon.server.embeddings import EmbeddingsEndpoints
from antiphon.server.headers import OF_RATES
from antiphon.server.routes import Route

__all__ = ["embedding_operations"]


def embedding_operations(embeddings: EmbeddingsEndpoints) -> list[Route]:
    """Every operation about embeddings, in the order of the published document."""
    return [
        Route(
            "POST",
            "/v1/embeddings",
            embeddings.create,
            "Embed texts",
            name="createEmbedding",
            tag="Embeddings",
            scope="responses:write",
            body="CreateEmbedding",
            answer="EmbeddingList",
            answer_headers=(
                "x-antiphon-upstream",
                "x-antiphon-attempts",
                "x-antiphon-model",
                "x-antiphon-overhead-ms",
                "x-antiphon-not-applied",
                "x-antiphon-cost",
                *OF_RATES,
            ),
            extension=False,
            errors=(
                UnsupportedParameter,
                ModelNotFound,
                ShuttingDown,
                UpstreamRefused,
                UpstreamRateLimited,
                UpstreamUnreachable,
                UpstreamUnavailable,
                UpstreamTimeout,
            ),
            details=(
                "Vectors of the inputs, in their order, all of one model. Many inputs are more than one request where "
                "the model's server takes fewer of them. Nothing is stored."
            ),
        ),
    ]
