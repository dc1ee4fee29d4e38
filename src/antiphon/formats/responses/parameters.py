"""The query parameters of the Responses and Conversations APIs and of the library, as tables of fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from antiphon.formats.checks.common import METADATA
from antiphon.formats.checks.query import Query, read_query
from antiphon.formats.checks.schema import Bool, Enum, Field, Int, Str
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
    return PageRequest(**_with_includes(read_query(query, PAGE)))


def decode_retrieval(query: Query) -> RetrievalRequest:
    """
    Read the query of ``GET /v1/responses/{id}``.

    Raises:
        InvalidRequest: Names the first parameter that is wrong or unknown, or that needs ``stream=true``.
    """
    wanted = RetrievalRequest(**_with_includes(read_query(query, RETRIEVAL)))
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
    return ListRequest(**_with_includes(read_query(query, RESPONSE_LIST)))


def decode_conversation_list(query: Query) -> ListRequest:
    """
    Read the query of ``GET /v1/conversations``.

    Raises:
        InvalidRequest: Names the first parameter that is wrong or unknown.
    """
    return ListRequest(**read_query(query, CONVERSATION_LIST))


def decode_delivery_list(query: Query) -> CursorPage:
    """
    Read the query of ``GET /v1/webhook_deliveries``.

    Raises:
        InvalidRequest: Names the first parameter that is wrong or unknown.
    """
    return CursorPage(**read_query(query, DELIVERY_LIST))


def decode_prompt_list(query: Query) -> CursorPage:
    """
    Read the query of ``GET /v1/prompts``.

    Raises:
        InvalidRequest: Names the first parameter that is wrong or unknown.
    """
    return CursorPage(**read_query(query, PROMPT_LIST))


def decode_prompt_version(query: Query) -> str | None:
    """
    Read the query of ``GET /v1/prompts/{id}``.

    Raises:
        InvalidRequest: Names the first parameter that is wrong or unknown.
    """
    return cast(str | None, read_query(query, PROMPT_VERSION).get("version"))


def decode_shown(query: Query) -> frozenset[str]:
    """
    Read a query that has nothing but ``include``.

    Raises:
        InvalidRequest: Names the first parameter that is wrong or unknown.
    """
    return frozenset(read_query(query, SHOWN).get("include", ()))


def decode_deletion(query: Query) -> Deletion:
    """
    Read the query of a deletion.

    Raises:
        InvalidRequest: Names the first parameter that is wrong or unknown.
    """
    return Deletion(**read_query(query, DELETION))


def decode_erasure(query: Query) -> bool:
    """
    Read the query of ``DELETE /v1/end_users/{end_user}``.

    Raises:
        InvalidRequest: Names the first parameter that is wrong or unknown.
    """
    return cast(bool, read_query(query, ERASURE)["dry_run"])


def decode_audit(query: Query) -> AuditRequest:
    """
    Read the query of ``GET /v1/audit``.

    Raises:
        InvalidRequest: Names the first parameter that is wrong or unknown.
    """
    return AuditRequest(**read_query(query, AUDIT))


def _with_includes(read: Mapping[str, Any]) -> dict[str, Any]:
    return {**read, "include": frozenset(read.get("include", ()))}
