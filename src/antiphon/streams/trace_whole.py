"""
The trace of a response whose answer came in one piece: nobody was sent a stream, so there is nothing to be kept.

Its stream is the one that a whole reply makes: each text is one delta. See :mod:`antiphon.streams.trace`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from antiphon.hub import events as e
from antiphon.hub.items import JsonObject
from antiphon.streams.trace_cuts import pack
from antiphon.streams.trace_rules import CODES, VERSION

__all__ = ["trace_of_whole"]

_CODE = {kind: code for code, kind in enumerate(CODES)}

# A part's text, the letter of its deltas and the event that says that it is whole.
_PARTS: dict[str, tuple[str, str, type[e.Event]]] = {
    "output_text": ("text", "t", e.OutputTextDone),
    "refusal": ("refusal", "r", e.RefusalDone),
    "reasoning_text": ("text", "h", e.ReasoningTextDone),
    "summary_text": ("text", "s", e.ReasoningSummaryTextDone),
}
_CALLS: dict[str, tuple[str, str, type[e.Event]]] = {
    "function_call": ("arguments", "a", e.FunctionCallArgumentsDone),
    "custom_tool_call": ("input", "i", e.CustomToolCallInputDone),
}


def trace_of_whole(response: JsonObject) -> list[Any]:
    """What to give :func:`antiphon.streams.trace.replay` for a response that was stored without a trace."""
    begun = (e.ResponseCreated, e.ResponseQueued, e.ResponseInProgress) if response["background"] else _FOREGROUND
    operations: list[Any] = [_CODE[kind] for kind in begun]
    for item in response["output"]:
        operations += _item(item)
    return [VERSION, len(operations), {}, *operations]


_FOREGROUND = (e.ResponseCreated, e.ResponseInProgress)


def _item(item: JsonObject) -> Iterator[Any]:
    yield _CODE[e.OutputItemAdded]
    for part in item.get("summary") or ():
        yield from _part(part, e.ReasoningSummaryPartAdded, e.ReasoningSummaryPartDone)
    content = item.get("content")
    for part in content if isinstance(content, list) else ():
        yield from _part(part, e.ContentPartAdded, e.ContentPartDone)
    if item["type"] in _CALLS:
        yield from _text(item, *_CALLS[item["type"]])
    yield _CODE[e.OutputItemDone]


def _part(part: JsonObject, added: type[e.Event], done: type[e.Event]) -> Iterator[Any]:
    yield _CODE[added]
    if part["type"] in _PARTS:
        yield from _text(part, *_PARTS[part["type"]])
    yield _CODE[done]


def _text(body: JsonObject, name: str, letter: str, done: type[e.Event]) -> Iterator[Any]:
    text, logprobs = body.get(name) or "", body.get("logprobs") or ()
    if logprobs:
        yield "l" + pack([len(text), len(logprobs)])
    elif text:
        yield letter + pack([len(text)])
    for _ in body.get("annotations") or ():
        yield _CODE[e.AnnotationAdded]
    yield _CODE[done]
