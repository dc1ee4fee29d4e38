"""The sentence in an error of AWS, made fit to be shown to a client."""

from __future__ import annotations

import orjson

from antiphon.hub.redaction import clean_text

__all__ = ["read_message"]

_MAX_JSON_BYTES = 1 << 20


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
