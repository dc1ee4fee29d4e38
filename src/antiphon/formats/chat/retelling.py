"""
Items and settings of the hub, told in chat's words again: what they say, in the form that most clients write.

A client may have written it otherwise (a part where a string would do, a field that says nothing). Whoever needs its
own words compares, and keeps what comes out differently; :mod:`.stored` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from antiphon.formats.chat.answer import CALL_FIELDS, REASONING_GAP, chat_call
from antiphon.hub.items import JsonObject

__all__ = ["Content", "retold_choice", "retold_format", "retold_message", "retold_tools"]

# How the content of a message is written: as one string, or as a list of parts.
Content = Literal["text", "parts"]

_CALL_KINDS = frozenset(kind for kind, _ in CALL_FIELDS.values())
_NOT_STRICT = ("strict", False)
_OUTPUTS = frozenset({"function_call_output", "custom_tool_call_output"})


def retold_message(items: Sequence[JsonObject], content: Content) -> JsonObject | None:
    """The message that became *items*; None if chat has no usual form for them, or not with this *content*."""
    if not items:
        return None
    first = items[0]
    if len(items) == 1 and first["type"] in _OUTPUTS:
        return _result(first, content)
    if len(items) == 1 and first["type"] == "message" and first["role"] != "assistant":
        return _with_content({"role": first["role"]}, first["content"], content)
    return _assistant(items, content)


def retold_tools(tools: Iterable[JsonObject]) -> list[JsonObject]:
    """Tools, nested; those that clients ask for in another way are not among them."""
    return [_tool(tool) for tool in tools if tool["type"] in _CALL_KINDS]


def retold_choice(choice: str | JsonObject) -> str | JsonObject:
    """A choice among tools, nested."""
    if isinstance(choice, str):
        return choice
    kind = choice["type"]
    if kind == "allowed_tools":
        tools = [retold_choice(tool) for tool in choice["tools"]]
        return {"type": kind, kind: {"mode": choice["mode"], "tools": tools}}
    return {"type": kind, kind: {"name": choice["name"]}}


def retold_format(text_format: JsonObject) -> JsonObject:
    """A ``response_format``: nested in chat, flat in the hub."""
    if text_format["type"] != "json_schema":
        return text_format
    schema = {name: value for name, value in text_format.items() if name != "type" and (name, value) != _NOT_STRICT}
    return {"type": "json_schema", "json_schema": schema}


def _result(item: JsonObject, content: Content) -> JsonObject | None:
    message = {"role": "tool", "tool_call_id": item["call_id"]}
    output = item["output"]
    if isinstance(output, str):
        return {**message, "content": output} if content == "text" else None
    return _with_content(message, output, content) if content == "parts" else None


def _assistant(items: Sequence[JsonObject], content: Content) -> JsonObject | None:
    """Reasoning, then what was said, then calls; None if they are something else, or stand otherwise."""
    rest = list(items)
    reasoning = rest.pop(0) if rest[0]["type"] == "reasoning" else None
    said = rest.pop(0) if rest and rest[0]["type"] == "message" else None
    if any(item["type"] not in CALL_FIELDS for item in rest):
        return None
    message: JsonObject | None = {"role": "assistant"}
    if said is None:
        message = {"role": "assistant", "content": None}
    else:
        message = _with_content({"role": "assistant"}, said["content"], content)
    if message is None:
        return None
    if reasoning is not None:
        message["reasoning_content"] = REASONING_GAP.join(part["text"] for part in reasoning["content"])
    if rest:
        message["tool_calls"] = [chat_call(item) for item in rest]
    return message


def _with_content(message: JsonObject, parts: Sequence[JsonObject], content: Content) -> JsonObject | None:
    if content == "text":
        is_text = len(parts) == 1 and parts[0]["type"] in _TEXTS
        return {**message, "content": parts[0]["text"]} if is_text else None
    if any(part["type"] not in _PARTS for part in parts):
        return None
    return {**message, "content": [_PARTS[part["type"]](part) for part in parts]}


def _text(part: JsonObject) -> JsonObject:
    return {"type": "text", "text": part["text"]}


def _image(part: JsonObject) -> JsonObject:
    detail = {} if part["detail"] == "auto" else {"detail": part["detail"]}
    return {"type": "image_url", "image_url": {"url": part["image_url"], **detail}}


def _file(part: JsonObject) -> JsonObject:
    return {"type": "file", "file": {name: value for name, value in part.items() if name != "type"}}


_TEXTS = frozenset({"input_text", "output_text"})
_PARTS: dict[str, Callable[[JsonObject], JsonObject]] = {
    "input_text": _text,
    "output_text": _text,
    "input_image": _image,
    "input_audio": lambda part: {"type": "input_audio", "input_audio": part["input_audio"]},
    "input_file": _file,
    "refusal": lambda part: {"type": "refusal", "refusal": part["refusal"]},
}


def _tool(tool: JsonObject) -> JsonObject:
    kind = tool["type"]
    inner = {
        name: value
        for name, value in tool.items()
        if name != "type" and value is not None and (name, value) != _NOT_STRICT
    }
    if inner.get("format", {}).get("type") == "grammar":
        grammar = {name: value for name, value in inner["format"].items() if name != "type"}
        inner["format"] = {"type": "grammar", "grammar": grammar}
    return {"type": kind, kind: inner}
