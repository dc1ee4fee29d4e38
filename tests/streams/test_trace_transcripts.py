"""Real streams: what recorded upstreams of every dialect said is replayed from its trace, cut off anywhere."""

from __future__ import annotations

from functools import cache

import orjson
import pytest

from antiphon.hub.events import OtherEvent, OutputTextDelta, ReplyEnd, type_of
from tests.providers.kit.dialects import DIALECTS
from tests.streams.legal_streams import AnyEvent
from tests.streams.test_trace import assert_comes_back, in_bytes, record

NAMES = [(dialect, file) for dialect in DIALECTS for file in DIALECTS[dialect].files]
IDS = ["-".join(name) for name in NAMES]
# At how many places a stream is cut, about.
_CUTS = 12


@cache
def decoded(dialect: str, file: str) -> tuple[list[AnyEvent], ReplyEnd | None]:
    """The events of a transcript, up to its end or its error."""
    events, end = DIALECTS[dialect].decode(file)
    return [event for event in events if not isinstance(event, ReplyEnd)], end


@pytest.mark.parametrize(("dialect", "file"), NAMES, ids=IDS)
def test_a_transcript_comes_back(dialect: str, file: str) -> None:
    """The whole stream of a recorded reply, ended as the upstream ended it, is said again byte for byte."""
    events, end = decoded(dialect, file)

    assert_comes_back(record(events, end.status if end else "failed", model=end.model if end else None))


@pytest.mark.parametrize(("dialect", "file"), NAMES, ids=IDS)
def test_a_transcript_that_is_cut_off_comes_back(dialect: str, file: str) -> None:
    """A turn that failed or was cancelled after any part of a recorded reply says the same again."""
    events, _ = decoded(dialect, file)

    for number, cut in enumerate(range(0, len(events) + 1, max(1, len(events) // _CUTS))):
        assert_comes_back(record(events[:cut], ("failed", "cancelled")[number % 2]))


@pytest.mark.parametrize("dialect", [name for name in DIALECTS if name != "openai_responses"])
def test_nothing_of_a_transcript_is_kept_that_follows_from_its_response(dialect: str) -> None:
    """Every event of our own assembler follows from the response: a trace holds codes and cuts, and no event."""
    for file in DIALECTS[dialect].files:
        events, end = decoded(dialect, file)
        if any(isinstance(event, OtherEvent) for event in events):
            continue  # what the upstream's own tools say is kept as it is

        trace = record(events, end.status if end else "failed", model="asked").trace

        assert trace[2] == {"created_at": 1_760_000_000}, file
        assert [operation for operation in trace[3:] if not isinstance(operation, int | str)] == [], file


def test_the_transcripts_have_what_traces_are_about() -> None:
    """Among them are text, log probabilities, refusals, reasoning, calls of both kinds, annotations, hosted tools."""
    events = [event for name in NAMES for event in decoded(*name)[0]]

    kinds = {type_of(event).removeprefix("response.") for event in events}
    assert kinds >= {
        *("output_text.delta", "refusal.delta", "reasoning_text.delta", "reasoning_summary_text.delta"),
        *("function_call_arguments.delta", "custom_tool_call_input.delta", "output_text.annotation.added"),
        *("web_search_call.searching", "mcp_call_arguments.delta"),
    }
    assert any(isinstance(event, OutputTextDelta) and event.logprobs for event in events)


def test_the_longest_transcript_has_a_small_trace() -> None:
    """The trace of a real stream of some length is a small part of its events."""
    events = max((decoded(*name)[0] for name in NAMES), key=len)

    recorded = record(events)

    assert len(orjson.dumps(recorded.trace)) < 0.05 * sum(map(len, in_bytes(recorded.said)))
