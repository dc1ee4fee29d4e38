"""A gateway in front of something that speaks Converse: over HTTP, signed or with a key, through several turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from antiphon import Gateway, InMemorySessionStore, upstream
from antiphon.hub.errors import UpstreamAuthentication
from antiphon.telemetry import Log
from tests.providers.bedrock_replies import frames_of
from tests.transport.servers import Server, reply, saying, serving

MODEL = "anthropic.claude-3-haiku-20240307-v1:0"
KEYS = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "test-secret-key"}
FORBIDDEN = reply(
    b'{"message":"The security token included in the request is invalid."}',
    "x-amzn-errortype: UnrecognizedClientException",
    status="403 Forbidden",
)


def streamed(name: str) -> bytes:
    """A stream's transcript as an answer."""
    return reply(b"".join(frames_of(name)), "content-type: application/vnd.amazon.eventstream")


@asynccontextmanager
async def behind(*answers: bytes, environment: dict[str, str] = KEYS) -> AsyncIterator[tuple[Gateway, Server]]:
    """A gateway, and the server behind it, which gives these answers."""
    waiting = list(answers)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await saying(waiting.pop(0))(reader, writer)

    async with serving(answer) as server:
        there = upstream(
            f"http://127.0.0.1:{server.port}",
            name="aws",
            provider="bedrock",
            models=[MODEL],
            key_variable="AWS_BEARER_TOKEN_BEDROCK" if "AWS_BEARER_TOKEN_BEDROCK" in environment else None,
            environment=environment,
        )
        async with Gateway([there], store=InMemorySessionStore(), log=Log("error")) as gateway:
            yield gateway, server


async def asked(gateway: Gateway, input_: Any, **more: Any) -> Any:
    """The response that a stream ends with."""
    events = [event async for event in gateway.stream({"model": MODEL, "input": input_, **more})]
    return getattr(events[-1], "response", None)


async def test_turns() -> None:
    """A model thinks, calls, and gets its signed thought back with the call's result."""
    async with behind(streamed("reasoning_then_call"), streamed("text")) as (gateway, server):
        first = await asked(gateway, "Weather?", tools=[{"type": "function", "name": "look", "parameters": None}])
        call = first["output"][1]
        result = {"type": "function_call_output", "call_id": call["call_id"], "output": "18 C"}
        second = await asked(gateway, [result], previous_response_id=first["id"])

    assert [item["type"] for item in first["output"]] == ["reasoning", "function_call"]
    assert "EqoBCkgIARABGAIiQA" not in repr((first, second))
    assert second["output"][0]["content"][0]["text"] == "Paris is it."
    assert second["usage"]["input_tokens"] == 12
    _, body = server.bodies
    blocks = orjson.loads(body)["messages"][1]["content"]
    assert blocks[0]["reasoningContent"]["reasoningText"]["signature"] == "EqoBCkgIARABGAIiQA=="
    assert blocks[1]["toolUse"]["toolUseId"] == call["call_id"]


async def test_requests_are_signed() -> None:
    """With keys of AWS in the environment each request is signed for its region, at the model's own path."""
    async with behind(streamed("text")) as (gateway, server):
        await asked(gateway, "Hi")

    head = server.requests[-1]
    assert head.startswith("POST /model/anthropic.claude-3-haiku-20240307-v1%3A0/converse-stream HTTP/1.1")
    assert "/eu-west-1/bedrock/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=" in head
    assert "test-secret-key" not in head


async def test_a_key_of_bedrocks_own() -> None:
    """With a key of Bedrock's own nothing is signed: the key is shown."""
    environment = {**KEYS, "AWS_BEARER_TOKEN_BEDROCK": "test-bedrock-key"}
    async with behind(streamed("text"), environment=environment) as (gateway, server):
        await asked(gateway, "Hi")

    assert "authorization: bearer test-bedrock-key" in server.requests[-1].lower()
    assert "aws4" not in server.requests[-1].lower()


async def test_credentials_that_are_refused() -> None:
    """A signature that AWS does not take is the operator's matter, and the client is told as much."""
    async with behind(FORBIDDEN) as (gateway, _):
        with pytest.raises(UpstreamAuthentication, match="UnrecognizedClientException"):
            await asked(gateway, "Hi")
