"""Replies of vendors that have a preset: what each becomes, in one piece and cut at every byte."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from antiphon.hub.errors import UpstreamError
from antiphon.hub.events import ReplyEnd
from antiphon.hub.items import JsonObject
from antiphon.hub.usage import Usage
from tests.providers.openai_chat_replies import decoder, outcome, stream, transcript, without_ids


class Expected(NamedTuple):
    """
    What a transcript becomes.

    Attributes:
        field: In which reasoning goes back; None where there is none.
    """

    items: list[JsonObject]
    end: ReplyEnd
    field: str | None = None


def said(text: str, status: str = "completed") -> JsonObject:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "message", "status": status, "content": [part], "role": "assistant"}


def thought(text: str) -> JsonObject:
    content = [{"type": "reasoning_text", "text": text}]
    return {"type": "reasoning", "status": "completed", "summary": [], "content": content}


def ended(model: str, usage: Usage, **more: Any) -> ReplyEnd:
    return ReplyEnd(**{"status": "completed", "model": model, "usage": usage, **more})


STEPFUN = Expected(
    [thought("Easy one."), said("42")],
    ended("step-3.5-flash", Usage(input_tokens=83, cached_tokens=64, output_tokens=5)),
    "reasoning",
)
EXPECTED = {
    "stepfun_reasoning": STEPFUN,
    "together_eos": Expected(
        [said("The sun")],
        ended("meta-llama/Llama-3.3-70B-Instruct-Turbo", Usage(input_tokens=12, output_tokens=3)),
    ),
    "zhipu_tools": Expected(
        [
            thought("Look it up."),
            said("\nLet me see."),
            {"type": "function_call", "status": "completed", "arguments": '{"city":"Paris"}', "name": "get_weather"},
        ],
        ended("glm-4.7", Usage(input_tokens=30, cached_tokens=20, output_tokens=9)),
        "reasoning_content",
    ),
    "zhipu_sensitive": Expected(
        [said("Well", "incomplete")],
        ended(
            "glm-4.7",
            Usage(input_tokens=5, output_tokens=1),
            status="incomplete",
            incomplete_reason="content_filter",
        ),
    ),
    "zhipu_window": Expected(
        [said("And so", "incomplete")],
        ended(
            "glm-5.1",
            Usage(input_tokens=202_000, output_tokens=2),
            status="incomplete",
            incomplete_reason="max_output_tokens",
        ),
    ),
    "fireworks_usage": Expected(
        [thought("Hm."), said("Yes.")],
        ended("accounts/fireworks/models/qwen3-8b", Usage(input_tokens=9, cached_tokens=8, output_tokens=4)),
        "reasoning_content",
    ),
    "sglang_reasoning": Expected(
        [thought("Hm."), said("Yes.")],
        ended("qwen/qwen3-8b", Usage(input_tokens=9, output_tokens=4, reasoning_tokens=2)),
        "reasoning_content",
    ),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_what_a_stream_becomes(name: str) -> None:
    """A vendor's stream becomes these items and this end, and its reasoning goes back in the field it came in."""
    expected = EXPECTED[name]

    items, end = outcome(stream(transcript(f"{name}.sse")))

    assert without_ids(items) == expected.items
    assert end == expected.end
    fields = [item.private.data["field"] for item in items if item.private is not None]
    assert fields == ([] if expected.field is None else [expected.field])


def test_a_whole_reply_is_its_stream() -> None:
    """StepFun's whole reply becomes what its stream becomes."""
    items, end = outcome([*decoder().whole(transcript("stepfun_reasoning.json"))])

    assert (without_ids(items), end) == (STEPFUN.items, STEPFUN.end)


@pytest.mark.parametrize("name", EXPECTED)
def test_cut_anywhere(name: str) -> None:
    """A stream that comes byte by byte, cut everywhere at once, becomes what it becomes in one piece."""
    body = transcript(f"{name}.sse")
    whole = outcome(stream(body))

    assert outcome(stream(*(body[index : index + 1] for index in range(len(body))))) == whole


@pytest.mark.parametrize("name", EXPECTED)
def test_truncated_anywhere(name: str) -> None:
    """A stream that ends before its end is an error, never a short answer."""
    body = transcript(f"{name}.sse")
    end = body.index(b"data: [DONE]") + len(b"data: [DONE]")

    for cut in range(end):
        with pytest.raises(UpstreamError):
            stream(body[:cut])
