"""
Background responses when the gateway is killed: each reaches exactly one end, and its stream goes on where it was.

The gateway is a process of its own on a SQLite file; the model server is the test's, so the test knows at which point
of the answer the process dies.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from tests.gateway.conftest import parse
from tests.gateway.test_resume import frames
from tests.support.gateway_process import GatewayProcess
from tests.support.scripted_upstream import (
    MODEL,
    ScriptedUpstream,
    Step,
    Wait,
    chunk,
    delta,
    finish,
    http_stream_head,
)

_CONFIG = "background: {lease_ttl_s: 0.5, max_running: 2}\nserver: {drain_timeout_s: 2.0}\n"
_END = chunk(finish()) + b"0\r\n\r\n"
_WORDS = [chunk(delta(content=word)) for word in ("One", " two", " three")]


class Crashing:
    """A gateway that can be killed and started again, and a client that outlives it."""

    def __init__(self, gateway: GatewayProcess, scripted: ScriptedUpstream, http: aiohttp.ClientSession) -> None:
        self.gateway = gateway
        self.scripted = scripted
        self.http = http

    async def begin(self, **fields: object) -> Any:
        """A background response."""
        body = {"model": MODEL, "input": "hi", "background": True, **fields}
        async with self.http.post(f"{self.gateway.base_url}/responses", json=body) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def stream(self, response_id: str, *, until: bytes | None = None, after: int = -1) -> bytes:
        """The bytes of a response's stream, as far as *until* or to its end."""
        query = {"stream": "true"} | ({"starting_after": str(after)} if after >= 0 else {})
        raw = b""
        async with self.http.get(f"{self.gateway.base_url}/responses/{response_id}", params=query) as answer:
            assert answer.status == 200, await answer.text()
            while block := await answer.content.readany():
                raw += block
                if until is not None and until in raw:
                    break
        return raw

    async def ended(self, response_id: str) -> Any:
        """The response, once it has ended."""
        for _ in range(4000):
            async with self.http.get(f"{self.gateway.base_url}/responses/{response_id}") as answer:
                assert answer.status == 200, await answer.text()
                body = await answer.json()
            if body["status"] not in ("queued", "in_progress"):
                return body
            await asyncio.sleep(0.01)
        raise AssertionError(body)

    async def crash(self) -> None:
        """Kill the process and start the next one on the same file."""
        await self.gateway.kill()
        await self.gateway.start()


@pytest.fixture
async def crashing(tmp_path: Path) -> Any:
    config = tmp_path / "antiphon.yaml"
    config.write_text(_CONFIG)
    async with (
        ScriptedUpstream.serve() as scripted,
        GatewayProcess.serving(tmp_path / "antiphon.db", scripted.url, arguments=("--config", str(config))) as gateway,
        aiohttp.ClientSession() as http,
    ):
        yield Crashing(gateway, scripted, http)


def _hold(scripted: ScriptedUpstream, *before: Step) -> Wait:
    wait = Wait(asyncio.Event())
    scripted.then(*before, wait, _END)
    return wait


async def test_a_queued_response_is_carried_out_by_the_next_process(crashing: Crashing) -> None:
    """Two run, one waits; the process dies; the one that waited and those that had produced nothing are carried out."""
    waits = [_hold(crashing.scripted) for _ in range(2)]
    responses = [await crashing.begin() for _ in range(3)]
    for wait in waits:
        await wait.reached.wait()
    await crashing.crash()
    ended = [await crashing.ended(response["id"]) for response in responses]
    assert [response["status"] for response in ended] == ["completed"] * 3
    assert all(response["output"][0]["content"][0]["text"] == "Hello there." for response in ended)
    assert len(crashing.scripted.turns) == 5


async def test_a_response_with_output_fails_with_what_it_had(crashing: Crashing) -> None:
    """What readers were shown stays so, byte for byte; the end follows after the restart; nothing is asked again."""
    wait = _hold(crashing.scripted, http_stream_head(), *_WORDS)
    response = await crashing.begin()
    seen = await crashing.stream(response["id"], until=b" three")
    await crashing.crash()
    last = len(frames(seen)) - 1
    tail, whole = await asyncio.gather(crashing.stream(response["id"], after=last), crashing.stream(response["id"]))
    assert frames(whole) == frames(seen) + frames(tail)
    end = parse(whole)[-1]
    assert end["type"] == "response.failed"
    assert "stopped" in end["response"]["error"]["message"]
    ended = await crashing.ended(response["id"])
    assert ended == end["response"]
    assert ended["output"][0]["content"][0]["text"] == "One two three"
    assert frames(await crashing.stream(response["id"])) == frames(whole)
    assert len(crashing.scripted.turns) == 1
    wait.event.set()


async def test_a_conversation_is_free_again_after_its_turn_was_carried_out_anew(crashing: Crashing) -> None:
    """The turn takes the conversation's lock again; its items stand there once."""
    async with crashing.http.post(f"{crashing.gateway.base_url}/conversations", json={}) as answer:
        conversation = (await answer.json())["id"]
    wait = _hold(crashing.scripted)
    response = await crashing.begin(conversation=conversation)
    await wait.reached.wait()
    await crashing.crash()
    assert (await crashing.ended(response["id"]))["status"] == "completed"
    async with crashing.http.get(f"{crashing.gateway.base_url}/conversations/{conversation}/items") as answer:
        assert [item["role"] for item in (await answer.json())["data"]] == ["assistant", "user"]


async def test_a_process_that_ends_in_order_leaves_its_queue_to_the_next(crashing: Crashing) -> None:
    """SIGTERM waits for what runs; what waits is carried out by the next process at once."""
    waits = [_hold(crashing.scripted, http_stream_head(), *_WORDS) for _ in range(2)]
    responses = [await crashing.begin() for _ in range(3)]
    for wait in waits:
        await wait.reached.wait()
    stopping = asyncio.create_task(crashing.gateway.stop())
    await asyncio.sleep(0)
    for wait in waits:
        wait.event.set()
    await stopping
    await crashing.gateway.start()
    ended = [await crashing.ended(response["id"]) for response in responses]
    assert [response["status"] for response in ended] == ["completed"] * 3
    assert len(crashing.scripted.turns) == 3


async def test_followers_are_told_when_a_process_ends(crashing: Crashing) -> None:
    """SIGTERM in the middle: a turn with output ends as failed, one without is left to the next process; no errors."""
    _hold(crashing.scripted, http_stream_head(), *_WORDS)
    speaking = await crashing.begin()
    seen = await crashing.stream(speaking["id"], until=b" three")
    _hold(crashing.scripted)
    silent = await crashing.begin()
    following = [asyncio.create_task(crashing.stream(response["id"])) for response in (speaking, silent)]
    await crashing.stream(silent["id"], until=b"response.in_progress")
    await crashing.gateway.stop()
    told, left = await asyncio.gather(*following)
    assert frames(told)[: len(frames(seen))] == frames(seen)
    assert parse(told)[-1]["type"] == "response.failed"
    assert b"[DONE]" not in left
    await crashing.gateway.start()
    assert await crashing.ended(speaking["id"]) == parse(told)[-1]["response"]
    assert (await crashing.ended(silent["id"]))["status"] == "completed"


async def test_every_prefix_of_a_background_stream_is_resumed_after_a_restart(crashing: Crashing) -> None:
    """For each k: what follows event k is the same bytes in the next process."""
    response = await crashing.begin()
    whole = frames(await crashing.stream(response["id"]))
    await crashing.crash()
    for after in range(len(whole)):
        assert frames(await crashing.stream(response["id"], after=after)) == whole[after + 1 :]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_keyed_turn_is_asked_again_only_if_nothing_was_delivered(crashing: Crashing, *, stream: bool) -> None:
    """The process dies before the model has answered: whoever sends the request again is given its one answer."""
    wait = _hold(crashing.scripted)
    body = {"model": MODEL, "input": "hi", "stream": stream}
    sending = asyncio.create_task(_keyed(crashing, body))
    await wait.reached.wait()
    await crashing.crash()
    with pytest.raises(aiohttp.ClientError):
        await sending
    answers = await asyncio.gather(*(_keyed(crashing, body) for _ in range(3)))
    assert {_response_of(raw, stream=stream)["status"] for raw in answers} == {"completed"}
    assert len({_response_of(raw, stream=stream)["id"] for raw in answers}) == 1
    assert len(crashing.scripted.turns) == 2


async def _keyed(crashing: Crashing, body: object) -> bytes:
    headers = {"idempotency-key": "k"}
    async with crashing.http.post(f"{crashing.gateway.base_url}/responses", json=body, headers=headers) as answer:
        raw = await answer.read()
        assert answer.status == 200, raw
        return raw


def _response_of(raw: bytes, *, stream: bool) -> Any:
    return parse(raw)[-1]["response"] if stream else orjson.loads(raw)
