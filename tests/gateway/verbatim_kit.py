"""What the tests of own words say and are told: with fields that no format knows, at every depth."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from tests.gateway.conftest import Client, serving
from tests.support.scripted_upstream import (
    MODEL,
    ScriptedUpstream,
)

from antiphon import Gateway, InMemorySessionStore, upstream
from antiphon.engine.attempts import Retries
from antiphon.engine.turn import TurnPolicy
from antiphon.hub.items import JsonObject

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
ONCE = TurnPolicy(retries=Retries(per_target=0))

BARE: JsonObject = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
ASKED: JsonObject = {
    "model": MODEL,
    "messages": [
        {"role": "system", "content": "Be brief.", "x_weight": 0.5},
        {"role": "user", "content": [{"type": "text", "text": "hi", "x_mark": {"deep": [1, None]}}]},
    ],
    "tools": [{"type": "function", "function": {"name": "look", "x_hint": True}, "x_tool": 1}],
    "temperature": 0,
    "seed": 7,
    "logit_bias": {"50256": -100},
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "x_lax": True}},
    "min_p": 0.05,
    "chat_template_kwargs": {"enable_thinking": False},
}
ANSWER: JsonObject = {
    "id": "chatcmpl-theirs",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": "scripted-1-2026-01-01",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Hello.",
                "reasoning_content": "Hm.",
                "x_scores": [1.0, 12345678901234567890],
            },
            "finish_reason": "stop",
            "x_matched": None,
        }
    ],
    "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10, "x_energy_j": 1.5},
    "x_timings": {"prompt_ms": 12.25},
}


HEAD: JsonObject = {
    "id": "chatcmpl-theirs",
    "object": "chat.completion.chunk",
    "created": 1_700_000_000,
    "model": "scripted-1-2026-01-01",
}


def chunk_of(delta: JsonObject, reason: str | None = None, **more: Any) -> JsonObject:
    """A chunk as the upstream sends it."""
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {**HEAD, "choices": [choice], **more}


CHUNKS: list[JsonObject] = [
    chunk_of({"role": "assistant", "content": ""}, x_first=1),
    chunk_of({"reasoning_content": "Hm."}, x_big=12345678901234567890),
    chunk_of({"content": "Hel", "x_of_delta": {"a": 1.0}}, usage=None),
    chunk_of({"content": "lo."}),
    chunk_of({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "look"}}]}),
    chunk_of({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
    chunk_of({}, "tool_calls", x_last=True),
]
FUNCTION = {"name": "look", "arguments": "{}"}
COUNT: JsonObject = {
    **HEAD,
    "choices": [],
    "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
}

THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVk"}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "sky"}}
MARK = {"type": "ephemeral", "ttl": "1h"}
ASKED_MESSAGE: JsonObject = {
    "model": MODEL,
    "max_tokens": 2048,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": MARK}],
    "messages": [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": [THOUGHT, {"type": "redacted_thinking", "data": "cmVk"}, CALL]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "Blue.", "x_ms": 3}],
            "x_turn": 2,
        },
    ],
    "tools": [{"name": "look", "input_schema": {"type": "object"}, "cache_control": MARK, "x_tool": 1}],
    "thinking": {"type": "enabled", "budget_tokens": 1024, "x_pace": "slow"},
    "top_k": 5,
    "x_novel": {"deep": [1]},
}
ANSWERED_MESSAGE: JsonObject = {
    "id": "msg_theirs",
    "type": "message",
    "role": "assistant",
    "model": "claude-scripted",
    "content": [THOUGHT, {"type": "text", "text": "Blue.", "citations": None, "x_tone": "calm"}, CALL],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 7, "output_tokens": 3, "x_energy_j": 1.5},
    "x_container": {"id": "c1"},
}
EVENTS: list[JsonObject] = [
    {
        "type": "message_start",
        "message": {
            "id": "msg_theirs",
            "type": "message",
            "role": "assistant",
            "model": "claude-scripted",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 7, "output_tokens": 1},
            "x_region": "eu",
        },
    },
    {"type": "ping"},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm.", "x_rate": 1.0}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "c2lnbmVk"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Blue."}},
    {"type": "content_block_stop", "index": 1},
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {"type": "tool_use", "id": "toolu_2", "name": "look", "input": {}},
    },
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"at":'}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": ' "sky"}'}},
    {"type": "content_block_stop", "index": 2},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 3},
        "x_final": True,
    },
    {"type": "message_stop"},
]


def chat_frames(chunks: Sequence[JsonObject], *, done: bool = True) -> bytes:
    """A chat stream."""
    frames = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
    return frames + b"data: [DONE]\n\n" if done else frames


def event_frames(events: Sequence[JsonObject]) -> bytes:
    """A stream of the Messages API."""
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


def read_frames(raw: bytes) -> list[Any]:
    """What a stream says: the JSON of each event, or its text where it is none; comments are none."""
    read: list[Any] = []
    for frame in raw.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in frame.split("\n") if line and not line.startswith(":"))
        if "data" in lines:
            read.append(lines["data"] if lines["data"] == "[DONE]" else json.loads(lines["data"]))
            assert "event" not in lines or lines["event"] == read[-1]["type"]
    return read


def under(identity: str, said: JsonObject) -> JsonObject:
    """What the upstream said, under another id."""
    return {**said, "id": identity}


@contextlib.asynccontextmanager
async def talking(
    scripted: ScriptedUpstream,
    provider: str = "openai_chat",
    *,
    policy: TurnPolicy = ONCE,
    stored: bool = True,
    **of: Any,
) -> AsyncIterator[Client]:
    """A gateway in front of one upstream of a dialect."""
    gateway = Gateway([upstream(scripted.url, name="own", provider=provider, models=[MODEL], **of)], policy=policy)
    if stored:
        gateway = gateway.with_session_store(InMemorySessionStore())
    async with serving(gateway, scripted) as client:
        yield client


async def streamed(client: Client, path: str, body: JsonObject) -> tuple[bytes, dict[str, str]]:
    """The bytes of a stream and the answer's headers."""
    async with client.http.post(client.base_url + path, json={**body, "stream": True}) as answer:
        raw = await answer.read()
        assert answer.status == 200, raw
    return raw, {name.lower(): value for name, value in answer.headers.items()}
