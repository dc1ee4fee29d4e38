"""The events of a stream as JSON Schemas, generated from the hub's event structs."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import msgspec

from antiphon.formats.checks.json_schema import reference
from antiphon.hub.events import Event
from antiphon.hub.items import JsonObject

__all__ = ["event_schemas"]

_SCALARS: dict[object, JsonObject] = {str: {"type": "string"}, int: {"type": "integer"}}
_OBJECTS = {"response": "Response", "item": "Item", "part": "ContentPart"}


def event_schemas() -> dict[str, JsonObject]:
    """One schema per event, and ``ResponseStreamEvent`` for any of them."""
    written = {kind.__name__ + "Event": _event(kind) for kind in _kinds(Event)}
    types = [schema["properties"]["type"]["const"] for schema in written.values()]
    other = {
        "type": "object",
        "description": "An event of an upstream's own; it rides along.",
        "properties": {"type": {"type": "string", "not": {"enum": types}}, "sequence_number": _SCALARS[int]},
        "required": ["type", "sequence_number"],
    }
    union = {"anyOf": [*(reference(name) for name in written), reference("OtherEvent")]}
    return {**written, "OtherEvent": other, "ResponseStreamEvent": union}


def _kinds(root: type[Event]) -> Iterator[type[Event]]:
    """The structs that stand for a type of event, in the order in which they are declared."""
    for kind in root.__subclasses__():
        below = list(_kinds(kind))
        yield from below or [kind]


def _event(kind: type[Event]) -> JsonObject:
    tag = kind.__struct_config__.tag
    fields = {field.encode_name: _field(field) for field in msgspec.structs.fields(kind) if field.name != "private"}
    members: JsonObject = {"type": {"type": "string", "const": tag}, **fields, "sequence_number": _SCALARS[int]}
    required = list(members)
    if "delta" in members:
        members["obfuscation"] = {**_SCALARS[str], "description": "Padding, so that sizes say little."}
    return {
        "type": "object",
        "description": inspect.getdoc(kind) or "",
        "properties": members,
        "required": required,
    }


def _field(field: msgspec.structs.FieldInfo) -> JsonObject:
    if field.type in _SCALARS:
        return _SCALARS[field.type]
    if field.name in _OBJECTS:
        return reference(_OBJECTS[field.name])
    return {"type": "array", "items": {"type": "object"}} if field.name == "logprobs" else {"type": "object"}
