"""
Errors of Bedrock, as errors of our own.

The name of an error decides, whether it came as an answer's header, in its body or as a frame of a stream; the status
only where there is no name that is known. Three things are told apart by the words: a context that is too long, a
model that is not there or may not be used, and a limit of output that is too high.
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
from antiphon.hub.redaction import clean_text
from antiphon.providers.bedrock.error_text import read_message

__all__ = ["translate_error", "translate_exception"]

_Kind = tuple[type[UpstreamError], str]
_REFUSED: Final[_Kind] = (UpstreamRefused, "refused the request")
_AUTHENTICATION: Final[_Kind] = (UpstreamAuthentication, "refused the gateway's credential")
_LIMITED: Final[_Kind] = (UpstreamRateLimited, "limits what the gateway may ask of it")
_NO_MODEL: Final[_Kind] = (UpstreamLacksModel, "does not serve the model")
_NO_PATH: Final[_Kind] = (UpstreamBroken, "knows no such path; check its base_url")
_TIMEOUT: Final[_Kind] = (UpstreamTimeout, "did not answer in time")
_FAILED: Final[_Kind] = (UpstreamUnavailable, "failed")
_UNEXPECTED: Final[_Kind] = (UpstreamBroken, "gave an answer that its dialect does not have")

_BY_NAME: Final[Mapping[str, _Kind]] = {
    "ValidationException": _REFUSED,
    "SerializationException": _REFUSED,
    "ConflictException": _REFUSED,
    "RequestEntityTooLargeException": _REFUSED,
    "ResourceNotFoundException": _NO_MODEL,
    "ThrottlingException": _LIMITED,
    "TooManyRequestsException": _LIMITED,
    "ServiceQuotaExceededException": _LIMITED,
    "ModelNotReadyException": (UpstreamUnavailable, "has not got the model ready"),
    "ModelTimeoutException": _TIMEOUT,
    "ModelErrorException": _FAILED,
    "ModelStreamErrorException": _FAILED,
    "InternalServerException": _FAILED,
    "InternalFailure": _FAILED,
    "ServiceUnavailableException": _FAILED,
    "ServiceUnavailable": _FAILED,
    "AccessDeniedException": _AUTHENTICATION,
    "ExpiredTokenException": _AUTHENTICATION,
    "IncompleteSignatureException": _AUTHENTICATION,
    "InvalidClientTokenId": _AUTHENTICATION,
    "InvalidSignatureException": _AUTHENTICATION,
    "MissingAuthenticationTokenException": _AUTHENTICATION,
    "NotAuthorizedException": _AUTHENTICATION,
    "OptInRequired": _AUTHENTICATION,
    "SignatureDoesNotMatch": _AUTHENTICATION,
    "UnrecognizedClientException": _AUTHENTICATION,
    "UnknownOperationException": _NO_PATH,
}
_BY_STATUS: Final[Mapping[int, _Kind]] = {
    401: _AUTHENTICATION,
    403: _AUTHENTICATION,
    404: _NO_PATH,
    405: _NO_PATH,
    408: _TIMEOUT,
    424: _FAILED,
    429: _LIMITED,
    504: _TIMEOUT,
}
_BY_HUNDRED: Final[Mapping[int, _Kind]] = {4: _REFUSED, 5: _FAILED}

_OUTPUT_LIMIT_WORDS = re.compile(
    r"maximum tokens you requested exceeds|max_?tokens: \d+ > \d+|max_?tokens\b.{0,60}(?:exceeds|too large)",
    re.IGNORECASE,
)
# Bedrock's own words, and those of the houses whose models it passes on: Anthropic, Amazon, Meta and Mistral, OpenAI.
_OVERFLOW_WORDS = re.compile(
    r"(?:input|prompt) is too long|too many (?:input )?tokens|exceeds? the (?:model's )?(?:maximum )?context"
    r"|exceeds? context limit|context (?:length|window)|input token count|reduce the length of the",
    re.IGNORECASE,
)
_OVERFLOW_NUMBERS = tuple(
    re.compile(source.replace("#", r"(\d{1,12})"), re.IGNORECASE)
    for source in (
        r"(?P<needed>#) tokens > (?P<limit>#) maximum",
        r"max input tokens: (?P<limit>#), request input token count: (?P<needed>#)",
        r"exceed context limit: (?P<needed>#) \+ (?P<wanted>#) > (?P<limit>#)",
        r"maximum context length is (?P<limit>#) tokens.{0,80}?(?P<needed>#) (?:input )?tokens",
    )
)
_MODEL_WORDS = re.compile(
    r"model identifier is invalid|on-demand throughput isn.t supported|access to the model|model access"
    r"|model version has reached the end|doesn.t support the model|not authorized to invoke this (?:model|API)",
    re.IGNORECASE,
)
# Nobody waits longer, and a client multiplies what it is told.
_LONGEST_WAIT_S = 86_400.0


def translate_error(status: int, headers: Mapping[str, str], body: bytes, *, upstream: str) -> UpstreamError:
    """
    The error of our tree for an answer that is not 2xx.

    Args:
        headers: Names in lower case; ``x-amzn-errortype`` names the error, ``retry-after`` says when to try again.
        body: Of any size and shape.
        upstream: The configured name, which goes into the message.
    """
    named, text = read_message(body)
    name = _name(headers.get("x-amzn-errortype") or named)
    kind = _BY_NAME.get(name) or _BY_STATUS.get(status) or _BY_HUNDRED.get(status // 100, _UNEXPECTED)
    return _translated(
        kind, name, text, upstream=upstream, where=f"HTTP {status}", retry_after_s=_retry_after_s(headers)
    )


def translate_exception(name: str, payload: bytes, *, upstream: str) -> UpstreamError:
    """
    The error of our tree for a fault within a stream.

    Args:
        name: The frame's ``:exception-type`` or ``:error-code``.
        payload: The frame's.
    """
    name = _name(name)
    return _translated(
        _BY_NAME.get(name, _FAILED), name, read_message(payload)[1], upstream=upstream, where="in its stream"
    )


def _translated(
    kind: _Kind, name: str, text: str, *, upstream: str, where: str, retry_after_s: float | None = None
) -> UpstreamError:
    error, what = kind
    if error is UpstreamRefused and _is_overflow(text):
        return _overflow(text)
    if error in (UpstreamRefused, UpstreamAuthentication) and _MODEL_WORDS.search(text):
        error, what = _NO_MODEL
    shown = ", ".join(part for part in (clean_text(name)[:64], where) if part)
    message = f"Upstream '{upstream}' {what} ({shown}){f': {text}' if text else '.'}"
    if error is UpstreamLacksModel:
        return UpstreamLacksModel(message, param="model")
    if error is UpstreamRefused:
        param = "max_output_tokens" if _OUTPUT_LIMIT_WORDS.search(text) else None
        return UpstreamRefused(message, param=param)
    return error(message, retry_after_s=retry_after_s)


def _name(given: str) -> str:
    """An error's bare name: a header has an address behind it, a body its namespace before it, a frame it small."""
    name = given.partition(":")[0].rpartition("#")[2].strip()
    return name[:1].upper() + name[1:]


def _is_overflow(text: str) -> bool:
    return bool(_OVERFLOW_WORDS.search(text)) and not _OUTPUT_LIMIT_WORDS.search(text)


def _overflow(text: str) -> ContextLengthExceeded:
    for pattern in _OVERFLOW_NUMBERS:
        if match := pattern.search(text):
            numbers = {name: int(number) for name, number in match.groupdict().items()}
            room = numbers["limit"] - numbers.get("wanted", 0)
            return ContextLengthExceeded(limit_tokens=room, needed_tokens=numbers["needed"])
    return ContextLengthExceeded()


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait; None if nobody said so as a number."""
    try:
        wait_s = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return min(wait_s, _LONGEST_WAIT_S) if math.isfinite(wait_s) and wait_s >= 0 else None
