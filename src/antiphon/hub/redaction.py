"""
Somebody else's words, made fit to be shown to a client: one short line without anything that is nobody's business.

An upstream's error may quote the operator's key, the account or project that pays, or the machine that failed. The
credential itself is masked wherever it stands by whoever knows it (:meth:`antiphon.engine.upstreams.Upstream.conceal`);
this is for all that merely looks like one, whichever vendor it is of.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["clean_text"]

_MAX_CHARS = 500
_MAX_SCANNED_CHARS = 8 * _MAX_CHARS

_ANNOUNCED = r"(?:key|token|secret|password|signature|credential)"
_CREDENTIALS: Final = (
    # Keys by the prefixes of the vendors; JSON web tokens; keys and tokens of Google, AWS and Bedrock.
    (re.compile(r"(?<![A-Za-z0-9])(?:sk|pk|rk|gsk|xai|hf|r8|pplx|nvapi|csk|tgp)[-_][A-Za-z0-9_*.-]{8,}"), "***"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+)*"), "***"),
    (re.compile(r"\b(?:AIza[A-Za-z0-9_-]{10,}|AQ\.[A-Za-z0-9_-]{10,}|ya29\.[A-Za-z0-9_.-]+)"), "***"),
    (re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{8,}"), "***"),
    (re.compile(r"\b(?:ABSK|bedrock-api-key-)[A-Za-z0-9+/=_-]{8,}"), "***"),
    # Whatever stands where a credential stands.
    (re.compile(r"\b(bearer|basic)\s+[^\s\"',;]+", re.IGNORECASE), r"\1 ***"),
    (re.compile(rf"({_ANNOUNCED}[\"']?=[\s\"']*)[^\s\"'&,;]+", re.IGNORECASE), r"\1***"),
    (
        re.compile(r"((?:api|access|secret)[ _-]?(?:key|token)\b[\w \"']{0,20}:\s*[\"']?)[^\s\"',;]+", re.IGNORECASE),
        r"\1***",
    ),
    (re.compile(r"(://)[^\s/@]+@"), r"\1***@"),
)
# Who asked: the account in the name of an AWS resource, and Google's project.
_ACCOUNTS: Final = (
    (re.compile(r"(arn:[a-z-]+:(?:iam|sts):)[^\s\"',;]+"), r"\1***"),
    (re.compile(r"(?<!\d)\d{12}(?!\d)"), "***"),
    (re.compile(r"\b(projects?(?:_number|_id)?[/:=]\s*)[\w-]+", re.IGNORECASE), r"\1***"),
)
# What stands in the query of an address, and what a vendor behind a vendor calls its machines.
_PLACES: Final = (
    (re.compile(r"://\[[0-9a-fA-F:.]+\](?::\d+)?"), "://***"),
    (re.compile(r"(://[^\s?\"'<>]+\?)[^\s\"'<>]+"), r"\1***"),
    (
        re.compile(r"://(?:[^\s/:.\"'<>]+|[^\s/:\"'<>]+\.(?:internal|local|lan|svc))(?=[/:\s\"'<>]|$)(?::\d+)?"),
        "://***",
    ),
    (
        re.compile(
            r"(?<![\d.])(?:10|127|192\.168|169\.254|172\.(?:1[6-9]|2\d|3[01]))(?:\.\d{1,3}){2,3}(?![\d.]*\.\d)(?::\d+)?"
        ),
        "***",
    ),
)
_MASKS: Final = (*_CREDENTIALS, *_ACCOUNTS, *_PLACES)


def clean_text(text: str) -> str:
    """
    *text* as one printable line of at most 500 characters; nothing of a page.

    Credentials, accounts, queries of addresses and addresses of a private network are masked.

    Note:
        Looks at the first 4,000 characters alone. No text makes it slow.
    """
    if text.lstrip("\ufeff \t\r\n").startswith("<"):
        return ""
    line = " ".join(_printable(text[:_MAX_SCANNED_CHARS]).split())
    for pattern, mask in _MASKS:
        line = pattern.sub(mask, line)
    return line if len(line) <= _MAX_CHARS else f"{line[: _MAX_CHARS - 1]}…"


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join([char if char.isprintable() else " " for char in text])
