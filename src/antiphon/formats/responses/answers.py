"""
What the gateway answers, as JSON Schemas: responses, items, lists, conversations, models and errors.

Written by hand, because answers are built and not checked; tests hold them against what is really answered. They are
open: an upstream's own fields ride along, and an item of a type that is not described here is still an item.
"""

from __future__ import annotations

from antiphon.formats.checks.json_schema import nullable, reference
from antiphon.hub.items import JsonObject

__all__ = ["ANSWERS"]

_STRING: JsonObject = {"type": "string"}
_INTEGER: JsonObject = {"type": "integer"}
_NUMBER: JsonObject = {"type": "number"}
_BOOLEAN: JsonObject = {"type": "boolean"}
_OBJECT: JsonObject = {"type": "object"}
_TIME: JsonObject = {"type": "integer", "description": "Seconds since the epoch, UTC."}


def _record(optional: JsonObject | None = None, /, **members: JsonObject) -> JsonObject:
    """An object whose *members* are always there."""
    return {"type": "object", "properties": {**members, **(optional or {})}, "required": list(members)}


def _list(item: JsonObject) -> JsonObject:
    return {"type": "array", "items": item}


def _const(value: str) -> JsonObject:
    return {"type": "string", "const": value}


def _enum(*values: str) -> JsonObject:
    return {"type": "string", "enum": list(values)}


def _page(item: str) -> JsonObject:
    """A page of a list, whose ends are named so that the next page can be asked for."""
    return _record(
        object=_const("list"),
        data=_list(reference(item)),
        first_id=nullable(_STRING),
        last_id={**nullable(_STRING), "description": "What 'after' of the next page is."},
        has_more=_BOOLEAN,
    )


def _item(kind: str, optional: JsonObject | None = None, /, **members: JsonObject) -> JsonObject:
    return _record(optional, id=_STRING, type=_const(kind), **members)


def _call_output(kind: str) -> JsonObject:
    output = {"anyOf": [_STRING, _list(reference("ContentPart"))]}
    return _item(kind, call_id=_STRING, output=output, status=_STATUS)


def _either(names: tuple[str, ...], others: JsonObject) -> JsonObject:
    return {"anyOf": [*(reference(name) for name in names), others]}


def _none_of_types(*types: str) -> JsonObject:
    return _record(type={"type": "string", "not": {"enum": list(types)}})


_STATUS = _enum("in_progress", "completed", "incomplete")

_PARTS: dict[str, JsonObject] = {
    "OutputTextPart": _record(
        type=_const("output_text"), text=_STRING, annotations=_list(_OBJECT), logprobs=_list(_OBJECT)
    ),
    "RefusalPart": _record(type=_const("refusal"), refusal=_STRING),
    "InputTextPart": _record(type=_const("input_text"), text=_STRING),
    "ContentPart": _either(
        ("OutputTextPart", "RefusalPart", "InputTextPart"), _none_of_types("output_text", "refusal", "input_text")
    ),
}

_ITEMS: dict[str, JsonObject] = {
    "Message": _item(
        "message",
        {"phase": nullable(_enum("commentary", "final_answer"))},
        role=_STRING,
        status=_STATUS,
        content=_list(reference("ContentPart")),
    ),
    "FunctionCall": _item(
        "function_call",
        {"namespace": nullable(_STRING)},
        call_id=_STRING,
        name=_STRING,
        arguments={"type": "string", "description": "JSON, as the model wrote it."},
        status=_STATUS,
    ),
    "FunctionCallOutput": _call_output("function_call_output"),
    "CustomToolCall": _item(
        "custom_tool_call",
        {"namespace": nullable(_STRING)},
        call_id=_STRING,
        name=_STRING,
        input=_STRING,
        status=_STATUS,
    ),
    "CustomToolCallOutput": _call_output("custom_tool_call_output"),
    "Reasoning": _item(
        "reasoning",
        {
            "content": nullable(_list(_record(type=_const("reasoning_text"), text=_STRING))),
            "encrypted_content": nullable(_STRING),
            "status": nullable(_STATUS),
        },
        summary=_list(_record(type=_const("summary_text"), text=_STRING)),
    ),
    "Compaction": _item("compaction", encrypted_content=_STRING),
}
_ITEM_TYPES = [schema["properties"]["type"]["const"] for schema in _ITEMS.values()]

_COUNTS = _record(
    {
        "cost": {"type": "number", "description": "In USD; only where the price is known."},
        "estimated": {"type": "boolean", "description": "Whether any of the counts is; only if one is."},
    },
    input_tokens=_INTEGER,
    input_tokens_details=_record(cached_tokens=_INTEGER, cache_write_tokens=_INTEGER),
    output_tokens=_INTEGER,
    output_tokens_details=_record(reasoning_tokens=_INTEGER),
    total_tokens=_INTEGER,
)

_RESPONSE = _record(
    {
        "conversation": _record(id=_STRING),
        "billing": _record(payer=_STRING),
        "prompt": nullable(_OBJECT),
    },
    id=_STRING,
    object=_const("response"),
    created_at=_TIME,
    status=_enum("queued", "in_progress", "completed", "incomplete", "failed", "cancelled"),
    background=_BOOLEAN,
    completed_at=nullable(_TIME),
    error=nullable(_record(code=_STRING, message=_STRING)),
    frequency_penalty=_NUMBER,
    incomplete_details=nullable(_record(reason=_STRING)),
    instructions={"anyOf": [_STRING, _list(_OBJECT), {"type": "null"}]},
    max_output_tokens=nullable(_INTEGER),
    max_tool_calls=nullable(_INTEGER),
    model=_STRING,
    moderation=nullable(_OBJECT),
    output=_list(reference("Item")),
    parallel_tool_calls=_BOOLEAN,
    presence_penalty=_NUMBER,
    previous_response_id=nullable(_STRING),
    prompt_cache_key=nullable(_STRING),
    prompt_cache_retention=nullable(_STRING),
    reasoning=_record({"summary": nullable(_STRING), "effort": nullable(_STRING)}),
    safety_identifier=nullable(_STRING),
    service_tier=_STRING,
    store=_BOOLEAN,
    temperature=_NUMBER,
    text=_record(format=_OBJECT, verbosity=_STRING),
    tool_choice={"anyOf": [_STRING, _OBJECT]},
    tool_usage=_OBJECT,
    tools=_list(_record(type=_STRING)),
    top_logprobs=_INTEGER,
    top_p=_NUMBER,
    truncation=_STRING,
    usage=nullable(reference("Usage")),
    user=nullable(_STRING),
    metadata=reference("Metadata"),
)

_ERROR = _record(
    error=_record(
        message=_STRING,
        type=_STRING,
        param=nullable(_STRING),
        code=nullable(_STRING),
    )
)


_CONVERSATION = _record(id=_STRING, object=_const("conversation"), created_at=_TIME, metadata=reference("Metadata"))

_PROMPT = _record(
    id=_STRING,
    object=_const("prompt"),
    version={"type": "string", "description": "A whole number from '1' on."},
    created_at=_TIME,
    name=nullable(_STRING),
    model=nullable(_STRING),
    instructions=nullable(_STRING),
    input=_list(_OBJECT),
    tools=nullable(_list(_OBJECT)),
    tool_choice={"anyOf": [_STRING, _OBJECT, {"type": "null"}]},
    text=nullable(_OBJECT),
    reasoning=nullable(_OBJECT),
    temperature=nullable(_NUMBER),
    top_p=nullable(_NUMBER),
    max_output_tokens=nullable(_INTEGER),
    metadata=reference("Metadata"),
    variables=_OBJECT,
)


def _deleted(kind: str, optional: JsonObject | None = None) -> JsonObject:
    """What a deletion answers; one that can be tried without effect may say that it has not taken place."""
    deleted: JsonObject = _BOOLEAN if optional is not None else {"type": "boolean", "const": True}
    return _record(optional, id=_STRING, object=_const(kind), deleted=deleted)


_RECEIPT = _record(
    responses=_list(_STRING),
    conversations=_list(_STRING),
    prompts=_list(_STRING),
    items=_INTEGER,
    other={"type": "object", "additionalProperties": _INTEGER},
    keys_destroyed=_INTEGER,
    payload_bytes=_INTEGER,
)
_WITH_RECEIPT: JsonObject = {"receipt": reference("Receipt")}


ANSWERS: dict[str, JsonObject] = {
    "Response": _RESPONSE,
    "Usage": _COUNTS,
    "Item": _either(tuple(_ITEMS), _none_of_types(*_ITEM_TYPES)),
    **_ITEMS,
    **_PARTS,
    "ItemList": _page("Item"),
    "ResponseList": _page("Response"),
    "ConversationList": _page("Conversation"),
    "PromptList": _page("Prompt"),
    "Prompt": _PROMPT,
    "DeletedPrompt": _deleted("prompt.deleted"),
    "ConversationLines": _STRING,
    "CompactedResponse": _record(
        id=_STRING,
        object=_const("response.compaction"),
        created_at=_TIME,
        output=_list(reference("Item")),
        usage=reference("Usage"),
    ),
    "InputTokens": _record(object=_const("response.input_tokens"), input_tokens=_INTEGER),
    "WebhookDelivery": _record(
        id=_STRING,
        object=_const("webhook.delivery"),
        created_at=_TIME,
        type=_STRING,
        response_id=_STRING,
        url=_STRING,
        status={"type": "string", "enum": ["pending", "delivered", "failed"]},
        attempts=_INTEGER,
        last_outcome=nullable(_STRING),
        next_attempt_at=nullable(_TIME),
        delivered_at=nullable(_TIME),
    ),
    "WebhookDeliveryList": _page("WebhookDelivery"),
    "DeletedResponse": _deleted("response", _WITH_RECEIPT),
    "Conversation": _CONVERSATION,
    "RewoundConversation": {"allOf": [reference("Conversation"), _record(removed=_INTEGER)]},
    "DeletedConversation": _deleted("conversation.deleted", _WITH_RECEIPT),
    "Receipt": _RECEIPT,
    "DeletedEndUser": _record(object=_const("end_user.deleted"), deleted=_BOOLEAN, receipt=reference("Receipt")),
    "EndUserLines": _STRING,
    "AuditEntry": _record(
        object=_const("audit_entry"),
        index=_INTEGER,
        at_ms=_INTEGER,
        actor=_STRING,
        action=_STRING,
        object_id=_STRING,
        outcome=_STRING,
        request_id=_STRING,
        link=_STRING,
    ),
    "AuditTrail": _record(object=_const("list"), data=_list(reference("AuditEntry")), has_more=_BOOLEAN),
    "Model": _record(id=_STRING, object=_const("model"), created=_TIME, owned_by=_STRING),
    "ModelList": _record(object=_const("list"), data=_list(reference("Model"))),
    "Health": _record(status=_const("ok")),
    "Error": _ERROR,
    "Document": {"type": "object", "description": "An OpenAPI 3.1 document."},
    "Page": {"type": "string", "description": "HTML."},
}
