"""
Stored completions: what of a request is kept beside its response, and how both are shown again.

A response's items and settings say nearly all that the request did. What they do not say, or not in the client's own
words, is kept as the *words* of its origin: of each message how many items it became and how it is told from them, or,
where that would not give it back exactly, the message itself. So nothing is kept twice that need not be.

Words::

    {"messages": [[items, "text" | "parts" | message], ...],
     "logprobs": true, "seed": 7, "tools": [...], "tool_choice": ..., "response_format": ...}

All but ``messages`` are there only if the request said them, and only where the response does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, get_args

import msgspec

from antiphon.formats.chat.answer import completion_body
from antiphon.formats.chat.ids import CHAT_PREFIX, read_id, shown_id
from antiphon.formats.chat.parameters import decode_list, decode_messages, decode_update
from antiphon.formats.chat.retelling import Content, retold_choice, retold_format, retold_message, retold_tools
from antiphon.formats.chat.stored_schemas import stored_schemas
from antiphon.formats.checks.query import Query
from antiphon.hub.completions import StoredCompletion
from antiphon.hub.errors import ItemNotFound, StoreCorrupt
from antiphon.hub.format import PageRequest
from antiphon.hub.items import JsonObject
from antiphon.hub.library import ListRequest
from antiphon.hub.origin import Origin
from antiphon.hub.turn import TurnRequest

__all__ = ["StoredChat", "with_origin"]

_DIALECT: Final = "openai_chat"

# Settings that are null unless the request said them.
_NULL: Mapping[str, None] = {"tools": None, "tool_choice": None, "response_format": None, "seed": None}


def with_origin(request: TurnRequest, body: JsonObject, ends: Sequence[int]) -> TurnRequest:
    """
    A request with what is to be kept of it, so that it can be shown again.

    Args:
        request: What the body became.
        body: As the client sent it.
        ends: How many items there are up to and with each message.
    """
    origin = Origin(dialect=_DIALECT, words=_words_of(body, request, ends))
    return msgspec.structs.replace(request, origin=origin)


def _words_of(body: JsonObject, request: TurnRequest, ends: Sequence[int]) -> JsonObject:
    spans = [request.input[start:end] for start, end in pairwise((0, *ends))]
    told = _told(request.tools, request.tool_choice, request.text)
    said = {name: body[name] for name in _NULL if body.get(name) is not None and body[name] != told[name]}
    words = {"messages": [_written(*pair) for pair in zip(body["messages"], spans, strict=True)], **said}
    return {**words, "logprobs": True} if body.get("logprobs") else words


class StoredChat:
    """
    The dialect ``openai_chat`` of stored completions: implements
    :class:`~antiphon.hub.completions.CompletionFormat`. It has no state of its own.
    """

    dialect: Final = _DIALECT

    def response_id(self, completion_id: str) -> str | None:
        return read_id(completion_id) if completion_id.startswith(CHAT_PREFIX) else None

    def decode_list(self, query: Query) -> ListRequest:
        return decode_list(query)

    def decode_messages(self, query: Query) -> PageRequest:
        return decode_messages(query)

    def decode_update(self, body: JsonObject) -> dict[str, str]:
        return decode_update(body)

    def show(self, completion: StoredCompletion) -> JsonObject:
        response, words = completion.response, completion.origin.words
        told = _told(response["tools"], response["tool_choice"], response["text"])
        return {
            **completion_body(response, logprobs=words.get("logprobs", False)),
            "metadata": response["metadata"],
            "temperature": response["temperature"],
            "top_p": response["top_p"],
            "presence_penalty": response["presence_penalty"],
            "frequency_penalty": response["frequency_penalty"],
            "input_user": response["user"],
            **{name: words.get(name, told[name]) for name in _NULL},
        }

    def show_messages(self, completion: StoredCompletion, page: PageRequest) -> tuple[list[JsonObject], bool]:
        completion_id = shown_id(completion.response["id"])
        messages = _read(completion.origin.words["messages"], completion.input)
        shown = [_shown(message, f"{completion_id}-{index}") for index, message in enumerate(messages)]
        ordered = shown if page.order == "asc" else shown[::-1]
        start = 0 if page.after is None else _place_after(page.after, ordered)
        return ordered[start : start + page.limit], start + page.limit < len(ordered)

    def show_deleted(self, completion_id: str) -> JsonObject:
        return {"object": "chat.completion.deleted", "id": completion_id, "deleted": True}

    def schemas(self) -> Mapping[str, JsonObject]:
        return stored_schemas()


def _told(tools: Sequence[JsonObject], choice: str | JsonObject, text: JsonObject) -> dict[str, Any]:
    """Settings in chat's words; null where they say only what holds anyway."""
    text_format = text.get("format") or {"type": "text"}
    return {
        "tools": retold_tools(tools) or None,
        "tool_choice": None if choice == "auto" else retold_choice(choice),
        "response_format": None if text_format == {"type": "text"} else retold_format(text_format),
        "seed": None,
    }


def _written(message: JsonObject, items: Sequence[JsonObject]) -> list[Any]:
    """The words of a message: how it is told from its items, or itself."""
    for content in get_args(Content):
        if retold_message(items, content) == message:
            return [len(items), content]
    return [len(items), message]


def _read(written: Sequence[Sequence[Any]], items: Sequence[JsonObject]) -> list[JsonObject]:
    """
    The messages again.

    Raises:
        StoreCorrupt: They do not fit the items.
    """
    if sum(count for count, _ in written) != len(items):
        raise StoreCorrupt("A stored completion has other items than its messages became.")
    messages = []
    start = 0
    for count, how in written:
        message = how if isinstance(how, dict) else retold_message(items[start : start + count], how)
        if message is None:
            raise StoreCorrupt("A message of a stored completion cannot be told from its items.")
        messages.append(message)
        start += count
    return messages


def _shown(message: JsonObject, message_id: str) -> JsonObject:
    """A message as the list has it: its text as ``content``, and beside it the parts, if it was written in parts."""
    content = message.get("content")
    parts = content if isinstance(content, list) else None
    text = content if parts is None else "".join(part["text"] for part in parts if part["type"] == "text") or None
    return {"name": None, "refusal": None, **message, "id": message_id, "content": text, "content_parts": parts}


def _place_after(message_id: str, ordered: Sequence[JsonObject]) -> int:
    for place, message in enumerate(ordered):
        if message["id"] == message_id:
            return place + 1
    raise ItemNotFound(f"Message with id '{message_id}' not found.", param="after")
