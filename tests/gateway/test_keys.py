"""Keys on a server that is busy: revoked, rotated, suspended, over HTTP and over WebSockets."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from tests.gateway.conftest import Client, parse, serving
from tests.gateway.socket_client import Socket, connected
from tests.server.keyring import PEPPER, Keyring, bearer
from tests.support.scripted_upstream import (
    MODEL,
    ScriptedUpstream,
    Wait,
    chunk,
    delta,
    finish,
    http_stream_head,
)

from antiphon import Gateway, InMemorySessionStore, SQLiteSessionStore, upstream
from antiphon.hub.api_key import ApiKey, mint
from antiphon.sessions.store import SessionStore

_WITHIN_S = 20.0
_TURN = {"model": MODEL, "input": "hi"}


class Stage:
    """A server with keys."""

    def __init__(self, client: Client, ring: Keyring) -> None:
        self.client = client
        self.ring = ring

    async def turn(self, key: ApiKey, **about: object) -> int:
        """The status of a turn."""
        status, _ = await self.client.call("POST", "/v1/responses", {**_TURN, **about}, **bearer(key))
        return status

    async def models(self, key: ApiKey) -> int:
        """The status of a request that costs little."""
        status, _ = await self.client.call("GET", "/v1/models", **bearer(key))
        return status

    async def until(self, status: int, ask: Callable[[], Awaitable[int]]) -> None:
        """Ask until the answer has a status."""
        async with asyncio.timeout(_WITHIN_S):
            while await ask() != status:
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def keyed(scripted: ScriptedUpstream, store: SessionStore) -> AsyncIterator[Stage]:
    ring = Keyring(store)
    gateway = Gateway([upstream(scripted.url, name="scripted")]).with_session_store(ring.store)
    async with serving(gateway, scripted, authenticator=ring.real_keys()) as client:
        yield Stage(client, ring)


@pytest.fixture
async def stage(scripted: ScriptedUpstream) -> AsyncIterator[Stage]:
    async with keyed(scripted, InMemorySessionStore()) as stage:
        yield stage


@pytest.fixture(params=["memory", "sqlite"])
async def stage_of_each(
    request: pytest.FixtureRequest, scripted: ScriptedUpstream, tmp_path: Path
) -> AsyncIterator[Stage]:
    store = InMemorySessionStore() if request.param == "memory" else SQLiteSessionStore(tmp_path / "antiphon.db")
    async with keyed(scripted, store) as stage:
        yield stage


def hanging(scripted: ScriptedUpstream) -> Wait:
    """The next turn is a stream that stops in its middle until it is told to go on."""
    rest = Wait(asyncio.Event())
    begin = delta(role="assistant", content=None) + delta(content="Hel")
    scripted.then(http_stream_head(), chunk(begin), rest, chunk(delta(content="lo.") + finish()), b"0\r\n\r\n")
    return rest


# Tenants.


async def test_a_key_is_of_its_tenant_alone(stage_of_each: Stage) -> None:
    """What a key of one tenant made is not there for a key of another one, and is for another of its own."""
    stage = stage_of_each
    mine, ours, theirs = await stage.ring.make("a"), await stage.ring.make("a"), await stage.ring.make("b")
    _, made = await stage.client.call("POST", "/v1/responses", _TURN, **bearer(mine))
    path = f"/v1/responses/{made['id']}"
    statuses = [(await stage.client.call("GET", path, **bearer(key)))[0] for key in (mine, ours, theirs)]
    assert statuses == [200, 200, 404]
    assert await stage.turn(theirs, previous_response_id=made["id"]) == 400


async def test_a_key_asks_for_its_models_alone(stage: Stage) -> None:
    """Another model is not there, neither in the list nor for a turn."""
    key, other = await stage.ring.make(models=("another",)), await stage.ring.make(models=(MODEL,))
    assert [await stage.turn(each) for each in (key, other)] == [404, 200]
    listed = [(await stage.client.call("GET", "/v1/models", **bearer(each)))[1]["data"] for each in (key, other)]
    assert [[model["id"] for model in models] for models in listed] == [[], [MODEL]]
    async with connected(stage.client, **bearer(key)) as socket:
        assert (await socket.error("hi"))["status"] == 404


# Changes under load.


async def test_a_revoked_key_works_for_less_than_a_second(stage_of_each: Stage) -> None:
    """Under load, the last answer to it comes within a second of its revocation, and other keys notice nothing."""
    stage = stage_of_each
    revoked, other = await stage.ring.make(), await stage.ring.make()
    worked_at = 0.0
    others: list[int] = []
    ended = asyncio.Event()

    async def use() -> None:
        nonlocal worked_at
        while True:
            asked_at = time.monotonic()
            if await stage.models(revoked) == 401:
                return
            worked_at = max(worked_at, asked_at)

    async def go_on() -> None:
        while not ended.is_set():
            others.append(await stage.models(other))

    async with asyncio.timeout(_WITHIN_S), asyncio.TaskGroup() as group:
        users = [group.create_task(use()) for _ in range(8)]
        group.create_task(go_on())
        while len(others) < 20:
            await asyncio.sleep(0)
        revoked_at = time.monotonic()
        await stage.ring.change(revoked, revoked_at=int(time.time()))
        await asyncio.wait(users)
        ended.set()
    assert 0 < worked_at < revoked_at + 1
    assert set(others) == {200}


async def test_a_rotation_fails_no_request(stage_of_each: Stage) -> None:
    """While both secrets work, clients change over one by one, and none of their requests is refused."""
    stage = stage_of_each
    old = await stage.ring.make()
    new = mint("live", key_id=old.key_id)
    answers: list[int] = []
    ended = asyncio.Event()

    async def use(which: list[ApiKey]) -> None:
        while not ended.is_set():
            answers.append(await stage.models(which[0]))

    in_use = [[old] for _ in range(4)]
    async with asyncio.timeout(_WITHIN_S), asyncio.TaskGroup() as group:
        for which in in_use:
            group.create_task(use(which))
        until = int(time.time()) + 3600
        await stage.ring.change(old, mac=new.mac(PEPPER), previous_mac=old.mac(PEPPER), previous_until=until)
        await stage.until(200, lambda: stage.models(new))
        for which in in_use:
            which[0] = new
            before = len(answers)
            while len(answers) < before + 10:
                await asyncio.sleep(0)
        ended.set()
    assert set(answers) == {200}
    await stage.ring.change(new, previous_until=int(time.time()))
    await stage.until(401, lambda: stage.models(old))
    assert await stage.models(new) == 200


async def test_a_suspended_tenant_is_refused_and_comes_back(stage: Stage) -> None:
    """All its keys, within a second; and when it is active again, they work as before."""
    key = await stage.ring.make()
    assert await stage.models(key) == 200
    await stage.ring.put_tenant("acme", state="suspended")
    await stage.until(401, lambda: stage.models(key))
    await stage.ring.put_tenant("acme", state="active")
    await stage.until(200, lambda: stage.models(key))


async def test_scopes_that_are_taken_away_are_gone(stage: Stage) -> None:
    """A key that may only read from now on writes nothing more."""
    key = await stage.ring.make()
    assert await stage.turn(key) == 200
    await stage.ring.change(key, scopes=("models:read",))
    await stage.until(403, lambda: stage.turn(key))
    assert await stage.models(key) == 200


async def test_a_stream_that_runs_ends_well(stage: Stage, scripted: ScriptedUpstream) -> None:
    """Whoever was let in is told the end of his turn; following it anew needs a key that works."""
    key = await stage.ring.make()
    rest = hanging(scripted)
    request = {**_TURN, "stream": True}
    url = stage.client.base_url + "/v1/responses"
    async with stage.client.http.post(url, json=request, headers=bearer(key)) as answer:
        await rest.reached.wait()
        await stage.ring.change(key, revoked_at=int(time.time()))
        await stage.until(401, lambda: stage.models(key))
        rest.event.set()
        events = parse(await answer.read())
    assert events[-1]["type"] == "response.completed"
    path = f"/v1/responses/{events[0]['response']['id']}?stream=true"
    assert (await stage.client.call("GET", path, **bearer(key)))[0] == 401


# WebSockets.


async def test_a_handshake_needs_a_key(stage: Stage) -> None:
    """Without one, with a wrong one, or with one that may not write, it is refused with the answer of HTTP."""
    reader = await stage.ring.make(scopes=("responses:read",))
    for headers, status in (({}, 401), (bearer("wrong"), 401), (bearer(reader), 403)):
        with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
            async with connected(stage.client, **headers):
                pass
        assert raised.value.status == status
    async with connected(stage.client, **bearer(await stage.ring.make())) as socket:
        await socket.turn("hi")


async def test_a_page_says_its_key_as_a_subprotocol(stage: Stage) -> None:
    """As OpenAI's browser client does; one of those that it offered is chosen, and not the key."""
    key = await stage.ring.make()
    url = stage.client.base_url + "/v1/responses"
    offered = ("realtime", f"openai-insecure-api-key.{key.text}")
    async with stage.client.http.ws_connect(url, protocols=offered) as ws:
        assert ws.protocol == "realtime"
        await Socket(ws).turn("hi")
    with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
        await stage.client.http.ws_connect(url, protocols=("openai-insecure-api-key.wrong",))
    assert raised.value.status == 401
    with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
        await stage.client.http.ws_connect(url, protocols=offered, headers=bearer(key))
    assert raised.value.status == 400


async def test_a_revoked_key_begins_no_more_turns(stage: Stage, scripted: ScriptedUpstream) -> None:
    """On a connection that is open, what runs comes to its end, and the next turn is refused within a second."""
    key = await stage.ring.make()
    async with connected(stage.client, **bearer(key)) as socket:
        rest = hanging(scripted)
        await socket.create("hi", stream_id="runs")
        await rest.reached.wait()
        await stage.ring.change(key, revoked_at=int(time.time()))
        await stage.until(401, lambda: stage.models(key))
        await socket.create("hi", stream_id="late")
        frames = [await socket.next()]
        while frames[-1]["type"] != "error":
            frames.append(await socket.next())
        assert (frames[-1]["status"], frames[-1]["stream_id"]) == (401, "late")
        assert frames[-1]["error"]["code"] == "invalid_api_key"
        rest.event.set()
        assert (await socket.until_end())[-1]["type"] == "response.completed"


async def test_two_tenants_share_no_connection_context(stage: Stage) -> None:
    """What one connection remembers of unstored turns is not there on another's, whosever it is."""
    mine, theirs = await stage.ring.make("a"), await stage.ring.make("b")
    async with connected(stage.client, **bearer(mine)) as one, connected(stage.client, **bearer(theirs)) as other:
        response = await one.turn("hi", store=False)
        error = await other.error("hi", store=False, previous_response_id=response["id"])
        assert error["error"]["code"] == "previous_response_not_found"
        await one.turn("hi", store=False, previous_response_id=response["id"])
