"""A tenant that has used up its quota stores nothing more, and keeps everything else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.gateway.conftest import Client
from tests.support.scripted_upstream import MODEL

from antiphon.hub.errors import QuotaExceeded
from antiphon.hub.ids import TenantId
from antiphon.hub.library import ConversationDraft
from antiphon.hub.principal import Principal
from antiphon.sessions.directory import TenantRecord

TENANT = TenantId("default")
OTHER = Principal(tenant=TenantId("other"))


async def limit(client: Client, store: Any, max_stored_bytes: int | None) -> None:
    """Give the tenant a quota, and wait until the gateway has heard of it."""
    record = TenantRecord(id=TENANT, created_at=0, max_stored_bytes=max_stored_bytes)
    if not await store.create_tenant(record):
        assert await store.update_tenant(record)
    async with asyncio.timeout(20):
        while await is_full(client) is not (max_stored_bytes is not None):
            await asyncio.sleep(0.02)


async def is_full(client: Client) -> bool:
    try:
        await client.gateway._quota.refuse_full(TENANT)
    except QuotaExceeded:
        return True
    return False


BODIES: list[tuple[str, str, Any]] = [
    ("POST", "/v1/responses", {"model": MODEL, "input": "hi"}),
    ("POST", "/v1/responses", {"model": MODEL, "input": "hi", "stream": True}),
    ("POST", "/v1/responses", {"model": MODEL, "input": "hi", "background": True}),
    ("POST", "/v1/chat/completions", {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "store": True}),
    ("POST", f"/v1/chat/completions/chatcmpl-{'0' * 50}", {"metadata": {"a": "b"}}),
    ("POST", "/v1/conversations", {}),
    ("POST", "/v1/conversations/{}", {"metadata": {"a": "b"}}),
    ("POST", "/v1/conversations/{}/items", {"items": [{"role": "user", "content": "x"}]}),
    ("POST", "/v1/conversations/{}/fork", {}),
    ("POST", "/v1/prompts", {"instructions": "x"}),
]


@pytest.mark.parametrize(("method", "path", "body"), BODIES, ids=lambda value: value if isinstance(value, str) else "")
async def test_whatever_would_store_more_is_refused(
    client: Client, store: Any, method: str, path: str, body: Any
) -> None:
    """429, which names the limit and what helps; the upstream is not asked, and nothing is stored."""
    _, conversation = await client.call("POST", "/v1/conversations", {})
    asked = len(client.upstream.turns)
    await limit(client, store, 1)
    status, answer = await client.call(method, path.format(conversation["id"]), body)
    assert (status, answer["error"]["code"]) == (429, "insufficient_quota")
    assert answer["error"]["type"] == "insufficient_quota"
    assert "max_stored_bytes" in answer["error"]["message"]
    assert "Delete" in answer["error"]["message"]
    assert len(client.upstream.turns) == asked
    _, page = await client.call("GET", "/v1/responses")
    assert page["data"] == []


async def test_reading_deleting_and_turns_that_store_nothing_go_on(client: Client, store: Any) -> None:
    """A full tenant can look at what it has, continue it without storing, and make room."""
    response = await client.respond("hi")
    await limit(client, store, 1)
    assert (await client.call("GET", f"/v1/responses/{response['id']}"))[0] == 200
    unstored = await client.respond("more", previous_response_id=response["id"], store=False)
    assert unstored["status"] == "completed"
    assert (await client.call("DELETE", f"/v1/responses/{response['id']}"))[0] == 200


async def test_deleting_makes_room_and_another_tenants_quota_is_its_own(client: Client, store: Any) -> None:
    """What a tenant has stored is counted down when it goes; others never notice."""
    response = await client.respond("hi" * 1000)
    record = await store.read_tenant(TENANT)
    assert record.stored_bytes > 2000
    await limit(client, store, record.stored_bytes)
    await client.gateway.library.create_conversation(ConversationDraft(), OTHER)
    await client.call("DELETE", f"/v1/responses/{response['id']}")
    async with asyncio.timeout(20):
        while (await client.call("POST", "/v1/conversations", {}))[0] == 429:
            await asyncio.sleep(0.02)
    assert (await client.respond("hi"))["status"] == "completed"


async def test_a_quota_that_is_lifted_lets_turns_in_again(client: Client, store: Any) -> None:
    """Within a second of the change, and without a restart."""
    await client.respond("hi")
    await limit(client, store, 1)
    await limit(client, store, None)
    assert (await client.respond("hi"))["status"] == "completed"


async def test_a_refusal_for_the_quota_is_in_the_audit_trail(client: Client, store: Any) -> None:
    """The trail says who was refused and why."""
    await client.respond("hi")
    await limit(client, store, 1)
    await client.call("POST", "/v1/responses", {"model": MODEL, "input": "hi"})
    _, page = await client.call("GET", "/v1/audit")
    assert [entry["outcome"] for entry in page["data"]] == ["ok", "insufficient_quota"]
