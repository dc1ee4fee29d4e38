"""
Content parts of chat messages, and what they are called in the hub.

A string stands for one text. Fields of a part that this version does not know ride along with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from antiphon.formats.checks.common import MAX_TEXT, OneOf
from antiphon.formats.checks.schema import Arr, ByType, Enum, Field, Obj, Schema, Str, Tagged
from antiphon.hub.items import JsonObject

__all__ = ["ANY_INPUT", "ASSISTANT", "TEXT", "input_parts", "output_parts"]


def _part(tag: str, **fields: Schema) -> Obj:
    members = {name: Field(schema=schema, required=True) for name, schema in fields.items()}
    return Obj(fields={"type": Field(schema=Enum((tag,)), required=True), **members}, extra="keep")


_TEXT_PART = _part("text", text=Str(max_length=MAX_TEXT))
_IMAGE_PART = _part(
    "image_url",
    image_url=Obj(
        fields={
            "url": Field(schema=Str(), required=True),
            "detail": Field(schema=Enum(("auto", "low", "high", "original")), default="auto"),
        },
    ),
)
_AUDIO_PART = _part(
    "input_audio",
    input_audio=Obj(
        fields={
            "data": Field(schema=Str(), required=True),
            "format": Field(schema=Enum(("wav", "mp3")), required=True),
        },
    ),
)
_FILE_PART = _part(
    "file",
    file=OneOf(
        schema=Obj(fields={name: Field(schema=Str()) for name in ("file_data", "file_id", "filename")}),
        names=("file_data", "file_id"),
    ),
)
_REFUSAL_PART = _part("refusal", refusal=Str(max_length=MAX_TEXT))

# What people bring from the Responses API.
_HINTS = {"input_text": "text", "output_text": "text", "input_image": "image_url", "input_file": "file"}


def _content(variants: dict[str, Schema]) -> ByType:
    parts = Arr(item=Tagged(variants=variants, hints=_HINTS), expected="an array of objects")
    return ByType(cases={str: Str(max_length=MAX_TEXT), list: parts}, expected="one of a string or array of objects")


TEXT = _content({"text": _TEXT_PART})
ANY_INPUT = _content(
    {"text": _TEXT_PART, "image_url": _IMAGE_PART, "input_audio": _AUDIO_PART, "file": _FILE_PART},
)
ASSISTANT = _content({"text": _TEXT_PART, "refusal": _REFUSAL_PART})


def input_parts(content: str | list[JsonObject]) -> list[JsonObject]:
    """Checked content as the parts of an input item."""
    if isinstance(content, str):
        return [{"type": "input_text", "text": content}]
    return [_beside(part, _INPUT[part["type"]](part)) for part in content]


def output_parts(content: str | list[JsonObject]) -> list[JsonObject]:
    """Checked content of an assistant message as the parts of an output message."""
    if isinstance(content, str):
        return [_output_text(content)]
    return [_beside(part, _OUTPUT[part["type"]](part)) for part in content]


def _beside(part: JsonObject, written: JsonObject) -> JsonObject:
    """*written* with the fields of *part* that it does not stand for."""
    return {**{name: value for name, value in part.items() if name not in ("type", part["type"])}, **written}


def _output_text(text: str) -> JsonObject:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _image(part: JsonObject) -> JsonObject:
    image = part["image_url"]
    return {"type": "input_image", "image_url": image["url"], "detail": image["detail"]}


_INPUT: dict[str, Callable[[JsonObject], dict[str, Any]]] = {
    "text": lambda part: {"type": "input_text", "text": part["text"]},
    "image_url": _image,
    "input_audio": lambda part: {"type": "input_audio", "input_audio": part["input_audio"]},
    "file": lambda part: {"type": "input_file", **part["file"]},
}
_OUTPUT: dict[str, Callable[[JsonObject], dict[str, Any]]] = {
    "text": lambda part: _output_text(part["text"]),
    "refusal": lambda part: {"type": "refusal", "refusal": part["refusal"]},
}
