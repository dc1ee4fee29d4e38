"""
``POST /v1/responses``: the table of every field, and the way from a body to a turn's request.

The order of checks is OpenAI's, as measured: ``model``, the presence of ``input``, unknown keys, the fields in the
order of the table, then what depends on several of them. What this gateway cannot do is refused by name at the very
end, so that a request is never called unsupported because of a field that is wrong anyway. Whether ids exist is decided
later, by whoever has the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from antiphon.formats.checks.common import MAX_TEXT, METADATA, unsupported
from antiphon.formats.checks.flaw import Flaw, invalid_type, missing
from antiphon.formats.checks.schema import (
    Anything,
    Arr,
    Bool,
    ByType,
    Enum,
    Field,
    Int,
    MapOf,
    Num,
    Obj,
    Str,
    Tagged,
)
from antiphon.formats.responses.content import INPUT_PART
from antiphon.formats.responses.items import ITEM, check_item_ids
from antiphon.formats.responses.tools import HOSTED_TOOLS, TOOL_CHOICE, TOOLS, check_tool_names
from antiphon.hub.errors import InvalidRequest
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import TurnRequest

__all__ = [
    "FIELDS",
    "INCLUDE",
    "INCLUDES",
    "REFUSED",
    "STATE",
    "decode",
    "items_of",
    "reasoning_of",
]

INCLUDES = (
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
)

_INCLUDE_VALUE = Enum(INCLUDES)
INCLUDE = Arr(item=_INCLUDE_VALUE, expected=f"an array of {_INCLUDE_VALUE.spoken}")

_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_SUMMARIES = Enum(("concise", "detailed", "auto"))
_FREE_OBJECT = Obj(fields={}, extra="keep")
_DEFAULT_FORMAT = {"type": "text"}

_TEXT_FORMAT = Tagged(
    variants={
        "json_object": Obj(fields={"type": Field(schema=Str(), required=True)}),
        "text": Obj(fields={"type": Field(schema=Str(), required=True)}),
        "json_schema": Obj(
            fields={
                "type": Field(schema=Str(), required=True),
                "description": Field(schema=Str()),
                "name": Field(schema=Str(min_length=1, max_length=64, pattern="^[a-zA-Z0-9_-]+$"), required=True),
                "schema": Field(schema=ByType(cases={dict: Anything()}, expected="an object"), required=True),
                "strict": Field(schema=Bool(), default=False),
            },
        ),
    },
)

_TEXT = Obj(
    fields={
        "format": Field(schema=_TEXT_FORMAT, default=_DEFAULT_FORMAT),
        "verbosity": Field(schema=Enum(("low", "medium", "high")), default="medium"),
    },
)

_REASONING = Obj(
    fields={
        "effort": Field(schema=Enum(_EFFORTS, f"one of {Enum(_EFFORTS).spoken} or integer")),
        "summary": Field(schema=_SUMMARIES),
        "mode": Field(schema=Str()),
        "context": Field(schema=Enum(("auto", "current_turn", "all_turns"))),
        "generate_summary": Field(schema=_SUMMARIES),
    },
)

_VARIABLES = MapOf(
    value=ByType(cases={str: Str(max_length=MAX_TEXT), dict: INPUT_PART}, expected="one of a string or object"),
    names=".+",
    max_properties=128,
)
_PROMPT = Obj(
    fields={
        "id": Field(schema=Str(), required=True),
        "version": Field(schema=Str()),
        "variables": Field(schema=_VARIABLES),
    },
)

_CONTEXT_MANAGEMENT = Obj(
    fields={
        "type": Field(schema=Enum(("compaction",)), required=True),
        "compact_threshold": Field(schema=Int(minimum=1000)),
    },
)

_CONVERSATION_ID = Str(prefix="conv")
_CONVERSATION = ByType(
    cases={str: _CONVERSATION_ID, dict: Obj(fields={"id": Field(schema=_CONVERSATION_ID, required=True)})},
    expected="one of a string or object",
)

_INPUT = ByType(
    cases={str: Str(max_length=10_485_760), list: Arr(item=ITEM)},
    expected="one of a string or array of input items",
)

_SERVICE_TIERS = Enum(("auto", "default", "flex", "scale", "priority", "fast", "ultrafast"))

# In the order in which OpenAI reports what is wrong. Those from 'context_management' on are known from the SDK's types
# alone, the last from Codex alone, which sends it with every request.
FIELDS: dict[str, Field] = {
    "model": Field(schema=Str()),
    "input": Field(schema=_INPUT),
    "previous_response_id": Field(schema=Str()),
    "prompt": Field(schema=_PROMPT),
    "moderation": Field(schema=_FREE_OBJECT),
    "include": Field(schema=INCLUDE, default=[]),
    "tools": Field(schema=TOOLS, default=[]),
    "tool_choice": Field(schema=TOOL_CHOICE, default="auto"),
    "metadata": Field(schema=METADATA, default={}),
    "text": Field(schema=_TEXT, default={"format": _DEFAULT_FORMAT, "verbosity": "medium"}),
    "temperature": Field(schema=Num(minimum=0, maximum=2)),
    "top_p": Field(schema=Num(minimum=0, maximum=1)),
    "presence_penalty": Field(schema=Num(minimum=-2, maximum=2)),
    "frequency_penalty": Field(schema=Num(minimum=-2, maximum=2)),
    "parallel_tool_calls": Field(schema=Bool(), default=True),
    "stream": Field(schema=Bool(), default=False),
    "stream_options": Field(schema=Obj(fields={"include_obfuscation": Field(schema=Bool())})),
    "background": Field(schema=Bool(), default=False),
    "max_output_tokens": Field(schema=Int(minimum=16)),
    "max_tool_calls": Field(schema=Int(minimum=1)),
    "reasoning": Field(schema=_REASONING, default={}),
    "user": Field(schema=Str()),
    "safety_identifier": Field(schema=Str(max_length=64)),
    "prompt_cache_options": Field(schema=_FREE_OBJECT),
    "prompt_cache_key": Field(schema=Str()),
    "prompt_cache_retention": Field(schema=Enum(("in_memory", "24h"))),
    "truncation": Field(schema=Enum(("auto", "disabled")), default="disabled"),
    "instructions": Field(schema=Str()),
    "store": Field(schema=Bool(), default=True),
    "service_tier": Field(schema=_SERVICE_TIERS),
    "top_logprobs": Field(schema=Int(minimum=0, maximum=20)),
    "context_management": Field(schema=Arr(item=_CONTEXT_MANAGEMENT, expected="an array of objects"), default=[]),
    "conversation": Field(schema=_CONVERSATION),
    "background_options": Field(schema=_FREE_OBJECT),
    "image": Field(schema=_FREE_OBJECT),
    "access_programs": Field(schema=_FREE_OBJECT),
    "client_metadata": Field(schema=_FREE_OBJECT),
}

# Chat Completions' names for what has another name here.
_MOVED = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
    "verbosity": "text.verbosity",
    "functions": "tools",
    "function_call": "tool_choice",
}

_REQUEST = Obj(fields=FIELDS, moved=_MOVED)

# Valid fields that this gateway has nothing behind yet, each with what a caller can do instead.
REFUSED = {
    "moderation": "Leave it out and moderate the input and the answer yourself.",
    "prompt_cache_options": "Use 'prompt_cache_key', which is passed on to the upstream.",
    "background_options": "Leave it out.",
    "image": "Leave it out.",
    "access_programs": "Leave it out.",
}


def decode(body: JsonObject, *, generate: bool = True) -> TurnRequest:
    """
    Read a request, checked field by field.

    Args:
        generate: False for a turn that only keeps its input; it needs none.

    Raises:
        InvalidRequest: Names the first field that is wrong, in OpenAI's order of checks.
    """
    try:
        _check_presence(body, needs_input=generate)
        fields = _REQUEST.check(body)
        _check_tools(fields["tools"])
    except Flaw as flaw:
        raise flaw.error() from None
    items = items_of(fields.get("input"))
    check_item_ids(items)
    _check_state(fields, items, needs_input=generate)
    _check_support(fields)
    given = frozenset(name for name, value in body.items() if value is not None) if "prompt" in fields else frozenset()
    return _turn(fields, items, given, generate=generate)


def _check_presence(body: Mapping[str, Any], *, needs_input: bool) -> None:
    if body.get("prompt") is None:
        if "model" not in body:
            raise missing("model")
        if type(body["model"]) is not str:
            raise _wrong_model(body["model"])
    if "messages" in body:
        raise _moved_messages()
    if needs_input and body.get("input") is None and not any(body.get(name) is not None for name in STATE):
        raise missing("input")


# What a turn can stand on; without any of these it needs an input.
STATE = ("previous_response_id", "prompt", "conversation")


def _wrong_model(model: object) -> Flaw:
    # OpenAI calls null "an object" here, and null everywhere else.
    return invalid_type("a string", {} if model is None else model).under(".model")


def _moved_messages() -> Flaw:
    return Flaw(
        "unsupported_parameter",
        lambda _: (
            "Unsupported parameter: 'messages'. In the Responses API, this parameter has moved to 'input'. "
            "Try again with the new parameter. See the API documentation for more information: "
            "https://platform.openai.com/docs/api-reference/responses/create."
        ),
    ).under(".messages")


def _check_tools(tools: list[JsonObject]) -> None:
    try:
        check_tool_names(tools)
    except Flaw as flaw:
        raise flaw.under(".tools") from None


def items_of(value: str | list[JsonObject] | None) -> tuple[JsonObject, ...]:
    """The items of a checked ``input``; a string is one user message."""
    if not value:
        return ()
    if isinstance(value, list):
        return tuple(value)
    part = {"type": "input_text", "text": value}
    return ({"type": "message", "role": "user", "status": "completed", "content": [part]},)


def _check_state(fields: Mapping[str, Any], items: tuple[JsonObject, ...], *, needs_input: bool) -> None:
    if "previous_response_id" in fields and "conversation" in fields:
        # The empty name and the shortened one are OpenAI's.
        raise InvalidRequest(
            "Mutually exclusive parameters: ''. Ensure you are only providing one of: 'pre..._id' or 'conversation'.",
            code="mutually_exclusive_parameters",
        )
    if needs_input and not items and not any(name in fields for name in STATE):
        raise InvalidRequest(
            "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation' must be provided.",
            code="missing_required_parameter",
        )


def _check_support(fields: Mapping[str, Any]) -> None:
    for name, remedy in REFUSED.items():
        if name in fields:
            raise unsupported(name, remedy)


def _turn(
    fields: Mapping[str, Any], items: tuple[JsonObject, ...], given: frozenset[str], *, generate: bool
) -> TurnRequest:
    return TurnRequest(
        model=fields.get("model", ""),
        input=items,
        instructions=fields.get("instructions"),
        previous_response_id=fields.get("previous_response_id"),
        conversation=_conversation_id(fields.get("conversation")),
        prompt=fields.get("prompt"),
        given=given,
        store=fields["store"],
        background=fields["background"],
        stream=fields["stream"],
        generate=generate,
        include=frozenset(fields["include"]),
        include_obfuscation=fields.get("stream_options", {}).get("include_obfuscation", True),
        tools=tuple(fields["tools"]),
        tool_choice=fields["tool_choice"],
        parallel_tool_calls=fields["parallel_tool_calls"],
        max_tool_calls=fields.get("max_tool_calls"),
        max_output_tokens=fields.get("max_output_tokens"),
        temperature=fields.get("temperature"),
        top_p=fields.get("top_p"),
        top_logprobs=fields.get("top_logprobs"),
        presence_penalty=fields.get("presence_penalty"),
        frequency_penalty=fields.get("frequency_penalty"),
        text=fields["text"],
        reasoning=reasoning_of(fields["reasoning"]),
        truncation=fields["truncation"],
        context_management=tuple(fields["context_management"]),
        metadata=fields["metadata"],
        service_tier=fields.get("service_tier"),
        user=fields.get("user"),
        safety_identifier=fields.get("safety_identifier"),
        prompt_cache_key=fields.get("prompt_cache_key"),
        prompt_cache_retention=fields.get("prompt_cache_retention"),
        not_applied=_not_applied(fields),
    )


def _conversation_id(value: str | dict[str, str] | None) -> str | None:
    return value["id"] if isinstance(value, dict) else value


def reasoning_of(reasoning: JsonObject) -> JsonObject:
    """A checked ``reasoning`` without the field's deprecated names."""
    # The deprecated name of `summary`; the newer one wins.
    if "generate_summary" not in reasoning:
        return reasoning
    renamed = {"summary": reasoning["generate_summary"], **reasoning}
    del renamed["generate_summary"]
    return renamed


def _not_applied(fields: Mapping[str, Any]) -> tuple[str, ...]:
    names = []
    # The limit counts calls of tools that the upstream runs; without such a tool there is nothing to count.
    if "max_tool_calls" in fields and not any(tool["type"] in HOSTED_TOOLS for tool in fields["tools"]):
        names.append("max_tool_calls")
    if "client_metadata" in fields:
        names.append("client_metadata")
    return tuple(names)
