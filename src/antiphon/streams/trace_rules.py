"""
What follows from a stored response, event by event: the rules that writing and replaying a trace have in common.

An item's final body says nearly everything that was said on the way to it: the item as it was added has the same
fields in the same order, in progress and empty; a part's text is that of its done event. :func:`derive` is that guess,
:func:`changes` is where an event differs from it, :func:`restore` puts the two together again.

The rules of a version never change, because what they say is not stored. Where they guess wrong a trace becomes
longer, never wrong. Another guess for the same events is another version.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import is_
from typing import Any, NamedTuple, TypeAlias

import msgspec
from msgspec.structs import astuple

from antiphon.hub import events as e
from antiphon.hub.items import JsonObject
from antiphon.streams.trace_bodies import amend, difference, same

__all__ = [
    "CODES",
    "DELTAS",
    "FIELDS",
    "LETTERS",
    "PLACED",
    "TEXT_OF",
    "TYPES",
    "UNKNOWN",
    "VERSION",
    "Cursor",
    "Place",
    "changes",
    "delta_of",
    "derive",
    "holder",
    "opening",
    "place_of",
    "restore",
    "tag_of",
    "text_of",
]

VERSION = 1

# Where an event belongs: the item, the part within its content or summary, the annotation within the part.
Place: TypeAlias = tuple[int, int, int]


def tag_of(kind: type[Any]) -> str:
    """The wire's ``type`` of events of this kind."""
    return str(kind.__struct_config__.tag)


# The number of a derived event in a trace is its place in this list. New ones are added at the end.
CODES: tuple[type[e.Event], ...] = (
    e.ResponseCreated,
    e.ResponseQueued,
    e.ResponseInProgress,
    e.OutputItemAdded,
    e.OutputItemDone,
    e.ContentPartAdded,
    e.ContentPartDone,
    e.OutputTextDone,
    e.AnnotationAdded,
    e.RefusalDone,
    e.FunctionCallArgumentsDone,
    e.CustomToolCallInputDone,
    e.ReasoningTextDone,
    e.ReasoningSummaryPartAdded,
    e.ReasoningSummaryPartDone,
    e.ReasoningSummaryTextDone,
)

# The first character of a run of deltas. `l` are deltas of text that carry log probabilities.
LETTERS: dict[str, type[e.Event]] = {
    "t": e.OutputTextDelta,
    "l": e.OutputTextDelta,
    "r": e.RefusalDelta,
    "h": e.ReasoningTextDelta,
    "s": e.ReasoningSummaryTextDelta,
    "a": e.FunctionCallArgumentsDelta,
    "i": e.CustomToolCallInputDelta,
}
DELTAS: dict[type[e.Event], str] = {kind: letter for letter, kind in LETTERS.items() if letter != "l"}

_TERMINAL: tuple[type[e.Event], ...] = (e.ResponseCompleted, e.ResponseIncomplete, e.ResponseFailed)
_ALL: tuple[type[e.Event], ...] = (*CODES, *DELTAS, *_TERMINAL)
TYPES: dict[str, type[e.Event]] = {tag_of(kind): kind for kind in _ALL}
FIELDS = {kind: tuple(name for name in kind.__struct_fields__ if name != "private") for kind in TYPES.values()}

# Under which name a part or a call, and its done event, have what its deltas come to.
TEXT_OF: dict[type[e.Event], str] = {
    e.OutputTextDelta: "text",
    e.RefusalDelta: "refusal",
    e.ReasoningTextDelta: "text",
    e.ReasoningSummaryTextDelta: "text",
    e.FunctionCallArgumentsDelta: "arguments",
    e.CustomToolCallInputDelta: "input",
}
_DELTA_OF: dict[type[e.Event], type[e.Event]] = {
    e.OutputTextDone: e.OutputTextDelta,
    e.RefusalDone: e.RefusalDelta,
    e.ReasoningTextDone: e.ReasoningTextDelta,
    e.ReasoningSummaryTextDone: e.ReasoningSummaryTextDelta,
    e.FunctionCallArgumentsDone: e.FunctionCallArgumentsDelta,
    e.CustomToolCallInputDone: e.CustomToolCallInputDelta,
}
# The fields that are bodies: JSON objects, which are compared field by field.
_BODIES = frozenset({"response", "item", "part", "annotation"})

# In place of a field that does not follow.
UNKNOWN: Any = object()


class Cursor:
    """Follows a stream's places, so that only a place that nobody would expect has to be named."""

    def __init__(self) -> None:
        self._output_index = 0
        self._part = 0
        self._next: dict[object, int] = {}

    def expected(self, kind: type[e.Event]) -> Place:
        """Where the next event belongs if it is of this kind: new items, parts and annotations count up."""
        output_index, part = self._output_index, self._part
        if kind is e.OutputItemAdded:
            return self._next.get(kind, 0), 0, 0
        if kind is e.ContentPartAdded or kind is e.ReasoningSummaryPartAdded:
            return output_index, self._next.get((kind, output_index), 0), 0
        if kind is e.AnnotationAdded:
            return output_index, part, self._next.get((output_index, part), 0)
        return output_index, part if _SHAPES[kind].kept_in else 0, 0

    def move(self, kind: type[e.Event], place: Place) -> None:
        """An event of this kind has been at *place*."""
        self._output_index, self._part, nth = output_index, part, _ = place
        if kind is e.OutputItemAdded:
            self._next[kind] = output_index + 1
        elif kind is e.ContentPartAdded or kind is e.ReasoningSummaryPartAdded:
            self._next[kind, output_index] = part + 1
        elif kind is e.AnnotationAdded:
            self._next[output_index, part] = nth + 1


def place_of(event: Any) -> Place:
    """The place of an event of one of the kinds in :data:`PLACED`."""
    kept_in = _SHAPES[type(event)].kept_in
    if kept_in is None:
        return event.output_index, 0, 0
    part = event.content_index if kept_in == "content" else event.summary_index
    return event.output_index, part, event.annotation_index if type(event) is e.AnnotationAdded else 0


def delta_of(kind: type[e.Event]) -> type[e.Event] | None:
    """The deltas that a done event of this kind sums up; None for other events."""
    return _DELTA_OF.get(kind)


def holder(kind: type[e.Event], body: JsonObject | None, part: int) -> JsonObject | None:
    """What an event of this kind is about: the item with this *body*, or one of its parts. None if it is not there."""
    kept_in = _SHAPES[kind].kept_in
    if kept_in is None or body is None:
        return body
    parts = body.get(kept_in)
    held = parts[part] if isinstance(parts, list) and 0 <= part < len(parts) else None
    return held if isinstance(held, dict) else None


def text_of(kind: type[e.Event], held: JsonObject | None) -> str | None:
    """What deltas of this kind come to in the end, from their :func:`holder`."""
    text = held.get(TEXT_OF[kind]) if held is not None else None
    return text if isinstance(text, str) else None


def opening(response: JsonObject) -> JsonObject:
    """How a response that has ended was shown when it began."""
    begun: JsonObject = {
        "status": "in_progress",
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "output": [],
        "service_tier": "auto",
        "usage": None,
    }
    shown = dict(response)
    shown.pop("billing", None)
    shown.update({name: value for name, value in begun.items() if name in shown})
    return shown


def derive(kind: type[e.Event], body: JsonObject | None, place: Place) -> tuple[Any, ...]:
    """
    What the fields of an event of this kind are expected to be, in their order.

    Args:
        body: The final body of the item that it is about; for an event of the response's life, the response as it
            began. None where there is none: nothing but the place follows.

    Returns:
        :data:`UNKNOWN` for each field that does not follow.
    """
    shape = _SHAPES[kind]
    expected: tuple[Any, ...] = place[: shape.indices]
    if shape.names_item:
        expected = (UNKNOWN if body is None else body.get("id", UNKNOWN), *expected)
    held = holder(kind, body, place[1])
    if held is not None and shape.rule is not None:
        expected += shape.rule(held, place[2])
    missing = shape.fields - len(expected)
    return expected + (UNKNOWN,) * missing if missing else expected


def changes(event: e.Event, derived: tuple[Any, ...]) -> JsonObject:
    """What has to be said so that :func:`restore` can make *event* of what was derived. Empty: nothing."""
    changed: JsonObject = {}
    if all(map(is_, astuple(event), derived)):  # as it is for nearly all done events of our own decoders
        return changed
    for name, expected in zip(FIELDS[type(event)], derived, strict=True):
        said = getattr(event, name)
        if said is expected:
            continue
        if name in _BODIES:
            if change := difference(said, expected):
                changed[name] = change
        elif not same(said, expected):
            changed[name] = said
    return changed


def restore(kind: type[e.Event], changed: JsonObject, derived: tuple[Any, ...]) -> e.Event:
    """
    The event again.

    Raises:
        LookupError, TypeError, ValueError: It does not follow from these two.
    """
    if not changed:
        if UNKNOWN in derived:
            raise LookupError("An event does not follow from its item.")
        return kind(*derived)
    fields: JsonObject = {}
    for name, expected in zip(FIELDS[kind], derived, strict=True):
        change = changed.get(name, UNKNOWN)
        if change is UNKNOWN:
            fields[name] = expected
        else:
            fields[name] = amend(change, expected) if name in _BODIES else change
    return msgspec.convert({"type": tag_of(kind), **fields}, kind)


# What follows from what an event is about: the item or its part, or the response. None of them changes it.
_Rule: TypeAlias = Callable[[JsonObject, int], tuple[Any, ...]]


def _whole(held: JsonObject, _: int) -> tuple[Any, ...]:
    return (held,)


def _item_added(body: JsonObject, _: int) -> tuple[Any, ...]:
    shown = dict(body)
    if "status" in shown:
        shown["status"] = "in_progress"
    match body.get("type"):
        case "message" if "content" in shown:
            shown["content"] = []
        case "reasoning":
            shown.pop("content", None)  # comes with its first part
            if "summary" in shown:
                shown["summary"] = []
        case "function_call" if "arguments" in shown:
            shown["arguments"] = ""
        case "custom_tool_call" if "input" in shown:
            shown["input"] = ""
    return (shown,)


def _part_added(part: JsonObject, _: int) -> tuple[Any, ...]:
    empty: JsonObject = {"text": "", "refusal": "", "annotations": [], "logprobs": []}
    return ({name: empty.get(name, value) for name, value in part.items()},)


def _annotation(part: JsonObject, nth: int) -> tuple[Any, ...]:
    annotations = part.get("annotations")
    return (annotations[nth],) if isinstance(annotations, list) and 0 <= nth < len(annotations) else ()


def _text_done(part: JsonObject, _: int) -> tuple[Any, ...]:
    logprobs = part.get("logprobs")
    return part.get("text", UNKNOWN), tuple(logprobs) if isinstance(logprobs, list) else ()


def _in_status(status: str) -> _Rule:
    def rule(begun: JsonObject, _: int) -> tuple[Any, ...]:
        return (begun if begun.get("status") == status else {**begun, "status": status},)

    return rule


def _saying(*names: str) -> _Rule:
    """For done events that say what their part or call says under the same names."""

    def rule(held: JsonObject, _: int) -> tuple[Any, ...]:
        return tuple([held.get(name, UNKNOWN) for name in names])

    return rule


_RULES: dict[type[e.Event], _Rule] = {
    e.ResponseCreated: _whole,
    e.ResponseQueued: _in_status("queued"),
    e.ResponseInProgress: _in_status("in_progress"),
    e.OutputItemAdded: _item_added,
    e.OutputItemDone: _whole,
    e.ContentPartAdded: _part_added,
    e.ContentPartDone: _whole,
    e.OutputTextDone: _text_done,
    e.AnnotationAdded: _annotation,
    e.RefusalDone: _saying("refusal"),
    e.FunctionCallArgumentsDone: _saying("arguments", "name"),
    e.CustomToolCallInputDone: _saying("input"),
    e.ReasoningTextDone: _saying("text"),
    e.ReasoningSummaryPartAdded: _part_added,
    e.ReasoningSummaryPartDone: _whole,
    e.ReasoningSummaryTextDone: _saying("text"),
}


class _Shape(NamedTuple):
    """
    What there is to know of a kind of event.

    Attributes:
        fields: How many of its fields leave the gateway.
        names_item: Whether the first of them is the id of the item.
        indices: How many numbers of its place come next.
        kept_in: Which list of the item has the part that it is about; None: it is about the item itself.
        rule: What follows for the other fields.
    """

    fields: int
    names_item: bool
    indices: int
    kept_in: str | None
    rule: _Rule | None


def _shape(kind: type[e.Event]) -> _Shape:
    fields = FIELDS[kind]
    return _Shape(
        fields=len(fields),
        names_item="item_id" in fields,
        indices=sum(name.endswith("_index") for name in fields),
        kept_in="content" if "content_index" in fields else "summary" if "summary_index" in fields else None,
        rule=_RULES.get(kind),
    )


_SHAPES = {kind: _shape(kind) for kind in FIELDS}
PLACED = frozenset(kind for kind, shape in _SHAPES.items() if shape.indices)
