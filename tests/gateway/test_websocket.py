"""WebSocket mode: turns, lanes, and what one connection remembers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.gateway.conftest import Client, serving
from tests.gateway.socket_client import connected
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
)

from antiphon import Gateway, InMemorySessionStore, upstream
from antiphon.server.ws_lanes import SocketLimits


def said(client: Client) -> list[Any]:
    """What the model was told in the newest turn."""
    return [message["content"] for message in client.upstream.last_messages]


async def test_the_frames_are_the_events_of_a_stream(client: Client) -> None:
    """A turn over a WebSocket has the events that it has over HTTP, byte for byte besides ids and times."""
    async with connected(client) as socket:
        await socket.create("hi")
        frames = await socket.until_end()
    events = await client.stream("hi")
    assert [_timeless(event) for event in events] == [_timeless(frame) for frame in frames]


def _timeless(event: Any) -> Any:
    """An event without what differs between two turns of the same words."""
    response = event.get("response")
    if response is not None:
        volatile = ("id", "created_at", "completed_at", "output")
        event = {**event, "response": {name: value for name, value in response.items() if name not in volatile}}
    return {name: value for name, value in event.items() if name not in ("item_id", "item", "obfuscation")}


async def test_a_lane_is_named_in_every_event(client: Client) -> None:
    """A stream_id comes back with every event and error of its requests, and with no other's."""
    async with connected(client) as socket:
        await socket.create("hi", stream_id="a.b-c_1")
        assert {"a.b-c_1"} == {frame["stream_id"] for frame in await socket.until_end()}
        assert (await socket.error("hi", stream_id="a.b-c_1", temperature=9))["stream_id"] == "a.b-c_1"
        await socket.create("hi")
        assert not any("stream_id" in frame for frame in await socket.until_end())


async def test_obfuscation_is_as_over_http(client: Client) -> None:
    """Deltas are padded unless stream_options says otherwise."""
    async with connected(client) as socket:
        await socket.create("hi")
        padded = [frame for frame in await socket.until_end() if frame["type"].endswith(".delta")]
        await socket.create("hi", stream_options={"include_obfuscation": False})
        plain = [frame for frame in await socket.until_end() if frame["type"].endswith(".delta")]
    assert ["obfuscation" in frame for frame in padded] == [True, True]
    assert ["obfuscation" in frame for frame in plain] == [False, False]


async def test_a_stored_chain_goes_on_over_http(client: Client) -> None:
    """A stored turn is stored before its last frame leaves, and may be continued from anywhere."""
    async with connected(client) as socket:
        first = await socket.turn("one")
        assert (200, first) == await client.call("GET", f"/v1/responses/{first['id']}")
        second = await socket.turn("two", previous_response_id=first["id"])
    await client.respond("three", previous_response_id=second["id"])
    assert said(client) == ["one", "Hello there.", "two", "Hello there.", "three"]


async def test_a_connection_continues_what_was_not_stored(client: Client) -> None:
    """With store: false the latest response of a lane can be continued, by this connection only."""
    async with connected(client) as socket:
        first = await socket.turn("one", store=False)
        second = await socket.turn("two", store=False, previous_response_id=first["id"])
        third = await socket.turn("three", store=False, previous_response_id=second["id"])
        assert said(client) == ["one", "Hello there.", "two", "Hello there.", "three"]
        assert second["id"] == third["previous_response_id"]
        assert _not_found(first["id"]) == await socket.error("x", previous_response_id=first["id"])
    async with connected(client) as socket:
        assert _not_found(third["id"]) == await socket.error("x", previous_response_id=third["id"])
    status, _ = await client.call("GET", f"/v1/responses/{third['id']}")
    assert status == 404


async def test_a_stored_turn_may_stand_on_what_was_not(client: Client) -> None:
    """What a stored turn continues on the connection becomes part of what is stored."""
    async with connected(client) as socket:
        first = await socket.turn("one", store=False)
        second = await socket.turn("two", previous_response_id=first["id"])
    await client.respond("three", previous_response_id=second["id"])
    assert said(client) == ["one", "Hello there.", "two", "Hello there.", "three"]


async def test_a_prewarmed_turn_asks_no_model(client: Client) -> None:
    """generate: false keeps the input, answers without output, and can be continued although it was not stored."""
    async with connected(client) as socket:
        await socket.create("one", generate=False, store=False, instructions="Be brief.")
        frames = await socket.until_end()
        assert [f["type"] for f in frames] == ["response.created", "response.in_progress", "response.completed"]
        warm = frames[-1]["response"]
        assert (warm["output"], warm["usage"]["total_tokens"]) == ([], 0)
        assert client.upstream.turns == []
        await socket.turn("two", store=False, previous_response_id=warm["id"])
    assert said(client) == ["one", "two"]


async def test_a_prewarmed_turn_needs_no_input(client: Client) -> None:
    """A client may open a chain with nothing but settings, stored or not, and say everything in the next turn."""
    async with connected(client) as socket:
        for store in (False, True):
            warm = await socket.turn([], generate=False, store=store)
            await socket.turn("one", store=store, previous_response_id=warm["id"])
            assert said(client) == ["one"]
        assert (200, warm) == await client.call("GET", f"/v1/responses/{warm['id']}")
        refused = await socket.error([], store=False)
    assert refused["error"]["code"] == "missing_required_parameter"


async def test_a_prewarmed_turn_that_is_stored_is_like_any_other(client: Client) -> None:
    """It is retrieved and continued over HTTP."""
    async with connected(client) as socket:
        warm = await socket.turn("one", generate=False)
    assert (200, warm) == await client.call("GET", f"/v1/responses/{warm['id']}")
    await client.respond("two", previous_response_id=warm["id"])
    assert said(client) == ["one", "two"]


async def test_generate_is_no_field_of_http(client: Client) -> None:
    """POST /v1/responses does not know it."""
    body = {"model": MODEL, "input": "x", "generate": False}
    status, answer = await client.call("POST", "/v1/responses", body)
    assert (status, answer["error"]["code"]) == (400, "unknown_parameter")


async def test_requests_on_one_lane_run_one_after_the_other(client: Client) -> None:
    """The second of a lane is not begun before the first has ended, and its events come after."""
    gate = Wait(asyncio.Event())
    client.upstream.then(http_stream_head(), chunk(delta(content="A")), gate, chunk(finish()), b"0\r\n\r\n")
    async with connected(client) as socket:
        await socket.create("one", stream_id="lane")
        await gate.reached.wait()
        await socket.create("two", stream_id="lane")
        await socket.turn("other", stream_id="free")
        assert [turn.body["messages"][-1]["content"] for turn in client.upstream.turns] == ["one", "other"]
        gate.event.set()
        first, second = await socket.until_end(), await socket.until_end()
    assert first[-1]["response"]["id"] != second[0]["response"]["id"]
    assert list(range(len(second))) == [frame["sequence_number"] for frame in second]


async def test_lanes_run_side_by_side(client: Client) -> None:
    """Events of two lanes interleave, each lane in its own order with its own numbers."""
    gates = [Wait(asyncio.Event()), Wait(asyncio.Event())]
    for gate in gates:
        client.upstream.then(http_stream_head(), chunk(delta(content="A")), gate, chunk(finish()), b"0\r\n\r\n")
    async with connected(client) as socket:
        for lane, gate in zip("ab", gates, strict=True):
            await socket.create("x", stream_id=lane)
            await gate.reached.wait()
        gates[1].event.set()
        frames = await socket.until_end()
        assert frames[-1]["stream_id"] == "b"
        gates[0].event.set()
        frames += await socket.until_end()
    assert frames[-1]["stream_id"] == "a"
    for lane in "ab":
        numbers = [frame["sequence_number"] for frame in frames if frame["stream_id"] == lane]
        assert list(range(len(numbers))) == numbers


async def test_no_more_than_sixteen_turns_run_at_once(sqlite_client: Client) -> None:
    """Further requests wait, and begin in the order in which they came as others end."""
    gates = [Wait(asyncio.Event()) for _ in range(20)]
    for gate in gates:
        sqlite_client.upstream.then(gate, http_stream(delta(content="A") + finish()))
    async with connected(sqlite_client) as socket:
        for number in range(20):
            await socket.create(f"{number}", stream_id=f"lane-{number}")
        await asyncio.gather(*(gate.reached.wait() for gate in gates[:16]))
        assert not gates[16].reached.is_set()
        for ended in range(4):
            gates[ended].event.set()
            await socket.until_end()
            await gates[16 + ended].reached.wait()
            assert f"{16 + ended}" == sqlite_client.upstream.last_messages[-1]["content"]
        for gate in gates:
            gate.event.set()
        for _ in range(16):
            await socket.until_end()


async def test_too_many_lanes_are_refused(client: Client) -> None:
    """The 33rd name is refused in OpenAI's words; the ones before stay usable, and the lane without a name too."""
    async with connected(client) as socket:
        for number in range(32):
            await socket.turn("x", stream_id=f"lane-{number}", generate=False, store=False)
        await socket.turn("x", generate=False, store=False)
        refused = await socket.error("x", stream_id="one-more")
        await socket.turn("x", stream_id="lane-31", generate=False, store=False)
    assert (
        refused["status"],
        refused["stream_id"],
        refused["error"]["code"],
    ) == (400, "one-more", "websocket_stream_limit_reached")
    assert refused["error"]["message"].endswith(
        "maximum number of distinct stream IDs (32). Reuse an existing stream_id or open a new WebSocket connection."
    )


async def test_a_queue_that_is_full_is_refused(scripted: ScriptedUpstream) -> None:
    """More requests than may wait are told to come again; those before are carried out."""
    gateway = Gateway([upstream(scripted.url)], store=InMemorySessionStore())
    gate = Wait(asyncio.Event())
    scripted.then(gate, http_stream(delta(content="A") + finish()))
    limits = SocketLimits(max_waiting=1)
    async with serving(gateway, scripted, socket_limits=limits) as client, connected(client) as socket:
        await socket.create("one")
        await gate.reached.wait()
        await socket.create("two")
        refused = await socket.error("three")
        assert (refused["status"], refused["error"]["code"]) == (429, "rate_limit_exceeded")
        gate.event.set()
        await socket.until_end()
        await socket.until_end()
    assert [turn.body["messages"][-1]["content"] for turn in scripted.turns] == ["one", "two"]


async def test_another_lane_may_fork(client: Client) -> None:
    """What one lane remembers may be continued on another, also while the first goes on from it."""
    gate = Wait(asyncio.Event())
    async with connected(client) as socket:
        first = await socket.turn("one", stream_id="a", store=False)
        client.upstream.then(gate, http_stream(delta(content="A") + finish()))
        await socket.create("two", stream_id="a", store=False, previous_response_id=first["id"])
        await gate.reached.wait()
        fork = await socket.turn("fork", stream_id="b", store=False, previous_response_id=first["id"])
        assert said(client) == ["one", "Hello there.", "fork"]
        gate.event.set()
        await socket.until_end()
        again = await socket.error("x", stream_id="b", store=False, previous_response_id=first["id"])
        assert _not_found(first["id"], stream_id="b") == again
        await socket.turn("more", stream_id="a", store=False, previous_response_id=fork["id"])


@pytest.mark.parametrize("fault", ["refused", "upstream", "broken"])
async def test_a_failed_continuation_forgets_what_it_continued(client: Client, fault: str) -> None:
    """On its own lane; a fork of another lane that fails leaves it as it was."""

    async def fail(socket: Any, lane: str) -> None:
        if fault == "refused":
            await socket.error("x", stream_id=lane, previous_response_id=first["id"], temperature=9)
            return
        if fault == "upstream":
            client.upstream.then(http_json({"error": {"message": "bad"}}, status=400))
        else:
            client.upstream.then(http_stream_head(), chunk(delta(content="Half")), Drop())
        await socket.create("x", stream_id=lane, store=False, previous_response_id=first["id"])
        assert (await socket.until_end())[-1]["type"] in ("error", "response.failed")

    async with connected(client) as socket:
        first = await socket.turn("one", stream_id="a", store=False)
        await fail(socket, "b")
        first = await socket.turn("two", stream_id="a", store=False, previous_response_id=first["id"])
        await fail(socket, "a")
        gone = await socket.error("three", stream_id="a", store=False, previous_response_id=first["id"])
    assert _not_found(first["id"], stream_id="a") == gone


async def test_what_is_stored_is_not_forgotten(client: Client) -> None:
    """A stored response can be continued after a turn on it has failed."""
    async with connected(client) as socket:
        first = await socket.turn("one")
        await socket.error("x", previous_response_id=first["id"], temperature=9)
        await socket.turn("two", previous_response_id=first["id"])
    assert said(client) == ["one", "Hello there.", "two"]


async def test_a_conversation_is_used_as_over_http(client: Client) -> None:
    """A turn in a conversation is added to it."""
    _, conversation = await client.call("POST", "/v1/conversations", {})
    async with connected(client) as socket:
        await socket.turn("one", conversation=conversation["id"])
        await socket.turn("two", conversation=conversation["id"])
    assert said(client) == ["one", "Hello there.", "two"]


async def test_a_failure_in_the_middle_is_an_event(client: Client) -> None:
    """An upstream that breaks off ends the turn with response.failed, and the connection goes on."""
    client.upstream.then(http_stream_head(), chunk(delta(content="Half")), Drop())
    async with connected(client) as socket:
        await socket.create("one")
        assert (await socket.until_end())[-1]["type"] == "response.failed"
        await socket.turn("two")


async def test_stream_says_nothing(client: Client) -> None:
    """Every answer is a stream, whatever ``stream`` says."""
    async with connected(client) as socket:
        for stream in (True, False, None):
            await socket.create("hi", stream=stream)
            assert len(await socket.until_end()) == 10
        assert (await socket.error("hi", stream="yes"))["error"]["code"] == "invalid_type"


def _not_found(response_id: str, **lane: str) -> Any:
    return {
        "type": "error",
        "status": 400,
        **lane,
        "error": {
            "type": "invalid_request_error",
            "code": "previous_response_not_found",
            "message": f"Previous response with id '{response_id}' not found.",
            "param": "previous_response_id",
        },
    }
