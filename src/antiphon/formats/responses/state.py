"""The bodies of the Conversations API, and what of an item a list shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from antiphon.formats.checks.common import METADATA
from antiphon.formats.checks.flaw import Flaw
from antiphon.formats.checks.schema import Arr, Field, Obj
from antiphon.formats.responses.items import ITEM, check_item_ids
from antiphon.hub.format import ConversationDraft
from antiphon.hub.items import JsonObject

__all__ = ["ADDITION", "CONVERSATION", "UPDATE", "decode_conversation", "decode_items", "decode_metadata", "show_item"]

_MAX_ITEMS = 20

CONVERSATION = Obj(
    fields={
        "items": Field(schema=Arr(item=ITEM, max_length=_MAX_ITEMS), default=[]),
        "metadata": Field(schema=METADATA, default={}),
    },
)
UPDATE = Obj(fields={"metadata": Field(schema=METADATA, required=True, keeps_null=True)})
ADDITION = Obj(fields={"items": Field(schema=Arr(item=ITEM, min_length=1, max_length=_MAX_ITEMS), required=True)})


def decode_conversation(body: JsonObject) -> ConversationDraft:
    """
    Read ``POST /v1/conversations``; an empty object is an empty conversation.

    Raises:
        InvalidRequest: Names the first field that is wrong.
    """
    fields = _checked(CONVERSATION, body)
    check_item_ids(fields["items"])
    return ConversationDraft(items=tuple(fields["items"]), metadata=fields["metadata"])


def decode_metadata(body: JsonObject) -> dict[str, str]:
    """
    Read ``POST /v1/conversations/{id}``; null clears.

    Raises:
        InvalidRequest: ``metadata`` is missing or wrong.
    """
    return cast(dict[str, str], _checked(UPDATE, body)["metadata"] or {})


def decode_items(body: JsonObject) -> tuple[JsonObject, ...]:
    """
    Read ``POST /v1/conversations/{id}/items``.

    Raises:
        InvalidRequest: Names the first field that is wrong.
    """
    items = tuple(_checked(ADDITION, body)["items"])
    check_item_ids(items)
    return items


def show_item(body: JsonObject, include: frozenset[str]) -> JsonObject:
    """
    An item as a list shows it: without what the API gives out only on request, unless *include* names it.

    Nothing is copied where nothing is left out; *body* is never changed.
    """
    rule = _RULES.get(body["type"])
    return rule(body, include) if rule else body


def _checked(schema: Obj, body: JsonObject) -> dict[str, Any]:
    try:
        return schema.check(body)
    except Flaw as flaw:
        raise flaw.error() from None


Rule = Callable[[JsonObject, frozenset[str]], JsonObject]


def _show_message(body: JsonObject, include: frozenset[str]) -> JsonObject:
    content = body.get("content")
    if not isinstance(content, list):
        return body
    shown = [_show_part(part, include) for part in content]
    return body if all(new is old for new, old in zip(shown, content, strict=True)) else {**body, "content": shown}


def _show_part(part: JsonObject, include: frozenset[str]) -> JsonObject:
    if part.get("type") == "input_image" and "message.input_image.image_url" not in include:
        return _without(part, "image_url")
    if part.get("logprobs") and "message.output_text.logprobs" not in include:
        return {**part, "logprobs": []}
    return part


def _show_screenshot(body: JsonObject, include: frozenset[str]) -> JsonObject:
    output = body.get("output")
    if "computer_call_output.output.image_url" in include or not isinstance(output, dict) or "image_url" not in output:
        return body
    return {**body, "output": _without(output, "image_url")}


def _show_web_search(body: JsonObject, include: frozenset[str]) -> JsonObject:
    if "web_search_call.results" not in include:
        body = _without(body, "results")
    action = body.get("action")
    if "web_search_call.action.sources" in include or not isinstance(action, dict) or "sources" not in action:
        return body
    return {**body, "action": _without(action, "sources")}


def _show_reasoning(body: JsonObject, include: frozenset[str]) -> JsonObject:
    return body if "reasoning.encrypted_content" in include else _without(body, "encrypted_content")


def _show_file_search(body: JsonObject, include: frozenset[str]) -> JsonObject:
    return body if "file_search_call.results" in include else _emptied(body, "results")


def _show_code_interpreter(body: JsonObject, include: frozenset[str]) -> JsonObject:
    return body if "code_interpreter_call.outputs" in include else _emptied(body, "outputs")


def _without(body: JsonObject, name: str) -> JsonObject:
    return {key: value for key, value in body.items() if key != name} if name in body else body


def _emptied(body: JsonObject, name: str) -> JsonObject:
    # These two are null, not absent, where they are not asked for.
    return {**body, name: None} if body.get(name) is not None else body


_RULES: dict[str, Rule] = {
    "message": _show_message,
    "computer_call_output": _show_screenshot,
    "web_search_call": _show_web_search,
    "reasoning": _show_reasoning,
    "file_search_call": _show_file_search,
    "code_interpreter_call": _show_code_interpreter,
}
