"""Gemini's replies: what they become, whole and cut anywhere."""

from __future__ import annotations

import msgspec
import pytest

from antiphon.hub.errors import UpstreamBroken, UpstreamError, UpstreamUnavailable
from antiphon.hub.events import ReplyEnd
from antiphon.hub.items import JsonObject, Private
from antiphon.hub.usage import Usage
from tests.providers.gemini_replies import decoder, stream, transcript
from tests.providers.kit.calls import ACCOUNT
from tests.providers.kit.replies import KINDS, outcome, without_ids


class Expected(msgspec.Struct, frozen=True):
    """What a transcript becomes; ``private`` by the item's place, where an item has any."""

    items: list[JsonObject]
    end: ReplyEnd
    private: dict[int, JsonObject] = {}


def message(text: str, *, status: str = "completed", annotations: tuple[JsonObject, ...] = ()) -> JsonObject:
    part = {"type": "output_text", "text": text, "annotations": list(annotations), "logprobs": []}
    return {"type": "message", "status": status, "content": [part], "role": "assistant"}


def summary(*texts: str) -> JsonObject:
    parts = [{"type": "summary_text", "text": text} for text in texts]
    return {"type": "reasoning", "status": "completed", "summary": parts}


def call(name: str, arguments: str, *, status: str = "completed", **more: str) -> JsonObject:
    return {"type": "function_call", "status": status, "arguments": arguments, "name": name, **more}


def logprob(token: str, value: float, *others: tuple[str, float]) -> JsonObject:
    tops = [{"token": other, "bytes": list(other.encode()), "logprob": number} for other, number in others]
    return {"token": token, "bytes": list(token.encode()), "logprob": value, "top_logprobs": tops}


USAGE = Usage(input_tokens=12, output_tokens=5)
NOTHING_SAID = Usage(input_tokens=12)


def completed(usage: Usage = USAGE) -> ReplyEnd:
    return ReplyEnd(status="completed", usage=usage, model="gemini-3-flash")


def incomplete(reason: str, usage: Usage = USAGE) -> ReplyEnd:
    return ReplyEnd(status="incomplete", incomplete_reason=reason, usage=usage, model="gemini-3-flash")


PARIS, ROME = '{"city":"Paris"}', '{"city":"Rome"}'
SIGNED = {"signature": "c2lnMQ=="}
THOUGHT = Usage(input_tokens=12, output_tokens=32, reasoning_tokens=30)
A_PAGE = {
    "type": "url_citation",
    "start_index": 6,
    "end_index": 11,
    "url": "https://example.org/a",
    "title": "A page",
}
ELSEWHERE = {"type": "url_citation", "start_index": 0, "end_index": 4, "url": "https://example.org/b", "title": ""}
HI_LOGPROBS = [logprob("Hi", -0.25, ("Hi", -0.25), ("Yo", -2.5)), logprob("!", -0.5, ("!", -0.5))]

# The transcript of each of the kit's kinds. A refusal has no words of its own: the prompt is blocked.
TRANSCRIPTS = {
    "text": "text",
    "text with every character": "characters",
    "an empty answer": "empty",
    "cut short": "cut_short",
    "stopped by a filter": "filtered",
    "refusal": "prompt_blocked",
    "one call": "call",
    "text, then a call": "text_then_call",
    "parallel calls": "parallel_calls",
    "a call without arguments": "call_without_arguments",
    "a call that is cut short": "call_cut_short",
    "reasoning, then text": "thought_then_text",
    "reasoning, then a call": "thought_then_call",
    "reasoning that is sealed": "sealed",
    "usage with a cache": "cache",
    "unknown fields and kinds": "unknown",
    "an error in the stream": "error",
    "overloaded in the stream": "overloaded",
}
EXPECTED: dict[str, Expected] = {
    "text": Expected([message("Grüß dich 👋")], completed()),
    "characters": Expected([message('She said "hi"\n\\ \t<&>\u2028\U0001f44b ü')], completed()),
    "empty": Expected([], completed(NOTHING_SAID)),
    "cut_short": Expected([message("Once upon a", status="incomplete")], incomplete("max_output_tokens")),
    "filtered": Expected([message("The", status="incomplete")], incomplete("content_filter")),
    "prompt_blocked": Expected([], incomplete("content_filter", NOTHING_SAID)),
    "call": Expected([call("look", PARIS)], completed(), {0: SIGNED}),
    "text_then_call": Expected([message("Let me see."), call("look", PARIS)], completed(), {1: SIGNED}),
    "parallel_calls": Expected([call("look", PARIS), call("look", ROME)], completed(), {0: SIGNED}),
    "call_without_arguments": Expected([call("ping", "{}")], completed()),
    "call_cut_short": Expected([call("look", PARIS, status="incomplete")], incomplete("max_output_tokens")),
    "thought_then_text": Expected([summary("**Adding**\nTwo and two."), message("Four.")], completed(THOUGHT)),
    "thought_then_call": Expected([summary("I look."), call("look", PARIS)], completed(), {1: SIGNED}),
    "sealed": Expected(
        [summary("Hm."), message("Yes, sure.")],
        completed(),
        {
            0: {"parts": [{"text": "", "thought": True, "thoughtSignature": "c2VhbGVk"}]},
            1: {"signed_text": [{"start": 10, "end": 10, "signature": "dGV4dA=="}]},
        },
    ),
    "signature_alone": Expected(
        [call("look", PARIS), summary()], completed(), {1: {"parts": [{"text": "", "thoughtSignature": "bGF0ZQ=="}]}}
    ),
    "cache": Expected(
        [message("Hi")],
        completed(Usage(input_tokens=90, cached_tokens=64, output_tokens=11, reasoning_tokens=9)),
    ),
    "unknown": Expected([message("Hi!")], completed()),
    "custom_and_namespace": Expected(
        [
            {"type": "custom_tool_call", "status": "completed", "input": 'say "hi"\n😀', "name": "apply_patch"},
            call("find", "{}", namespace="crm"),
        ],
        completed(),
    ),
    "every_chunk_finishes": Expected([message("One two")], completed()),
    "grounded": Expected([message("Grüße Paris.", annotations=(A_PAGE,))], completed()),
    "recited": Expected(
        [message("Row, row", status="incomplete", annotations=(ELSEWHERE,))], incomplete("content_filter")
    ),
}
FAILING: dict[str, tuple[type[UpstreamError], str]] = {
    "error": (UpstreamUnavailable, "An internal error has occurred"),
    "overloaded": (UpstreamUnavailable, "The model is overloaded"),
}
STREAMS = [f"{name}.sse" for name in (*EXPECTED, "logprobs")] + ["array.bin"]


def test_every_kind_has_its_transcript() -> None:
    """No kind of reply that dialects are held against is left out."""
    assert set(KINDS) == TRANSCRIPTS.keys()
    assert set(TRANSCRIPTS.values()) <= EXPECTED.keys() | FAILING.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_stream(name: str) -> None:
    """A stream becomes the items, with what is private to the upstream, and the end that it meant."""
    expected = EXPECTED[name]

    items, end = outcome(stream(transcript(f"{name}.sse")))

    assert without_ids(items) == expected.items
    assert end == expected.end
    assert {index: item.private for index, item in enumerate(items) if item.private is not None} == {
        index: Private("gemini", ACCOUNT, data) for index, data in expected.private.items()
    }


@pytest.mark.parametrize("name", [*EXPECTED, "logprobs"])
def test_whole_equals_streamed(name: str) -> None:
    """A reply in one piece gives the same items, ids and private state included, and the same end as its stream."""
    whole = outcome([*decoder().whole(transcript(f"{name}.json"))])

    assert whole == outcome(stream(transcript(f"{name}.sse")))


def test_log_probabilities() -> None:
    """Each token's probability stands with the text of its chunk, in the Responses API's form."""
    items, _ = outcome(stream(transcript("logprobs.sse")))

    assert items[0].body["content"][0]["logprobs"] == HI_LOGPROBS


def test_an_array_is_a_stream_too() -> None:
    """Where `alt=sse` was lost on the way the stream is a JSON array, which says the same."""
    assert outcome(stream(transcript("array.bin"))) == outcome(stream(transcript("text.sse")))


@pytest.mark.parametrize("name", STREAMS)
def test_every_split_gives_the_same_events(name: str) -> None:
    """Where a stream is cut into two, or into single bytes, changes no event."""
    body = transcript(name)
    expected = stream(body)

    assert stream(*(body[index : index + 1] for index in range(len(body)))) == expected
    for cut in range(len(body)):
        assert stream(body[:cut], body[cut:]) == expected


@pytest.mark.parametrize("name", [name for name in STREAMS if not name.startswith("every_chunk")])
def test_a_stream_that_stops_anywhere_is_broken_or_whole(name: str) -> None:
    """A stream cut off at any byte is an error unless its end was there; it is never taken for a shorter reply."""
    body = transcript(name)
    expected = outcome(stream(body))
    ends = []

    for cut in range(len(body)):
        try:
            events = stream(body[:cut])
        except UpstreamBroken:
            continue
        assert outcome(events) == expected
        ends.append(cut)

    assert ends == list(range(len(body) - len(ends), len(body)))
    assert len(ends) <= 4


@pytest.mark.parametrize("name", EXPECTED)
def test_a_body_that_stops_anywhere_is_broken(name: str) -> None:
    """A whole reply cut off at any byte is an error."""
    body = transcript(f"{name}.json").rstrip()

    for cut in range(len(body)):
        with pytest.raises(UpstreamBroken):
            decoder().whole(body[:cut])


@pytest.mark.parametrize("name", FAILING)
def test_an_error_in_a_stream(name: str) -> None:
    """An error in the middle of a stream is raised with its own words, however the stream is cut."""
    body = transcript(f"{name}.sse")
    kind, words = FAILING[name]

    for cut in range(len(body)):
        with pytest.raises(kind, match=words):
            stream(body[:cut], body[cut:])


@pytest.mark.parametrize("name", FAILING)
def test_a_failing_stream_that_stops_anywhere_fails(name: str) -> None:
    """A stream that was going to report an error is an upstream's error wherever it stops."""
    body = transcript(f"{name}.sse")

    for cut in range(len(body)):
        with pytest.raises(UpstreamError):
            stream(body[:cut])


@pytest.mark.parametrize("name", FAILING)
def test_an_error_as_the_whole_body(name: str) -> None:
    """An error that came with status 200 is raised with its own words."""
    kind, words = FAILING[name]

    with pytest.raises(kind, match=words):
        decoder().whole(transcript(f"{name}.json"))


def test_an_error_as_an_array() -> None:
    """The error of a stream may be a list around the envelope, cut anywhere."""
    body = transcript("array_error.bin")

    for cut in range(len(body)):
        with pytest.raises(UpstreamUnavailable, match="The model is overloaded"):
            stream(body[:cut], body[cut:])


def test_what_was_said_before_an_error_is_said() -> None:
    """Events before an error in the same block are given, then the error is raised."""
    reply = decoder()

    events = reply.feed(transcript("error.sse"))

    assert reply.ended
    assert any(getattr(event, "delta", "") == "The fi" for event in events)
    assert reply.feed(b"data: {}\n\n") == ()
    with pytest.raises(UpstreamUnavailable):
        reply.finish()


def test_what_was_counted_is_known_before_the_end() -> None:
    """Each chunk counts anew, so that a reply which is stopped has its usage."""
    reply = decoder()
    before = reply.usage

    reply.feed(transcript("cut_short.sse")[:-40])

    assert (before, reply.usage) == (None, USAGE)


def test_upstream_ids_never_leave() -> None:
    """The upstream's ids of replies and calls are nowhere in what is made of them."""
    events = repr(stream(transcript("parallel_calls.sse")))

    assert "up-1" not in events
    assert "'r1'" not in events
