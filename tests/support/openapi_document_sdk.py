"""
What the openai client's own types say against an answer, read strictly.

The client itself builds its objects without looking (``construct``). Here the same types validate: no string for a
number, no missing field, no unknown member of a union.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import orjson
from openai.types import Model
from openai.types.conversations import Conversation, ConversationDeletedResource, ConversationItem, ConversationItemList
from openai.types.responses import (
    CompactedResponse,
    Response,
    ResponseItemList,
    ResponsesServerEvent,
    ResponseStreamEvent,
)
from openai.types.responses.input_token_count_response import InputTokenCountResponse
from openai.types.shared import ErrorObject
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from tests.support.openapi_document_forgiven import FORGIVEN, Forgiven, unforgiven

__all__ = ["sdk_event_violations", "sdk_socket_violations", "sdk_violations"]

_ROUTES: Sequence[tuple[str, str, Any]] = (
    ("POST", r"/v1/responses", Response),
    ("POST", r"/v1/responses/compact", CompactedResponse),
    ("POST", r"/v1/responses/input_tokens", InputTokenCountResponse),
    ("GET", r"/v1/responses/[^/]+", Response),
    ("POST", r"/v1/responses/[^/]+/cancel", Response),
    ("GET", r"/v1/responses/[^/]+/input_items", ResponseItemList),
    ("POST", r"/v1/conversations", Conversation),
    ("GET", r"/v1/conversations/[^/]+", Conversation),
    ("POST", r"/v1/conversations/[^/]+", Conversation),
    ("DELETE", r"/v1/conversations/[^/]+", ConversationDeletedResource),
    ("GET", r"/v1/conversations/[^/]+/items", ConversationItemList),
    ("POST", r"/v1/conversations/[^/]+/items", ConversationItemList),
    ("GET", r"/v1/conversations/[^/]+/items/[^/]+", ConversationItem),
    ("DELETE", r"/v1/conversations/[^/]+/items/[^/]+", Conversation),
    ("GET", r"/v1/models/[^/]+", Model),
)


def sdk_violations(
    method: str, path: str, status: int, body: object, *, forgiven: Sequence[Forgiven] = FORGIVEN
) -> list[str]:
    """What the client would trip over in a JSON answer; nothing for a route that it has no type for."""
    if status >= 400:
        return _complaints(ErrorObject, body.get("error") if isinstance(body, dict) else body)
    for known, pattern, declared in _ROUTES:
        if known == method and re.fullmatch(pattern, path):
            return _complaints(declared, body, forgiven)
    return []


def sdk_event_violations(event: object) -> list[str]:
    """What the client would trip over in one event of a stream."""
    return _complaints(ResponseStreamEvent, event)


def sdk_socket_violations(message: object) -> list[str]:
    """What the client would trip over in one message of a WebSocket."""
    return _complaints(ResponsesServerEvent, message)


def _complaints(declared: Any, value: object, forgiven: Sequence[Forgiven] = FORGIVEN) -> list[str]:
    try:
        _adapter(declared).validate_json(orjson.dumps(value), strict=True)
    except ValidationError as error:
        flaws = _meant(error.errors(include_url=False))
        return unforgiven([f"{'.'.join(map(str, flaw['loc']))}: {flaw['msg']}" for flaw in flaws], value, forgiven)
    return []


def _meant(flaws: Sequence[ErrorDetails]) -> Sequence[ErrorDetails]:
    """Of a union's flaws, which come for every member, those of members that the value's ``type`` does not rule out."""
    ruled_out = {
        flaw["loc"][:-1] for flaw in flaws if flaw["type"] == "literal_error" and flaw["loc"][-1:] == ("type",)
    }
    meant = [flaw for flaw in flaws if not any(flaw["loc"][: len(member)] == member for member in ruled_out)]
    return meant or flaws[:1]


@cache
def _adapter(declared: Any) -> TypeAdapter[Any]:
    return TypeAdapter(declared)
