"""Replies of Gemini that hardly happen: every ending, calls that are none, content that has no place."""

from __future__ import annotations

import pytest

from antiphon.hub.errors import UpstreamBroken, UpstreamError, UpstreamRefused, UpstreamUnavailable
from antiphon.hub.items import JsonObject, Private
from antiphon.providers.gemini.decode import GeminiReplyDecoder
from tests.providers.gemini_replies import chunk, decoder, frames, stream, transcript
from tests.providers.kit.calls import function_tool, model_call, user
from tests.providers.kit.replies import outcome
from tests.streams.fixed_ids import FAMILY, counting_ids

HELLO: JsonObject = {"text": "Hello"}

ENDINGS: dict[str, tuple[str, str | None]] = {
    "STOP": ("completed", None),
    "MAX_TOKENS": ("incomplete", "max_output_tokens"),
    "SAFETY": ("incomplete", "content_filter"),
    "RECITATION": ("incomplete", "content_filter"),
    "BLOCKLIST": ("incomplete", "content_filter"),
    "PROHIBITED_CONTENT": ("incomplete", "content_filter"),
    "SPII": ("incomplete", "content_filter"),
    "LANGUAGE": ("incomplete", "content_filter"),
    "MODEL_ARMOR": ("incomplete", "content_filter"),
    "IMAGE_SAFETY": ("incomplete", "content_filter"),
    "IMAGE_PROHIBITED_CONTENT": ("incomplete", "content_filter"),
    "IMAGE_RECITATION": ("incomplete", "content_filter"),
    "OTHER": ("incomplete", "content_filter"),
    "IMAGE_OTHER": ("incomplete", "content_filter"),
}


@pytest.mark.parametrize("reason", ENDINGS)
def test_what_ends_a_reply(reason: str) -> None:
    """Each finishReason makes the turn whole, cut short or filtered; what was said before is kept."""
    items, end = outcome(stream(frames(chunk(HELLO, finish=reason))))

    assert (end.status, end.incomplete_reason) == ENDINGS[reason]
    assert items[0].body["content"][0]["text"] == "Hello"
    assert items[0].body["status"] == end.status


FAILURES: dict[str, tuple[type[UpstreamError], str]] = {
    "MALFORMED_FUNCTION_CALL": (UpstreamBroken, "wrote a tool call that cannot be read"),
    "UNEXPECTED_TOOL_CALL": (UpstreamBroken, "called a tool that it was not offered"),
    "TOO_MANY_TOOL_CALLS": (UpstreamBroken, "called too many tools in a row"),
    "MALFORMED_RESPONSE": (UpstreamBroken, "wrote an answer that cannot be read"),
    "NO_IMAGE": (UpstreamBroken, "made none"),
    "MISSING_THOUGHT_SIGNATURE": (UpstreamRefused, "without its thought signature"),
    "FINISH_REASON_UNSPECIFIED": (UpstreamBroken, "without a finishReason"),
    "TIRED": (UpstreamBroken, "finishReason 'TIRED'"),
}


@pytest.mark.parametrize("reason", FAILURES)
def test_what_fails_a_reply(reason: str) -> None:
    """An ending that leaves no answer is an error that says which, with the vendor's own message."""
    kind, words = FAILURES[reason]

    with pytest.raises(kind, match=words) as raised:
        stream(frames(chunk(HELLO, finish=reason, finishMessage="Malformed call: look(")))

    assert "'vendor'" in raised.value.message
    assert raised.value.message.endswith("Malformed call: look(" if reason != "FINISH_REASON_UNSPECIFIED" else ".")


@pytest.mark.parametrize(
    "reason", ["SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY", "MODEL_ARMOR", "NEW"]
)
def test_a_blocked_prompt(reason: str) -> None:
    """A prompt that was blocked for any reason is an answer without output, stopped by a filter."""
    items, end = outcome(stream(frames({"promptFeedback": {"blockReason": reason}})))

    assert (items, end.status, end.incomplete_reason) == ([], "incomplete", "content_filter")


def test_feedback_without_a_block_is_no_end() -> None:
    """Ratings of a prompt that was answered change nothing."""
    feedback: JsonObject = {"promptFeedback": {"safetyRatings": []}}

    assert outcome(stream(frames(feedback, chunk(HELLO)))).end.status == "completed"
    with pytest.raises(UpstreamBroken, match="without a finishReason"):
        stream(frames(feedback))


def test_counts_behind_the_end_count() -> None:
    """The end is the connection's: what comes behind a finishReason is a part of the reply."""
    counts = {"usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4}}

    end = outcome(stream(frames(chunk(HELLO), counts))).end

    assert end.usage is not None
    assert (end.usage.input_tokens, end.usage.output_tokens) == (3, 4)


def test_a_reply_without_counts() -> None:
    """No counts are no usage, not a usage of nothing."""
    assert outcome(stream(frames(chunk(HELLO)))).end.usage is None


def test_the_end_is_not_known_before_the_connection_closes() -> None:
    """A finishReason may stand on every chunk, so none of them ends the reply."""
    reply = decoder()
    reply.feed(frames(chunk(HELLO)))
    before = reply.ended
    reply.finish()

    assert (before, reply.ended) == (False, True)
    assert (reply.feed(frames(chunk(HELLO))), reply.finish()) == ((), ())


@pytest.mark.parametrize("body", [b"", b"\n\n", b": ping\n\n", b"data: \n\n", b"[]", b"{}"])
def test_nothing_is_no_reply(body: bytes) -> None:
    """A stream without a reply is broken, however it is framed."""
    with pytest.raises(UpstreamBroken):
        stream(body)


BROKEN: dict[str, bytes] = {
    "no JSON": b"data: {half\n\n",
    "no object": b"data: 7\n\n",
    "not UTF-8": b'data: {"candidates":[{"content":{"parts":[{"text":"\xff"}]}}]}\n\n',
    "text that is a number": frames(chunk({"text": 7})),
    "arguments that are a text": frames(chunk({"functionCall": {"name": "look", "args": "{}"}})),
    "a call without a name": frames(chunk({"functionCall": {"args": {}}})),
    "a call in pieces": frames(chunk({"functionCall": {"name": "look", "willContinue": True}})),
    "two candidates": frames({"candidates": [{"index": 0}, {"index": 1}]}),
    "another candidate": frames(chunk(HELLO, index=1)),
    "an image": frames(chunk({"inlineData": {"mimeType": "image/png", "data": ""}})),
    "a signed image": frames(chunk({"inlineData": {"mimeType": "image/png"}, "thoughtSignature": "c2ln"})),
    "an image among the thoughts": frames(chunk({"inlineData": {"mimeType": "image/png"}, "thought": True})),
    "code": frames(chunk({"executableCode": {"code": "1"}})),
    "a list that is cut off": b'[{"candidates":[]}',
    "a page": b"<html>Bad gateway</html>",
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
def test_broken_replies(body: bytes) -> None:
    """What is no reply of this dialect, or has no place in a response, is an error and never a shorter answer."""
    with pytest.raises(UpstreamBroken):
        stream(body)


def test_a_part_that_says_nothing_changes_nothing() -> None:
    """An empty text or thought between two pieces of a text leaves it one text, and its signatures in their places."""
    empty: tuple[JsonObject, ...] = ({"text": ""}, {"text": "", "thought": True}, {})
    items, _ = outcome(stream(frames(chunk(HELLO, *empty, {"text": "!", "thoughtSignature": "c2ln"}))))

    assert [item.body["content"][0]["text"] for item in items] == ["Hello!"]
    assert items[0].private == Private(
        "gemini", "vendor", {"signed_text": [{"start": 5, "end": 6, "signature": "c2ln"}]}
    )


def test_nested_too_deeply() -> None:
    """A document that is too deep to be read is broken, not a crash."""
    body = b'{"candidates":[{"content":{"parts":[{"functionCall":{"args":' + b'{"a":' * 200_000 + b"1" + b"}" * 200_000
    body += b"}}]}}]}"
    with pytest.raises(UpstreamBroken, match="nested too deeply"):
        decoder().whole(body)


def test_a_call_of_a_tool_that_is_not_allowed() -> None:
    """With allowed_tools a call of any other tool is an error that names it."""
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "look"}]}
    call = model_call(user("Hi"), tools=(function_tool("look"), function_tool("find")), tool_choice=choice)

    assert outcome(stream(frames(chunk({"functionCall": {"name": "look"}})), call=call)).items[0].body["name"] == "look"
    with pytest.raises(UpstreamBroken, match="called 'find'"):
        stream(frames(chunk({"functionCall": {"name": "find"}})), call=call)


def test_a_custom_call_that_is_not_as_it_was_offered() -> None:
    """Arguments that hold more than the input are shown as they are."""
    args = {"input": "a", "more": 1}
    items, _ = outcome(stream(frames(chunk({"functionCall": {"name": "apply_patch", "args": args}}))))
    assert items[0].body["input"] == '{"input":"a","more":1}'


def test_sources_are_said_once_with_the_text_that_they_are_about() -> None:
    """Chunks repeat their sources; the last say stands, before a call begins too."""
    source = {"groundingChunks": [{"web": {"uri": "https://example.org/a"}}]}
    grounding = {**source, "groundingSupports": [{"segment": {"endIndex": 5}, "groundingChunkIndices": [0, 9]}]}
    body = frames(
        chunk(HELLO, finish=None, groundingMetadata=grounding),
        chunk({"text": "!"}, finish=None, groundingMetadata=grounding),
        chunk({"functionCall": {"name": "look"}}),
    )

    items, _ = outcome(stream(body))

    assert [item.type for item in items] == ["message", "function_call"]
    annotations = items[0].body["content"][0]["annotations"]
    assert [(each["url"], each["start_index"], each["end_index"]) for each in annotations] == [
        ("https://example.org/a", 0, 5)
    ]


def test_probabilities_of_what_no_text_shows() -> None:
    """Those of a thought or a call have no place in a response; those of the text beside them have."""
    result = {"chosenCandidates": [{"token": "a", "logProbability": -1.0}]}
    body = frames(chunk({"text": "Hm.", "thought": True}, logprobsResult=result), chunk(HELLO, logprobsResult=result))

    items, _ = outcome(stream(body))

    assert [entry["token"] for entry in items[1].body["content"][0]["logprobs"]] == ["a"]


@pytest.mark.parametrize("body", [transcript("text.sse"), transcript("array.bin")], ids=["events", "array"])
def test_more_than_may_be_held_back(body: bytes) -> None:
    """An event, or a reply that is no event stream, is bounded."""
    reply = GeminiReplyDecoder(counting_ids(), FAMILY, "vendor", tools={}, max_event_bytes=100)
    with pytest.raises(UpstreamBroken):
        reply.feed(body)


def test_an_event_without_its_blank_line() -> None:
    """A proxy may drop the last blank line: the event counts if it is whole."""
    body = transcript("text.sse").rstrip()
    assert outcome(stream(body)) == outcome(stream(transcript("text.sse")))


def test_an_overloaded_stream_can_be_asked_again() -> None:
    """The error says that trying again helps."""
    with pytest.raises(UpstreamUnavailable) as raised:
        stream(transcript("overloaded.sse"))
    assert raised.value.retryable
