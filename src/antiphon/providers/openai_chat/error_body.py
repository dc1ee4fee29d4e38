"""What an error's body says: the one sentence in it, wherever a vendor puts that, made fit to be shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

import msgspec
import orjson

from antiphon.hub.redaction import clean_text

__all__ = ["Complaint", "read_complaint"]

_MAX_TEXT_BYTES = 16_000  # of a body that is no JSON: more than is looked at
# FastAPI sends the refused body back inside its answer. A document above this is not worth the time that it takes.
_MAX_JSON_BYTES = 1 << 20
_MAX_DEPTH = 5
_NOT_JSON = object()
_MAX_ENTRIES = 20

_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")


class Complaint(msgspec.Struct, frozen=True, kw_only=True):
    """
    What an upstream says is wrong.

    Attributes:
        text: One line for the caller, at most 500 characters, without markup, control characters, credentials or
            addresses of a private network.
            Empty if the body says nothing that can be shown.
        code: Machine-readable, if it is a word; a number repeats the status.
        kind: The ``type`` of an envelope.
        param: The request field at fault, in the upstream's words.
        input_tokens: How long the input is, where the envelope says it in a field (llama.cpp).
        window_tokens: How long it may be, likewise.
    """

    text: str = ""
    code: str | None = None
    kind: str | None = None
    param: str | None = None
    input_tokens: int | None = None
    window_tokens: int | None = None


def read_complaint(body: bytes, *, html: bool = False) -> Complaint:
    """
    The complaint in an error's body, whatever the body's shape.

    Args:
        body: JSON, text, a page, or anything else.
        html: Whether the headers say that it is a page; nothing of one is shown.
    """
    if html or not body or body.isspace():
        return Complaint()
    document = _json(body)
    if document is _NOT_JSON:
        text = body[:_MAX_TEXT_BYTES].decode("utf-8", "replace")
        return Complaint(text=clean_text(text)) if len(body) <= _MAX_JSON_BYTES or text[0] not in "[{" else Complaint()
    return _read(document)


def _json(body: bytes) -> object:
    """The document, or a mark of its own if there is none worth reading."""
    if len(body) > _MAX_JSON_BYTES:
        return _NOT_JSON
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        return orjson.loads(body.decode("utf-8", "replace"))
    except orjson.JSONDecodeError:
        return _NOT_JSON


def _read(document: object) -> Complaint:
    envelope = _envelope(document)
    text = next(_texts(document), "")
    return Complaint(
        text=clean_text(text),
        code=_word(envelope.get("code")),
        kind=_word(envelope.get("type")) or _word(envelope.get("status")),
        param=param if isinstance(param := envelope.get("param"), str) else None,
        input_tokens=_count(envelope.get("n_prompt_tokens")),
        window_tokens=_count(envelope.get("n_ctx")),
    )


def _envelope(document: object) -> dict[str, object]:
    """The object that holds code and type: OpenAI's ``error``, else the document itself."""
    if isinstance(document, list):
        document = document[0] if document else None
    if not isinstance(document, dict):
        return {}
    inner = document.get("error")
    return inner if isinstance(inner, dict) else document


def _texts(value: object, depth: int = 0) -> Iterator[str]:
    """Everything in *value* that may be its message, the best first."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, str) and value:
        yield value
    elif isinstance(value, list):
        yield from _of_list(value, depth)
    elif isinstance(value, dict):
        metadata = value.get("metadata")
        if isinstance(metadata, dict) and isinstance(metadata.get("raw"), str):
            # OpenRouter's own message is "Provider returned error"; what the provider said is beside it.
            yield f"{value.get('message')}: {metadata['raw']}"
        for name in ("message", "detail", "error", "msg", "errors"):
            yield from _texts(value.get(name), depth + 1)


def _of_list(value: list[object], depth: int) -> Iterator[str]:
    """FastAPI's list of what is wrong where; the ``input`` in it is the caller's content and is not shown."""
    said = [
        f"{_location(entry)}{text}" for entry in value[:_MAX_ENTRIES] for text in islice(_texts(entry, depth + 1), 1)
    ]
    if said:
        yield "; ".join(said)


def _location(entry: object) -> str:
    where = entry.get("loc") if isinstance(entry, dict) else None
    return f"{'.'.join(map(str, where))}: " if isinstance(where, list) and where else ""


def _word(value: object) -> str | None:
    return value if isinstance(value, str) and _CODE.match(value) and not value.isdigit() else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
