"""
Query parameters by tables of fields: what stands in the URL as text is read as its schema wants it, then checked.

A list may be written as ``include=a&include=b`` or ``include[]=a``, a map as ``metadata[name]=value``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from antiphon.formats.checks.common import METADATA
from antiphon.formats.checks.flaw import Flaw, invalid_type, invalid_value, nearest, unknown
from antiphon.formats.checks.schema import ABSENT, Arr, Bool, Enum, Field, Int, Schema, Str, StrMap
from antiphon.formats.responses.request import FIELDS, INCLUDE
from antiphon.hub.errors import UnsupportedParameter
from antiphon.hub.format import PageRequest, RetrievalRequest
from antiphon.hub.library import AuditRequest, CursorPage, Deletion, ListRequest

__all__ = [
    "AUDIT",
    "CONVERSATION_LIST",
    "DELETION",
    "DELIVERY_LIST",
    "ERASURE",
    "PAGE",
    "PROMPT_LIST",
    "PROMPT_VERSION",
    "RESPONSE_LIST",
    "RETRIEVAL",
    "SHOWN",
    "decode_audit",
    "decode_conversation_list",
    "decode_deletion",
    "decode_delivery_list",
    "decode_erasure",
    "decode_page",
    "decode_prompt_list",
    "decode_prompt_version",
    "decode_response_list",
    "decode_retrieval",
    "decode_shown",
]

Query = Mapping[str, Sequence[str]]

_TIME = Int(minimum=0, maximum=2**53)
_STATUS = Enum(("queued", "in_progress", "completed", "incomplete", "failed", "cancelled"))

# The parameters of each kind of query, as they are published.
PAGE: Mapping[str, Field] = {
    "limit": Field(schema=Int(minimum=1, maximum=100), default=20),
    "order": Field(schema=Enum(("asc", "desc")), default="desc"),
    "after": Field(schema=Str()),
    "include": Field(schema=INCLUDE),
}
RETRIEVAL: Mapping[str, Field] = {
    "include": PAGE["include"],
    "stream": Field(schema=Bool(), default=False),
    "starting_after": Field(schema=Int(minimum=0)),
    "include_obfuscation": Field(schema=Bool(), default=False),
}
CONVERSATION_LIST: Mapping[str, Field] = {
    **{name: PAGE[name] for name in ("limit", "order", "after")},
    "metadata": Field(schema=METADATA, default={}),
    "created_after": Field(schema=_TIME),
    "created_before": Field(schema=_TIME),
}
RESPONSE_LIST: Mapping[str, Field] = {
    **CONVERSATION_LIST,
    "model": Field(schema=Str(min_length=1)),
    "status": Field(schema=_STATUS),
    "conversation": Field(schema=Str(prefix="conv")),
    "include": PAGE["include"],
}
SHOWN: Mapping[str, Field] = {"include": PAGE["include"]}
DELETION: Mapping[str, Field] = {
    name: Field(schema=Bool(), default=False) for name in ("cascade", "receipt", "dry_run")
}
ERASURE: Mapping[str, Field] = {"dry_run": DELETION["dry_run"]}
AUDIT: Mapping[str, Field] = {
    "after": Field(schema=Int(minimum=0, maximum=2**53), default=0),
    "limit": Field(schema=Int(minimum=1, maximum=1000), default=100),
    "object_id": Field(schema=Str(min_length=1, max_length=128)),
    "actor": Field(schema=Str(min_length=1, max_length=128)),
}
PROMPT_LIST: Mapping[str, Field] = {name: PAGE[name] for name in ("limit", "after")}
DELIVERY_LIST: Mapping[str, Field] = PROMPT_LIST
PROMPT_VERSION: Mapping[str, Field] = {"version": FIELDS["prompt"].schema.fields["version"]}  # type: ignore[attr-defined]


def decode_page(query: Query) -> PageRequest:
    """
    Read the query of a list of items.

    Raises:
        InvalidRequest: Names the first parameter that is wrong or unknown.
    """
    return PageRequest(**_with_includes(_read(query, PAGE)))


def decode_retrieval(query: Query) -> RetrievalRequest:
    """
    Read the query of ``GET /v1/responses/{id}``.

    Raises:
        InvalidRequest: Names the first parameter that is wrong or unknown, or that needs ``stream=true``.
    """
    wanted = RetrievalRequest(**_with_includes(_read(query, RETRIEVAL)))
    for name in ("starting_after", "include_obfuscation"):
        if name in query and not wanted.stream:
            raise UnsupportedParameter(f"Unsupported parameter: '{name}' needs 'stream=true'.", param=name)
    return wanted


def decode_response_list(query: Query) -> ListRequest:
    """
    Read the query of ``GET /v1/responses``.

    Raises:
        InvalidRequest: Names the first parameter that is wrong or unknown.
    """
    return ListRequest(**_with_includes(_read(query, RESPONSE_LIST)))


def decode_conversation_list(query: Query) -> ListRequest:
    """
    Read the query of ``GET /v1/conversations``.

    Raises:
        InvalidRequest: Names the first parameter that is wrong or unknown.
    """
    return ListRequest(**_read(query, CONVERSATION_LIST))


def decode_delivery_list(query: Query) -> CursorPage:
    """
    Read the query of ``GET /v1/webhook_deliveries``.

    Raises:
        InvalidRequest: Names the first parameter that is wrong or unknown.
    """
    return CursorPage(**_read(query, DELIVERY_LIST))


def decode_prompt_list(query: Query) -> CursorPage:
    """
    Read the query of ``GET /v1/prompts``.

    Raises:
        InvalidRequest: Names the first parameter that is wrong or unknown.
    """
    return CursorPage(**_read(query, PROMPT_LIST))


def decode_prompt_version(query: Query) -> str | None:
    """
    Read the query of ``GET /v1/prompts/{id}``.

    Raises:
        InvalidRequest: Names the first parameter that is wrong or unknown.
    """
    return cast(str | None, _read(query, PROMPT_VERSION).get("version"))


def decode_shown(query: Query) -> frozenset[str]:
    """
    Read a query that has nothing but ``include``.

    Raises:
        InvalidRequest: Names the first parameter that is wrong or unknown.
    """
    return frozenset(_read(query, SHOWN).get("include", ()))


def decode_deletion(query: Query) -> Deletion:
    """
    Read the query of a deletion.

    Raises:
        InvalidRequest: Names the first parameter that is wrong or unknown.
    """
    return Deletion(**_read(query, DELETION))


def decode_erasure(query: Query) -> bool:
    """
    Read the query of ``DELETE /v1/end_users/{end_user}``.

    Raises:
        InvalidRequest: Names the first parameter that is wrong or unknown.
    """
    return cast(bool, _read(query, ERASURE)["dry_run"])


def decode_audit(query: Query) -> AuditRequest:
    """
    Read the query of ``GET /v1/audit``.

    Raises:
        InvalidRequest: Names the first parameter that is wrong or unknown.
    """
    return AuditRequest(**_read(query, AUDIT))


def _read(query: Query, fields: Mapping[str, Field]) -> dict[str, Any]:
    """What a query says, by name, with the defaults of the table."""
    read = {name: field.default for name, field in fields.items() if field.default is not ABSENT}
    try:
        written = _gathered(query, fields)
        for name in (name for name in fields if name in written):
            read[name] = _checked(name, fields[name].schema, written[name])
    except Flaw as flaw:
        raise flaw.error() from None
    return read


def _with_includes(read: Mapping[str, Any]) -> dict[str, Any]:
    return {**read, "include": frozenset(read.get("include", ()))}


_NAME = re.compile(r"([a-z_]+)(?:\[(.*)\])?", re.DOTALL)


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


_WHOLE = re.compile(r"-?[0-9]{1,18}")


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
