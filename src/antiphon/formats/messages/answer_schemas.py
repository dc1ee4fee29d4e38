"""
What the dialect answers, as JSON Schemas; tests hold them against what is really answered.

They demand no more than every upstream of the dialect says, since an answer may be passed on as it came.
"""

from __future__ import annotations

from antiphon.formats.checks.answers import INTEGER, OBJECT, STRING, const, listed, record
from antiphon.formats.checks.json_schema import nullable, reference
from antiphon.hub.items import JsonObject

__all__ = ["ANSWERS"]

_BLOCK = {
    "anyOf": [
        record({"citations": nullable(listed(OBJECT))}, type=const("text"), text=STRING),
        record({"signature": STRING}, type=const("thinking"), thinking=STRING),
        record(type=const("redacted_thinking"), data=STRING),
        record(type=const("tool_use"), id=STRING, name=STRING, input=OBJECT),
        record(type={"type": "string", "not": {"enum": ["text", "thinking", "redacted_thinking", "tool_use"]}}),
    ]
}

_ENDING = {
    "stop_reason": {
        **nullable(STRING),
        "description": "'end_turn', 'max_tokens', 'stop_sequence', 'tool_use', 'refusal'; or an upstream's own.",
    },
    "stop_sequence": nullable(STRING),
}
_DETAILS = {"stop_details": nullable(record({"category": nullable(STRING), "explanation": nullable(STRING)}))}

_DELTA_TYPES = ["text_delta", "input_json_delta", "thinking_delta", "signature_delta", "citations_delta"]
_DELTA = {
    "anyOf": [
        record(type=const("text_delta"), text=STRING),
        record(type=const("input_json_delta"), partial_json=STRING),
        record(type=const("thinking_delta"), thinking=STRING),
        record(type=const("signature_delta"), signature=STRING),
        record(type=const("citations_delta"), citation=OBJECT),
        record(type={"type": "string", "not": {"enum": _DELTA_TYPES}}),
    ]
}

_ERROR = record(type=STRING, message=STRING)

ANSWERS: dict[str, JsonObject] = {
    "MessageAnswer": record(
        _DETAILS,
        id=STRING,
        type=const("message"),
        role=const("assistant"),
        model=STRING,
        content=listed(reference("MessageBlock")),
        **_ENDING,
        usage=reference("MessageUsage"),
    ),
    "MessageBlock": _BLOCK,
    "MessageUsage": record(
        {
            "input_tokens": nullable(INTEGER),
            "cache_creation_input_tokens": nullable(INTEGER),
            "cache_read_input_tokens": nullable(INTEGER),
            "output_tokens_details": nullable(record({"thinking_tokens": INTEGER})),
        },
        output_tokens=INTEGER,
    ),
    "MessageStreamEvent": {
        "anyOf": [
            record(type=const("message_start"), message=reference("MessageAnswer")),
            record(type=const("content_block_start"), index=INTEGER, content_block=reference("MessageBlock")),
            record(type=const("content_block_delta"), index=INTEGER, delta=_DELTA),
            record(type=const("content_block_stop"), index=INTEGER),
            record(type=const("message_delta"), delta=record(_DETAILS, **_ENDING), usage=reference("MessageUsage")),
            record(type=const("message_stop")),
            record(type=const("ping")),
            record(type=const("error"), error=_ERROR),
        ]
    },
    "MessageTokens": record(input_tokens=INTEGER),
    "MessagesError": record({"request_id": STRING}, type=const("error"), error=_ERROR),
}
