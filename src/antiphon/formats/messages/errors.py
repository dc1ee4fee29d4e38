"""
Errors in the dialect's envelope: ``{"type": "error", "error": {"type", "message"}, "request_id"}``.

The type follows from the HTTP status, of which this dialect has one of its own: 529, where the upstream has too much to
do. That a context is too long is said in the dialect's words, which its clients look for.

Specification: ``platform.claude.com/docs/en/api/errors``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from antiphon.hub.errors import AntiphonError, ContextLengthExceeded
from antiphon.hub.items import JsonObject

__all__ = ["encode_error", "shown_status", "shown_type", "status_of", "stream_error"]

_OVERLOADED: Final = 529
_TYPES: Final[Mapping[int, str]] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    _OVERLOADED: "overloaded_error",
}

# What a failed response's code says, where it says anything.
_STREAM_TYPES: Final[Mapping[str, str]] = {
    "context_length_exceeded": "invalid_request_error",
    "insufficient_quota": "rate_limit_error",
    "rate_limit_exceeded": "rate_limit_error",
    "upstream_busy": "overloaded_error",
    "upstream_timeout": "timeout_error",
    "upstream_unavailable": "overloaded_error",
}
_TOO_LONG: Final = "prompt is too long"


def status_of(error: AntiphonError) -> int:
    """The HTTP status of an error in this dialect: 529 in place of 503, which is what its clients know."""
    return shown_status(error.http_status)


def shown_status(status: int) -> int:
    """The dialect's own HTTP status for *status*."""
    return _OVERLOADED if status == 503 else status


def shown_type(status: int) -> str:
    """The type of an error that is answered with *status*, which is one of the dialect's."""
    return _TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")


def encode_error(error: AntiphonError, *, request_id: str) -> bytes:
    """The JSON body of an error."""
    kind = shown_type(status_of(error))
    return orjson.dumps({**_envelope(kind, _message(error)), "request_id": request_id})


def stream_error(response: JsonObject) -> JsonObject:
    """The ``error`` event of a stream whose *response* has failed, or was cancelled."""
    error: Mapping[str, Any] | None = response.get("error")
    if error is None:
        return _envelope("api_error", f"The answer was ended before it was whole: it is {response['status']}.")
    code, message = error["code"], error["message"]
    if code == ContextLengthExceeded.default_code:
        message = f"{_TOO_LONG}. {message}"
    return _envelope(_STREAM_TYPES.get(code, "api_error"), message)


def _message(error: AntiphonError) -> str:
    if not isinstance(error, ContextLengthExceeded):
        return error.told
    if error.limit_tokens is None or error.needed_tokens is None:
        return f"{_TOO_LONG}. {error.told}"
    return f"{_TOO_LONG}: {error.needed_tokens} tokens > {error.limit_tokens} maximum"


def _envelope(kind: str, message: str) -> JsonObject:
    return {"type": "error", "error": {"type": kind, "message": message}}
