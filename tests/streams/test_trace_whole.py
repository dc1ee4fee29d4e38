"""A response that came in one piece has the stream that its reply made, though nothing of it was kept."""

from __future__ import annotations

import pytest

from antiphon.hub import events as e
from antiphon.streams.accumulator import Accumulator
from antiphon.streams.assembler import Assembler
from antiphon.streams.order import OrderCheck
from antiphon.streams.trace import replay
from antiphon.streams.trace_whole import trace_of_whole
from tests.streams.fixed_ids import FAMILY, counting_ids
from tests.streams.test_trace import assert_comes_back, record
from tests.streams.test_trace_transcripts import NAMES, decoded

WHOLE = [name for name in NAMES if name[1].endswith(".json") and decoded(*name)[1] is not None]
IN_CHAT = [file for dialect, file in WHOLE if dialect == "openai_chat"]


@pytest.mark.parametrize("file", IN_CHAT)
def test_a_whole_reply_says_again_what_it_said(file: str) -> None:
    """Recorded completions in one piece: nothing was kept of their streams, and the same events come back."""
    events, end = decoded("openai_chat", file)
    assert end is not None
    recorded = record(events, end.status)

    again = replay(trace_of_whole(recorded.response), recorded.response)

    assert again[2:] == replay(recorded.trace, recorded.response)[2:]
    assert [type(event) for event in again[:2]] == [e.ResponseCreated, e.ResponseInProgress]


@pytest.mark.parametrize(("dialect", "file"), WHOLE, ids=["-".join(name) for name in WHOLE])
def test_a_whole_reply_of_any_dialect_is_said_again(dialect: str, file: str) -> None:
    """Every recorded reply in one piece: its stream is a legal one, which folds to the response, hosted items too."""
    events, end = decoded(dialect, file)
    assert end is not None
    recorded = record(events, end.status)

    again = replay(trace_of_whole(recorded.response), recorded.response)

    OrderCheck().feed(again)
    accumulator = Accumulator()
    accumulator.feed(again)
    assert accumulator.output() == recorded.response["output"]


def test_everything_that_an_item_can_hold_is_said() -> None:
    """Reasoning with its summary, text with citations and log probabilities, refusals, calls of both kinds."""
    assembler = Assembler(counting_ids(), FAMILY)
    assembler.reasoning_summary("First, this.")
    assembler.reasoning_text("Then that.")
    assembler.text("It is 4.", ({"token": "It", "logprob": -0.5, "bytes": [], "top_logprobs": []},))
    assembler.annotation({"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 2})
    assembler.refusal("No more.")
    assembler.end(status="completed")
    said = [event for event in assembler.take() if not isinstance(event, e.ReplyEnd)]
    recorded = record(said)
    assert_comes_back(recorded)

    again = replay(trace_of_whole(recorded.response), recorded.response)

    assert again[2:] == replay(recorded.trace, recorded.response)[2:]


def test_a_background_response_was_queued_first() -> None:
    """Its stream begins as every background stream does."""
    recorded = record([], "failed", background=True)

    again = replay(trace_of_whole(recorded.response), recorded.response)

    assert [e.type_of(event) for event in again] == [
        "response.created",
        "response.queued",
        "response.in_progress",
        "response.failed",
    ]
