"""Advisories about what one customer could see, change or use of another one."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from antiphon.server.routes import PUBLIC
from tests.advisories.stage import Stage, served
from tests.support.asgi_client import Answer
from tests.support.scripted_upstream import MODEL, Wait, chunk, delta, finish, http_stream_head


def missing(known: str) -> str:
    """An id that nobody has, of the shape of one that somebody has."""
    return known[:-12] + ("0" * 12 if known[-12:] != "0" * 12 else "1" * 12)


def told(answer: Answer, *ids: str) -> tuple[int, bytes]:
    """What an answer tells, whichever id was asked for."""
    body = answer.body
    for each in ids:
        body = body.replace(each.encode(), b"ID")
    return answer.status, body


async def looks_missing(stage: Stage, method: str, path: str, known: str) -> None:
    """Whatever is at a path with an id of the victim, for the attacker it is what never existed."""
    foreign, absent = [
        await stage.call(method, path.format(each), key=stage.attacker) for each in (known, missing(known))
    ]
    assert foreign.status == 404, (path, foreign.body)
    assert told(foreign, known) == told(absent, missing(known))


@pytest.mark.parametrize("field", ["previous_response_id", "conversation"])
async def test_cve_2026_45349_a_chat_of_another_user_is_continued(stage: Stage, field: str) -> None:
    """
    CVE-2026-45349 (Open WebUI): whoever knew the id of a chat could continue it, and the model was told its history.

    A foreign response or conversation is what never existed, and no model is asked.
    """
    conversation = (await stage.call("POST", "/v1/conversations", {}, key=stage.victim)).json["id"]
    made = await stage.respond(stage.victim, "my secret is 4711", conversation=conversation)
    known = conversation if field == "conversation" else made["id"]
    asked = len(stage.upstream.turns)
    foreign = await stage.turn(stage.attacker, "what is my secret?", **{field: known})
    absent = await stage.turn(stage.attacker, "what is my secret?", **{field: missing(known)})
    assert foreign.status in (400, 404)
    assert told(foreign, known) == told(absent, missing(known))
    assert len(stage.upstream.turns) == asked


async def test_cve_2026_45671_a_file_of_another_user_is_deleted(stage: Stage) -> None:
    """
    CVE-2026-45671 (Open WebUI): one branch of the access check did not look at who asked, or at what was to be done.

    Deleting what is another tenant's is deleting what is not there, and it is still there.
    """
    response = (await stage.respond(stage.victim))["id"]
    conversation = (await stage.call("POST", "/v1/conversations", {}, key=stage.victim)).json["id"]
    for path, known in (("/v1/responses/{}", response), ("/v1/conversations/{}", conversation)):
        for query in ("", "?cascade=true", "?dry_run=true&receipt=true"):
            await looks_missing(stage, "DELETE", path + query, known)
        assert (await stage.call("GET", path.format(known), key=stage.victim)).status == 200


async def test_cve_2026_44571_a_message_is_changed_by_who_may_read_it(stage: Stage) -> None:
    """
    CVE-2026-44571 (Open WebUI): changing a message asked for the right to read it.

    A key that may read everything changes, continues and deletes nothing.
    """
    reader = await stage.key("victim", scopes=("responses:read", "conversations:read", "prompts:read"))
    conversation = (await stage.call("POST", "/v1/conversations", {}, key=stage.victim)).json["id"]
    made = await stage.respond(stage.victim, conversation=conversation)
    root = f"/v1/conversations/{conversation}"
    before = (await stage.call("GET", f"{root}/items", key=reader)).json
    item = before["data"][0]["id"]
    message = {"items": [{"type": "message", "role": "user", "content": "forged"}]}
    for method, path, body in (
        ("POST", root, {"metadata": {"a": "b"}}), ("POST", f"{root}/items", message),
        ("POST", f"{root}/rewind", {"to": None}), ("DELETE", f"{root}/items/{item}", None), ("DELETE", root, None),
        ("POST", f"/v1/responses/{made['id']}/cancel", None), ("DELETE", f"/v1/responses/{made['id']}", None),
        ("POST", "/v1/responses", {"model": MODEL, "input": "hi", "conversation": conversation}),
    ):  # fmt: skip
        assert (await stage.call(method, path, body, key=reader)).status == 403, (method, path)
    assert (await stage.call("GET", f"{root}/items", key=reader)).json == before


async def test_cve_2026_31950_a_running_stream_of_another_user_is_read(stage: Stage) -> None:
    """
    CVE-2026-31950 (LibreChat): whoever knew the id of a stream could follow it.

    A turn that runs can be followed and cancelled by its tenant alone.
    """
    rest = Wait(asyncio.Event())
    begin = delta(role="assistant", content=None) + delta(content="secret")
    stage.upstream.then(http_stream_head(), chunk(begin), rest, chunk(finish()), b"0\r\n\r\n")
    made = await stage.respond(stage.victim, background=True, stream=False)
    async with asyncio.timeout(20):
        await rest.reached.wait()
    for method, path in (
        ("GET", "/v1/responses/{}"), ("GET", "/v1/responses/{}?stream=true"),
        ("GET", "/v1/responses/{}?stream=true&starting_after=0"), ("POST", "/v1/responses/{}/cancel"),
    ):  # fmt: skip
        await looks_missing(stage, method, path, made["id"])
    rest.event.set()
    followed = await stage.call("GET", f"/v1/responses/{made['id']}?stream=true", key=stage.victim)
    assert b"response.completed" in followed.body


async def test_cve_2026_30886_content_is_fetched_with_the_victims_credential(stage: Stage) -> None:
    """
    CVE-2026-30886 (New API): content was handed out by a task's id, fetched with the upstream key of the task's owner.

    Nothing that is addressed by a foreign id makes the gateway ask an upstream.
    """
    made = await stage.respond(stage.victim)
    asked = len(stage.upstream.requests)
    for method, path in (
        ("GET", "/v1/responses/{}"), ("GET", "/v1/responses/{}/input_items"), ("POST", "/v1/responses/{}/cancel"),
    ):  # fmt: skip
        await looks_missing(stage, method, path, made["id"])
    compact = {"model": MODEL, "previous_response_id": made["id"]}
    for path in ("/v1/responses/compact", "/v1/responses/input_tokens"):
        assert (await stage.call("POST", path, compact, key=stage.attacker)).status in (400, 404)
    assert len(stage.upstream.requests) == asked


async def test_cve_2026_33484_one_download_route_needs_no_login(stage: Stage) -> None:
    """
    CVE-2026-33484 (Langflow): of all routes of files, the one that served images asked nobody who they were.

    Without a credential every operation of both listeners is 401, but for those that say that they are public.
    """
    admin = stage.application.admin
    assert admin is not None
    asked = 0
    for listener, is_admin in ((stage.application.asgi, False), (admin, True)):
        for route in listener.routes.routes:
            path = route.path.replace("{", "").replace("}", "")
            if route.scope != PUBLIC:
                assert (await stage.call(route.method, path, admin=is_admin)).status == 401, path
                asked += 1
    assert asked > 40


async def test_cve_2026_44557_a_list_shows_everybodys_names(stage: Stage) -> None:
    """
    CVE-2026-44557 (Open WebUI): a collection above all others was open to all, with the names of what everybody had.

    Every list has what is the caller's own, whatever it is filtered by.
    """
    conversation = (await stage.call("POST", "/v1/conversations", {"metadata": {"k": "v"}}, key=stage.victim)).json[
        "id"
    ]
    await stage.respond(stage.victim, metadata={"k": "v"}, conversation=conversation)
    listed = ["/v1/responses", "/v1/conversations", "/v1/prompts", "/v1/webhook_deliveries"]
    listed += ["/v1/responses?metadata[k]=v", "/v1/conversations?metadata[k]=v", f"/v1/responses?model={MODEL}"]
    for path in listed:
        assert (await stage.call("GET", path, key=stage.attacker)).json["data"] == [], path
    assert len((await stage.call("GET", "/v1/responses?metadata[k]=v", key=stage.victim)).json["data"]) == 1
    foreign, absent = [
        await stage.call("GET", f"/v1/responses?conversation={each}", key=stage.attacker)
        for each in (conversation, missing(conversation))
    ]
    assert told(foreign, conversation) == told(absent, missing(conversation))


async def test_litellm_39548_an_id_of_another_shape_skips_the_check(stage: Stage) -> None:
    """
    BerriAI/litellm#39548, #35536, #15757: who owned a response stood in its id; an id of another shape had no owner.

    Who owns what stands in the store: an upstream's own id, or one spelled differently, finds nothing.
    """
    made = (await stage.respond(stage.victim))["id"]
    asked = len(stage.upstream.requests)
    for each in (
        "chatcmpl-1",
        made.upper(),
        made.replace("_", "%5F%5F"),
        made[5:],
        f"{made}%00",
        f"%20{made}",
        "resp_",
    ):
        for method in ("GET", "DELETE"):
            answer = await stage.call(method, f"/v1/responses/{each}", key=stage.attacker)
            assert answer.status in (400, 404), (method, each, answer.body)
        assert (await stage.turn(stage.attacker, previous_response_id=each)).status in (400, 404), each
    assert len(stage.upstream.requests) == asked
    assert (await stage.call("GET", f"/v1/responses/{made}", key=stage.victim)).status == 200


async def test_litellm_38320_a_streamed_response_has_no_owner(stage: Stage) -> None:
    """
    BerriAI/litellm#38320: a streamed response had the upstream's id, and belonged to whoever read it first.

    The id in a stream is our own, it belongs to who asked from the first event on, and reading it changes no owner.
    """
    answer = await stage.turn(stage.victim, stream=True)
    assert b"chatcmpl" not in answer.body
    made = answer.body.partition(b'"id":"resp_')[2].partition(b'"')[0].decode()
    await looks_missing(stage, "GET", "/v1/responses/{}", f"resp_{made}")
    assert (await stage.call("GET", f"/v1/responses/resp_{made}", key=stage.victim)).status == 200
    await looks_missing(stage, "DELETE", "/v1/responses/{}", f"resp_{made}")


async def test_litellm_39559_the_websocket_does_not_check(stage: Stage) -> None:
    """
    BerriAI/litellm#39559: over a WebSocket, a turn could continue anybody's response.

    Over a WebSocket a foreign response is as unknown as over HTTP.
    """
    made = (await stage.respond(stage.victim))["id"]
    asked = len(stage.upstream.turns)
    said: list[Any] = []
    async with served(stage) as url, aiohttp.ClientSession() as http:
        headers = {"authorization": f"Bearer {stage.attacker}"}
        async with http.ws_connect(f"{url}/v1/responses", headers=headers) as socket:
            for each in (made, missing(made)):
                frame = {"type": "response.create", "model": MODEL, "input": "hi", "previous_response_id": each}
                await socket.send_json(frame)
                answer = await socket.receive_json(timeout=20)
                said.append(answer["error"] | {"message": answer["error"]["message"].replace(each, "ID")})
    assert said[0]["code"] == "previous_response_not_found"
    assert said[0] == said[1]
    assert len(stage.upstream.turns) == asked


async def test_cve_2026_45402_a_foreign_file_is_attached(stage: Stage) -> None:
    """
    CVE-2026-45402 (Open WebUI): somebody else's file could be attached to a folder of one's own, and read there.

    A reference to a foreign item is refused, in a turn and in a conversation, and nothing of it is told.
    """
    made = (await stage.respond(stage.victim, "my secret is 4711"))["id"]
    listed = await stage.call("GET", f"/v1/responses/{made}/input_items", key=stage.victim)
    item = listed.json["data"][0]["id"]
    conversation = (await stage.call("POST", "/v1/conversations", {}, key=stage.attacker)).json["id"]
    asked = len(stage.upstream.turns)
    for each in (item, missing(item)):
        reference = {"type": "item_reference", "id": each}
        assert (await stage.turn(stage.attacker, [reference])).status in (400, 404)
        body = {"items": [reference]}
        added = await stage.call("POST", f"/v1/conversations/{conversation}/items", body, key=stage.attacker)
        assert added.status in (400, 404)
    assert len(stage.upstream.turns) == asked


async def test_semantic_router_2134_one_users_answer_comes_from_the_cache_for_another(stage: Stage) -> None:
    """
    vllm-project/semantic-router#2134, diegosouzapw/OmniRoute#3740, maximhq/bifrost#5769: answers were cached for all.

    The same words, the same idempotency key, another tenant: the model is asked again, and both answers have owners.
    """
    body = {"model": MODEL, "input": "What is my account balance?"}
    ids = []
    for key in (stage.victim, stage.attacker):
        headers = [(b"idempotency-key", b"same-key")]
        answer = await stage.call("POST", "/v1/responses", body, key=key, headers=headers)
        assert answer.status == 200
        assert "idempotent-replayed" not in answer.headers
        ids.append(answer.json["id"])
    assert len(set(ids)) == len(stage.upstream.turns) == 2


async def test_vllm_16016_the_prefix_cache_is_shared_and_timed(stage: Stage) -> None:
    """
    vllm-project/vllm#16016: how fast a prompt is answered tells whether somebody else sent it; a salt keeps them apart.

    No caller chooses the salt of another one: the field is refused, and never sent on.
    """
    answer = await stage.turn(stage.attacker, cache_salt="the victim's")
    assert (answer.status, answer.error["param"]) == (400, "cache_salt")
    await stage.respond(stage.victim)
    assert "cache_salt" not in stage.upstream.turns[-1].body


async def test_cve_2025_48757_a_table_lacks_its_policy(stage: Stage, tmp_path: Path) -> None:
    """
    CVE-2025-48757 (Lovable): tables were open to everybody, because each needed a policy of its own that some lacked.

    A tenant is no policy here but the first column of every table's key; only the directory of keys is found by key.
    """
    await stage.respond(stage.victim)
    with sqlite3.connect(tmp_path / "antiphon.db") as file:
        tables = [name for (name,) in file.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        columns = {name: file.execute("SELECT name FROM pragma_table_info(?)", (name,)).fetchall() for name in tables}
        keyed = file.execute(
            "SELECT t.name, i.name, c.name FROM sqlite_schema t, pragma_index_list(t.name) i,"
            " pragma_index_info(i.name) c WHERE t.type = 'table' AND c.seqno = 0 AND i.[unique]"
        ).fetchall()
    file.close()
    assert len(tables) > 12
    assert [name for name in tables if columns[name][0][0] != "tenant"] == ["api_keys"]
    assert {table for table, _, first in keyed if first != "tenant"} <= {"api_keys"}
    assert {table for table, _, _ in keyed} >= {"items", "responses", "conversations", "prompts", "idempotency"}
