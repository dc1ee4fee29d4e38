"""
The response object: what is known when a turn begins, how it looks at each moment, and what of it is stored.

The set of fields and their order are those of OpenAI's wire. A response is a plain JSON object from the first event on:
:func:`opening_response` makes it once per turn, :func:`render` gives the body for a moment of its life without touching
what it was given. Stored is only what differs from the defaults of a numbered version (:func:`compact`,
:func:`expand`), so that a thousand ordinary turns do not keep a thousand copies of the same thirty fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from antiphon.hub.errors import StoreCorrupt
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import TurnRequest
from antiphon.hub.usage import Usage

__all__ = ["TERMINAL", "compact", "expand", "opening_response", "render"]

TERMINAL = frozenset({"completed", "incomplete", "failed", "cancelled"})


def opening_response(
    request: TurnRequest,
    *,
    id: str,  # noqa: A002  the field's own name, as in the body
    created_at: int,
    model: str,
    conversation_id: str | None,
) -> JsonObject:
    """The response of a turn that has just begun: status ``in_progress``, no output, every setting echoed."""
    body: JsonObject = {
        "id": id,
        "object": "response",
        "created_at": created_at,
        "status": "in_progress",
        "background": request.background,
        "completed_at": None,
    }
    if conversation_id is not None:
        body["conversation"] = {"id": conversation_id}
    body.update(_settings(request, model))
    return body


def render(
    base: JsonObject,
    *,
    status: str,
    output: Sequence[JsonObject],
    usage: Usage | None = None,
    error: JsonObject | None = None,
    incomplete_reason: str | None = None,
    completed_at: int | None = None,
    model: str | None = None,
    service_tier: str | None = None,
) -> JsonObject:
    """
    The response as it is at one moment.

    Args:
        base: What :func:`opening_response` made.
        status: Any of the API's; terminal bodies also say who pays.
        output: The items so far; the list is copied, the items are not.
        usage: Shown once the response is terminal, null before.
        error: ``{"code", "message"}`` of a failed turn.
        incomplete_reason: ``max_output_tokens`` or ``content_filter``, for status ``incomplete``.
        completed_at: Taken only with status ``completed``: the other ends have no such time.
        model: The name that the upstream reported; None keeps the one of *base*.
        service_tier: The tier that the upstream reported; None is ``default`` once the response is terminal.
    """
    ended = status in TERMINAL
    body = dict(base)
    body["status"] = status
    body["output"] = list(output)
    body["completed_at"] = completed_at if status == "completed" else None
    body["error"] = error
    body["incomplete_details"] = {"reason": incomplete_reason} if incomplete_reason is not None else None
    body["usage"] = usage.body() if usage is not None and ended else None
    body["service_tier"] = (service_tier or "default") if ended else "auto"
    if model is not None:
        body["model"] = model
    if ended:
        body["billing"] = _billing()
    return body


def compact(response: JsonObject) -> JsonObject:
    """What has to be stored of a response, without its output: :func:`expand` gives back the rest."""
    kept: JsonObject = {"v": _VERSION}
    names = tuple(response)
    if names != _names(response):
        kept["names"] = names
    default_of = _DEFAULTS.get
    for name, value in response.items():
        if value is not default_of(name, _ABSENT) and name != "output" and not _is_default(name, value):
            kept[name] = value
    return kept


def expand(compacted: JsonObject) -> JsonObject:
    """
    The response that :func:`compact` was given, with an empty output in its place.

    Raises:
        StoreCorrupt: The version is one that this software does not know.
    """
    if compacted.get("v") != _VERSION:
        raise StoreCorrupt(f"A stored response has the unknown version {compacted.get('v')!r}.")
    names = compacted.get("names") or _names(compacted)
    return {name: compacted[name] if name in compacted else _default(name) for name in names}


def _settings(request: TurnRequest, model: str) -> JsonObject:
    """The fields behind ``completed_at``, in the order of the wire; a prompt only if one was used."""
    settings: JsonObject = {
        "error": None,
        "frequency_penalty": _or(request.frequency_penalty, 0.0),
        "incomplete_details": None,
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": request.max_tool_calls,
        "model": model,
        "moderation": None,
        "output": [],
        "parallel_tool_calls": request.parallel_tool_calls,
        "presence_penalty": _or(request.presence_penalty, 0.0),
        "previous_response_id": request.previous_response_id,
        "prompt_cache_key": request.prompt_cache_key,
        "prompt_cache_retention": request.prompt_cache_retention,
        "reasoning": {"effort": None, "summary": None, **request.reasoning},
        "safety_identifier": request.safety_identifier,
        "service_tier": "auto",
        "store": request.store,
        "temperature": _or(request.temperature, 1.0),
        "text": request.text,
        "tool_choice": request.tool_choice,
        "tool_usage": _tool_usage(),
        "tools": [_echoed(tool) for tool in request.tools],
        "top_logprobs": _or(request.top_logprobs, 0),
        "top_p": _or(request.top_p, 1.0),
        "truncation": request.truncation,
        "usage": None,
        "user": request.user,
        "metadata": request.metadata,
    }
    if request.prompt is not None:
        settings["prompt"] = request.prompt
    return settings


def _echoed(tool: JsonObject) -> JsonObject:
    """A tool as the response shows it: strictness that was not mentioned is the API's default."""
    if tool["type"] == "namespace":
        return {**tool, "tools": [_echoed(inner) for inner in tool["tools"]]}
    return {**tool, "strict": True} if tool["type"] == "function" and tool.get("strict") is None else tool


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _tool_usage() -> JsonObject:
    return {
        "image_gen": {
            "input_tokens": 0,
            "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
            "output_tokens": 0,
            "output_tokens_details": {"image_tokens": 0, "text_tokens": 0},
            "total_tokens": 0,
        },
        "web_search": {"num_requests": 0},
    }


def _billing() -> JsonObject:
    return {"payer": "developer"}


def _default(name: str) -> Any:
    """A default that the caller may change without changing it for everybody."""
    value = _DEFAULTS[name]
    return orjson.loads(orjson.dumps(value)) if isinstance(value, dict | list) else value


def _is_default(name: str, value: Any) -> bool:
    """Whether a field says what the default says. Exact: 1, 1.0 and True are three different things on the wire."""
    default = _DEFAULTS.get(name, _ABSENT)
    if type(value) is not type(default) or value != default:
        return False
    return name not in _DEFAULT_BYTES or orjson.dumps(value) == _DEFAULT_BYTES[name]


_VERSION = 1

# Version 1. Never changed: a new set of defaults is a new version, and expand() goes on reading this one.
_ALWAYS_STORED = ("id", "created_at", "status", "model")
_ABSENT = object()
_DEFAULTS: JsonObject = {
    name: value
    for name, value in {
        "object": "response",
        "background": False,
        "completed_at": None,
        **_settings(TurnRequest(model=""), ""),
        "service_tier": "default",
        "billing": _billing(),
    }.items()
    if name not in _ALWAYS_STORED
}
# Of defaults in which 1 could stand for 1.0 or True.
_DEFAULT_BYTES = {name: orjson.dumps(value) for name, value in _DEFAULTS.items() if isinstance(value, dict | list)}
_SETTING_NAMES = tuple(_settings(TurnRequest(model=""), ""))


def _names(response: JsonObject) -> tuple[str, ...]:
    """The names of the fields of a response with this status and these optional fields, in the order of the wire."""
    return _NAMES[response.get("status") in TERMINAL, "conversation" in response, "prompt" in response]


_NAMES = {
    (terminal, conversation, prompt): (
        *("id", "object", "created_at", "status", "background", "completed_at"),
        *(("conversation",) if conversation else ()),
        *_SETTING_NAMES,
        *(("prompt",) if prompt else ()),
        *(("billing",) if terminal else ()),
    )
    for terminal in (False, True)
    for conversation in (False, True)
    for prompt in (False, True)
}
