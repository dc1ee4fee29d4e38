"""Receipts of deletions, and rehearsals that delete nothing."""

from __future__ import annotations

from typing import Any

import pytest
from tests.gateway.conftest import Client
from tests.gateway.test_background import eventually, paused


async def deleted(client: Client, path: str) -> Any:
    status, body = await client.call("DELETE", path)
    assert status == 200, body
    return body


async def test_a_deletion_says_what_it_erased_if_it_is_asked(client: Client) -> None:
    """The receipt names the response, counts its items and bytes, and says that its key went with it."""
    response = await client.respond("hi")
    body = await deleted(client, f"/v1/responses/{response['id']}?receipt=true")
    receipt = body.pop("receipt")
    assert body == {"id": response["id"], "object": "response", "deleted": True}
    assert receipt["responses"] == [response["id"]]
    assert receipt["items"] == 2
    assert receipt["keys_destroyed"] == 1
    assert receipt["payload_bytes"] > 100
    assert (await client.call("GET", f"/v1/responses/{response['id']}"))[0] == 404


async def test_a_deletion_that_is_not_asked_says_no_more_than_the_api_does(client: Client) -> None:
    """Without the parameter, the body is OpenAI's."""
    response = await client.respond("hi")
    body = await deleted(client, f"/v1/responses/{response['id']}")
    assert body == {"id": response["id"], "object": "response", "deleted": True}


async def test_items_on_which_something_stands_are_not_in_the_receipt(client: Client) -> None:
    """A parent's items stay with the turn that continued it; so does the family's key."""
    parent = await client.respond("one")
    await client.respond("two", previous_response_id=parent["id"])
    receipt = (await deleted(client, f"/v1/responses/{parent['id']}?receipt=true"))["receipt"]
    assert (receipt["responses"], receipt["items"], receipt["keys_destroyed"]) == ([parent["id"]], 0, 0)


async def test_a_cascades_receipt_names_all_that_went(client: Client) -> None:
    """What stood on it is named as well, and the last content takes the key along."""
    parent = await client.respond("one")
    child = await client.respond("two", previous_response_id=parent["id"])
    receipt = (await deleted(client, f"/v1/responses/{parent['id']}?cascade=true&receipt=true"))["receipt"]
    assert sorted(receipt["responses"]) == sorted([parent["id"], child["id"]])
    assert (receipt["items"], receipt["keys_destroyed"]) == (4, 1)


@pytest.mark.parametrize("cascade", ["false", "true"])
async def test_a_rehearsal_deletes_nothing_and_foretells_the_receipt(client: Client, cascade: str) -> None:
    """The dry run says that nothing was deleted and what would be; the deletion then erases exactly that."""
    parent = await client.respond("one")
    child = await client.respond("two", previous_response_id=parent["id"])
    path = f"/v1/responses/{parent['id']}?cascade={cascade}"
    foretold = await deleted(client, f"{path}&dry_run=true")
    assert foretold["deleted"] is False
    for kept in (parent, child):
        assert await client.call("GET", f"/v1/responses/{kept['id']}") == (200, kept)
    assert await deleted(client, f"{path}&dry_run=true") == foretold
    done = await deleted(client, f"{path}&receipt=true")
    assert done == {**foretold, "deleted": True}


@pytest.mark.parametrize("cascade", ["false", "true"])
async def test_a_conversations_deletion_has_receipt_and_rehearsal_as_well(client: Client, cascade: str) -> None:
    """Its items go with it; its responses only with a cascade."""
    _, conversation = await client.call("POST", "/v1/conversations", {"items": [{"role": "user", "content": "one"}]})
    response = await client.respond("two", conversation=conversation["id"])
    path = f"/v1/conversations/{conversation['id']}?cascade={cascade}"
    foretold = await deleted(client, f"{path}&dry_run=true")
    assert (await client.call("GET", f"/v1/conversations/{conversation['id']}"))[0] == 200
    done = await deleted(client, f"{path}&receipt=true")
    assert done == {**foretold, "deleted": True}
    assert done["receipt"]["conversations"] == [conversation["id"]]
    assert done["receipt"]["responses"] == ([response["id"]] if cascade == "true" else [])


@pytest.mark.parametrize("path", ["/v1/responses/resp_1", "/v1/conversations/conv_1"])
@pytest.mark.parametrize("query", ["dry_run=true", "receipt=true", "cascade=true&dry_run=true"])
async def test_what_there_is_not_has_no_receipt(client: Client, path: str, query: str) -> None:
    """A rehearsal tells no more about an unknown id than a deletion does."""
    plain = await client.call("DELETE", path)
    assert (await client.call("DELETE", f"{path}?{query}")) == plain
    assert plain[0] == 404


async def test_a_running_turn_is_not_rehearsed(client: Client) -> None:
    """What cannot be deleted now has no receipt either."""
    wait = paused(client, "Hel")
    queued = await client.respond("hi", background=True)
    await wait.reached.wait()
    plain = await client.call("DELETE", f"/v1/responses/{queued['id']}")
    assert await client.call("DELETE", f"/v1/responses/{queued['id']}?dry_run=true") == plain
    assert plain[0] == 400
    wait.event.set()
    await eventually(client, queued["id"], "completed")
