"""The audit trail of a gateway: what each operation leaves in it, and what nobody can take out of it."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.gateway.conftest import Client, serving
from tests.gateway.socket_client import connected
from tests.gateway.test_background import eventually
from tests.support.scripted_upstream import MODEL, Drop, ScriptedUpstream, chunk, delta, http_json, http_stream_head

from antiphon import Gateway, InMemorySessionStore, SQLiteSessionStore, upstream
from antiphon.engine.plan import BackgroundPolicy
from antiphon.engine.turn import TurnPolicy
from antiphon.hub.errors import AntiphonError
from antiphon.hub.ids import TenantId
from antiphon.hub.principal import Principal

TENANT = TenantId("default")
UNKNOWN_RESPONSE = "resp_" + "0" * 50
UNKNOWN_CONVERSATION = "conv_" + "0" * 50
ANN = Principal(tenant=TenantId("acme"), actor="ann")
BEN = Principal(tenant=TenantId("acme"), actor="ben")
EVE = Principal(tenant=TenantId("other"), actor="eve")


async def entries(client: Client, query: str = "") -> list[Any]:
    """The trail as it was before this question."""
    status, page = await client.call("GET", f"/v1/audit?limit=1000{query}")
    assert status == 200, page
    return [entry for entry in page["data"] if entry["action"] != "audit.read"]


async def told(client: Client) -> list[str]:
    """Each entry as ``action object outcome``."""
    return [told_of(entry) for entry in await entries(client)]


def told_of(entry: Any) -> str:
    return " ".join(part for part in (entry["action"], entry["object_id"], entry["outcome"]) if part)


async def own(gateway: Gateway, principal: Principal) -> list[str]:
    """The trail of a principal's tenant, each entry as ``actor action outcome``."""
    page = await gateway.trail.read(principal.tenant, limit=1000)
    return [f"{each.entry.actor} {each.entry.action} {each.entry.outcome}" for each in page.records]


# Turns.


async def test_a_turn_leaves_one_entry_with_who_what_when_and_in_which_request(client: Client) -> None:
    """The response's id, the caller, the request's id as the answer's header has it, and how it went."""
    _, response, headers = await client.full("POST", "/v1/responses", {"model": MODEL, "input": "hi"})
    (entry,) = await entries(client)
    assert entry == {
        "object": "audit_entry",
        "index": 1,
        "at_ms": entry["at_ms"],
        "actor": "local",
        "action": "response.create",
        "object_id": response["id"],
        "outcome": "ok",
        "request_id": headers["x-request-id"],
        "link": entry["link"],
    }
    assert len(bytes.fromhex(entry["link"])) == 32
    assert abs(entry["at_ms"] / 1000 - response["created_at"]) < 60


async def test_a_turn_that_stands_on_something_is_a_continuation(client: Client) -> None:
    """After a response, and in a conversation; each turn has an entry under its own id."""
    first = await client.respond("one")
    second = await client.respond("two", previous_response_id=first["id"])
    _, conversation = await client.call("POST", "/v1/conversations", {})
    third = await client.respond("three", conversation=conversation["id"])
    assert await told(client) == [
        f"response.create {first['id']} ok",
        f"response.continue {second['id']} ok",
        f"conversation.create {conversation['id']} ok",
        f"response.continue {third['id']} ok",
    ]


async def test_streams_and_turns_that_are_not_stored_are_in_the_trail(client: Client) -> None:
    """However a turn is answered and whether or not it is kept, somebody asked the model."""
    streamed = (await client.stream("hi"))[-1]["response"]
    unstored = await client.respond("hi", store=False)
    assert await told(client) == [f"response.create {streamed['id']} ok", f"response.create {unstored['id']} ok"]


async def test_a_turn_that_is_written_down_first_has_an_entry_for_its_end(client: Client) -> None:
    """Of a background turn, and of one with an idempotency key: when it was accepted, and when it was stored."""
    queued = await client.respond("hi", background=True)
    await eventually(client, queued["id"], "completed")
    keyed = await client.call("POST", "/v1/responses", {"model": MODEL, "input": "hi"}, **{"idempotency-key": "k"})
    again = await client.call("POST", "/v1/responses", {"model": MODEL, "input": "hi"}, **{"idempotency-key": "k"})
    assert keyed == again
    found = [line for line in await told(client) if not line.startswith("response.read")]
    assert found == [
        f"response.create {queued['id']} ok",
        f"response.end {queued['id']} ok",
        f"response.create {keyed[1]['id']} ok",
        f"response.end {keyed[1]['id']} ok",
        f"request.replay {keyed[1]['id']} ok",
    ]


async def test_each_turn_of_a_websocket_has_its_own_entry_and_request_id(client: Client) -> None:
    """A connection carries many requests: none goes under another's id."""
    async with connected(client) as ws:
        ids = []
        for text in ("one", "two"):
            await ws.create(text)
            ids.append((await ws.until_end())[-1]["response"]["id"])
        await ws.create("three", previous_response_id=UNKNOWN_RESPONSE)
        await ws.until_end()
    found = await entries(client)
    assert [told_of(entry) for entry in found] == [
        f"response.create {ids[0]} ok",
        f"response.create {ids[1]} ok",
        f"response.continue {UNKNOWN_RESPONSE} previous_response_not_found",
    ]
    assert len({entry["request_id"] for entry in found}) == 3


async def test_a_refused_turn_is_in_the_trail_with_its_reason(client: Client) -> None:
    """Which model, which parent and which conversation were asked for in vain; no upstream was asked."""
    for body in (
        {"model": "nobody-serves-this", "input": "hi"},
        {"model": MODEL, "input": "hi", "previous_response_id": UNKNOWN_RESPONSE},
        {"model": MODEL, "input": "hi", "conversation": {"id": UNKNOWN_CONVERSATION}},
        {"model": MODEL, "input": 7},
    ):
        status, _ = await client.call("POST", "/v1/responses", body)
        assert status >= 400
    assert await told(client) == [
        "response.create model_not_found",
        f"response.continue {UNKNOWN_RESPONSE} previous_response_not_found",
        f"response.continue {UNKNOWN_CONVERSATION} not_found",
        "response.create invalid_type",
    ]


async def test_a_turn_that_fails_says_with_which_error(client: Client) -> None:
    """Refused by the upstream before it opened, and broken off after that: the code is the outcome."""
    client.upstream.then(http_json({"error": {"message": "no", "type": "invalid_request_error"}}, status=400))
    status, _ = await client.call("POST", "/v1/responses", {"model": MODEL, "input": "hi"})
    assert status == 400
    client.upstream.then(http_stream_head(), chunk(delta(content="Hel")), Drop())
    failed = (await client.stream("hi"))[-1]["response"]
    assert failed["status"] == "failed"
    outcomes = {entry["object_id"]: entry["outcome"] for entry in await entries(client)}
    assert outcomes.pop(failed["id"]) == "upstream_broken"
    assert list(outcomes.values()) == ["upstream_refused"]


async def test_following_and_cancelling_are_in_the_trail(client: Client) -> None:
    """Who resumes a stream reads it; who cancels in vain is told so, and the trail as well."""
    response = await client.respond("hi")
    async with client.http.get(f"{client.base_url}/v1/responses/{response['id']}?stream=true") as answer:
        await answer.read()
    await client.call("POST", f"/v1/responses/{response['id']}/cancel")
    found = await told(client)
    assert f"response.follow {response['id']} ok" in found
    assert f"response.cancel {response['id']} invalid_request" in found
    assert f"response.cancel {response['id']} ok" not in found


# The library.


async def test_every_operation_of_the_library_is_in_the_trail(client: Client) -> None:
    """Each request of a long session has exactly one entry, but for a fork, which is one of both conversations."""
    _, made = await client.call("POST", "/v1/conversations", {"items": [{"role": "user", "content": "one"}]})
    conversation = made["id"]
    path = f"/v1/conversations/{conversation}"
    _, added = await client.call("POST", f"{path}/items", {"items": [{"role": "user", "content": "two"}]})
    item = added["data"][0]["id"]
    await client.call("POST", path, {"metadata": {"a": "b"}})
    await client.call("GET", path)
    await client.call("GET", f"{path}/items")
    await client.call("GET", f"{path}/items/{item}")
    _, fork = await client.call("POST", f"{path}/fork", {})
    await client.call("POST", f"{path}/rewind", {"to": added["data"][0]["id"]})
    await client.call("DELETE", f"{path}/items/{item}")
    await client.call("GET", "/v1/conversations")
    await client.call("GET", "/v1/responses")
    async with client.http.get(f"{client.base_url}{path}/export") as answer:
        await answer.read()
    await client.call("DELETE", path)
    _, prompt = await client.call("POST", "/v1/prompts", {"instructions": "Be kind."})
    await client.call("POST", f"/v1/prompts/{prompt['id']}", {"instructions": "Be brief."})
    await client.call("GET", f"/v1/prompts/{prompt['id']}")
    await client.call("GET", "/v1/prompts")
    await client.call("DELETE", f"/v1/prompts/{prompt['id']}")
    await client.call("GET", "/v1/webhook_deliveries")
    await client.call("POST", "/v1/responses/input_tokens", {"model": MODEL, "input": "hi"})
    expected = [
        f"conversation.create {conversation} ok",
        f"conversation.append {conversation} ok",
        f"conversation.update {conversation} ok",
        f"conversation.read {conversation} ok",
        f"items.read {conversation} ok",
        f"items.read {item} ok",
        f"conversation.fork {conversation} ok",
        f"conversation.create {fork['id']} ok",
        f"conversation.rewind {conversation} ok",
        f"conversation.remove {conversation} ok",
        "conversation.list ok",
        "response.list ok",
        f"conversation.export {conversation} ok",
        f"conversation.delete {conversation} ok",
        f"prompt.create {prompt['id']} ok",
        f"prompt.revise {prompt['id']} ok",
        f"prompt.read {prompt['id']} ok",
        "prompt.list ok",
        f"prompt.delete {prompt['id']} ok",
        "webhooks.read ok",
        "context.count ok",
    ]
    assert sorted(await told(client)) == sorted(expected)


@pytest.mark.parametrize(
    ("method", "path", "body", "action"),
    [
        ("GET", "/v1/responses/{}", None, "response.read"),
        ("GET", "/v1/responses/{}?stream=true", None, "response.read"),
        ("GET", "/v1/responses/{}/input_items", None, "items.read"),
        ("POST", "/v1/responses/{}/cancel", None, "response.cancel"),
        ("DELETE", "/v1/responses/{}", None, "response.delete"),
        ("DELETE", "/v1/responses/{}?dry_run=true", None, "response.read"),
        ("GET", "/v1/conversations/{}", None, "conversation.read"),
        ("POST", "/v1/conversations/{}", {"metadata": {}}, "conversation.update"),
        ("DELETE", "/v1/conversations/{}", None, "conversation.delete"),
        ("GET", "/v1/conversations/{}/items", None, "items.read"),
        ("POST", "/v1/conversations/{}/items", {"items": [{"role": "user", "content": "x"}]}, "conversation.append"),
        ("DELETE", "/v1/conversations/{}/items/msg_1", None, "conversation.remove"),
        ("POST", "/v1/conversations/{}/fork", {}, "conversation.fork"),
        ("POST", "/v1/conversations/{}/rewind", {"to": "msg_1"}, "conversation.rewind"),
        ("GET", "/v1/conversations/{}/export", None, "conversation.export"),
        ("GET", "/v1/prompts/{}", None, "prompt.read"),
        ("POST", "/v1/prompts/{}", {"instructions": "x"}, "prompt.revise"),
        ("DELETE", "/v1/prompts/{}", None, "prompt.delete"),
    ],
)
async def test_an_unknown_id_is_one_entry_that_says_not_found(
    client: Client, method: str, path: str, body: Any, action: str
) -> None:
    """Whoever asks for what is not there, or not his, leaves that in his own trail; no entry says that it was done."""
    prefix = {"responses": "resp", "conversations": "conv", "prompts": "pmpt"}[path.split("/")[2]]
    unknown = f"{prefix}_{'0' * 50}"
    status, _ = await client.call(method, path.format(unknown), body)
    assert status == 404
    assert await told(client) == [f"{action} {unknown} not_found"]


async def test_another_tenants_id_leaves_its_trace_in_the_askers_trail_alone(client: Client) -> None:
    """What eve tries with ann's id is in eve's trail, and nothing of it in ann's."""
    gateway = client.gateway
    response = await gateway.respond({"model": MODEL, "input": "hi"}, ANN)
    for attempt in (gateway.retrieve, gateway.delete, gateway.cancel):
        with pytest.raises(AntiphonError):
            await attempt(response["id"], EVE)
    assert await own(gateway, ANN) == ["ann response.create ok"]
    assert await own(gateway, EVE) == [
        "eve response.read not_found",
        "eve response.delete not_found",
        "eve response.cancel not_found",
    ]


async def test_an_entry_of_a_change_that_failed_is_followed_by_the_reason(client: Client) -> None:
    """What is there and cannot be changed now: the attempt stays, and behind it stands why it came to nothing."""
    _, made = await client.call("POST", "/v1/conversations", {})
    path = f"/v1/conversations/{made['id']}"
    status, _ = await client.call("DELETE", f"{path}/items/msg_unknown")
    assert status == 404
    assert (await told(client))[1:] == [
        f"conversation.remove {made['id']} ok",
        f"conversation.remove {made['id']} not_found",
    ]


# Reading the trail.


async def test_the_trail_is_read_in_pages_and_by_what_was_done_to_whom(client: Client) -> None:
    """After an index, so many, of one object, of one actor; an actor that there is not has done nothing."""
    ids = [(await client.respond(f"{number}"))["id"] for number in range(5)]
    await client.call("GET", f"/v1/responses/{ids[2]}")
    status, page = await client.call("GET", "/v1/audit?after=1&limit=2")
    assert (status, page["object"], page["has_more"]) == (200, "list", True)
    assert [(entry["index"], entry["object_id"]) for entry in page["data"]] == [(2, ids[1]), (3, ids[2])]
    mine = await entries(client, f"&object_id={ids[2]}")
    assert [entry["action"] for entry in mine] == ["response.create", "response.read"]
    assert len(await entries(client, "&actor=local")) == 6
    assert await entries(client, "&actor=nobody") == []
    _, end = await client.call("GET", "/v1/audit?after=100000")
    assert end == {"object": "list", "data": [], "has_more": False}


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "after=-1", "after=x", "object_id=", "colour=red"])
async def test_a_wrong_question_to_the_trail_is_refused_by_name(client: Client, query: str) -> None:
    """What cannot be honoured is 400 and names the parameter."""
    status, body = await client.call("GET", f"/v1/audit?{query}")
    assert (status, body["error"]["param"]) == (400, query.partition("=")[0])


async def test_reading_the_trail_is_in_the_trail(client: Client) -> None:
    """Who looks at what others did is seen by the next one who looks."""
    await client.call("GET", "/v1/audit")
    _, page = await client.call("GET", "/v1/audit")
    assert [entry["action"] for entry in page["data"]] == ["audit.read"]


async def test_no_content_is_in_the_trail(client: Client) -> None:
    """Neither what people and models wrote nor what they are called: ids, actions and codes alone."""
    canary = "canary-7f3a"
    client.upstream.text = canary
    response = await client.respond(canary, metadata={canary: canary}, instructions=canary, safety_identifier=canary)
    await client.call("POST", "/v1/conversations", {"items": [{"role": "user", "content": canary}]})
    await client.call("POST", "/v1/prompts", {"name": canary, "instructions": canary})
    await client.call("GET", f"/v1/responses?metadata[{canary}]={canary}")
    await client.call("DELETE", f"/v1/end_users/{canary}?dry_run=true")
    await client.call("DELETE", f"/v1/end_users/{canary}")
    await client.call("POST", "/v1/responses", {"model": canary, "input": canary})
    found = await entries(client)
    assert len(found) == 7
    assert canary not in str(found)
    assert response["id"] in str(found)


# That it can be trusted.


async def test_a_busy_trail_is_sound(client: Client) -> None:
    """Whatever was written at once, by readers, turns and refusals, stands in one unbroken chain."""

    async def visit(number: int) -> None:
        response = await client.respond(f"{number}")
        await client.call("GET", f"/v1/responses/{response['id']}")
        await client.call("GET", f"/v1/responses/{UNKNOWN_RESPONSE}")
        await client.call("DELETE", f"/v1/responses/{response['id']}")

    await asyncio.gather(*map(visit, range(12)))
    found = await entries(client)
    assert len(found) == 48
    assert [entry["index"] for entry in found] == list(range(1, 49))
    assert await client.gateway.trail.verify(TENANT) == []


async def test_whoever_can_write_the_database_cannot_change_the_trail_unseen(
    scripted: ScriptedUpstream, tmp_path: Path
) -> None:
    """An entry that was altered in the file is found by the next verification, after a restart as well."""
    path = tmp_path / "antiphon.db"
    gateway = Gateway([upstream(scripted.url)]).with_session_store(SQLiteSessionStore(path))
    async with gateway:
        for _ in range(3):
            await gateway.respond({"model": MODEL, "input": "hi"}, ANN)
        assert await gateway.trail.verify(ANN.tenant) == []
    with closing(apsw.Connection(str(path))) as connection:
        # The table guards itself against bugs; that does not hold up who has the file.
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("UPDATE audit SET actor = 'mallory' WHERE tenant = 'acme' AND idx = 2")
        assert connection.changes() == 1
    again = Gateway([upstream(scripted.url)]).with_session_store(SQLiteSessionStore(path))
    async with again:
        assert await again.trail.verify(ANN.tenant) == ["Entry 2 was altered, or something before it was taken out."]
        assert await again.trail.verify(TenantId("other")) == []


async def test_what_was_read_is_written_down_at_the_latest_when_the_gateway_ends(
    scripted: ScriptedUpstream, tmp_path: Path
) -> None:
    """A shutdown right after a read loses no entry of it."""
    path = tmp_path / "antiphon.db"
    async with Gateway([upstream(scripted.url)]).with_session_store(SQLiteSessionStore(path)) as gateway:
        response = await gateway.respond({"model": MODEL, "input": "hi"}, ANN)
        await gateway.retrieve(response["id"], BEN)
    async with Gateway([upstream(scripted.url)]).with_session_store(SQLiteSessionStore(path)) as again:
        assert await own(again, ANN) == ["ann response.create ok", "ben response.read ok"]


async def test_a_turn_that_another_process_ends_is_still_its_callers(
    scripted: ScriptedUpstream, tmp_path: Path
) -> None:
    """A background turn that was left behind is ended on behalf of the one who began it."""
    store = InMemorySessionStore()
    waits = BackgroundPolicy(max_running=0)
    async with store_kept_open(store):
        first = Gateway([upstream(scripted.url)], background=waits, sealing="none").with_session_store(store)
        queued = await first.respond({"model": MODEL, "input": "hi", "background": True}, ANN)
        await first.shutdown(drain_timeout_s=0)
        policy = TurnPolicy(lease_ttl_s=0.2)
        second = Gateway([upstream(scripted.url)], policy=policy, sealing="none").with_session_store(store)
        async with second:
            await second.startup()
            async with asyncio.timeout(30):
                while (await second.retrieve(queued["id"], BEN))["status"] != "completed":
                    await asyncio.sleep(0.01)
            found = [line for line in await own(second, ANN) if "read" not in line]
            assert found == ["ann response.create ok", "ann response.end ok"]
            assert await second.trail.verify(ANN.tenant) == []


def store_kept_open(store: InMemorySessionStore) -> Any:
    """The store lives on when a gateway lets go of it."""

    class Kept:
        async def __aenter__(self) -> None:
            await store.open()

        async def __aexit__(self, *_: object) -> None:
            await store.close()

    return Kept()


async def test_what_the_sweeper_erases_is_in_its_tenants_trail(scripted: ScriptedUpstream, store: Any) -> None:
    """Each response that expired has an entry of the system's; a rehearsal erases nothing and leaves none."""
    now = [1_785_974_865.0]
    gateway = Gateway([upstream(scripted.url)], retention_days=1, clock=lambda: now[0]).with_session_store(store)
    async with gateway:
        mine = await gateway.respond({"model": MODEL, "input": "hi"}, ANN)
        await gateway.respond({"model": MODEL, "input": "hi"}, EVE)
        now[0] += 2 * 86_400
        due = await gateway.expired()
        assert due.count == 2
        assert due.erased[ANN.tenant].responses == (mine["id"],)
        assert (await gateway.expired()).count == 2
        assert gateway._sweeper is not None
        assert await gateway._sweeper.sweep() == 2
        assert await own(gateway, ANN) == ["ann response.create ok", "system response.expire ok"]
        assert await own(gateway, EVE) == ["eve response.create ok", "system response.expire ok"]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("writes", ["local response.create ok", "local response.delete ok"]), ("off", [])],
)
async def test_the_setting_says_how_much_is_written_down(
    scripted: ScriptedUpstream, store: Any, mode: Any, expected: list[str]
) -> None:
    """Changes alone, or nothing; the operations themselves are the same."""
    gateway = Gateway([upstream(scripted.url)], audit=mode).with_session_store(store)
    async with serving(gateway, scripted) as client:
        response = await client.respond("hi")
        await client.call("GET", f"/v1/responses/{response['id']}")
        await client.call("GET", f"/v1/responses/{UNKNOWN_RESPONSE}")
        await client.call("DELETE", f"/v1/responses/{response['id']}")
        assert [f"{each['actor']} {each['action']} {each['outcome']}" for each in await entries(client)] == expected
