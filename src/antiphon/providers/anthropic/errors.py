"""
Answers that are not 2xx, and errors in the middle of a stream, as errors of our own.

The error's type decides where there is one that is known, else the status. Three things that the API calls an invalid
request are told apart by its words: a context that is too long, an account without credit, and everything else.

Specification: ``platform.claude.com/docs/en/api/errors``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final

from antiphon.hub.errors import (
    ContextLengthExceeded,
    UpstreamAuthentication,
    UpstreamBroken,
    UpstreamError,
    UpstreamLacksModel,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from antiphon.hub.items import JsonObject
from antiphon.providers.anthropic.complaint import Complaint, read_complaint, read_error

__all__ = ["translate_error", "translate_stream_error"]

_Kind = tuple[type[UpstreamError], str]
_REFUSED: Final[_Kind] = (UpstreamRefused, "refused the request")
_AUTHENTICATION: Final[_Kind] = (UpstreamAuthentication, "refused the gateway's credential")
_LIMITED: Final[_Kind] = (UpstreamRateLimited, "limits what the gateway may ask of it")
_UNPAID: Final[_Kind] = (UpstreamRateLimited, "wants to be paid first")
_FAILED: Final[_Kind] = (UpstreamUnavailable, "failed")
_OVERLOADED: Final[_Kind] = (UpstreamUnavailable, "is overloaded")
_LATE: Final[_Kind] = (UpstreamTimeout, "did not answer in time")
_NO_MODEL: Final[_Kind] = (UpstreamLacksModel, "does not serve the model")
_NO_PATH: Final[_Kind] = (UpstreamBroken, "knows no such path; check its base_url")
_UNEXPECTED: Final[_Kind] = (UpstreamBroken, "gave an answer that its dialect does not have")

_BY_TYPE: Final[Mapping[str, _Kind]] = {
    "invalid_request_error": _REFUSED,
    "request_too_large": _REFUSED,
    "authentication_error": _AUTHENTICATION,
    "permission_error": _AUTHENTICATION,
    "billing_error": _UNPAID,
    "rate_limit_error": _LIMITED,
    "timeout_error": _LATE,
    "api_error": _FAILED,
    "overloaded_error": _OVERLOADED,
    # Amazon's, from the header, the body, or a frame of the stream.
    "AccessDeniedException": _AUTHENTICATION,
    "ModelTimeoutException": _LATE,
    "ModelNotReadyException": _OVERLOADED,
    "ServiceUnavailableException": _OVERLOADED,
    "ThrottlingException": _LIMITED,
    "ServiceQuotaExceededException": _LIMITED,
    "ValidationException": _REFUSED,
    "InternalServerException": _FAILED,
    "ModelErrorException": _FAILED,
    "ModelStreamErrorException": _FAILED,
    "ResourceNotFoundException": _NO_MODEL,
}
_BY_STATUS: Final[Mapping[int, _Kind]] = {
    401: _AUTHENTICATION,
    402: _UNPAID,
    403: _AUTHENTICATION,
    404: _NO_PATH,
    405: _NO_PATH,
    408: _LATE,
    424: _FAILED,  # Bedrock: the model failed
    429: _LIMITED,
    504: _LATE,
    529: _OVERLOADED,
}
_BY_HUNDRED: Final[Mapping[int, _Kind]] = {4: _REFUSED, 5: _FAILED}

_TOO_LONG = (
    # (how long the input is, how long it may be), in the API's two wordings; the second counts the output as well
    re.compile(r"prompt is too long(?:: (?P<needed>\d{1,12}) tokens? > (?P<window>\d{1,12}))?", re.IGNORECASE),
    re.compile(
        r"exceed context limit(?:: (?P<needed>\d{1,12}) \+ (?P<output>\d{1,12}) > (?P<window>\d{1,12}))?", re.IGNORECASE
    ),
    re.compile(r"input is too long", re.IGNORECASE),  # Bedrock
)
_NO_CREDIT = re.compile(r"credit balance is too low|usage limits?\b.*\bregain access|spend limit", re.IGNORECASE)
_NOT_A_MODEL = re.compile(r"model identifier is invalid", re.IGNORECASE)  # Bedrock
_ABOUT_MODEL = re.compile(r"\bmodel\b", re.IGNORECASE)
_PATH = re.compile(r"(?P<field>[a-z_]+)(?:\.(?P<inner>[a-z_]+))?[.a-z0-9_\[\]]*: ")

# The fields of a body, and what the client of the Responses API calls them.
_CLIENT_NAMES = {
    "max_tokens": "max_output_tokens",
    "messages": "input",
    "metadata": "safety_identifier",
    "model": "model",
    "output_config": "text.format",
    "service_tier": "service_tier",
    "system": "instructions",
    "temperature": "temperature",
    "thinking": "reasoning.effort",
    "tool_choice": "tool_choice",
    "tools": "tools",
    "top_p": "top_p",
}
# Nobody waits longer, and a client multiplies what it is told.
_LONGEST_WAIT_S = 86_400.0


def translate_error(status: int, headers: Mapping[str, str], body: bytes, *, upstream: str) -> UpstreamError:
    """
    The error of our tree for an answer that is not 2xx.

    Args:
        headers: Names in lower case; ``retry-after`` says in seconds when to try again.
        body: Of any size and shape.
        upstream: The configured name, which goes into the message.
    """
    complaint = read_complaint(body, html="html" in headers.get("content-type", ""))
    amazons = headers.get("x-amzn-errortype", "").partition(":")[0]
    kind = _BY_TYPE.get(complaint.kind) or _BY_TYPE.get(amazons) or _by_status(status, complaint)
    return _error(kind, complaint, f"HTTP {status}", upstream=upstream, retry_after_s=_retry_after_s(headers))


def translate_stream_error(error: JsonObject, *, upstream: str, kind: str = "") -> UpstreamError:
    """
    The error of our tree for one that came within a reply.

    Args:
        error: The event, or what stands in it.
        kind: Its type, where the error itself does not say it.
    """
    complaint = read_error(error)
    name = complaint.kind if complaint.kind in _BY_TYPE else kind
    if complaint.kind == "not_found_error":
        return _error(_NO_MODEL, complaint, "in its reply", upstream=upstream)
    # Of what the API calls by no name that is known it can only be said that it failed.
    return _error(_BY_TYPE.get(name, _FAILED), complaint, "in its reply", upstream=upstream)


def _by_status(status: int, complaint: Complaint) -> _Kind:
    if status == 404 and _ABOUT_MODEL.search(complaint.text):
        return _NO_MODEL
    return _BY_STATUS.get(status) or _BY_HUNDRED.get(status // 100, _UNEXPECTED)


def _error(
    kind: _Kind, complaint: Complaint, where: str, *, upstream: str, retry_after_s: float | None = None
) -> UpstreamError:
    if kind is _REFUSED:
        overflow = _overflow(complaint.text)
        if overflow is not None:
            return overflow
        if _NO_CREDIT.search(complaint.text):
            kind = _UNPAID
        elif _NOT_A_MODEL.search(complaint.text):
            kind = _NO_MODEL
    error_type, what = kind
    message = f"Upstream '{upstream}' {what} ({where})" + (f": {complaint.text}" if complaint.text else ".")
    if kind is _NO_MODEL:
        return UpstreamLacksModel(message, param="model")
    if kind is _REFUSED:
        code = "request_too_large" if complaint.kind == "request_too_large" else None
        return UpstreamRefused(message, param="input" if code else _param(complaint.text), code=code)
    return error_type(message, code="insufficient_quota" if kind is _UNPAID else None, retry_after_s=retry_after_s)


def _overflow(text: str) -> ContextLengthExceeded | None:
    for pattern in _TOO_LONG:
        match = pattern.search(text)
        if match is not None:
            numbers = {name: int(value) for name, value in match.groupdict().items() if value is not None}
            if not numbers:
                return ContextLengthExceeded()
            limit, needed = numbers["window"] - numbers.get("output", 0), numbers["needed"]
            if not 0 < limit < needed:
                return ContextLengthExceeded()
            return ContextLengthExceeded(limit_tokens=limit, needed_tokens=needed)
    return None


def _param(text: str) -> str | None:
    """The client's name of the field at fault, which the API's messages begin with, as ``messages.3.content.0: …``."""
    match = _PATH.match(text)
    if match is None:
        return None
    if match["field"] == "output_config" and match["inner"] == "effort":
        return "reasoning.effort"
    return _CLIENT_NAMES.get(match["field"])


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    try:
        wait_s = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return min(wait_s, _LONGEST_WAIT_S) if math.isfinite(wait_s) and wait_s >= 0 else None
