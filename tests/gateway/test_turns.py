"""Turns as JSON, and what the next one stands on."""

from __future__ import annotations

from typing import Any

from tests.gateway.conftest import Client
from tests.support.scripted_upstream import MODEL, http_json, whole


async def test_a_turn_answers_with_the_models_text(client: Client) -> None:
    """A first turn is completed, with ids of ours, the upstream's dated model name and its usage."""
    body = await client.respond("hi")
    assert body["object"] == "response"
    assert body["status"] == "completed"
    assert body["id"].startswith("resp_")
    assert body["model"] == "scripted-1-2026-01-01"
    assert body["output"][0]["content"][0]["text"] == "Hello there."
    assert body["output"][0]["id"].startswith("msg_")
    assert body["usage"]["total_tokens"] == 10


async def test_the_next_turn_needs_only_an_id(client: Client) -> None:
    """A continuation sends the upstream the whole history, then the new input."""
    first = await client.respond("My name is Ada.")
    await client.respond("Who am I?", previous_response_id=first["id"])
    assert client.upstream.last_messages == [
        {"role": "user", "content": "My name is Ada."},
        {"role": "assistant", "content": "Hello there."},
        {"role": "user", "content": "Who am I?"},
    ]


async def test_instructions_and_settings_are_not_inherited(client: Client) -> None:
    """Only items are carried from turn to turn."""
    tool = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
    first = await client.respond("a", instructions="Be brief.", temperature=0.5, tools=[tool], metadata={"k": "v"})
    second = await client.respond("b", previous_response_id=first["id"])
    sent = client.upstream.turns[-1].body
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "user"]
    assert "temperature" not in sent
    assert "tools" not in sent
    assert second["instructions"] is None
    assert second["metadata"] == {}


async def test_a_fork_from_any_turn_sees_only_its_own_past(client: Client) -> None:
    """Two continuations of one turn do not see each other."""
    first = await client.respond("one")
    second = await client.respond("two", previous_response_id=first["id"])
    await client.respond("three", previous_response_id=second["id"])
    await client.respond("other two", previous_response_id=first["id"])
    said = [message["content"] for message in client.upstream.last_messages]
    assert said == ["one", "Hello there.", "other two"]
    await client.respond("three again", previous_response_id=second["id"])
    said = [message["content"] for message in client.upstream.last_messages]
    assert said == ["one", "Hello there.", "two", "Hello there.", "three again"]


async def test_a_stored_turn_is_retrieved_as_it_was_answered(client: Client) -> None:
    """GET gives back the very object that POST answered."""
    answered = await client.respond("hi", metadata={"a": "b"}, instructions="x", user="u", temperature=0.25)
    status, retrieved = await client.call("GET", f"/v1/responses/{answered['id']}")
    assert status == 200
    assert retrieved == answered
    assert list(retrieved) == list(answered)


async def test_input_items_list_what_the_model_saw(client: Client) -> None:
    """History first, then the turn's own input; newest first unless asked otherwise; pages join without gaps."""
    first = await client.respond("one")
    second = await client.respond("two", previous_response_id=first["id"])
    status, listed = await client.call("GET", f"/v1/responses/{second['id']}/input_items?order=asc")
    assert status == 200
    texts = [item["content"][0]["text"] for item in listed["data"]]
    assert texts == ["one", "Hello there.", "two"]
    assert listed["has_more"] is False
    _, newest = await client.call("GET", f"/v1/responses/{second['id']}/input_items?limit=2")
    assert [item["content"][0]["text"] for item in newest["data"]] == ["two", "Hello there."]
    assert newest["has_more"] is True
    after = newest["last_id"]
    _, rest = await client.call("GET", f"/v1/responses/{second['id']}/input_items?limit=2&after={after}")
    assert [item["content"][0]["text"] for item in rest["data"]] == ["one"]
    assert rest["has_more"] is False


async def test_a_deleted_response_is_unknown_but_its_children_keep_their_history(client: Client) -> None:
    """Deleting makes the id unknown at once; what stands on it goes on."""
    first = await client.respond("one")
    second = await client.respond("two", previous_response_id=first["id"])
    status, body = await client.call("DELETE", f"/v1/responses/{first['id']}")
    assert (status, body) == (200, {"id": first["id"], "object": "response", "deleted": True})
    assert (await client.call("GET", f"/v1/responses/{first['id']}"))[0] == 404
    status, body = await client.call(
        "POST", "/v1/responses", {"model": MODEL, "input": "x", "previous_response_id": first["id"]}
    )
    assert (status, body["error"]["code"]) == (400, "previous_response_not_found")
    await client.respond("three", previous_response_id=second["id"])
    said = [message["content"] for message in client.upstream.last_messages]
    assert said == ["one", "Hello there.", "two", "Hello there.", "three"]


async def test_store_false_leaves_nothing(client: Client) -> None:
    """An unstored turn can continue a stored one and cannot be continued or found."""
    first = await client.respond("one")
    second = await client.respond("two", previous_response_id=first["id"], store=False)
    assert second["store"] is False
    assert (await client.call("GET", f"/v1/responses/{second['id']}"))[0] == 404
    status, body = await client.call(
        "POST", "/v1/responses", {"model": MODEL, "input": "x", "previous_response_id": second["id"]}
    )
    assert (status, body["error"]["code"]) == (400, "previous_response_not_found")


def _call(call_id: str, name: str = "f") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": "{}"}}


TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}


async def test_a_tool_call_is_answered_in_a_later_turn(client: Client) -> None:
    """The output finds its call in the stored turn; the upstream gets our call id on both sides."""
    client.upstream.then(http_json(whole(None, finish_reason="tool_calls", tool_calls=[_call("up_1"), _call("up_2")])))
    first = await client.respond("go", tools=[TOOL])
    calls = [item["call_id"] for item in first["output"]]
    assert all(call.startswith("call_") for call in calls)
    outputs = [{"type": "function_call_output", "call_id": call, "output": "42"} for call in calls]
    await client.respond(outputs, previous_response_id=first["id"], tools=[TOOL])
    messages = client.upstream.last_messages
    assert [call["id"] for call in messages[1]["tool_calls"]] == calls
    assert [message["tool_call_id"] for message in messages[2:]] == calls


async def test_missing_and_surplus_outputs_are_refused_before_a_token_is_spent(client: Client) -> None:
    """Both errors name the call_id, and the upstream is not asked."""
    client.upstream.then(http_json(whole(None, finish_reason="tool_calls", tool_calls=[_call("up_1")])))
    first = await client.respond("go", tools=[TOOL])
    call_id = first["output"][0]["call_id"]
    asked = len(client.upstream.turns)
    request = {"model": MODEL, "previous_response_id": first["id"]}
    status, body = await client.call("POST", "/v1/responses", {**request, "input": "never mind"})
    assert status == 400
    assert body["error"]["message"] == f"No tool output found for function call {call_id}."
    output = {"type": "function_call_output", "call_id": "call_other", "output": "1"}
    status, body = await client.call("POST", "/v1/responses", {**request, "input": [output]})
    assert status == 400
    assert body["error"]["message"] == "No tool call found for function call output with call_id call_other."
    assert len(client.upstream.turns) == asked


async def test_an_item_reference_stands_for_the_stored_item(client: Client) -> None:
    """References resolve to stored items of any turn; unknown ones are 404 with the documented text."""
    first = await client.respond("one")
    message_id = first["output"][0]["id"]
    await client.respond([{"type": "item_reference", "id": message_id}, {"role": "user", "content": "more"}])
    assert client.upstream.last_messages == [
        {"role": "assistant", "content": "Hello there."},
        {"role": "user", "content": "more"},
    ]
    status, body = await client.call(
        "POST", "/v1/responses", {"model": MODEL, "input": [{"type": "item_reference", "id": "msg_nope"}]}
    )
    assert status == 404
    assert body["error"]["message"].startswith("Item with id 'msg_nope' not found. Items are not persisted when")


async def test_items_that_the_server_holds_may_not_be_sent_again(client: Client) -> None:
    """A client that replays what previous_response_id carries already is told so."""
    first = await client.respond("one")
    status, body = await client.call(
        "POST",
        "/v1/responses",
        {"model": MODEL, "input": first["output"], "previous_response_id": first["id"]},
    )
    assert status == 400
    assert body["error"]["message"].startswith(f"Duplicate item found with id {first['output'][0]['id']}.")


async def test_a_client_may_replay_the_output_itself(client: Client) -> None:
    """Output items are valid input: a client without server-side state can send its whole history."""
    first = await client.respond("one")
    await client.respond([{"role": "user", "content": "one"}, *first["output"], {"role": "user", "content": "two"}])
    assert [message["content"] for message in client.upstream.last_messages] == ["one", "Hello there.", "two"]


async def test_an_incomplete_turn_is_kept_as_such_and_can_be_continued(client: Client) -> None:
    """finish_reason length is status incomplete with the reason."""
    client.upstream.then(http_json(whole("Once upon", finish_reason="length")))
    first = await client.respond("story")
    assert first["status"] == "incomplete"
    assert first["incomplete_details"] == {"reason": "max_output_tokens"}
    assert first["completed_at"] is None
    assert first["output"][0]["status"] == "incomplete"
    await client.respond("go on", previous_response_id=first["id"])
    assert [message["content"] for message in client.upstream.last_messages] == ["story", "Once upon", "go on"]


async def test_a_cut_off_tool_call_is_kept_and_not_replayed(client: Client) -> None:
    """A call without its whole arguments stays on its response; the history header counts it."""
    client.upstream.then(http_json(whole("Let me see.", finish_reason="length", tool_calls=[_call("up_1")])))
    first = await client.respond("go", tools=[TOOL])
    assert [item["type"] for item in first["output"]] == ["message", "function_call"]
    assert first["output"][1]["status"] == "incomplete"
    status, body, headers = await client.full(
        "POST", "/v1/responses", {"model": MODEL, "input": "and?", "previous_response_id": first["id"]}
    )
    assert status == 200, body
    assert headers["x-antiphon-history"] == "items=2; source=previous_response_id; left_out=1"
    _, retrieved = await client.call("GET", f"/v1/responses/{first['id']}")
    assert retrieved["output"] == first["output"]


async def test_the_answer_says_how_its_history_was_found(client: Client) -> None:
    """Headers carry the request id, the history, the upstream and the alias."""
    first = await client.respond("one")
    _, _, headers = await client.full(
        "POST", "/v1/responses", {"model": MODEL, "input": "two", "previous_response_id": first["id"]}
    )
    assert headers["x-request-id"].startswith("req_")
    assert headers["x-antiphon-history"] == "items=2; source=previous_response_id; left_out=0"
    assert headers["x-antiphon-upstream"] == "scripted"
    assert headers["x-antiphon-model"] == MODEL
    assert float(headers["x-antiphon-overhead-ms"]) >= 0
    assert headers["openai-version"] == "2020-10-01"
