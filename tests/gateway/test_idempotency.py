"""Idempotency-Key: a request that is sent again is answered again, not carried out again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.gateway.conftest import Client, parse
from tests.gateway.test_background import eventually, paused
from tests.gateway.test_resume import frames
from tests.support.scripted_upstream import MODEL, Drop, chunk, delta, http_json, http_stream_head

_KEY = {"idempotency-key": "key-1"}
_TURN = {"model": MODEL, "input": "hi"}


async def _post(client: Client, body: object, path: str = "/v1/responses", **headers: str) -> Any:
    return await client.full("POST", path, body, **{**_KEY, **headers})


async def test_the_same_key_and_body_replays_the_answer(client: Client) -> None:
    """One upstream call, one response, equal bodies; the second says that it is a replay."""
    status, first, headers = await _post(client, _TURN)
    assert (status, "idempotent-replayed" in headers) == (200, False)
    status, second, headers = await _post(client, {"input": "hi", "model": MODEL})
    assert (status, second, headers["idempotent-replayed"]) == (200, first, "true")
    assert len(client.upstream.turns) == 1


async def test_the_same_key_with_another_body_is_422(client: Client) -> None:
    """Nothing is carried out."""
    await _post(client, _TURN)
    status, body, _ = await _post(client, {**_TURN, "input": "something else"})
    assert (status, body["error"]["code"]) == (422, "idempotency_key_reused")
    assert len(client.upstream.turns) == 1


async def test_duplicates_in_parallel_share_one_turn(client: Client) -> None:
    """Ten at once: one upstream call, ten equal answers, one of them the original."""
    answers = await asyncio.gather(*(_post(client, _TURN) for _ in range(10)))
    assert {status for status, _, _ in answers} == {200}
    assert len({body["id"] for _, body, _ in answers}) == 1
    assert sorted("idempotent-replayed" in headers for _, _, headers in answers) == [False] + [True] * 9
    assert len(client.upstream.turns) == 1


async def test_duplicates_of_a_turn_in_a_conversation_do_not_meet_its_lock(client: Client) -> None:
    """They attach to it instead, and the conversation has it once."""
    _, conversation = await client.call("POST", "/v1/conversations", {})
    turn = {**_TURN, "conversation": conversation["id"]}
    answers = await asyncio.gather(*(_post(client, turn) for _ in range(5)))
    assert [status for status, _, _ in answers] == [200] * 5
    _, items = await client.call("GET", f"/v1/conversations/{conversation['id']}/items")
    assert len(items["data"]) == 2


async def test_a_duplicate_of_a_running_stream_attaches_to_it(client: Client) -> None:
    """It is given the same events from the first on, and then what comes."""
    wait = paused(client, "One")
    request = {**_TURN, "stream": True, "stream_options": {"include_obfuscation": False}}
    async with client.http.post(client.base_url + "/v1/responses", json=request, headers=_KEY) as first:
        raw = b""
        while b'"One"' not in raw:
            raw += await first.content.readany()
        async with client.http.post(client.base_url + "/v1/responses", json=request, headers=_KEY) as second:
            assert second.headers["idempotent-replayed"] == "true"
            wait.event.set()
            again = await second.read()
        raw += await first.read()
    assert frames(again) == frames(raw)
    async with client.http.post(client.base_url + "/v1/responses", json=request, headers=_KEY) as third:
        assert frames(await third.read()) == frames(raw)
    assert len(client.upstream.turns) == 1


async def test_a_client_that_hangs_up_finds_its_answer_with_the_key(client: Client) -> None:
    """A keyed turn goes on without its client."""
    wait = paused(client, "One")
    request = {**_TURN, "stream": True}
    answer = await client.http.post(client.base_url + "/v1/responses", json=request, headers=_KEY)
    await answer.content.readany()
    answer.close()
    wait.event.set()
    async with client.http.post(client.base_url + "/v1/responses", json=request, headers=_KEY) as second:
        events = parse(await second.read())
    assert events[-1]["response"]["status"] == "completed"
    assert len(client.upstream.turns) == 1


async def test_a_refused_request_leaves_its_key_free(client: Client) -> None:
    """A 400 of ours, and an upstream that refuses before it has answered: the next try is carried out."""
    status, _, _ = await _post(client, {**_TURN, "previous_response_id": "resp_x"})
    assert status == 400
    client.upstream.then(http_json({"error": {"message": "bad thing", "type": "x"}}, status=400))
    assert (await _post(client, _TURN))[0] == 400
    status, body, headers = await _post(client, _TURN)
    assert (status, body["status"], "idempotent-replayed" in headers) == (200, "completed", False)


async def test_a_failed_turn_is_replayed_as_it_failed(client: Client) -> None:
    """Its client was told how it ended, so it has ended."""
    client.upstream.then(http_stream_head(), chunk(delta(content="Half")), Drop())
    request = {**_TURN, "stream": True}
    raws = []
    for _ in range(2):
        async with client.http.post(client.base_url + "/v1/responses", json=request, headers=_KEY) as answer:
            raws.append(await answer.read())
    first, second = (parse(raw)[-1] for raw in raws)
    assert first == second
    assert first["type"] == "response.failed"
    assert len(client.upstream.turns) == 1


async def test_a_background_turn_is_begun_once(client: Client) -> None:
    """Every duplicate is given the response as it was queued."""
    request = {**_TURN, "background": True}
    _, first, _ = await _post(client, request)
    await eventually(client, first["id"], "completed")
    _, second, headers = await _post(client, request)
    assert second == first
    assert headers["idempotent-replayed"] == "true"
    assert len(client.upstream.turns) == 1


async def test_a_turn_that_is_not_stored_is_carried_out_once_and_not_replayed(client: Client) -> None:
    """While it runs a duplicate attaches; afterwards there is no answer to give, and the duplicate is told so."""
    wait = paused(client, "One")
    request = {**_TURN, "store": False, "stream": True}
    first = asyncio.create_task(_stream(client, request))
    await wait.reached.wait()
    second = asyncio.create_task(_stream(client, request))
    await asyncio.sleep(0)
    wait.event.set()
    assert parse((await first)[1])[-1]["response"] == parse((await second)[1])[-1]["response"]
    status, raw = await _stream(client, request)
    assert (status, b"idempotency_conflict" in raw) == (409, True)
    assert len(client.upstream.turns) == 1


async def _stream(client: Client, request: object) -> tuple[int, bytes]:
    async with client.http.post(client.base_url + "/v1/responses", json=request, headers=_KEY) as answer:
        return answer.status, await answer.read()


@pytest.mark.parametrize("key", ["", "x" * 256, "with space"])
async def test_a_malformed_key_is_refused(client: Client, key: str) -> None:
    """400 that names the header."""
    status, body, _ = await client.full("POST", "/v1/responses", _TURN, **{"idempotency-key": key})
    assert (status, body["error"]["param"]) == (400, "Idempotency-Key")


@pytest.mark.parametrize("path", ["/v1/conversations", "/v1/conversations/{}/items"])
async def test_what_else_is_created_is_created_once(client: Client, path: str) -> None:
    """Conversations and items likewise; the same key for another operation is another request."""
    _, conversation = await client.call("POST", "/v1/conversations", {})
    path = path.format(conversation["id"])
    body = {"items": [{"role": "user", "content": "hi"}]}
    answers = await asyncio.gather(*(_post(client, body, path) for _ in range(5)))
    assert {status for status, _, _ in answers} == {200}
    assert all(answer == answers[0][1] for _, answer, _ in answers)
    status, replayed, headers = await _post(client, body, path)
    assert (status, replayed, headers["idempotent-replayed"]) == (200, answers[0][1], "true")
    assert (await _post(client, {}, path))[0] in (400, 422)
    assert (await _post(client, _TURN))[0] == 422


_HI = {"items": [{"role": "user", "content": "a secret word"}], "metadata": {"k": "another one"}}


async def test_no_answer_outlives_what_was_created(client: Client) -> None:
    """What was created and then deleted is not told of any more; its key stays used."""
    _, conversation, _ = await _post(client, _HI, "/v1/conversations")
    items = f"/v1/conversations/{conversation['id']}/items"
    of_items = {"idempotency-key": "key-2"}
    _, added, _ = await _post(client, {"items": _HI["items"]}, items, **of_items)
    await client.call("DELETE", f"{items}/{added['data'][0]['id']}")
    status, body, _ = await _post(client, {"items": _HI["items"]}, items, **of_items)
    assert (status, body["error"]["code"]) == (409, "idempotency_conflict")
    await client.call("DELETE", f"/v1/conversations/{conversation['id']}")
    status, body, _ = await _post(client, _HI, "/v1/conversations")
    assert (status, body["error"]["code"]) == (409, "idempotency_conflict")


async def test_an_answer_tells_of_what_there_is_now(client: Client) -> None:
    """What was replaced since is not in it any more."""
    _, conversation, _ = await _post(client, _HI, "/v1/conversations")
    path = f"/v1/conversations/{conversation['id']}"
    await client.call("POST", path, {"metadata": {"k": "new"}})
    status, replayed, _ = await _post(client, _HI, "/v1/conversations")
    assert (status, replayed) == (200, {**conversation, "metadata": {"k": "new"}})


async def test_a_prompt_is_replayed_in_its_version(client: Client) -> None:
    """Later versions do not change the answer; deleting the prompt ends it."""
    body = {"instructions": "Say hi."}
    _, created, _ = await _post(client, body, "/v1/prompts")
    await client.call("POST", f"/v1/prompts/{created['id']}", {"instructions": "Say ho."})
    assert (await _post(client, body, "/v1/prompts"))[:2] == (200, created)
    await client.call("DELETE", f"/v1/prompts/{created['id']}")
    assert (await _post(client, body, "/v1/prompts"))[0] == 409


@pytest.mark.parametrize("by", ["previous_response_id", "item_reference"])
async def test_a_compaction_is_not_replayed_without_what_it_was_made_of(client: Client, by: str) -> None:
    """It is kept, as nothing else is stored of it, but given only while the response or item is there."""
    turn = await client.respond("hi")
    body: dict[str, Any] = {"model": MODEL}
    if by == "previous_response_id":
        body[by] = turn["id"]
    else:
        body["input"] = [{"type": by, "id": turn["output"][0]["id"]}]
    status, compacted, _ = await _post(client, body, "/v1/responses/compact")
    assert status == 200, compacted
    assert (await _post(client, body, "/v1/responses/compact"))[:2] == (200, compacted)
    await client.call("DELETE", f"/v1/responses/{turn['id']}")
    assert (await _post(client, body, "/v1/responses/compact"))[0] == 409
