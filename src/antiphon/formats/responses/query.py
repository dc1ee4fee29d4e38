"""Query parameters: lists of strings as they stand in the URL, checked like the fields of a body."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from antiphon.formats.responses.flaw import Flaw, nearest, unknown
from antiphon.formats.responses.request import INCLUDE
from antiphon.formats.responses.schema import Bool, Enum, Field, Int, Schema, Str
from antiphon.hub.errors import UnsupportedParameter
from antiphon.hub.format import PageRequest, RetrievalRequest

__all__ = ["PAGE", "RETRIEVAL", "decode_include", "decode_page", "decode_retrieval"]

Query = Mapping[str, Sequence[str]]

_LIMIT = Int(minimum=1, maximum=100)
_ORDER = Enum(("asc", "desc"))
_FLAG = Enum(("true", "false"))
_SEQUENCE_NUMBER = Int(minimum=0)
_WHOLE = re.compile(r"-?[0-9]{1,18}")
# SDKs write the members of a list as `include[]=a&include[]=b`, people as `include=a`.
_INCLUDE_NAMES = ("include", "include[]")

# The parameters of each kind of query, as they are published.
PAGE: Mapping[str, Field] = {
    "limit": Field(schema=_LIMIT, default=20),
    "order": Field(schema=_ORDER, default="desc"),
    "after": Field(schema=Str()),
    "include": Field(schema=INCLUDE),
}
RETRIEVAL: Mapping[str, Field] = {
    "include": Field(schema=INCLUDE),
    "stream": Field(schema=Bool(), default=False),
    "starting_after": Field(schema=_SEQUENCE_NUMBER),
    "include_obfuscation": Field(schema=Bool(), default=False),
}


def decode_page(query: Query) -> PageRequest:
    """
    Read the query of a list.

    Raises:
        InvalidRequest: Names the first parameter that is wrong or unknown.
    """
    try:
        _check_names(query, (*PAGE, *_INCLUDE_NAMES))
        limit = _single(query, "limit")
        order = _single(query, "order")
        return PageRequest(
            limit=20 if limit is None else _checked("limit", _LIMIT, _whole(limit, "limit")),
            order="desc" if order is None else _checked("order", _ORDER, order),
            after=_single(query, "after"),
            include=_include(query),
        )
    except Flaw as flaw:
        raise flaw.error() from None


def decode_include(query: Query) -> frozenset[str]:
    """
    Read the query of an item's retrieval.

    Raises:
        InvalidRequest: Names the first parameter that is wrong or unknown.
    """
    try:
        _check_names(query, _INCLUDE_NAMES)
        return _include(query)
    except Flaw as flaw:
        raise flaw.error() from None


def decode_retrieval(query: Query) -> RetrievalRequest:
    """
    Read the query of ``GET /v1/responses/{id}``.

    Raises:
        InvalidRequest: Names the first parameter that is wrong or unknown, or that needs ``stream=true``.
    """
    try:
        _check_names(query, (*RETRIEVAL, *_INCLUDE_NAMES))
        wanted = RetrievalRequest(
            include=_include(query),
            stream=_flag(query, "stream"),
            starting_after=_starting_after(query),
            include_obfuscation=_flag(query, "include_obfuscation"),
        )
    except Flaw as flaw:
        raise flaw.error() from None
    for name in ("starting_after", "include_obfuscation"):
        if name in query and not wanted.stream:
            raise UnsupportedParameter(f"Unsupported parameter: '{name}' needs 'stream=true'.", param=name)
    return wanted


def _starting_after(query: Query) -> int:
    after = _single(query, "starting_after")
    if after is None:
        return -1
    return int(_checked("starting_after", _SEQUENCE_NUMBER, _whole(after, "starting_after")))


def _flag(query: Query, name: str) -> bool:
    value = _single(query, name)
    return value is not None and _checked(name, _FLAG, value.lower()) == "true"


def _check_names(query: Query, known: Collection[str]) -> None:
    for name in query:
        if name not in known:
            raise unknown(name, nearest(name, known, query))


def _single(query: Query, name: str) -> str | None:
    values = query.get(name, ())
    if len(values) > 1:
        raise Flaw("invalid_value", lambda path: f"Invalid '{path}': given more than once.").under(f".{name}")
    return values[0] if values else None


def _include(query: Query) -> frozenset[str]:
    values = [value for name in _INCLUDE_NAMES for value in query.get(name, ())]
    return frozenset(_checked("include", INCLUDE, values))


def _checked(name: str, schema: Schema, value: object) -> Any:
    try:
        return schema.check(value)
    except Flaw as flaw:
        raise flaw.under(f".{name}") from None


def _whole(text: str, name: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise _not_whole().under(f".{name}")
    return int(text)


def _not_whole() -> Flaw:
    return Flaw(
        "invalid_type",
        lambda path: (
            f"Invalid type for '{path}': expected an integer, but got a string value that could not be converted into "
            "an integer."
        ),
    )
