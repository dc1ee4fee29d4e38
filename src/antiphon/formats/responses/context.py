"""The requests about a context that run no turn: ``POST /v1/responses/compact`` and ``…/input_tokens``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from antiphon.formats.checks.common import unsupported
from antiphon.formats.checks.flaw import Flaw
from antiphon.formats.checks.schema import Field, Obj, Str
from antiphon.formats.responses.items import check_item_ids
from antiphon.formats.responses.request import FIELDS, REFUSED, items_of, reasoning_of
from antiphon.hub.errors import InvalidRequest
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import TurnRequest

__all__ = ["COMPACTION", "COUNT", "decode_compaction", "decode_count"]

_MODEL = Field(schema=Str(), required=True)
_CONTEXT = ("input", "previous_response_id", "instructions")


def _fields(*names: str) -> dict[str, Field]:
    return {"model": _MODEL, **{name: FIELDS[name] for name in names}}


COMPACTION = Obj(
    fields=_fields(
        *_CONTEXT,
        "prompt_cache_key",
        "prompt_cache_retention",
        "prompt_cache_options",
        "service_tier",
        "image",
    )
)
COUNT = Obj(
    fields={
        **_fields(
            *_CONTEXT,
            "conversation",
            "tools",
            "tool_choice",
            "parallel_tool_calls",
            "text",
            "reasoning",
            "truncation",
        ),
        "personality": Field(schema=Str()),
    }
)


def decode_compaction(body: JsonObject) -> TurnRequest:
    """
    Read ``POST /v1/responses/compact``: a request that is not stored and stands on what it names.

    Raises:
        InvalidRequest: Names the first field that is wrong, or there is nothing to compact.
    """
    fields = _checked(COMPACTION, body)
    request = TurnRequest(
        store=False,
        prompt_cache_key=fields.get("prompt_cache_key"),
        prompt_cache_retention=fields.get("prompt_cache_retention"),
        service_tier=fields.get("service_tier"),
        **_context_of(fields),
    )
    if not request.input and request.previous_response_id is None:
        raise InvalidRequest(
            'One of "input" or "previous_response_id" must be provided.', code="missing_required_parameter"
        )
    return request


def decode_count(body: JsonObject) -> TurnRequest:
    """
    Read ``POST /v1/responses/input_tokens``: the turn whose input is to be counted.

    Raises:
        InvalidRequest: Names the first field that is wrong.
    """
    fields = _checked(COUNT, body)
    if "previous_response_id" in fields and "conversation" in fields:
        raise InvalidRequest(
            "Mutually exclusive parameters: ''. Ensure you are only providing one of: 'pre..._id' or 'conversation'.",
            code="mutually_exclusive_parameters",
        )
    conversation = fields.get("conversation")
    return TurnRequest(
        store=False,
        conversation=conversation["id"] if isinstance(conversation, dict) else conversation,
        tools=tuple(fields["tools"]),
        tool_choice=fields["tool_choice"],
        parallel_tool_calls=fields["parallel_tool_calls"],
        text=fields["text"],
        reasoning=reasoning_of(fields["reasoning"]),
        truncation=fields["truncation"],
        **_context_of(fields),
    )


def _checked(schema: Obj, body: JsonObject) -> dict[str, Any]:
    try:
        fields = schema.check(body)
    except Flaw as flaw:
        raise flaw.error() from None
    for name, remedy in REFUSED.items():
        if name in fields:
            raise unsupported(name, remedy)
    return fields


def _context_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    items = items_of(fields.get("input"))
    check_item_ids(items)
    return {
        "model": fields["model"],
        "input": items,
        "instructions": fields.get("instructions"),
        "previous_response_id": fields.get("previous_response_id"),
    }
