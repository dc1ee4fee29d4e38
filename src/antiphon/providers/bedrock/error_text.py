"""The sentence in an error of AWS, made fit to be shown to a client."""

from __future__ import annotations

import re

import orjson

__all__ = ["clean_text", "read_message"]

_MAX_TEXT_CHARS = 500
_MAX_SCANNED_CHARS = 8 * _MAX_TEXT_CHARS
_MAX_JSON_BYTES = 1 << 20
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+")
# Keys of AWS and of Bedrock, whatever stands where a credential stands, what a signature was made of, and the account
# in the name of a resource: an error of AWS says who asked.
_MASKS = (
    (re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{8,}"), "***"),
    (re.compile(r"\b(?:ABSK|bedrock-api-key-)[A-Za-z0-9+/=_-]{8,}"), "***"),
    (re.compile(r"\b(bearer|basic)\s+[^\s\"',;]+", re.IGNORECASE), r"\1 ***"),
    (
        re.compile(r"((?:key|token|secret|password|signature|credential)[\"']?=[\s\"']*)[^\s\"'&,;]+", re.IGNORECASE),
        r"\1***",
    ),
    (re.compile(r"(arn:[a-z-]+:(?:iam|sts):)[^\s\"',;]+"), r"\1***"),
    (re.compile(r"(?<!\d)\d{12}(?!\d)"), "***"),
)


def read_message(body: bytes) -> tuple[str, str]:
    """
    The name of the error in a body (empty if it says none), and its sentence, made fit to be shown.

    Args:
        body: JSON with ``message`` or ``Message`` and perhaps ``__type``, or anything else, of which nothing is shown.
    """
    try:
        document = orjson.loads(body) if len(body) <= _MAX_JSON_BYTES else None
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        return "", ""
    name, text = document.get("__type") or document.get("code"), document.get("message") or document.get("Message")
    original = document.get("originalMessage")
    if isinstance(original, str) and isinstance(text, str):
        text = f"{text} {original}"
    return name if isinstance(name, str) else "", clean_text(text) if isinstance(text, str) else ""


def clean_text(text: str) -> str:
    """*text* as one printable line of at most 500 characters, with what looks like a credential or account masked."""
    text = " ".join(_UNPRINTABLE.sub(" ", text[:_MAX_SCANNED_CHARS]).split())
    for pattern, mask in _MASKS:
        text = pattern.sub(mask, text)
    return text if len(text) <= _MAX_TEXT_CHARS else f"{text[: _MAX_TEXT_CHARS - 1]}…"
