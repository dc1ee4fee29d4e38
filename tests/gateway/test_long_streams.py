"""Streams that are long already when somebody comes to read them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from tests.gateway.conftest import Client, parse
from tests.gateway.test_background import eventually, paused
from tests.gateway.test_resume import frames, resumed
from tests.support.scripted_upstream import delta, finish, http_stream

from antiphon.engine.run import Run
from antiphon.formats.responses.stream import ResponsesStreamEncoder
from antiphon.hub.events import OutputTextDelta
from antiphon.hub.principal import LOCAL
from antiphon.server.sse import StreamLimits, Watch, write_stream

_EVENTS = 3000
_TEXT = "x" * 100


class _Connection:
    """What an ASGI server sees of one answer. *during* is called before a chunk has been taken, with its number."""

    def __init__(self, during: Any = None) -> None:
        self.chunks: list[bytes] = []
        self._during = during

    async def send(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            if self._during is not None:
                self._during(len(self.chunks))
            self.chunks.append(message["body"])

    async def receive(self) -> Mapping[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError


def _run() -> Run:
    run = Run("resp_1", LOCAL.tenant)
    run.open()
    return run


def _say(run: Run, events: int) -> None:
    run.say([OutputTextDelta("msg_1", 0, 0, _TEXT) for _ in range(events)])


async def _written(run: Run, connection: _Connection, **limits: Any) -> bool:
    watch = Watch(connection.receive)
    try:
        return await write_stream(
            run,
            ResponsesStreamEncoder(obfuscate=False),
            send=connection.send,
            watch=watch,
            headers=(),
            limits=StreamLimits(**limits),
        )
    finally:
        watch.close()


async def test_who_comes_late_to_a_long_stream_is_told_all_of_it() -> None:
    """What had been said before he came is no lag of his: he is not dropped for it."""
    run = _run()
    _say(run, _EVENTS)

    def end(chunk: int) -> None:
        if chunk == 0:
            run.finish({"id": "resp_1"})

    connection = _Connection(end)
    assert await _written(run, connection, max_reader_lag_bytes=1000)
    assert len(frames(b"".join(connection.chunks))) == _EVENTS
    assert connection.chunks[-1] == b"data: [DONE]\n\n"


async def test_who_falls_behind_during_a_write_is_dropped() -> None:
    """Also if it was while he was told what had been said before."""
    run = _run()
    _say(run, 1)

    def flood(chunk: int) -> None:
        if chunk == 0:
            _say(run, _EVENTS)

    connection = _Connection(flood)
    assert not await _written(run, connection, max_reader_lag_bytes=1000)
    assert len(frames(b"".join(connection.chunks))) == _EVENTS + 1


async def test_a_long_stream_is_written_in_pieces_between_which_others_have_a_turn() -> None:
    """No more than some hundred events are encoded at once; every piece holds whole events."""
    run = _run()
    _say(run, _EVENTS)
    run.finish({"id": "resp_1"})
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.get_running_loop().create_task(count())
    connection = _Connection()
    assert await _written(run, connection)
    counting.cancel()
    assert turns >= len(connection.chunks) - 1 >= _EVENTS // 500
    assert all(chunk.endswith(b"\n\n") for chunk in connection.chunks)
    assert len(frames(b"".join(connection.chunks))) == _EVENTS


async def test_a_long_stream_is_resumed_whole(client: Client) -> None:
    """Thousands of events come back as the same bytes, and its end from any place."""
    client.upstream.then(http_stream(b"".join(delta(content=f"w{n} ") for n in range(_EVENTS)) + finish()))
    plain = {"stream_options": {"include_obfuscation": False}}
    _, raw = await client.raw_stream("hi", **plain)
    sent = frames(raw)
    assert len(sent) > _EVENTS
    response_id = parse(raw)[0]["response"]["id"]
    assert frames(await resumed(client, response_id)) == sent
    assert frames(await resumed(client, response_id, _EVENTS)) == sent[_EVENTS + 1 :]


async def test_who_asks_for_what_was_not_said_yet_is_given_only_that(client: Client) -> None:
    """A place beyond what a running stream has said: nothing before it is sent, and what comes after it is."""
    wait = paused(client, "One")
    queued = await client.respond("hi", background=True)
    await wait.reached.wait()
    path = f"{client.base_url}/v1/responses/{queued['id']}"
    async with client.http.get(path, params={"stream": "true", "starting_after": "6"}) as answer:
        wait.event.set()
        told = frames(await answer.read())
    await eventually(client, queued["id"], "completed")
    assert told == frames(await resumed(client, queued["id"]))[7:]
    assert told
