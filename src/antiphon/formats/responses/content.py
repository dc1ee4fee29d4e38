"""
Content parts: what a message, or the output of a tool, is made of.

Parts come back in their full form: annotations, logprobs and detail filled in, null keys gone, unknown keys kept.
"""

from __future__ import annotations

from antiphon.formats.checks.common import MAX_TEXT, OneOf, Wrapped
from antiphon.formats.checks.schema import Anything, Arr, ByType, Enum, Field, Obj, Schema, Str, Tagged

__all__ = ["ASSISTANT_CONTENT", "INPUT_CONTENT", "INPUT_PART", "TOOL_OUTPUT"]

# Lengths in characters, from the published document.
_MAX_IMAGE_URL = 20_971_520
_MAX_FILE_DATA = 73_400_320


def part(tag: str, fields: dict[str, Field]) -> Obj:
    """A part (or an item) of one type."""
    return Obj(fields={"type": Field(schema=Enum((tag,)), required=True), **fields}, extra="keep")


_TEXT = Field(schema=Str(max_length=MAX_TEXT), required=True)
_FREE_ARRAY = Arr(item=Obj(fields={}, extra="keep"), expected="an array of objects")

_INPUT_TEXT = part("input_text", {"text": _TEXT})
_OUTPUT_TEXT = part(
    "output_text",
    {
        "text": _TEXT,
        "annotations": Field(schema=_FREE_ARRAY, default=[]),
        "logprobs": Field(schema=Arr(item=Anything()), default=[]),
    },
)
_REFUSAL = part("refusal", {"refusal": _TEXT})
_INPUT_IMAGE = OneOf(
    schema=part(
        "input_image",
        {
            "detail": Field(schema=Enum(("low", "high", "auto", "original")), default="auto"),
            "image_url": Field(schema=Str(max_length=_MAX_IMAGE_URL)),
            "file_id": Field(schema=Str()),
        },
    ),
    names=("image_url", "file_id"),
)
_INPUT_FILE = OneOf(
    schema=part(
        "input_file",
        {
            "file_id": Field(schema=Str()),
            "filename": Field(schema=Str()),
            "file_data": Field(schema=Str(max_length=_MAX_FILE_DATA)),
            "file_url": Field(schema=Str()),
            "detail": Field(schema=Enum(("auto", "low", "high"))),
        },
    ),
    names=("file_data", "file_id", "file_url"),
)

_INPUT_PARTS: dict[str, Schema] = {
    "input_text": _INPUT_TEXT,
    "input_image": _INPUT_IMAGE,
    "input_file": _INPUT_FILE,
}
_OUTPUT_PARTS: dict[str, Schema] = {"output_text": _OUTPUT_TEXT, "refusal": _REFUSAL}
_ALL_PARTS = frozenset(_INPUT_PARTS) | frozenset(_OUTPUT_PARTS)
_EXPECTED = "one of an array of objects or string"


def _content(variants: dict[str, Schema], hints: dict[str, str], *, of_string: Schema) -> ByType:
    parts = Tagged(variants=variants, elsewhere=_ALL_PARTS, hints=hints)
    return ByType(cases={str: of_string, list: Arr(item=parts)}, expected=_EXPECTED)


# What people bring from Chat Completions.
_CHAT_INPUT = {"text": "input_text", "image_url": "input_image", "file": "input_file"}

INPUT_PART = Tagged(variants=_INPUT_PARTS, elsewhere=_ALL_PARTS, hints=_CHAT_INPUT)
INPUT_CONTENT = _content(_INPUT_PARTS, _CHAT_INPUT, of_string=Wrapped("input_text"))
ASSISTANT_CONTENT = _content(_OUTPUT_PARTS, {"text": "output_text"}, of_string=Wrapped("output_text"))
TOOL_OUTPUT = _content(_INPUT_PARTS, _CHAT_INPUT, of_string=Str(max_length=MAX_TEXT))
