"""Conversations: kept lists of items that turns read and add to."""

from __future__ import annotations

import asyncio

from tests.gateway.conftest import Client
from tests.support.scripted_upstream import MODEL, Drop, Wait, http_json, http_stream_head, whole


async def _items(client: Client, conversation_id: str) -> list[str]:
    _, listed = await client.call("GET", f"/v1/conversations/{conversation_id}/items?order=asc&limit=100")
    return [item["content"][0]["text"] for item in listed["data"]]


async def test_a_conversation_is_created_read_changed_and_deleted(client: Client) -> None:
    """The four operations answer the documented objects; afterwards the id is unknown."""
    status, made = await client.call("POST", "/v1/conversations", {"metadata": {"topic": "a"}})
    assert status == 200
    assert made["object"] == "conversation"
    assert made["metadata"] == {"topic": "a"}
    path = f"/v1/conversations/{made['id']}"
    assert await client.call("GET", path) == (200, made)
    assert await client.call("POST", path, {"metadata": {"topic": "b"}}) == (200, {**made, "metadata": {"topic": "b"}})
    assert await client.call("DELETE", path) == (
        200,
        {"id": made["id"], "object": "conversation.deleted", "deleted": True},
    )
    for method in ("GET", "DELETE"):
        status, body = await client.call(method, path)
        assert (status, body["error"]["message"]) == (404, f"Conversation with id '{made['id']}' not found.")


async def test_an_empty_body_makes_an_empty_conversation(client: Client) -> None:
    """POST without a body is allowed."""
    status, made = await client.call("POST", "/v1/conversations")
    assert status == 200
    assert made["metadata"] == {}
    _, listed = await client.call("GET", f"/v1/conversations/{made['id']}/items")
    assert listed == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


async def test_turns_fill_a_conversation(client: Client) -> None:
    """Each turn sees all items before it and leaves its input and output, in that order."""
    _, made = await client.call("POST", "/v1/conversations", {"items": [{"role": "user", "content": "I like tea."}]})
    conversation_id = made["id"]
    first = await client.respond("What do I like?", conversation=conversation_id)
    assert first["conversation"] == {"id": conversation_id}
    assert first["previous_response_id"] is None
    await client.respond("Thanks.", conversation={"id": conversation_id})
    expected = ["I like tea.", "What do I like?", "Hello there.", "Thanks."]
    assert [message["content"] for message in client.upstream.last_messages] == expected
    assert await _items(client, conversation_id) == [*expected, "Hello there."]


async def test_items_are_paged(client: Client) -> None:
    """limit, order and after walk the whole list without gaps or repeats."""
    _, made = await client.call(
        "POST",
        "/v1/conversations",
        {"items": [{"role": "user", "content": str(number)} for number in range(7)]},
    )
    seen = []
    after = ""
    while True:
        _, page = await client.call("GET", f"/v1/conversations/{made['id']}/items?limit=3&order=asc{after}")
        seen += [item["content"][0]["text"] for item in page["data"]]
        if not page["has_more"]:
            break
        after = f"&after={page['last_id']}"
    assert seen == [str(number) for number in range(7)]


async def test_one_turn_at_a_time(client: Client) -> None:
    """A second turn meets conversation_locked and is told to retry; afterwards the conversation is free again."""
    _, made = await client.call("POST", "/v1/conversations", {})
    go_on = asyncio.Event()
    client.upstream.then(Wait(go_on), http_json(whole("slow")))
    slow = asyncio.ensure_future(client.respond("one", conversation=made["id"]))
    while not client.upstream.turns:
        await asyncio.sleep(0.005)
    status, body, headers = await client.full(
        "POST", "/v1/responses", {"model": MODEL, "input": "two", "conversation": made["id"]}
    )
    assert status == 400
    assert body["error"] == {
        "message": "Another process is currently operating on this conversation. Please retry in a few seconds.",
        "type": "invalid_request_error",
        "param": "conversation",
        "code": "conversation_locked",
    }
    assert headers["x-should-retry"] == "true"
    assert len(client.upstream.turns) == 1
    go_on.set()
    await slow
    await client.respond("two", conversation=made["id"])
    assert await _items(client, made["id"]) == ["one", "slow", "two", "Hello there."]


async def test_an_unstored_turn_reads_without_lock_and_adds_nothing(client: Client) -> None:
    """store: false in a conversation leaves it as it was."""
    _, made = await client.call("POST", "/v1/conversations", {"items": [{"role": "user", "content": "a"}]})
    await client.respond("b", conversation=made["id"], store=False)
    assert [message["content"] for message in client.upstream.last_messages] == ["a", "b"]
    assert await _items(client, made["id"]) == ["a"]


async def test_a_failed_turn_leaves_the_conversation_clean_and_free(client: Client) -> None:
    """Neither a refused nor a broken turn adds anything or holds the lock."""
    _, made = await client.call("POST", "/v1/conversations", {})
    client.upstream.then(http_json({"error": {"message": "no", "type": "x", "code": 400}}, status=400))
    status, _ = await client.call("POST", "/v1/responses", {"model": MODEL, "input": "one", "conversation": made["id"]})
    assert status == 400
    client.upstream.then(http_stream_head(), Drop())
    events = await client.stream("two", conversation=made["id"])
    assert events[-1]["type"] == "response.failed"
    assert await _items(client, made["id"]) == []
    await client.respond("three", conversation=made["id"])
    assert await _items(client, made["id"]) == ["three", "Hello there."]
    _, failed = await client.call("GET", f"/v1/responses/{events[-1]['response']['id']}")
    assert failed["status"] == "failed"
    assert failed["conversation"] == {"id": made["id"]}


async def test_continuing_a_conversations_response_does_not_append_to_it(client: Client) -> None:
    """previous_response_id of a response made inside a conversation forks from it."""
    _, made = await client.call("POST", "/v1/conversations", {})
    first = await client.respond("one", conversation=made["id"])
    await client.respond("two", conversation=made["id"])
    forked = await client.respond("aside", previous_response_id=first["id"])
    assert [message["content"] for message in client.upstream.last_messages] == ["one", "Hello there.", "aside"]
    assert "conversation" not in forked
    assert await _items(client, made["id"]) == ["one", "Hello there.", "two", "Hello there."]


async def test_responses_outlive_their_conversation(client: Client) -> None:
    """Deleting a conversation leaves its responses readable and continuable."""
    _, made = await client.call("POST", "/v1/conversations", {})
    first = await client.respond("one", conversation=made["id"])
    await client.call("DELETE", f"/v1/conversations/{made['id']}")
    assert (await client.call("GET", f"/v1/responses/{first['id']}"))[0] == 200
    await client.respond("two", previous_response_id=first["id"])
    assert [message["content"] for message in client.upstream.last_messages] == ["one", "Hello there.", "two"]


async def test_a_turn_whose_conversation_was_deleted_fails_and_stores_nothing(client: Client) -> None:
    """The commit finds the conversation gone."""
    _, made = await client.call("POST", "/v1/conversations", {})
    go_on = asyncio.Event()
    client.upstream.then(Wait(go_on), http_json(whole("late")))
    late = asyncio.ensure_future(
        client.full("POST", "/v1/responses", {"model": MODEL, "input": "one", "conversation": made["id"]})
    )
    while not client.upstream.turns:
        await asyncio.sleep(0.005)
    assert (await client.call("DELETE", f"/v1/conversations/{made['id']}"))[0] == 200
    go_on.set()
    status, body, headers = await late
    assert (status, body["error"]["code"]) == (409, "lease_lost")
    assert (await client.call("GET", f"/v1/responses/{headers['x-antiphon-response-id']}"))[0] == 404
