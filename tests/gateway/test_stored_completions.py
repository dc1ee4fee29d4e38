"""Stored chat completions: one state with the Responses API, two views of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion, ChatCompletionStoreMessage
from tests.gateway.conftest import Client, serving
from tests.gateway.test_audit import told
from tests.support.scripted_upstream import (
    MODEL,
    Drop,
    ScriptedUpstream,
    chunk,
    delta,
    http_json,
    http_stream_head,
    whole,
)

from antiphon import Gateway, SQLiteSessionStore, upstream
from antiphon.formats.chat.stored import StoredChat
from antiphon.hub.completions import StoredCompletion
from antiphon.hub.errors import CompletionNotFound, UpstreamBroken
from antiphon.hub.ids import TenantId
from antiphon.hub.items import JsonObject
from antiphon.hub.library import ListRequest
from antiphon.hub.principal import Principal
from antiphon.sessions.library import ListPage

PATH = "/v1/chat/completions"
NOBODYS = "0" * 50
HELLO: Any = {"role": "user", "content": "Hello"}
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
TOOL: Any = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


@pytest.fixture
async def sdk(client: Client) -> AsyncIterator[AsyncOpenAI]:
    """OpenAI's own client; every answer has to be exactly of the type that it declares."""
    async with AsyncOpenAI(
        base_url=f"{client.base_url}/v1", api_key="unused", max_retries=0, _strict_response_validation=True
    ) as sdk:
        yield sdk


async def complete(client: Client, *messages: Any, **fields: Any) -> Any:
    """A completion that is stored."""
    body = {"model": MODEL, "store": True, "messages": list(messages or (HELLO,)), **fields}
    status, completion = await client.call("POST", PATH, body)
    assert status == 200, completion
    return completion


def response_id(completion_id: str) -> str:
    return completion_id.replace("chatcmpl-", "resp_")


async def listed(client: Client, query: str = "") -> list[str]:
    status, page = await client.call("GET", PATH + query)
    assert status == 200, page
    return [completion["id"] for completion in page["data"]]


async def messages(client: Client, completion_id: str, query: str = "") -> Any:
    status, page = await client.call("GET", f"{PATH}/{completion_id}/messages{query}")
    assert status == 200, page
    return page


# OpenAI's own client.


async def test_openais_client_knows_no_difference(sdk: AsyncOpenAI) -> None:
    """A completion is made, retrieved, listed, updated and deleted by OpenAI's own client, in its strictest mode."""
    made = await sdk.chat.completions.create(
        model=MODEL, messages=[HELLO], store=True, metadata={"kind": "a"}, temperature=0.5, seed=7, user="ann"
    )
    got = await sdk.chat.completions.retrieve(made.id)
    assert made.usage is not None
    assert got.usage is not None
    assert (made.id, made.model, made.usage.total_tokens) == (got.id, got.model, got.usage.total_tokens)
    assert made.choices[0].message.content == got.choices[0].message.content == "Hello there."
    assert made.choices[0].finish_reason == got.choices[0].finish_reason == "stop"
    shown = got.to_dict()
    assert {"temperature": 0.5, "seed": 7, "input_user": "ann", "metadata": {"kind": "a"}}.items() <= shown.items()

    updated: Any = await sdk.chat.completions.update(made.id, metadata={"kind": "b"})
    assert updated.metadata == {"kind": "b"}
    assert [each.id async for each in sdk.chat.completions.list(metadata={"kind": "b"}, model=MODEL)] == [made.id]
    assert [each.id async for each in sdk.chat.completions.list(metadata={"kind": "a"})] == []

    deleted = await sdk.chat.completions.delete(made.id)
    assert (deleted.id, deleted.deleted, deleted.object) == (made.id, True, "chat.completion.deleted")
    with pytest.raises(openai.NotFoundError, match=f"Completion with id '{made.id}' not found."):
        await sdk.chat.completions.retrieve(made.id)
    assert [each.id async for each in sdk.chat.completions.list()] == []


async def test_openais_client_pages_through_everything(client: Client, sdk: AsyncOpenAI) -> None:
    """Its iterators go from page to page, of completions and of one's messages, in both orders."""
    said: Any = [{"role": "user", "content": f"{index}"} for index in range(5)]
    made = [(await complete(client, *said))["id"] for _ in range(3)]
    plain = AsyncOpenAI(base_url=f"{client.base_url}/v1", api_key="unused", max_retries=0)
    async with plain:  # its type of a stored message knows no role but the assistant's
        assert [each.id async for each in sdk.chat.completions.list(limit=2)] == made
        assert [each.id async for each in sdk.chat.completions.list(limit=2, order="desc")] == made[::-1]
        found = [each async for each in plain.chat.completions.messages.list(made[0], limit=2)]
        backwards = [each async for each in plain.chat.completions.messages.list(made[0], limit=2, order="desc")]
    assert [each.content for each in found] == ["0", "1", "2", "3", "4"]
    assert [each.id for each in backwards] == [each.id for each in found][::-1]


async def test_stored_messages_are_of_the_clients_type(client: Client) -> None:
    """But for their roles, which OpenAI's type does not know, messages are what its client expects of them."""
    parts = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    made = await complete(
        client,
        {"role": "system", "content": "Be brief."},
        {"role": "user", "name": "ann", "content": parts},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
        tools=[TOOL],
    )
    page = await messages(client, made["id"])
    for message in page["data"]:
        ChatCompletionStoreMessage.model_validate({**message, "role": "assistant"}, strict=True)
    assert [each["role"] for each in page["data"]] == ["system", "user", "assistant", "tool"]
    assert [each["id"] for each in page["data"]] == [f"{made['id']}-{index}" for index in range(4)]
    user = page["data"][1]
    assert (user["name"], user["content"], user["content_parts"]) == ("ann", "a", parts)
    assert (page["data"][2]["tool_calls"], page["data"][3]["tool_call_id"]) == ([CALL], "c1")
    assert (page["first_id"], page["last_id"], page["has_more"]) == (f"{made['id']}-0", f"{made['id']}-3", False)


# What is shown.


async def test_a_streamed_completion_is_shown_like_a_whole_one(client: Client, sdk: AsyncOpenAI) -> None:
    """What a stream said, its end and its usage are retrieved under the id that every chunk had."""
    made: Any = await sdk.chat.completions.create(model=MODEL, messages=[HELLO], store=True, stream=True)
    ids = {each.id async for each in made}
    assert len(ids) == 1
    got = await sdk.chat.completions.retrieve(ids.pop())
    assert (got.choices[0].message.content, got.choices[0].finish_reason) == ("Hello there.", "stop")
    assert got.usage is not None
    assert got.usage.total_tokens == 10


async def test_calls_and_tools_are_shown_as_they_were(client: Client) -> None:
    """A completion that calls a tool shows the call, the reason to stop, and the tools that were given."""
    client.upstream.then(http_json(whole(None, finish_reason="tool_calls", tool_calls=[CALL])))
    made = await complete(client, tools=[TOOL], tool_choice="required")
    _, got = await client.call("GET", f"{PATH}/{made['id']}")
    for choice in (made["choices"][0], got["choices"][0]):
        assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
        assert choice["message"]["tool_calls"][0]["function"] == CALL["function"]
    assert (got["tools"], got["tool_choice"], got["response_format"]) == ([TOOL], "required", None)
    ChatCompletion.model_validate(got, strict=True)


async def test_an_answer_that_was_cut_short_is_a_completion(client: Client) -> None:
    """A completion that ran out of tokens is stored and says so."""
    client.upstream.then(http_json(whole("Hel", finish_reason="length")))
    made = await complete(client)
    _, got = await client.call("GET", f"{PATH}/{made['id']}")
    assert got["choices"][0]["finish_reason"] == "length"


async def test_what_was_not_to_be_stored_is_unknown(client: Client) -> None:
    """Without `store: true` nothing is kept: that is this API's default."""
    for fields in ({}, {"store": False}, {"store": None}):
        made = await complete(client, **{"store": False, **fields})
        status, _ = await client.call("GET", f"{PATH}/{made['id']}")
        assert status == 404
    assert await listed(client) == []


async def test_turns_that_came_to_no_answer_are_no_completions(client: Client) -> None:
    """A turn that failed is a failed response, and nothing in chat, which has no words for it."""
    client.upstream.then(http_stream_head(), chunk(delta(role="assistant", content="Hel")), Drop())
    body = {"model": MODEL, "store": True, "stream": True, "messages": [HELLO]}
    async with client.http.post(client.base_url + PATH, json=body) as answer:
        raw = (await answer.read()).decode()
    assert '"error"' in raw
    _, page = await client.call("GET", "/v1/responses")
    [failed] = page["data"]
    assert failed["status"] == "failed"
    assert await listed(client) == []
    for method, path, sent in _every_operation(failed["id"].replace("resp_", "chatcmpl-")):
        status, _ = await client.call(method, path, sent)
        assert status == 404, (method, path)


# One state.


async def test_a_completion_is_a_response(client: Client) -> None:
    """The same turn is retrieved, continued and found as a response, with the same digits."""
    made = await complete(client, {"role": "developer", "content": "Be kind."}, HELLO, metadata={"kind": "a"})
    its_id = response_id(made["id"])
    status, response = await client.call("GET", f"/v1/responses/{its_id}")
    _, got = await client.call("GET", f"{PATH}/{made['id']}")
    assert (status, response["metadata"], response["created_at"]) == (200, {"kind": "a"}, got["created"])
    assert "origin" not in response
    _, found = await client.call("GET", "/v1/responses?metadata[kind]=a")
    assert [each["id"] for each in found["data"]] == [its_id]

    await client.respond("And now?", previous_response_id=its_id)
    assert [(each["role"], each["content"]) for each in client.upstream.last_messages] == [
        ("system", "Be kind."),
        ("user", "Hello"),
        ("assistant", "Hello there."),
        ("user", "And now?"),
    ]


async def test_only_what_chat_made_is_in_chat(client: Client) -> None:
    """Responses of the Responses API are neither listed nor found there, whatever is done with their digits."""
    ours = await client.respond()
    made = await complete(client)
    assert await listed(client) == await listed(client, "?limit=1") == [made["id"]]
    assert await listed(client, f"?after={made['id']}") == []
    foreign = ours["id"].replace("resp_", "chatcmpl-")
    assert (await client.call("GET", f"{PATH}?after={foreign}"))[0] == 404
    for completion_id in (ours["id"], ours["id"].replace("resp_", "chatcmpl-"), response_id(made["id"])):
        for method, path, body in _every_operation(completion_id):
            status, answer = await client.call(method, path, body)
            assert (status, answer["error"]["message"]) == (404, f"Completion with id '{completion_id}' not found.")
    assert (await client.call("GET", f"/v1/responses/{ours['id']}"))[0] == 200


def _every_operation(completion_id: str) -> list[tuple[str, str, Any]]:
    one = f"{PATH}/{completion_id}"
    update = {"metadata": {"a": "b"}}
    return [("GET", one, None), ("GET", f"{one}/messages", None), ("POST", one, update), ("DELETE", one, None)]


async def test_a_foreign_completion_is_answered_like_one_that_never_was(client: Client) -> None:
    """Another tenant's, a deleted and an invented id are the same bytes, whatever is asked."""
    made, deleted = (await complete(client))["id"], (await complete(client))["id"]
    await client.call("DELETE", f"{PATH}/{deleted}")
    stored = client.gateway.completions(StoredChat())
    other = Principal(tenant=TenantId("other"))
    for use in (
        stored.retrieve,
        lambda its_id, who: stored.messages(its_id, StoredChat().decode_messages({}), who),
        lambda its_id, who: stored.update(its_id, {}, who),
        stored.delete,
        lambda its_id, who: stored.list(StoredChat().decode_list({"after": [its_id]}), who),
    ):
        for completion_id in (made, deleted, f"chatcmpl-{NOBODYS}", "no id at all"):
            with pytest.raises(CompletionNotFound) as caught:
                await use(completion_id, other)
            assert caught.value.message == f"Completion with id '{completion_id}' not found."
    assert await listed(client) == [made]


async def test_either_view_deletes_the_one_state(client: Client) -> None:
    """A deleted completion is no response any more, and the other way round; what continues it stays."""
    first, second = await complete(client), await complete(client)
    follower = await client.respond("Go on.", previous_response_id=response_id(first["id"]))
    assert await client.call("DELETE", f"{PATH}/{first['id']}") == (
        200,
        {"object": "chat.completion.deleted", "id": first["id"], "deleted": True},
    )
    assert (await client.call("GET", f"/v1/responses/{response_id(first['id'])}"))[0] == 404
    assert (await client.call("DELETE", f"/v1/responses/{response_id(second['id'])}"))[0] == 200
    assert (await client.call("GET", f"{PATH}/{second['id']}"))[0] == 404
    assert await listed(client) == []
    await client.respond("And on.", previous_response_id=follower["id"])
    assert client.upstream.last_messages[0]["content"] == "Hello"


async def test_a_turn_with_a_key_is_stored_as_a_completion(client: Client) -> None:
    """A turn that is written down before it is carried out, because of its key, keeps what chat needs."""
    body = {"model": MODEL, "store": True, "messages": [{"role": "user", "name": "ann", "content": "Hi"}], "seed": 3}
    answers = [await client.call("POST", PATH, body, **{"idempotency-key": "k"}) for _ in range(2)]
    assert [status for status, _ in answers] == [200, 200]
    [made] = {completion["id"] for _, completion in answers}
    _, got = await client.call("GET", f"{PATH}/{made}")
    page = await messages(client, made)
    assert (got["seed"], page["data"][0]["name"]) == (3, "ann")
    assert await listed(client) == [made]


# Lists.


async def test_lists_are_filtered_and_paged(client: Client) -> None:
    """Filters by model and metadata all have to fit; pages go on after an id, in the order that was asked for."""
    made = [(await complete(client, metadata={"kind": kind, "all": "yes"}))["id"] for kind in ("a", "b", "a", "b", "a")]
    await client.respond(metadata={"kind": "a", "all": "yes"})
    assert await listed(client) == made
    assert await listed(client, "?order=desc&limit=2") == made[:2:-1]
    assert await listed(client, f"?limit=2&after={made[1]}") == made[2:4]
    assert await listed(client, "?metadata[kind]=a") == made[::2]
    assert await listed(client, f"?metadata[kind]=a&metadata[all]=yes&after={made[0]}&order=asc") == made[2::2]
    assert await listed(client, f"?model={MODEL}&metadata[kind]=b") == made[1::2]
    assert await listed(client, "?model=other") == []
    _, page = await client.call("GET", f"{PATH}?limit=2")
    assert (page["object"], page["first_id"], page["last_id"], page["has_more"]) == ("list", made[0], made[1], True)


class Wordless(StoredChat):
    """A dialect that has no words for some answers."""

    def __init__(self, *unspeakable: str) -> None:
        self._unspeakable = unspeakable

    def show(self, completion: StoredCompletion) -> JsonObject:
        shown = super().show(completion)
        if shown["id"] in self._unspeakable:
            raise UpstreamBroken("There are no words for it.")
        return shown


async def test_a_list_goes_on_past_what_has_no_words(client: Client) -> None:
    """A completion that its dialect cannot say is refused when it is retrieved, and left out of a list."""
    made = [(await complete(client))["id"] for _ in range(3)]
    stored = client.gateway.completions(Wordless(made[1]))
    page = await stored.list(ListRequest(order="asc"))
    assert ([each["id"] for each in page.data], page.has_more) == ([made[0], made[2]], False)
    with pytest.raises(UpstreamBroken):
        await stored.retrieve(made[1])


async def test_no_page_is_empty_before_the_end(client: Client) -> None:
    """Clients take an empty page as the last one: there is none of completions that nobody can say."""
    made = [(await complete(client))["id"] for _ in range(4)]
    stored = client.gateway.completions(Wordless(*made[:3]))
    for limit in (1, 2):
        page = await stored.list(ListRequest(order="asc", limit=limit))
        assert ([each["id"] for each in page.data], page.has_more) == ([made[3]], False)
    only = client.gateway.completions(Wordless(*made))
    assert await only.list(ListRequest(order="asc", limit=1)) == ListPage(data=(), has_more=False)


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("?limit=0", "limit"),
        ("?order=up", "order"),
        ("?status=completed", "status"),
        (f"/chatcmpl-{NOBODYS}?stream=true", "stream"),
        (f"/chatcmpl-{NOBODYS}/messages?limit=101", "limit"),
    ],
)
async def test_wrong_parameters_are_refused_by_name(sqlite_client: Client, path: str, param: str) -> None:
    """A parameter that is wrong or unknown is named, before anything is looked for."""
    status, answer = await sqlite_client.call("GET", PATH + path)
    assert (status, answer["error"]["param"], answer["error"]["type"]) == (400, param, "invalid_request_error")


# Updates.


async def test_an_update_is_seen_in_both_views(client: Client) -> None:
    """New metadata are shown and searched in both views; everything else, the recorded stream too, stays."""
    made = await complete(client, metadata={"kind": "a"})
    _, before = await client.call("GET", f"{PATH}/{made['id']}")
    _, updated = await client.call("POST", f"{PATH}/{made['id']}", {"metadata": {"kind": "b", "more": "c"}})
    assert updated == {**before, "metadata": {"kind": "b", "more": "c"}}
    assert (await client.call("GET", f"{PATH}/{made['id']}"))[1] == updated
    _, response = await client.call("GET", f"/v1/responses/{response_id(made['id'])}")
    assert response["metadata"] == updated["metadata"]
    for kind, found in (("a", []), ("b", [made["id"]])):
        assert await listed(client, f"?metadata[kind]={kind}") == found
        _, page = await client.call("GET", f"/v1/responses?metadata[kind]={kind}")
        assert [each["id"] for each in page["data"]] == [response_id(each) for each in found]
    url = f"{client.base_url}/v1/responses/{response_id(made['id'])}?stream=true"
    async with client.http.get(url) as answer:
        assert (await answer.read()).count(b'"more":"c"') == 3  # created, in progress, completed
    _, cleared = await client.call("POST", f"{PATH}/{made['id']}", {"metadata": None})
    assert cleared["metadata"] == {}


@pytest.mark.parametrize(
    ("body", "param"), [({}, "metadata"), ({"metadata": {"a": 1}}, "metadata.a"), ({"metadata": {}, "seed": 1}, "seed")]
)
async def test_wrong_updates_are_refused_by_name(sqlite_client: Client, body: Any, param: str) -> None:
    """Only metadata can be updated, and only to what they may be."""
    made = await complete(sqlite_client)
    status, answer = await sqlite_client.call("POST", f"{PATH}/{made['id']}", body)
    assert (status, answer["error"]["param"]) == (400, param)


async def test_of_updates_at_once_one_is_the_last(client: Client) -> None:
    """Many updates at once all succeed, and the completion is found by the last one's metadata alone."""
    made = await complete(client)
    kinds = [f"{index}" for index in range(8)]
    answers = await asyncio.gather(
        *(client.call("POST", f"{PATH}/{made['id']}", {"metadata": {"kind": kind}}) for kind in kinds)
    )
    assert [(200, {"kind": kind}) for kind in kinds] == [(status, body["metadata"]) for status, body in answers]
    _, got = await client.call("GET", f"{PATH}/{made['id']}")
    found = [kind for kind in kinds if await listed(client, f"?metadata[kind]={kind}")]
    assert found == [got["metadata"]["kind"]]


# What surrounds it.


async def test_every_use_is_in_the_audit_trail(client: Client) -> None:
    """Each use is noted under the response's id; of what there is not, only the refusal."""
    made = await complete(client)
    its_id = response_id(made["id"])
    for method, path, body in _every_operation(made["id"]):
        assert (await client.call(method, path, body))[0] == 200
    for method, path, body in _every_operation(f"chatcmpl-{NOBODYS}"):
        assert (await client.call(method, path, body))[0] == 404
    await listed(client)
    # What only reads is written down a moment later, together with others.
    assert sorted(await told(client)) == sorted(
        [
            f"response.create {its_id} ok",
            f"response.read {its_id} ok",
            f"items.read {its_id} ok",
            f"response.update {its_id} ok",
            f"response.delete {its_id} ok",
            f"response.read resp_{NOBODYS} not_found",
            f"items.read resp_{NOBODYS} not_found",
            f"response.update resp_{NOBODYS} not_found",
            f"response.delete resp_{NOBODYS} not_found",
            "response.list ok",
        ]
    )


async def test_an_export_has_what_chat_keeps(client: Client) -> None:
    """What is kept of a client's own words, a name for example, is in what an end user can take along."""
    await complete(client, {"role": "user", "name": "ann-marie", "content": "Hi"}, user="ann")
    async with client.http.get(f"{client.base_url}/v1/end_users/ann/export") as answer:
        assert (answer.status, b'"name":"ann-marie"' in await answer.read()) == (200, True)


async def test_nothing_of_a_completion_is_in_the_clear(scripted: ScriptedUpstream, tmp_path: Path) -> None:
    """No byte of what a completion keeps, nor that chat asked for it, can be read in the database's file."""
    path = tmp_path / "antiphon.db"
    gateway = Gateway([upstream(scripted.url, name="scripted")]).with_session_store(SQLiteSessionStore(path))
    async with serving(gateway, scripted) as client:
        said = {"role": "user", "name": "sesame-name", "content": "sesame-text"}
        made = await complete(client, said, seed=7, metadata={"sesame-key": "sesame-value"})
        await client.call("POST", f"{PATH}/{made['id']}", {"metadata": {"sesame-key": "sesame-new"}})
    raw = b"".join(each.read_bytes() for each in tmp_path.iterdir() if each.name.startswith("antiphon.db"))
    assert made["id"].removeprefix("chatcmpl-").encode() in raw
    assert b"sesame" not in raw
    assert b"openai_chat" not in raw


async def test_without_a_store_there_are_none(scripted: ScriptedUpstream) -> None:
    """A stateless gateway refuses to store a completion, by name, and says that it keeps none."""
    async with serving(Gateway([upstream(scripted.url, name="scripted")]), scripted) as client:
        body = {"model": MODEL, "messages": [HELLO], "store": True}
        status, answer = await client.call("POST", PATH, body)
        assert (status, answer["error"]["param"]) == (400, "store")
        for path in (PATH, f"{PATH}/chatcmpl-{NOBODYS}"):
            status, answer = await client.call("GET", path)
            assert (status, "keeps no state" in answer["error"]["message"]) == (400, True)
