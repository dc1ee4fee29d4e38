"""A clock that jumps: nothing is lost, doubled or let in because of it, and what has to grow grows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from antiphon import Gateway, Limits, Principal, SQLiteSessionStore
from antiphon.engine.administration_requests import NewApiKey, NewTenant
from antiphon.hub.errors import ConversationLocked, TooManyRequests
from antiphon.hub.format import ConversationDraft, PageRequest
from antiphon.hub.ids import TenantId
from antiphon.testing.store_fixture import FixedClock
from tests.faults.echo import MODEL, echo_gateway
from tests.faults.life import OPERATOR, body_of, principal_of
from tests.support.asgi_client import post

_ACME = principal_of("acme")
_NOW_S = 1_780_000_000.0


class Jump(NamedTuple):
    """A clock that shows *start_s*, and a moment later *by_s* more."""

    start_s: float
    by_s: float


JUMPS = {
    "an hour ahead": Jump(_NOW_S, 3600.0),
    "an hour back": Jump(_NOW_S, -3600.0),
    "a day back": Jump(_NOW_S, -86400.0),
    "over the end of summer time": Jump(1_792_890_000.0 - 1.0, 2.0),
    "over the year 2038": Jump(2.0**31 - 1.0, 2.0),
}


@pytest.fixture(params=list(JUMPS.values()), ids=list(JUMPS))
def jump(request: pytest.FixtureRequest) -> Jump:
    given: Jump = request.param
    return given


@asynccontextmanager
async def on(store: Path, clock: FixedClock) -> AsyncIterator[Gateway]:
    """A gateway and its store, by this clock."""
    async with echo_gateway(SQLiteSessionStore(store, clock=clock), clock=clock) as gateway:
        yield gateway


async def conversation_of(gateway: Gateway) -> str:
    """The id of a new conversation."""
    body = await gateway.create_conversation(ConversationDraft(), _ACME)
    return str(body["id"])


async def test_chain_goes_on(tmp_path: Path, jump: Jump) -> None:
    """A turn continues one from before the jump; both are there, under different ids, in the order of their making."""
    clock = FixedClock(jump.start_s)
    async with on(tmp_path / "store.db", clock) as gateway:
        told = [dict(await gateway.respond(body_of("one"), _ACME))]
        clock.advance(jump.by_s)
        for text in ("two", "three"):
            told.append(dict(await gateway.respond(body_of(text, previous_response_id=told[-1]["id"]), _ACME)))
        assert len({response["id"] for response in told}) == 3
        for response in told:
            assert dict(await gateway.retrieve(response["id"], _ACME)) == response
        seen = (await gateway.input_items(told[-1]["id"], PageRequest(limit=100, order="asc"), _ACME)).items
        assert len(seen) == 5
        assert gateway.store is not None
        assert await gateway.store.check() == []


async def test_time_never_runs_backwards_in_a_conversation(tmp_path: Path, jump: Jump) -> None:
    """The turns of a conversation have the order in which they were made, and so have their times."""
    clock = FixedClock(jump.start_s)
    async with on(tmp_path / "store.db", clock) as gateway:
        conversation = await conversation_of(gateway)
        told = []
        for index in range(3):
            told.append(dict(await gateway.respond(body_of(f"turn {index}", conversation=conversation), _ACME)))
            clock.advance(jump.by_s)
        times = [response["created_at"] for response in told]
        assert times == sorted(times)
        assert gateway.store is not None
        stored = await gateway.store.for_tenant(TenantId("acme")).get_by_conversation_id(conversation)
        assert [session.response_id for session in stored] == [response["id"] for response in told]


async def test_audit_trail_keeps_its_order(tmp_path: Path, jump: Jump) -> None:
    """The trail has what was done in the order in which it was done, whatever time it bears, and is whole."""
    clock = FixedClock(jump.start_s)
    async with on(tmp_path / "store.db", clock) as gateway:
        assert gateway.administration is not None
        await gateway.administration.create_tenant(NewTenant(id="acme"), OPERATOR)
        ids = []
        for index in range(3):
            ids.append((await gateway.respond(body_of(f"turn {index}"), _ACME))["id"])
            clock.advance(jump.by_s)
        page = await gateway.administration.audit("acme", OPERATOR)
        assert [record.entry.object_id for record in page.records] == ids
        assert [record.index for record in page.records] == [1, 2, 3]
        assert await gateway.administration.verify_audit("acme", OPERATOR) == []


async def test_lease_is_held_for_no_less_and_ends(tmp_path: Path, jump: Jump) -> None:
    """A lease ends when the clock is past its end; one that was set back prolongs it, and who comes later is ahead."""
    clock = FixedClock(jump.start_s)
    async with on(tmp_path / "store.db", clock) as gateway:
        conversation = await conversation_of(gateway)
        assert gateway.store is not None
        tenant = gateway.store.for_tenant(TenantId("acme"))
        first = await tenant.acquire_lease(conversation, "first", 60.0)
        clock.advance(jump.by_s)
        if jump.by_s < 60.0:
            with pytest.raises(ConversationLocked):
                await tenant.acquire_lease(conversation, "second", 60.0)
            clock.advance(61.0 - jump.by_s)
        second = await tenant.acquire_lease(conversation, "second", 60.0)
        assert second.epoch > first.epoch
        assert not await tenant.renew_lease(first, 60.0)


async def test_rates_are_counted_by_another_clock(tmp_path: Path, jump: Jump) -> None:
    """A jump gives nobody more requests, and takes none away."""
    clock = FixedClock(jump.start_s)
    limited = Principal(tenant=TenantId("acme"), actor="limited", limits=Limits(requests_per_minute=2))
    async with on(tmp_path / "store.db", clock) as gateway:
        await gateway.respond(body_of("one"), limited)
        clock.advance(jump.by_s)
        await gateway.respond(body_of("two"), limited)
        clock.advance(jump.by_s)
        with pytest.raises(TooManyRequests):
            await gateway.respond(body_of("three"), limited)


@pytest.mark.parametrize(("by_s", "status"), [(3600.0, 200), (-86400.0, 200), (90000.0, 401)], ids=str)
async def test_api_key_expires_by_the_clock(tmp_path: Path, by_s: float, status: int) -> None:
    """A key works until the clock is past its end, and a clock that was set back does not end it."""
    clock = FixedClock(_NOW_S)
    async with on(tmp_path / "store.db", clock) as gateway:
        assert gateway.administration is not None
        await gateway.administration.create_tenant(NewTenant(id="acme"), OPERATOR)
        minted = await gateway.administration.create_key("acme", NewApiKey(expires_days=1.0), OPERATOR)
        clock.advance(by_s)
        header = (b"authorization", f"Bearer {minted.key.text}".encode())
        answer = await post(gateway.asgi(), "/v1/responses", {"model": MODEL, "input": "hi"}, header)
        assert answer.status == status, answer.body


@pytest.mark.parametrize("skew_s", [300.0, -300.0], ids=str)
async def test_two_processes_disagree_about_the_time(tmp_path: Path, skew_s: float) -> None:
    """Two gateways on one file, five minutes apart, continue each other's turns, and time never runs backwards."""
    ahead = FixedClock(_NOW_S + skew_s)
    async with on(tmp_path / "store.db", FixedClock(_NOW_S)) as one, on(tmp_path / "store.db", ahead) as other:
        conversation = await conversation_of(one)
        told = [
            dict(await gateway.respond(body_of(f"turn {index}", conversation=conversation), _ACME))
            for index, gateway in enumerate((one, other, one, other))
        ]
        assert [response["created_at"] for response in told] == sorted(response["created_at"] for response in told)
        for response in told:
            assert dict(await one.retrieve(response["id"], _ACME)) == response
            assert dict(await other.retrieve(response["id"], _ACME)) == response
        assert one.store is not None
        assert await one.store.check() == []
