"""What races, restarts, erasures and half-open doors must not do: let somebody in, lose a change, or tell a secret."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from tests.support.asgi_client import Answer, ask
from tests.support.ready_upstream import MODEL, ready_gateway

from antiphon import Gateway, InMemorySessionStore, SQLiteSessionStore
from antiphon.engine.administration import COMMAND_LINE, SYSTEM, MintedKey
from antiphon.engine.administration_requests import NewApiKey, NewTenant, TenantChanges, decode
from antiphon.engine.plan import TurnOptions
from antiphon.engine.webhooks import Receiver, WebhookPolicy
from antiphon.hub.errors import IdempotencyKeyReused, InvalidRequest, TenantNotFound
from antiphon.hub.ids import TenantId
from antiphon.hub.library import CursorPage
from antiphon.hub.principal import Principal
from antiphon.sessions.keys import KeyedRequest
from antiphon.sessions.store import SessionStore
from antiphon.telemetry import Log
from antiphon.transport.post import HttpPost

ACME = Principal(tenant=TenantId("acme"))
TURN = {"model": MODEL, "input": "hi"}

NewStore = Callable[[], SessionStore]


@pytest.fixture(params=["memory", "sqlite"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> NewStore:
    return InMemorySessionStore if request.param == "memory" else lambda: SQLiteSessionStore(tmp_path / "store.db")


async def listed(gateway: Gateway, minted: MintedKey | None = None) -> Answer:
    """The answer to a list of responses, with a key or without any."""
    bearer = [] if minted is None else [(b"authorization", f"Bearer {minted.key.text}".encode())]
    return await ask(gateway.asgi(), "GET", "/v1/responses", headers=bearer)


async def admin_call(gateway: Gateway, method: str, path: str, body: object) -> Answer:
    """What the administrators' API answers to one with a key."""
    assert gateway.administration is not None
    minted = await gateway.administration.create_admin_key(NewApiKey(), COMMAND_LINE)
    headers = [(b"content-type", b"application/json"), (b"authorization", f"Bearer {minted.key.text}".encode())]
    return await ask(gateway.admin_asgi(), method, path, headers=headers, chunks=[orjson.dumps(body)])


# Changes at the same time.


async def test_no_change_of_a_tenant_undoes_another(new_store: NewStore) -> None:
    """A tenant that is suspended while somebody configures it is both afterwards."""
    gateway, _ = ready_gateway(new_store())
    async with gateway:
        administration = gateway.administration
        assert administration is not None
        await administration.create_tenant(NewTenant(id="acme"), COMMAND_LINE)

        await asyncio.gather(
            administration.suspend("acme", COMMAND_LINE),
            administration.configure("acme", TenantChanges(retention_days=3), COMMAND_LINE),
            administration.configure("acme", TenantChanges(max_stored_bytes=9), COMMAND_LINE),
        )

        record = (await administration.tenant("acme", COMMAND_LINE)).record
        assert (record.state, record.retention_days, record.max_stored_bytes) == ("suspended", 3, 9)


async def test_a_key_for_a_tenant_that_is_erased_meanwhile_opens_nothing(new_store: NewStore) -> None:
    """Whoever makes it is told that there is no such tenant, and what was made never works."""
    gateway, _ = ready_gateway(new_store())
    async with gateway:
        administration = gateway.administration
        assert administration is not None
        await administration.create_tenant(NewTenant(id="acme"), COMMAND_LINE)

        _, made = await asyncio.gather(
            administration.erase("acme", COMMAND_LINE),
            administration.create_key("acme", NewApiKey(), COMMAND_LINE),
            return_exceptions=True,
        )

        assert isinstance(made, TenantNotFound)
        assert all(key.revoked_at is not None for key in await administration.keys(COMMAND_LINE))


# Names.


async def test_a_tenants_name_is_one_line() -> None:
    """A name that ends a line would be a tenant that no command finds again."""
    gateway, _ = ready_gateway(InMemorySessionStore())
    async with gateway:
        assert gateway.administration is not None
        with pytest.raises(InvalidRequest) as refused:
            await gateway.administration.create_tenant(decode(NewTenant, {"id": "acme\n"}), COMMAND_LINE)

        assert refused.value.param == "id"
        assert gateway.store is not None
        assert [tenant.id for tenant in await gateway.store.list_tenants()] == []


async def test_an_end_user_without_a_name_is_not_the_whole_tenant() -> None:
    """An erasure that asks for the end user null is refused, and nothing goes."""
    gateway, _ = ready_gateway(InMemorySessionStore())
    async with gateway:
        response = await gateway.respond(TURN, ACME)

        answer = await admin_call(gateway, "POST", "/admin/v1/tenants/acme/erase", {"end_user": None})

        assert (answer.status, answer.error["param"]) == (400, "end_user")
        assert (await gateway.retrieve(response["id"], ACME))["id"] == response["id"]


# Erasing, and after it.


async def test_a_gateway_that_had_a_key_stays_closed(tmp_path: Path) -> None:
    """When the only tenant with a key was erased, and everything was started anew, nobody comes in without one."""
    gateway, _ = ready_gateway(SQLiteSessionStore(tmp_path / "store.db"))
    async with gateway:
        assert gateway.administration is not None
        assert (await listed(gateway)).status == 200
        await gateway.administration.create_tenant(NewTenant(id="acme"), COMMAND_LINE)
        await gateway.administration.create_key("acme", NewApiKey(), COMMAND_LINE)
        await gateway.administration.erase("acme", COMMAND_LINE)

    restarted, _ = ready_gateway(SQLiteSessionStore(tmp_path / "store.db"))
    async with restarted:
        assert (await listed(restarted)).status == 401


async def test_what_a_process_stores_for_a_name_that_is_used_again_can_be_opened(tmp_path: Path) -> None:
    """One process erases a tenant and makes it anew at once; another, which knew the old one, serves the new one."""
    path = tmp_path / "store.db"
    serving, _ = ready_gateway(SQLiteSessionStore(path))
    beside, _ = ready_gateway(SQLiteSessionStore(path))
    async with serving, beside:
        administration = beside.administration
        assert administration is not None
        await administration.create_tenant(NewTenant(id="acme"), COMMAND_LINE)
        await serving.respond(TURN, ACME)
        await administration.erase("acme", COMMAND_LINE)
        await administration.create_tenant(NewTenant(id="acme"), COMMAND_LINE)

        response = await serving.respond(TURN, ACME)

        assert (await beside.retrieve(response["id"], ACME))["output"] == response["output"]
        (problem,) = await administration.verify_audit("acme", COMMAND_LINE)
        assert problem.startswith("Entries 1 to 1 are of an earlier tenant of this name")


async def test_a_dry_run_is_no_erasure_in_the_trail() -> None:
    """The administrators' trail tells who erased a tenant from who only looked what would go."""
    gateway, _ = ready_gateway(InMemorySessionStore())
    async with gateway:
        administration = gateway.administration
        assert administration is not None
        await gateway.respond(TURN, ACME)

        await administration.erase("acme", COMMAND_LINE, dry_run=True)
        await administration.erase("acme", COMMAND_LINE, end_user="bob", dry_run=True)

        records = (await administration.audit(SYSTEM, COMMAND_LINE)).records
        assert [record.entry.action for record in records] == ["tenant.read", "end_user.read"]


# What is told, and to whom.


async def test_no_replay_of_what_may_not_be_asked_for() -> None:
    """A caller that may ask for other models only is not given another caller's answer by its idempotency key."""
    gateway, _ = ready_gateway(InMemorySessionStore())
    options = TurnOptions(key=KeyedRequest("once", "POST /v1/responses", TURN))
    restricted = Principal(tenant=ACME.tenant, actor="restricted", models=frozenset({"another"}))
    async with gateway:
        first = await gateway.respond(TURN, ACME, options=options)

        with pytest.raises(IdempotencyKeyReused):
            await gateway.respond(TURN, restricted, options=options)

        assert (await gateway.respond(TURN, ACME, options=options))["id"] == first["id"]


async def test_where_keys_are_is_in_the_log_alone(tmp_path: Path) -> None:
    """A key file that is gone is named to the operator, and to no caller."""
    path = tmp_path / "store.db"
    gateway, _ = ready_gateway(SQLiteSessionStore(path))
    async with gateway:
        await gateway.respond(TURN, ACME)
    (tmp_path / "store.db.key").unlink()
    log = io.StringIO()

    answer = await listed(ready_gateway(SQLiteSessionStore(path), log=Log("info", stream=log))[0])

    assert (answer.status, answer.error["code"]) == (503, "keys_unavailable")
    assert str(tmp_path) not in answer.error["message"]
    assert "local:" not in answer.error["message"]
    assert str(path) in log.getvalue()


async def test_tenants_do_not_see_how_a_receiver_lets_us_in() -> None:
    """A delivery shows its receiver without the credentials in the receiver's URL."""
    receiver = Receiver(
        url="http://ops:pass-word@127.0.0.1:9/hook?token=to-ken",
        secret=bytes(32),
        events=frozenset({"response.completed"}),
    )
    policy = WebhookPolicy(receivers=(receiver,), post=HttpPost(user_agent="antiphon"))
    gateway, _ = ready_gateway(InMemorySessionStore(), webhooks=policy)
    async with gateway:
        await gateway.respond({**TURN, "background": True}, ACME)

        async with asyncio.timeout(10):
            while not (deliveries := (await gateway.library.list_deliveries(CursorPage(), ACME)).data):
                await asyncio.sleep(0.01)

        assert [delivery["url"] for delivery in deliveries] == ["http://127.0.0.1:9/hook"]
