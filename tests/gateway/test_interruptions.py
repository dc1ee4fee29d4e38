"""What happens to a turn when its process drains, its claim runs out, or its store is out of reach for a while."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.gateway.conftest import scripted
from tests.gateway.test_embedding import conversation, embed, held_by_another, says, streams, turn, until
from tests.support.scripted_upstream import ScriptedUpstream, Wait, http_json

from antiphon import Gateway, InMemorySessionStore, SQLiteSessionStore, upstream
from antiphon.engine.plan import TurnOptions
from antiphon.engine.turn import TurnPolicy
from antiphon.hub.errors import (
    AntiphonError,
    GatewayError,
    IdempotencyConflict,
    ShuttingDown,
    UpstreamBroken,
    UpstreamRefused,
)
from antiphon.hub.format import PageRequest
from antiphon.hub.principal import LOCAL
from antiphon.sessions.keys import KeyedRequest
from antiphon.sessions.work import KeyClaim
from antiphon.telemetry import Log
from antiphon.testing.store_fixture import FixedClock

__all__ = ["scripted"]

_WITHIN_S = 10.0
_QUICK = TurnPolicy(lease_ttl_s=0.4)


def keyed(body: dict[str, Any], **options: Any) -> TurnOptions:
    """The options of a request with a key."""
    return TurnOptions(key=KeyedRequest("key-1", "POST /v1/responses", body), **options)


def asking(scripted: ScriptedUpstream, store: Any, **options: Any) -> Gateway:
    """A gateway in front of the scripted upstream."""
    gateway = Gateway([upstream(scripted.url, name="scripted", models=["m"])], log=Log("error"), **options)
    return gateway.with_session_store(store)


async def ended(gateway: Gateway, response_id: str) -> Any:
    """The response, once it has ended."""
    async with asyncio.timeout(_WITHIN_S):
        while (response := await gateway.retrieve(response_id))["status"] in ("queued", "in_progress"):
            await asyncio.sleep(0.01)
    return response


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


# Draining.


async def test_a_keyed_turn_whose_end_cannot_be_stored_does_not_hold_up_a_shutdown(tmp_path: Path) -> None:
    """The gateway ends; the turn stays pending, and the next process answers the request that is sent again."""
    path = tmp_path / "antiphon.db"
    gate = asyncio.Event()
    store = SQLiteSessionStore(path, busy_timeout_s=0.05)
    gateway, answers = embed(store, says("one", gate=gate), policy=_QUICK)
    await gateway.startup()
    waiting = asyncio.create_task(gateway.respond(turn(), options=keyed(turn())))
    await until(lambda: answers.replies)
    async with held_by_another(path):
        gate.set()
        await until(lambda: any(run.ending for run in gateway.turns._runs.values()))
        async with asyncio.timeout(_WITHIN_S):
            await gateway.shutdown(0.1)
        with pytest.raises(ShuttingDown):
            await waiting
    following, _ = embed(SQLiteSessionStore(path), says("two"), policy=_QUICK)
    async with following, asyncio.timeout(_WITHIN_S):
        response = await following.respond(turn(), options=keyed(turn()))
    assert response["output"][0]["content"][0]["text"] == "two"


async def test_a_turn_that_waits_for_a_lock_to_be_taken_over_does_not_hold_up_a_shutdown(clock: FixedClock) -> None:
    """It is left to the next process as it was."""
    store = InMemorySessionStore(clock=clock)
    gate = asyncio.Event()
    one, answers = embed(store, says("one", gate=gate))
    two, _ = embed(store, says("two"))
    async with one:
        its_id = await conversation(one)
        queued = await one.respond(turn(conversation=its_id, background=True))
        await until(lambda: answers.replies)
        clock.advance(1000)
        await two.startup()
        await store.for_tenant(LOCAL.tenant).acquire_lease(its_id, "somebody", 10_000)
        taking = two.turns._take_over
        assert taking is not None
        await until(lambda: taking._tasks)
        async with asyncio.timeout(_WITHIN_S):
            await two.shutdown(0.1)
        assert (await one.retrieve(queued["id"]))["status"] == "in_progress"
        gate.set()


async def test_a_gateway_that_drains_takes_nothing_over(clock: FixedClock) -> None:
    """It keeps what it has, and what another process leaves behind is for those who stay."""
    store = InMemorySessionStore(clock=clock)
    gate = asyncio.Event()
    leaving, _ = embed(store, says("never", gate=asyncio.Event()))
    left = await leaving.respond(turn(background=True))
    draining, answers = embed(store, says("kept", gate=gate), says("taken"))
    kept = await draining.respond(turn(background=True))
    await until(lambda: answers.replies)
    draining.turns.drain()
    await leaving.shutdown(0.0)
    claims = draining.turns._claims
    assert claims is not None
    await claims._look()
    gate.set()
    await draining.shutdown()
    assert len(answers.requests) == 1
    following, _ = embed(store, says("taken"))
    async with following:
        assert (await ended(following, left["id"]))["output"][0]["content"][0]["text"] == "taken"
        assert (await following.retrieve(kept["id"]))["status"] == "completed"


# Claims that run out.


async def test_a_turn_that_is_taken_back_by_its_own_process_is_known_to_it(clock: FixedClock) -> None:
    """Who lost a turn and is given it again carries it out once more; the end of the first try changes nothing."""
    store = InMemorySessionStore(clock=clock)
    first, second = asyncio.Event(), asyncio.Event()
    gateway, answers = embed(store, streams("one", gate=first), streams("two", gate=second), policy=_QUICK)
    async with gateway:
        queued = await gateway.respond(turn(background=True))
        await until(lambda: len(answers.replies) == 1)
        before = gateway.turns.running(queued["id"], LOCAL)
        assert before is not None
        await until(lambda: before._shown == 3)
        clock.advance(100)
        assert len(await store.take_over("somebody", 1.0, 10)) == 1
        clock.advance(100)
        await until(lambda: len(answers.replies) == 2)
        first.set()
        await until(lambda: before.done)
        running = gateway.turns.running(queued["id"], LOCAL)
        assert running is not None
        assert running is not before
        second.set()
        done = await ended(gateway, queued["id"])
    assert done["output"][0]["content"][0]["text"] == "two"


async def test_a_key_that_is_lost_before_its_turn_begins_is_asked_for_again(clock: FixedClock) -> None:
    """Its client is not told of a conflict between processes: it is answered when the other one has let go."""
    store = InMemorySessionStore(clock=clock)
    gateway, _ = embed(store, says("one"))
    async with gateway:
        its_id = await conversation(gateway)
        tenant = store.for_tenant(LOCAL.tenant)
        lock = await tenant.acquire_lease(its_id, "somebody", 10_000)
        body = turn(conversation=its_id)
        options = keyed(body, conversation_wait_s=30.0)
        waiting = asyncio.create_task(gateway.respond(body, options=options))
        assert gateway._sessions is not None
        assert options.key is not None
        keys = gateway._sessions.for_tenant(LOCAL.tenant).keys
        key, fingerprint = await keys.hashes(options.key)
        expires_at = int(clock()) + 10_000
        await until(lambda: gateway.turns.idempotency._flights)
        await asyncio.sleep(0)
        clock.advance(100)
        taken = await keys.take(key, fingerprint, holder="other", ttl_s=1000.0, expires_at=expires_at)
        assert isinstance(taken, KeyClaim)
        await tenant.release_lease(lock)
        await until(lambda: gateway.turns._leases._held)
        await until(lambda: not gateway.turns._leases._held)
        await keys.release(taken)
        async with asyncio.timeout(_WITHIN_S):
            response = await waiting
    assert response["status"] == "completed"


# What came of a key.


async def test_a_refused_turn_frees_its_key_as_soon_as_the_store_is_back(
    scripted: ScriptedUpstream, tmp_path: Path
) -> None:
    """Its client hears of the refusal then, and may send it again with the same key."""
    path = tmp_path / "antiphon.db"
    wait = Wait(asyncio.Event())
    scripted.then(wait, http_json({"error": {"message": "bad thing", "type": "x"}}, status=400))
    async with asking(scripted, SQLiteSessionStore(path, busy_timeout_s=0.05)) as gateway:
        waiting = asyncio.create_task(gateway.respond(turn(), options=keyed(turn())))
        await wait.reached.wait()
        async with held_by_another(path):
            wait.event.set()
            await until(lambda: any(run.ending for run in gateway.turns._runs.values()))
            await asyncio.wait([waiting], timeout=0.3)
            assert not waiting.done()
        async with asyncio.timeout(_WITHIN_S):
            with pytest.raises(UpstreamRefused):
                await waiting
            again = await gateway.respond(turn(), options=keyed(turn()))
    assert again["status"] == "completed"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_duplicate_of_a_turn_that_another_process_could_not_begin_is_carried_out(
    scripted: ScriptedUpstream, *, stream: bool
) -> None:
    """Who waited for the other process is the first then; nobody is told that a response is unknown."""
    store = InMemorySessionStore()
    wait = Wait(asyncio.Event())
    scripted.then(wait, http_json({"error": {"message": "bad thing", "type": "x"}}, status=400))
    body = turn(stream=stream)
    async with asking(scripted, store) as one, asking(scripted, store) as two:
        first = asyncio.create_task(one.begin(body, options=keyed(body)))
        await wait.reached.wait()
        second = asyncio.create_task(two.begin(body, options=keyed(body)))
        await until(lambda: two.turns._follower._mirrors)
        wait.event.set()
        with pytest.raises(AntiphonError):
            await (await first).run.finished
        async with asyncio.timeout(_WITHIN_S):
            response = await (await second).run.finished
    assert response["status"] == "completed"


async def test_a_key_whose_response_was_deleted_says_so() -> None:
    """409: the request was carried out, and there is nothing to answer any more."""
    gateway, answers = embed(InMemorySessionStore(), says("one"))
    async with gateway:
        response = await gateway.respond(turn(), options=keyed(turn()))
        await gateway.delete(response["id"])
        with pytest.raises(IdempotencyConflict, match="deleted"):
            await gateway.respond(turn(), options=keyed(turn()))
    assert len(answers.requests) == 1


async def test_a_failed_turn_fails_for_whoever_sends_it_again() -> None:
    """Its first caller was told an error, and so is the next, who is given what the response says of it."""
    gate = asyncio.Event()
    broken = says("x", gate=gate, error=UpstreamBroken("It broke."))
    gateway, answers = embed(InMemorySessionStore(), broken, policy=TurnPolicy(open_after_s=0.0))
    async with gateway:
        waiting = asyncio.create_task(gateway.respond(turn(), options=keyed(turn())))
        await until(lambda: answers.replies)
        gate.set()
        with pytest.raises(UpstreamBroken):
            await waiting
        with pytest.raises(GatewayError, match="It broke"):
            await gateway.respond(turn(), options=keyed(turn()))
    assert len(answers.requests) == 1


async def test_who_leaves_while_he_waits_for_a_conversation_leaves_no_turn() -> None:
    """His request ends at once, and nobody is asked anything when the conversation is free."""
    gate, gone = asyncio.Event(), asyncio.Event()
    gateway, answers = embed(InMemorySessionStore(), says("one", gate=gate), says("two"))
    async with gateway:
        its_id = await conversation(gateway)
        first = asyncio.create_task(gateway.respond(turn(conversation=its_id)))
        await until(lambda: answers.replies)
        body = orjson.dumps(turn("me too", conversation=its_id))
        messages = iter([{"type": "http.request", "body": body}])

        async def receive() -> Any:
            for message in messages:
                return message
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            raise AssertionError(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/responses",
            "headers": [(b"host", b"localhost"), (b"x-antiphon-conversation-wait-ms", b"60000")],
        }
        waiting = asyncio.ensure_future(gateway.asgi()(scope, receive, send))
        gone.set()
        async with asyncio.timeout(_WITHIN_S):
            await waiting
        gate.set()
        await first
        page = await gateway.conversation_items(its_id, PageRequest())
    assert len(page.items) == 2
    assert len(answers.requests) == 1
