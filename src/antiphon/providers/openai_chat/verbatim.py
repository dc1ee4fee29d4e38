"""
A client's own chat completions body, for this upstream.

What the client wrote goes up as it stands, unknown fields included, but for what is ours and what a quirk calls
otherwise: the model's name, the fields that concern our state, a field or role that the upstream has another name for,
and the wish for token counts at the end of a stream. Where a quirk asks for more than another name, the request is not
for this upstream as it stands; it goes the hub's way, which knows what to do or what to refuse.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from antiphon.hub.items import JsonObject
from antiphon.hub.turn import ModelCall
from antiphon.providers.openai_chat.fitting import Fitted, fit_fields
from antiphon.providers.openai_chat.quirks import Quirks

__all__ = ["encode_verbatim"]

# Kept here: the upstream is not asked to keep anything.
_OURS: Final = frozenset({"store", "metadata"})
_OTHER_LIMIT: Final[Mapping[str, str]] = {
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_tokens",
}
_REASONING_FIELDS: Final = ("reasoning_content", "reasoning", "reasoning_text", "reasoning_details")
_SHORT_ID: Final = re.compile("[A-Za-z0-9]{9}")


def encode_verbatim(call: ModelCall, quirks: Quirks) -> Fitted | None:
    """
    The body of a call in its client's own words; None if there are none, or if this upstream needs others.

    Raises:
        UnsupportedParameter: A field is among :attr:`Quirks.refuse`.
    """
    given = call.verbatim
    if given is None or not quirks.verbatim or any(needs(given, quirks) for needs in _OTHER_WORDS):
        return None
    fields = {name: value for name, value in given.items() if name not in _OURS}
    fields |= {"model": call.model, "messages": _messages(given["messages"], quirks)}
    limit = _OTHER_LIMIT[quirks.max_tokens_field]
    if fields.get(limit) is not None:
        fields[quirks.max_tokens_field] = fields.pop(limit)
    if call.stream or given.get("stream"):
        fields["stream"] = call.stream
    if not call.stream or not quirks.stream_usage:
        fields.pop("stream_options", None)
    else:
        fields["stream_options"] = {**_stream_options(given), "include_usage": True}
    return fit_fields(fields, quirks)


def _stream_options(body: JsonObject) -> JsonObject:
    """Without the padding, which is added or taken away here, and which hardly any server but OpenAI's knows."""
    return {name: value for name, value in (body.get("stream_options") or {}).items() if name != "include_obfuscation"}


def _messages(messages: list[JsonObject], quirks: Quirks) -> list[JsonObject]:
    role = quirks.developer_role
    if role == "developer" or all(message["role"] != "developer" for message in messages):
        return messages
    return [{**message, "role": role} if message["role"] == "developer" else message for message in messages]


# What keeps a body from going up as it stands. Each has been read by its format before: it is of the right form.


def _has_named_choice(body: JsonObject, quirks: Quirks) -> bool:
    return quirks.named_tool_choice != "native" and isinstance(body.get("tool_choice"), dict)


def _has_custom_tools(body: JsonObject, quirks: Quirks) -> bool:
    if quirks.custom_tools == "native":
        return False
    return any(tool["type"] == "custom" for tool in (*(body.get("tools") or ()), *_calls(body)))


def _has_foreign_ids(body: JsonObject, quirks: Quirks) -> bool:
    return quirks.tool_call_ids != "as_is" and not all(_SHORT_ID.fullmatch(call["id"]) for call in _calls(body))


def _forbids_parallel_calls(body: JsonObject, quirks: Quirks) -> bool:
    return not quirks.parallel_tool_calls and body.get("parallel_tool_calls") is False


def _has_content(body: JsonObject, quirks: Quirks) -> bool:
    """Images or files that the upstream does not take where they are."""
    for message in body["messages"]:
        at_tool = message["role"] in ("tool", "function")
        taken = {
            "image_url": quirks.tool_output_images if at_tool else quirks.images,
            "file": quirks.files and (quirks.tool_output_images or not at_tool),
        }
        content = message.get("content")
        if isinstance(content, list) and not all(taken.get(part["type"], True) for part in content):
            return True
    return False


def _has_format(body: JsonObject, quirks: Quirks) -> bool:
    kind = (body.get("response_format") or {}).get("type", "text")
    return kind not in ("text", *quirks.response_formats)


def _forbids_reasoning(body: JsonObject, quirks: Quirks) -> bool:
    return quirks.no_effort != "reasoning_effort" and body.get("reasoning_effort") == "none"


def _has_refusals(body: JsonObject, quirks: Quirks) -> bool:
    return quirks.assistant_refusal != "field" and any(message.get("refusal") for message in body["messages"])


def _has_reasoning(body: JsonObject, quirks: Quirks) -> bool:
    return quirks.replay_reasoning == "never" and any(map(_is_reasoned, body["messages"]))


def _lacks_reasoning(body: JsonObject, quirks: Quirks) -> bool:
    if quirks.missing_reasoning == "leave_out":
        return False
    return any(message.get("tool_calls") and not _is_reasoned(message) for message in body["messages"])


def _is_reasoned(message: JsonObject) -> bool:
    return any(message.get(name) for name in _REASONING_FIELDS)


def _calls(body: JsonObject) -> Iterator[JsonObject]:
    for message in body["messages"]:
        yield from message.get("tool_calls") or ()


_OTHER_WORDS: Final[tuple[Callable[[JsonObject, Quirks], bool], ...]] = (
    _has_named_choice,
    _has_custom_tools,
    _has_foreign_ids,
    _forbids_parallel_calls,
    _has_content,
    _has_format,
    _forbids_reasoning,
    _has_refusals,
    _has_reasoning,
    _lacks_reasoning,
)
