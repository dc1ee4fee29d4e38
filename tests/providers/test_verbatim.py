"""A client's own body at each provider, and what a decoder passes on of an answer."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import msgspec
import orjson
import pytest

from antiphon.hub.errors import UnsupportedParameter, UpstreamError
from antiphon.hub.ids import ItemId
from antiphon.hub.items import Item, JsonObject
from antiphon.hub.turn import ModelCall, TurnRequest
from antiphon.hub.upstream import Overheard, Provider
from antiphon.providers import anthropic, openai_chat
from tests.providers.bedrock_frames import event
from tests.streams.fixed_ids import FAMILY, counting_ids

ITEM = Item(
    id=ItemId("msg_1"),
    type="message",
    body={"id": "msg_1", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
)
HI = {"role": "user", "content": "hi"}
CHAT: JsonObject = {"model": "alias", "messages": [HI], "x_novel": {"deep": [1]}}
MESSAGE: JsonObject = {"model": "alias", "max_tokens": 9, "messages": [HI], "x_novel": {"deep": [1]}}
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "s"}


def call(body: JsonObject | None, *, stream: bool = False) -> ModelCall:
    """A call whose client said *body*."""
    request = TurnRequest(model="alias", input=(ITEM.body,), stream=stream)
    return ModelCall(
        model="theirs", account="up", items=(ITEM,), input_start=0, request=request, stream=stream, verbatim=body
    )


def written(provider: Provider, body: JsonObject, *, stream: bool = False) -> JsonObject:
    """The body that goes up, which has to be the client's own."""
    request = provider.encode(call(body, stream=stream))
    assert request.verbatim
    read: JsonObject = orjson.loads(request.body)
    return read


# Chat.


@pytest.mark.parametrize(
    ("quirks", "given", "sent"),
    [
        ({}, {"store": True, "metadata": {"a": "b"}}, {}),
        ({}, {"max_completion_tokens": 5}, {"max_tokens": 5}),
        ({"max_tokens_field": "max_completion_tokens"}, {"max_tokens": 5}, {"max_completion_tokens": 5}),
        ({}, {"max_tokens": 5, "max_completion_tokens": None}, {"max_tokens": 5, "max_completion_tokens": None}),
        ({"rename": {"stop": "stops"}}, {"stop": "a"}, {"stops": "a"}),
        ({"drop": ("user",)}, {"user": "u"}, {}),
        ({"named_tool_choice": "native"}, {"tool_choice": {"type": "x"}}, {"tool_choice": {"type": "x"}}),
        ({}, {"stream": False}, {"stream": False}),
        ({"tool_call_ids": "alphanumeric_9"}, {}, {}),
    ],
    ids=["state", "limit", "newer limit", "no limit", "renamed", "dropped", "choice", "whole", "ids"],
)
def test_a_chat_body_goes_up_as_it_is(quirks: JsonObject, given: JsonObject, sent: JsonObject) -> None:
    """But for the model's name, what concerns our state, and names that a quirk changes."""
    body = written(openai_chat.provider(quirks), {**CHAT, **given})

    assert body == {**CHAT, "model": "theirs", **sent}


@pytest.mark.parametrize(
    ("quirks", "options", "sent"),
    [
        ({}, None, {"include_usage": True}),
        ({}, {"include_usage": False, "x": 1}, {"include_usage": True, "x": 1}),
        ({"stream_usage": False}, {"include_usage": True}, None),
    ],
    ids=["added", "kept", "not taken"],
)
def test_a_stream_counts_tokens_where_it_can(quirks: JsonObject, options: Any, sent: Any) -> None:
    """The upstream is asked for a count, whether or not the client wants it, so that the turn is metered."""
    given = {**CHAT, "stream": True} | ({} if options is None else {"stream_options": options})

    body = written(openai_chat.provider(quirks), given, stream=True)

    assert body.get("stream_options") == sent
    assert body["stream"] is True


CALLS = [{"id": "call_long", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


@pytest.mark.parametrize(
    ("quirks", "given"),
    [
        ({}, {"tools": [], "tool_choice": {"type": "function", "function": {"name": "f"}}}),
        ({}, {"tools": [{"type": "custom", "custom": {"name": "f"}}]}),
        ({"tool_call_ids": "alphanumeric_9"}, {"messages": [HI, {"role": "assistant", "tool_calls": CALLS}]}),
        ({"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
        ({"images": False}, {"messages": [{"role": "user", "content": [IMAGE]}]}),
        ({}, {"messages": [{"role": "tool", "content": [IMAGE]}]}),
        ({}, {"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]}),
        ({"response_formats": ("json_object",)}, {"response_format": {"type": "json_schema"}}),
        ({"no_effort": "thinking"}, {"reasoning_effort": "none"}),
        ({}, {"messages": [HI, {"role": "assistant", "refusal": "No."}]}),
        ({"replay_reasoning": "never"}, {"messages": [HI, {"role": "assistant", "content": "a", "reasoning": "b"}]}),
        ({"missing_reasoning": "blank"}, {"messages": [HI, {"role": "assistant", "tool_calls": CALLS}]}),
    ],
    ids=[
        *("choice", "custom tool", "ids", "one call", "image", "image of a tool", "file", "schema", "no effort"),
        *("refusal", "reasoning", "no reasoning"),
    ],
)
def test_a_chat_body_that_a_quirk_wants_otherwise_does_not_go_up_as_it_is(
    quirks: JsonObject, given: JsonObject
) -> None:
    """The hub's way knows what to do with it."""
    request = openai_chat.provider(quirks).encode(call({**CHAT, **given}))

    assert not request.verbatim
    assert b"x_novel" not in request.body


def test_what_a_chat_upstream_does_not_take_is_refused() -> None:
    """A field among those to refuse is refused by name in the client's own body too."""
    with pytest.raises(UnsupportedParameter) as caught:
        openai_chat.provider({"refuse": ("stop",)}).encode(call({**CHAT, "stop": "a"}))

    assert caught.value.param == "stop"


def test_a_count_is_asked_for_in_the_hubs_words() -> None:
    """Counting asks for one token, which the client's own body does not."""
    request = openai_chat.provider({"counting": "completion"}).count(call(CHAT))

    assert request is not None
    assert not request.verbatim
    assert orjson.loads(request.body)["max_tokens"] == 1


# Messages.


def test_a_messages_body_goes_up_as_it_is() -> None:
    """But for the model's name; no cache marks are set beside the client's own."""
    given = {**MESSAGE, "system": [{"type": "text", "text": "a"}], "service_tier": "auto", "stream": True}

    assert written(anthropic.provider({}), given, stream=True) == {**given, "model": "theirs"}
    assert written(anthropic.provider({}), {**given, "stream": False}) == {**given, "model": "theirs", "stream": False}


@pytest.mark.parametrize(
    ("host", "added", "path"),
    [
        ("vertex", {"anthropic_version": "vertex-2023-10-16", "stream": True}, "/theirs:streamRawPredict"),
        ("bedrock", {"anthropic_version": "bedrock-2023-05-31"}, "/model/theirs/invoke-with-response-stream"),
    ],
)
def test_clouds_have_the_model_in_the_path(host: str, added: JsonObject, path: str) -> None:
    """The rest of the body is the client's; a tier that only Anthropic has is reported."""
    request = anthropic.provider({"host": host}).encode(
        call({**MESSAGE, "stream": True, "service_tier": "standard_only"}, stream=True)
    )

    kept = {name: value for name, value in MESSAGE.items() if name != "model"}
    assert (True, path, ("service_tier",)) == (request.verbatim, request.path, request.not_applied)
    assert orjson.loads(request.body) == {**kept, **added}


@pytest.mark.parametrize(
    ("quirks", "given"),
    [
        ({"images": False}, {"messages": [{"role": "user", "content": [{"type": "image"}]}]}),
        (
            {"documents": False},
            {
                "messages": [
                    {"role": "user", "content": [{"type": "tool_result", "content": [{"type": "document"}]}]},
                ]
            },
        ),
        ({"replay_thinking": "never"}, {"messages": [HI, {"role": "assistant", "content": [THOUGHT]}, HI]}),
        ({}, {"messages": [HI, {"role": "assistant", "content": [{"type": "thinking", "thinking": "a"}]}, HI]}),
        ({"thinking": "none"}, {"thinking": {"type": "adaptive"}}),
        ({"thinking": "budget"}, {"thinking": {"type": "adaptive"}}),
        ({"sampling": "one"}, {"temperature": 0.5, "top_p": 0.5}),
        ({"structured_outputs": False}, {"output_config": {"format": {"type": "json_schema", "schema": {}}}}),
        ({"late_system": "top"}, {"messages": [HI, {"role": "system", "content": "a"}, HI]}),
    ],
    ids=["image", "document", "thought", "unsigned", "no thinking", "budget", "sampling", "schema", "late system"],
)
def test_a_messages_body_that_a_quirk_wants_otherwise_does_not_go_up_as_it_is(
    quirks: JsonObject, given: JsonObject
) -> None:
    """The hub's way knows what to do with it."""
    request = anthropic.provider(quirks).encode(call({**MESSAGE, **given}))

    assert not request.verbatim
    assert b"x_novel" not in request.body


# Answers.

CHAT_EVENTS = [
    b'{"choices":[{"index":0,"delta":{"role":"assistant"}}]}',
    b'{"choices":[{"index":0,"delta":{"content":"a"}}],"x":1}',
    b'{"choices":[{"index":0,"delta":{"content":"b"}}]}',
    b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
    b'{"choices":[],"usage":{"prompt_tokens":1}}',
]
MESSAGE_EVENTS = [
    b'{"type":"message_start","message":{"model":"m","usage":{"input_tokens":1}},"x":1}',
    b'{"type":"ping"}',
    b'{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
    b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}',
    b'{"type":"content_block_stop","index":0}',
    b'{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}}',
    b'{"type":"message_stop"}',
]
CHAT_STREAM = b"".join(b"data: " + each + b"\n\n" for each in CHAT_EVENTS) + b": bye\n\ndata: [DONE]\n\n"
MESSAGE_STREAM = b"".join(b"event: x\r\ndata: " + each + b"\r\n\r\n" for each in MESSAGE_EVENTS)
AWS_STREAM = b"".join(event("chunk", {"bytes": base64.b64encode(each).decode()}) for each in MESSAGE_EVENTS)


class Ear:
    """Remembers what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[bytes, bool]] = []

    def __call__(self, data: bytes, *, ends: bool) -> None:
        self.heard.append((bytes(data), ends))


def listening(provider: Provider) -> tuple[Any, Ear]:
    """A decoder and what hears it."""
    ear, decoder = Ear(), provider.decoder(call(None, stream=True), counting_ids(), FAMILY)
    assert isinstance(decoder, Overheard)
    decoder.overhear(ear)
    return decoder, ear


STREAMS: list[tuple[Callable[[], Provider], bytes, list[bytes], int]] = [
    (lambda: openai_chat.provider({}), CHAT_STREAM, CHAT_EVENTS, 3),
    (lambda: anthropic.provider({}), MESSAGE_STREAM, MESSAGE_EVENTS, 5),
    (lambda: anthropic.provider({"host": "bedrock"}), AWS_STREAM, MESSAGE_EVENTS, 5),
]


@pytest.mark.parametrize(("provider", "raw", "events", "end"), STREAMS, ids=["chat", "messages", "aws"])
def test_every_event_is_passed_on_wherever_the_stream_is_cut(
    provider: Callable[[], Provider], raw: bytes, events: list[bytes], end: int
) -> None:
    """Once each, in order, byte for byte, and from the first that says so on they are of the end."""
    expected = [(each, place >= end) for place, each in enumerate(events)]
    for cut in range(len(raw) + 1):
        decoder, ear = listening(provider())
        for block in (raw[:cut], raw[cut:]):
            if block:
                decoder.feed(block)
        decoder.finish()

        assert expected == ear.heard, cut


@pytest.mark.parametrize(
    ("provider", "bad"),
    [
        (openai_chat.provider({}), b'data: {"error":{"message":"gone"}}\n\n'),
        (openai_chat.provider({}), b'data: {"choices":7}\n\n'),
        (anthropic.provider({}), b'data: {"type":"error","error":{"type":"overloaded_error","message":"a"}}\n\n'),
        (
            anthropic.provider({}),
            b'data: {"type":"content_block_delta","index":9,"delta":{"type":"text_delta","text":"a"}}\n\n',
        ),
    ],
    ids=["error", "form", "messages error", "no block"],
)
def test_what_was_refused_is_not_passed_on(provider: Provider, bad: bytes) -> None:
    """An event that the decoder takes offence at is heard by nobody."""
    decoder, ear = listening(provider)

    with pytest.raises(UpstreamError):
        decoder.feed(bad)

    assert ear.heard == []


def test_a_whole_reply_is_passed_on() -> None:
    """As its body, which says the end."""
    chat = b'{"choices":[{"index":0,"message":{"content":"a"},"finish_reason":"stop"}],"x":1}'
    message = b'{"type":"message","content":[{"type":"text","text":"a"}],"stop_reason":"end_turn","x":1}'
    for provider, body in ((openai_chat.provider({}), chat), (anthropic.provider({}), message)):
        decoder, ear = listening(provider)
        decoder.whole(body)

        assert ear.heard == [(body, True)]


def test_a_call_without_own_words_is_written_by_the_hub() -> None:
    """As ever."""
    for provider in (openai_chat.provider({}), anthropic.provider({})):
        request = provider.encode(msgspec.structs.replace(call(None)))

        assert not request.verbatim
