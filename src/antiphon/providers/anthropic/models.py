"""The list of models: ``GET /models``, and the answer of ``POST /messages/count_tokens``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeGuard

import orjson

from antiphon.hub.errors import UpstreamBroken
from antiphon.hub.items import JsonObject

__all__ = ["decode_count", "decode_models"]


def decode_models(body: bytes) -> list[JsonObject]:
    """
    Model objects ``{"id", "object", "created", "owned_by"}``, in the API's order, with ``context_window`` where the
    API says how many tokens of input a model takes.

    Raises:
        UpstreamBroken: The body is no list of models, an entry has no id, or there are more on another page.
    """
    document = _document(body, "list of models")
    entries = document.get("data")
    if not isinstance(entries, list):
        raise UpstreamBroken("The upstream's list of models has no 'data'.")
    if document.get("has_more"):
        raise UpstreamBroken("The upstream's list of models goes on behind its largest page.")
    return [_model(entry) for entry in entries]


def decode_count(body: bytes) -> int:
    """
    The number of tokens in an answer to a question for it.

    Raises:
        UpstreamBroken: The body has none.
    """
    count = _document(body, "count of tokens").get("input_tokens")
    if not _is_count(count):
        raise UpstreamBroken("The upstream's count of tokens has no 'input_tokens'.")
    return count


def _document(body: bytes, what: str) -> JsonObject:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UpstreamBroken(f"The upstream's {what} is not valid JSON.") from error
    if not isinstance(document, dict):
        raise UpstreamBroken(f"The upstream's {what} is not an object.")
    return document


def _model(entry: object) -> JsonObject:
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), str) or not entry["id"]:
        raise UpstreamBroken("An entry of the upstream's list of models has no 'id'.")
    model: JsonObject = {
        "id": entry["id"],
        "object": "model",
        "created": _seconds(entry.get("created_at")),
        "owned_by": "anthropic",
    }
    window = entry.get("max_input_tokens")
    return {**model, "context_window": window} if _is_count(window) and window else model


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < 2**53


def _seconds(moment: object) -> int:
    """Since 1970, of an RFC 3339 date; 0 for what is none."""
    try:
        read = datetime.fromisoformat(moment) if isinstance(moment, str) else datetime.fromtimestamp(0, UTC)
        return max(int(read.replace(tzinfo=read.tzinfo or UTC).timestamp()), 0)
    except (ValueError, OverflowError):
        return 0
