"""A turn that another dialect asks for is a turn: kept or not, counted, noted, limited, and never carried out twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from tests.gateway.dialect_stage import (
    CHAT,
    COMPLETIONS,
    DIALECTS,
    HELLO,
    MESSAGES,
    Dialect,
    Stage,
    events_of,
    hello,
)

from antiphon import InMemorySessionStore
from antiphon.hub.ids import TenantId
from antiphon.hub.principal import TENANT_SCOPES, Limits, Principal
from antiphon.providers.anthropic import provider as anthropic
from antiphon.server.auth import RawHeaders
from antiphon.transport.replay import PreparedReply

KEY = (b"idempotency-key", b"k-1")

each_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=str)
each_mode = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


# What is kept.


@each_mode
async def test_chat_is_kept_if_it_asks_for_that(stream: bool) -> None:
    """The same digits name the completion and the response, which can be retrieved and continued."""
    stage = Stage(InMemorySessionStore())
    stage.will_say(hello("Hi."), stream=stream)
    stage.will_say(hello("Again."), stream=False)
    async with stage.gateway:
        answer = await stage.post(CHAT, stream=stream, store=True, metadata={"a": "b"})
        shown = events_of(answer.body)[0]["id"] if stream else answer.json["id"]
        response_id = shown.replace("chatcmpl-", "resp_")
        kept = await stage.get(f"/v1/responses/{response_id}")
        more = {"model": "m", "input": "And?", "previous_response_id": response_id}
        assert (await stage.send("POST", "/v1/responses", more)).status == 200

    assert (kept["status"], kept["metadata"]) == ("completed", {"a": "b"})
    assert kept["output"][0]["content"][0]["text"] == "Hi."
    assert stage.asked[1]["input"][0]["content"] == [{"type": "input_text", "text": "Hello"}]


@each_dialect
async def test_nothing_is_kept_of_what_does_not_ask(dialect: Dialect) -> None:
    """No response is there afterwards, and the list of them is empty."""
    stage = Stage(InMemorySessionStore())
    stage.will_say(hello("Hi."), stream=False)
    async with stage.gateway:
        answer = await stage.post(dialect)
        digits = answer.json["id"].rpartition("-")[2].removeprefix("msg_")
        missing = await stage.send("GET", f"/v1/responses/resp_{digits}")
        listed = await stage.get("/v1/responses")

    assert (answer.status, missing.status, listed["data"]) == (200, 404, [])


# What is noted, and what counts.


@each_dialect
async def test_the_trail_has_each_turn_and_each_refusal(dialect: Dialect) -> None:
    """Also what was refused before it was a turn, and a count."""
    stage = Stage(InMemorySessionStore())
    stage.will_say(hello("Hi."), stream=False)
    async with stage.gateway:
        await stage.post(dialect)
        await stage.post(dialect, temperature="warm")
        await stage.post(dialect, model="nope")
        await stage.send("POST", "/v1/messages/count_tokens", {"model": "m", "messages": [HELLO]})
        await stage.send("POST", "/v1/messages/count_tokens", {"model": "m"})
        noted = await stage.noted()

    create, count = "response.create", "context.count"
    assert [entry.split(" ")[0] for entry in noted] == [create, create, create, count, count]
    assert noted[0] == f"{create} ok"
    assert noted[2] == f"{create} model_not_found"
    assert noted[3] == f"{count} ok"
    assert "ok" not in (noted[1].split(" ")[1], noted[4].split(" ")[1])


class _Limited:
    """Lets everybody in as somebody who has limits. An :class:`antiphon.server.auth.Authenticator`."""

    def __init__(self, **limits: int) -> None:
        self._principal = Principal(
            tenant=TenantId("default"), actor="ann", scopes=TENANT_SCOPES, limits=Limits(**limits)
        )

    async def authenticate(self, headers: RawHeaders, *, subprotocols: Sequence[str] = ()) -> Principal:
        return self._principal


@each_dialect
async def test_requests_count_whether_they_are_good_or_not(dialect: Dialect) -> None:
    """The third of two is refused in the dialect's form, and every answer says what is left."""
    stage = Stage(edge={"authenticator": _Limited(requests_per_minute=2)})
    stage.will_say(hello("Hi."), stream=False)
    async with stage.gateway:
        good = await stage.post(dialect)
        bad = await stage.post(dialect, temperature="warm")
        over = [await stage.post(dialect), await stage.post(dialect, temperature="warm")]
        document = await stage.document()

    assert [good.status, bad.status, *(each.status for each in over)] == [200, 400, 429, 429]
    assert [each.headers["x-ratelimit-remaining-requests"] for each in (good, bad, *over)] == ["1", "0", "0", "0"]
    assert "retry-after" in over[0].headers
    assert document.schema_violations(dialect.schemas[2], over[0].json) == []


async def test_counts_are_requests_too() -> None:
    """Whoever has none left is not counted for, and told in the dialect's form."""
    stage = Stage(edge={"authenticator": _Limited(requests_per_minute=1)})
    asked = {"model": "m", "messages": [HELLO]}
    async with stage.gateway:
        counted, refused = [await stage.send("POST", "/v1/messages/count_tokens", asked) for _ in range(2)]

    assert (counted.status, refused.status) == (200, 429)
    assert refused.json["error"]["type"] == "rate_limit_error"
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"


@each_dialect
async def test_tokens_are_reserved_and_settled(dialect: Dialect) -> None:
    """What a turn has used is what its caller has used: the upstream's figure, not the estimate."""
    stage = Stage(edge={"authenticator": _Limited(tokens_per_minute=1000)})
    stage.will_say(hello("Hi."), stream=False)
    async with stage.gateway:
        await stage.post(dialect)
        after = await stage.post(dialect, model="nope")

    assert after.headers["x-ratelimit-remaining-tokens"] == "982"  # 11 and 7 were used


# Idempotency keys.


async def test_a_kept_completion_is_answered_again() -> None:
    """The same bytes, and the upstream is asked once; as a stream too."""
    for stream in (False, True):
        stage = Stage(InMemorySessionStore())
        stage.will_say(hello("Hi."), stream=stream)
        options = {"stream": True, "stream_options": {"include_obfuscation": False}} if stream else {}
        async with stage.gateway:
            first = await stage.post(CHAT, KEY, store=True, **options)
            again = await stage.post(CHAT, KEY, store=True, **options)
            other = await stage.post(CHAT, KEY, store=True, temperature=0.5)

        assert again.body == first.body
        assert again.headers["idempotent-replayed"] == "true"
        assert (len(stage.asked), other.status) == (1, 422)


@each_dialect
async def test_what_is_not_kept_is_not_carried_out_twice(dialect: Dialect) -> None:
    """The second request with the key is told that the answer was not kept; a store is needed for the key itself."""
    stage = Stage(InMemorySessionStore())
    stage.will_say(hello("Hi."), stream=False)
    async with stage.gateway:
        first = await stage.post(dialect, KEY)
        again = await stage.post(dialect, KEY)
        document = await stage.document()
    stateless = Stage()
    async with stateless.gateway:
        refused = await stateless.post(dialect, KEY)

    assert (first.status, again.status, refused.status) == (200, 409, 400)
    assert document.schema_violations(dialect.schemas[2], again.json) == []
    assert len(stage.asked) == 1


async def test_a_key_is_one_operations() -> None:
    """The same key with another dialect's operation is another request."""
    stage = Stage(InMemorySessionStore())
    stage.will_say(hello("Hi."), stream=False)
    async with stage.gateway:
        assert (await stage.post(COMPLETIONS, KEY)).status == 200
        reused = await stage.post(MESSAGES, KEY)

    assert (reused.status, reused.json["error"]["type"]) == (422, "invalid_request_error")


# What a provider alone understands.

SIGNED = {"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVk"}
LOOK = {"name": "look", "input_schema": {"type": "object"}}
SAID = {"type": "text", "text": "Yes."}
THOUGHT: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [SIGNED, SAID],
    "stop_reason": "stop_sequence",
    "stop_sequence": "END",
    "usage": {"input_tokens": 3, "output_tokens": 5},
}


def _event(name: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps({"type": name, **fields}))


def _block(index: int, block: Any, *deltas: Any) -> bytes:
    return (
        _event("content_block_start", index=index, content_block=block)
        + b"".join(_event("content_block_delta", index=index, delta=delta) for delta in deltas)
        + _event("content_block_stop", index=index)
    )


def _thinking(*, stream: bool) -> PreparedReply:
    if not stream:
        return PreparedReply(blocks=[orjson.dumps(THOUGHT)])
    raw = (
        _event("message_start", message={**THOUGHT, "content": [], "stop_reason": None, "stop_sequence": None})
        + _block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "Hm."},
            {"type": "signature_delta", "signature": SIGNED["signature"]},
        )
        + _block(1, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Yes."})
        + _event(
            "message_delta",
            delta={"stop_reason": "stop_sequence", "stop_sequence": "END"},
            usage={"output_tokens": 5},
        )
        + _event("message_stop")
    )
    return PreparedReply(headers={"content-type": "text/event-stream"}, blocks=[raw])


def _key(number: int) -> tuple[bytes, bytes]:
    """With a key of its own a request goes through the hub, whatever the upstream speaks."""
    return (b"idempotency-key", b"k-%d" % number)


@each_mode
async def test_signatures_reach_the_client_and_go_back(stream: bool) -> None:
    """A thinking block is shown with its signature; brought back, the upstream gets both as they were."""
    stage = Stage(InMemorySessionStore(), upstream=anthropic({}))
    stage.will_answer(_thinking(stream=stream))
    stage.will_answer(_thinking(stream=False))
    think = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2048, "tools": [LOOK]}
    async with stage.gateway:
        answer = await stage.post(MESSAGES, _key(1), stream=stream, **think)
        assert answer.status == 200, answer
        shown = _first_block(events_of(answer.body)) if stream else answer.json["content"][0]
        again = await stage.post(MESSAGES, _key(2), messages=_looked(shown), **think)

    assert shown == SIGNED
    assert again.status == 200
    assert stage.asked[1]["messages"][1]["content"][0] == SIGNED


def _looked(thought: Any) -> list[Any]:
    """Messages in which the model thought, looked something up, and has been told."""
    call = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "Blue."}
    return [HELLO, {"role": "assistant", "content": [thought, call]}, {"role": "user", "content": [result]}]


def _first_block(events: list[Any]) -> dict[str, Any]:
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta" and event["index"] == 0]
    return {
        "type": "thinking",
        "thinking": "".join(delta.get("thinking", "") for delta in deltas),
        "signature": "".join(delta.get("signature", "") for delta in deltas),
    }


@each_mode
async def test_the_text_that_stopped_the_model_is_told(stream: bool) -> None:
    """Messages names it; a response of the Responses API has no such field."""
    stage = Stage(InMemorySessionStore(), upstream=anthropic({}))
    stage.will_answer(_thinking(stream=stream))
    stage.will_answer(_thinking(stream=False))
    async with stage.gateway:
        answer = await stage.post(MESSAGES, _key(1), stream=stream, stop_sequences=["END"])
        plain = await stage.send("POST", "/v1/responses", {"model": "m", "input": "Hello", "store": False})

    ends = [event["delta"] for event in events_of(answer.body) if event["type"] == "message_delta"] if stream else []
    end = ends[0] if stream else answer.json
    assert (end["stop_reason"], end["stop_sequence"]) == ("stop_sequence", "END")
    assert "stop_sequence" not in plain.json


async def test_a_count_takes_what_the_client_brings_back() -> None:
    """The upstream counts thinking with its signature, as it would be asked."""
    stage = Stage(upstream=anthropic({}))
    stage.will_answer(PreparedReply(blocks=[b'{"input_tokens":12}']))
    think = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "tools": [LOOK]}
    body = {"model": "m", "messages": _looked(SIGNED), **think}
    async with stage.gateway:
        answer = await stage.send("POST", "/v1/messages/count_tokens", body)

    assert (answer.json, answer.headers["x-antiphon-token-count"]) == ({"input_tokens": 12}, "exact")
    assert stage.asked[0]["messages"][1]["content"][0] == SIGNED


# Paths beside those of the dialects.


async def test_other_paths_keep_openais_envelope() -> None:
    """A path that only begins alike is none of a dialect's."""
    stage = Stage()
    async with stage.gateway:
        for path in ("/v1/messagesx", "/v1", "/v1/complete", "/"):
            answer = await stage.send("POST", path, {})
            assert set(answer.json["error"]) == {"message", "type", "param", "code"}, path
            assert "request-id" not in answer.headers
