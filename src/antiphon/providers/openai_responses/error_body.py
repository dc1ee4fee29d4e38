"""
The sentence in an error's body, and the words beside it, whatever form a server gives them.

Servers of this dialect: OpenAI's envelope (Azure, xAI and llama.cpp with a numeric code, vLLM), FastAPI's ``detail``, a
bare text under ``error`` (Ollama, LM Studio), a proxy's page. What comes out is fit to be shown to a client: one short
line in which nothing looks like a credential, and no address of a private network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
import orjson

from antiphon.hub.redaction import clean_text

__all__ = ["Complaint", "read_complaint"]

_READ_BYTES = 1 << 20  # a validation error repeats the request; beyond this it is not worth reading
_DEPTH = 4
_LISTED = 10

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}\Z")


class Complaint(msgspec.Struct, frozen=True, kw_only=True):
    """
    What an upstream says is wrong.

    Attributes:
        text: Fit to be shown; empty where there is nothing that is.
        code: A word, such as ``model_not_found``; numbers only repeat the status.
        kind: The envelope's ``type``.
        param: The field at fault, in the upstream's words.
        input_tokens: How long the input is, where llama.cpp says so in a field.
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
    The complaint in a body of any form and size.

    Args:
        html: Whether the headers call it a page; nothing of one is shown.
    """
    if html or len(body) > _READ_BYTES:
        return Complaint()
    text = body.decode("utf-8", "replace")
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        return Complaint(text=clean_text(text))
    envelope = _envelope(document)
    param = envelope.get("param")
    return Complaint(
        text=clean_text(next(_sentences(document, _DEPTH), "")),
        code=_word(envelope.get("code")),
        kind=_word(envelope.get("type")),
        param=param if isinstance(param, str) else None,
        input_tokens=_number(envelope.get("n_prompt_tokens")),
        window_tokens=_number(envelope.get("n_ctx")),
    )


def _envelope(document: object) -> dict[str, object]:
    if isinstance(document, list):
        return _envelope(document[0]) if document else {}
    if not isinstance(document, dict):
        return {}
    inner = document.get("error")
    return inner if isinstance(inner, dict) else document


def _sentences(value: object, depth: int) -> Iterator[str]:
    """What may be the message, the best first. FastAPI's ``input``, the caller's own content, is never among it."""
    if isinstance(value, str):
        if value.strip():
            yield value
    elif isinstance(value, list) and depth:
        found = [next(_sentences(entry, depth - 1), "") for entry in value[:_LISTED]]
        said = [f"{_place(entry)}{text}" for entry, text in zip(value, found, strict=False) if text]
        if said:
            yield "; ".join(said)
    elif isinstance(value, dict) and depth:
        for name in ("message", "detail", "error", "msg", "errors"):
            yield from _sentences(value.get(name), depth - 1)


def _place(entry: object) -> str:
    where = entry.get("loc") if isinstance(entry, dict) else None
    return f"{'.'.join(map(str, where))}: " if isinstance(where, list) and where else ""


def _word(value: object) -> str | None:
    return value if isinstance(value, str) and _WORD.match(value) else None


def _number(value: object) -> int | None:
    return value if type(value) is int else None
