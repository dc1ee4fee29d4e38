"""The recorder sees every answer, and a wrong one fails the test that caused it."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from antiphon import Gateway, InMemorySessionStore, upstream
from tests.gateway.conftest import serving
from tests.support.asgi_client import ask
from tests.support.recorder import Recorder
from tests.support.recorder_relay import RecordingRelay
from tests.support.scripted_upstream import ScriptedUpstream

_RESPONSES = "/v1/responses"
_ENVELOPE = {"message": "No.", "type": "invalid_request_error", "param": None, "code": "no"}
_DELTA = {
    "type": "response.output_text.delta",
    "item_id": "msg_1",
    "output_index": 0,
    "content_index": 0,
    "delta": "Hello",
    "logprobs": [],
}


def _frame(number: int, **changed: object) -> bytes:
    event = {**_DELTA, "sequence_number": number, **changed}
    return b"event: %b\ndata: %b\n\n" % (_DELTA["type"].encode(), orjson.dumps(event))  # type: ignore[attr-defined]


async def _stream_through(recorder: Recorder, *chunks: bytes) -> None:
    """Have an application answer with a stream of these bytes."""

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def nothing(*_: Any) -> Any:
        return {}

    await recorder.around(application)({"type": "http", "method": "POST", "path": _RESPONSES}, nothing, nothing)


async def test_a_good_stream_is_clean_however_it_is_cut() -> None:
    """Every event is looked at, in whatever pieces it comes."""
    recorder = Recorder()
    raw = _frame(0) + b": keep-alive\n\n" + _frame(1) + b"data: [DONE]\n\n"
    await _stream_through(recorder, *(raw[at : at + 1] for at in range(len(raw))))
    assert (recorder.events, list(recorder.violations)) == (2, [])


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        pytest.param(_frame(0, delta=1), "$.delta", id="wrong-type"),
        pytest.param(_frame(0, type="response.surprise"), "no event of a response's stream", id="unknown-event"),
        pytest.param(_frame(0) + _frame(2), "sequence number 2 where 1 was due", id="gap"),
        pytest.param(_frame(0, type="error"), "the event line says", id="two-names"),
        pytest.param(b"data: [DONE]\n\n" + _frame(0), "an event after [DONE]", id="after-the-end"),
        pytest.param(_frame(0)[:-1], "ends within an event", id="half-an-event"),
    ],
)
async def test_a_wrong_stream_is_found(raw: bytes, said: str) -> None:
    """The complaint names what is wrong."""
    recorder = Recorder()
    await _stream_through(recorder, raw)
    with pytest.raises(AssertionError) as failure:
        recorder.assert_clean()
    assert said in str(failure.value)


async def test_every_answer_of_a_gateway_is_looked_at() -> None:
    """Bodies, errors and events, of routes of OpenAI's and of our own."""
    async with ScriptedUpstream.serve() as scripted:
        gateway = Gateway([upstream(scripted.url, name="scripted")]).with_session_store(InMemorySessionStore())
        async with serving(gateway, scripted) as client:
            events = await client.stream("hi")
            await client.respond("hi")
            await client.call("GET", "/v1/responses/resp_unknown")
            await client.call("GET", "/livez")
            assert (client.recorder.answers, client.recorder.events) == (3, len(events))


@pytest.mark.parametrize(
    ("path", "status", "value", "said"),
    [
        ("/v1/chat/completions", 200, {"object": "chat.completion"}, "'choices' is a required property"),
        ("/v1/chat/completions", 400, {"error": {"message": 7}}, "7 is not of type 'string'"),
        ("/v1/messages", 200, {"type": "message"}, "'content' is a required property"),
        ("/v1/messages", 404, {"error": _ENVELOPE}, "'type' is a required property"),
        ("/v1/messages/of/nothing", 200, {}, "does not describe such an answer"),
    ],
    ids=["chat", "chat error", "messages", "messages error", "nothing"],
)
async def test_answers_of_dialects_are_held_against_the_gateways_own_document(
    path: str, status: int, value: object, said: str
) -> None:
    """The complaint names what is wrong, also of errors, which each dialect has in its own form."""
    recorder = Recorder()
    recorder.learn(200, orjson.dumps(await _own_document()))
    recorder.body("POST", path, status, orjson.dumps(value))
    assert any(said in violation for violation in recorder.violations), recorder.violations


async def _own_document() -> object:
    return (await ask(Gateway([upstream("http://127.0.0.1:9/v1")]).asgi(), "GET", "/openapi.json")).json


async def test_a_wrong_answer_fails_the_test_that_caused_it() -> None:
    """Leaving the block of a gateway that answered wrongly is an assertion error."""
    async with ScriptedUpstream.serve() as scripted:
        gateway = Gateway([upstream(scripted.url, name="scripted")]).with_session_store(InMemorySessionStore())
        with pytest.raises(AssertionError, match="planted"):
            async with serving(gateway, scripted) as client:
                client.recorder.complain("here", "planted")


@contextlib.asynccontextmanager
async def _relayed(recorder: Recorder, handler: Any) -> AsyncIterator[str]:
    """A server in front of which the relay stands."""
    application = web.Application()
    application.router.add_route("*", _RESPONSES, handler)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with RecordingRelay.serve(recorder) as relay:
            await relay.lead_to(f"http://127.0.0.1:{runner.addresses[0][1]}")
            yield relay.root + _RESPONSES
    finally:
        await runner.cleanup()


async def test_the_relay_sees_bodies_and_streams_of_one_connection() -> None:
    """Each answer belongs to its request, also when several follow each other."""

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.query.get("stream"):
            return web.Response(body=_frame(0, delta=1), content_type="text/event-stream")
        return web.json_response({"error": {**_ENVELOPE, "message": 7}}, status=400)

    recorder = Recorder()
    async with _relayed(recorder, handler) as url, aiohttp.ClientSession() as session:
        for query in ("", "?stream=1", ""):
            async with session.post(url + query, json={}) as answer:
                await answer.read()
        await _until(lambda: recorder.answers == 2)
    said = "\n".join(recorder.violations)
    assert "POST /v1/responses 400: $.error.message" in said
    assert "response.output_text.delta: $.delta" in said


@pytest.mark.parametrize("compress", [0, 15], ids=["plain", "deflated"])
async def test_the_relay_sees_the_messages_of_a_websocket(compress: int) -> None:
    """As events, whole, however long they are and whether or not they are compressed."""
    noise = zlib.compress(b"noise").hex()

    async def handler(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.ping()
        for number, text in enumerate(("short", noise * 20, noise * 5000)):
            await socket.send_json({**_DELTA, "delta": text, "sequence_number": number})
        await socket.send_json({"type": "error", "status": 400, "error": {**_ENVELOPE, "code": 7}})
        await socket.close()
        return socket

    recorder = Recorder()
    async with (
        _relayed(recorder, handler) as url,
        aiohttp.ClientSession() as session,
        session.ws_connect(url, compress=compress, max_msg_size=0) as socket,
    ):
        received = [message async for message in socket]
        assert len(received) == 4
        await _until(lambda: recorder.events == 4)
    assert "/v1/responses error 400: $.error.code: 7 is not of type 'string'" in recorder.violations
    assert all("error 400" in said for said in recorder.violations)


async def test_the_relay_ends_a_connection_when_the_server_does() -> None:
    """A gateway that dies in the middle of an answer looks through the relay as it does without it."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(_frame(0))
        assert request.transport is not None
        request.transport.close()
        return response

    recorder = Recorder()
    async with _relayed(recorder, handler) as url, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            async with session.post(url, json={}) as answer:
                await answer.read()
    assert (recorder.events, list(recorder.violations)) == (1, [])


async def _until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)
