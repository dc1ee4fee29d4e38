"""Items of a conversation, one by one: added, read and taken out by hand."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.gateway.conftest import Client
from tests.support.scripted_upstream import MODEL, Wait, http_json, whole

from antiphon.hub.ids import TenantId
from antiphon.hub.principal import Principal

OTHER = Principal(tenant=TenantId("other"))


def user(text: str, **fields: object) -> dict[str, Any]:
    return {"role": "user", "content": text, **fields}


async def conversation(client: Client, *texts: str) -> str:
    _, made = await client.call("POST", "/v1/conversations", {"items": [user(text) for text in texts]})
    return str(made["id"])


async def add(client: Client, conversation_id: str, *items: object, query: str = "") -> tuple[int, Any]:
    path = f"/v1/conversations/{conversation_id}/items{query}"
    return await client.call("POST", path, {"items": list(items)})


async def texts(client: Client, conversation_id: str) -> list[str]:
    _, listed = await client.call("GET", f"/v1/conversations/{conversation_id}/items?order=asc&limit=100")
    return [item["content"][0]["text"] for item in listed["data"]]


def duplicate(item_id: str) -> dict[str, Any]:
    return {
        "message": f"Duplicate item found with id {item_id}. Remove duplicate items from your input and try again.",
        "type": "invalid_request_error",
        "param": "input",
        "code": None,
    }


async def test_the_new_items_alone_are_answered(client: Client) -> None:
    """POST items answers a list of what it added, in order and with ids; the conversation has them at its end."""
    conversation_id = await conversation(client, "one")

    status, added = await add(client, conversation_id, user("two"), user("three"))

    assert status == 200
    assert [item["content"][0]["text"] for item in added["data"]] == ["two", "three"]
    assert [added["object"], added["has_more"]] == ["list", False]
    assert [added["first_id"], added["last_id"]] == [item["id"] for item in added["data"]]
    assert await texts(client, conversation_id) == ["one", "two", "three"]
    await client.respond("four", conversation=conversation_id)
    assert [message["content"] for message in client.upstream.last_messages] == ["one", "two", "three", "four"]


async def test_an_item_is_retrieved(client: Client) -> None:
    """GET of one item answers the item as the list shows it."""
    conversation_id = await conversation(client, "one", "two")
    _, listed = await client.call("GET", f"/v1/conversations/{conversation_id}/items?order=asc")

    answered = [
        await client.call("GET", f"/v1/conversations/{conversation_id}/items/{item['id']}") for item in listed["data"]
    ]

    assert answered == [(200, item) for item in listed["data"]]


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_image_urls_are_shown_only_on_request(client: Client, method: str) -> None:
    """An image's URL is in the answer if ``include`` asks for it, and left out if not."""
    conversation_id = await conversation(client)
    image = {"type": "input_image", "image_url": "https://example.com/a.png"}
    item = {"role": "user", "content": [image]}
    shown = {}
    for query in ("", "?include[]=message.input_image.image_url"):
        _, added = await add(client, conversation_id, item, query=query)
        body = added["data"][0]
        if method == "GET":
            _, body = await client.call("GET", f"/v1/conversations/{conversation_id}/items/{body['id']}{query}")
        shown[query != ""] = body["content"][0].get("image_url")
    assert shown == {False: None, True: "https://example.com/a.png"}


async def test_an_item_is_taken_out(client: Client) -> None:
    """DELETE answers the conversation; later turns do not see the item, and the turn that it came from still has it."""
    conversation_id = await conversation(client)
    turn = await client.respond("secret", conversation=conversation_id)
    _, before = await client.call("GET", f"/v1/conversations/{conversation_id}")
    _, listed = await client.call("GET", f"/v1/conversations/{conversation_id}/items?order=asc")
    path = f"/v1/conversations/{conversation_id}/items/{listed['data'][0]['id']}"

    assert await client.call("DELETE", path) == (200, before)

    assert await texts(client, conversation_id) == ["Hello there."]
    await client.respond("next", conversation=conversation_id)
    assert [message["content"] for message in client.upstream.last_messages] == ["Hello there.", "next"]
    _, seen = await client.call("GET", f"/v1/responses/{turn['id']}/input_items")
    assert [item["content"][0]["text"] for item in seen["data"]] == ["secret"]
    for method in ("GET", "DELETE"):
        status, body = await client.call(method, path)
        assert status == 404
        assert body["error"] == {
            "message": f"Item with id '{listed['data'][0]['id']}' not found in conversation.",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }


async def test_an_item_of_another_conversation_is_not_in_this_one(client: Client) -> None:
    """A conversation answers 404 for an item that stands elsewhere, as for one that never was."""
    mine, other = await conversation(client, "mine"), await conversation(client, "other")
    _, listed = await client.call("GET", f"/v1/conversations/{other}/items")
    for item_id in (listed["data"][0]["id"], "msg_x"):
        for method in ("GET", "DELETE"):
            status, body = await client.call(method, f"/v1/conversations/{mine}/items/{item_id}")
            assert (status, body["error"]["message"]) == (404, f"Item with id '{item_id}' not found in conversation.")
    assert await texts(client, other) == ["other"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "", {"items": [user("x")]}),
        ("POST", "", {"items": [{"type": "item_reference", "id": "msg_x"}]}),
        ("GET", "/msg_x", None),
        ("DELETE", "/msg_x", None),
    ],
    ids=["add", "add-a-reference", "retrieve", "delete"],
)
async def test_an_unknown_conversation_is_404(client: Client, method: str, path: str, body: object) -> None:
    """It is looked for before its items are."""
    status, answer = await client.call(method, f"/v1/conversations/conv_x/items{path}", body)
    assert status == 404
    assert answer["error"]["message"] == "Conversation with id 'conv_x' not found."


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, "items", "missing_required_parameter"),
        ({"items": []}, "items", "empty_array"),
        ({"items": [user("x")] * 21}, "items", "array_above_max_length"),
        ({"items": [{"role": "nobody", "content": "x"}]}, "items[0]", "invalid_value"),
        ({"items": [user("x")], "item": 1}, "item", "unknown_parameter"),
    ],
    ids=["missing", "none", "too-many", "wrong", "unknown"],
)
async def test_a_wrong_body_is_named_before_the_conversation(
    client: Client, body: object, param: str, code: str
) -> None:
    """What is wrong in the body is said first, whatever the id."""
    status, answer = await client.call("POST", "/v1/conversations/conv_x/items", body)
    assert (status, answer["error"]["param"], answer["error"]["code"]) == (400, param, code)


async def test_unknown_query_parameters_are_refused(client: Client) -> None:
    """A wish that nobody grants is an error that names it."""
    conversation_id = await conversation(client, "one")
    path = f"/v1/conversations/{conversation_id}/items"
    for method, target, body in (
        ("POST", f"{path}?inclde=x", {"items": [user("x")]}),
        ("GET", f"{path}/msg_x?inclde=x", None),
        ("DELETE", f"{path}/msg_x?inclde=x", None),
    ):
        status, answer = await client.call(method, target, body)
        assert (status, answer["error"]["code"], answer["error"]["param"]) == (400, "unknown_parameter", "inclde")
    assert await texts(client, conversation_id) == ["one"]


async def test_the_same_id_twice_in_one_request_is_a_duplicate(client: Client) -> None:
    """Neither of the two is added."""
    conversation_id = await conversation(client)
    status, answer = await add(client, conversation_id, user("a", id="msg_1"), user("b", id="msg_1"))
    assert (status, answer["error"]) == (400, duplicate("msg_1"))
    assert await texts(client, conversation_id) == []


async def test_an_item_that_the_conversation_has_is_a_duplicate(client: Client) -> None:
    """Written out or referred to, by hand or in a turn: the conversation keeps one of it."""
    conversation_id = await conversation(client, "one")
    _, listed = await client.call("GET", f"/v1/conversations/{conversation_id}/items")
    item = listed["data"][0]
    for again in (item, {"type": "item_reference", "id": item["id"]}):
        status, answer = await add(client, conversation_id, again)
        assert (status, answer["error"]) == (400, duplicate(item["id"]))
        turn = {"model": MODEL, "input": [again], "conversation": conversation_id}
        status, answer = await client.call("POST", "/v1/responses", turn)
        assert (status, answer["error"]) == (400, duplicate(item["id"]))
    assert await texts(client, conversation_id) == ["one"]


async def test_a_removed_item_can_be_added_again(client: Client) -> None:
    """It is a duplicate only of what the conversation shows."""
    conversation_id = await conversation(client)
    await client.respond("one", conversation=conversation_id)
    _, listed = await client.call("GET", f"/v1/conversations/{conversation_id}/items?order=asc")
    item = listed["data"][0]
    await client.call("DELETE", f"/v1/conversations/{conversation_id}/items/{item['id']}")

    status, added = await add(client, conversation_id, {"type": "item_reference", "id": item["id"]})

    assert (status, added["data"]) == (200, [item])
    assert await texts(client, conversation_id) == ["Hello there.", "one"]


async def test_items_of_other_turns_are_added_by_reference(client: Client) -> None:
    """A reference stands for the item with its own id."""
    conversation_id = await conversation(client)
    turn = await client.respond("elsewhere")
    answered = turn["output"][0]

    status, added = await add(client, conversation_id, {"id": answered["id"]})

    assert (status, added["data"]) == (200, [answered])


async def test_a_reference_to_nothing_is_the_same_404_for_everybodys_items(client: Client) -> None:
    """Another tenant's item and one that never was are answered alike, and nothing is added."""
    conversation_id = await conversation(client)
    foreign = await client.gateway.respond({"model": MODEL, "input": "hi"}, OTHER)
    foreign_id = foreign["output"][0]["id"]
    missing_id = foreign_id[:-1] + ("0" if foreign_id[-1] != "0" else "1")
    answers = []
    for item_id in (foreign_id, missing_id):
        status, answer = await add(client, conversation_id, user("x"), {"type": "item_reference", "id": item_id})
        answers.append((status, answer["error"]["message"].replace(item_id, "…"), answer["error"]["param"]))
    assert answers[0] == answers[1]
    assert answers[0][0] == 404
    assert await texts(client, conversation_id) == []


async def test_items_are_locked_while_a_turn_runs(client: Client) -> None:
    """Adding and removing meet conversation_locked and are told to retry; reading goes on."""
    conversation_id = await conversation(client, "one")
    _, listed = await client.call("GET", f"/v1/conversations/{conversation_id}/items")
    path = f"/v1/conversations/{conversation_id}/items"
    go_on = asyncio.Event()
    client.upstream.then(Wait(go_on), http_json(whole("slow")))
    slow = asyncio.ensure_future(client.respond("two", conversation=conversation_id))
    while not client.upstream.turns:
        await asyncio.sleep(0.005)

    for method, target, body in (
        ("POST", path, {"items": [user("x")]}),
        ("DELETE", f"{path}/{listed['data'][0]['id']}", None),
        ("POST", f"/v1/conversations/{conversation_id}/rewind", {"to": listed["data"][0]["id"]}),
    ):
        status, answer, headers = await client.full(method, target, body)
        assert status == 400
        assert answer["error"] == {
            "message": "Another process is currently operating on this conversation. Please retry in a few seconds.",
            "type": "invalid_request_error",
            "param": "conversation",
            "code": "conversation_locked",
        }
        assert headers["x-should-retry"] == "true"
        assert int(headers["retry-after-ms"]) > 0
    assert (await client.call("GET", f"{path}/{listed['data'][0]['id']}"))[0] == 200

    go_on.set()
    await slow
    assert await texts(client, conversation_id) == ["one", "two", "slow"]
    assert (await add(client, conversation_id, user("x")))[0] == 200


async def test_an_addition_with_a_key_happens_once(client: Client) -> None:
    """The same request with the same Idempotency-Key adds nothing more and is answered the same."""
    conversation_id = await conversation(client)
    path = f"/v1/conversations/{conversation_id}/items"
    body = {"items": [user("one")]}
    first = await client.full("POST", path, body, **{"idempotency-key": "k1"})
    second = await client.full("POST", path, body, **{"idempotency-key": "k1"})
    assert first[:2] == second[:2]
    assert ["idempotent-replayed" in answer[2] for answer in (first, second)] == [False, True]
    assert await texts(client, conversation_id) == ["one"]
