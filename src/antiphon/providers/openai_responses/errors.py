"""
Answers that are not 2xx, as errors of our own.

The status decides the class. Three things are told apart by the words as well, because servers do not agree on their
status: a context that is too long, a model that is not served, and input of a kind that the model does not take.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from antiphon.hub.errors import (
    UpstreamAuthentication,
    UpstreamBroken,
    UpstreamError,
    UpstreamLacksModel,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from antiphon.providers.openai_responses.error_body import Complaint, read_complaint
from antiphon.providers.openai_responses.overflow import is_about_output, read_overflow

__all__ = ["translate_error"]

_Kind = tuple[type[UpstreamError], str]
_REFUSED: Final[_Kind] = (UpstreamRefused, "refused the request")
_DENIED: Final[_Kind] = (UpstreamAuthentication, "refused the gateway's credential")
_NO_PATH: Final[_Kind] = (UpstreamBroken, "knows no such path; check its base_url and whether it has a Responses API")
_LATE: Final[_Kind] = (UpstreamTimeout, "did not answer in time")
_LIMITED: Final[_Kind] = (UpstreamRateLimited, "limits what the gateway may ask of it")
_FAILED: Final[_Kind] = (UpstreamUnavailable, "failed")
_STRANGE: Final[_Kind] = (UpstreamBroken, "gave an answer that its dialect does not have")

_BY_STATUS: Final[Mapping[int, _Kind]] = {
    401: _DENIED,
    402: _LIMITED,  # no money left
    403: _DENIED,
    404: _NO_PATH,
    405: _NO_PATH,
    408: _LATE,
    429: _LIMITED,
    501: _REFUSED,  # llama.cpp: the server was started without what the request asks for
    504: _LATE,
    522: _LATE,  # Cloudflare
    524: _LATE,  # Cloudflare
}
_BY_HUNDRED: Final[Mapping[int, _Kind]] = {4: _REFUSED, 5: _FAILED}

_MODEL_CODES = frozenset({"DeploymentNotFound", "invalid_model", "model_not_found"})
_MODEL_WORDS = re.compile(
    r"\bmodels?(?:\s+\S{1,200})?\s+(?:was |is |does )?not (?:found|exist|available)"
    r"|\b(?:unknown|no such|invalid|not a valid) model\b",
    re.IGNORECASE,
)
# llama.cpp answers 500 to an image that the model cannot see: the request is at fault, not the server.
_UNSEEN_WORDS = re.compile(r"(?:image|audio|video|file) input is not supported", re.IGNORECASE)

_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*|\[\d{1,6}\])*")
_PATH_CHARS = 200

# Nobody waits longer, and a client multiplies what it is told.
_LONGEST_WAIT_S = 86_400.0
_WAIT_WORDS = re.compile(r"try again in ((?:\d{1,6}(?:\.\d{1,6})?(?:ms|[dhms]))+)", re.IGNORECASE)
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|[dhms])", re.IGNORECASE)
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def translate_error(status: int, headers: Mapping[str, str], body: bytes, *, upstream: str) -> UpstreamError:
    """
    The error of our tree for an answer that is not 2xx.

    Args:
        headers: Names in lower case. ``retry-after-ms`` and ``retry-after`` say when to try again; without them, and
            for a rate limit only, OpenAI's own sentence does.
        body: Of any size and shape.
        upstream: The configured name, which goes into the message.
    """
    complaint = read_complaint(body, html="html" in headers.get("content-type", ""))
    overflow = read_overflow(status, complaint)
    if overflow is not None:
        return overflow
    if status in (400, 404, 422) and _is_about_model(complaint):
        return UpstreamLacksModel(_say(upstream, "does not serve the model", status, complaint), param="model")
    kind, what = _kind_of(status, complaint)
    message = _say(upstream, what, status, complaint)
    if kind is UpstreamRefused:
        return UpstreamRefused(message, param=_param(complaint), code=complaint.code)
    if kind is not UpstreamRateLimited:
        return kind(message, retry_after_s=_wait_s(headers))
    is_quota = status == 402 or "insufficient_quota" in (complaint.code, complaint.kind)
    wait_s = _wait_s(headers)
    return UpstreamRateLimited(
        message,
        code="insufficient_quota" if is_quota else None,
        retry_after_s=_wait_in_words_s(complaint.text) if wait_s is None else wait_s,
    )


def _kind_of(status: int, complaint: Complaint) -> _Kind:
    if status == 500 and _UNSEEN_WORDS.search(complaint.text):
        return _REFUSED
    return _BY_STATUS.get(status) or _BY_HUNDRED.get(status // 100, _STRANGE)


def _is_about_model(complaint: Complaint) -> bool:
    return complaint.code in _MODEL_CODES or bool(_MODEL_WORDS.search(complaint.text))


def _param(complaint: Complaint) -> str | None:
    """The field at fault. Places in the input are not the client's: the upstream counts the history as well."""
    if is_about_output(complaint):
        return "max_output_tokens"
    path = complaint.param
    if path is None or len(path) > _PATH_CHARS or not _PATH.fullmatch(path):
        return None
    return "input" if path.startswith(("input[", "input.")) else path


def _say(upstream: str, what: str, status: int, complaint: Complaint) -> str:
    said = f": {complaint.text}" if complaint.text else "."
    return f"Upstream '{upstream}' {what} (HTTP {status}){said}"


def _wait_s(headers: Mapping[str, str]) -> float | None:
    """How long the headers say to wait, in any of the forms that HTTP has for it."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            wait_s = float(headers.get(name, "")) * unit_s
        except ValueError:
            continue
        if math.isfinite(wait_s) and wait_s >= 0:
            return min(wait_s, _LONGEST_WAIT_S)
    # The answer's own date is the clock that the server has reckoned by, and there is no other here.
    until, now = _moment(headers.get("retry-after", "")), _moment(headers.get("date", ""))
    return None if until is None or now is None else min(max((until - now).total_seconds(), 0.0), _LONGEST_WAIT_S)


def _wait_in_words_s(text: str) -> float | None:
    match = _WAIT_WORDS.search(text)
    if match is None:
        return None
    spans = _SPAN.findall(match.group(1).lower())
    return min(sum(float(number) * _SECONDS[unit] for number, unit in spans), _LONGEST_WAIT_S)


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
