"""
Queries and bodies about stored completions, as tables of fields.

Lists are oldest first unless they are asked for otherwise: so it is in this API, and not in the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from antiphon.formats.checks.common import METADATA
from antiphon.formats.checks.flaw import Flaw
from antiphon.formats.checks.query import Query, read_query
from antiphon.formats.checks.schema import Enum, Field, Int, Obj, Str
from antiphon.hub.format import PageRequest
from antiphon.hub.items import JsonObject
from antiphon.hub.library import ListRequest

__all__ = ["COMPLETION_LIST", "MESSAGE_LIST", "UPDATE", "decode_list", "decode_messages", "decode_update"]

MESSAGE_LIST: Mapping[str, Field] = {
    "limit": Field(schema=Int(minimum=1, maximum=100), default=20),
    "order": Field(schema=Enum(("asc", "desc")), default="asc"),
    "after": Field(schema=Str()),
}
COMPLETION_LIST: Mapping[str, Field] = {
    **MESSAGE_LIST,
    "metadata": Field(schema=METADATA, default={}),
    "model": Field(schema=Str(min_length=1)),
}
UPDATE = Obj(fields={"metadata": Field(schema=METADATA, required=True, keeps_null=True)})


def decode_list(query: Query) -> ListRequest:
    """
    Read the query of ``GET /v1/chat/completions``.

    Raises:
        InvalidRequest: Names the first parameter that is wrong or unknown.
    """
    return ListRequest(**read_query(query, COMPLETION_LIST))


def decode_messages(query: Query) -> PageRequest:
    """
    Read the query of ``GET /v1/chat/completions/{id}/messages``.

    Raises:
        InvalidRequest: Names the first parameter that is wrong or unknown.
    """
    return PageRequest(**read_query(query, MESSAGE_LIST))


def decode_update(body: JsonObject) -> dict[str, str]:
    """
    Read ``POST /v1/chat/completions/{id}``; null clears.

    Raises:
        InvalidRequest: ``metadata`` is missing or wrong, or there is something else.
    """
    try:
        return cast(dict[str, str], UPDATE.check(body)["metadata"] or {})
    except Flaw as flaw:
        raise flaw.error() from None
