"""Real streams: what recorded upstreams said is replayed from its trace, cut off anywhere."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from antiphon.hub.errors import UpstreamError
from antiphon.hub.events import OutputTextDelta, ReplyEnd, type_of
from antiphon.hub.upstream import ReplyEvent
from tests.providers.openai_chat_replies import decoder, transcript
from tests.streams.legal_streams import AnyEvent
from tests.streams.test_trace import assert_comes_back, in_bytes, record

_TRANSCRIPTS = Path(__file__).parent.parent / "transcripts" / "openai_chat"
NAMES = sorted(path.name for path in _TRANSCRIPTS.iterdir() if path.suffix != ".md")
# At how many places a stream is cut, about.
_CUTS = 12


def decoded(name: str) -> tuple[list[AnyEvent], ReplyEnd | None]:
    """The events of a transcript, up to its end or its error."""
    reply = decoder()
    said: list[ReplyEvent] = []
    try:
        if name.endswith(".json"):
            said += reply.whole(transcript(name))
        else:
            for line in transcript(name).splitlines(keepends=True):
                said += reply.feed(line)
            said += reply.finish()
    except UpstreamError:
        return [event for event in said if not isinstance(event, ReplyEnd)], None
    end = said.pop()
    assert isinstance(end, ReplyEnd)
    return [event for event in said if not isinstance(event, ReplyEnd)], end


@pytest.mark.parametrize("name", NAMES)
def test_a_transcript_comes_back(name: str) -> None:
    """The whole stream of a recorded reply, ended as the upstream ended it, is said again byte for byte."""
    events, end = decoded(name)

    assert_comes_back(record(events, end.status if end else "failed", model=end.model if end else None))


@pytest.mark.parametrize("status", ["failed", "cancelled"])
@pytest.mark.parametrize("name", NAMES)
def test_a_transcript_that_is_cut_off_comes_back(name: str, status: str) -> None:
    """A turn that broke off after any part of a recorded reply says the same again."""
    events, _ = decoded(name)

    for cut in range(0, len(events) + 1, max(1, len(events) // _CUTS)):
        assert_comes_back(record(events[:cut], status))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_a_transcript_is_kept_that_follows_from_its_response(name: str) -> None:
    """Every event of our own decoders follows from the response: a trace holds codes and cuts, and no event."""
    events, end = decoded(name)

    trace = record(events, end.status if end else "failed", model="asked").trace

    assert trace[2] == {"created_at": 1_760_000_000}
    assert [operation for operation in trace[3:] if not isinstance(operation, int | str)] == []


def test_the_transcripts_have_what_traces_are_about() -> None:
    """Among the recorded replies are text, log probabilities, refusals, reasoning, calls of both kinds, annotations."""
    events = [event for name in NAMES for event in decoded(name)[0]]

    kinds = {type_of(event).removeprefix("response.") for event in events}
    assert kinds >= {
        *("output_text.delta", "refusal.delta", "reasoning_text.delta", "reasoning_summary_text.delta"),
        *("function_call_arguments.delta", "custom_tool_call_input.delta", "output_text.annotation.added"),
    }
    assert any(isinstance(event, OutputTextDelta) and event.logprobs for event in events)


def test_the_longest_transcript_has_a_small_trace() -> None:
    """The trace of a real stream of some length is a small part of its events."""
    name = max(NAMES, key=lambda name: len(decoded(name)[0]))
    events, _ = decoded(name)

    recorded = record(events)

    assert len(orjson.dumps(recorded.trace)) < 0.05 * sum(map(len, in_bytes(recorded.said)))
