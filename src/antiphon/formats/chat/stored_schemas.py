"""Requests and answers about stored completions, as JSON Schemas; tests hold them against what is really answered."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from antiphon.formats.chat.answer_schemas import CHAT_ANSWERS
from antiphon.formats.chat.parameters import COMPLETION_LIST, MESSAGE_LIST, UPDATE
from antiphon.formats.checks.answers import BOOLEAN, NUMBER, OBJECT, STRING, const, enum, listed, record
from antiphon.formats.checks.json_schema import SchemaWriter, nullable, reference
from antiphon.hub.items import JsonObject

__all__ = ["stored_schemas"]

_COMPLETION: Final = CHAT_ANSWERS["ChatCompletion"]

_PARAMETERS: Mapping[str, str] = {
    "limit": "How many, at most.",
    "order": "Oldest first (`asc`) or newest first.",
    "after": "The id of the last one that the client has.",
    "metadata": "`metadata[name]=value`: only those that have this pair; several have to fit together.",
    "model": "The model that was asked for, or that answered.",
}
_SETTINGS: Mapping[str, JsonObject] = {
    "metadata": {"type": "object", "additionalProperties": STRING},
    "temperature": NUMBER,
    "top_p": NUMBER,
    "presence_penalty": NUMBER,
    "frequency_penalty": NUMBER,
    "input_user": nullable(STRING),
    "tools": nullable(listed(OBJECT)),
    "tool_choice": {"description": "As the request said it; null if it did not."},
    "response_format": nullable(OBJECT),
    "seed": nullable({"type": "integer"}),
}

_MESSAGE = record(
    {"tool_calls": listed(OBJECT), "tool_call_id": STRING, "reasoning_content": STRING},
    id={"type": "string", "description": "The completion's id, a hyphen, and the message's place."},
    role=enum("system", "developer", "user", "assistant", "tool", "function"),
    content={**nullable(STRING), "description": "Its text; null if it has none."},
    content_parts={**nullable(listed(OBJECT)), "description": "Its parts, if it was written in parts."},
    name=nullable(STRING),
    refusal=nullable(STRING),
)


@cache
def stored_schemas() -> Mapping[str, JsonObject]:
    """
    Every schema by name; the same ones whenever they are asked for: not to be changed.

    That of ``Metadata``, which they refer to, stands with those of the Responses API.
    """
    writer = SchemaWriter({"UpdateChatCompletion": UPDATE})
    return {
        "UpdateChatCompletion": writer.components()["UpdateChatCompletion"],
        "ChatCompletionListQuery": _described(writer.parameters(COMPLETION_LIST)),
        "ChatMessageListQuery": _described(writer.parameters(MESSAGE_LIST)),
        "StoredChatCompletion": {
            **_COMPLETION,
            "properties": {**_COMPLETION["properties"], **_SETTINGS},
            "required": [*_COMPLETION["required"], *_SETTINGS],
        },
        "ChatCompletionList": _page_of("StoredChatCompletion"),
        "ChatMessage": _MESSAGE,
        "ChatMessageList": _page_of("ChatMessage"),
        "DeletedChatCompletion": record(object=const("chat.completion.deleted"), id=STRING, deleted=BOOLEAN),
        "ChatUsage": CHAT_ANSWERS["ChatUsage"],
    }


def _described(parameters: JsonObject) -> JsonObject:
    members = {name: {**member, "description": _PARAMETERS[name]} for name, member in parameters["properties"].items()}
    return {**parameters, "properties": members}


def _page_of(name: str) -> JsonObject:
    return record(
        object=const("list"),
        data=listed(reference(name)),
        first_id=nullable(STRING),
        last_id=nullable(STRING),
        has_more=BOOLEAN,
    )
