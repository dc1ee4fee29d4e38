"""
Bodies of items and parts as they go on to clients: of the right shape whatever the upstream left out.

A field that this version does not know rides along. Null stands for "absent" in messages, calls and reasoning, and
goes; in what hosted tools make it is a value of its own, and stays.
"""

from __future__ import annotations

from typing import Literal

import orjson

from antiphon.hub.errors import UpstreamBroken
from antiphon.hub.items import CALL_TYPES, JsonObject

__all__ = [
    "EndStatus",
    "added_body",
    "done_body",
    "empty_part",
    "field_of_part",
    "keepable",
    "objects",
    "text_of",
    "whole_part",
]

EndStatus = Literal["completed", "incomplete"]

# How deep in a response something of the upstream's own may come to stand.
_LEVELS_ABOVE = 16

_PLAIN_TYPES = frozenset({"message", "reasoning", "function_call", "custom_tool_call"})
_HAS_STATUS = frozenset({"message", *CALL_TYPES})
_LIST_FIELDS = {"message": "content", "reasoning": "summary"}
_VALUE_FIELDS = {"function_call": "arguments", "custom_tool_call": "input"}
_TEXT_FIELDS = {"output_text": "text", "refusal": "refusal", "reasoning_text": "text", "summary_text": "text"}


def added_body(body: JsonObject) -> JsonObject:
    """An item as it opens: in progress, and without what is said of it later."""
    item_type = body["type"]
    shown = _tidy(body)
    if item_type in _LIST_FIELDS:
        shown[_LIST_FIELDS[item_type]] = []
    elif item_type in _VALUE_FIELDS:
        shown[_VALUE_FIELDS[item_type]] = ""
    if item_type == "reasoning":
        shown.pop("content", None)
        shown.pop("encrypted_content", None)
    if item_type in _HAS_STATUS or "status" in shown:
        shown["status"] = "in_progress"
    return shown


def done_body(body: JsonObject, status: EndStatus) -> JsonObject:
    """An item that is done, in *status* where it gives none of its own that can stand."""
    shown = _tidy(body)
    if shown["type"] in _HAS_STATUS or "status" in shown:
        given = shown.get("status")
        shown["status"] = status if given in (None, "in_progress") else given
    if shown["type"] in _LIST_FIELDS:
        shown.setdefault(_LIST_FIELDS[shown["type"]], [])
    return shown


def field_of_part(kind: str) -> str | None:
    """The field that a part of this kind has its text in; None for kinds that this version does not know."""
    return _TEXT_FIELDS.get(kind)


def empty_part(body: JsonObject) -> JsonObject:
    """A part as it opens."""
    field = _TEXT_FIELDS.get(body["type"])
    if field is None:
        return body
    return {**body, field: "", **({"annotations": [], "logprobs": []} if body["type"] == "output_text" else {})}


def whole_part(body: JsonObject) -> JsonObject:
    """A part that is done."""
    field = _TEXT_FIELDS.get(body["type"])
    if field is None:
        return body
    shown = {**body, field: text_of(body, field)}
    if body["type"] == "output_text":
        shown["annotations"] = objects(body.get("annotations"))
        shown["logprobs"] = objects(body.get("logprobs"))
    return shown


def text_of(fields: JsonObject, name: str) -> str:
    """
    A text; empty where there is none.

    Raises:
        UpstreamBroken: It is something else.
    """
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UpstreamBroken(f"The upstream sent a '{name}' that is not a text.")
    return value


def objects(value: object) -> list[JsonObject]:
    """The objects in a list of them; none where there is no list."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def keepable(body: JsonObject) -> JsonObject:
    """
    *body* as it is, if a response that holds it can be written as JSON.

    Raises:
        UpstreamBroken: It is nested too deeply.
    """
    outer: object = body
    for _ in range(_LEVELS_ABOVE):
        outer = [outer]
    try:
        orjson.dumps(outer)
    except orjson.JSONEncodeError as error:
        raise UpstreamBroken(f"The upstream's reply holds what cannot be kept as JSON: {error}.") from error
    return body


def _tidy(body: JsonObject) -> JsonObject:
    if body["type"] not in _PLAIN_TYPES:
        return dict(body)
    shown = {name: value for name, value in body.items() if value is not None}
    if shown["type"] == "message":
        shown["role"] = "assistant"
    return shown
