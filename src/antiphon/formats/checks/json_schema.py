"""
Schemas as JSON Schema (draft 2020-12, the dialect of OpenAPI 3.1): what the decoder checks, said for others.

The translation is exact as far as JSON Schema has words. It has none for two things: ``1.0`` is a whole number there
and not here, and a string is measured there in code points that a few validators count otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final, TypeAlias

from antiphon.formats.checks.common import MAX_TEXT, OneOf, Wrapped
from antiphon.formats.checks.schema import (
    ABSENT,
    Anything,
    Arr,
    Bool,
    ByType,
    Choice,
    Enum,
    Field,
    Int,
    MapOf,
    Num,
    Obj,
    Schema,
    Str,
    StrMap,
    Tagged,
)
from antiphon.hub.items import JsonObject

__all__ = ["REFUSED", "SchemaWriter", "Writing", "given", "nullable", "reference"]

# Marks what is part of an API and refused by this gateway.
REFUSED: Final = "x-antiphon-refused"


_TYPES = {str: "string", dict: "object", list: "array", int: "integer", float: "number", bool: "boolean"}


def _string(_: SchemaWriter, schema: Str) -> JsonObject:
    pattern = _whole(schema.pattern) if schema.pattern else schema.prefix and f"^{schema.prefix}"
    written: JsonObject = {"type": "string"}
    return written | _bounds(minLength=schema.min_length or None, maxLength=schema.max_length, pattern=pattern)


def _integer(_: SchemaWriter, schema: Int) -> JsonObject:
    return {"type": "integer", **_bounds(minimum=schema.minimum, maximum=schema.maximum)}


def _number(_: SchemaWriter, schema: Num) -> JsonObject:
    return {"type": "number", "minimum": schema.minimum, "maximum": schema.maximum}


def _enum(_: SchemaWriter, schema: Enum) -> JsonObject:
    if len(schema.values) == 1:
        return {"type": "string", "const": schema.values[0]}
    return {"type": "string", "enum": list(schema.values)}


def _string_map(writer: SchemaWriter, schema: StrMap) -> JsonObject:
    return {
        "type": "object",
        "maxProperties": schema.max_properties,
        "propertyNames": {"maxLength": schema.max_name_length},
        "additionalProperties": _string(writer, schema.value),
    }


def _whole(pattern: str) -> str:
    """*pattern* for the whole string: JSON Schema is content with a match anywhere in it."""
    return pattern if pattern.startswith("^") and pattern.endswith("$") else f"^(?:{pattern})$"


def _bounds(**bounds: float | str | None) -> JsonObject:
    return {name: bound for name, bound in bounds.items() if bound is not None}


Writing: TypeAlias = Callable[["SchemaWriter", Any], JsonObject]
_NO_OTHERS: Mapping[type, Writing] = MappingProxyType({})


class SchemaWriter:
    """
    Writes schemas; those that have a name are referred to where others contain them.

    Args:
        named: Schemas by the name under which they are published.
        others: Writes kinds of schemas that a format has of its own.
    """

    def __init__(self, named: Mapping[str, Schema], others: Mapping[type, Writing] = _NO_OTHERS) -> None:
        self._named = named
        self._others = others
        self._names = {id(schema): name for name, schema in named.items()}

    def components(self) -> dict[str, JsonObject]:
        """
        Every named schema, by name.

        Raises:
            TypeError: There is a kind of schema in it that this module does not know.
        """
        return {name: self._spelled_out(schema) for name, schema in self._named.items()}

    def parameters(self, fields: Mapping[str, Field]) -> JsonObject:
        """An object schema for the parameters of a query, where nothing can be null."""
        return {
            "type": "object",
            "properties": {name: _with_default(self.write(field.schema), field) for name, field in fields.items()},
            "additionalProperties": False,
        }

    def write(self, schema: Schema) -> JsonObject:
        """One schema, or the reference to it."""
        name = self._names.get(id(schema))
        return reference(name) if name is not None else self._spelled_out(schema)

    def _spelled_out(self, schema: Schema) -> JsonObject:
        write = self._WRITERS.get(type(schema)) or self._others.get(type(schema))
        if write is None and isinstance(schema, Choice):
            return self._choice(schema)
        if write is None:
            raise TypeError(f"No JSON Schema is known for {type(schema).__name__}.")
        return write(self, schema)

    def _array(self, schema: Arr) -> JsonObject:
        written: JsonObject = {"type": "array", "items": self.write(schema.item)}
        return written | _bounds(minItems=schema.min_length or None, maxItems=schema.max_length)

    def _object(self, schema: Obj) -> JsonObject:
        written: JsonObject = {
            "type": "object",
            "properties": {name: self._member(field) for name, field in schema.fields.items()},
        }
        required = [name for name, field in schema.fields.items() if field.required]
        if required:
            written["required"] = required
        if schema.extra == "refuse":
            written["additionalProperties"] = False
        return written

    def _member(self, field: Field) -> JsonObject:
        written = self.write(field.schema)
        if field.keeps_null or not field.required:
            written = nullable(written)
        return _with_default(written, field)

    def _map(self, schema: MapOf) -> JsonObject:
        return {
            "type": "object",
            "maxProperties": schema.max_properties,
            "propertyNames": {"pattern": _whole(schema.names)},
            "additionalProperties": self.write(schema.value),
        }

    def _by_type(self, schema: ByType) -> JsonObject:
        return _any_of(_of_type(kind, self.write(case)) for kind, case in schema.cases.items())

    def _tagged(self, schema: Tagged) -> JsonObject:
        written_variants = {tag: self._variant(schema.tag, tag, variant) for tag, variant in schema.variants.items()}
        variants = {tag: variant for tag, variant in written_variants.items() if REFUSED not in variant}
        written = _any_of(variants.values())
        if all("$ref" in variant for variant in variants.values()):
            mapping = {value: variant["$ref"] for value, variant in variants.items()}
            written["discriminator"] = {"propertyName": schema.tag, "mapping": mapping}
        return written

    def _variant(self, tag: str, value: str, variant: Schema) -> JsonObject:
        written = self.write(variant)
        if "$ref" in written or REFUSED in written or "const" in written.get("properties", {}).get(tag, {}):
            return written
        return {**written, "properties": {**written["properties"], tag: {"type": "string", "const": value}}}

    def _choice(self, schema: Choice) -> JsonObject:
        return _any_of(map(self.write, schema.alternatives))

    def _one_of(self, schema: OneOf) -> JsonObject:
        return self.write(schema.schema) | given(schema.names)

    _WRITERS: ClassVar[Mapping[type, Callable[[SchemaWriter, Any], JsonObject]]] = {
        Anything: lambda _, __: {},
        Arr: _array,
        Bool: lambda _, __: {"type": "boolean"},
        ByType: _by_type,
        Enum: _enum,
        Int: _integer,
        MapOf: _map,
        Num: _number,
        Obj: _object,
        OneOf: _one_of,
        Str: _string,
        StrMap: _string_map,
        Tagged: _tagged,
        Wrapped: lambda _, __: {"type": "string", "maxLength": MAX_TEXT},
    }


def reference(name: str) -> JsonObject:
    """A reference to a component of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def given(names: Iterable[str]) -> JsonObject:
    """That at least one of several members is there and not null."""
    return {"anyOf": [{"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in names]}


def nullable(written: JsonObject) -> JsonObject:
    """The same schema, or null."""
    if not written:
        return written
    if REFUSED in written:
        return {**written, "type": [*written["type"], "null"]}
    if set(written) == {"anyOf"}:
        return {"anyOf": [*written["anyOf"], {"type": "null"}]}
    if "const" in written:
        return {"type": ["string", "null"], "enum": [written["const"], None]}
    if not isinstance(written.get("type"), str) or "anyOf" in written:
        return {"anyOf": [written, {"type": "null"}]}
    wider = {**written, "type": [written["type"], "null"]}
    if "enum" in written:
        wider["enum"] = [*written["enum"], None]
    return wider


def _with_default(written: JsonObject, field: Field) -> JsonObject:
    return written if field.default is ABSENT else {**written, "default": field.default}


def _any_of(variants: Iterable[JsonObject]) -> JsonObject:
    return {"anyOf": list(variants)}


def _of_type(kind: type, written: JsonObject) -> JsonObject:
    return written or {"type": _TYPES[kind]}
