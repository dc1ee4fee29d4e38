"""Resuming: every stored stream can be followed again from any event on, byte for byte what was sent first."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.gateway.conftest import Client, parse
from tests.gateway.test_background import eventually, paused
from tests.support.scripted_upstream import MODEL, Drop, chunk, delta, finish, http_stream, http_stream_head, sse

_PLAIN = {"stream_options": {"include_obfuscation": False}}


def frames(raw: bytes) -> list[bytes]:
    """The events of a stream as bytes, without comments and the sentinel."""
    return [frame + b"\n\n" for frame in raw.split(b"\n\n") if frame and frame != b"data: [DONE]" and frame[:1] != b":"]


async def resumed(client: Client, response_id: str, after: int | None = None, **query: str) -> bytes:
    """The bytes of a stored stream from after an event on."""
    wanted = {"stream": "true", **({} if after is None else {"starting_after": str(after)}), **query}
    async with client.http.get(f"{client.base_url}/v1/responses/{response_id}", params=wanted) as answer:
        raw = await answer.read()
        assert answer.status == 200, raw
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert raw.endswith(b"data: [DONE]\n\n")
    return raw


_CALL = [{"index": 0, "id": "up_0", "function": {"name": "f", "arguments": '{"a": "ü'}}]
_CALL_END = [{"index": 0, "function": {"arguments": '"}'}}]
_TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}

_STREAMS: dict[str, bytes] = {
    "text": delta(role="assistant") + b"".join(delta(content=f"w{n} é😀") for n in range(12)) + finish(),
    "reasoning": delta(reasoning_content="Let me ") + delta(reasoning_content="see.") + delta(content="42") + finish(),
    "calls": delta(content="Hm.") + delta(tool_calls=_CALL) + delta(tool_calls=_CALL_END) + finish("tool_calls"),
    "cut short": delta(content="Never en") + finish("length"),
    "refusal": delta(refusal="I would ") + delta(refusal="rather not.") + finish(),
    "nothing": finish(),
}


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("kind", list(_STREAMS))
async def test_a_stream_is_resumed_after_every_event(client: Client, kind: str, *, background: bool) -> None:
    """Whatever was said, and wherever the client stopped: the rest is the same bytes."""
    client.upstream.then(http_stream(_STREAMS[kind]))
    _, raw = await client.raw_stream("hi", background=background, tools=[_TOOL], **_PLAIN)
    sent = frames(raw)
    response_id = parse(raw)[0]["response"]["id"]
    assert frames(await resumed(client, response_id)) == sent
    for after in range(len(sent) + 2):
        assert frames(await resumed(client, response_id, after)) == sent[after + 1 :]


@pytest.mark.parametrize("background", [False, True])
async def test_a_broken_stream_is_resumed_as_it_broke(client: Client, *, background: bool) -> None:
    """A failed turn's stream ends with the same response.failed, its open items never closed."""
    client.upstream.then(http_stream_head(), chunk(delta(content="Half")), Drop())
    _, raw = await client.raw_stream("hi", background=background, **_PLAIN)
    events = parse(raw)
    assert events[-1]["type"] == "response.failed"
    assert frames(await resumed(client, events[0]["response"]["id"])) == frames(raw)


async def test_a_response_that_was_not_streamed_has_a_stream_all_the_same(client: Client) -> None:
    """It is what a stream of it would have said."""
    response = await client.respond("hi")
    events = parse(await resumed(client, response["id"]))
    assert events[0]["type"] == "response.created"
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["response"] == response


@pytest.mark.parametrize("background", [False, True])
async def test_a_running_stream_is_followed_after_every_event_by_many(client: Client, *, background: bool) -> None:
    """Readers that come while it runs are given what was said and then what comes, all the same bytes."""
    wait = paused(client, "One", " two", " three")
    request = {"model": MODEL, "input": "hi", "stream": True, "background": background, **_PLAIN}
    async with client.http.post(client.base_url + "/v1/responses", json=request) as answer:
        raw = b""
        while b" three" not in raw:
            raw += await answer.content.readany()
        said = len(frames(raw))
        response_id = parse(raw)[0]["response"]["id"]
        followers = [
            asyncio.create_task(resumed(client, response_id, after)) for after in range(-1, said + 1) if after >= 0
        ]
        await asyncio.sleep(0)
        wait.event.set()
        raw += await answer.read()
    sent = frames(raw)
    for after, follower in enumerate(followers):
        assert frames(await follower) == sent[after + 1 :]


async def test_resumed_streams_are_padded_only_on_request(client: Client) -> None:
    """What was sent with padding is sent again without, unless the query asks for it."""
    events = await client.stream("hi")
    response_id = events[0]["response"]["id"]
    assert not any("obfuscation" in event for event in parse(await resumed(client, response_id)))
    padded = parse(await resumed(client, response_id, include_obfuscation="true"))
    assert all("obfuscation" in event for event in padded if event["type"].endswith(".delta"))


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("stream=true&starting_after=-1", "starting_after"),
        ("stream=true&starting_after=x", "starting_after"),
        ("stream=maybe", "stream"),
        ("starting_after=3", "starting_after"),
        ("stream=true&starting_aftr=3", "starting_aftr"),
    ],
)
async def test_a_malformed_query_is_refused_by_name(client: Client, query: str, param: str) -> None:
    """400 before anything is streamed."""
    response = await client.respond("hi")
    status, body = await client.call("GET", f"/v1/responses/{response['id']}?{query}")
    assert (status, body["error"]["param"]) == (400, param)


async def test_an_unknown_response_has_no_stream(client: Client) -> None:
    """404, as for any other unknown id."""
    status, body = await client.call("GET", "/v1/responses/resp_nobody?stream=true")
    assert (status, body["error"]["message"]) == (404, "Response with id 'resp_nobody' not found.")


async def test_a_deleted_response_has_no_stream(client: Client) -> None:
    """Its trace goes with it."""
    response = await client.respond("hi")
    await client.call("DELETE", f"/v1/responses/{response['id']}")
    assert (await client.call("GET", f"/v1/responses/{response['id']}?stream=true"))[0] == 404


async def test_a_stream_of_unknown_events_is_resumed_whole(client: Client) -> None:
    """Log probabilities and empty deltas come back where they were."""
    logprobs = {"content": [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}]}
    choice = {"index": 0, "delta": {"content": "Hi"}, "logprobs": logprobs, "finish_reason": None}
    first = sse({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})
    client.upstream.then(http_stream(first + delta(content="") + delta(content=" there") + finish()))
    _, raw = await client.raw_stream("hi", include=["message.output_text.logprobs"], **_PLAIN)
    assert frames(await resumed(client, parse(raw)[0]["response"]["id"])) == frames(raw)


async def test_a_background_response_is_resumed_after_it_was_polled_to_its_end(client: Client) -> None:
    """Polled or streamed, it is the same response with the same stream."""
    queued = await client.respond("hi", background=True)
    done = await eventually(client, queued["id"], "completed")
    events: list[Any] = parse(await resumed(client, queued["id"]))
    assert events[0]["response"] == queued
    assert events[-1]["response"] == done
