"""Background responses: queued, polled, followed, cancelled, deleted, limited."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.conftest import Client, parse, serving
from tests.support.scripted_upstream import (
    MODEL,
    Drop,
    ScriptedUpstream,
    Wait,
    chunk,
    delta,
    finish,
    http_json,
    http_stream_head,
)

from antiphon import Gateway, InMemorySessionStore, SQLiteSessionStore, upstream
from antiphon.engine.plan import BackgroundPolicy
from antiphon.engine.turn import TurnPolicy

_END = chunk(finish()) + b"0\r\n\r\n"


async def eventually(client: Client, response_id: str, *statuses: str) -> Any:
    """The response, once it has one of these statuses."""
    for _ in range(3000):
        code, body = await client.call("GET", f"/v1/responses/{response_id}")
        if code == 200 and body["status"] in statuses:
            return body
        await asyncio.sleep(0.005)
    raise AssertionError(body)


def paused(client: Client, *words: str) -> Wait:
    """Let the next turn say *words*, then wait for the test, then end."""
    wait = Wait(asyncio.Event())
    client.upstream.then(http_stream_head(), *[chunk(delta(content=word)) for word in words], wait, _END)
    return wait


async def test_a_background_response_is_answered_as_queued_and_completes(client: Client) -> None:
    """The answer comes at once, with status queued and nothing in it; polling ends with the whole response."""
    queued = await client.respond("hi", background=True)
    assert queued["status"] == "queued"
    assert queued["background"] is True
    assert (queued["output"], queued["usage"], queued["completed_at"]) == ([], None, None)
    assert queued["service_tier"] == "auto"
    assert "billing" not in queued
    done = await eventually(client, queued["id"], "completed")
    assert done["output"][0]["content"][0]["text"] == "Hello there."
    assert done["usage"]["total_tokens"] == 10
    assert done["background"] is True
    more = await client.respond("more", previous_response_id=queued["id"])
    assert more["status"] == "completed"
    assert [message["content"] for message in client.upstream.last_messages] == ["hi", "Hello there.", "more"]


async def test_a_background_stream_begins_with_queued_and_has_no_padding(client: Client) -> None:
    """Created (queued), queued, in_progress, then the answer; no event carries obfuscation."""
    events = await client.stream("hi", background=True)
    assert [event["type"] for event in events][:4] == [
        "response.created",
        "response.queued",
        "response.in_progress",
        "response.output_item.added",
    ]
    assert [event["response"]["status"] for event in events[:3]] == ["queued", "queued", "in_progress"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert not any("obfuscation" in event for event in events)
    assert events[-1]["type"] == "response.completed"
    assert await client.call("GET", f"/v1/responses/{events[-1]['response']['id']}") == (200, events[-1]["response"])


async def test_polling_shows_what_has_been_produced_so_far(client: Client) -> None:
    """A running background response is in_progress, with its partial output and no usage."""
    wait = paused(client, "Half", " way")
    queued = await client.respond("hi", background=True)
    await wait.reached.wait()
    for _ in range(2000):
        _, now = await client.call("GET", f"/v1/responses/{queued['id']}")
        if now["output"] and now["output"][0]["content"][0]["text"] == "Half way":
            break
        await asyncio.sleep(0.005)
    assert now["status"] == "in_progress"
    assert now["output"][0]["status"] == "in_progress"
    assert now["output"][0]["content"][0]["text"] == "Half way"
    assert now["usage"] is None
    wait.event.set()
    await eventually(client, queued["id"], "completed")


async def test_who_leaves_a_background_stream_does_not_stop_it(client: Client) -> None:
    """The turn goes on and is stored whole."""
    wait = paused(client, "On")
    request = {"model": MODEL, "input": "hi", "background": True, "stream": True}
    answer = await client.http.post(client.base_url + "/v1/responses", json=request)
    raw = b""
    while b"response.output_text.delta" not in raw:
        raw += await answer.content.readany()
    answer.close()
    wait.event.set()
    done = await eventually(client, parse(raw)[0]["response"]["id"], "completed")
    assert done["output"][0]["content"][0]["text"] == "On"


async def test_cancelling_keeps_what_was_produced_and_stops_the_upstream(client: Client) -> None:
    """The answer is the cancelled response; cancelling again answers the same; its stream ends with response.failed."""
    wait = paused(client, "Half")
    queued = await client.respond("hi", background=True)
    await wait.reached.wait()
    follower = asyncio.create_task(_followed(client, queued["id"]))
    for _ in range(2000):
        _, now = await client.call("GET", f"/v1/responses/{queued['id']}")
        if now["output"] and now["output"][0]["content"]:
            break
        await asyncio.sleep(0.005)
    status, cancelled = await client.call("POST", f"/v1/responses/{queued['id']}/cancel")
    assert status == 200
    assert cancelled["status"] == "cancelled"
    assert cancelled["completed_at"] is None
    assert cancelled["output"][0]["content"][0]["text"] == "Half"
    assert await client.call("POST", f"/v1/responses/{queued['id']}/cancel") == (200, cancelled)
    assert await client.call("GET", f"/v1/responses/{queued['id']}") == (200, cancelled)
    await asyncio.wait_for(client.upstream.disconnected.wait(), 10)
    last = (await follower)[-1]
    assert (last["type"], last["response"]["status"]) == ("response.failed", "cancelled")


async def _followed(client: Client, response_id: str, **query: str) -> list[Any]:
    path = f"{client.base_url}/v1/responses/{response_id}"
    async with client.http.get(path, params={"stream": "true", **query}) as answer:
        raw = await answer.read()
        assert answer.status == 200, raw
    return parse(raw)


async def test_what_cannot_be_cancelled_says_why(client: Client) -> None:
    """Unknown, foreground, completed, failed and incomplete responses each have the API's own answer."""

    async def refused(response_id: str) -> tuple[int, str]:
        status, body = await client.call("POST", f"/v1/responses/{response_id}/cancel")
        return status, body["error"]["message"]

    foreground = await client.respond("hi")
    assert await refused(foreground["id"]) == (400, "Cannot cancel a synchronous response.")
    assert await refused("resp_nobody") == (404, "Response with id 'resp_nobody' not found.")
    completed = await client.respond("hi", background=True)
    await eventually(client, completed["id"], "completed")
    assert await refused(completed["id"]) == (400, "Cannot cancel a completed response.")
    client.upstream.then(http_stream_head(), chunk(delta(content="x")), Drop())
    failed = await client.respond("hi", background=True)
    await eventually(client, failed["id"], "failed")
    assert await refused(failed["id"]) == (400, "Cannot cancel a failed response.")
    client.upstream.then(http_stream_head(), chunk(delta(content="x")), chunk(finish("length")) + b"0\r\n\r\n")
    incomplete = await client.respond("hi", background=True)
    await eventually(client, incomplete["id"], "incomplete")
    assert await refused(incomplete["id"]) == (400, "Cannot cancel a response in terminal state.")


async def test_a_running_foreground_response_cannot_be_cancelled_by_its_id(client: Client) -> None:
    """It is cancelled by hanging up."""
    wait = paused(client, "Half")
    request = {"model": MODEL, "input": "hi", "stream": True}
    async with client.http.post(client.base_url + "/v1/responses", json=request) as answer:
        raw = b""
        while b"response.output_text.delta" not in raw:
            raw += await answer.content.readany()
        response_id = parse(raw)[0]["response"]["id"]
        status, body = await client.call("POST", f"/v1/responses/{response_id}/cancel")
        assert (status, body["error"]["message"]) == (400, "Cannot cancel a synchronous response.")
        wait.event.set()
        await answer.read()


async def test_a_running_background_response_cannot_be_deleted(client: Client) -> None:
    """400 while it is in flight; afterwards it goes like any other."""
    wait = paused(client, "x")
    queued = await client.respond("hi", background=True)
    await wait.reached.wait()
    status, body = await client.call("DELETE", f"/v1/responses/{queued['id']}")
    assert (status, body["error"]["message"]) == (400, "Cannot delete an in-flight response.")
    wait.event.set()
    await eventually(client, queued["id"], "completed")
    assert (await client.call("DELETE", f"/v1/responses/{queued['id']}"))[0] == 200
    assert (await client.call("GET", f"/v1/responses/{queued['id']}"))[0] == 404


async def test_a_running_background_response_cannot_be_continued(client: Client) -> None:
    """400 that names its status."""
    wait = paused(client, "x")
    queued = await client.respond("hi", background=True)
    await wait.reached.wait()
    status, body = await client.call(
        "POST", "/v1/responses", {"model": MODEL, "input": "x", "previous_response_id": queued["id"]}
    )
    assert status == 400
    assert "'in_progress'" in body["error"]["message"]
    wait.event.set()
    await eventually(client, queued["id"], "completed")


async def test_an_upstream_that_refuses_makes_a_failed_background_response(client: Client) -> None:
    """The request was accepted, so the refusal is the response's, not the request's."""
    client.upstream.then(http_json({"error": {"message": "bad thing", "type": "x"}}, status=400))
    queued = await client.respond("hi", background=True)
    failed = await eventually(client, queued["id"], "failed")
    assert "bad thing" in failed["error"]["message"]
    assert failed["output"] == []


async def test_background_in_a_conversation_holds_it_and_adds_to_it_at_the_end(client: Client) -> None:
    """Locked from the moment it is queued; its items stand there once it has completed."""
    _, conversation = await client.call("POST", "/v1/conversations", {})
    wait = paused(client, "Yes")
    queued = await client.respond("hi", background=True, conversation=conversation["id"])
    assert queued["conversation"] == {"id": conversation["id"]}
    await wait.reached.wait()
    turn = {"model": MODEL, "input": "me too", "conversation": conversation["id"]}
    status, body, headers = await client.full("POST", "/v1/responses", turn)
    assert (status, body["error"]["code"]) == (400, "conversation_locked")
    assert headers["x-should-retry"] == "true"
    assert int(headers["retry-after-ms"]) > 0
    _, items = await client.call("GET", f"/v1/conversations/{conversation['id']}/items?order=asc")
    assert items["data"] == []
    wait.event.set()
    await eventually(client, queued["id"], "completed")
    _, items = await client.call("GET", f"/v1/conversations/{conversation['id']}/items?order=asc")
    assert [item["role"] for item in items["data"]] == ["user", "assistant"]
    assert (await client.respond("next", conversation=conversation["id"]))["status"] == "completed"


async def test_a_turn_waits_for_a_conversation_if_its_header_says_so(client: Client) -> None:
    """Within the bound it runs after the other; beyond it, it is refused as locked."""
    _, conversation = await client.call("POST", "/v1/conversations", {})
    wait = paused(client, "One")
    first = await client.respond("hi", background=True, conversation=conversation["id"])
    await wait.reached.wait()
    turn = {"model": MODEL, "input": "two", "conversation": conversation["id"]}
    status, body = await client.call("POST", "/v1/responses", turn, **{"x-antiphon-conversation-wait-ms": "50"})
    assert (status, body["error"]["code"]) == (400, "conversation_locked")
    waiting = asyncio.create_task(
        client.call("POST", "/v1/responses", turn, **{"x-antiphon-conversation-wait-ms": "30000"})
    )
    await asyncio.sleep(0)
    wait.event.set()
    status, body = await waiting
    assert (status, body["status"]) == (200, "completed")
    assert [message["content"] for message in client.upstream.last_messages] == ["hi", "One", "two"]
    await eventually(client, first["id"], "completed")
    status, body = await client.call("POST", "/v1/responses", turn, **{"x-antiphon-conversation-wait-ms": "soon"})
    assert (status, body["error"]["param"]) == (400, "x-antiphon-conversation-wait-ms")


async def test_a_background_response_that_is_not_stored_is_kept_for_those_who_poll_it(client: Client) -> None:
    """It can be polled and followed, nothing can stand on it, and it adds nothing to its conversation."""
    _, conversation = await client.call("POST", "/v1/conversations", {})
    queued = await client.respond("hi", background=True, store=False, conversation=conversation["id"])
    assert queued["store"] is False
    done = await eventually(client, queued["id"], "completed")
    assert done["store"] is False
    assert (await _followed(client, queued["id"]))[-1]["response"] == done
    status, body = await client.call(
        "POST", "/v1/responses", {"model": MODEL, "input": "x", "previous_response_id": queued["id"]}
    )
    assert (status, body["error"]["code"]) == (400, "previous_response_not_found")
    _, items = await client.call("GET", f"/v1/conversations/{conversation['id']}/items")
    assert items["data"] == []


async def test_what_waits_outlives_any_number_of_clean_restarts(scripted: ScriptedUpstream, tmp_path: Path) -> None:
    """A turn that never began has not failed; it is carried out by whoever has room for it at last."""
    store = tmp_path / "antiphon.db"
    policy = BackgroundPolicy(max_running=1)
    turns = TurnPolicy(lease_ttl_s=1.0)
    never = Wait(asyncio.Event())
    response: Any = None
    for attempt in range(5):
        scripted.then(never)
        gateway = Gateway([upstream(scripted.url)], background=policy, policy=turns)
        gateway = gateway.with_session_store(SQLiteSessionStore(store))
        async with serving(gateway, scripted, drain_timeout_s=0.0) as client:
            if attempt == 0:
                await client.respond("stuck", background=True)
                response = await client.respond("waits", background=True)
            await never.reached.wait()
            never.reached.clear()
        scripted.scripts.clear()
    gateway = Gateway([upstream(scripted.url)], policy=turns).with_session_store(SQLiteSessionStore(store))
    async with serving(gateway, scripted) as client:
        assert (await eventually(client, response["id"], "completed"))["status"] == "completed"


async def test_nothing_refers_to_what_will_be_gone(client: Client) -> None:
    """An item of a background response that is not stored is 404 as a reference, although it can still be polled."""
    queued = await client.respond("hi", background=True, store=False)
    done = await eventually(client, queued["id"], "completed")
    reference = {"type": "item_reference", "id": done["output"][0]["id"]}
    status, body = await client.call("POST", "/v1/responses", {"model": MODEL, "input": [reference]})
    assert (status, body["error"]["param"]) == (404, "input")


@pytest.fixture
async def narrow(scripted: ScriptedUpstream) -> Any:
    """A gateway that carries out one background turn at a time and lets two wait."""
    policy = BackgroundPolicy(max_running=1, max_queued=2, max_queued_per_tenant=2)
    gateway = Gateway([upstream(scripted.url)], background=policy).with_session_store(InMemorySessionStore())
    async with serving(gateway, scripted) as client:
        yield client


async def test_a_full_queue_is_refused_with_429(narrow: Client) -> None:
    """The refusal says when to come again; what waits is carried out in order, and a waiting one can be cancelled."""
    waits = [paused(narrow, str(number)) for number in range(2)]
    running, first, second = [await narrow.respond(str(number), background=True) for number in range(3)]
    await waits[0].reached.wait()
    status, body, headers = await narrow.full(
        "POST", "/v1/responses", {"model": MODEL, "input": "x", "background": True}
    )
    assert (status, body["error"]["code"]) == (429, "rate_limit_exceeded")
    assert int(headers["retry-after"]) > 0
    assert (await narrow.call("GET", f"/v1/responses/{first['id']}"))[1]["status"] == "queued"
    status, cancelled = await narrow.call("POST", f"/v1/responses/{second['id']}/cancel")
    assert (status, cancelled["status"], cancelled["output"]) == (200, "cancelled", [])
    for wait in waits:
        wait.event.set()
    for response in (running, first):
        await eventually(narrow, response["id"], "completed")
    assert [turn.body["messages"][0]["content"] for turn in narrow.upstream.turns] == ["0", "1"]
