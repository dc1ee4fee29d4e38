"""Schemas in the subset that older models take."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.hub.errors import UnsupportedParameter
from antiphon.hub.items import JsonObject
from antiphon.providers.gemini.schema import openapi_schema

TEXT = {"type": "string"}
REDUCED: dict[str, tuple[JsonObject, JsonObject]] = {
    "an object": (
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {"a": {"type": "integer", "minimum": 1}, "b": {"type": "array", "items": TEXT}},
            "required": ["a"],
            "additionalProperties": False,
        },
        {
            "type": "OBJECT",
            "properties": {"a": {"type": "INTEGER", "minimum": 1}, "b": {"type": "ARRAY", "items": {"type": "STRING"}}},
            "required": ["a"],
        },
    ),
    "a property that is called like a keyword": (
        {"type": "object", "properties": {"not": TEXT, "$ref": TEXT}},
        {"type": "OBJECT", "properties": {"not": {"type": "STRING"}, "$ref": {"type": "STRING"}}},
    ),
    "or null, among the types": ({"type": ["string", "null"]}, {"type": "STRING", "nullable": True}),
    "or null, as a choice": (
        {"anyOf": [{**TEXT, "description": "inner"}, {"type": "null"}], "description": "outer"},
        {"type": "STRING", "nullable": True, "description": "outer"},
    ),
    "two types": ({"type": ["string", "integer"]}, {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]}),
    "null alone": ({"type": "null"}, {"type": "NULL"}),
    "a choice of null alone": ({"anyOf": [{"type": "null"}]}, {"type": "NULL"}),
    "one of": ({"oneOf": [TEXT, {"type": "number"}]}, {"anyOf": [{"type": "STRING"}, {"type": "NUMBER"}]}),
    "all of one": ({"allOf": [TEXT]}, {"type": "STRING"}),
    "a constant": ({"const": "a"}, {"type": "STRING", "format": "enum", "enum": ["a"]}),
    "names, or null": (
        {"type": ["string", "null"], "enum": ["a", "b", None]},
        {"type": "STRING", "nullable": True, "format": "enum", "enum": ["a", "b"]},
    ),
    "a reference": (
        {
            "$defs": {"A~/b": {**TEXT, "title": "A"}},
            "properties": {"a": {"$ref": "#/$defs/A~0~1b", "description": "x"}},
        },
        {"properties": {"a": {"type": "STRING", "title": "A", "description": "x"}}},
    ),
    "annotations": (
        {**TEXT, "examples": ["a"], "deprecated": True, "default": "b"},
        {"type": "STRING", "default": "b"},
    ),
}


@pytest.mark.parametrize(("schema", "expected"), REDUCED.values(), ids=REDUCED.keys())
def test_what_can_be_said_in_other_words(schema: JsonObject, expected: JsonObject) -> None:
    """A schema that the subset can express is expressed in it."""
    assert openapi_schema(schema, "p") == expected


def _doubling() -> JsonObject:
    """Twenty definitions, each of which needs the next one twice: written out, a million."""
    step = {f"d{n}": {"properties": {x: {"$ref": f"#/$defs/d{n + 1}"} for x in "ab"}} for n in range(20)}
    return {"$defs": {**step, "d20": TEXT}, "$ref": "#/$defs/d0"}


def _deep() -> JsonObject:
    schema: JsonObject = dict(TEXT)
    for _ in range(100):
        schema = {"type": "array", "items": schema}
    return schema


REFUSED: dict[str, tuple[Any, str]] = {
    "not": ({"not": TEXT}, "'not'"),
    "a pattern of properties": ({"patternProperties": {"^a": TEXT}}, "'patternProperties'"),
    "free properties": ({"type": "object", "additionalProperties": TEXT}, "'additionalProperties'"),
    "all of two": ({"allOf": [TEXT, TEXT]}, "'allOf'"),
    "a tuple": ({"prefixItems": [TEXT]}, "'prefixItems'"),
    "numbers to choose from": ({"enum": [1, 2]}, "an enum of other values"),
    "nothing to choose from": ({"enum": []}, "an enum of other values"),
    "a constant number": ({"const": 1}, "an enum of other values"),
    "a type that is no name": ({"type": [1]}, "a type that is no name"),
    "no type": ({"type": []}, "a type that is no name"),
    "a schema that is a truth": ({"items": True}, "no object"),
    "another document": ({"$ref": "https://example.org/a.json"}, "another document"),
    "nowhere": ({"$ref": "#/$defs/a"}, "leads nowhere"),
    "into itself": ({"$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}, "$ref": "#/$defs/a"}, "contains itself"),
    "too much when it is written out": (_doubling(), "too large"),
    "too deep": (_deep(), "nested too deeply"),
}


@pytest.mark.parametrize(("schema", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_would_be_lost_is_refused(schema: JsonObject, words: str) -> None:
    """A keyword that the subset has no words for is refused, and named."""
    with pytest.raises(UnsupportedParameter, match=words) as raised:
        openapi_schema(schema, "tools[2].parameters")
    assert raised.value.param == "tools[2].parameters"


def test_two_choices_at_once_are_refused() -> None:
    """A choice beside another one would take its place."""
    with pytest.raises(UnsupportedParameter, match="'oneOf'"):
        openapi_schema({"anyOf": [TEXT, {"type": "number"}], "oneOf": [TEXT, {"type": "number"}]}, "p")
