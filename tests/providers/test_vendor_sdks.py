"""
The vendors' own SDKs and our providers read the same bytes from the same server, and see the same.

A stand-in for the vendor answers with the transcripts of each dialect. The SDK is the oracle: it is the vendor's word
for what the bytes mean, and knows nothing of us. Transcripts that exist only as a stream have the form of one server,
not the vendor's own; they are read in the tests of their dialect.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import orjson
import pytest
import pytest_asyncio

from antiphon import upstream
from antiphon.engine.upstreams import Upstream
from antiphon.hub.errors import (
    ContextLengthExceeded,
    UpstreamAuthentication,
    UpstreamError,
    UpstreamLacksModel,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamUnavailable,
)
from antiphon.hub.items import Item
from antiphon.hub.turn import ModelCall
from antiphon.hub.upstream import ReplyDecoder, ReplyEvent, UpstreamReply
from tests.providers.bedrock_replies import frames_of
from tests.providers.kit.calls import model_call, user
from tests.providers.kit.replies import Outcome, outcome
from tests.providers.vendor_sdks import MODEL, Answer, Call, Sdks, Seen, Vendor, json_of, without_spaces
from tests.streams.fixed_ids import FAMILY, counting_ids

pytestmark = pytest.mark.asyncio(loop_scope="module")

TRANSCRIPTS = Path(__file__).parents[1] / "transcripts"
BASE_PATHS = {"openai_chat": "/v1", "openai_responses": "/v1", "anthropic": "/v1", "gemini": "/v1beta", "bedrock": ""}
LIMIT_BYTES = 1 << 20

# What an SDK does not take, though it is a reply: the tests of the dialect read these.
BEYOND_THE_SDK = {
    "openai_chat": {
        "groq_reasoning": "its stream has the usage in a field of the vendor's own",
        "mistral_thinking": "its content is a list, which is the vendor's own",
        "stepfun_reasoning": "it counts what was cached in a field of its own",
    },
    "bedrock": {"unknown": "botocore refuses a block of a kind that its description of the service lacks"},
}
# Transcripts that are no reply but a fault: FAULTS has them.
FAULTY = {"error", "overloaded", "failed"}

# What a vendor's word for the end makes of a turn.
STOPS: Mapping[str, str] = {
    # Chat Completions
    "stop": "completed",
    "tool_calls": "completed",
    "function_call": "completed",
    "length": "max_output_tokens",
    # Responses, whose words the hub has
    "completed": "completed",
    "max_output_tokens": "max_output_tokens",
    "content_filter": "content_filter",
    # Messages and Converse
    "end_turn": "completed",
    "stop_sequence": "completed",
    "tool_use": "completed",
    "max_tokens": "max_output_tokens",
    "model_context_window_exceeded": "max_output_tokens",
    "refusal": "content_filter",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
    # Gemini
    "STOP": "completed",
    "MAX_TOKENS": "max_output_tokens",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def vendor() -> AsyncIterator[Vendor]:
    async with Vendor.serving() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sdks(vendor: Vendor) -> AsyncIterator[Sdks]:
    clients = Sdks(vendor.root)
    yield clients
    await clients.close()


def replies() -> Iterator[tuple[str, str]]:
    """Dialect and name of every transcript that is there whole and as a stream."""
    for dialect in BASE_PATHS:
        known = {path.name for path in (TRANSCRIPTS / dialect).iterdir()}
        left_out = FAULTY | BEYOND_THE_SDK.get(dialect, {}).keys()
        for name in sorted(path.removesuffix(".json") for path in known if path.endswith(".json")):
            if name not in left_out and known & {f"{name}.sse", f"{name}.jsonl"}:
                yield dialect, name


def recorded(dialect: str, name: str, *, stream: bool) -> Answer:
    """A transcript as the vendor would answer it."""
    if not stream:
        return Answer((TRANSCRIPTS / dialect / f"{name}.json").read_bytes())
    if dialect == "bedrock":
        return Answer(b"".join(frames_of(name)), "application/vnd.amazon.eventstream")
    return Answer((TRANSCRIPTS / dialect / f"{name}.sse").read_bytes(), "text/event-stream")


async def decoded(vendor: Vendor, dialect: str, *, stream: bool) -> Outcome:
    """What our provider makes of the vendor's answer, which comes through our transport."""
    there = upstream(
        vendor.root + BASE_PATHS[dialect],
        name="vendor",
        provider=dialect,
        api_key="test-key",
        environment={"AWS_REGION": "eu-west-1"},
    )
    call = model_call(user("Hi"), stream=stream)
    try:
        reply = await there.transport.send(there.provider.encode(call))
        try:
            return outcome(await _events(there, reply, call))
        finally:
            await reply.close()
    finally:
        await there.transport.close()


async def _events(there: Upstream, reply: UpstreamReply, call: ModelCall) -> list[ReplyEvent]:
    if reply.status != 200:
        body = await reply.read_all(LIMIT_BYTES)
        raise there.provider.error(reply.status, reply.headers, body, upstream=there.name)
    decoder: ReplyDecoder = there.provider.decoder(call, counting_ids(), FAMILY)
    if not call.stream:
        return [*decoder.whole(await reply.read_all(LIMIT_BYTES))]
    events: list[ReplyEvent] = []
    while not decoder.ended and (block := await reply.read_block()):
        events += decoder.feed(block)
    return [*events, *decoder.finish()]


def seen_in(reply: Outcome) -> Seen:
    """What our items and our end say, in the words that the SDKs' readings have."""
    parts = [part for item in reply.items if item.type == "message" for part in item.body["content"]]
    usage = reply.end.usage
    return Seen(
        text="".join(part["text"] for part in parts if part["type"] == "output_text"),
        refusal="".join(part["refusal"] for part in parts if part["type"] == "refusal"),
        reasoning=without_spaces(
            *(
                part["text"]
                for item in reply.items
                if item.type == "reasoning"
                for part in [*item.body["summary"], *item.body.get("content", ())]
            )
        ),
        calls=tuple(_call(item) for item in reply.items if item.type in ("function_call", "custom_tool_call")),
        stop=reply.end.incomplete_reason or reply.end.status,
        input_tokens=usage.input_tokens if usage else 0,
        cached_tokens=usage.cached_tokens if usage else 0,
        output_tokens=usage.output_tokens if usage else 0,
        reasoning_tokens=usage.reasoning_tokens if usage else 0,
    )


def _call(item: Item) -> Call:
    body = item.body
    return Call(body["name"], body["input"] if item.type == "custom_tool_call" else json_of(body["arguments"]))


def in_our_words(seen: Seen) -> Seen:
    """An SDK's reading, with the vendor's word for the end as ours."""
    return Seen(**{**vars(seen), "stop": STOPS[seen.stop or ""]})


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("dialect", "name"), tuple(replies()))
async def test_our_provider_sees_what_the_sdk_sees(
    dialect: str, name: str, stream: bool, vendor: Vendor, sdks: Sdks
) -> None:
    """Asked at the same place: text, reasoning, calls with their arguments, the end and every count are the same."""
    vendor.answer = recorded(dialect, name, stream=stream)
    expected = in_our_words(await sdks.readers[dialect](stream))

    assert expected == seen_in(await decoded(vendor, dialect, stream=stream))
    assert vendor.asked[-2] == vendor.asked[-1]


def openai_error(code: str | None, message: str) -> bytes:
    return orjson.dumps({"error": {"message": message, "type": "some_error", "param": None, "code": code}})


def messages_error(kind: str, message: str) -> bytes:
    return orjson.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_01A"})


def google_error(status: int, kind: str, message: str) -> bytes:
    return orjson.dumps({"error": {"code": status, "message": message, "status": kind}})


def converse_error(kind: str, message: str, status: int) -> Answer:
    return Answer(orjson.dumps({"message": message}), status=status, headers={"x-amzn-errortype": kind})


class Fault(NamedTuple):
    """An answer that is no reply: what the SDK calls it, and which class of ours it is."""

    answer: Answer
    kind: str
    ours: type[UpstreamError]


WORDS = "Something is wrong."
OF_OPENAI = {
    "bad request": Fault(Answer(openai_error(None, WORDS), status=400), "BadRequestError", UpstreamRefused),
    "too long": Fault(
        Answer(openai_error("context_length_exceeded", WORDS), status=400), "BadRequestError", ContextLengthExceeded
    ),
    "a wrong key": Fault(
        Answer(openai_error("invalid_api_key", WORDS), status=401), "AuthenticationError", UpstreamAuthentication
    ),
    "not allowed": Fault(
        Answer(openai_error(None, WORDS), status=403), "PermissionDeniedError", UpstreamAuthentication
    ),
    "no such model": Fault(
        Answer(openai_error("model_not_found", WORDS), status=404), "NotFoundError", UpstreamLacksModel
    ),
    "too many": Fault(
        Answer(openai_error("rate_limit_exceeded", WORDS), status=429), "RateLimitError", UpstreamRateLimited
    ),
    "a fault": Fault(Answer(openai_error(None, WORDS), status=500), "InternalServerError", UpstreamUnavailable),
    "down": Fault(Answer(openai_error(None, WORDS), status=503), "InternalServerError", UpstreamUnavailable),
}
FAULTS: Mapping[str, Mapping[str, Fault]] = {
    "openai_chat": OF_OPENAI,
    "openai_responses": OF_OPENAI,
    "anthropic": {
        "bad request": Fault(
            Answer(messages_error("invalid_request_error", WORDS), status=400), "BadRequestError", UpstreamRefused
        ),
        "a wrong key": Fault(
            Answer(messages_error("authentication_error", WORDS), status=401),
            "AuthenticationError",
            UpstreamAuthentication,
        ),
        "not allowed": Fault(
            Answer(messages_error("permission_error", WORDS), status=403),
            "PermissionDeniedError",
            UpstreamAuthentication,
        ),
        "no such model": Fault(
            Answer(messages_error("not_found_error", f"model: {MODEL}"), status=404),
            "NotFoundError",
            UpstreamLacksModel,
        ),
        "too large": Fault(
            Answer(messages_error("request_too_large", WORDS), status=413), "ContentTooLargeError", UpstreamRefused
        ),
        "too many": Fault(
            Answer(messages_error("rate_limit_error", WORDS), status=429), "RateLimitError", UpstreamRateLimited
        ),
        "a fault": Fault(
            Answer(messages_error("api_error", WORDS), status=500), "InternalServerError", UpstreamUnavailable
        ),
        "overloaded": Fault(
            Answer(messages_error("overloaded_error", WORDS), status=529), "OverloadedError", UpstreamUnavailable
        ),
    },
    "gemini": {
        "bad request": Fault(
            Answer(google_error(400, "INVALID_ARGUMENT", WORDS), status=400), "INVALID_ARGUMENT", UpstreamRefused
        ),
        "not allowed": Fault(
            Answer(google_error(403, "PERMISSION_DENIED", WORDS), status=403),
            "PERMISSION_DENIED",
            UpstreamAuthentication,
        ),
        "no such model": Fault(
            Answer(google_error(404, "NOT_FOUND", f"models/{MODEL} is not found"), status=404),
            "NOT_FOUND",
            UpstreamLacksModel,
        ),
        "too many": Fault(
            Answer(google_error(429, "RESOURCE_EXHAUSTED", WORDS), status=429),
            "RESOURCE_EXHAUSTED",
            UpstreamRateLimited,
        ),
        "a fault": Fault(Answer(google_error(500, "INTERNAL", WORDS), status=500), "INTERNAL", UpstreamUnavailable),
        "down": Fault(Answer(google_error(503, "UNAVAILABLE", WORDS), status=503), "UNAVAILABLE", UpstreamUnavailable),
    },
    "bedrock": {
        "bad request": Fault(converse_error("ValidationException", WORDS, 400), "ValidationException", UpstreamRefused),
        "not allowed": Fault(
            converse_error("AccessDeniedException", WORDS, 403), "AccessDeniedException", UpstreamAuthentication
        ),
        "no such model": Fault(
            converse_error("ResourceNotFoundException", WORDS, 404), "ResourceNotFoundException", UpstreamLacksModel
        ),
        "too many": Fault(
            converse_error("ThrottlingException", WORDS, 429), "ThrottlingException", UpstreamRateLimited
        ),
        "a fault": Fault(
            converse_error("InternalServerException", WORDS, 500), "InternalServerException", UpstreamUnavailable
        ),
        "down": Fault(
            converse_error("ServiceUnavailableException", WORDS, 503),
            "ServiceUnavailableException",
            UpstreamUnavailable,
        ),
    },
}
CASES = tuple((dialect, name) for dialect, faults in FAULTS.items() for name in faults)


@pytest.mark.parametrize(("dialect", "name"), CASES)
async def test_our_provider_fails_as_the_sdk_fails(dialect: str, name: str, vendor: Vendor, sdks: Sdks) -> None:
    """An answer that is no reply has one meaning: the SDK's class, and ours, with the vendor's own words."""
    fault = FAULTS[dialect][name]
    vendor.answer = fault.answer
    expected = await sdks.failure(dialect)
    with pytest.raises(UpstreamError) as raised:
        await decoded(vendor, dialect, stream=False)

    assert (expected.kind, expected.status) == (fault.kind, fault.answer.status)
    assert type(raised.value) is fault.ours
    assert fault.ours is ContextLengthExceeded or expected.words in raised.value.message


IN_STREAMS: Mapping[tuple[str, str], type[UpstreamError]] = {
    ("openai_responses", "error"): UpstreamRateLimited,
    ("openai_responses", "error_nested"): ContextLengthExceeded,
    ("openai_responses", "failed"): UpstreamUnavailable,
    ("openai_responses", "overloaded"): UpstreamUnavailable,
    ("anthropic", "error"): UpstreamUnavailable,
    ("anthropic", "overloaded"): UpstreamUnavailable,
    ("gemini", "error"): UpstreamUnavailable,
    ("gemini", "overloaded"): UpstreamUnavailable,
    ("bedrock", "error_in_stream"): UpstreamUnavailable,
    ("bedrock", "overloaded_in_stream"): UpstreamRateLimited,
    ("bedrock", "too_long_in_stream"): ContextLengthExceeded,
}


@pytest.mark.parametrize(("dialect", "name"), IN_STREAMS)
async def test_a_fault_in_a_stream_is_one_for_both(dialect: str, name: str, vendor: Vendor, sdks: Sdks) -> None:
    """Where the SDK raises in the middle of a stream, our provider does too, with the vendor's own words."""
    vendor.answer = recorded(dialect, name, stream=True)
    expected = await sdks.failure(dialect, stream=True)
    with pytest.raises(UpstreamError) as raised:
        await decoded(vendor, dialect, stream=True)

    ours = IN_STREAMS[dialect, name]
    assert type(raised.value) is ours
    assert ours is ContextLengthExceeded or expected.words in raised.value.message
