"""
JSON Schema, reduced to the subset of OpenAPI's schemas that older models and endpoints take.

What can be said in other words is: references are written out, ``const`` is an ``enum`` of one, ``oneOf`` is
``anyOf``, ``null`` among the types is ``nullable``. What says nothing about a value (``$schema``, ``$comment``,
``examples`` …) goes, and so does ``additionalProperties`` where it is a plain yes or no: a model that is shown the
properties writes no others. Whatever else would be lost is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from antiphon.hub.errors import UnsupportedParameter
from antiphon.hub.items import JsonObject

__all__ = ["openapi_schema"]

_SAME_NAME = frozenset(
    {
        *("title", "description", "format", "default", "example", "pattern", "required", "propertyOrdering"),
        *("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
        "nullable",
    }
)
_SAYS_NOTHING = frozenset(
    {
        *("$schema", "$id", "$comment", "$defs", "definitions", "$anchor", "$vocabulary"),
        *("examples", "deprecated", "readOnly", "writeOnly"),
    }
)
_CHOICES = ("anyOf", "oneOf", "allOf")
_MAX_DEPTH = 64
# References that are written out can make a small schema an enormous one.
_MAX_SCHEMAS = 5_000


def openapi_schema(schema: JsonObject, param: str) -> JsonObject:
    """
    A schema in the reduced form.

    Args:
        param: What a refusal names.

    Raises:
        UnsupportedParameter: A keyword has no words in it, a reference leads nowhere or into itself.
    """
    return _Reduction(schema, param).reduce(schema, (), 0)


class _Reduction:
    """The reduction of one schema."""

    def __init__(self, root: JsonObject, param: str) -> None:
        self._root = root
        self._param = param
        self._left = _MAX_SCHEMAS

    def reduce(self, schema: Any, seen: tuple[str, ...], depth: int) -> JsonObject:
        """One schema in it; *seen* are the references that led to it."""
        self._left -= 1
        if not isinstance(schema, dict) or depth > _MAX_DEPTH or self._left < 0:
            raise self._refuse("a schema that is too large, nested too deeply or no object")
        if "$ref" in schema:
            return self._refer(schema, seen, depth)
        reduced: JsonObject = {}
        # What stands beside a choice is about all of it, and wins over what its only branch says.
        for keyword, value in sorted(schema.items(), key=lambda entry: entry[0] not in _CHOICES):
            if keyword in _SAME_NAME:
                reduced[keyword] = value
            elif keyword not in _SAYS_NOTHING:
                said = self._keyword(keyword, value, seen, depth + 1)
                if "anyOf" in said and "anyOf" in reduced:
                    raise self._refuse(f"the keyword '{keyword}' beside another choice")
                reduced |= said
        return reduced

    def _keyword(self, keyword: str, value: Any, seen: tuple[str, ...], depth: int) -> JsonObject:
        match keyword:
            case "type":
                return self._type(value)
            case "properties" if isinstance(value, Mapping):
                return {"properties": {name: self.reduce(part, seen, depth) for name, part in value.items()}}
            case "items":
                return {"items": self.reduce(value, seen, depth)}
            case "anyOf" | "oneOf" if isinstance(value, list):
                return self._any_of(value, seen, depth)
            case "allOf" if isinstance(value, list) and len(value) == 1:
                return self.reduce(value[0], seen, depth)
            case "enum" if isinstance(value, list):
                return self._enum(value)
            case "const":
                return self._enum([value])
            case "additionalProperties" if isinstance(value, bool):
                return {}
            case _:
                raise self._refuse(f"the keyword '{keyword}' as it is used here")

    def _type(self, value: Any) -> JsonObject:
        names = [value] if isinstance(value, str) else value
        kinds = [name for name in names if name != "null"] if isinstance(names, list) else []
        nullable: JsonObject = {"nullable": True} if isinstance(names, list) and "null" in names else {}
        if not all(isinstance(name, str) for name in kinds) or not (kinds or nullable):
            raise self._refuse("a type that is no name")
        if not kinds:
            return {"type": "NULL"}
        if len(kinds) == 1:
            return {"type": kinds[0].upper(), **nullable}
        return {"anyOf": [{"type": name.upper()} for name in kinds], **nullable}

    def _any_of(self, choices: list[Any], seen: tuple[str, ...], depth: int) -> JsonObject:
        reduced = [self.reduce(choice, seen, depth) for choice in choices]
        kinds = [choice for choice in reduced if choice != {"type": "NULL"}]
        nullable: JsonObject = {"nullable": True} if len(kinds) < len(reduced) else {}
        if not kinds:
            return {"type": "NULL"}
        return {**kinds[0], **nullable} if len(kinds) == 1 else {"anyOf": kinds, **nullable}

    def _enum(self, values: list[Any]) -> JsonObject:
        names = [value for value in values if value is not None]
        if not names or not all(isinstance(value, str) for value in names):
            raise self._refuse("an enum of other values than texts")
        nullable: JsonObject = {"nullable": True} if len(names) < len(values) else {}
        return {"type": "STRING", "format": "enum", "enum": names, **nullable}

    def _refer(self, schema: JsonObject, seen: tuple[str, ...], depth: int) -> JsonObject:
        reference = schema["$ref"]
        if reference in seen:
            raise self._refuse("a schema that contains itself")
        target = self._find(reference)
        beside = {keyword: value for keyword, value in schema.items() if keyword != "$ref"}
        return {
            **self.reduce(target, (*seen, reference), depth + 1),
            **self.reduce(beside, seen, depth + 1),
        }

    def _find(self, reference: Any) -> Any:
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise self._refuse("a reference to another document")
        found: Any = self._root
        for step in reference[1:].split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or name not in found:
                raise self._refuse("a reference that leads nowhere")
            found = found[name]
        return found

    def _refuse(self, what: str) -> UnsupportedParameter:
        return UnsupportedParameter(f"This upstream's schemas cannot say {what}.", param=self._param)
