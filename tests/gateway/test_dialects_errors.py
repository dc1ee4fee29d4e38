"""Whatever goes wrong on a dialect's path is told in the dialect's own form, from the credential to a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from tests.formats.chat_answers import say
from tests.gateway.dialect_stage import (
    CHAT,
    COMPLETIONS,
    DIALECTS,
    JSON,
    MESSAGES,
    Dialect,
    Stage,
    events_of,
    hello,
)
from tests.support.asgi_client import Answer

from antiphon import InMemorySessionStore
from antiphon.engine.attempts import Retries
from antiphon.engine.turn import TurnPolicy
from antiphon.formats.responses import ResponsesFormat
from antiphon.hub.errors import UpstreamBroken, UpstreamUnavailable
from antiphon.server.body import BodyLimits
from antiphon.server.sse import StreamLimits
from antiphon.transport.replay import PreparedReply

_WITHIN_S = 10.0

each_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=str)
each_mode = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])

# What an error's type is in Messages, by the status.
TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    415: "invalid_request_error",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    529: "overloaded_error",
}
OPENAIS = {529: 503}


async def refused(stage: Stage, dialect: Dialect, answer: Answer, status: int, says: str) -> None:
    """An answer is an error of this status (as Messages has it) that says this, in the dialect's own form."""
    expected = status if dialect is MESSAGES else OPENAIS.get(status, status)
    assert answer.status == expected, answer
    assert answer.headers["content-type"] == "application/json"
    assert answer.starts == 1
    body = answer.json
    if dialect is MESSAGES:
        assert set(body) == {"type", "error", "request_id"}
        assert (body["type"], body["error"]["type"]) == ("error", TYPES[status])
        assert body["request_id"] == answer.headers["request-id"] == answer.headers["x-request-id"]
    else:
        assert set(body) == {"error"}
        assert set(body["error"]) == {"message", "type", "param", "code"}
        assert "request-id" not in answer.headers
    assert says in body["error"]["message"]
    assert (await stage.document()).schema_violations(dialect.schemas[2], body) == []


# Before a turn begins.


def with_field(name: str, value: object) -> Any:
    """A request with one field more."""

    async def send(stage: Stage, dialect: Dialect) -> Answer:
        return await stage.post(dialect, **{name: value})

    return send


def raw(body: bytes) -> Any:
    """These bytes as a body."""

    async def send(stage: Stage, dialect: Dialect) -> Answer:
        return await stage.send("POST", dialect.path, body)

    return send


async def _of_another_type(stage: Stage, dialect: Dialect) -> Answer:
    return await stage.send("POST", dialect.path, dialect.body(), (b"content-type", b"text/plain"))


async def _with_a_query(stage: Stage, dialect: Dialect) -> Answer:
    return await stage.send("POST", f"{dialect.path}?colour=red", dialect.body())


async def _with_two_credentials(stage: Stage, dialect: Dialect) -> Answer:
    return await stage.post(dialect, (b"authorization", b"Bearer a"), (b"x-api-key", b"a"))


async def _with_a_bad_header(stage: Stage, dialect: Dialect) -> Answer:
    return await stage.post(dialect, (b"x-antiphon-on-disconnect", b"dance"))


async def _below(stage: Stage, dialect: Dialect) -> Answer:
    return await stage.send("POST", f"{dialect.path}/of/nothing", dialect.body())


async def _by_another_method(stage: Stage, dialect: Dialect) -> Answer:
    return await stage.send("DELETE", dialect.path)


async def _from_another_page(stage: Stage, dialect: Dialect) -> Answer:
    return await stage.post(dialect, (b"origin", b"http://evil.example"))


PROBLEMS: Mapping[str, tuple[Any, int, str]] = {
    "an unknown model": (with_field("model", "nope"), 404, "nope"),
    "a wrong type": (with_field("temperature", "warm"), 400, "temperature"),
    "an unknown field": (with_field("colour", "red"), 400, "colour"),
    "a body that is not JSON": (raw(b'{"model":'), 400, "JSON"),
    "a body that is no object": (raw(b"[]"), 400, "object"),
    "a body that is too large": (raw(b'{"model":"' + b"a" * 5000 + b'"}'), 413, "max_body_bytes"),
    "a body that is too deep": (with_field("metadata", [[[[[[[[[[1]]]]]]]]]]), 400, "max_json_depth"),
    "another media type": (_of_another_type, 415, "application/json"),
    "a query": (_with_a_query, 400, "colour"),
    "a header of ours": (_with_a_bad_header, 400, "x-antiphon-on-disconnect"),
    "another method": (_by_another_method, 405, "DELETE"),
    "a path below": (_below, 404, "Invalid URL"),
}  # fmt: skip


@each_dialect
@pytest.mark.parametrize("problem", list(PROBLEMS))
async def test_what_is_wrong_with_a_request_is_told_in_its_dialect(dialect: Dialect, problem: str) -> None:
    """The status and the words are those that the client's library knows, and no upstream is asked."""
    send, status, says = PROBLEMS[problem]
    stage = Stage(edge={"body_limits": BodyLimits(max_body_bytes=4000, max_json_depth=8)})
    async with stage.gateway:
        await refused(stage, dialect, await send(stage, dialect), status, says)
    assert stage.asked == []


@pytest.mark.parametrize(
    ("dialect", "field", "value"),
    [
        (CHAT, "n", 2),
        (CHAT, "logit_bias", {"50256": -100}),
        (CHAT, "store", True),
        (COMPLETIONS, "best_of", 3),
        (COMPLETIONS, "suffix", "."),
        (MESSAGES, "top_k", 5),
        (MESSAGES, "mcp_servers", [{"type": "url", "url": "https://a.example", "name": "a"}]),
    ],
    ids=lambda value: str(value)[:12],
)
async def test_what_cannot_be_served_is_refused_by_name(dialect: Dialect, field: str, value: object) -> None:
    """Nothing is dropped in silence; without a store, keeping is among it."""
    stage = Stage()
    async with stage.gateway:
        answer = await stage.post(dialect, **{field: value})
        await refused(stage, dialect, answer, 400, f"'{field}'")


@each_dialect
async def test_who_has_no_key_is_turned_away(dialect: Dialect) -> None:
    """401 in the dialect's form, without a key and with one that is not good, wherever the key stands."""
    stage = Stage(InMemorySessionStore())
    stage.app = stage.gateway.asgi(authenticator=stage.gateway.api_keys())
    async with stage.gateway:
        answer = await stage.post(dialect)
        wrong = await stage.post(dialect, (b"x-api-key", b"sk-antiphon-live-nothing"))
        document = await stage.document()

    for each in (answer, wrong):
        assert each.status == 401
        assert document.schema_violations(dialect.schemas[2], each.json) == []
        assert each.headers["www-authenticate"] == "Bearer"


async def test_two_credentials_are_refused_in_the_dialect() -> None:
    """Even if they are the same: somebody between might have looked at the other one."""
    stage = Stage(InMemorySessionStore())
    stage.app = stage.gateway.asgi(authenticator=stage.gateway.api_keys())
    async with stage.gateway:
        answer = await _with_two_credentials(stage, MESSAGES)

    assert (answer.status, answer.json["error"]["type"]) == (400, "invalid_request_error")


@each_dialect
async def test_a_page_elsewhere_is_refused_in_the_dialect(dialect: Dialect) -> None:
    """What is refused before any route is looked for has the path's form too."""
    stage = Stage()
    async with stage.gateway:
        answer = await _from_another_page(stage, dialect)
        document = await stage.document()

    assert answer.status == 403
    assert document.schema_violations(dialect.schemas[2], answer.json) == []


# Upstream faults.


@each_dialect
@each_mode
@pytest.mark.parametrize(
    ("reply", "status", "says"),
    [
        (PreparedReply(status=500, blocks=[b'{"error":{"message":"Boom."}}']), 529, "far"),
        (PreparedReply(status=429, blocks=[b'{"error":{"message":"Slow down."}}']), 429, "Slow down."),
        (PreparedReply(status=400, blocks=[b'{"error":{"message":"No such voice."}}']), 400, "No such voice."),
        (PreparedReply(blocks=[b"not JSON"]), 502, "far"),
    ],
    ids=["500", "429", "400", "broken"],
)
async def test_an_upstreams_error_before_the_answer_is_the_answer(
    dialect: Dialect, stream: bool, reply: PreparedReply, status: int, says: str
) -> None:
    """The status tells the client whether to try again, and no stream has begun."""
    if stream and status == 502:
        reply = PreparedReply(headers={"content-type": "image/png"}, blocks=[b"x"])
    stage = Stage(policy=TurnPolicy(retries=Retries(per_target=0)))
    stage.will_answer(reply)
    async with stage.gateway:
        answer = await stage.post(dialect, stream=stream)
        if stream and status == 502:  # the answer had begun: its head was good
            assert answer.status == 200
            assert "error" in events_of(answer.body)[-1]
        else:
            await refused(stage, dialect, answer, status, says)
            assert answer.headers["x-antiphon-attempts"].startswith("count=1")


def _broken_off(error: Any) -> PreparedReply:
    """The beginning of a stream, and a fault in the place of its end."""
    events = say(hello("Hello there.")).events
    begun = ResponsesFormat().stream_encoder(obfuscate=False).encode(events[:6])
    return PreparedReply(headers={"content-type": "text/event-stream"}, blocks=[begun], error=error)


@each_dialect
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UpstreamUnavailable("The upstream 'far' has too much to do."), "overloaded_error"),
        (UpstreamBroken("The upstream 'far' hung up."), "api_error"),
        (None, "api_error"),
    ],
    ids=["overloaded", "broken", "cut off"],
)
async def test_a_fault_within_a_stream_is_its_last_event(dialect: Dialect, error: Any, kind: str) -> None:
    """What was said stays said; the error follows, and no end that a client could take for a whole answer."""
    stage = Stage()
    stage.will_answer(_broken_off(error))
    async with stage.gateway:
        answer = await stage.post(dialect, stream=True)

    *_, last = events = events_of(answer.body)
    assert answer.status == 200
    assert dialect.streamed_text([event for event in events if "error" not in event]).startswith("Hello")
    assert "message" in last["error"]
    assert "request id: req_" in last["error"]["message"]
    assert last["error"]["type"] == (kind if dialect is MESSAGES else "server_error")
    assert b"[DONE]" not in answer.body
    assert b"message_stop" not in answer.body


@each_dialect
async def test_a_fault_within_a_whole_answer_is_an_error(dialect: Dialect) -> None:
    """The turn has begun, so its record is named."""
    stage = Stage()
    stage.will_answer(_broken_off(UpstreamUnavailable("The upstream 'far' has too much to do.")))
    async with stage.gateway:
        answer = await stage.post(dialect)
        await refused(stage, dialect, answer, 529, "too much to do")

    assert answer.headers["x-antiphon-response-id"].startswith("resp_")


@pytest.mark.parametrize("dialect", [CHAT, COMPLETIONS], ids=str)
@each_mode
async def test_what_a_dialect_has_no_words_for_is_an_error(dialect: Dialect, stream: bool) -> None:
    """A call that waits for the client cannot be left out: the client is told instead."""
    item = {"type": "local_shell_call", "id": "lsh_1", "call_id": "c1", "status": "completed"}
    item["action"] = {"type": "exec", "command": ["ls"], "env": {}}  # type: ignore[assignment]  # a plain dict
    response = {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m"}
    stage = Stage()
    stage.will_answer(
        PreparedReply(blocks=[orjson.dumps({**response, "output": [item], "usage": None, "error": None})])
    )
    async with stage.gateway:
        answer = await stage.post(dialect, stream=stream)

    if stream:
        assert "local_shell_call" in events_of(answer.body)[-1]["error"]["message"]
        assert b"[DONE]" not in answer.body
    else:
        assert answer.status == 502
        assert "local_shell_call" in answer.error["message"]


@each_dialect
async def test_a_crash_is_an_error_of_the_dialect(dialect: Dialect) -> None:
    """A bug is answered as one, in the dialect's form, without its text."""
    stage = Stage()
    bug: Any = ZeroDivisionError("a bug of ours")
    stage.will_answer(PreparedReply(refusal=bug))
    async with stage.gateway:
        answer = await stage.post(dialect)
        await refused(stage, dialect, answer, 500, "unexpected error")

    assert b"a bug of ours" not in answer.body
    assert "exception=ZeroDivisionError" in stage.written.getvalue()


# Clients that leave, and those that wait.


@each_dialect
@each_mode
async def test_a_client_that_hangs_up_stops_its_turn(dialect: Dialect, stream: bool) -> None:
    """The upstream's reply is closed before its end; the trail has the turn."""
    stage = Stage(InMemorySessionStore())
    gate = asyncio.Event()
    held = _broken_off(None)
    reply = PreparedReply(headers=held.headers, blocks=held.blocks, gate=gate, gate_before=1)
    stage.will_answer(reply)
    leave = asyncio.Event()
    async with stage.gateway:
        asking = asyncio.ensure_future(_ask_and_leave(stage, dialect, stream=stream, leave=leave))
        async with asyncio.timeout(_WITHIN_S):
            while not stage.transport.replies:
                await asyncio.sleep(0.001)
            leave.set()
            await asking
            while not (noted := await stage.noted()):
                await asyncio.sleep(0.001)

    assert stage.transport.replies[0].closed
    assert not stage.transport.replies[0].ended
    assert noted == ["response.create ok"]


async def _ask_and_leave(stage: Stage, dialect: Dialect, *, stream: bool, leave: asyncio.Event) -> None:
    body = orjson.dumps(dialect.body(stream=stream))
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Mapping[str, Any]:
        if waiting:
            return waiting.pop()
        await leave.wait()
        return {"type": "http.disconnect"}

    async def send(message: Mapping[str, Any]) -> None:
        """Nobody reads."""

    await stage.app(_scope(dialect), receive, send)


def _scope(dialect: Dialect) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "POST",
        "path": dialect.path,
        "query_string": b"",
        "headers": [(b"host", b"localhost"), JSON],
    }


@each_dialect
async def test_a_silent_stream_says_that_it_lives(dialect: Dialect) -> None:
    """Comments for OpenAI's dialects, events of their own for Messages; both between whole events."""
    stage = Stage(edge={"stream_limits": StreamLimits(keep_alive_s=0.01)})
    gate = asyncio.Event()
    begun = _broken_off(None)
    stage.will_answer(PreparedReply(headers=begun.headers, blocks=begun.blocks, gate=gate, gate_before=1))
    alive = b'event: ping\ndata: {"type":"ping"}\n\n' if dialect is MESSAGES else b": keep-alive\n\n"
    said = b""

    async def receive() -> Mapping[str, Any]:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop()

    async def send(message: Mapping[str, Any]) -> None:
        nonlocal said
        said += message.get("body", b"")
        if message.get("body") == alive:
            gate.set()

    waiting = [{"type": "http.request", "body": orjson.dumps(dialect.body(stream=True)), "more_body": False}]
    async with stage.gateway:
        await asyncio.wait_for(stage.app(_scope(dialect), receive, send), _WITHIN_S)

    assert alive in said
    assert "error" in events_of(said)[-1]
