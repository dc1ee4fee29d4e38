"""
What the dialect answers, as JSON Schemas; tests hold them against what is really answered.

They demand no more than every upstream of the dialect says, since an answer may be passed on as it came.
"""

from __future__ import annotations

from antiphon.formats.checks.answers import INTEGER, NUMBER, OBJECT, STRING, TIME, const, enum, listed, record
from antiphon.formats.checks.json_schema import nullable, reference
from antiphon.hub.items import JsonObject

__all__ = ["CHAT_ANSWERS", "COMPLETION_ANSWERS"]

_FINISH_REASON = enum("stop", "length", "tool_calls", "content_filter")

_COUNT = nullable(INTEGER)
_USAGE = record(
    {
        "prompt_tokens_details": nullable(
            record({"cached_tokens": _COUNT, "cache_write_tokens": _COUNT, "audio_tokens": _COUNT})
        ),
        "completion_tokens_details": nullable(
            record(
                {
                    "reasoning_tokens": _COUNT,
                    "audio_tokens": _COUNT,
                    "accepted_prediction_tokens": _COUNT,
                    "rejected_prediction_tokens": _COUNT,
                }
            )
        ),
    },
    prompt_tokens=INTEGER,
    completion_tokens=INTEGER,
    total_tokens=INTEGER,
)
_LOGPROBS = nullable(record(content=nullable(listed(OBJECT)), refusal=nullable(listed(OBJECT))))
_TEXT_LOGPROBS = nullable(
    record(
        tokens=listed(STRING), token_logprobs=listed(NUMBER), top_logprobs=listed(OBJECT), text_offset=listed(INTEGER)
    )
)
_ANNOTATION = record(
    type=const("url_citation"),
    url_citation=record(start_index=INTEGER, end_index=INTEGER, title=nullable(STRING), url=STRING),
)
_FUNCTION = record(name=STRING, arguments={"type": "string", "description": "JSON, as the model wrote it."})
_CALL = {
    "anyOf": [
        record(id=STRING, type=const("function"), function=_FUNCTION),
        record(id=STRING, type=const("custom"), custom=record(name=STRING, input=STRING)),
    ]
}
_MESSAGE = record(
    {
        "reasoning_content": nullable(
            {"type": "string", "description": "What the model thought, where its upstream tells."}
        ),
        "tool_calls": nullable(listed(_CALL)),
        "refusal": nullable(STRING),
        "annotations": nullable(listed(_ANNOTATION)),
    },
    role=const("assistant"),
    content=nullable(STRING),
)
_CALL_PIECE = record(
    {
        "id": nullable(STRING),
        "type": nullable(enum("function", "custom")),
        "function": nullable(record({"name": nullable(STRING), "arguments": nullable(STRING)})),
        "custom": nullable(record({"name": nullable(STRING), "input": nullable(STRING)})),
    },
    index=INTEGER,
)
_DELTA = record(
    {
        "role": nullable(const("assistant")),
        "content": nullable(STRING),
        "refusal": nullable(STRING),
        "reasoning_content": nullable(STRING),
        "annotations": nullable(listed(_ANNOTATION)),
        "tool_calls": nullable(listed(_CALL_PIECE)),
    }
)
_PADDING: JsonObject = {"type": "string", "description": "Filling, so that an event's size says little of its text."}

CHAT_ANSWERS: dict[str, JsonObject] = {
    "ChatCompletion": record(
        {"usage": nullable(reference("ChatUsage")), "service_tier": nullable(STRING)},
        id=STRING,
        object=const("chat.completion"),
        created=TIME,
        model=STRING,
        choices=listed(
            record({"logprobs": _LOGPROBS}, index=INTEGER, message=_MESSAGE, finish_reason=_FINISH_REASON),
        ),
    ),
    "ChatCompletionChunk": record(
        {"usage": nullable(reference("ChatUsage")), "service_tier": nullable(STRING), "obfuscation": _PADDING},
        id=STRING,
        object=const("chat.completion.chunk"),
        created=TIME,
        model=STRING,
        choices=listed(
            record({"logprobs": _LOGPROBS, "finish_reason": nullable(_FINISH_REASON)}, index=INTEGER, delta=_DELTA)
        ),
    ),
    "ChatUsage": _USAGE,
}

_TEXT_CHOICE = {"text": STRING, "index": INTEGER, "logprobs": _TEXT_LOGPROBS}
_TEXT_REASON = enum("stop", "length", "content_filter")

COMPLETION_ANSWERS: dict[str, JsonObject] = {
    "Completion": record(
        {"usage": reference("ChatUsage")},
        id=STRING,
        object=const("text_completion"),
        created=TIME,
        model=STRING,
        choices=listed(record(**_TEXT_CHOICE, finish_reason=_TEXT_REASON)),
    ),
    "CompletionChunk": record(
        {"usage": nullable(reference("ChatUsage")), "obfuscation": _PADDING},
        id=STRING,
        object=const("text_completion"),
        created=TIME,
        model=STRING,
        choices=listed(record(**_TEXT_CHOICE, finish_reason=nullable(_TEXT_REASON))),
    ),
}
