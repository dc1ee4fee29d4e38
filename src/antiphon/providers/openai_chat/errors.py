"""
Answers that are not 2xx, as errors of our own.

Servers that speak chat completions agree on the request, not on their errors: OpenAI's envelope, llama.cpp's with a
numeric code, FastAPI's ``detail``, Ollama's bare text, Gemini's list around an envelope, a proxy's HTML page. Here the
status decides the class, :mod:`.error_body` finds the words, and :mod:`.overflow` those that say "too long". What
reaches a client names the upstream, is short, and has everything masked that looks like a credential.
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
from antiphon.providers.openai_chat.error_body import Complaint, read_complaint
from antiphon.providers.openai_chat.fields import client_param
from antiphon.providers.openai_chat.overflow import OUTPUT_LIMIT_WORDS, read_overflow

__all__ = ["translate_error"]

_NO_SUCH_MODEL_WORDS = re.compile(
    r"\bmodels?(?:/\S{1,200})?(?:\s+\S{1,200})?\s+(?:was |is |does )?not (?:found|exist|available)"
    r"|\b(?:unknown|no such|invalid|not a valid|unable to access) model\b",
    re.IGNORECASE,
)
_NO_SUCH_MODEL_CODES = frozenset({"model_not_found", "invalid_model", "DeploymentNotFound"})
# llama.cpp answers 500 to an image that the model cannot see: the request is at fault, not the server.
_UNSUPPORTED_INPUT_WORDS = re.compile(r"(?:image|audio|video|file) input is not supported", re.IGNORECASE)

# Nobody waits longer, and a client multiplies what it is told.
_LONGEST_WAIT_S = 86_400.0

_Kind = tuple[type[UpstreamError], str]
_REFUSED: Final[_Kind] = (UpstreamRefused, "refused the request")
_UNEXPECTED: Final[_Kind] = (UpstreamBroken, "gave an answer that its dialect does not have")
_AUTHENTICATION: Final[_Kind] = (UpstreamAuthentication, "refused the gateway's credential")
_NO_PATH: Final[_Kind] = (UpstreamBroken, "knows no such path; check its base_url")
_TIMEOUT: Final[_Kind] = (UpstreamTimeout, "did not answer in time")
_LIMITED: Final[_Kind] = (UpstreamRateLimited, "limits what the gateway may ask of it")

_BY_STATUS: Final[Mapping[int, _Kind]] = {
    401: _AUTHENTICATION,
    402: _LIMITED,  # DeepSeek, OpenRouter: no money left
    403: _AUTHENTICATION,
    404: _NO_PATH,
    405: _NO_PATH,
    408: _TIMEOUT,
    429: _LIMITED,
    501: _REFUSED,  # llama.cpp: the server was started without what the request asks for
    504: _TIMEOUT,
    522: _TIMEOUT,  # Cloudflare
    524: _TIMEOUT,  # Cloudflare
}
_BY_HUNDRED: Final[Mapping[int, _Kind]] = {4: _REFUSED, 5: (UpstreamUnavailable, "failed")}


def translate_error(status: int, headers: Mapping[str, str], body: bytes, *, upstream: str) -> UpstreamError:
    """
    The error of our tree for an answer that is not 2xx.

    Args:
        status: Decides the class, see the table above. Three things are told apart by the words as well, because
            servers do not agree on their status: a context that is too long, a model that is not served, and input of
            a kind that the model does not take.
        headers: Names in lower case; ``retry-after`` and ``retry-after-ms`` say when to try again.
        body: Of any size and shape.
        upstream: The configured name, which goes into the message.
    """
    complaint = read_complaint(body, html="html" in headers.get("content-type", ""))
    overflow = read_overflow(status, complaint)
    if overflow is not None:
        return overflow
    if status in (400, 404, 422) and _is_about_model(complaint):
        message = _say(upstream, "does not serve the model", status, complaint)
        return UpstreamLacksModel(message, param="model")
    kind, what = _kind_of(status, complaint)
    message = _say(upstream, what, status, complaint)
    if kind is UpstreamRefused:
        return UpstreamRefused(message, param=_param(complaint), code=complaint.code)
    code = "insufficient_quota" if kind is UpstreamRateLimited and _is_out_of_quota(status, complaint) else None
    return kind(message, code=code, retry_after_s=_retry_after_s(headers))


def _kind_of(status: int, complaint: Complaint) -> _Kind:
    if status == 500 and _UNSUPPORTED_INPUT_WORDS.search(complaint.text):
        return _REFUSED
    return _BY_STATUS.get(status) or _BY_HUNDRED.get(status // 100, _UNEXPECTED)


def _is_about_model(complaint: Complaint) -> bool:
    return complaint.code in _NO_SUCH_MODEL_CODES or bool(_NO_SUCH_MODEL_WORDS.search(complaint.text))


def _is_out_of_quota(status: int, complaint: Complaint) -> bool:
    return status == 402 or "insufficient_quota" in (complaint.code, complaint.kind)


def _param(complaint: Complaint) -> str | None:
    if OUTPUT_LIMIT_WORDS.search(complaint.text):
        return "max_output_tokens"
    return client_param(complaint.param) if complaint.param else None


def _say(upstream: str, what: str, status: int, complaint: Complaint) -> str:
    said = f": {complaint.text}" if complaint.text else "."
    return f"Upstream '{upstream}' {what} (HTTP {status}){said}"


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait; None if nobody said so in a form that HTTP has."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            wait_s = float(headers.get(name, "")) * unit_s
        except ValueError:
            continue
        if math.isfinite(wait_s) and wait_s >= 0:
            return min(wait_s, _LONGEST_WAIT_S)
    until, now = _moment(headers.get("retry-after", "")), _moment(headers.get("date", ""))
    # The answer's own date is the clock by which the server has reckoned, and there is no other here.
    return None if until is None or now is None else min(max((until - now).total_seconds(), 0.0), _LONGEST_WAIT_S)


def _moment(text: str) -> datetime | None:
    """What an HTTP date says; None for what is none."""
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
