"""Streams: order, numbers, endings, disconnects."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from tests.gateway.conftest import Client, serving
from tests.support.scripted_upstream import (
    MODEL,
    Drop,
    ScriptedUpstream,
    Wait,
    chunk,
    delta,
    finish,
    http_json,
    http_stream,
    http_stream_head,
    whole,
)

from antiphon import Gateway, InMemorySessionStore, upstream


async def test_a_stream_has_the_documented_order(client: Client) -> None:
    """Every event comes in its place with a dense sequence number, and the stream ends with [DONE]."""
    events, raw = await client.raw_stream("hi")
    assert [event["type"] for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert raw.endswith(b"data: [DONE]\n\n")
    assert events[0]["response"]["status"] == "in_progress"
    assert events[0]["response"]["output"] == []
    assert len({event["item_id"] for event in events if "item_id" in event}) == 1


async def test_a_streamed_turn_is_stored_before_it_is_said(client: Client) -> None:
    """The terminal event's response is what GET answers, and the next turn stands on it."""
    events = await client.stream("hi")
    final = events[-1]["response"]
    assert await client.call("GET", f"/v1/responses/{final['id']}") == (200, final)
    await client.respond("more", previous_response_id=final["id"])
    assert [message["content"] for message in client.upstream.last_messages] == ["hi", "Hello there.", "more"]


async def test_a_stream_and_a_whole_reply_give_the_same_response(client: Client) -> None:
    """Only ids and times differ."""
    streamed = (await client.stream("hi"))[-1]["response"]
    whole_reply = await client.respond("hi")
    for response in (streamed, whole_reply):
        for key in ("id", "created_at", "completed_at"):
            del response[key]
        del response["output"][0]["id"]
    assert streamed == whole_reply


async def test_obfuscation_can_be_switched_off(client: Client) -> None:
    """Deltas are padded unless stream_options says otherwise."""
    padded = await client.stream("hi")
    plain = await client.stream("hi", stream_options={"include_obfuscation": False})
    assert all("obfuscation" in event for event in padded if event["type"].endswith(".delta"))
    assert not any("obfuscation" in event for event in plain)


async def test_parallel_tool_calls_are_closed_when_the_next_opens(client: Client) -> None:
    """Each call is an item of its own with stable ids and indexes."""
    calls = b"".join(
        delta(tool_calls=[{"index": index, "id": f"up_{index}", "function": {"name": "f", "arguments": part}}])
        for index, part in ((0, '{"a"'), (0, ":1}"), (1, "{}"))
    )
    client.upstream.then(http_stream(delta(content="Hm.") + calls + finish("tool_calls")))
    tool = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
    events = await client.stream("go", tools=[tool])
    kinds = [(event["type"].removeprefix("response."), event.get("output_index")) for event in events]
    assert kinds[2:-1] == [
        ("output_item.added", 0),
        ("content_part.added", 0),
        ("output_text.delta", 0),
        ("output_text.done", 0),
        ("content_part.done", 0),
        ("output_item.done", 0),
        ("output_item.added", 1),
        ("function_call_arguments.delta", 1),
        ("function_call_arguments.delta", 1),
        ("function_call_arguments.done", 1),
        ("output_item.done", 1),
        ("output_item.added", 2),
        ("function_call_arguments.delta", 2),
        ("function_call_arguments.done", 2),
        ("output_item.done", 2),
    ]
    assert [item["type"] for item in events[-1]["response"]["output"]] == ["message", "function_call", "function_call"]


async def test_a_failure_in_the_middle_ends_the_stream_with_response_failed(client: Client) -> None:
    """The fault is named, the request id is in the message, and the failed turn is kept but not continued."""
    client.upstream.then(http_stream_head(), chunk(delta(content="Half")), Drop())
    events = await client.stream("hi")
    failed = events[-1]
    assert failed["type"] == "response.failed"
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"]["code"] == "server_error"
    assert "scripted" in failed["response"]["error"]["message"]
    assert "req_" in failed["response"]["error"]["message"]
    status, kept = await client.call("GET", f"/v1/responses/{failed['response']['id']}")
    assert (status, kept) == (200, failed["response"])
    assert kept["output"][0]["content"][0]["text"] == "Half"
    assert kept["output"][0]["status"] == "incomplete"
    status, body = await client.call(
        "POST", "/v1/responses", {"model": MODEL, "input": "x", "previous_response_id": kept["id"]}
    )
    assert status == 400
    assert "'failed'" in body["error"]["message"]


async def test_a_stream_without_its_end_is_not_a_success(client: Client) -> None:
    """A clean close without finish_reason and [DONE] is a failure."""
    client.upstream.then(http_stream(delta(content="All of it.")))
    assert (await client.stream("hi"))[-1]["type"] == "response.failed"


async def test_an_error_before_the_first_byte_is_an_http_error_and_leaves_no_record(client: Client) -> None:
    """Also for a request that wanted a stream."""
    client.upstream.then(http_json({"error": {"message": "bad thing", "type": "x"}}, status=400))
    status, body = await client.call("POST", "/v1/responses", {"model": MODEL, "input": "x", "stream": True})
    assert status == 400
    assert "bad thing" in body["error"]["message"]


async def test_passing_faults_are_retried_before_the_first_byte_only(client: Client) -> None:
    """A 503 and a dropped connection are tried again; a broken stream is not."""
    client.upstream.then(http_json({"error": "busy"}, status=503))
    client.upstream.then(Drop())
    assert (await client.respond("hi"))["status"] == "completed"
    assert len(client.upstream.turns) == 3
    client.upstream.then(http_stream_head(), chunk(delta(content="x")), Drop())
    await client.stream("hi")
    assert len(client.upstream.turns) == 4


async def test_a_stream_request_may_be_answered_in_one_piece(client: Client) -> None:
    """Some servers ignore stream: true; the client gets its events all the same."""
    client.upstream.then(http_json(whole("In one piece.")))
    events = await client.stream("hi")
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "In one piece."
    assert events[-1]["type"] == "response.completed"


async def _leave_in_the_middle(client: Client) -> str:
    """Start a stream, read until the first delta, hang up. Returns the response's id."""
    request = {"model": MODEL, "input": "hi", "stream": True}
    session = aiohttp.ClientSession()
    answer = await session.post(client.base_url + "/v1/responses", json=request)
    raw = b""
    while b"response.output_text.delta" not in raw:
        raw += await answer.content.readany()
    answer.close()
    await session.close()
    return "resp_" + raw.split(b'"id":"resp_')[1].split(b'"')[0].decode()


async def _eventually(client: Client, response_id: str, status: str) -> Any:
    for _ in range(2000):
        code, body = await client.call("GET", f"/v1/responses/{response_id}")
        if code == 200 and body["status"] == status:
            return body
        await asyncio.sleep(0.005)
    raise AssertionError(body)


async def test_a_client_that_leaves_stops_the_upstream_and_leaves_a_cancelled_record(client: Client) -> None:
    """What had been produced is kept, and the turn can be continued."""
    never = asyncio.Event()
    client.upstream.then(http_stream_head(), chunk(delta(content="Par")), Wait(never))
    response_id = await _leave_in_the_middle(client)
    await asyncio.wait_for(client.upstream.disconnected.wait(), 20)
    body = await _eventually(client, response_id, "cancelled")
    assert body["output"][0]["content"][0]["text"] == "Par"
    assert body["output"][0]["status"] == "incomplete"
    await client.respond("go on", previous_response_id=response_id)
    assert [message["content"] for message in client.upstream.last_messages] == ["hi", "Par", "go on"]


async def test_a_running_turn_is_visible_and_cannot_be_continued_or_deleted(client: Client) -> None:
    """GET answers in_progress with the output so far."""
    go_on = asyncio.Event()
    client.upstream.then(http_stream_head(), chunk(delta(content="Par")), Wait(go_on), chunk(finish()), b"0\r\n\r\n")
    request = {"model": MODEL, "input": "hi", "stream": True}
    async with client.http.post(client.base_url + "/v1/responses", json=request) as answer:
        raw = b""
        while b"response.output_text.delta" not in raw:
            raw += await answer.content.readany()
        response_id = "resp_" + raw.split(b'"id":"resp_')[1].split(b'"')[0].decode()
        _, running = await client.call("GET", f"/v1/responses/{response_id}")
        assert running["status"] == "in_progress"
        assert running["output"][0]["content"][0]["text"] == "Par"
        status, body = await client.call(
            "POST", "/v1/responses", {"model": MODEL, "input": "x", "previous_response_id": response_id}
        )
        assert (status, "'in_progress'" in body["error"]["message"]) == (400, True)
        status, body = await client.call("DELETE", f"/v1/responses/{response_id}")
        assert (status, body["error"]["message"]) == (400, "Cannot delete an in-flight response.")
        go_on.set()
        await answer.read()
    assert (await client.call("GET", f"/v1/responses/{response_id}"))[1]["status"] == "completed"


async def test_a_turn_may_outlive_its_reader(scripted: ScriptedUpstream) -> None:
    """With on_disconnect continue, the turn goes on and is stored as completed."""
    gateway = Gateway([upstream(scripted.url, name="scripted")], on_disconnect="continue")
    async with serving(gateway.with_session_store(InMemorySessionStore()), scripted) as client:
        go_on = asyncio.Event()
        scripted.then(http_stream_head(), chunk(delta(content="Par")), Wait(go_on), chunk(finish()), b"0\r\n\r\n")
        response_id = await _leave_in_the_middle(client)
        go_on.set()
        body = await _eventually(client, response_id, "completed")
        assert body["output"][0]["content"][0]["text"] == "Par"


async def test_silence_is_filled_with_comments(scripted: ScriptedUpstream) -> None:
    """A quiet stream gets keep-alive comments, which clients pass over."""
    gateway = Gateway([upstream(scripted.url, name="scripted")]).with_session_store(InMemorySessionStore())
    async with serving(gateway, scripted, keep_alive_s=0.02) as client:
        go_on = asyncio.Event()
        scripted.then(http_stream_head(), chunk(delta(content="Par")), Wait(go_on), chunk(finish()), b"0\r\n\r\n")
        request = {"model": MODEL, "input": "hi", "stream": True}
        async with client.http.post(client.base_url + "/v1/responses", json=request) as answer:
            raw = b""
            while raw.count(b": keep-alive\n\n") < 2:
                raw += await answer.content.readany()
            go_on.set()
            raw += await answer.read()
        assert raw.endswith(b"data: [DONE]\n\n")
