"""
How one JSON object differs from another that was expected in its place, field by field and exact to the byte.
"""

from __future__ import annotations

import orjson

from antiphon.hub.items import JsonObject

__all__ = ["amend", "difference", "same"]


def difference(said: JsonObject, derived: object) -> JsonObject | list[JsonObject]:
    """The fields of *said* that differ from those derived, or a list of *said* alone if it has other fields."""
    if said is derived:
        return {}
    if not isinstance(derived, dict) or list(said) != list(derived):
        return [said]
    return {
        name: value
        for name, value in said.items()
        if value is not derived[name] and not same(value, derived[name])  # most are, and a call costs more than that
    }


def amend(change: object, derived: object) -> JsonObject:
    """
    The body that :func:`difference` was given.

    Raises:
        ValueError: These two do not make one.
    """
    match change:
        case [dict(whole)]:
            return whole
        case dict() if isinstance(derived, dict) and change.keys() <= derived.keys():
            return {**derived, **change}
        case _:
            raise ValueError("A change of a body does not fit the body.")


def same(said: object, derived: object) -> bool:
    """Whether two values are one on the wire, to the byte: 1, 1.0 and True are not, nor is another order of fields."""
    if said is derived:
        return True
    if type(said) is not type(derived):
        return False
    if isinstance(said, str | int):
        return said == derived
    if not said and not derived and isinstance(said, list | dict | tuple):
        return True
    if isinstance(said, tuple) and isinstance(derived, tuple):
        return len(said) == len(derived) and all(map(same, said, derived))
    try:
        return orjson.dumps(said) == orjson.dumps(derived)
    except TypeError:  # something that JSON has no word for, or nested too deep: nothing that a guess should stand for
        return False
