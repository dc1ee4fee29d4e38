"""Several tool calls whose pieces come in turn: nothing is lost, and the items stand one after the other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from antiphon.hub.items import JsonObject
from tests.providers.openai_chat_replies import decoder, frames, outcome, stream, without_ids

TAIL = ('{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}', "[DONE]")


def piece(index: int | None = None, call_id: str | None = None, **function: Any) -> JsonObject:
    named: JsonObject = {"index": index, "id": call_id}
    return {**{name: value for name, value in named.items() if value is not None}, "function": function}


def chunk(*pieces: JsonObject, **delta: Any) -> str:
    calls = {"tool_calls": list(pieces)} if pieces else {}
    return json.dumps({"choices": [{"index": 0, "delta": {**calls, **delta}, "finish_reason": None}]})


def calls_of(*chunks: str) -> list[tuple[str, str]]:
    items = without_ids(outcome(stream(frames(*chunks, *TAIL))).items)
    return [(item.get("name", ""), item.get("arguments") or item.get("input") or "") for item in items]


A, B, C = piece(0, "a", name="f"), piece(1, "b", name="g"), piece(2, "c", name="f")
MIXED: dict[str, tuple[list[str], list[tuple[str, str]]]] = {
    "heads-first": (
        [chunk(A, B), chunk(piece(0, arguments='{"x":1}'), piece(1, arguments='{"y":2}'))],
        [("f", '{"x":1}'), ("g", '{"y":2}')],
    ),
    "in-turn": (
        [chunk(A), chunk(B), *(chunk(piece(i, arguments=text)) for text in ("{", "}") for i in (1, 0))],
        [("f", "{}"), ("g", "{}")],
    ),
    "three": (
        [chunk(A, B, C), *(chunk(piece(i, arguments=text)) for text in ("{", " ", "}") for i in (2, 0, 1))],
        [("f", "{ }"), ("g", "{ }"), ("f", "{ }")],
    ),
    "wrapped": (
        [
            chunk(piece(0, "a", name="apply_patch"), B),
            chunk(piece(0, arguments='{"input":')),
            chunk(piece(1, arguments="{}")),
            chunk(piece(0, arguments='"p"}')),
        ],
        [("apply_patch", "p"), ("g", "{}")],
    ),
    "wrapped-last": (
        [
            chunk(A, piece(1, "b", name="apply_patch", arguments='{"input":')),
            chunk(piece(0, arguments="{}"), piece(1, arguments='"p"}')),
        ],
        [("f", "{}"), ("apply_patch", "p")],
    ),
    "name-while-it-waits": (
        [chunk(A, piece(1, "b")), chunk(piece(1, name="crm__find")), chunk(piece(0, arguments="{}"))],
        [("f", "{}"), ("find", "")],
    ),
    "told-apart-by-id": (
        [
            chunk(piece(None, "a", name="f"), piece(None, "b", name="g")),
            chunk(piece(None, "b", arguments="{}")),
            chunk(piece(None, "a", arguments="[]")),
        ],
        [("f", "[]"), ("g", "{}")],
    ),
    "told-apart-by-nothing": (
        [chunk(piece(name="f")), chunk(piece(name="g")), chunk(piece(arguments="{}"))],
        [("f", ""), ("g", "{}")],
    ),
    "text-behind-them": (
        [chunk(A, B), chunk(piece(1, arguments="{}")), chunk(piece(0, arguments="{}")), chunk(content="done")],
        [("f", "{}"), ("g", "{}"), ("", "")],
    ),
}


@pytest.mark.parametrize(("chunks", "expected"), MIXED.values(), ids=MIXED.keys())
def test_mixed_pieces_become_whole_calls(chunks: list[str], expected: list[tuple[str, str]]) -> None:
    """Every call has all of its arguments and stands where it began."""
    assert calls_of(*chunks) == expected


def test_a_call_behind_a_whole_one_is_streamed() -> None:
    """What waits for nothing is said as it comes: the usual reply, in which calls follow each other."""
    reply = decoder()
    reply.feed(frames(chunk(piece(0, "a", name="f", arguments="{}"))))

    events = reply.feed(frames(chunk(piece(1, "b", name="g", arguments='{"y"'))))

    assert [type(event).__name__ for event in events] == [
        "FunctionCallArgumentsDone",
        "OutputItemDone",
        "OutputItemAdded",
        "FunctionCallArgumentsDelta",
    ]
