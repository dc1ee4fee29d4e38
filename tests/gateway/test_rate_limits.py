"""Limits on a server: what is over them is told when to come again, and every end of a turn frees its place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.gateway.conftest import Client, serving
from tests.gateway.socket_client import connected
from tests.server.keyring import Keyring, bearer
from tests.support.scripted_upstream import MODEL, Drop, ScriptedUpstream, Wait, http_json, whole

from antiphon import Gateway, InMemorySessionStore, upstream
from antiphon.hub.api_key import ApiKey
from antiphon.hub.principal import Limits

_WITHIN_S = 20.0
_TURN: dict[str, Any] = {"model": MODEL, "input": "hi"}


class Stage:
    """A server whose keys have limits."""

    def __init__(self, client: Client, ring: Keyring) -> None:
        self.client = client
        self.ring = ring

    async def key(self, **limits: int) -> ApiKey:
        return await self.ring.make(limits=Limits(**limits))

    async def turn(self, key: ApiKey, *, path: str = "", **about: object) -> tuple[int, Any, dict[str, str]]:
        """Status, body and headers of a turn."""
        headers = {**bearer(key), **{str(k): str(about.pop(k)) for k in ("idempotency_key",) if k in about}}
        if "idempotency_key" in headers:
            headers["Idempotency-Key"] = headers.pop("idempotency_key")
        return await self.client.full("POST", "/v1/responses" + path, {**_TURN, **about}, **headers)

    async def until_free(self, key: ApiKey) -> None:
        """Wait until another turn may begin."""
        async with asyncio.timeout(_WITHIN_S):
            while (await self.turn(key))[0] == 429:
                await asyncio.sleep(0.01)


@pytest.fixture
async def stage(scripted: ScriptedUpstream) -> AsyncIterator[Stage]:
    ring = Keyring(InMemorySessionStore())
    gateway = Gateway([upstream(scripted.url, name="scripted")]).with_session_store(ring.store)
    async with serving(gateway, scripted, authenticator=ring.real_keys()) as client:
        yield Stage(client, ring)


async def test_requests_over_the_limit_are_refused(stage: Stage) -> None:
    """With OpenAI's error and headers; what is left is told with every answer. Reading does not count."""
    key = await stage.key(requests_per_minute=2)
    for left in ("1", "0"):
        status, made, headers = await stage.turn(key)
        assert (status, headers["x-ratelimit-limit-requests"]) == (200, "2")
        assert headers["x-ratelimit-remaining-requests"] == left
        assert headers["x-ratelimit-reset-requests"].endswith("s")
        assert "x-ratelimit-limit-tokens" not in headers
    status, body, headers = await stage.turn(key)
    assert (status, body["error"]["code"], body["error"]["type"]) == (429, "rate_limit_exceeded", "requests")
    assert 1 <= int(headers["retry-after"]) <= 61
    assert headers["x-ratelimit-remaining-requests"] == "0"
    for path in ("/input_tokens", "/compact"):
        assert (await stage.turn(key, path=path))[0] == 429
    for path in ("/v1/models", f"/v1/responses/{made['id']}"):
        assert (await stage.client.call("GET", path, **bearer(key)))[0] == 200
    async with connected(stage.client, **bearer(key)) as socket:
        error = await socket.error("hi")
        assert (error["status"], error["error"]["code"]) == (429, "rate_limit_exceeded")
    assert (await stage.turn(await stage.key(requests_per_minute=1)))[0] == 200


async def test_of_many_at_once_exactly_the_limit_pass(stage: Stage, scripted: ScriptedUpstream) -> None:
    """Two hundred requests at once over real connections, and as many upstream requests as are allowed."""
    key = await stage.key(requests_per_minute=20)
    answers = await asyncio.gather(*(stage.turn(key, store=False) for _ in range(200)))
    assert sorted(status for status, _, _ in answers) == [200] * 20 + [429] * 180
    assert len(scripted.turns) == 20


async def test_every_kind_of_request_counts_where_it_begins(stage: Stage) -> None:
    """Whole, streamed, in the background, over a WebSocket, counting and compacting: each once."""
    key = await stage.key(requests_per_minute=100)
    await stage.turn(key)
    await stage.turn(key, path="/input_tokens")
    await stage.turn(key, path="/compact")
    await stage.turn(key, background=True)
    url = stage.client.base_url + "/v1/responses"
    async with stage.client.http.post(url, json={**_TURN, "stream": True}, headers=bearer(key)) as answer:
        await answer.read()
        assert answer.headers["x-ratelimit-remaining-requests"] == "95"
    async with connected(stage.client, **bearer(key)) as socket:
        await socket.turn("hi")
        await socket.turn("hi")
    for _ in range(3):
        _, _, headers = await stage.turn(key, idempotency_key="once")
        assert headers["x-ratelimit-remaining-requests"] == "92"


async def test_tokens_are_counted_by_what_was_used(stage: Stage) -> None:
    """The estimate makes way for the upstream's figure; what does not fit is told when it will, if ever."""
    key = await stage.key(tokens_per_minute=40)
    _, made, headers = await stage.turn(key)
    estimate, used = 40 - int(headers["x-ratelimit-remaining-tokens"]), made["usage"]["total_tokens"]
    assert 0 < estimate < used
    status, body, headers = await stage.turn(key, max_output_tokens=30)
    assert headers["x-ratelimit-remaining-tokens"] == str(40 - used)
    assert (status, body["error"]["type"], body["error"]["code"]) == (429, "tokens", "rate_limit_exceeded")
    assert "retry-after" in headers
    assert headers.get("x-should-retry") != "false"
    status, body, headers = await stage.turn(key, input="x" * 1000)
    assert (status, headers["x-should-retry"], "retry-after" in headers) == (429, "false", False)


async def test_a_turns_place_is_free_when_it_has_ended(stage: Stage, scripted: ScriptedUpstream) -> None:
    """While one runs no other begins; then one does."""
    key = await stage.key(parallel_turns=1)
    rest = Wait(asyncio.Event())
    scripted.then(rest, http_json(whole("ok")))
    running = asyncio.create_task(stage.turn(key))
    await rest.reached.wait()
    status, body, headers = await stage.turn(key)
    assert (status, body["error"]["code"], headers["retry-after"]) == (429, "rate_limit_exceeded", "1")
    rest.event.set()
    assert (await running)[0] == 200
    assert (await stage.turn(key))[0] == 200


async def _client_leaves(stage: Stage, key: ApiKey, scripted: ScriptedUpstream, *, stream: bool) -> None:
    rest = Wait(asyncio.Event())
    scripted.then(rest)
    running = asyncio.create_task(stage.turn(key, stream=stream))
    await rest.reached.wait()
    assert (await stage.turn(key))[0] == 429
    running.cancel()
    await asyncio.wait([running])


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_client_that_leaves_frees_its_place(stage: Stage, scripted: ScriptedUpstream, stream: bool) -> None:
    """Its turn is cancelled, and when that is stored another may begin."""
    key = await stage.key(parallel_turns=1)
    await _client_leaves(stage, key, scripted, stream=stream)
    await stage.until_free(key)


async def test_a_socket_that_closes_frees_its_places(stage: Stage, scripted: ScriptedUpstream) -> None:
    """All turns on it."""
    key = await stage.key(parallel_turns=2)
    rests = [Wait(asyncio.Event()) for _ in range(2)]
    async with connected(stage.client, **bearer(key)) as socket:
        for number, rest in enumerate(rests):
            scripted.then(rest)
            await socket.create("hi", stream_id=str(number))
            await rest.reached.wait()
        assert (await socket.error("hi", stream_id="third"))["status"] == 429
    await stage.until_free(key)


async def test_a_failed_turn_frees_its_place(stage: Stage, scripted: ScriptedUpstream) -> None:
    """An upstream that drops the connection, an unknown model, a request that is none."""
    key = await stage.key(parallel_turns=1)
    for _ in range(5):
        scripted.then(Drop())
    assert (await stage.turn(key))[0] >= 500
    scripted.scripts.clear()
    assert (await stage.turn(key, model="unknown"))[0] == 404
    assert (await stage.turn(key, temperature="hot"))[0] == 400
    assert (await stage.turn(key, previous_response_id="resp_x"))[0] == 400
    assert (await stage.turn(key))[0] == 200


async def test_a_background_turn_takes_a_place_until_it_has_ended(stage: Stage, scripted: ScriptedUpstream) -> None:
    """From when it is accepted; cancelled or completed, it gives it back."""
    key = await stage.key(parallel_turns=1)
    for cancels in (True, False):
        rest = Wait(asyncio.Event())
        scripted.then(rest, http_json(whole("ok")))
        status, queued, _ = await stage.turn(key, background=True)
        assert (status, queued["status"]) == (200, "queued")
        assert (await stage.turn(key))[0] == 429
        await rest.reached.wait()
        if cancels:
            path = f"/v1/responses/{queued['id']}/cancel"
            assert (await stage.client.call("POST", path, **bearer(key)))[0] == 200
        else:
            rest.event.set()
        await stage.until_free(key)


async def test_a_limit_that_is_raised_holds_within_a_second(stage: Stage) -> None:
    """Without a restart."""
    key = await stage.key(requests_per_minute=1)
    assert [(await stage.turn(key))[0] for _ in range(2)] == [200, 429]
    await stage.ring.change(key, limits=Limits(requests_per_minute=1000))
    await stage.until_free(key)


async def test_a_key_without_limits_is_told_of_none(stage: Stage) -> None:
    """No header speaks of a limit that there is not."""
    _, _, headers = await stage.turn(await stage.key())
    assert [name for name in headers if name.startswith("x-ratelimit")] == []
