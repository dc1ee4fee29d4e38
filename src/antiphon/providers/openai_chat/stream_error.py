"""
Errors that an upstream reports inside a reply whose status is 200: in the middle of a stream, or as the whole body.

There is no status to go by, so the code or the type stands for one; from there on it is :mod:`.errors`.
"""

from __future__ import annotations

import msgspec

from antiphon.hub.errors import UpstreamError
from antiphon.providers.openai_chat.errors import translate_error

__all__ = ["translate_stream_error"]

_UNKNOWN = 500

# Codes and types as OpenAI, Anthropic (behind OpenRouter), vLLM, llama.cpp and Mistral write them.
_STATUS_BY_NAME = {
    "authentication_error": 401,
    "invalid_api_key": 401,
    "permission_error": 403,
    "billing_error": 402,
    "insufficient_quota": 429,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "rate_limited": 429,
    "too_many_requests": 429,
    "BadRequestError": 400,
    "content_policy_violation": 400,
    "context_length_exceeded": 400,
    "exceed_context_size_error": 400,
    "invalid_prompt": 400,
    "invalid_request_error": 400,
    "model_not_found": 404,
    "not_found_error": 404,
    "timeout_error": 504,
    "request_timeout": 504,
}


def translate_stream_error(error: object, *, upstream: str) -> UpstreamError:
    """
    The error of our tree for what stands under ``error`` in a chunk or a body: an object, or a bare text.

    Args:
        error: Decoded JSON of any shape.
        upstream: The configured name, which goes into the message.
    """
    return translate_error(_status_of(error), {}, msgspec.json.encode({"error": error}), upstream=upstream)


def _status_of(error: object) -> int:
    if not isinstance(error, dict):
        return _UNKNOWN
    for name in ("code", "status", "type"):
        status = _status_in(error.get(name))
        if status is not None:
            return status
    return _UNKNOWN


def _status_in(value: object) -> int | None:
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) == 3 else _STATUS_BY_NAME.get(value)
    return value if isinstance(value, int) and 400 <= value < 600 else None
