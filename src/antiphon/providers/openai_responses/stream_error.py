"""
Errors inside a reply whose status is 200: an ``error`` event, a response that failed, or an error as the whole body.

There is no status to go by, so the code or the type stands for one; from there on it is :mod:`.errors`.
"""

from __future__ import annotations

import msgspec

from antiphon.hub.errors import UpstreamError
from antiphon.providers.openai_responses.errors import translate_error

__all__ = ["translate_stream_error"]

_UNKNOWN = 500

_STATUS_BY_NAME = {
    # The codes of the API's `response.error` that blame the request. `server_error` is what is left.
    "bio_policy": 400,
    "data_residency_mismatch": 400,
    "empty_image_file": 400,
    "failed_to_download_image": 400,
    "image_content_policy_violation": 400,
    "image_file_not_found": 400,
    "image_file_too_large": 400,
    "image_parse_error": 400,
    "image_too_large": 400,
    "image_too_small": 400,
    "invalid_base64_image": 400,
    "invalid_image": 400,
    "invalid_image_format": 400,
    "invalid_image_mode": 400,
    "invalid_image_url": 400,
    "invalid_prompt": 400,
    "misalignment_policy_violation": 400,
    "unsupported_image_media_type": 400,
    "vector_store_timeout": 504,
    # What else stands in `error` events: of OpenAI, Azure, llama.cpp, vLLM.
    "authentication_error": 401,
    "BadRequestError": 400,
    "content_filter": 400,
    "context_length_exceeded": 400,
    "exceed_context_size_error": 400,
    "insufficient_quota": 429,
    "invalid_api_key": 401,
    "invalid_encrypted_content": 400,
    "invalid_request_error": 400,
    "model_not_found": 404,
    "not_found_error": 404,
    "overloaded_error": 503,
    "permission_error": 403,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "request_timeout": 504,
    "requests": 429,
    "server_is_overloaded": 503,
    "slow_down": 503,
    "tokens": 429,
    "too_many_requests": 429,
    "unavailable_error": 503,
}


def translate_stream_error(error: object, *, upstream: str) -> UpstreamError:
    """
    The error of our tree for what an upstream reports in a reply: an object, or a bare text.

    Args:
        error: Decoded JSON of any shape.
        upstream: The configured name, which goes into the message.
    """
    return translate_error(_status_of(error), {}, msgspec.json.encode({"error": error}), upstream=upstream)


def _status_of(error: object) -> int:
    if not isinstance(error, dict):
        return _UNKNOWN
    found = (_status_in(error.get(name)) for name in ("code", "status", "type"))
    return next((status for status in found if status is not None), _UNKNOWN)


def _status_in(value: object) -> int | None:
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) == 3 else _STATUS_BY_NAME.get(value)
    return value if isinstance(value, int) and 400 <= value < 600 else None
