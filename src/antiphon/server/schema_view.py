"""How a JSON Schema reads to people: its type in a few words, and its members as a list."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from antiphon.hub.items import JsonObject
from antiphon.server.markup import Markup, element, together

__all__ = ["members", "prose", "schema_anchor", "type_of"]

_CODE = re.compile(r"``([^`]+)``|'([\w./:\[\]{}=-]+)'")


def prose(text: str) -> Markup:
    """A description; what stands in quotes or backticks in it is code."""
    parts: list[str] = []
    end = 0
    for match in _CODE.finditer(text):
        parts += [text[end : match.start()], element("code", match[1] or match[2])]
        end = match.end()
    return together([*parts, text[end:]])


def schema_anchor(name: str) -> str:
    """Where the page has the schema of this name."""
    return f"schema-{name}"


def type_of(schema: Mapping[str, Any], *, null: bool = True) -> Markup:
    """
    The type in a few words, with links to the schemas that have a name.

    Args:
        null: Whether to say that it may be null. Of an optional field of a request that goes without saying.
    """
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return element("a", name, href=f"#{schema_anchor(name)}")
    if "anyOf" in schema and "type" not in schema:
        return _any_of(schema["anyOf"], null=null)
    kinds = _kinds(schema, null=null)
    return together([_joined([_kind(kind, schema) for kind in kinds]), _limits(schema)]) if kinds else _anything()


def members(schema: Mapping[str, Any], *, request: bool) -> Markup:
    """
    The members of an object, one after another.

    Args:
        request: Whether clients send it: then null is the same as absent, and what is needed is marked. In answers
            everything is there that is not marked otherwise.
    """
    required = schema.get("required", ())
    rows = [
        _member(name, member, required=name in required, request=request)
        for name, member in schema.get("properties", {}).items()
    ]
    return element("dl", *rows, class_="members") if rows else Markup("")


def _member(name: str, schema: JsonObject, *, required: bool, request: bool) -> Markup:
    notes: list[str] = []
    if request and required:
        notes.append(element("span", "required", class_="note required"))
    if not request and not required:
        notes.append(element("span", "not always there", class_="note"))
    if schema.get("x-antiphon-refused"):
        notes.append(element("span", "refused", class_="note refused"))
    if schema.get("default") is not None:
        notes.append(element("span", "default ", element("code", _json(schema["default"])), class_="note"))
    kind = element("div", type_of(schema, null=required or not request), class_="type")
    head = element("dt", element("code", name, class_="name"), kind, *notes)
    body = [element("p", prose(schema["description"]))] if schema.get("description") else []
    return together([head, element("dd", *body, _inner(schema, request=request))])


def _inner(schema: Mapping[str, Any], *, request: bool) -> Markup:
    """The members of an object that has no name of its own and stands inside a field or a list."""
    candidates = [schema, schema.get("items", {}), *schema.get("anyOf", ())]
    inner = [members(part, request=request) for part in candidates if part.get("properties") and "$ref" not in part]
    return together(element("details", element("summary", "its members"), part) for part in inner if part)


def _any_of(variants: list[JsonObject], *, null: bool) -> Markup:
    shown = [type_of(variant) for variant in variants if null or variant.get("type") != "null"]
    return _joined(shown)


def _kinds(schema: Mapping[str, Any], *, null: bool) -> list[str]:
    kinds = schema.get("type", [])
    listed = [kinds] if isinstance(kinds, str) else list(kinds)
    return [kind for kind in listed if null or kind != "null"]


def _kind(kind: str, schema: Mapping[str, Any]) -> Markup:
    if kind == "null":
        return Markup("null")
    if "const" in schema:
        return element("code", _json(schema["const"]))
    if "enum" in schema:
        return _joined([element("code", _json(value)) for value in schema["enum"] if value is not None])
    if kind == "array":
        return together(["list of ", type_of(schema.get("items", {}))])
    return together([kind])


def _anything() -> Markup:
    return Markup("anything")


def _joined(parts: list[Markup], *, last: str = " or ") -> Markup:
    if len(parts) < 2:
        return together(parts)
    listed = [piece for part in parts[:-1] for piece in (", ", part)]
    return together([*listed[1:], last, parts[-1]])


_BOUNDS = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " entries"),
    ("minProperties", "maxProperties", " members"),
)


def _limits(schema: Mapping[str, Any]) -> str:
    """`` (16 or more)``; `` (0 to 2)``; `` (at most 64 characters)``."""
    said = [_range(schema.get(low), schema.get(high), unit) for low, high, unit in _BOUNDS]
    if "pattern" in schema:
        said.append(f"matching {schema['pattern']}")
    text = ", ".join(part for part in said if part)
    return f" ({text})" if text else ""


def _range(low: float | None, high: float | None, unit: str) -> str:
    if low is not None and high is not None:
        return f"{low:,} to {high:,}{unit}"
    if low is not None:
        return f"{low:,} or more{unit}"
    return f"at most {high:,}{unit}" if high is not None else ""


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
