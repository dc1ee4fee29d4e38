"""The administrators' API: who is let in, what it does, and what it never tells."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import orjson
import pytest
import uvicorn
from openapi_spec_validator import validate
from tests.gateway.conftest import Client, serving
from tests.support.listener import free_listener
from tests.support.scripted_upstream import MODEL, ScriptedUpstream

from antiphon import Gateway, upstream
from antiphon.crypto.codec import SealingCodec
from antiphon.crypto.verification import verify
from antiphon.engine.administration import COMMAND_LINE
from antiphon.engine.administration_requests import NewApiKey
from antiphon.hub.api_key import parse
from antiphon.server.admin import AdminEdge
from antiphon.server.routes import PUBLIC


class Admin:
    """An administrator with a key, or without one."""

    def __init__(self, edge: AdminEdge, base_url: str, http: aiohttp.ClientSession, gateway: Client) -> None:
        self.edge = edge
        self.base_url = base_url
        self.gateway = gateway
        self.key: str | None = None
        self._http = http

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """The status and JSON body of an answer."""
        status, raw, _ = await self.raw(method, path, body, **headers)
        return status, orjson.loads(raw)

    async def raw(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, bytes, dict[str, str]]:
        """The status, body and headers of an answer."""
        sent = {"content-type": "application/json", **headers}
        if self.key is not None:
            sent.setdefault("authorization", f"Bearer {self.key}")
        data = None if body is None else orjson.dumps(body)
        async with self._http.request(method, self.base_url + path, data=data, headers=sent) as answer:
            return answer.status, await answer.read(), {name.lower(): value for name, value in answer.headers.items()}

    async def done(self, method: str, path: str, body: object = None) -> Any:
        """The JSON body of an answer that has to be a success."""
        status, value = await self.call(method, f"/admin/v1{path}", body)
        assert status == 200, value
        return value

    async def turn(self, key: str, text: str = "hi", **fields: object) -> tuple[int, Any]:
        """A turn at the gateway with a key."""
        body = {"model": MODEL, "input": text, **fields}
        return await self.gateway.call("POST", "/v1/responses", body, authorization=f"Bearer {key}")


@contextlib.asynccontextmanager
async def administered(gateway: Client) -> AsyncIterator[Admin]:
    """The administrators' listener of a gateway, without a key in hand."""
    edge = gateway.gateway.admin_asgi()
    listener = free_listener()
    server = uvicorn.Server(uvicorn.Config(edge, log_level="warning", lifespan="off"))
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup([listener])
    try:
        async with aiohttp.ClientSession() as http:
            yield Admin(edge, f"http://127.0.0.1:{listener.getsockname()[1]}", http, gateway)
    finally:
        await server.shutdown([listener])


@pytest.fixture
async def admin(scripted: ScriptedUpstream, store: Any) -> AsyncIterator[Admin]:
    """An administrator with a key, beside a gateway that is served."""
    gateway = Gateway([upstream(scripted.url, name="scripted")]).with_session_store(store)
    async with serving(gateway, scripted) as client, administered(client) as admin:
        assert gateway.administration is not None
        minted = await gateway.administration.create_admin_key(NewApiKey(name="ops"), COMMAND_LINE)
        admin.key = minted.key.text
        yield admin


async def until(condition: Callable[[], Any]) -> None:
    """Wait for a condition that other processes, or caches, need a moment for."""
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.02)


async def test_nobody_comes_without_an_administrators_key(admin: Admin) -> None:
    """Each operation refuses no key, a tenant's key, and a wrong one, with the same words for all operations."""
    await admin.done("POST", "/tenants", {"id": "acme"})
    tenants = (await admin.done("POST", "/tenants/acme/keys"))["key"]
    assert admin.key is not None
    wrong = admin.key[:-1] + ("0" if admin.key[-1] != "0" else "1")
    admin.key = None

    for route in admin.edge.routes.routes:
        if route.scope == PUBLIC:
            continue
        path = route.path.replace("{tenant}", "acme").replace("{key_id}", tenants.split("-")[3])
        for credential in ({}, {"authorization": f"Bearer {tenants}"}, {"x-api-key": wrong}):
            status, body = await admin.call(route.method, path, **credential)
            assert status == 401, (route.path, credential)
            assert body["error"]["code"] == ("invalid_api_key" if credential else None)


async def test_an_administrators_key_opens_no_tenants_data(admin: Admin) -> None:
    """At the gateway itself an administrator's key is nobody's."""
    assert admin.key is not None

    status, body = await admin.turn(admin.key)

    assert (status, body["error"]["code"]) == (401, "invalid_api_key")


async def test_the_life_of_a_tenant(admin: Admin) -> None:
    """A tenant is created, configured, used with a key, suspended, let in again, and erased with a receipt."""
    created = await admin.done("POST", "/tenants", {"id": "acme", "max_stored_bytes": 10_000_000})
    key = (await admin.done("POST", "/tenants/acme/keys", {"name": "bot"}))["key"]
    status, turn = await admin.turn(key)
    assert status == 200

    configured = await admin.done("POST", "/tenants/acme", {"max_stored_bytes": None, "retention_days": 3})
    suspended = await admin.done("POST", "/tenants/acme/suspend")
    await until(lambda: answered(admin, key, 401))
    resumed = await admin.done("POST", "/tenants/acme/resume")
    await until(lambda: answered(admin, key, 200))
    shown = await admin.done("GET", "/tenants/acme")
    planned = await admin.done("DELETE", "/tenants/acme?dry_run=true")
    erased = await admin.done("DELETE", "/tenants/acme")

    assert (created["max_stored_bytes"], configured["max_stored_bytes"]) == (10_000_000, None)
    assert configured["retention_days"] == 3
    assert (suspended["state"], resumed["state"]) == ("suspended", "active")
    assert shown["stored_bytes"] > 0
    assert [version["state"] for version in shown["sealing_keys"]] == ["active"]
    assert [listed["name"] for listed in shown["api_keys"]] == ["bot"]
    assert turn["id"] in planned["responses"]
    assert sorted(planned["responses"]) == sorted(erased["responses"])
    assert (await admin.call("GET", "/admin/v1/tenants/acme"))[0] == 404
    assert (await admin.done("GET", "/tenants"))["data"] == []
    await until(lambda: answered(admin, key, 401))


async def test_a_name_that_is_used_again(admin: Admin) -> None:
    """A tenant of an erased one's name is a new one: its turns can be read again, and nothing of the old one can."""
    await admin.done("POST", "/tenants", {"id": "acme"})
    key = (await admin.done("POST", "/tenants/acme/keys"))["key"]
    _, old = await admin.turn(key)
    await admin.done("DELETE", "/tenants/acme")

    await admin.done("POST", "/tenants", {"id": "acme"})
    key = (await admin.done("POST", "/tenants/acme/keys"))["key"]
    _, new = await admin.turn(key, "and?")

    credential = {"authorization": f"Bearer {key}"}
    gateway = admin.gateway.gateway
    assert isinstance(gateway.codec, SealingCodec)
    assert gateway.store is not None
    assert await verify(gateway.store, gateway.codec) == []
    assert (await admin.gateway.call("GET", f"/v1/responses/{new['id']}", **credential))[0] == 200
    assert (await admin.gateway.call("GET", f"/v1/responses/{old['id']}", **credential))[0] == 404


async def answered(admin: Admin, key: str, status: int) -> bool:
    """Whether a turn with a key is answered like this by now."""
    return (await admin.turn(key))[0] == status


async def test_a_key_works_until_it_is_revoked(admin: Admin) -> None:
    """A key's text is told once; revoked, it is refused within a second; rotated, both work for the grace time."""
    await admin.done("POST", "/tenants", {"id": "acme"})
    first = await admin.done("POST", "/tenants/acme/keys", {"scopes": ["responses:write"]})
    listed = await admin.done("GET", "/tenants/acme/keys")

    rotated = await admin.done("POST", f"/keys/{first['id']}/rotate", {"grace_s": 3600})
    await until(lambda: answered(admin, rotated["key"], 200))
    both = [(await admin.turn(key))[0] for key in (first["key"], rotated["key"])]
    conflict, said = await admin.call("POST", f"/admin/v1/keys/{first['id']}/rotate")
    revoked = [await admin.done("POST", f"/keys/{first['id']}/revoke") for _ in range(2)]
    await until(lambda: answered(admin, rotated["key"], 401))

    assert parse(first["key"]) is not None
    assert listed["data"][0] == {name: value for name, value in first.items() if name != "key"}
    assert both == [200, 200]
    assert (conflict, said["error"]["code"]) == (409, "rotation_in_progress")
    assert revoked[0] == revoked[1]
    assert (await admin.turn(first["key"]))[0] == 401


async def test_a_lost_answer_of_a_rotation(admin: Admin) -> None:
    """Rotating again replaces the secret that nobody has seen, and the one in use goes on working."""
    await admin.done("POST", "/tenants", {"id": "acme"})
    used = await admin.done("POST", "/tenants/acme/keys")
    lost = await admin.done("POST", f"/keys/{used['id']}/rotate")

    seen = await admin.done("POST", f"/keys/{used['id']}/rotate", {"again": True})

    await until(lambda: answered(admin, seen["key"], 200))
    assert [(await admin.turn(key["key"]))[0] for key in (used, lost, seen)] == [200, 401, 200]


async def test_erasing_an_end_user(admin: Admin) -> None:
    """What was made for an end user is erased with a receipt; of an unknown one there is nothing to erase."""
    await admin.done("POST", "/tenants", {"id": "acme"})
    key = (await admin.done("POST", "/tenants/acme/keys"))["key"]
    _, of_ada = await admin.turn(key, "for ada", safety_identifier="ada")
    await admin.turn(key, "for bob", safety_identifier="bob")

    planned = await admin.done("POST", "/tenants/acme/erase?dry_run=true", {"end_user": "ada"})
    erased = await admin.done("POST", "/tenants/acme/erase", {"end_user": "ada"})
    nobody = await admin.done("POST", "/tenants/acme/erase", {"end_user": "nobody"})

    assert planned["responses"] == erased["responses"] == [of_ada["id"]]
    assert (planned["dry_run"], erased["dry_run"]) == (True, False)
    assert nobody["responses"] == []


async def test_everything_is_in_the_trail(admin: Admin) -> None:
    """What an administrator did, and what was refused, is in the administrators' trail with key and request."""
    _, _, headers = await admin.raw("POST", "/admin/v1/tenants", {"id": "acme"})
    await admin.call("POST", "/admin/v1/tenants", {"id": "acme"})
    await admin.call("POST", "/admin/v1/tenants/acne/suspend")

    entries = (await admin.done("GET", "/audit"))["data"]
    verdict = await admin.done("GET", "/audit/verify")

    assert admin.key is not None
    actor = admin.key.split("-")[3]
    about = [(entry["actor"], entry["action"], entry["object_id"], entry["outcome"]) for entry in entries[1:]]
    assert entries[0]["action"] == "key.create"
    assert (actor, "tenant.create", "acme", "ok") in about
    assert (actor, "tenant.create", "acme", "tenant_exists") in about
    assert (actor, "tenant.suspend", "acne", "not_found") in about
    assert entries[1]["request_id"] == headers["x-request-id"]
    assert verdict["sound"] is True


async def test_a_tenants_trail(admin: Admin) -> None:
    """An administrator reads and verifies a tenant's own trail, a page at a time."""
    await admin.done("POST", "/tenants", {"id": "acme"})
    key = (await admin.done("POST", "/tenants/acme/keys"))["key"]
    _, turn = await admin.turn(key)

    page = await admin.done("GET", "/tenants/acme/audit?limit=1")

    assert [(entry["actor"], entry["action"], entry["object_id"]) for entry in page["data"]] == [
        (key.split("-")[3], "response.create", turn["id"])
    ]
    assert (await admin.done("GET", "/tenants/acme/audit/verify"))["sound"] is True
    assert (await admin.call("GET", "/admin/v1/tenants/_system/audit"))[0] == 400
    assert (await admin.call("GET", "/admin/v1/tenants/No/audit"))[0] == 404


@pytest.mark.parametrize(
    ("asked", "body", "status", "expected"),
    [
        ("POST /tenants", {"id": "acme", "role": "admin"}, 400, "Unknown parameter: 'role'"),
        ("POST /tenants", {"id": "acme", "state": "active"}, 400, "Unknown parameter: 'state'"),
        ("POST /tenants", {}, 400, "Missing required parameter: 'id'"),
        ("POST /tenants", {"id": "_system"}, 400, "a tenant's name has"),
        ("POST /tenants", {"id": 1}, 400, "Invalid 'id'"),
        ("POST /tenants", {"id": "a", "max_stored_bytes": -1}, 400, "Invalid 'max_stored_bytes'"),
        ("POST /tenants", [], 400, "expected an object"),
        ("POST /tenants?x=1", {"id": "a"}, 400, "Unknown parameter: 'x'"),
        ("POST /tenants/none/keys", {"mac": "00"}, 400, "Unknown parameter: 'mac'"),
        ("POST /tenants/none/keys", {"tenant": "x"}, 400, "Unknown parameter: 'tenant'"),
        ("POST /tenants/none/keys", {"scopes": ["admin"]}, 404, "Tenant 'none' not found"),
        ("POST /tenants/none/keys", {"limits": {"rpm": 1}}, 400, "Unknown parameter: 'limits.rpm'"),
        ("POST /tenants/_system/keys", {}, 404, "Tenant '_system' not found"),
        ("DELETE /tenants/_system", None, 404, "Tenant '_system' not found"),
        ("DELETE /tenants/none?dry_run=perhaps", None, 400, "Invalid 'dry_run'"),
        ("DELETE /tenants/none?dry_run=true&dry_run=false", None, 400, "stands in the query twice"),
        ("GET /audit?limit=0", None, 400, "Invalid 'limit'"),
        ("GET /audit?befor=1", None, 400, "Unknown parameter: 'befor'"),
        ("POST /keys/nobodysKey00/rotate", {}, 404, "API key with id 'nobodysKey00' not found"),
        ("POST /keys/nobodysKey00/rotate", {"grace_s": 10**9}, 400, "Invalid 'grace_s'"),
        ("PUT /tenants", {}, 405, "Not allowed to PUT"),
        ("GET /nothing", None, 404, "Invalid URL"),
    ],
)
async def test_what_cannot_be_asked(admin: Admin, asked: str, body: object, status: int, expected: str) -> None:
    """What is unknown, out of range, or would give somebody more than they have is refused by its name."""
    method, _, path = asked.partition(" ")

    found, said = await admin.call(method, f"/admin/v1{path}", body)

    assert found == status
    assert expected in said["error"]["message"]


async def test_no_hash_is_ever_told(admin: Admin) -> None:
    """No answer has a key's hash or, but for the one that made it, its text."""
    await admin.done("POST", "/tenants", {"id": "acme"})
    made = await admin.done("POST", "/tenants/acme/keys")
    gateway = admin.gateway.gateway
    assert gateway.store is not None
    record = await gateway.store.read_api_key(made["id"])
    assert record is not None

    answers = [
        (await admin.raw("GET", f"/admin/v1{path}"))[1]
        for path in ("/keys", "/tenants/acme", "/tenants/acme/keys", "/audit")
    ]

    for answer in answers:
        assert record.mac.hex().encode() not in answer
        assert b"mac" not in answer
        assert made["key"].encode() not in answer


async def test_the_published_document(admin: Admin) -> None:
    """The listener publishes a valid document of its own operations, and answers what it says."""
    status, document = await admin.call("GET", "/openapi.json")
    page, _, headers = await admin.raw("GET", "/docs")

    validate(document)
    assert (status, page) == (200, 200)
    assert headers["content-type"].startswith("text/html")
    assert document["info"]["title"] == "Antiphon for administrators"
    assert all(path.startswith("/admin/v1/") for path in document["paths"] if path.count("/") > 1)
    assert "/v1/responses" not in document["paths"]
    assert "mac" not in document["components"]["schemas"]["ApiKey"]["properties"]


async def test_a_page_elsewhere_reaches_nothing(admin: Admin) -> None:
    """A foreign Host or Origin is refused before the key is looked at."""
    foreign_host = await admin.call("GET", "/admin/v1/tenants", host="evil.example")
    foreign_origin = await admin.call("GET", "/admin/v1/tenants", origin="https://evil.example")

    assert (foreign_host[0], foreign_origin[0]) == (403, 403)


async def test_the_sealing_key_is_rotated_in_the_background(admin: Admin) -> None:
    """A rotation is begun by the answer, goes on behind it, and asking again begins no other one."""
    await admin.done("POST", "/tenants", {"id": "acme"})
    key = (await admin.done("POST", "/tenants/acme/keys"))["key"]
    await admin.turn(key)

    answers = [await admin.done("POST", "/tenants/acme/rotate") for _ in range(2)]

    async def has_next() -> bool:
        return len((await admin.done("GET", "/tenants/acme"))["sealing_keys"]) == 2

    await until(has_next)
    shown = await admin.done("GET", "/tenants/acme")
    assert answers == [{"object": "key_rotation", "tenant": "acme", "status": "running"}] * 2
    assert [version["version"] for version in shown["sealing_keys"]] == [1, 2]
    assert (await admin.call("POST", "/admin/v1/tenants/none/rotate"))[0] == 404


async def test_the_first_key_ends_keyless_service(scripted: ScriptedUpstream, store: Any) -> None:
    """A gateway without keys serves everybody; from the first key on, within a second, nobody without one."""
    gateway = Gateway([upstream(scripted.url, name="scripted")]).with_session_store(store)
    async with serving(gateway, scripted) as client:
        before = await client.respond("hi")
        assert gateway.administration is not None
        await gateway.administration.create_admin_key(NewApiKey(), COMMAND_LINE)

        async def is_refused() -> bool:
            return (await client.call("GET", f"/v1/responses/{before['id']}"))[0] == 401

        await until(is_refused)
