"""
Chat messages: a schema per role, checked field by field.

Fields that this version does not know are kept: clients send back what other servers gave them. Whether a message has
content is looked at last, as OpenAI does it, and in OpenAI's words. What messages become is in :mod:`.transcript`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from antiphon.formats.chat.content import ANY_INPUT, ASSISTANT, TEXT
from antiphon.formats.checks.common import MAX_TEXT
from antiphon.formats.checks.schema import Arr, Enum, Field, Obj, Schema, Str, Tagged
from antiphon.hub.errors import InvalidRequest

__all__ = ["MESSAGES", "check_contents"]

_BIG_TEXT = Field(schema=Str(max_length=MAX_TEXT))
_NAME = Field(schema=Str())
_FREE_OBJECT = Obj(fields={}, extra="keep")


def _message(role: str, content: Schema, *, required: bool = False, **fields: Field) -> Obj:
    return Obj(
        fields={
            "role": Field(schema=Enum((role,)), required=True),
            "content": Field(schema=content, required=required),
            **fields,
        },
        extra="keep",
    )


def _called(value: str) -> Obj:
    """What a call calls, and with what."""
    strings = {name: Field(schema=Str(), required=True) for name in ("name", value)}
    return Obj(fields=strings, extra="keep")


def _call(kind: str, value: str) -> Obj:
    return Obj(
        fields={
            "id": Field(schema=Str(min_length=1), required=True),
            "type": Field(schema=Enum((kind,)), required=True),
            kind: Field(schema=_called(value), required=True),
        },
        extra="keep",
    )


_CALLS = Arr(
    item=Tagged(variants={"function": _call("function", "arguments"), "custom": _call("custom", "input")}),
    min_length=1,
    expected="an array of objects",
)

_ASSISTANT = _message(
    "assistant",
    ASSISTANT,
    refusal=_BIG_TEXT,
    annotations=Field(schema=Arr(item=_FREE_OBJECT, expected="an array of objects")),
    audio=Field(schema=_FREE_OBJECT),
    name=_NAME,
    reasoning_content=_BIG_TEXT,
    reasoning=_BIG_TEXT,
    tool_calls=Field(schema=_CALLS),
    function_call=Field(schema=_called("arguments")),
)

MESSAGES = Arr(
    item=Tagged(
        tag="role",
        # In the order in which OpenAI lists them.
        variants={
            "system": _message("system", TEXT, name=_NAME),
            "assistant": _ASSISTANT,
            "user": _message("user", ANY_INPUT, name=_NAME),
            "function": _message("function", TEXT, name=Field(schema=Str(), required=True)),
            "tool": _message(
                "tool", ANY_INPUT, tool_call_id=Field(schema=Str(min_length=1), required=True), name=_NAME
            ),
            "developer": _message("developer", TEXT, required=True, name=_NAME),
        },
    ),
    min_length=1,
    expected="an array of objects",
)

# What an assistant message can have instead of content; the last two are other vendors'.
_SUBSTITUTES = ("tool_calls", "function_call", "refusal", "audio", "reasoning_content", "reasoning")


def check_contents(messages: Sequence[Mapping[str, object]]) -> None:
    """
    Refuse a checked message that says nothing at all.

    Raises:
        InvalidRequest: Names the first one, in the notation that OpenAI uses for this error alone.
    """
    for index, message in enumerate(messages):
        if "content" not in message and not _speaks_otherwise(message):
            raise InvalidRequest(
                "Invalid value for 'content': expected a string, got null.", param=f"messages.[{index}].content"
            )


def _speaks_otherwise(message: Mapping[str, object]) -> bool:
    return message["role"] == "assistant" and any(name in message for name in _SUBSTITUTES)
