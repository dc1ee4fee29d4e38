"""
Semantic events: what a Responses stream says, one struct per event type.

An event does not carry its ``sequence_number``: the number is its place in the stream and is written by the encoder.
Fields are those of the wire (OpenAI's OpenAPI document, ``ResponseStreamEvent``), in its order. A provider's decoder
yields events of items and parts and closes with one :class:`ReplyEnd`; the events of the response's own life
(created … completed) are made by the gateway, because only it knows the whole response.
"""

from __future__ import annotations

from typing import Literal, cast

import msgspec

from antiphon.hub.items import JsonObject, Private, copied
from antiphon.hub.usage import Usage

__all__ = [
    "AnnotationAdded",
    "ContentPartAdded",
    "ContentPartDone",
    "CustomToolCallInputDelta",
    "CustomToolCallInputDone",
    "Event",
    "FunctionCallArgumentsDelta",
    "FunctionCallArgumentsDone",
    "LifecycleEvent",
    "OtherEvent",
    "OutputItemAdded",
    "OutputItemDone",
    "OutputTextDelta",
    "OutputTextDone",
    "ReasoningSummaryPartAdded",
    "ReasoningSummaryPartDone",
    "ReasoningSummaryTextDelta",
    "ReasoningSummaryTextDone",
    "ReasoningTextDelta",
    "ReasoningTextDone",
    "RefusalDelta",
    "RefusalDone",
    "ReplyEnd",
    "ResponseCompleted",
    "ResponseCreated",
    "ResponseFailed",
    "ResponseInProgress",
    "ResponseIncomplete",
    "ResponseQueued",
    "body_of",
    "event_of",
    "terminal_event",
    "type_of",
]


class Event(msgspec.Struct, frozen=True, tag_field="type"):
    """The root of all events."""


class LifecycleEvent(Event, frozen=True):
    """An event of the response's own life; it carries the whole response as it is at that moment."""

    response: JsonObject


class ResponseCreated(LifecycleEvent, frozen=True, tag="response.created"):
    """Always the first event."""


class ResponseQueued(LifecycleEvent, frozen=True, tag="response.queued"):
    """A background response waits."""


class ResponseInProgress(LifecycleEvent, frozen=True, tag="response.in_progress"):
    """The model has been asked."""


class ResponseCompleted(LifecycleEvent, frozen=True, tag="response.completed"):
    """Terminal: whole."""


class ResponseFailed(LifecycleEvent, frozen=True, tag="response.failed"):
    """Terminal: ``response.error`` says why. Also ends a cancelled stream (status ``cancelled``)."""


class ResponseIncomplete(LifecycleEvent, frozen=True, tag="response.incomplete"):
    """Terminal: cut short, ``response.incomplete_details.reason`` says why."""


class OutputItemAdded(Event, frozen=True, tag="response.output_item.added"):
    """An item opens."""

    output_index: int
    item: JsonObject


class OutputItemDone(Event, frozen=True, tag="response.output_item.done"):
    """An item is whole. ``private`` stays inside the gateway: no encoder writes it."""

    output_index: int
    item: JsonObject
    private: Private | None = None


class ContentPartAdded(Event, frozen=True, tag="response.content_part.added"):
    """A part of an item's content opens."""

    item_id: str
    output_index: int
    content_index: int
    part: JsonObject


class ContentPartDone(Event, frozen=True, tag="response.content_part.done"):
    """A part is whole."""

    item_id: str
    output_index: int
    content_index: int
    part: JsonObject


class OutputTextDelta(Event, frozen=True, tag="response.output_text.delta"):
    """A piece of the model's text."""

    item_id: str
    output_index: int
    content_index: int
    delta: str
    logprobs: tuple[JsonObject, ...] = ()


class OutputTextDone(Event, frozen=True, tag="response.output_text.done"):
    """The whole text of a part."""

    item_id: str
    output_index: int
    content_index: int
    text: str
    logprobs: tuple[JsonObject, ...] = ()


class AnnotationAdded(Event, frozen=True, tag="response.output_text.annotation.added"):
    """A citation in a text."""

    item_id: str
    output_index: int
    content_index: int
    annotation_index: int
    annotation: JsonObject


class RefusalDelta(Event, frozen=True, tag="response.refusal.delta"):
    """A piece of a refusal."""

    item_id: str
    output_index: int
    content_index: int
    delta: str


class RefusalDone(Event, frozen=True, tag="response.refusal.done"):
    """A whole refusal."""

    item_id: str
    output_index: int
    content_index: int
    refusal: str


class FunctionCallArgumentsDelta(Event, frozen=True, tag="response.function_call_arguments.delta"):
    """A piece of a function call's JSON arguments."""

    item_id: str
    output_index: int
    delta: str


class FunctionCallArgumentsDone(Event, frozen=True, tag="response.function_call_arguments.done"):
    """A function call's whole arguments."""

    item_id: str
    output_index: int
    arguments: str
    name: str


class CustomToolCallInputDelta(Event, frozen=True, tag="response.custom_tool_call_input.delta"):
    """A piece of a custom tool call's free-form input."""

    item_id: str
    output_index: int
    delta: str


class CustomToolCallInputDone(Event, frozen=True, tag="response.custom_tool_call_input.done"):
    """A custom tool call's whole input."""

    item_id: str
    output_index: int
    input: str


class ReasoningTextDelta(Event, frozen=True, tag="response.reasoning_text.delta"):
    """A piece of raw reasoning."""

    item_id: str
    output_index: int
    content_index: int
    delta: str


class ReasoningTextDone(Event, frozen=True, tag="response.reasoning_text.done"):
    """The whole raw reasoning of a part."""

    item_id: str
    output_index: int
    content_index: int
    text: str


class ReasoningSummaryPartAdded(Event, frozen=True, tag="response.reasoning_summary_part.added"):
    """A part of a reasoning summary opens."""

    item_id: str
    output_index: int
    summary_index: int
    part: JsonObject


class ReasoningSummaryPartDone(Event, frozen=True, tag="response.reasoning_summary_part.done"):
    """A part of a reasoning summary is whole."""

    item_id: str
    output_index: int
    summary_index: int
    part: JsonObject


class ReasoningSummaryTextDelta(Event, frozen=True, tag="response.reasoning_summary_text.delta"):
    """A piece of a reasoning summary."""

    item_id: str
    output_index: int
    summary_index: int
    delta: str


class ReasoningSummaryTextDone(Event, frozen=True, tag="response.reasoning_summary_text.done"):
    """The whole text of a part of a reasoning summary."""

    item_id: str
    output_index: int
    summary_index: int
    text: str


class OtherEvent(msgspec.Struct, frozen=True):
    """An event that this version has no struct for (hosted tools). It rides along with its fields untouched."""

    type: str
    fields: JsonObject


class ReplyEnd(msgspec.Struct, frozen=True, kw_only=True):
    """
    The upstream said that its answer ends here. Not an event of the wire: the gateway makes the terminal event of it.

    Attributes:
        status: What the turn has become.
        incomplete_reason: ``max_output_tokens`` or ``content_filter``, for status incomplete.
        usage: None where the upstream reported none.
        model: The model's name as the upstream reported it, or None.
        service_tier: The tier that the upstream reported, or None.
        stop_sequence: Which of the texts at which the model was to stop it has come to; None if to none, or if the
            upstream does not say.
    """

    status: Literal["completed", "incomplete"]
    incomplete_reason: str | None = None
    usage: Usage | None = None
    model: str | None = None
    service_tier: str | None = None
    stop_sequence: str | None = None


def type_of(event: Event | OtherEvent) -> str:
    """The wire's ``type`` of an event."""
    if isinstance(event, OtherEvent):
        return event.type
    tag = event.__struct_config__.tag
    assert isinstance(tag, str)
    return tag


def terminal_event(response: JsonObject) -> LifecycleEvent:
    """The event that a stream ends with, by the status of its response."""
    match response["status"]:
        case "completed":
            return ResponseCompleted(response)
        case "incomplete":
            return ResponseIncomplete(response)
        case _:
            return ResponseFailed(response)


def copy_of(event: Event | OtherEvent) -> Event | OtherEvent:
    """The event for somebody who may change what is in it; itself, if nothing in it can be changed."""
    changes: JsonObject = {}
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if isinstance(value, Private):
            changes[name] = msgspec.structs.replace(value, data=copied(value.data))
        elif value and type(value) in _CHANGEABLE:
            changes[name] = copied(value)
    return msgspec.structs.replace(event, **changes) if changes else event


def body_of(event: Event | OtherEvent) -> JsonObject:
    """An event as a JSON object, to be kept: its type, its fields and what is private to its provider."""
    if isinstance(event, OtherEvent):
        return {"type": event.type, **event.fields}
    return cast(JsonObject, msgspec.to_builtins(event))


def event_of(body: JsonObject) -> Event | OtherEvent:
    """The event that :func:`body_of` was given."""
    known = _BY_TYPE.get(body["type"])
    if known is None:
        return OtherEvent(body["type"], {name: value for name, value in body.items() if name != "type"})
    return msgspec.convert(body, known)


# What an event holds of JSON; a tuple may hold what can be changed.
_CHANGEABLE = frozenset({dict, list, tuple})


def _tagged(kind: type[Event]) -> dict[str, type[Event]]:
    found = {tag: kind} if isinstance(tag := kind.__struct_config__.tag, str) else {}
    for narrower in kind.__subclasses__():
        found |= _tagged(narrower)
    return found


_BY_TYPE = {tag: kind for tag, kind in _tagged(Event).items() if tag.startswith("response.")}
