"""
``POST /v1/chat/completions``: the table of every field, and the way from a body to a turn's request.

The order of checks is OpenAI's, as measured: ``model``, the presence of ``messages``, unknown keys, the fields in the
order of the table, the content of messages, then what depends on several fields. What this gateway cannot do is refused
by name at the very end, so that a request is never called unsupported because of a field that is wrong anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from antiphon.formats.chat.messages import MESSAGES, check_contents
from antiphon.formats.chat.settings import (
    LOGPROBS,
    SAMPLING,
    check_model,
    check_stream_options,
    refuse_biased,
    refuse_choices,
    sampling_of,
)
from antiphon.formats.chat.stored import with_origin
from antiphon.formats.chat.tools import (
    TOOL_CHOICE,
    TOOLS,
    WEB_SEARCH,
    hub_choice,
    hub_tools,
    web_search_tool,
)
from antiphon.formats.chat.transcript import Transcript
from antiphon.formats.checks.common import unsupported
from antiphon.formats.checks.flaw import Flaw, missing
from antiphon.formats.checks.schema import Anything, Arr, Bool, ByType, Enum, Field, Int, Obj, Str, Tagged
from antiphon.hub.errors import InvalidRequest
from antiphon.hub.format import DialectTurn
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import TurnRequest

__all__ = ["FIELDS", "REFUSED", "REQUEST", "decode"]

_FREE_OBJECT = Obj(fields={}, extra="keep")
_FREE_OBJECTS = Arr(item=_FREE_OBJECT, expected="an array of function definitions")

_SCHEMA = Obj(
    fields={
        "name": Field(schema=Str(min_length=1, max_length=64, pattern="^[a-zA-Z0-9_-]+$"), required=True),
        "description": Field(schema=Str()),
        "schema": Field(schema=ByType(cases={dict: Anything()}, expected="an object"), required=True),
        "strict": Field(schema=Bool(), default=False),
    },
)


def _format(tag: str, **members: Field) -> Obj:
    return Obj(fields={"type": Field(schema=Enum((tag,)), required=True), **members})


_RESPONSE_FORMAT = Tagged(
    variants={
        "json_object": _format("json_object"),
        "json_schema": _format("json_schema", json_schema=Field(schema=_SCHEMA, required=True)),
        "text": _format("text"),
    },
)

_TOKENS = Int(minimum=1)

# In the order in which OpenAI reports what is wrong; those without a measured place stand beside their like.
FIELDS: dict[str, Field] = {
    "model": Field(schema=Str(), required=True),
    "messages": Field(schema=MESSAGES, required=True),
    "functions": Field(schema=_FREE_OBJECTS),
    "function_call": Field(
        schema=ByType(cases={str: Enum(("none", "auto")), dict: _FREE_OBJECT}, expected="one of a string or object")
    ),
    "tools": Field(schema=TOOLS),
    "tool_choice": Field(schema=TOOL_CHOICE),
    "parallel_tool_calls": Field(schema=Bool(), default=True),
    "max_tokens": Field(schema=_TOKENS),
    "max_completion_tokens": Field(schema=_TOKENS),
    **{name: SAMPLING[name] for name in ("n", "stop", "temperature", "top_p", "presence_penalty")},
    "frequency_penalty": SAMPLING["frequency_penalty"],
    "logprobs": Field(schema=Bool(), default=False),
    "top_logprobs": Field(schema=Int(minimum=0, maximum=20)),
    "logit_bias": SAMPLING["logit_bias"],
    **{name: SAMPLING[name] for name in ("user", "seed", "safety_identifier")},
    "prompt_cache_options": Field(schema=_FREE_OBJECT, verbatim_only=True),
    **{name: SAMPLING[name] for name in ("prompt_cache_key", "prompt_cache_retention", "service_tier", "stream")},
    **{name: SAMPLING[name] for name in ("stream_options", "store", "metadata")},
    "prediction": Field(schema=_FREE_OBJECT),
    "verbosity": Field(schema=Enum(("low", "medium", "high")), default="medium"),
    "reasoning_effort": Field(schema=Enum(("none", "minimal", "low", "medium", "high", "xhigh", "max"))),
    "response_format": Field(schema=_RESPONSE_FORMAT, default={"type": "text"}),
    "modalities": Field(schema=Arr(item=Enum(("text", "audio")))),
    "audio": Field(schema=_FREE_OBJECT),
    "moderation": Field(schema=_FREE_OBJECT),
    "web_search_options": Field(schema=WEB_SEARCH),
}

REQUEST = Obj(fields=FIELDS)

# Valid fields that this gateway has nothing behind, each with what a caller can do instead.
REFUSED = {
    "functions": "Use 'tools'.",
    "function_call": "Use 'tool_choice'.",
    "prompt_cache_options": "Use 'prompt_cache_key', which is passed on to the upstream.",
    "audio": "Ask for text.",
    "moderation": "Leave it out and moderate the messages and the answer yourself.",
}

# Hints: an answer that was made without them is still an answer to the request.
_HINTS = ("seed", "prediction")


def decode(body: JsonObject, *, as_sent: JsonObject | None = None) -> DialectTurn:
    """
    Read a request, checked field by field.

    Args:
        as_sent: The client's own body, where *body* is what was left of it. A stored request is kept in its words.

    Raises:
        InvalidRequest: Names the first field that is wrong, in OpenAI's order of checks.
        UnsupportedParameter: Names a field that is known and cannot be served.
    """
    check_model(body)
    try:
        if body.get("messages") is None:
            raise missing("messages")
        fields = REQUEST.check(body)
    except Flaw as flaw:
        raise flaw.error() from None
    check_contents(fields["messages"])
    transcript = Transcript()
    ends = []
    for index, message in enumerate(fields["messages"]):
        transcript.feed(message, index)
        ends.append(len(transcript.items))
    items = transcript.finish()
    _check_together(fields)
    tools = _tools_of(fields)
    _check_support(fields)
    not_applied = (*transcript.not_applied, *(name for name in _HINTS if name in fields))
    request = _turn(fields, items, tools, not_applied)
    return DialectTurn(
        request=with_origin(request, as_sent or body, ends) if request.store else request,
        usage_in_stream=fields.get("stream_options", {}).get("include_usage", False),
    )


def _check_together(fields: Mapping[str, Any]) -> None:
    check_stream_options(fields)
    if "top_logprobs" in fields and not fields["logprobs"]:
        raise InvalidRequest(
            "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", param="top_logprobs"
        )
    if "max_tokens" in fields and "max_completion_tokens" in fields:
        raise InvalidRequest(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            param="max_tokens",
            code="invalid_parameter_combination",
        )
    if "tool_choice" in fields and "tools" not in fields:
        raise InvalidRequest(
            "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
            param="tool_choice",
        )


def _check_support(fields: Mapping[str, Any]) -> None:
    refuse_choices(fields, "n")
    refuse_biased(fields)
    if "audio" in fields.get("modalities", ()):
        raise unsupported("modalities", "Ask for 'text' alone.")
    for name, remedy in REFUSED.items():
        if name in fields:
            raise unsupported(name, remedy)


def _tools_of(fields: Mapping[str, Any]) -> tuple[JsonObject, ...]:
    try:
        tools = hub_tools(fields.get("tools", ()))
    except Flaw as flaw:
        raise flaw.under(".tools").error() from None
    if "web_search_options" in fields:
        tools += (web_search_tool(fields["web_search_options"]),)
    return tools


def _turn(
    fields: Mapping[str, Any],
    items: tuple[JsonObject, ...],
    tools: tuple[JsonObject, ...],
    not_applied: tuple[str, ...],
) -> TurnRequest:
    effort = fields.get("reasoning_effort")
    return TurnRequest(
        model=fields["model"],
        input=items,
        store=fields["store"],
        include=frozenset({LOGPROBS}) if fields["logprobs"] else frozenset(),
        tools=tools,
        tool_choice=hub_choice(fields.get("tool_choice", "auto")),
        parallel_tool_calls=fields["parallel_tool_calls"],
        max_output_tokens=fields.get("max_completion_tokens", fields.get("max_tokens")),
        top_logprobs=fields.get("top_logprobs"),
        text={"format": _text_format(fields["response_format"]), "verbosity": fields["verbosity"]},
        reasoning={} if effort is None else {"effort": effort},
        metadata=fields["metadata"],
        not_applied=not_applied,
        **sampling_of(fields),
    )


def _text_format(response_format: JsonObject) -> JsonObject:
    """Nested in chat, flat in the hub."""
    if response_format["type"] != "json_schema":
        return response_format
    return {"type": "json_schema", **response_format["json_schema"]}
