"""
Whole answers: the hub's response as a message.

What an item becomes is decided here and in :mod:`.thoughts`; a stream (:mod:`.stream`) gives the same message. Items of
tools that an upstream runs itself have no block: such tools cannot be asked for in this dialect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from antiphon.formats.messages.arguments import input_json
from antiphon.formats.messages.ids import message_id_of
from antiphon.formats.messages.thoughts import Shown, thinking_blocks
from antiphon.hub.items import JsonObject, Private

__all__ = [
    "citations_of",
    "encode_message",
    "ending",
    "input_of",
    "message_of",
    "opening",
    "text_of_part",
    "tool_use",
    "usage_of",
]

_NO_USAGE: JsonObject = {"input_tokens": 0, "output_tokens": 0}


def encode_message(response: JsonObject, shown: Shown, private: Mapping[str, Private]) -> bytes:
    """The JSON body of a whole answer; *private* by the item's id."""
    return orjson.dumps(message_of(response, shown, private))


def message_of(response: JsonObject, shown: Shown, private: Mapping[str, Private]) -> JsonObject:
    """The message that a response is."""
    content = [block for item in response["output"] for block in _blocks(item, shown, private)]
    return {**_frame(response, content), **ending(response), "usage": usage_of(response)}


def opening(response: JsonObject) -> JsonObject:
    """The message of a response that has just begun."""
    none: JsonObject = {"stop_reason": None, "stop_sequence": None, "stop_details": None}
    return {**_frame(response, []), **none, "usage": usage_of(response)}


def ending(response: JsonObject) -> JsonObject:
    """Why the message ends: ``stop_reason``, ``stop_sequence``, ``stop_details``."""
    sequence = response.get("stop_sequence")
    reason = _stop_reason(response, sequence)
    refused = "".join(part["refusal"] for part in _refusals(response))
    details = {"type": "refusal", "category": None, "explanation": refused or None} if reason == "refusal" else None
    return {
        "stop_reason": reason,
        "stop_sequence": sequence if reason == "stop_sequence" else None,
        "stop_details": details,
    }


def usage_of(response: JsonObject) -> JsonObject:
    """Token counts; those of the input leave out what was read from a cache or written to it."""
    usage = response.get("usage") or _NO_USAGE
    details = usage.get("input_tokens_details") or {}
    read, written = details.get("cached_tokens", 0), details.get("cache_write_tokens", 0)
    thought = (usage.get("output_tokens_details") or {}).get("reasoning_tokens", 0)
    return {
        "input_tokens": max(usage["input_tokens"] - read - written, 0),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": usage["output_tokens"],
        "output_tokens_details": {"thinking_tokens": thought},
    }


def text_of_part(part: JsonObject) -> str:
    """What a part of a message says; a refusal is text as well."""
    text: str = part.get("refusal" if part["type"] == "refusal" else "text") or ""
    return text


def citations_of(part: JsonObject) -> list[JsonObject]:
    """The citations in a part that name an address; the dialect has no form for others that they would fill."""
    return [
        {
            "type": "web_search_result_location",
            "cited_text": part["text"][note["start_index"] : note["end_index"]],
            "encrypted_index": "",
            "title": note.get("title"),
            "url": note["url"],
        }
        for note in part.get("annotations") or ()
        if note["type"] == "url_citation"
    ]


def _frame(response: JsonObject, content: list[JsonObject]) -> JsonObject:
    return {
        "id": message_id_of(response["id"]),
        "type": "message",
        "role": "assistant",
        "model": response["model"],
        "content": content,
    }


def _blocks(item: JsonObject, shown: Shown, private: Mapping[str, Private]) -> Iterator[JsonObject]:
    match item["type"]:
        case "message":
            yield from (_text_block(part) for part in item["content"] if text_of_part(part))
        case "reasoning":
            yield from thinking_blocks(item, private.get(item["id"]), shown)
        case "function_call" | "custom_tool_call":
            yield {**tool_use(item), "input": orjson.Fragment(input_of(item))}


def _text_block(part: JsonObject) -> JsonObject:
    return {"type": "text", "text": text_of_part(part), "citations": citations_of(part) or None}


def tool_use(item: JsonObject) -> JsonObject:
    """The block of a call, without what it is called with."""
    return {"type": "tool_use", "id": item["call_id"], "name": item["name"], "input": {}}


def input_of(item: JsonObject) -> str:
    """What a whole call is called with, as the JSON of an object."""
    if item["type"] == "function_call":
        return input_json(item["arguments"])
    return orjson.dumps({"input": item["input"]}).decode()


def _stop_reason(response: JsonObject, sequence: str | None) -> str:
    if response["status"] == "incomplete":
        reason = (response.get("incomplete_details") or {}).get("reason")
        return "refusal" if reason == "content_filter" else "max_tokens"
    if any(item["type"] in ("function_call", "custom_tool_call") for item in response["output"]):
        return "tool_use"
    if any(_refusals(response)):
        return "refusal"
    return "end_turn" if sequence is None else "stop_sequence"


def _refusals(response: JsonObject) -> Iterator[Mapping[str, Any]]:
    for item in response["output"]:
        if item["type"] == "message":
            yield from (part for part in item["content"] if part["type"] == "refusal")
