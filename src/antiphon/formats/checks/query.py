"""
Query parameters by tables of fields: what stands in the URL as text is read as its schema wants it, then checked.

A list may be written as ``include=a&include=b`` or ``include[]=a``, a map as ``metadata[name]=value``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from antiphon.formats.checks.flaw import Flaw, invalid_type, invalid_value, nearest, unknown
from antiphon.formats.checks.schema import ABSENT, Arr, Bool, Field, Int, Schema, StrMap

__all__ = ["Query", "read_query"]

Query = Mapping[str, Sequence[str]]

_NAME = re.compile(r"([a-z_]+)(?:\[(.*)\])?", re.DOTALL)
_WHOLE = re.compile(r"-?[0-9]{1,18}")


def read_query(query: Query, fields: Mapping[str, Field]) -> dict[str, Any]:
    """
    What a query says, by name, with the defaults of the table.

    Raises:
        InvalidRequest: Names the first parameter that is wrong or unknown.
    """
    read = {name: field.default for name, field in fields.items() if field.default is not ABSENT}
    try:
        written = _gathered(query, fields)
        for name in (name for name in fields if name in written):
            read[name] = _checked(name, fields[name].schema, written[name])
    except Flaw as flaw:
        raise flaw.error() from None
    return read


def _gathered(query: Query, fields: Mapping[str, Field]) -> dict[str, Any]:
    """The parameters as they are written: lists and maps put together, everything else as text."""
    written: dict[str, Any] = {}
    for name, values in query.items():
        match = _NAME.fullmatch(name)
        base, key = match.groups() if match else (name, None)
        schema = fields[base].schema if base in fields else None
        if not values:
            continue
        if schema is not None and isinstance(schema, Arr) and not key:
            written.setdefault(base, []).extend(values)
        elif isinstance(schema, StrMap):
            if key is None:
                raise invalid_type(schema.expected, values[0]).under(f".{name}")
            written.setdefault(base, {})[key] = _only(name, values)
        elif schema is not None and key is None:
            written[base] = _only(name, values)
        else:
            raise unknown(name, nearest(name, fields, query))
    return written


def _only(name: str, values: Sequence[str]) -> str:
    if len(values) > 1:
        raise Flaw("invalid_value", lambda path: f"Invalid '{path}': given more than once.").under(f".{name}")
    return values[0]


def _checked(name: str, schema: Schema, value: Any) -> Any:
    try:
        if isinstance(schema, Int):
            value = _whole(value)
        elif isinstance(schema, Bool):
            value = _truth(value)
        return schema.check(value)
    except Flaw as flaw:
        raise flaw.under(f".{name}") from None


def _whole(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise Flaw(
            "invalid_type",
            lambda path: (
                f"Invalid type for '{path}': expected an integer, but got a string value that could not be converted "
                "into an integer."
            ),
        )
    return int(text)


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise invalid_value(text, ("true", "false"))
    return text.lower() == "true"  # some programs write their language's `True`
