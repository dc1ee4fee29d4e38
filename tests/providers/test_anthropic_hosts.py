"""The same dialect at Google Cloud and Amazon Bedrock, counting tokens, and the list of models."""

from __future__ import annotations

import struct
from typing import Any
from zlib import crc32

import msgspec
import orjson
import pytest

from antiphon.hub.errors import UpstreamBroken, UpstreamError, UpstreamRateLimited
from antiphon.hub.items import JsonObject
from antiphon.hub.upstream import UpstreamDefaults, UpstreamRequest
from antiphon.providers.anthropic import Anthropic, provider
from tests.providers.anthropic_replies import decode_stream, transcript
from tests.providers.kit.calls import function_tool, model_call
from tests.providers.kit.replies import outcome, without_ids
from tests.streams.fixed_ids import FAMILY, counting_ids

MESSAGES = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
JSON = {"content-type": "application/json"}


def encode(model: str, *, stream: bool = False, service_tier: str | None = None, **quirks: Any) -> UpstreamRequest:
    call = model_call(stream=stream, max_output_tokens=9, service_tier=service_tier)
    return provider(quirks).encode(msgspec.structs.replace(call, model=model))


def test_google() -> None:
    """The model is in the path, the version in the body, and the key where Google wants it."""
    whole = encode("claude-sonnet-4-5@20250929", host="vertex", betas=["a-1"])
    streamed = encode("claude-sonnet-4-5@20250929", stream=True, host="vertex")
    body: JsonObject = {"max_tokens": 9, "messages": MESSAGES, "anthropic_version": "vertex-2023-10-16"}

    assert (whole.path, orjson.loads(whole.body)) == ("/claude-sonnet-4-5@20250929:rawPredict", body)
    assert (streamed.path, orjson.loads(streamed.body)) == (
        "/claude-sonnet-4-5@20250929:streamRawPredict",
        {**body, "stream": True},
    )
    assert (whole.headers, streamed.headers) == ({**JSON, "anthropic-beta": "a-1"}, JSON)
    assert provider({"host": "vertex"}).defaults == UpstreamDefaults()


def test_amazon() -> None:
    """The model is in the path, version and betas in the body, and the request is signed."""
    model = "arn:aws:bedrock:eu-1:1:application-inference-profile/x"
    whole = encode("anthropic.claude-opus-4-6-v1:0", host="bedrock", betas=["a-1"])
    streamed = encode(model, stream=True, host="bedrock")
    body: JsonObject = {"max_tokens": 9, "messages": MESSAGES, "anthropic_version": "bedrock-2023-05-31"}

    assert whole.path == "/model/anthropic.claude-opus-4-6-v1:0/invoke"
    assert orjson.loads(whole.body) == {**body, "anthropic_beta": ["a-1"]}
    assert streamed.path == (
        "/model/arn:aws:bedrock:eu-1:1:application-inference-profile%2Fx/invoke-with-response-stream"
    )
    assert (orjson.loads(streamed.body), streamed.stream) == (body, True)
    assert whole.headers == streamed.headers == JSON
    assert provider({"host": "bedrock"}).defaults.signing == "sigv4"


def test_the_clouds_have_no_tiers() -> None:
    """A tier is reported as not applied where there are none; the usual one is what everybody has."""
    assert encode("m", host="vertex", service_tier="priority").not_applied == ("service_tier",)
    assert encode("m", host="bedrock", service_tier="default").not_applied == ()


def test_betas_at_anthropic() -> None:
    """Features in beta are turned on with every request."""
    assert encode("m", betas=["a-1", "b-2"]).headers["anthropic-beta"] == "a-1,b-2"


def test_a_stream_of_amazons() -> None:
    """The events in Amazon's frames become what they become as server-sent events."""
    whole = outcome(decode_stream(transcript("bedrock_text.bin"), aws=True))
    call = outcome(decode_stream(transcript("bedrock_call.bin"), aws=True))

    assert whole == outcome(decode_stream(transcript("text.sse")))
    assert [item.type for item in call.items] == ["reasoning", "function_call"]
    assert without_ids(call.items)[1]["arguments"] == '{"city": "Paris"}'


def test_a_stream_of_amazons_may_be_cut_anywhere() -> None:
    """Two blocks give the same events wherever the cut is, and half a stream is broken."""
    body = transcript("bedrock_text.bin")
    expected = decode_stream(body, aws=True)

    for cut in range(len(body)):
        assert decode_stream(body[:cut], body[cut:], aws=True) == expected
        with pytest.raises(UpstreamBroken):
            decode_stream(body[:cut], aws=True)


def test_an_exception_of_amazons() -> None:
    """A frame that is an exception is its error, also if it comes with the events before it."""
    body = transcript("bedrock_throttled.bin")
    reply = provider({"host": "bedrock"}).decoder(model_call(stream=True), counting_ids(), FAMILY)

    assert len(reply.feed(body)) == 3
    with pytest.raises(UpstreamRateLimited, match="Too many tokens"):
        reply.finish()
    for cut in range(len(body)):
        with pytest.raises(UpstreamError):
            decode_stream(body[:cut], aws=True)


@pytest.mark.parametrize("payload", [b"", b"{}", b'{"bytes": "?"}', b'{"bytes": 1}'])
def test_a_chunk_that_holds_nothing(payload: bytes) -> None:
    """A frame of events whose payload is none is broken."""
    with pytest.raises(UpstreamBroken, match="holds no bytes"):
        decode_stream(frame({":message-type": "event", ":event-type": "chunk"}, payload), aws=True)


def test_frames_of_other_kinds() -> None:
    """A kind of event that nobody knows is passed over; an exception without words has its name alone."""
    known = transcript("bedrock_text.bin")
    other = frame({":message-type": "event", ":event-type": "weather"}, b"rain")
    exception = frame({":message-type": "exception", ":exception-type": "throttlingException"}, b"too fast")

    assert decode_stream(other + known, aws=True) == decode_stream(known, aws=True)
    with pytest.raises(UpstreamRateLimited, match=r"limits what the gateway may ask of it \(in its reply\)\."):
        decode_stream(exception, aws=True)


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """A frame of an AWS event stream, as Smithy's specification of message encoding has it."""
    block = b"".join(
        struct.pack(f"!B{len(name)}sBH{len(value)}s", len(name), name.encode(), 7, len(value), value.encode())
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", 16 + len(block) + len(payload), len(block))
    message = prelude + struct.pack("!I", crc32(prelude)) + block + payload
    return message + struct.pack("!I", crc32(message))


def test_a_frame_that_was_changed() -> None:
    """A frame whose checksum is wrong is broken."""
    body = bytearray(transcript("bedrock_text.bin"))
    body[60] ^= 1

    with pytest.raises(UpstreamBroken):
        decode_stream(bytes(body), aws=True)


def test_counting() -> None:
    """A count is asked for with what is counted, and without what the path does not take."""
    call = model_call(
        tools=(function_tool("look"),), instructions="A", temperature=0.5, safety_identifier="u", stream=True
    )
    asked = Anthropic().count(call)
    sent = orjson.loads(Anthropic().encode(call).body)

    assert asked is not None
    assert (asked.method, asked.path, asked.stream) == ("POST", "/messages/count_tokens", False)
    assert orjson.loads(asked.body) == {name: sent[name] for name in ("model", "system", "messages", "tools")}
    assert Anthropic().decode_count(b'{"input_tokens": 2095}') == 2095


def test_counting_in_the_clouds() -> None:
    """Google counts at a path of its own, with the model in the body; Amazon does not count."""
    asked = provider({"host": "vertex"}).count(model_call())

    assert asked is not None
    assert asked.path == "/count-tokens:rawPredict"
    assert orjson.loads(asked.body) == {
        "model": "upstream-model",
        "messages": MESSAGES,
        "anthropic_version": "vertex-2023-10-16",
    }
    assert provider({"host": "bedrock"}).count(model_call()) is None


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"input_tokens": "1"}', b'{"input_tokens": -1}'])
def test_no_count(body: bytes) -> None:
    """What holds no number of tokens is no answer to the question."""
    with pytest.raises(UpstreamBroken):
        Anthropic().decode_count(body)


def test_models() -> None:
    """All models come on one page, with their date and how much they take."""
    asked = Anthropic().list_models()
    assert asked is not None
    listed = {
        "data": [
            {
                "type": "model",
                "id": "claude-opus-5",
                "display_name": "Claude Opus 5",
                "created_at": "2026-07-24T00:00:00Z",
                "max_input_tokens": 1_000_000,
                "max_tokens": 128_000,
            },
            {"id": "claude-old", "created_at": "1970-01-01T00:00:00Z", "max_input_tokens": None},
            {"id": "claude-odd", "created_at": "long ago", "max_input_tokens": 0},
        ],
        "has_more": False,
        "first_id": "claude-opus-5",
        "last_id": "claude-odd",
    }

    assert (asked.method, asked.path, asked.body) == ("GET", "/models?limit=1000", b"")
    assert asked.headers["anthropic-version"] == "2023-06-01"
    assert Anthropic().decode_models(orjson.dumps(listed)) == [
        {
            "id": "claude-opus-5",
            "object": "model",
            "created": 1_784_851_200,
            "owned_by": "anthropic",
            "context_window": 1_000_000,
        },
        {"id": "claude-old", "object": "model", "created": 0, "owned_by": "anthropic"},
        {"id": "claude-odd", "object": "model", "created": 0, "owned_by": "anthropic"},
    ]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<html>", id="a page"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"{}", id="no data"),
        pytest.param(b'{"data": [{"display_name": "x"}]}', id="no id"),
        pytest.param(b'{"data": [], "has_more": true}', id="another page"),
    ],
)
def test_no_models(body: bytes) -> None:
    """What is not a whole list of models is an error, and no list of none."""
    with pytest.raises(UpstreamBroken):
        Anthropic().decode_models(body)
