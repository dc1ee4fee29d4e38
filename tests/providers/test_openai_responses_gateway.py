"""A gateway in front of native Responses upstreams: turns that stand on one another, and upstreams that change."""

from __future__ import annotations

import time
from typing import Any

import orjson
import pytest

from antiphon import Gateway, InMemorySessionStore
from antiphon.engine.upstreams import Upstream
from antiphon.hub.items import JsonObject
from antiphon.hub.upstream import Provider
from antiphon.providers import openai_chat, openai_responses
from antiphon.telemetry import Log
from antiphon.transport.replay import PreparedReply, ReplayTransport
from tests.providers.openai_responses_replies import transcript

SHOWN = ["reasoning.encrypted_content"]


def streamed(name: str) -> PreparedReply:
    return PreparedReply(headers={"content-type": "text/event-stream"}, blocks=[transcript(f"{name}.sse")])


def in_one_piece(name: str) -> PreparedReply:
    return PreparedReply(blocks=[transcript(f"{name}.json")])


def upstreams(*replies: PreparedReply) -> tuple[Gateway, list[ReplayTransport]]:
    """A gateway in front of two Responses upstreams and one of another dialect, with the models ``a``, ``b``, ``c``."""
    chat = PreparedReply(
        blocks=[b'{"choices":[{"index":0,"message":{"content":"Chat."},"finish_reason":"stop"}]}'],
    )
    answers = [ReplayTransport(replies), ReplayTransport(replies), ReplayTransport([chat])]
    providers: tuple[Provider, ...] = (
        openai_responses.provider({}),
        openai_responses.provider({}),
        openai_chat.provider({}),
    )
    behind = [
        Upstream(name, provider, transport, models=[name], clock=time.monotonic)
        for name, provider, transport in zip("abc", providers, answers, strict=True)
    ]
    return Gateway(behind, store=InMemorySessionStore(), log=Log("error")), answers


def asked(transport: ReplayTransport) -> list[JsonObject]:
    """The input of the last request."""
    context: list[JsonObject] = orjson.loads(transport.requests[-1].body)["input"]
    return context


async def finished(gateway: Gateway, **body: Any) -> JsonObject:
    """The response of a turn that was streamed to its client."""
    responses = [getattr(event, "response", None) async for event in gateway.stream(body)]
    assert responses[-1] is not None
    return dict(responses[-1])


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_chain_carries_sealed_reasoning(stream: bool) -> None:
    """The second turn sends the whole context back, with what the upstream sealed and without any id of an item."""
    reply = streamed if stream else in_one_piece
    gateway, (answers, *_) = upstreams(reply("reasoning_sealed"), reply("text"))
    async with gateway:
        if stream:
            first = await finished(gateway, model="a", input="Two plus two?", stream=True)
        else:
            first = await gateway.respond({"model": "a", "input": "Two plus two?"})
        assert [item["type"] for item in first["output"]] == ["reasoning", "message"]
        assert "gAAA" not in repr(first)

        await gateway.respond({"model": "a", "input": "Sure?", "previous_response_id": first["id"]})

    assert [entry["type"] for entry in asked(answers)] == ["message", "reasoning", "message", "message"]
    assert asked(answers)[1] == {"type": "reasoning", "summary": [], "encrypted_content": "gAAAsealedB"}
    assert not [entry for entry in asked(answers) if "id" in entry]


async def test_a_stateless_client_carries_it_itself() -> None:
    """With store: false a client gets sealed reasoning on request, and what it sends back arrives as it was sealed."""
    gateway, (answers, other, _) = upstreams(in_one_piece("reasoning_sealed"), in_one_piece("text"))
    async with gateway:
        first = await gateway.respond({"model": "a", "input": "Two plus two?", "store": False, "include": SHOWN})
        again = [{"role": "user", "content": "Two plus two?"}, *first["output"], {"role": "user", "content": "Sure?"}]

        await gateway.respond({"model": "a", "input": again, "store": False})
        await gateway.respond({"model": "b", "input": again, "store": False})

    assert first["output"][0]["encrypted_content"].endswith("gAAAsealedB")
    assert [entry["encrypted_content"] for entry in asked(answers) if entry["type"] == "reasoning"] == ["gAAAsealedB"]
    assert [entry["type"] for entry in asked(other)] == ["message"] * 3


async def test_hosted_items_stay_with_their_upstream() -> None:
    """What a hosted tool made goes back to the upstream that runs it; another one is given what was said about it."""
    gateway, (searching, other, _) = upstreams(in_one_piece("web_search"), in_one_piece("text"))
    async with gateway:
        searched = await gateway.respond({"model": "a", "input": "Where?"})
        stayed = await gateway.respond({"model": "a", "input": "And?", "previous_response_id": searched["id"]})
        await gateway.respond({"model": "b", "input": "Go on", "previous_response_id": stayed["id"]})

    assert [entry["type"] for entry in asked(searching)] == ["message", "web_search_call", "message", "message"]
    assert asked(searching)[1]["id"] == "ws_u1"
    assert [entry["type"] for entry in asked(other)] == ["message"] * 5


async def test_a_chain_may_change_its_dialect() -> None:
    """By way of a chat upstream and back: sealed reasoning waits for the upstream that can read it."""
    gateway, (first, _, chat) = upstreams(in_one_piece("reasoning_sealed"), in_one_piece("text"))
    async with gateway:
        opened = await gateway.respond({"model": "a", "input": "Two plus two?"})
        chatted = await gateway.respond({"model": "c", "input": "Sure?", "previous_response_id": opened["id"]})
        await gateway.respond({"model": "a", "input": "Really?", "previous_response_id": chatted["id"]})

    roles = [message["role"] for message in orjson.loads(chat.requests[-1].body)["messages"]]
    assert roles == ["user", "assistant", "user"]
    assert [entry["type"] for entry in asked(first)] == ["message", "reasoning", *["message"] * 4]


async def test_a_call_is_answered() -> None:
    """A tool's output goes up under the id of its call, which is ours on both ways."""
    gateway, (answers, *_) = upstreams(in_one_piece("reasoning_call"), in_one_piece("text"))
    tool = {"type": "function", "name": "look", "parameters": {"type": "object"}}
    async with gateway:
        first = await gateway.respond({"model": "a", "input": "Weather?", "tools": [tool]})
        call_id = first["output"][1]["call_id"]
        output = {"type": "function_call_output", "call_id": call_id, "output": "18 C"}

        await gateway.respond({"model": "a", "input": [output], "previous_response_id": first["id"], "tools": [tool]})

    sent = asked(answers)
    assert [entry["type"] for entry in sent] == ["message", "reasoning", "function_call", "function_call_output"]
    assert sent[2]["call_id"] == sent[3]["call_id"] == call_id
    assert call_id != "call_u1"
