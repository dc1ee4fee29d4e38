"""An upstream's own words, made fit to be shown to a client."""

from __future__ import annotations

import re

__all__ = ["clean_text"]

_MAX_CHARS = 500
_MAX_SCANNED_CHARS = 8 * _MAX_CHARS

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+")
_MASKED = (
    # Google's API keys, access tokens and signed tokens, and whatever stands where a credential stands.
    (re.compile(r"\bAIza[\w-]{10,}", re.ASCII), "***"),
    (re.compile(r"\bAQ\.[\w-]{10,}", re.ASCII), "***"),
    (re.compile(r"\bya29\.[\w.-]+", re.ASCII), "***"),
    (re.compile(r"\beyJ[\w-]{8,}(?:\.[\w-]+)*", re.ASCII), "***"),
    (re.compile(r"\b(bearer|basic)\s+[^\s\"',;]+", re.IGNORECASE), r"\1 ***"),
    (re.compile(r"((?:key|token|secret|password)[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,;]{6,}", re.IGNORECASE), r"\1***"),
    (re.compile(r"(://)[^\s/@]+@"), r"\1***@"),
    # Whose project it is.
    (re.compile(r"\b(projects?(?:_number|_id)?[/:=]\s*)[\w-]+", re.IGNORECASE), r"\1***"),
)


def clean_text(text: str) -> str:
    """
    *text* as one printable line of at most 500 characters; nothing of a page.

    What looks like a credential, or names the operator's project, is masked.
    """
    if text.lstrip("\ufeff \t\r\n").startswith("<"):
        return ""
    text = " ".join(_UNPRINTABLE.sub(" ", text[:_MAX_SCANNED_CHARS]).split())
    for pattern, mask in _MASKED:
        text = pattern.sub(mask, text)
    return text if len(text) <= _MAX_CHARS else f"{text[: _MAX_CHARS - 1]}…"
