"""Query parameters: lists of strings as they stand in the URL, checked like the fields of a body."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from antiphon.formats.responses.flaw import Flaw, nearest, unknown
from antiphon.formats.responses.request import INCLUDE
from antiphon.formats.responses.schema import Enum, Int, Schema
from antiphon.hub.errors import InvalidRequest, UnsupportedParameter
from antiphon.hub.format import PageRequest

__all__ = ["decode_include", "decode_page"]

Query = Mapping[str, Sequence[str]]

_LIMIT = Int(minimum=1, maximum=100)
_ORDER = Enum(("asc", "desc"))
_WHOLE = re.compile(r"-?[0-9]{1,18}")
# SDKs write the members of a list as `include[]=a&include[]=b`, people as `include=a`.
_INCLUDE_NAMES = ("include", "include[]")


def decode_page(query: Query) -> PageRequest:
    """
    Read the query of a list.

    Raises:
        InvalidRequest: Names the first parameter that is wrong or unknown.
    """
    try:
        _check_names(query, ("limit", "order", "after", *_INCLUDE_NAMES))
        limit = _single(query, "limit")
        order = _single(query, "order")
        return PageRequest(
            limit=20 if limit is None else _checked("limit", _LIMIT, _whole(limit)),
            order="desc" if order is None else _checked("order", _ORDER, order),
            after=_single(query, "after"),
            include=_include(query),
        )
    except Flaw as flaw:
        raise flaw.error() from None


def decode_include(query: Query) -> frozenset[str]:
    """
    Read the query of ``GET /v1/responses/{id}``: ``include``, and ``stream=false``, which is how it is answered anyway.

    Raises:
        InvalidRequest: Names the first parameter that is wrong, unknown, or asks for a stream to be replayed.
    """
    try:
        _check_names(query, (*_INCLUDE_NAMES, *_OF_STREAMS))
        _refuse_stream(query)
        return _include(query)
    except Flaw as flaw:
        raise flaw.error() from None


_OF_STREAMS = ("stream", "starting_after", "include_obfuscation")


def _refuse_stream(query: Query) -> None:
    stream = _single(query, "stream")
    if stream is not None and stream.lower() != "false":
        raise InvalidRequest(
            "This response cannot be streamed because it was not created with background=true.", param="stream"
        )
    for name in _OF_STREAMS[1:]:
        if name in query:
            raise UnsupportedParameter(
                f"Unsupported parameter: '{name}' has a meaning only for a stream that is replayed, and this response "
                "was not created with background=true.",
                param=name,
            )


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


def _whole(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise _not_whole().under(".limit")
    return int(text)


def _not_whole() -> Flaw:
    return Flaw(
        "invalid_type",
        lambda path: (
            f"Invalid type for '{path}': expected an integer, but got a string value that could not be converted into "
            "an integer."
        ),
    )
