"""One stream with every kind of item and part in it, in order: for the order check and the accumulator."""

from __future__ import annotations

from typing import Any

from antiphon.hub import events as e
from antiphon.hub.items import JsonObject, Private

__all__ = ["DONE_BODIES", "PRIVATE", "good_stream", "item_events"]

PRIVATE = Private(provider="p", account="a", data={"signature": "s"})

_TEXT = {"type": "output_text", "text": "ab", "annotations": [{"type": "file_path"}], "logprobs": [{"token": "ab"}]}
_REFUSAL = {"type": "refusal", "refusal": "no"}
_THOUGHT = {"type": "reasoning_text", "text": "hm"}
_SUMMARY = {"type": "summary_text", "text": "in short"}

DONE_BODIES: list[JsonObject] = [
    {"id": "rs", "type": "reasoning", "status": "completed", "summary": [_SUMMARY], "content": [_THOUGHT]},
    {"id": "msg", "type": "message", "status": "completed", "content": [_TEXT, _REFUSAL], "role": "assistant"},
    {"id": "fc", "type": "function_call", "status": "completed", "arguments": "{}", "call_id": "c1", "name": "f"},
    {"id": "ctc", "type": "custom_tool_call", "status": "completed", "call_id": "c2", "input": "xy", "name": "c"},
    {"id": "mcp", "type": "mcp_call", "status": "completed", "name": "remote", "output": "done"},
    {"id": "ws", "type": "web_search_call", "status": "completed"},
]


def _opened(index: int, **fields: Any) -> e.OutputItemAdded:
    return e.OutputItemAdded(index, {**DONE_BODIES[index], "status": "in_progress", **fields})


def _done(index: int, private: Private | None = None) -> e.OutputItemDone:
    return e.OutputItemDone(index, DONE_BODIES[index], private)


def item_events() -> list[e.Event | e.OtherEvent]:
    """The events between those of the response's own life. The last two items overlap."""
    return [
        e.OutputItemAdded(0, {"id": "rs", "type": "reasoning", "status": "in_progress", "summary": []}),
        e.ReasoningSummaryPartAdded("rs", 0, 0, {"type": "summary_text", "text": ""}),
        e.ReasoningSummaryTextDelta("rs", 0, 0, "in "),
        e.ReasoningSummaryTextDelta("rs", 0, 0, "short"),
        e.ReasoningSummaryTextDone("rs", 0, 0, "in short"),
        e.ReasoningSummaryPartDone("rs", 0, 0, _SUMMARY),
        e.ContentPartAdded("rs", 0, 0, {"type": "reasoning_text", "text": ""}),
        e.ReasoningTextDelta("rs", 0, 0, "hm"),
        e.ReasoningTextDone("rs", 0, 0, "hm"),
        e.ContentPartDone("rs", 0, 0, _THOUGHT),
        _done(0, PRIVATE),
        _opened(1, content=[]),
        e.ContentPartAdded("msg", 1, 0, {"type": "output_text", "text": "", "annotations": [], "logprobs": []}),
        e.OutputTextDelta("msg", 1, 0, "a"),
        e.OutputTextDelta("msg", 1, 0, "b", ({"token": "ab"},)),
        e.AnnotationAdded("msg", 1, 0, 0, {"type": "file_path"}),
        e.OutputTextDone("msg", 1, 0, "ab", ({"token": "ab"},)),
        e.ContentPartDone("msg", 1, 0, _TEXT),
        e.ContentPartAdded("msg", 1, 1, {"type": "refusal", "refusal": ""}),
        e.RefusalDelta("msg", 1, 1, "no"),
        e.RefusalDone("msg", 1, 1, "no"),
        e.ContentPartDone("msg", 1, 1, _REFUSAL),
        _done(1),
        _opened(2, arguments=""),
        e.FunctionCallArgumentsDelta("fc", 2, "{"),
        e.FunctionCallArgumentsDelta("fc", 2, "}"),
        e.FunctionCallArgumentsDone("fc", 2, "{}", "f"),
        _done(2),
        _opened(3, input=""),
        e.CustomToolCallInputDelta("ctc", 3, "xy"),
        e.CustomToolCallInputDone("ctc", 3, "xy"),
        _done(3),
        _opened(4),
        e.OtherEvent("response.mcp_call.in_progress", {"output_index": 4, "item_id": "mcp"}),
        _opened(5),
        _done(5),
        _done(4),
    ]


def good_stream() -> list[e.Event | e.OtherEvent]:
    """The whole stream, from created to completed."""
    return [
        e.ResponseCreated({"status": "queued"}),
        e.ResponseQueued({"status": "queued"}),
        e.ResponseInProgress({"status": "in_progress"}),
        *item_events(),
        e.ResponseCompleted({"status": "completed"}),
    ]
