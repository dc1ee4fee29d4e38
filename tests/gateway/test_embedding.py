"""A program that embeds a gateway: what it may do with it, and what happens when it lets go of a turn at any moment."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import apsw
import orjson
import pytest
from tests.support.scripted_upstream import text_stream, whole

from antiphon import Gateway, InMemorySessionStore, SQLiteSessionStore
from antiphon.engine.upstreams import Upstream
from antiphon.hub.errors import (
    AntiphonError,
    LeaseLost,
    ResponseNotFound,
    ShuttingDown,
    StoreUnavailable,
    UpstreamRefused,
)
from antiphon.hub.events import ResponseFailed
from antiphon.hub.format import ConversationDraft, PageRequest
from antiphon.hub.principal import LOCAL
from antiphon.providers.openai_chat import provider
from antiphon.sessions.store import SessionStore
from antiphon.telemetry import Log
from antiphon.testing.store_fixture import FixedClock
from antiphon.transport.replay import PreparedReply, ReplayTransport


def says(text: str, **reply: Any) -> PreparedReply:
    """A whole answer."""
    return PreparedReply(blocks=[orjson.dumps(whole(text))], **reply)


def streams(text: str, **reply: Any) -> PreparedReply:
    """The same as a stream."""
    return PreparedReply(headers={"content-type": "text/event-stream"}, blocks=[text_stream(text)], **reply)


def turn(text: object = "hi", **fields: object) -> dict[str, Any]:
    """A request body."""
    return {"model": "m", "input": text, **fields}


def embed(store: SessionStore | None, *replies: PreparedReply, **options: Any) -> tuple[Gateway, ReplayTransport]:
    """A gateway in front of prepared replies."""
    answers = ReplayTransport(replies)
    upstream = Upstream("prepared", provider({}), answers, models=["m"], clock=time.monotonic)
    return Gateway([upstream], store=store, log=Log("error"), **options), answers


def asked(answers: ReplayTransport) -> list[Any]:
    """The contents of the messages that the upstream was sent last."""
    return [message.get("content") for message in orjson.loads(answers.requests[-1].body)["messages"]]


async def conversation(gateway: Gateway) -> str:
    """A new, empty conversation."""
    created = await gateway.create_conversation(ConversationDraft(items=(), metadata={}))
    return str(created["id"])


async def until(condition: Callable[[], object]) -> None:
    """Let everything else run until *condition* holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "antiphon.db"


@asynccontextmanager
async def held_by_another(path: Path) -> AsyncIterator[None]:
    """For as long as the block runs another process writes to the file: nobody else can."""
    other = apsw.Connection(str(path))
    other.set_busy_timeout(10_000)  # the gateway itself may be writing
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


# What is handed out and taken in.


async def test_what_a_program_does_with_a_response_changes_nothing_that_is_kept() -> None:
    """A response and the events of a stream belong to the caller: changing them changes no history."""
    gateway, answers = embed(InMemorySessionStore(), says("one"), streams("two"), says("three"))
    async with gateway:
        first = await gateway.respond(turn())
        first["output"][0]["content"][0]["text"] = "changed"
        second = ""
        async for event in gateway.stream(turn(previous_response_id=first["id"])):
            item = getattr(event, "item", None)
            if item is not None and item["content"]:
                item["content"][0]["text"] = "changed"
            second = getattr(event, "response", {}).get("id", second)
        await gateway.respond(turn(previous_response_id=second))
    assert asked(answers) == ["hi", "one", "hi", "two", "hi"]


async def test_what_a_program_does_with_its_request_changes_nothing_that_is_kept() -> None:
    """A list of messages that the caller goes on using is not the one that is stored."""
    gateway, answers = embed(InMemorySessionStore(), says("one"), says("two"))
    part = {"type": "input_text", "text": "hi"}
    async with gateway:
        first = await gateway.respond(turn([{"role": "user", "content": [part]}]))
        part["text"] = "changed"
        await gateway.respond(turn(previous_response_id=first["id"]))
    assert asked(answers) == ["hi", "one", "hi"]


async def test_two_gateways_share_a_store(path: Path) -> None:
    """Two gateways with one store object see each other's turns, and either may end before the other."""
    store = SQLiteSessionStore(path)
    (one, _), (two, answers) = embed(store, says("one")), embed(store, says("two"), says("three"))
    async with two:
        async with one:
            first = await one.respond(turn())
            second = await two.respond(turn(previous_response_id=first["id"]))
        await two.respond(turn(previous_response_id=second["id"]))
    assert asked(answers) == ["hi", "one", "hi", "two", "hi"]
    with pytest.raises(StoreUnavailable):
        await store.ping()


async def test_shutdown_may_be_called_twice(path: Path) -> None:
    """The second shutdown does nothing, also not to a store that somebody else still uses."""
    store = SQLiteSessionStore(path)
    (one, _), (two, _) = embed(store), embed(store, says("two"))
    async with two:
        await one.startup()
        await one.shutdown()
        await one.shutdown()
        assert (await two.respond(turn()))["status"] == "completed"


# Letting go.


async def test_respond_that_is_cancelled_while_the_turn_is_stored_lets_it_be_stored(path: Path) -> None:
    """From the upstream's end on a turn cannot be cancelled any more: it is kept as what it is."""
    gateway, _ = embed(SQLiteSessionStore(path), says("one"))
    async with gateway:
        await gateway.startup()
        async with held_by_another(path):
            waiting = asyncio.create_task(gateway.respond(turn()))
            await until(lambda: any(run.ending for run in gateway.turns._runs.values()))
            ((_, response_id),) = gateway.turns._runs
            waiting.cancel()
            with suppress(asyncio.CancelledError):
                await waiting
        await until(lambda: not gateway.turns._runs)
        assert (await gateway.retrieve(response_id))["status"] == "completed"


@pytest.mark.parametrize("begun", [False, True], ids=["before it began", "while it ran"])
async def test_respond_that_is_cancelled_leaves_a_cancelled_record(begun: bool) -> None:
    """The caller of a turn that is not finished lets go of it: the record says cancelled, and can be continued."""
    gate = asyncio.Event()
    gateway, answers = embed(InMemorySessionStore(), says("one", gate=gate), says("two"))
    async with gateway:
        await gateway.startup()
        waiting = asyncio.create_task(gateway.respond(turn()))
        await until(lambda: gateway.turns._runs)
        ((_, response_id),) = gateway.turns._runs
        if begun:
            await until(lambda: answers.replies)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await until(lambda: not gateway.turns._runs)
        assert (await gateway.retrieve(response_id))["status"] == "cancelled"
        assert all(reply.closed for reply in answers.replies)
        gate.set()
        await gateway.respond(turn("again", previous_response_id=response_id))
    assert asked(answers) == ["hi", "again"]


async def test_respond_that_is_cancelled_goes_on_if_it_is_told_to() -> None:
    """With ``on_disconnect="continue"`` a turn outlives its caller, and is stored as it ends."""
    gate = asyncio.Event()
    gateway, answers = embed(InMemorySessionStore(), says("one", gate=gate), on_disconnect="continue")
    async with gateway:
        waiting = asyncio.create_task(gateway.respond(turn()))
        await until(lambda: answers.replies)
        ((_, response_id),) = gateway.turns._runs
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
        gate.set()
        await until(lambda: not gateway.turns._runs)
        assert (await gateway.retrieve(response_id))["status"] == "completed"


async def test_first_caller_may_be_cancelled_while_the_store_is_opened(path: Path) -> None:
    """The store is opened once, whoever asked for it first, and closed with the gateway."""
    store = SQLiteSessionStore(path)
    gateway, _ = embed(store, says("one"))
    first = asyncio.create_task(gateway.respond(turn()))
    await asyncio.sleep(0)
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
    done = await gateway.respond(turn())
    await gateway.shutdown()
    with pytest.raises(StoreUnavailable):
        await store.ping()
    with pytest.raises(ShuttingDown):
        await gateway.retrieve(done["id"])


async def test_stream_that_is_left_early_is_cancelled() -> None:
    """Breaking out of the iteration, or forgetting it, stops the upstream."""
    gate = asyncio.Event()
    block = text_stream("one two three")
    reply = PreparedReply(
        headers={"content-type": "text/event-stream"}, blocks=[block[:200], block[200:]], gate=gate, gate_before=1
    )
    gateway, answers = embed(InMemorySessionStore(), reply, reply)
    async with gateway:
        events = gateway.stream(turn())
        await anext(events)
        ((_, first),) = gateway.turns._runs
        await events.aclose()  # type: ignore[attr-defined]  # an async generator, as its type does not say
        await until(lambda: not gateway.turns._runs)
        events = gateway.stream(turn())
        await anext(events)
        ((_, second),) = gateway.turns._runs
        del events
        await until(lambda: not gateway.turns._runs)
        assert [(await gateway.retrieve(each))["status"] for each in (first, second)] == ["cancelled"] * 2
    assert [reply.closed for reply in answers.replies] == [True, True]


async def test_turn_that_is_cancelled_while_it_waits_for_its_conversation_does_not_lock_it(path: Path) -> None:
    """The store may grant a lease to somebody who has gone: it is given back."""
    gateway, _ = embed(SQLiteSessionStore(path), says("one"))
    async with gateway:
        its_id = await conversation(gateway)
        async with held_by_another(path):
            waiting = asyncio.create_task(gateway.respond(turn(conversation=its_id)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            waiting.cancel()
            with suppress(asyncio.CancelledError):
                await waiting
        await until(lambda: not gateway.turns._leases._returning)
        assert (await gateway.respond(turn(conversation=its_id)))["status"] == "completed"


async def test_turn_that_is_refused_does_not_lock_its_conversation() -> None:
    """A request that fails after it took its conversation, here or at the upstream, gives it back."""
    refusals = [says("", refusal=UpstreamRefused("no")), says("one")]
    gateway, answers = embed(InMemorySessionStore(), *refusals)
    async with gateway:
        its_id = await conversation(gateway)
        surplus = [{"type": "function_call_output", "call_id": "call_1", "output": "1"}]
        for wrong in (surplus, [{"type": "item_reference", "id": "msg_1"}], "refused by the upstream"):
            with pytest.raises(AntiphonError):
                await gateway.respond(turn(wrong, conversation=its_id))
        await gateway.respond(turn(conversation=its_id))
    assert asked(answers) == ["hi"]


async def test_no_turn_begins_behind_a_shutdown() -> None:
    """A request that is still being looked at when the gateway begins to drain is refused, not lost."""
    gateway, answers = embed(InMemorySessionStore(), says("one"))
    await gateway.startup()
    items = [{"role": "user", "content": str(number)} for number in range(1000)]
    waiting = asyncio.create_task(gateway.respond(turn(items)))
    await asyncio.sleep(0)
    await gateway.shutdown()
    with pytest.raises(ShuttingDown):
        await waiting
    assert answers.requests == []


async def test_shutdown_lets_running_turns_end_and_cancels_those_that_do_not() -> None:
    """Within its time a turn ends as it would have; after it, it is stored as cancelled."""
    store = InMemorySessionStore()
    await store.open()
    gates = [asyncio.Event(), asyncio.Event()]
    gateway, answers = embed(store, *[says("one", gate=gate) for gate in gates])
    waiting = [asyncio.create_task(gateway.respond(turn())) for _ in gates]
    await until(lambda: len(answers.replies) == 2)
    gates[0].set()
    await gateway.shutdown(0.05)
    ended = await asyncio.gather(*waiting)
    assert sorted(response["status"] for response in ended) == ["cancelled", "completed"]


# A store that fails.


async def test_conversation_turn_that_cannot_be_stored_ends(path: Path) -> None:
    """When neither the turn can be stored nor its lease be given back, the caller is told so and nobody waits."""
    gate = asyncio.Event()
    gateway, answers = embed(SQLiteSessionStore(path, busy_timeout_s=0.05), says("one", gate=gate))
    async with gateway:
        its_id = await conversation(gateway)
        waiting = asyncio.create_task(gateway.respond(turn(conversation=its_id)))
        await until(lambda: answers.replies)
        async with held_by_another(path):
            gate.set()
            async with asyncio.timeout(10):
                with pytest.raises(StoreUnavailable):
                    await waiting
        page = await gateway.conversation_items(its_id, PageRequest())
        assert page.items == ()


async def test_stream_that_cannot_be_stored_ends_with_response_failed(path: Path) -> None:
    """The terminal event is response.failed; the response is unknown, and the gateway goes on when the store does."""
    gateway, _ = embed(SQLiteSessionStore(path, busy_timeout_s=0.05), streams("one"), says("two"))
    async with gateway:
        await gateway.startup()
        async with held_by_another(path):
            events = [event async for event in gateway.stream(turn())]
        failed = events[-1]
        assert isinstance(failed, ResponseFailed)
        with pytest.raises(ResponseNotFound):
            await gateway.retrieve(failed.response["id"])
        assert (await gateway.respond(turn()))["status"] == "completed"


async def test_full_disk_refuses_turns_until_there_is_room(path: Path) -> None:
    """Writing is 503 while the disk is full, reading goes on, nothing half is left, and it recovers by itself."""
    store = SQLiteSessionStore(path)
    gateway, _ = embed(store, *[says("one") for _ in range(3)])
    async with gateway:
        first = await gateway.respond(turn())
        connection = store._open_connections().writer._connection
        connection.pragma("max_page_count", connection.pragma("page_count"))
        with pytest.raises(StoreUnavailable, match="full"):
            await gateway.respond(turn("x" * 100_000, previous_response_id=first["id"]))
        assert await gateway.retrieve(first["id"]) == first
        assert await store.check() == []
        connection.pragma("max_page_count", 1 << 30)
        await gateway.respond(turn("x" * 100_000, previous_response_id=first["id"]))


# Histories.


async def test_edit_under_a_lease_that_ran_out_is_not_lost() -> None:
    """A turn that slept past its lease and did not see an edit is refused; the next one sees the list as it is."""
    clock, gate = FixedClock(), asyncio.Event()
    gateway, answers = embed(InMemorySessionStore(clock=clock), says("one", gate=gate), says("two"), clock=clock)
    async with gateway:
        its_id = await conversation(gateway)
        waiting = asyncio.create_task(gateway.respond(turn(conversation=its_id)))
        await until(lambda: answers.replies)
        clock.advance(3600)
        assert gateway._sessions is not None
        sessions = gateway._sessions.for_tenant(LOCAL.tenant)
        content = [{"type": "input_text", "text": "edited"}]
        await sessions.conversations.append(its_id, [{"type": "message", "role": "user", "content": content}])
        gate.set()
        with pytest.raises(LeaseLost):
            await waiting
        await gateway.respond(turn("again", conversation=its_id))
    assert asked(answers) == ["edited", "again"]


async def test_created_at_is_the_same_in_every_answer() -> None:
    """A clock that goes backwards does not take a conversation with it: neither in the answer nor when it is read."""
    clock = FixedClock()
    gateway, _ = embed(InMemorySessionStore(clock=clock), says("one"), says("two"), clock=clock)
    async with gateway:
        its_id = await conversation(gateway)
        first = await gateway.respond(turn(conversation=its_id))
        clock.advance(-500)
        second = await gateway.respond(turn(conversation=its_id))
        assert second["created_at"] == first["created_at"]
        assert await gateway.retrieve(second["id"]) == second


@pytest.mark.parametrize("cached", [True, False], ids=["cached", "from the store"])
async def test_cut_off_call_that_the_client_answers_itself_is_replayed(cached: bool) -> None:
    """Only output is left out of replay: a cut-off call of the client's own input goes with its output for ever."""
    gateway, answers = embed(InMemorySessionStore(), says("one"), says("two"))
    call = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}", "status": "incomplete"}
    output = {"type": "function_call_output", "call_id": "call_1", "output": "1"}
    async with gateway:
        first = await gateway.respond(turn([{"role": "user", "content": "hi"}, call, output]))
        if not cached:
            assert gateway._sessions is not None
            gateway._sessions.forget(LOCAL.tenant)
        await gateway.respond(turn(previous_response_id=first["id"]))
    assert asked(answers) == ["hi", None, "1", "one", "hi"]


async def test_cache_counts_what_it_holds() -> None:
    """The bound of the history cache is in bytes: input counts like output, whether it is new or referred to."""
    gateway, _ = embed(InMemorySessionStore(), says("one"), says("two"))
    async with gateway:
        assert gateway._sessions is not None
        cache = gateway._sessions._cache
        first = await gateway.respond(turn("x" * 100_000))
        assert cache._size_bytes > 100_000
        (item,) = (await gateway.input_items(first["id"], PageRequest())).items
        await gateway.respond(turn([{"type": "item_reference", "id": item["id"]}]))
        assert cache._size_bytes > 200_000


async def test_long_request_lets_others_in() -> None:
    """While two thousand items are checked, given ids and stored, other requests go on."""
    gateway, _ = embed(InMemorySessionStore(), says("one"))
    items = [{"role": "user", "content": str(number)} for number in range(1900)]
    async with gateway:
        await gateway.startup()
        waiting = asyncio.create_task(gateway.respond(turn(copy.deepcopy(items))))
        rounds = 0
        while not waiting.done():
            rounds += 1
            await asyncio.sleep(0)
        assert rounds > 1900 // 128
        assert (await waiting)["status"] == "completed"


async def test_erased_content_leaves_the_cache() -> None:
    """What a cascade or an edit of a conversation erases is not kept in memory as a decoded history either."""
    gateway, _ = embed(InMemorySessionStore(), *(says(text) for text in ("one", "two", "three")))
    async with gateway:
        assert gateway._sessions is not None
        cache = gateway._sessions._cache
        first = await gateway.respond(turn())
        await gateway.respond(turn(previous_response_id=first["id"]))
        await gateway.delete(first["id"], cascade=True)
        assert cache._size_bytes == 0
        conversation = await gateway.create_conversation(ConversationDraft())
        told = await gateway.respond(turn(conversation=conversation["id"]))
        assert cache._size_bytes > 0
        await gateway.library.remove_item(conversation["id"], told["output"][0]["id"])
        assert cache._size_bytes == 0
