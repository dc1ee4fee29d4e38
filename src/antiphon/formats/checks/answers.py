"""
Words for JSON Schemas of answers, which are built and not checked: each says what is always there and what may be.

They leave objects open: an upstream's own fields ride along.
"""

from __future__ import annotations

from antiphon.hub.items import JsonObject

__all__ = ["BOOLEAN", "INTEGER", "NUMBER", "OBJECT", "STRING", "TIME", "const", "enum", "listed", "record"]

STRING: JsonObject = {"type": "string"}
INTEGER: JsonObject = {"type": "integer"}
NUMBER: JsonObject = {"type": "number"}
BOOLEAN: JsonObject = {"type": "boolean"}
OBJECT: JsonObject = {"type": "object"}
TIME: JsonObject = {"type": "integer", "description": "Seconds since the epoch, UTC."}


def record(optional: JsonObject | None = None, /, **members: JsonObject) -> JsonObject:
    """An object whose *members* are always there."""
    return {"type": "object", "properties": {**members, **(optional or {})}, "required": list(members)}


def listed(item: JsonObject) -> JsonObject:
    """An array of *item*."""
    return {"type": "array", "items": item}


def const(value: str) -> JsonObject:
    """One string and no other."""
    return {"type": "string", "const": value}


def enum(*values: str) -> JsonObject:
    """One of these strings."""
    return {"type": "string", "enum": list(values)}
