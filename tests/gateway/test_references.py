"""Items by reference: whole histories that say only where each item is stored."""

from __future__ import annotations

from typing import Any

from tests.gateway.conftest import Client
from tests.support.scripted_upstream import MODEL, http_json, whole

from antiphon.hub.ids import TenantId
from antiphon.hub.principal import Principal

OTHER = Principal(tenant=TenantId("other"))
CALL = {"id": "call_up", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def reference(item: Any) -> dict[str, str]:
    return {"type": "item_reference", "id": item["id"]}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "input_text", "text": text}]}


async def refused(client: Client, *items: object, **fields: object) -> tuple[int, Any]:
    status, body = await client.call("POST", "/v1/responses", {"model": MODEL, "input": list(items), **fields})
    assert status >= 400, body
    return status, body["error"]


async def inputs(client: Client, response: Any) -> list[Any]:
    _, listed = await client.call("GET", f"/v1/responses/{response['id']}/input_items?order=asc&limit=100")
    return list(listed["data"])


def unknown(item_id: str) -> dict[str, Any]:
    return {
        "message": (
            f"Item with id '{item_id}' not found. Items are not persisted when `store` is set to false. "
            "Try again with `store` set to true, or remove this item from your input."
        ),
        "type": "invalid_request_error",
        "param": "input",
        "code": None,
    }


def duplicate(item_id: str) -> dict[str, Any]:
    return {
        "message": f"Duplicate item found with id {item_id}. Remove duplicate items from your input and try again.",
        "type": "invalid_request_error",
        "param": "input",
        "code": None,
    }


async def test_the_vercel_ai_sdks_way_of_continuing(client: Client) -> None:
    """From the second turn on it sends what the user said again, and refers to what the model said."""
    outputs = []
    history: list[Any] = [user("0")]
    for number in range(4):
        client.upstream.then(http_json(whole(f"answer {number}")))
        response = await client.respond(history, store=True)
        assert response["previous_response_id"] is None
        outputs.append(response["output"][0])
        history += [reference(outputs[-1]), user(str(number + 1))]

    said = [message["content"] for message in client.upstream.last_messages]
    assert said == ["0", "answer 0", "1", "answer 1", "2", "answer 2", "3"]
    seen = await inputs(client, response)
    assert [item for item in seen if item["role"] == "assistant"] == outputs[:3]


async def test_a_tool_loop_by_references(client: Client) -> None:
    """A call is sent inline without id, as that SDK does, its output after it; both are found again later."""
    client.upstream.then(http_json(whole(None, finish_reason="tool_calls", tool_calls=[CALL])))
    first = await client.respond([user("go")], tools=[{"type": "function", "name": "f", "parameters": None}])
    (call,) = first["output"]
    inline = {name: value for name, value in call.items() if name != "id"}
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "42"}
    second = await client.respond([user("go"), inline, output])
    third = await client.respond([user("go"), reference(call), output, reference(second["output"][0]), user("on")])
    assert [message["role"] for message in client.upstream.last_messages] == [
        *("user", "assistant", "tool", "assistant", "user")
    ]
    assert (await inputs(client, third))[1] == call


async def test_references_of_several_turns_mix(client: Client) -> None:
    """Inputs and outputs of unrelated turns and of a conversation, in the order of the request."""
    one = await client.respond("one")
    _, made = await client.call("POST", "/v1/conversations", {"items": [user("two")]})
    _, listed = await client.call("GET", f"/v1/conversations/{made['id']}/items")
    three = await client.respond("three", conversation=made["id"])
    wanted = [listed["data"][0], (await inputs(client, one))[0], three["output"][0], one["output"][0]]

    mixed = await client.respond([*map(reference, wanted), user("go")])

    said = [message["content"] for message in client.upstream.last_messages]
    assert said == ["two", "one", "Hello there.", "Hello there.", "go"]
    assert (await inputs(client, mixed))[:4] == wanted


async def test_an_inline_item_with_its_own_id_is_the_stored_one(client: Client) -> None:
    """Equal content keeps the id; other content gets a new one."""
    first = await client.respond("one")
    answer = first["output"][0]
    changed = {**answer, "content": [{"type": "output_text", "text": "Something else."}]}
    same = await client.respond([user("one"), answer, user("two")])
    other = await client.respond([user("one"), changed, user("two")])
    assert (await inputs(client, same))[1] == answer
    rewritten = (await inputs(client, other))[1]
    assert rewritten["id"] != answer["id"]
    assert rewritten["content"][0]["text"] == "Something else."


async def test_a_reference_outlives_the_response_that_it_came_from(client: Client) -> None:
    """What a later turn refers to is kept for that turn, and for those after it."""
    first = await client.respond("one")
    answer = first["output"][0]
    second = await client.respond([reference(answer), user("two")])
    await client.call("DELETE", f"/v1/responses/{first['id']}")
    assert (await inputs(client, second))[0] == answer
    await client.respond("three", previous_response_id=second["id"])
    assert client.upstream.last_messages[0]["content"] == "Hello there."
    await client.respond([reference(answer), user("four")])


async def test_an_item_of_a_deleted_response_is_unknown(client: Client) -> None:
    """Its reference is 404, and no upstream is asked."""
    first = await client.respond("one")
    await client.call("DELETE", f"/v1/responses/{first['id']}")
    asked = len(client.upstream.turns)
    item_id = first["output"][0]["id"]
    assert await refused(client, reference(first["output"][0]), user("two")) == (404, unknown(item_id))
    assert len(client.upstream.turns) == asked


async def test_an_item_that_was_not_stored_is_unknown(client: Client) -> None:
    """With store: false nothing can be referred to later."""
    first = await client.respond("one", store=False)
    item_id = first["output"][0]["id"]
    assert await refused(client, reference(first["output"][0])) == (404, unknown(item_id))


async def test_another_tenants_item_is_unknown(client: Client) -> None:
    """It is answered byte by byte as one that never was."""
    foreign = await client.gateway.respond({"model": MODEL, "input": "hi"}, OTHER)
    foreign_id = foreign["output"][0]["id"]
    missing_id = foreign_id[:-4] + ("0000" if foreign_id[-4:] != "0000" else "1111")
    for item_id in (foreign_id, missing_id):
        assert await refused(client, {"type": "item_reference", "id": item_id}) == (404, unknown(item_id))


async def test_a_reference_twice_is_a_duplicate(client: Client) -> None:
    """As two references, or as a reference and the item itself."""
    first = await client.respond("one")
    answer = first["output"][0]
    for again in (reference(answer), {"id": answer["id"]}, answer):
        error = await refused(client, reference(answer), again, user("two"))
        assert error == (400, duplicate(answer["id"]))


async def test_what_the_history_has_is_not_referred_to_again(client: Client) -> None:
    """With previous_response_id, a reference to an item of the history is a duplicate; one to another item is not."""
    first = await client.respond("one")
    second = await client.respond("two", previous_response_id=first["id"])
    elsewhere = await client.respond("three")
    for item in (first["output"][0], second["output"][0], (await inputs(client, first))[0]):
        error = await refused(client, reference(item), user("x"), previous_response_id=second["id"])
        assert error == (400, duplicate(item["id"]))
    await client.respond([reference(elsewhere["output"][0])], previous_response_id=second["id"])
    assert len(client.upstream.last_messages) == 5
