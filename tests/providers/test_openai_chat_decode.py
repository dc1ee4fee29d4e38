"""Chat completions replies of many servers: what they become, whole and cut anywhere."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from antiphon.hub.errors import UpstreamBroken, UpstreamError, UpstreamRateLimited, UpstreamUnavailable
from antiphon.hub.events import ReplyEnd
from antiphon.hub.items import JsonObject, Private
from antiphon.hub.usage import Usage
from antiphon.providers.openai_chat.decode import ChatReplyDecoder
from tests.providers.kit.replies import KINDS
from tests.providers.openai_chat_replies import ACCOUNT, decoder, outcome, stream, transcript, without_ids


class Expected(msgspec.Struct, frozen=True):
    """What a transcript becomes; ``private`` by the item's place, where an item has any."""

    items: list[JsonObject]
    end: ReplyEnd
    private: dict[int, JsonObject] = {}
    options: dict[str, Any] = {}


def message(*content: JsonObject, status: str = "completed") -> JsonObject:
    return {"type": "message", "status": status, "content": list(content), "role": "assistant"}


def text(value: str, *, annotations: tuple[JsonObject, ...] = (), logprobs: tuple[JsonObject, ...] = ()) -> JsonObject:
    return {"type": "output_text", "text": value, "annotations": list(annotations), "logprobs": list(logprobs)}


def reasoning(*texts: str, summary: str = "") -> JsonObject:
    body: JsonObject = {"type": "reasoning", "status": "completed", "summary": []}
    if summary:
        body["summary"] = [{"type": "summary_text", "text": summary}]
    if texts:
        body["content"] = [{"type": "reasoning_text", "text": value} for value in texts]
    return body


def call(name: str, arguments: str, *, status: str = "completed", **more: str) -> JsonObject:
    return {"type": "function_call", "status": status, "arguments": arguments, "name": name, **more}


def custom(name: str, value: str, *, status: str = "completed") -> JsonObject:
    return {"type": "custom_tool_call", "status": status, "name": name, "input": value}


def logprob(token: str, value: float, *others: tuple[str, float]) -> JsonObject:
    tokens = [{"token": other, "bytes": list(other.encode()), "logprob": number} for other, number in others]
    return {"token": token, "bytes": list(token.encode()), "logprob": value, "top_logprobs": tokens}


def completed(usage: Usage | None = None, model: str | None = "m", service_tier: str | None = None) -> ReplyEnd:
    return ReplyEnd(status="completed", usage=usage, model=model, service_tier=service_tier)


def incomplete(reason: str, usage: Usage | None = None, model: str | None = "m") -> ReplyEnd:
    return ReplyEnd(status="incomplete", incomplete_reason=reason, usage=usage, model=model)


USAGE = Usage(input_tokens=12, output_tokens=5)
SMOL = "smollm2-135m"
OPENAI = "gpt-4.1-2025-04-14"
PARIS, ROME = '{"city":"Paris"}', '{"city":"Rome"}'
CITATION: JsonObject = {
    "type": "url_citation",
    "start_index": 0,
    "end_index": 5,
    "url": "https://example.org/a",
    "title": "A page",
}
SIGNED = {"type": "reasoning.text", "text": "Let me see.", "format": "anthropic-claude-v1", "index": 0}
ENCRYPTED = {"type": "reasoning.encrypted", "data": "ZW5j", "format": "google-gemini-v1", "id": "t1", "index": 0}

EXPECTED: dict[str, Expected] = {
    "openai_text": Expected(
        [message(text("Grüß dich 👋"))],
        completed(Usage(input_tokens=82, cached_tokens=64, output_tokens=17, reasoning_tokens=4), OPENAI, "default"),
    ),
    "openai_parallel_tools": Expected(
        [call("get_weather", PARIS), call("get_time", '{"tz":"CET"}')], completed(model=OPENAI)
    ),
    "openai_custom_tool": Expected(
        [message(text("Patching.")), custom("apply_patch", '*** Begin "Patch"')], completed()
    ),
    "openai_refusal": Expected([message(text("Well."), {"type": "refusal", "refusal": "I can't help."})], completed()),
    "openai_logprobs": Expected(
        [
            message(
                text("Hi!", logprobs=(logprob("Hi", -0.25, ("Hi", -0.25), ("Yo", -2.5)), logprob("!", -0.5))),
                status="incomplete",
            )
        ],
        incomplete("max_output_tokens"),
    ),
    "openai_annotations": Expected([message(text("Paris", annotations=(CITATION,)))], completed()),
    "openai_legacy_function": Expected([call("get_weather", PARIS)], completed()),
    "wrapped_custom_tool": Expected(
        [custom("apply_patch", 'say "hi"\n😀'), call("find", "{}", namespace="crm")], completed()
    ),
    "wrapped_custom_tool_cut": Expected(
        [custom("apply_patch", '{"input": "ab', status="incomplete")], incomplete("max_output_tokens")
    ),
    "deepseek_reasoning": Expected(
        [reasoning("Two plus two."), message(text("Four."))],
        completed(Usage(input_tokens=20, cached_tokens=16, output_tokens=30, reasoning_tokens=24), "deepseek-reasoner"),
        {0: {"field": "reasoning_content"}},
    ),
    "deepseek_cache_only": Expected(
        [message(text("Hi"))],
        completed(Usage(input_tokens=20, cached_tokens=16, output_tokens=1), "deepseek-reasoner"),
    ),
    "openrouter_reasoning_details": Expected(
        [reasoning("Let me see."), message(text("Done."))],
        completed(
            Usage(input_tokens=40, cached_tokens=10, cache_write_tokens=20, output_tokens=25, reasoning_tokens=9),
            "anthropic/claude-sonnet-4.5",
        ),
        {0: {"field": "reasoning", "reasoning_details": [{**SIGNED, "signature": "c2ln"}]}},
    ),
    "openrouter_encrypted": Expected(
        [reasoning(summary="Plan."), message(text("Ok.")), reasoning(), call("go", "{}")],
        completed(),
        {
            0: {
                "field": "reasoning",
                "reasoning_details": [{"type": "reasoning.summary", "summary": "Plan.", "index": 0}],
            },
            2: {"field": "reasoning", "reasoning_details": [ENCRYPTED]},
        },
    ),
    "mistral_thinking": Expected(
        [reasoning("Hmm, yes."), message(text("Yes, sure."))],
        completed(USAGE, "magistral-medium-2509"),
        {0: {"field": None, "content_part": "thinking"}},
    ),
    "mistral_tool_object": Expected([call("get_weather", PARIS), call("get_time", "{}")], completed(USAGE)),
    "mistral_length": Expected(
        [message(text("Once upon a"), status="incomplete")], incomplete("max_output_tokens", USAGE)
    ),
    "groq_reasoning": Expected(
        [reasoning("Easy one."), message(text("42"))],
        completed(Usage(input_tokens=12, output_tokens=5, reasoning_tokens=3), "qwen/qwen3-32b"),
        {0: {"field": "reasoning"}},
    ),
    "vllm_reasoning": Expected(
        [reasoning("So"), message(text("\n\nA"))], completed(USAGE), {0: {"field": "reasoning_content"}}
    ),
    "xai_reasoning_beside": Expected(
        [reasoning("Hm."), message(text("Yes."))],
        completed(Usage(input_tokens=10, cached_tokens=3, output_tokens=102, reasoning_tokens=100)),
        {0: {"field": "reasoning_content"}},
    ),
    "azure_prompt_filter": Expected([message(text("Hello"))], completed(USAGE)),
    "azure_content_filter": Expected([message(text("The"), status="incomplete")], incomplete("content_filter")),
    "gemini_tools": Expected(
        [call("get_weather", PARIS), call("get_weather", ROME)],
        completed(USAGE, "gemini-3-pro"),
        {0: {"extra_content": {"google": {"thought_signature": "c2ln"}}}},
    ),
    "ollama_tools": Expected(
        [reasoning("Both."), call("get_weather", PARIS), call("get_weather", ROME)],
        completed(USAGE, "qwen3"),
        {0: {"field": "reasoning"}},
    ),
    "llamacpp_text": Expected(
        [message(text("The capital of France is Paris."))],
        completed(Usage(input_tokens=33, output_tokens=8), SMOL),
    ),
    "llamacpp_length": Expected(
        [message(text("The capital of"), status="incomplete")],
        incomplete("max_output_tokens", Usage(input_tokens=33, output_tokens=3), SMOL),
    ),
    "llamacpp_tool": Expected([call("get_weather", PARIS)], completed(USAGE, SMOL)),
    "llamacpp_tool_cut": Expected(
        [call("get_weather", '{"city"', status="incomplete")], incomplete("max_output_tokens", model=SMOL)
    ),
    "moonshot_crlf": Expected(
        [message(text("Hi"))], completed(Usage(input_tokens=20, cached_tokens=16, output_tokens=1), "kimi-k2")
    ),
    "vllm_stop": Expected(
        [message(text("One, two"))],
        msgspec.structs.replace(completed(USAGE), stop_sequence="END"),
        options={"stop": ("END", "###")},
    ),
    "every_character": Expected([message(text('"Grüß\ndich" 👋\u2028\\\t\r</s>'))], completed(USAGE)),
    "empty": Expected([], completed(USAGE)),
    "text_then_call": Expected([message(text("Let me see.")), call("get_weather", PARIS)], completed(USAGE)),
    "reasoning_then_call": Expected(
        [reasoning("Look it up."), call("get_weather", PARIS)],
        completed(USAGE),
        {0: {"field": "reasoning_content"}},
    ),
    "unknown": Expected([message(text("Hi"))], completed(USAGE)),
    "no_done": Expected([message(text("Hi"))], completed(USAGE), options={"stream_end": "finish_reason"}),
    "id_then_name": Expected([call("go", "{}")], completed()),
}
# Transcripts whose reply also is there as one body.
WHOLE = [
    *("openai_text", "openai_parallel_tools", "openai_custom_tool", "openai_refusal", "openai_logprobs"),
    *("openai_annotations", "openai_legacy_function", "wrapped_custom_tool", "deepseek_reasoning"),
    *("openrouter_reasoning_details", "mistral_thinking", "groq_reasoning", "every_character", "empty"),
    *("text_then_call", "reasoning_then_call", "unknown"),
]
RECORDED_WHOLE = ["llamacpp_text", "llamacpp_length", "llamacpp_logprobs"]
FAILING: dict[str, tuple[type[UpstreamError], str]] = {
    "deepseek_out_of_resource": (UpstreamUnavailable, "insufficient_system_resource"),
    "openrouter_error": (UpstreamRateLimited, "Rate limit exceeded at the provider"),
    "vllm_error": (UpstreamUnavailable, "EngineCore encountered an issue"),
}
STREAMS = [*EXPECTED, "llamacpp_logprobs"]
# Which transcript is of which kind.
TRANSCRIPTS = {
    "text": "openai_text",
    "text with every character": "every_character",
    "an empty answer": "empty",
    "cut short": "mistral_length",
    "stopped by a filter": "azure_content_filter",
    "refusal": "openai_refusal",
    "one call": "llamacpp_tool",
    "text, then a call": "text_then_call",
    "parallel calls": "openai_parallel_tools",
    "a call without arguments": "id_then_name",
    "a call that is cut short": "llamacpp_tool_cut",
    "reasoning, then text": "deepseek_reasoning",
    "reasoning, then a call": "reasoning_then_call",
    "reasoning that is sealed": "openrouter_encrypted",
    "usage with a cache": "deepseek_cache_only",
    "unknown fields and kinds": "unknown",
    "an error in the stream": "vllm_error",
    "overloaded in the stream": "deepseek_out_of_resource",
}


def test_every_kind_has_a_transcript() -> None:
    """The kinds of replies that every dialect is held against are all here."""
    assert list(KINDS) == list(TRANSCRIPTS)
    assert set(TRANSCRIPTS.values()) <= {*EXPECTED, *FAILING}


def cuts(name: str, body: bytes) -> list[int]:
    """
    Every place in a stream that stands for its kind; of others every seventh, and all around the end.

    What the parser of the frames makes of a cut is held by its own tests, at every byte.
    """
    step = 1 if name in TRANSCRIPTS.values() else 7
    return [cut for cut in range(len(body)) if cut % step == 0 or cut > len(body) - 64]


def options_of(name: str) -> dict[str, Any]:
    return EXPECTED[name].options if name in EXPECTED else {}


@pytest.mark.parametrize("name", EXPECTED)
def test_stream(name: str) -> None:
    """A stream becomes the items and the end that its server meant."""
    expected = EXPECTED[name]

    items, end = outcome(stream(transcript(f"{name}.sse"), **expected.options))

    assert without_ids(items) == expected.items
    assert end == expected.end
    assert {index: item.private for index, item in enumerate(items) if item.private is not None} == {
        index: Private("openai_chat", ACCOUNT, data) for index, data in expected.private.items()
    }


@pytest.mark.parametrize("name", [*WHOLE, *RECORDED_WHOLE])
def test_whole_equals_streamed(name: str) -> None:
    """A reply in one piece gives the same items, ids included, and the same end as its stream."""
    whole = outcome([*decoder().whole(transcript(f"{name}.json"))])

    assert whole == outcome(stream(transcript(f"{name}.sse")))


@pytest.mark.parametrize("name", STREAMS)
def test_every_split_gives_the_same_events(name: str) -> None:
    """Where a stream is cut into two, or into single bytes, changes no event."""
    body, options = transcript(f"{name}.sse"), options_of(name)
    expected = stream(body, **options)

    assert stream(*(body[index : index + 1] for index in range(len(body))), **options) == expected
    for cut in cuts(name, body):
        assert stream(body[:cut], body[cut:], **options) == expected


@pytest.mark.parametrize("name", STREAMS)
def test_the_fast_path_gives_the_events_of_the_exact_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks that say nothing but text take a short way, which changes no event."""
    body, options = transcript(f"{name}.sse"), options_of(name)
    fast = stream(body, **options)
    monkeypatch.setattr(ChatReplyDecoder, "_plain_text", lambda *_: None)

    assert fast == stream(body, **options)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_stops_anywhere_is_broken_or_whole(name: str) -> None:
    """A stream cut off at any byte is an error unless its end was there; it is never taken for a shorter reply."""
    body, options = transcript(f"{name}.sse"), options_of(name)
    expected = stream(body, **options)
    ends = []

    for cut in cuts(name, body):
        try:
            events = stream(body[:cut], **options)
        except UpstreamBroken:
            continue
        assert events == expected
        ends.append(cut)

    assert ends == list(range(len(body) - len(ends), len(body)))
    assert len(ends) <= 4


@pytest.mark.parametrize("name", [*WHOLE, *RECORDED_WHOLE])
def test_a_body_that_stops_anywhere_is_broken(name: str) -> None:
    """A whole reply cut off at any byte is an error."""
    body = transcript(f"{name}.json").rstrip()

    for cut in range(len(body)):
        with pytest.raises(UpstreamBroken):
            decoder().whole(body[:cut])


@pytest.mark.parametrize("name", FAILING)
def test_an_error_in_a_stream(name: str) -> None:
    """An error that a server reports in the middle of its stream is raised with its own words, however it is cut."""
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


def test_what_follows_the_end_is_ignored() -> None:
    """After [DONE] nothing counts any more, in the same block or a later one."""
    body = transcript("openai_text.sse")
    reply = decoder()

    events = [*reply.feed(body + b'data: {"error":{"message":"late"}}\n\n'), *reply.feed(b"data: nonsense\n\n")]

    assert reply.ended
    assert [*events, *reply.finish()] == stream(body)


def test_the_end_is_known_before_the_connection_closes() -> None:
    """[DONE] alone ends a reply: nobody has to wait for the server to hang up."""
    reply = decoder()
    body = transcript("openai_text.sse")

    reply.feed(body[:-2])
    before = reply.ended
    events = reply.feed(body[-2:])

    assert (before, reply.ended) == (False, True)
    assert isinstance(events[-1], ReplyEnd)


def test_upstream_ids_never_leave() -> None:
    """The upstream's ids of replies and calls are nowhere in what is made of them."""
    events = repr(stream(transcript("openai_parallel_tools.sse")))

    assert "call_a" not in events
    assert "chatcmpl-1" not in events
