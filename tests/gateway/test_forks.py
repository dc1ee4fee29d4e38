"""Forks and rewinds of conversations, and deletions that take along what stands on them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.gateway.conftest import Client
from tests.support.scripted_upstream import MODEL, Drop, http_stream_head


async def conversation(client: Client, *texts: str, **fields: object) -> str:
    items = [{"role": "user", "content": text} for text in texts]
    _, made = await client.call("POST", "/v1/conversations", {"items": items, **fields})
    return str(made["id"])


async def items(client: Client, conversation_id: str) -> list[Any]:
    _, listed = await client.call("GET", f"/v1/conversations/{conversation_id}/items?order=asc&limit=100")
    return list(listed["data"])


async def texts(client: Client, conversation_id: str) -> list[str]:
    return [item["content"][0]["text"] for item in await items(client, conversation_id)]


async def fork(client: Client, conversation_id: str, **body: object) -> Any:
    status, made = await client.call("POST", f"/v1/conversations/{conversation_id}/fork", body)
    assert status == 200, made
    return made


async def rewind(client: Client, conversation_id: str, to: str) -> Any:
    status, body = await client.call("POST", f"/v1/conversations/{conversation_id}/rewind", {"to": to})
    assert status == 200, body
    return body


async def test_a_fork_begins_with_the_others_items(client: Client) -> None:
    """It is a conversation of its own with metadata of its own; its items are the same, ids included."""
    origin = await conversation(client, "one", "two", metadata={"a": "b"})

    made = await fork(client, origin, metadata={"try": "2"})

    assert made["object"] == "conversation"
    assert made["id"] != origin
    assert made["metadata"] == {"try": "2"}
    assert await client.call("GET", f"/v1/conversations/{made['id']}") == (200, made)
    assert await items(client, made["id"]) == await items(client, origin)


async def test_a_fork_needs_no_body(client: Client) -> None:
    """POST without a body forks at the end, without metadata."""
    origin = await conversation(client, "one", metadata={"a": "b"})
    status, made = await client.call("POST", f"/v1/conversations/{origin}/fork")
    assert (status, made["metadata"]) == (200, {})
    assert await texts(client, made["id"]) == ["one"]


async def test_a_fork_at_an_item_ends_with_it(client: Client) -> None:
    """What stands behind the item is not in the fork."""
    origin = await conversation(client, "one", "two", "three")
    second = (await items(client, origin))[1]
    made = await fork(client, origin, at=second["id"])
    assert await texts(client, made["id"]) == ["one", "two"]


async def test_both_sides_of_a_fork_go_their_own_way(client: Client) -> None:
    """Turns, additions and removals on one side are not seen on the other."""
    origin = await conversation(client, "one", "two")
    made = await fork(client, origin)
    await client.respond("left", conversation=origin)
    await client.respond("right", conversation=made["id"])
    assert [message["content"] for message in client.upstream.last_messages] == ["one", "two", "right"]
    first = (await items(client, origin))[0]
    await client.call("DELETE", f"/v1/conversations/{made['id']}/items/{first['id']}")

    assert await texts(client, origin) == ["one", "two", "left", "Hello there."]
    assert await texts(client, made["id"]) == ["two", "right", "Hello there."]


async def test_a_fork_outlives_what_it_was_forked_from(client: Client) -> None:
    """Deleting the other conversation takes nothing away from the fork."""
    origin = await conversation(client, "one")
    made = await fork(client, origin)
    await client.call("DELETE", f"/v1/conversations/{origin}")
    assert await texts(client, made["id"]) == ["one"]
    await client.respond("two", conversation=made["id"])
    assert [message["content"] for message in client.upstream.last_messages] == ["one", "two"]


@pytest.mark.parametrize(
    ("operation", "body", "expected"),
    [
        ("fork", {"at": "msg_x"}, (404, "Item with id 'msg_x' not found in conversation.", None)),
        ("fork", {"at": 7}, (400, "Invalid type for 'at': expected a string, but got an integer instead.", "at")),
        ("fork", {"att": "x"}, (400, "Unknown parameter: 'att'. Did you mean 'at'?", "att")),
        ("rewind", {}, (400, "Missing required parameter: 'to'.", "to")),
        ("rewind", {"to": "msg_x"}, (404, "Item with id 'msg_x' not found in conversation.", None)),
        ("rewind", {"to": "resp_x"}, (404, "Response with id 'resp_x' not found.", None)),
        ("rewind", {"to": "msg_x", "at": "y"}, (400, "Unknown parameter: 'at'.", "at")),
    ],
    ids=["fork-at-nothing", "fork-type", "fork-unknown", "rewind-missing", "rewind-item", "rewind-response", "extra"],
)
async def test_what_cannot_be_done_is_said(
    client: Client, operation: str, body: object, expected: tuple[int, str, str | None]
) -> None:
    """Wrong bodies are 400, ids that name nothing 404, and nothing is changed."""
    origin = await conversation(client, "one")
    status, answer = await client.call("POST", f"/v1/conversations/{origin}/{operation}", body)
    assert (status, answer["error"]["message"], answer["error"]["param"]) == expected
    assert await texts(client, origin) == ["one"]


@pytest.mark.parametrize(("operation", "body"), [("fork", {"at": "msg_x"}), ("rewind", {"to": "resp_x"})])
async def test_an_unknown_conversation_is_404(client: Client, operation: str, body: object) -> None:
    """It is looked for before what the body names."""
    status, answer = await client.call("POST", f"/v1/conversations/conv_x/{operation}", body)
    assert (status, answer["error"]["message"]) == (404, "Conversation with id 'conv_x' not found.")


async def test_a_rewind_takes_out_what_came_after_an_item(client: Client) -> None:
    """It answers the conversation and how many items went; the next turn goes on from there."""
    origin = await conversation(client, "one", metadata={"a": "b"})
    await client.respond("two", conversation=origin)
    await client.respond("three", conversation=origin)
    first = (await items(client, origin))[0]
    _, before = await client.call("GET", f"/v1/conversations/{origin}")

    assert await rewind(client, origin, first["id"]) == {**before, "removed": 4}

    assert await texts(client, origin) == ["one"]
    await client.respond("again", conversation=origin)
    assert [message["content"] for message in client.upstream.last_messages] == ["one", "again"]
    assert await texts(client, origin) == ["one", "again", "Hello there."]


async def test_a_rewind_to_a_response_keeps_all_of_it(client: Client) -> None:
    """A response stands for the last of its items; a rewind to the newest takes out nothing."""
    origin = await conversation(client)
    first = await client.respond("one", conversation=origin)
    second = await client.respond("two", conversation=origin)
    assert (await rewind(client, origin, second["id"]))["removed"] == 0
    assert (await rewind(client, origin, first["id"]))["removed"] == 2
    assert await texts(client, origin) == ["one", "Hello there."]


async def test_a_response_stands_for_the_last_of_its_items_that_shows(client: Client) -> None:
    """If its answer was taken out, its input is what is rewound to."""
    origin = await conversation(client)
    first = await client.respond("one", conversation=origin)
    await client.respond("two", conversation=origin)
    await client.call("DELETE", f"/v1/conversations/{origin}/items/{first['output'][0]['id']}")
    assert (await rewind(client, origin, first["id"]))["removed"] == 2
    assert await texts(client, origin) == ["one"]


async def test_a_response_without_an_item_in_the_conversation_is_404(client: Client) -> None:
    """A turn elsewhere, and one that failed, have none there."""
    origin = await conversation(client, "one")
    elsewhere = await client.respond("two")
    client.upstream.then(http_stream_head(), Drop())
    failed = (await client.stream("three", conversation=origin))[-1]["response"]
    assert failed["status"] == "failed"
    for response_id in (elsewhere["id"], failed["id"]):
        status, body = await client.call("POST", f"/v1/conversations/{origin}/rewind", {"to": response_id})
        assert (status, body["error"]["message"]) == (
            404,
            f"No item of the response with id '{response_id}' is in the conversation.",
        )


async def test_what_was_rewound_stays_where_it_is_stood_on(client: Client) -> None:
    """Responses and forks that were made before keep the items, and can be continued."""
    origin = await conversation(client)
    await client.respond("one", conversation=origin)
    second = await client.respond("two", conversation=origin)
    made = await fork(client, origin)
    first = (await items(client, origin))[0]
    await rewind(client, origin, first["id"])

    assert await texts(client, made["id"]) == ["one", "Hello there.", "two", "Hello there."]
    await client.respond("three", previous_response_id=second["id"])
    said = [message["content"] for message in client.upstream.last_messages]
    assert said == ["one", "Hello there.", "two", "Hello there.", "three"]


async def test_a_fork_can_be_rewound_to_a_turn_from_before(client: Client) -> None:
    """The items that it shares with the other conversation are its own to rewind to."""
    origin = await conversation(client)
    first = await client.respond("one", conversation=origin)
    await client.respond("two", conversation=origin)
    made = await fork(client, origin)
    assert (await rewind(client, made["id"], first["id"]))["removed"] == 2
    assert await texts(client, made["id"]) == ["one", "Hello there."]
    assert await texts(client, origin) == ["one", "Hello there.", "two", "Hello there."]


async def test_a_fork_with_a_key_is_made_once(client: Client) -> None:
    """The same request with the same Idempotency-Key answers the fork that there is."""
    origin = await conversation(client, "one")
    path = f"/v1/conversations/{origin}/fork"
    made = [await client.full("POST", path, {}, **{"idempotency-key": "k"}) for _ in range(2)]
    assert made[0][:2] == made[1][:2]
    _, listed = await client.call("GET", "/v1/conversations")
    assert {entry["id"] for entry in listed["data"]} == {origin, made[0][1]["id"]}


# Cascades.


async def test_a_deletion_leaves_what_stands_on_it(client: Client) -> None:
    """Without cascade, a turn that continued the deleted one goes on as it was."""
    first = await client.respond("one")
    second = await client.respond("two", previous_response_id=first["id"])
    assert (await client.call("DELETE", f"/v1/responses/{first['id']}?cascade=false"))[0] == 200
    await client.respond("three", previous_response_id=second["id"])
    assert [message["content"] for message in client.upstream.last_messages][:2] == ["one", "Hello there."]


async def test_a_cascade_takes_later_turns_along(client: Client) -> None:
    """The answer is the same as ever; the turns that stood on it are unknown, and those before it are not."""
    first = await client.respond("one")
    second = await client.respond("two", previous_response_id=first["id"])
    third = await client.respond("three", previous_response_id=second["id"])

    assert await client.call("DELETE", f"/v1/responses/{second['id']}?cascade=true") == (
        200,
        {"id": second["id"], "object": "response", "deleted": True},
    )

    found = [(await client.call("GET", f"/v1/responses/{turn['id']}"))[0] for turn in (first, second, third)]
    assert found == [200, 404, 404]
    status, body = await client.call(
        "POST", "/v1/responses", {"model": MODEL, "input": "x", "previous_response_id": third["id"]}
    )
    assert (status, body["error"]["code"]) == (400, "previous_response_not_found")
    await client.respond("again", previous_response_id=first["id"])
    assert [message["content"] for message in client.upstream.last_messages] == ["one", "Hello there.", "again"]


async def test_a_conversation_is_deleted_with_its_responses(client: Client) -> None:
    """With cascade, its responses and its forks go too."""
    origin = await conversation(client)
    turn = await client.respond("one", conversation=origin)
    made = await fork(client, origin)
    unrelated = await client.respond("two")

    assert await client.call("DELETE", f"/v1/conversations/{origin}?cascade=true") == (
        200,
        {"id": origin, "object": "conversation.deleted", "deleted": True},
    )

    for path in (f"conversations/{origin}", f"conversations/{made['id']}", f"responses/{turn['id']}"):
        assert (await client.call("GET", f"/v1/{path}"))[0] == 404
    assert (await client.call("GET", f"/v1/responses/{unrelated['id']}"))[0] == 200


@pytest.mark.parametrize("path", ["/v1/responses/resp_x", "/v1/conversations/conv_x"])
@pytest.mark.parametrize(
    ("query", "param", "code"),
    [
        ("cascade=yes", "cascade", "invalid_value"),
        ("cascade=true&cascade=true", "cascade", "invalid_value"),
        ("cascad=true", "cascad", "unknown_parameter"),
    ],
)
async def test_a_cascade_is_asked_for_clearly(client: Client, path: str, query: str, param: str, code: str) -> None:
    """Anything but true and false is an error: a deletion is never wider, nor narrower, than it was meant."""
    status, body = await client.call("DELETE", f"{path}?{query}")
    assert (status, body["error"]["param"], body["error"]["code"]) == (400, param, code)
