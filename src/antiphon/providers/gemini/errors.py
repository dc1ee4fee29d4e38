"""
Errors of Google's APIs, as errors of our own.

They are a ``google.rpc.Status`` in an envelope, ``{"error": {"code", "message", "status", "details"}}``, or a list
around that where the answer would have been a stream. The canonical name in ``status`` decides the class, and where
there is none (a proxy's page, an unknown path) the HTTP status. What the API says by words or details alone (a key that
is no key, an input that is too long) is told apart before. What reaches a client names the upstream and is short.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

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
from antiphon.hub.redaction import clean_text
from antiphon.providers.gemini.fields import client_field

__all__ = ["translate_error", "translate_stream_error"]

# A document above this is no error of this API, and not worth the time that it takes.
_MAX_BODY_BYTES = 1 << 20
# Nobody waits longer, and a client multiplies what it is told.
_LONGEST_WAIT_S = 86_400.0
_UNKNOWN = 500

_BAD_KEY_REASONS = frozenset(
    {"API_KEY_INVALID", "API_KEY_SERVICE_BLOCKED", "API_KEY_EXPIRED", "ACCESS_TOKEN_EXPIRED", "SERVICE_DISABLED"}
)
_BAD_KEY_WORDS = re.compile(r"api key (?:not valid|expired|not found)|pass a valid api key", re.IGNORECASE)
_NOT_HERE_WORDS = re.compile(r"location is not supported|enable billing|billing account", re.IGNORECASE)
_OVERFLOW_WORDS = re.compile(
    r"input token count|token count .{0,40}exceeds|exceeds the maximum number of tokens", re.IGNORECASE
)
_NEEDED = re.compile(r"token count (?:is |\()?(\d{1,12})", re.IGNORECASE)
_LIMIT = re.compile(r"(?:tokens allowed \(?|supports up to )(\d{1,12})", re.IGNORECASE)
_NO_MODEL_WORDS = re.compile(r"\bmodels?\b", re.IGNORECASE)
_NO_CREDIT_WORDS = re.compile(
    r"credits? (?:are|is) depleted|spend(?:ing)? cap|billing (?:is|account is) (?:disabled|closed)", re.IGNORECASE
)
_FIELD_IN_WORDS = re.compile(r"(?:at '|\* (?:\w+Request\.)?)([\w.]{1,128})|GenerateContentRequest\.([\w.]{1,128})")
_SECONDS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s\Z")

_Kind = tuple[type[UpstreamError], str]
_REFUSED: Final[_Kind] = (UpstreamRefused, "refused the request")
_CREDENTIAL: Final[_Kind] = (UpstreamAuthentication, "refused the gateway's credential")
_ACCOUNT: Final[_Kind] = (UpstreamAuthentication, "does not serve the gateway's account")
_LIMITED: Final[_Kind] = (UpstreamRateLimited, "limits what the gateway may ask of it")
_TIMEOUT: Final[_Kind] = (UpstreamTimeout, "did not answer in time")
_FAILED: Final[_Kind] = (UpstreamUnavailable, "failed")
_NO_MODEL: Final[_Kind] = (UpstreamLacksModel, "does not serve the model")
_NO_PATH: Final[_Kind] = (UpstreamBroken, "knows no such path; check its base_url")
_UNEXPECTED: Final[_Kind] = (UpstreamBroken, "gave an answer that its dialect does not have")

_BY_NAME: Final[Mapping[str, _Kind]] = {
    "INVALID_ARGUMENT": _REFUSED,
    "FAILED_PRECONDITION": _REFUSED,
    "OUT_OF_RANGE": _REFUSED,
    "ALREADY_EXISTS": _REFUSED,
    "UNIMPLEMENTED": _REFUSED,
    "UNAUTHENTICATED": _CREDENTIAL,
    "PERMISSION_DENIED": _CREDENTIAL,
    "NOT_FOUND": _NO_MODEL,
    "RESOURCE_EXHAUSTED": _LIMITED,
    "DEADLINE_EXCEEDED": _TIMEOUT,
    "CANCELLED": _FAILED,
    "ABORTED": _FAILED,
    "UNAVAILABLE": _FAILED,
    "INTERNAL": _FAILED,
    "UNKNOWN": _FAILED,
    "DATA_LOSS": _FAILED,
}
_BY_STATUS: Final[Mapping[int, _Kind]] = {
    401: _CREDENTIAL,
    403: _CREDENTIAL,
    404: _NO_PATH,
    405: _NO_PATH,
    408: _TIMEOUT,
    429: _LIMITED,
    499: _FAILED,
    504: _TIMEOUT,
}
_BY_HUNDRED: Final[Mapping[int, _Kind]] = {4: _REFUSED, 5: _FAILED}


class _Complaint(msgspec.Struct, frozen=True, kw_only=True):
    """What the API says is wrong, each field empty where it does not say."""

    text: str = ""
    name: str = ""
    reason: str = ""
    field: str = ""
    wait_s: float | None = None


def translate_error(status: int, headers: Mapping[str, str], body: bytes, *, upstream: str) -> UpstreamError:
    """
    The error of our tree for an answer that is not 2xx.

    Args:
        headers: Names in lower case; ``retry-after`` counts where the body names no delay.
        body: Of any size and shape.
        upstream: The configured name, which goes into the message.
    """
    complaint = _read(_document(body))
    if complaint.wait_s is None:
        complaint = msgspec.structs.replace(complaint, wait_s=_seconds(f"{headers.get('retry-after', '')}s"))
    return _translate(status, complaint, upstream)


def translate_stream_error(error: object, *, upstream: str) -> UpstreamError:
    """
    The error of our tree for what stands under ``error`` in a chunk.

    Args:
        error: Decoded JSON of any shape.
        upstream: The configured name, which goes into the message.
    """
    code = error.get("code") if isinstance(error, dict) else None
    status = code if isinstance(code, int) and 400 <= code < 600 else _UNKNOWN
    return _translate(status, _read({"error": error}), upstream)


def _translate(status: int, complaint: _Complaint, upstream: str) -> UpstreamError:
    if _is_overflow(status, complaint):
        return _overflow(complaint.text)
    kind, what = _kind_of(status, complaint)
    shown = clean_text(complaint.text)
    message = f"Upstream '{upstream}' {what} (HTTP {status}){f': {shown}' if shown else '.'}"
    if kind is UpstreamRefused:
        return UpstreamRefused(message, param=_param(complaint), code=complaint.name.lower() or None)
    if kind is UpstreamLacksModel:
        return UpstreamLacksModel(message, param="model")
    code = "insufficient_quota" if kind is UpstreamRateLimited and _NO_CREDIT_WORDS.search(complaint.text) else None
    return kind(message, code=code, retry_after_s=complaint.wait_s)


def _kind_of(status: int, complaint: _Complaint) -> _Kind:
    if complaint.reason in _BAD_KEY_REASONS or _BAD_KEY_WORDS.search(complaint.text):
        return _CREDENTIAL
    if complaint.name == "FAILED_PRECONDITION" and _NOT_HERE_WORDS.search(complaint.text):
        return _ACCOUNT
    if complaint.name == "NOT_FOUND" and not _NO_MODEL_WORDS.search(complaint.text):
        return _NO_PATH
    return _BY_NAME.get(complaint.name) or _BY_STATUS.get(status) or _BY_HUNDRED.get(status // 100, _UNEXPECTED)


def _is_overflow(status: int, complaint: _Complaint) -> bool:
    invalid = complaint.name == "INVALID_ARGUMENT" or (not complaint.name and status in (400, 413))
    return invalid and bool(_OVERFLOW_WORDS.search(complaint.text))


def _overflow(text: str) -> ContextLengthExceeded:
    needed, limit = _NEEDED.search(text), _LIMIT.search(text)
    if needed is None or limit is None or not 0 < int(limit.group(1)) < int(needed.group(1)):
        return ContextLengthExceeded()
    return ContextLengthExceeded(limit_tokens=int(limit.group(1)), needed_tokens=int(needed.group(1)))


def _param(complaint: _Complaint) -> str | None:
    """The client's name of the field at fault: the API gives its own name in the details, or in the words alone."""
    if complaint.field:
        return client_field(complaint.field)
    match = _FIELD_IN_WORDS.search(complaint.text)
    return client_field(match.group(1) or match.group(2)) if match else None


# Reading the body.


def _document(body: bytes) -> object:
    """The document; its text where it is none."""
    if len(body) > _MAX_BODY_BYTES:
        return None
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body.decode(errors="replace")


def _read(document: object) -> _Complaint:
    if isinstance(document, list):
        document = document[0] if document else None
    if isinstance(document, str):
        return _Complaint(text=document)
    error = document.get("error", document) if isinstance(document, dict) else None
    if not isinstance(error, dict):
        return _Complaint(text=error if isinstance(error, str) else "")
    details = error.get("details")
    entries = [entry for entry in details if isinstance(entry, dict)] if isinstance(details, list) else []
    return _Complaint(
        text=_string(error.get("message")),
        name=_string(error.get("status")),
        reason=next((_string(entry.get("reason")) for entry in entries if entry.get("reason")), ""),
        field=next((field for entry in entries if (field := _violated(entry))), ""),
        wait_s=next((_seconds(entry["retryDelay"]) for entry in entries if entry.get("retryDelay")), None),
    )


def _violated(detail: dict[str, Any]) -> str:
    violations = detail.get("fieldViolations")
    first = violations[0] if isinstance(violations, list) and violations else None
    return _string(first.get("field")) if isinstance(first, dict) else ""


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _seconds(delay: object) -> float | None:
    """The seconds of a ``google.protobuf.Duration``; None for anything else."""
    match = _SECONDS.match(delay) if isinstance(delay, str) else None
    wait_s = float(match.group(1)) if match else math.nan
    return min(wait_s, _LONGEST_WAIT_S) if math.isfinite(wait_s) else None
