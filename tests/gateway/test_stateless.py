"""A gateway without a session store: what it can do all the same, and how it refuses what it cannot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.gateway.conftest import Client, serving
from tests.gateway.socket_client import connected
from tests.gateway.test_websocket import said
from tests.support.scripted_upstream import MODEL, ScriptedUpstream, http_json, whole

from antiphon import Gateway, upstream


@pytest.fixture
async def stateless(scripted: ScriptedUpstream) -> AsyncIterator[Client]:
    async with serving(Gateway([upstream(scripted.url, name="scripted")]), scripted) as client:
        yield client


async def test_a_connection_remembers_its_own_turns(stateless: Client) -> None:
    """Over a WebSocket a turn continues from the one before, as the connection itself has its context."""
    async with connected(stateless) as socket:
        first = await socket.turn("one")
        assert first["store"] is False
        second = await socket.turn("two", previous_response_id=first["id"])
        third = await socket.turn("three", previous_response_id=second["id"], store=False)
    assert third["previous_response_id"] == second["id"]
    assert said(stateless) == ["one", "Hello there.", "two", "Hello there.", "three"]


async def test_a_tool_call_is_answered_on_its_connection(stateless: Client) -> None:
    """The output of a call may come alone; without its call it is refused as anywhere."""
    call = {"id": "up_0", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    answer: Any = whole("")
    answer["choices"][0] |= {
        "finish_reason": "tool_calls",
        "message": {"role": "assistant", "content": None, "tool_calls": [call]},
    }
    stateless.upstream.then(http_json(answer))
    async with connected(stateless) as socket:
        tool = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
        first = await socket.turn("one", tools=[tool])
        call_id = first["output"][0]["call_id"]
        output = {"type": "function_call_output", "call_id": call_id, "output": "42"}
        await socket.turn([output], tools=[tool], previous_response_id=first["id"])
        refused = await socket.error([{**output, "call_id": "call_other"}], tools=[tool])
    assert refused["status"] == 400
    assert [message["role"] for message in stateless.upstream.last_messages] == ["user", "assistant", "tool"]


async def test_what_a_connection_does_not_have_is_unknown_to_it(stateless: Client) -> None:
    """The same answer as with a store, by which clients know that they have to send everything again."""
    async with connected(stateless) as socket:
        first = await socket.turn("one")
    async with connected(stateless) as socket:
        for parent in (first["id"], "resp_nobody"):
            refused = await socket.error("two", previous_response_id=parent)
            assert (refused["status"], refused["error"]["code"]) == (400, "previous_response_not_found")


async def test_a_compaction_item_of_this_process_is_understood(stateless: Client) -> None:
    """What the client carries itself needs no store: compacting, and going on from the item."""
    stateless.upstream.then(http_json(whole("They said hi.")))
    status, compacted = await stateless.call("POST", "/v1/responses/compact", {"model": MODEL, "input": "hi"})
    assert status == 200
    await stateless.respond([*compacted["output"], {"role": "user", "content": "more"}])
    shown = str(said(stateless))
    assert "They said hi." in shown
    assert "more" in shown


_STATE: dict[str, Any] = {
    "store": True,
    "background": True,
    "previous_response_id": "resp_x",
    "conversation": "conv_x",
    "prompt": {"id": "pmpt_x"},
}


@pytest.mark.parametrize("name", list(_STATE))
async def test_what_needs_a_store_is_refused_by_name(stateless: Client, name: str) -> None:
    """400 unsupported_parameter that names the field; nobody is asked anything."""
    status, body = await stateless.call("POST", "/v1/responses", {"model": MODEL, "input": "hi", name: _STATE[name]})
    assert (status, body["error"]["code"], body["error"]["param"]) == (400, "unsupported_parameter", name)
    assert not stateless.upstream.turns


async def test_a_key_is_refused_by_name(stateless: Client) -> None:
    """Also for requests that are no turns: an answer that could not be kept would be given twice."""
    for path in ("/v1/responses", "/v1/responses/compact"):
        body = {"model": MODEL, "input": "hi"}
        status, answer = await stateless.call("POST", path, body, **{"idempotency-key": "key-1"})
        assert status == 400, path
        assert "store" in answer["error"]["message"]
    assert not stateless.upstream.turns


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/responses/resp_x"),
        ("GET", "/v1/responses"),
        ("POST", "/v1/responses/resp_x/cancel"),
        ("DELETE", "/v1/responses/resp_x"),
        ("GET", "/v1/responses/resp_x/input_items"),
        ("POST", "/v1/conversations"),
        ("GET", "/v1/conversations"),
        ("GET", "/v1/prompts"),
        ("GET", "/v1/webhook_deliveries"),
    ],
)
async def test_an_operation_on_what_is_stored_says_that_nothing_is(stateless: Client, method: str, path: str) -> None:
    """400 that says how the gateway was started."""
    status, body = await stateless.call(method, path, {} if method == "POST" else None)
    assert (status, "without a session store" in body["error"]["message"]) == (400, True), body
