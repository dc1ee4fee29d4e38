"""A WebSocket from its handshake to its end: who may open one, what it refuses, and how it closes."""

from __future__ import annotations

import asyncio
import base64
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson
import pytest
from tests.gateway.conftest import Client, serving
from tests.gateway.socket_client import Socket, connected
from tests.support.gateway_process import GatewayProcess
from tests.support.scripted_upstream import (
    MODEL,
    ScriptedUpstream,
    Wait,
    chunk,
    delta,
    finish,
    http_stream,
    http_stream_head,
)

from antiphon import Gateway, InMemorySessionStore, upstream
from antiphon.server.body import BodyLimits
from antiphon.server.ws_lanes import SocketLimits

_WITHIN_S = 20.0


def _gateway(scripted: ScriptedUpstream) -> Gateway:
    return Gateway([upstream(scripted.url, name="scripted")], store=InMemorySessionStore())


# Frames that ask for nothing that can be done.


@pytest.mark.parametrize(
    ("frame", "param", "code"),
    [
        ({"model": MODEL}, "type", "missing_required_parameter"),
        ({"type": 7}, "type", "invalid_type"),
        ({"type": "response.cancel"}, "type", "invalid_value"),
        ({"type": "response.create", "stream_id": ""}, "stream_id", "invalid_stream_id"),
        ({"type": "response.create", "stream_id": "a b"}, "stream_id", "invalid_stream_id"),
        ({"type": "response.create", "stream_id": "a\n"}, "stream_id", "invalid_stream_id"),
        ({"type": "response.create", "stream_id": "a" * 257}, "stream_id", "invalid_stream_id"),
        ({"type": "response.create", "stream_id": 1}, "stream_id", "invalid_stream_id"),
        ({"type": "response.create", "generate": "no"}, "generate", "invalid_type"),
        ({"type": "response.create", "model": MODEL, "input": "x", "background": True}, "background", None),
        ({"type": "response.create"}, "model", "missing_required_parameter"),
        ({"type": "response.create", "model": MODEL, "input": "x", "nonsense": 1}, "nonsense", "unknown_parameter"),
        ({"type": "response.steer", "input": "x"}, "previous_response_id", "missing_required_parameter"),
        ({"type": "response.steer", "previous_response_id": "resp_x"}, "input", "missing_required_parameter"),
        ({"type": "response.steer", "previous_response_id": 1, "input": "x"}, "previous_response_id", "invalid_type"),
        ({"type": "response.steer", "previous_response_id": "resp_x", "input": 1}, "input", "invalid_type"),
        (["response.create"], None, "invalid_type"),
        ("response.create", None, "invalid_type"),
    ],
)
async def test_a_frame_that_is_wrong_is_refused(
    sqlite_client: Client, frame: Any, param: str | None, code: str | None
) -> None:
    """By an error frame with the status and the parameter at fault; the connection stays open."""
    async with connected(sqlite_client) as socket:
        await socket.send(frame)
        refused = await socket.next()
        assert ("error", 400, param) == (refused["type"], refused["status"], refused["error"]["param"])
        assert (code or "unsupported_parameter") == refused["error"]["code"]
        await socket.turn("still here")


async def test_steering_is_refused_by_name(sqlite_client: Client) -> None:
    """In the API's own event, which gives the input back."""
    async with connected(sqlite_client) as socket:
        await socket.send({"type": "response.steer", "previous_response_id": "resp_x", "input": "Stop."})
        refused = await socket.next()
        await socket.turn("still here")
    assert refused["type"] == "response.steer.failed"
    assert refused["steer"] == {"previous_response_id": "resp_x", "input": "Stop."}
    assert (refused["error"]["type"], refused["error"]["code"]) == ("invalid_request_error", "steering_not_supported")


async def test_what_is_no_json_is_refused(sqlite_client: Client) -> None:
    """Text that is no JSON, JSON that is too deep, and binary frames; the connection stays open."""
    async with connected(sqlite_client) as socket:
        await socket.ws.send_str('{"type": "response.create", ')
        assert "We could not parse the JSON body" in (await socket.next())["error"]["message"]
        await socket.ws.send_str("[" * 50_000 + "]" * 50_000)
        assert (await socket.next())["type"] == "error"
        await socket.send({"type": "response.create", "deep": orjson.loads("[" * 200 + "]" * 200)})
        assert (await socket.next())["error"]["code"] == "request_too_deep"
        await socket.ws.send_bytes(b'{"type": "response.create"}')
        assert "Binary frames are not supported" in (await socket.next())["error"]["message"]
        await socket.turn("still here")


async def test_a_frame_that_is_too_long_is_refused(scripted: ScriptedUpstream) -> None:
    """By an error frame; one that is far too long is not taken in at all."""
    limits = BodyLimits(max_body_bytes=4000)
    async with serving(_gateway(scripted), scripted, body_limits=limits) as client, connected(client) as socket:
        refused = await socket.error("ä" * 2500)
        assert (refused["status"], refused["error"]["code"]) == (413, "request_too_large")
        await socket.turn("still here")
        await socket.create("x" * 9000)
        assert await socket.closed() == 1009


async def test_a_long_history_is_taken(sqlite_client: Client) -> None:
    """A frame that is parsed beside the event loop is a request like any other."""
    long = [{"role": "user", "content": f"{number}" * 100} for number in range(1500)]
    async with connected(sqlite_client) as socket:
        await socket.turn(long)
    assert len(sqlite_client.upstream.last_messages) == 1500


# The handshake.


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v1/responses", {"host": "evil.example"}, 403),
        ("/v1/responses", {"origin": "https://evil.example"}, 403),
        ("/v1/responses", {"idempotency-key": "k"}, 400),
        ("/v1/responses", {"x-antiphon-conversation-wait-ms": "soon"}, 400),
        ("/v1/models", {}, 404),
        ("/v1/responses/", {}, 404),
        ("/", {}, 404),
    ],
)
async def test_who_may_not_come_in_is_told_why(
    sqlite_client: Client, path: str, headers: dict[str, str], status: int
) -> None:
    """By an HTTP answer with OpenAI's envelope and a request id, before the connection is accepted."""
    url = sqlite_client.base_url + path
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await sqlite_client.http.ws_connect(url, headers=headers)
    assert status == refused.value.status
    assert refused.value.headers is not None
    assert refused.value.headers["x-request-id"].startswith("req_")
    assert refused.value.headers["content-type"] == "application/json"


async def test_a_page_of_our_own_origin_may_come_in(sqlite_client: Client) -> None:
    """And the answer carries what every answer carries."""
    async with sqlite_client.http.ws_connect(
        sqlite_client.base_url + "/v1/responses", headers={"origin": sqlite_client.base_url}
    ) as ws:
        await Socket(ws).turn("hi")
        headers = ws._response.headers
        assert headers["x-request-id"].startswith("req_")
        assert headers["openai-version"] == "2020-10-01"


async def test_codex_connects(sqlite_client: Client) -> None:
    """With its beta header, its settings and a prewarmed chain that is never stored."""
    settings: dict[str, Any] = {
        "stream": True,
        "store": False,
        "instructions": "Be brief.",
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "thread",
        "tools": [],
    }
    headers = {"OpenAI-Beta": "responses_websockets=2026-02-06", "authorization": "Bearer none"}
    async with connected(sqlite_client, **headers) as socket:
        warm = await socket.turn([], **settings, generate=False)
        first = await socket.turn("one", **settings, previous_response_id=warm["id"])
        await socket.turn("two", **settings, previous_response_id=first["id"])
    told = [message["content"] for message in sqlite_client.upstream.last_messages]
    assert told == ["Be brief.", "one", "Hello there.", "two"]


async def test_no_subprotocol_is_chosen(sqlite_client: Client) -> None:
    """There is none that could be: one that a client offers is not claimed to be spoken."""
    url = sqlite_client.base_url + "/v1/responses"
    async with sqlite_client.http.ws_connect(url, protocols=("realtime", "other")) as ws:
        assert ws.protocol is None
        await Socket(ws).turn("hi")


async def test_messages_are_not_compressed(sqlite_client: Client) -> None:
    """A size that told the content would undo the padding of deltas."""
    url = sqlite_client.base_url + "/v1/responses"
    async with sqlite_client.http.ws_connect(url, compress=15) as ws:
        assert ws.compress == 0


async def test_a_handshake_that_is_none_is_refused(sqlite_client: Client) -> None:
    """An upgrade that a WebSocket's handshake does not allow closes the connection, and nothing else happens."""
    address = urlsplit(sqlite_client.base_url)
    for line in ("POST /v1/responses HTTP/1.1", "GET /v1/responses HTTP/1.1"):
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        head = f"{line}\r\nhost: {address.netloc}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
        writer.write(head.encode())
        answer = await asyncio.wait_for(reader.read(), _WITHIN_S)
        assert answer.startswith(b"HTTP/1.1 4"), answer
        writer.close()
    await sqlite_client.respond("hi")


# The end.


async def test_a_client_that_goes_cancels_its_turns(client: Client) -> None:
    """Closing in the middle of a turn is like leaving a stream; what waits is never begun."""
    gate = Wait(asyncio.Event())
    client.upstream.then(http_stream_head(), chunk(delta(content="Half")), gate)
    async with connected(client) as socket:
        await socket.create("one")
        created = await socket.next()
        await gate.reached.wait()
        await socket.create("two")
    await asyncio.wait_for(client.upstream.disconnected.wait(), _WITHIN_S)
    kept = await _ended(client, created["response"]["id"])
    assert (kept["status"], kept["output"][0]["content"][0]["text"]) == ("cancelled", "Half")
    assert len(client.upstream.turns) == 1


async def test_a_turn_may_go_on_without_its_client(client: Client) -> None:
    """If the handshake says so."""
    gate = Wait(asyncio.Event())
    client.upstream.then(http_stream_head(), chunk(delta(content="Half")), gate, chunk(finish()), b"0\r\n\r\n")
    async with connected(client, **{"x-antiphon-on-disconnect": "continue"}) as socket:
        await socket.create("one")
        created = await socket.next()
        await gate.reached.wait()
    gate.event.set()
    assert (await _ended(client, created["response"]["id"]))["status"] == "completed"


async def _ended(client: Client, response_id: str) -> Any:
    """The stored response, when its turn has ended."""
    async with asyncio.timeout(_WITHIN_S):
        while True:
            status, response = await client.call("GET", f"/v1/responses/{response_id}")
            if status == 200 and response["status"] != "in_progress":
                return response
            await asyncio.sleep(0.01)


async def test_a_connection_has_a_lifetime(scripted: ScriptedUpstream) -> None:
    """After it, what runs is finished, what waits or comes is refused, and the connection closes with the reason."""
    gate = Wait(asyncio.Event())
    scripted.then(gate, http_stream(delta(content="A") + finish()))
    limits = SocketLimits(lifetime_s=1.0)
    async with serving(_gateway(scripted), scripted, socket_limits=limits) as client, connected(client) as socket:
        await socket.create("one", stream_id="a")
        await gate.reached.wait()
        await socket.create("two", stream_id="a")
        waiting = await socket.next()
        assert (waiting["stream_id"], waiting["error"]["code"]) == ("a", "websocket_connection_limit_reached")
        assert (await socket.error("three"))["error"]["code"] == "websocket_connection_limit_reached"
        gate.event.set()
        assert (await socket.until_end())[-1]["type"] == "response.completed"
        last = await socket.next()
        assert (last["status"], last["error"]["code"]) == (400, "websocket_connection_limit_reached")
        assert await socket.closed() == 1001


async def test_the_lifetime_is_an_hour() -> None:
    """The limits are OpenAI's own."""
    limits = SocketLimits()
    assert (limits.lifetime_s, limits.max_streams, limits.max_running) == (3600, 32, 16)


async def test_a_drain_lets_turns_end(scripted: ScriptedUpstream, tmp_path: Path) -> None:
    """SIGTERM closes an idle connection at once, and a busy one when its turn is told; nothing new is begun."""
    gate = Wait(asyncio.Event())
    scripted.then(http_stream_head(), chunk(delta(content="A")), gate, chunk(finish()), b"0\r\n\r\n")
    gateway = GatewayProcess(tmp_path / "antiphon.db", scripted.url)
    await gateway.start()
    async with aiohttp.ClientSession() as http:
        url = f"{gateway.base_url}/responses"
        async with http.ws_connect(url) as idle, http.ws_connect(url) as busy:
            socket = Socket(busy)
            await socket.create("one")
            await gate.reached.wait()
            stopping = asyncio.ensure_future(gateway.stop())
            assert await Socket(idle).closed() == 1012
            await socket.create("two", stream_id="b")
            frames = [await socket.next()]
            while frames[-1]["type"] != "error":
                frames.append(await socket.next())
            assert (
                frames[-1]["status"],
                frames[-1]["error"]["code"],
                frames[-1]["stream_id"],
            ) == (503, "shutting_down", "b")
            gate.event.set()
            assert (await socket.until_end())[-1]["type"] == "response.completed"
            assert await socket.closed() == 1012
        await stopping


async def test_a_client_that_does_not_read_is_dropped(scripted: ScriptedUpstream) -> None:
    """Its turn is cancelled, however much the model still had to say."""
    gate = Wait(asyncio.Event())
    scripted.then(http_stream_head(), *[chunk(delta(content="x" * 500_000))] * 40, gate)
    limits = SocketLimits(send_timeout_s=0.2)
    async with serving(_gateway(scripted), scripted, socket_limits=limits) as client:
        writer = await _deaf(client)
        try:
            await asyncio.wait_for(scripted.disconnected.wait(), _WITHIN_S)
        finally:
            writer.transport.abort()
        await client.respond("others are served")


async def _deaf(client: Client) -> asyncio.StreamWriter:
    """A connection whose client has asked for a turn and reads no byte of it."""
    address = urlsplit(client.base_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=1024)
    key = base64.b64encode(os.urandom(16)).decode()
    head = (
        f"GET /v1/responses HTTP/1.1\r\nhost: {address.netloc}\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        f"sec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n\r\n"
    )
    writer.write(head.encode())
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport has it
    body = orjson.dumps({"type": "response.create", "model": MODEL, "input": "hi"})
    writer.write(b"\x81" + bytes([0x80 | len(body)]) + bytes(4) + body)  # masked with zeros
    return writer
