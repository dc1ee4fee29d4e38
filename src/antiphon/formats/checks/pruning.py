"""
What of a value its schema knows: the same value without the members that would be refused for their names alone.

A second look at what a check has refused, so that a request whose names are all known pays nothing for it. Values of
the wrong form stay as they are: the check says what is wrong with them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from antiphon.formats.checks.common import OneOf
from antiphon.formats.checks.schema import Arr, ByType, MapOf, Obj, Schema, Tagged

__all__ = ["Prunable", "pruned"]


class Prunable(Schema, Protocol):
    """A dialect's own kind of schema that holds others."""

    def prune(self, value: object) -> Any:
        """*value* without what the schema does not know; see :func:`pruned`."""
        ...


def pruned(schema: Schema, value: object) -> Any:
    """
    *value* without unknown members, at any depth, and without those that only an upstream of the same dialect can be
    told (:attr:`~antiphon.formats.checks.schema.Field.verbatim_only`).

    Note:
        O(size of *value*). Nothing is changed in place; what has nothing to lose may be shared with the result.
    """
    prune = _PRUNERS.get(type(schema))
    if prune is not None:
        return prune(schema, value)
    # Asking whether it is a Prunable takes longer than all the rest.
    own: Callable[[object], Any] | None = getattr(schema, "prune", None)
    return value if own is None else own(value)


def _object(schema: Obj, value: object) -> object:
    if type(value) is not dict:
        return value
    kept = {}
    for name, part in value.items():
        field = schema.fields.get(name)
        if field is None:
            if schema.extra == "keep":
                kept[name] = part
        elif not field.verbatim_only:
            kept[name] = pruned(field.schema, part)
    return kept


def _array(schema: Arr, value: object) -> object:
    return [pruned(schema.item, part) for part in value] if type(value) is list else value


def _map(schema: MapOf, value: object) -> object:
    return {name: pruned(schema.value, part) for name, part in value.items()} if type(value) is dict else value


def _by_type(schema: ByType, value: object) -> object:
    case = schema.cases.get(type(value))
    return value if case is None else pruned(case, value)


def _tagged(schema: Tagged, value: object) -> object:
    tag = value.get(schema.tag) if type(value) is dict else None
    variant = schema.variants.get(tag) if type(tag) is str else None
    return value if variant is None else pruned(variant, value)


_PRUNERS: Mapping[type, Callable[[Any, object], object]] = {
    Arr: _array,
    ByType: _by_type,
    MapOf: _map,
    Obj: _object,
    OneOf: lambda schema, value: pruned(schema.schema, value),
    Tagged: _tagged,
}
