"""Embeddings: ``POST /embeddings``. It is one API behind both of OpenAI's dialects, so it is written down once."""

from __future__ import annotations

from antiphon.providers.openai_chat.embeddings import MAX_INPUTS, decode_embeddings, embedding_request

__all__ = ["MAX_INPUTS", "decode_embeddings", "embedding_request"]
