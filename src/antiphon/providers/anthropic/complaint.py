"""
What the body of an error says, made fit to be shown.

Anthropic's envelope is ``{"type": "error", "error": {"type", "message"}}``; Google puts ``status`` in place of the type
and sometimes a list around it, Amazon sends ``{"message"}`` alone, a proxy in between whatever it likes.
"""

from __future__ import annotations

import re

import msgspec
import orjson

from antiphon.hub.items import JsonObject
from antiphon.hub.redaction import clean_text

__all__ = ["Complaint", "read_complaint"]

_READ_CHARS = 4000
_MAX_JSON_BYTES = 1 << 20

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,63}\Z")


class Complaint(msgspec.Struct, frozen=True, kw_only=True):
    """
    What an upstream says is wrong.

    Attributes:
        text: One line for the caller, of at most 500 characters; empty if the body says nothing that can be shown.
        kind: The error's ``type``, or what stands for it elsewhere, if it is a word.
    """

    text: str = ""
    kind: str = ""


def read_complaint(body: bytes, *, html: bool = False) -> Complaint:
    """
    The complaint in an error's body.

    Args:
        body: Of any size and shape.
        html: Whether the headers say that it is a page; nothing of one is shown.
    """
    if html or not body.strip():
        return Complaint()
    document = _document(body)
    if document is None:
        text = body[:_READ_CHARS].decode(errors="replace")
        return Complaint() if text.lstrip("\ufeff \t\r\n")[:1] in ("<", "{", "[") else Complaint(text=clean_text(text))
    return read_error(document)


def read_error(document: JsonObject) -> Complaint:
    """The complaint in a decoded body, or in what stands under ``error`` in one."""
    error = document.get("error", document)
    if not isinstance(error, dict):
        return Complaint(text=clean_text(error) if isinstance(error, str) else "")
    text = next((said for name in ("message", "Message") if isinstance(said := error.get(name), str)), "")
    kinds = (error.get(name) for name in ("type", "status", "__type"))
    kind = next((kind for kind in kinds if isinstance(kind, str) and _WORD.match(kind)), "")
    return Complaint(text=clean_text(text), kind=kind)


def _document(body: bytes) -> JsonObject | None:
    """The object that the body is, or that is the first in its list; None for anything else."""
    if len(body) > _MAX_JSON_BYTES:
        return None
    try:
        document = orjson.loads(body.decode(errors="replace"))
    except orjson.JSONDecodeError:
        return None
    if isinstance(document, list) and document:
        document = document[0]
    return document if isinstance(document, dict) else {}
