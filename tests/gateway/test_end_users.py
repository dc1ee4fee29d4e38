"""End users: all that was made on behalf of one person is taken out, or erased, by his name."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import orjson
import pytest
from tests.gateway.conftest import Client
from tests.gateway.test_background import eventually, paused

from antiphon.hub.ids import TenantId
from antiphon.hub.principal import Principal

NAMES = ["ada", "ada@example.com", "Ada Lovelace/β?#%", "resp_1"]


async def export(client: Client, name: str) -> list[Any]:
    url = f"{client.base_url}/v1/end_users/{quote(name, safe='')}/export"
    async with client.http.get(url) as answer:
        raw = await answer.read()
        assert (answer.status, answer.headers["content-type"]) == (200, "application/jsonl"), raw
    return [orjson.loads(line) for line in raw.splitlines()]


async def erase(client: Client, name: str, query: str = "") -> Any:
    status, body = await client.call("DELETE", f"/v1/end_users/{quote(name, safe='')}{query}")
    assert status == 200, body
    return body


@pytest.mark.parametrize("name", NAMES)
async def test_an_end_users_export_has_his_turns_with_input_and_output(client: Client, name: str) -> None:
    """Whatever he is called: his responses, each with its own items, and nobody else's."""
    response = await client.respond("my secret", safety_identifier=name)
    await client.respond("another's", safety_identifier="bob")
    await client.respond("nobody's")
    head, line = await export(client, name)
    assert (head["object"], head["end_user"]) == ("end_user.export", name)
    assert line["id"] == response["id"]
    assert line["output"] == response["output"]
    assert [item["content"][0]["text"] for item in line["input"]] == ["my secret"]


async def test_the_older_field_names_the_same_person_and_the_newer_one_wins(client: Client) -> None:
    """``user`` counts where ``safety_identifier`` is not given."""
    older = await client.respond("one", user="ada")
    newer = await client.respond("two", safety_identifier="ada", user="bob")
    assert [line["id"] for line in (await export(client, "ada"))[1:]] == [older["id"], newer["id"]]
    assert len(await export(client, "bob")) == 1


async def test_an_export_has_the_conversations_in_which_he_spoke(client: Client) -> None:
    """As a conversation's own export has them: a line about it, then its items; background turns are there as well."""
    _, conversation = await client.call("POST", "/v1/conversations", {})
    await client.respond("hi", conversation=conversation["id"], safety_identifier="ada")
    queued = await client.respond("later", background=True, safety_identifier="ada")
    await eventually(client, queued["id"], "completed")
    lines = await export(client, "ada")
    (about,) = [line for line in lines if line.get("object") == "conversation.export"]
    assert about["id"] == conversation["id"]
    start = lines.index(about)
    assert [line["role"] for line in lines[start + 1 : start + 3]] == ["user", "assistant"]
    assert queued["id"] in [line.get("id") for line in lines]


async def test_nobody_is_told_whether_there_is_such_a_person(client: Client) -> None:
    """An unknown end user, and another tenant's, have the same empty export and the same empty receipt."""
    other = Principal(tenant=TenantId("other"), actor="eve")
    await client.gateway.respond({"model": "scripted-1", "input": "hi", "safety_identifier": "ada"}, other)
    (head,) = await export(client, "ada")
    (unknown,) = await export(client, "never was")
    assert {**head, "end_user": ""} == {**unknown, "end_user": ""}
    receipt = await erase(client, "ada")
    assert receipt == await erase(client, "never was")
    assert receipt["receipt"]["responses"] == []
    assert receipt["receipt"]["payload_bytes"] == 0
    lines = [line async for group in client.gateway.export_end_user("ada", other) for line in group]
    assert len(lines) == 2


async def test_erasing_an_end_user_erases_his_turns_his_conversations_and_what_stands_on_them(client: Client) -> None:
    """His responses, those that continued them, and the conversations that he spoke in; nothing of anybody else."""
    mine = await client.respond("mine", safety_identifier="ada")
    child = await client.respond("goes on", previous_response_id=mine["id"])
    _, conversation = await client.call("POST", "/v1/conversations", {})
    spoken = await client.respond("hi", conversation=conversation["id"], safety_identifier="ada")
    other = await client.respond("bob's", safety_identifier="bob")
    body = await erase(client, "ada")
    assert (body["object"], body["deleted"]) == ("end_user.deleted", True)
    assert sorted(body["receipt"]["responses"]) == sorted([mine["id"], child["id"], spoken["id"]])
    assert body["receipt"]["conversations"] == [conversation["id"]]
    assert body["receipt"]["keys_destroyed"] == 2
    for gone in (mine, child, spoken):
        assert (await client.call("GET", f"/v1/responses/{gone['id']}"))[0] == 404
    assert (await client.call("GET", f"/v1/conversations/{conversation['id']}"))[0] == 404
    assert (await client.call("GET", f"/v1/responses/{other['id']}"))[0] == 200
    assert len(await export(client, "ada")) == 1
    again = await erase(client, "ada")
    assert again["receipt"]["responses"] == []


async def test_a_rehearsal_erases_nothing_and_foretells_the_receipt(client: Client) -> None:
    """The dry run says what would go; the erasure then says the same and does it."""
    response = await client.respond("mine", safety_identifier="ada")
    foretold = await erase(client, "ada", "?dry_run=true")
    assert foretold["deleted"] is False
    assert foretold["receipt"]["responses"] == [response["id"]]
    assert (await client.call("GET", f"/v1/responses/{response['id']}"))[0] == 200
    assert await erase(client, "ada") == {**foretold, "deleted": True}


async def test_a_running_turn_in_his_conversation_holds_up_the_erasure(client: Client) -> None:
    """It is told so, and nothing was erased: the caller tries again."""
    _, conversation = await client.call("POST", "/v1/conversations", {})
    first = await client.respond("hi", conversation=conversation["id"], safety_identifier="ada")
    wait = paused(client, "Hel")
    queued = await client.respond("more", conversation=conversation["id"], background=True)
    await wait.reached.wait()
    status, body = await client.call("DELETE", "/v1/end_users/ada")
    assert (status, body["error"]["code"]) == (400, "conversation_locked")
    assert (await client.call("GET", f"/v1/responses/{first['id']}"))[0] == 200
    wait.event.set()
    await eventually(client, queued["id"], "completed")
    assert (await erase(client, "ada"))["receipt"]["conversations"] == [conversation["id"]]


async def test_a_name_stands_in_the_audit_trail_only_as_its_pseudonym(client: Client) -> None:
    """Whose data was taken out or erased can be told by who knows the name, and by nobody else."""
    await export(client, "ada")
    await erase(client, "ada")
    await erase(client, "bob")
    _, page = await client.call("GET", "/v1/audit")
    done = [(entry["action"], entry["object_id"]) for entry in page["data"]]
    assert [action for action, _ in done] == ["end_user.export", "end_user.erase", "end_user.erase"]
    ada, again, bob = [pseudonym for _, pseudonym in done]
    assert ada == again != bob
    assert len(ada) == 32


@pytest.mark.parametrize("path", ["/v1/end_users/ada?colour=red", "/v1/end_users/ada/export?colour=red"])
async def test_a_wrong_parameter_is_refused(client: Client, path: str) -> None:
    """What cannot be honoured is 400 and names the parameter."""
    method = "GET" if "export" in path else "DELETE"
    status, body = await client.call(method, path)
    assert (status, body["error"]["param"]) == (400, "colour")
