"""Lists of responses and conversations, with pages and filters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.gateway.conftest import Client, serving
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
    whole,
)

from antiphon import Gateway, upstream
from antiphon.hub.format import ConversationDraft
from antiphon.hub.ids import TenantId
from antiphon.hub.principal import Principal
from antiphon.sessions.search import term

OTHER = Principal(tenant=TenantId("other"))


class SetClock:
    """Seconds since the epoch, as a test sets them."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def timed(scripted: ScriptedUpstream, store: Any, clock: SetClock) -> AsyncIterator[Client]:
    gateway = Gateway([upstream(scripted.url, name="scripted")], clock=clock, retention_days=None)
    async with serving(gateway.with_session_store(store), scripted) as client:
        yield client


async def ids(client: Client, path: str) -> list[str]:
    status, body = await client.call("GET", path)
    assert status == 200, body
    return [entry["id"] for entry in body["data"]]


async def conversations(client: Client, *metadata: dict[str, str]) -> list[str]:
    made = [(await client.call("POST", "/v1/conversations", {"metadata": pairs}))[1]["id"] for pairs in metadata]
    return [str(conversation_id) for conversation_id in made]


async def test_responses_are_listed_newest_first(client: Client) -> None:
    """Each is the whole response, as its own retrieval answers it."""
    made = [await client.respond(text) for text in ("one", "two", "three")]

    status, listed = await client.call("GET", "/v1/responses")

    assert status == 200
    newest_first = [(await client.call("GET", f"/v1/responses/{turn['id']}"))[1] for turn in reversed(made)]
    assert listed == {
        "object": "list",
        "data": newest_first,
        "first_id": made[2]["id"],
        "last_id": made[0]["id"],
        "has_more": False,
    }
    assert await ids(client, "/v1/responses?order=asc") == [turn["id"] for turn in made]


async def test_background_responses_are_listed_while_they_run(client: Client) -> None:
    """A list shows them with their status where they stay when they are done, and finds them by what they are."""
    wait = Wait(asyncio.Event())
    client.upstream.then(http_stream_head(), chunk(delta(content="a")), wait, chunk(finish()) + b"0\r\n\r\n")
    running = await client.respond("hi", background=True, metadata={"k": "v"})
    await wait.reached.wait()
    later = await client.respond("later")
    assert await ids(client, "/v1/responses") == [later["id"], running["id"]]
    assert await ids(client, "/v1/responses?status=completed") == [later["id"]]
    assert await ids(client, "/v1/responses?metadata[k]=v") == [running["id"]]

    async def found(status: str) -> list[str]:
        return await ids(client, f"/v1/responses?status={status}")

    while not await found("in_progress"):
        await asyncio.sleep(0.005)
    listed = (await client.call("GET", "/v1/responses?status=in_progress"))[1]["data"]
    assert [(entry["id"], entry["status"], entry["background"]) for entry in listed] == [
        (running["id"], "in_progress", True)
    ]
    wait.event.set()
    while not (await found("completed"))[1:]:
        await asyncio.sleep(0.005)
    assert await ids(client, "/v1/responses") == [later["id"], running["id"]]


async def test_an_empty_list_has_no_ends(client: Client) -> None:
    """Both ids are null where there is nothing."""
    for path in ("/v1/responses", "/v1/conversations", "/v1/prompts"):
        status, listed = await client.call("GET", path)
        assert (status, listed) == (
            200,
            {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False},
        )


@pytest.mark.parametrize("kind", ["responses", "conversations"])
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_pages_join_without_gaps(client: Client, kind: str, order: str) -> None:
    """Going on after the last id of each page walks the whole list once."""
    if kind == "responses":
        made = [(await client.respond(str(number)))["id"] for number in range(5)]
    else:
        made = await conversations(client, *[{}] * 5)
    seen: list[str] = []
    after = ""
    more = True
    while more:
        _, page = await client.call("GET", f"/v1/{kind}?limit=2&order={order}{after}")
        assert len(page["data"]) <= 2
        seen += [entry["id"] for entry in page["data"]]
        more = page["has_more"]
        after = f"&after={page['last_id']}"
    if kind == "responses":
        assert seen == (made if order == "asc" else made[::-1])
    assert sorted(seen) == sorted(made)


async def test_conversations_are_listed_by_their_time(timed: Client, clock: SetClock) -> None:
    """Newest first, each as its own retrieval answers it."""
    made = []
    for _ in range(3):
        made += await conversations(timed, {"a": "b"})
        clock.now += 10
    _, listed = await timed.call("GET", "/v1/conversations")
    expected = [(await timed.call("GET", f"/v1/conversations/{made_id}"))[1] for made_id in reversed(made)]
    assert listed["data"] == expected
    assert await ids(timed, "/v1/conversations?order=asc") == made


@pytest.mark.parametrize("kind", ["responses", "conversations"])
async def test_metadata_filters_combine(client: Client, kind: str) -> None:
    """Every pair has to fit, as a whole: names and values do not mix."""
    pairs = [{"user": "ada", "topic": "tea"}, {"user": "ada", "topic": "ada"}, {"user": "tea"}, {}]
    if kind == "responses":
        made = [(await client.respond("x", metadata=metadata))["id"] for metadata in pairs]
    else:
        made = await conversations(client, *pairs)

    async def found(query: str) -> list[int]:
        return sorted(made.index(made_id) for made_id in await ids(client, f"/v1/{kind}?{query}"))

    assert await found("metadata[user]=ada") == [0, 1]
    assert await found("metadata[user]=ada&metadata[topic]=tea") == [0]
    assert await found("metadata%5Buser%5D=tea") == [2]
    assert await found("metadata[user]=ad") == []
    assert await found("metadata[us]=erada") == []
    assert await found("metadata[topic]=ada&metadata[user]=tea") == []
    assert await found("") == [0, 1, 2, 3]


async def test_a_conversation_is_found_by_its_present_metadata(client: Client) -> None:
    """After an update the old pairs do not find it any more, and the new ones do."""
    (made,) = await conversations(client, {"state": "open", "kept": "no"})
    await client.call("POST", f"/v1/conversations/{made}", {"metadata": {"state": "closed"}})
    assert await ids(client, "/v1/conversations?metadata[state]=open") == []
    assert await ids(client, "/v1/conversations?metadata[kept]=no") == []
    assert await ids(client, "/v1/conversations?metadata[state]=closed") == [made]
    await client.call("POST", f"/v1/conversations/{made}", {"metadata": None})
    assert await ids(client, "/v1/conversations?metadata[state]=closed") == []


async def test_a_fork_is_found_by_its_own_metadata(client: Client) -> None:
    """Not by that of the conversation it was forked from."""
    (origin,) = await conversations(client, {"topic": "tea"})
    _, fork = await client.call("POST", f"/v1/conversations/{origin}/fork", {"metadata": {"topic": "coffee"}})
    assert await ids(client, "/v1/conversations?metadata[topic]=tea") == [origin]
    assert await ids(client, "/v1/conversations?metadata[topic]=coffee") == [fork["id"]]


async def test_responses_are_filtered_by_what_they_are(client: Client) -> None:
    """By model (as answered or as asked for), status and conversation, alone and together."""
    (conversation_id,) = await conversations(client, {})
    plain = (await client.respond("one"))["id"]
    inside = (await client.respond("two", conversation=conversation_id))["id"]
    client.upstream.then(http_stream_head(), Drop())
    failed = (await client.stream("three"))[-1]["response"]["id"]

    assert await ids(client, "/v1/responses?status=completed") == [inside, plain]
    assert await ids(client, "/v1/responses?status=failed") == [failed]
    assert await ids(client, f"/v1/responses?conversation={conversation_id}") == [inside]
    assert await ids(client, f"/v1/responses?conversation={conversation_id}&status=failed") == []
    assert await ids(client, "/v1/responses?model=scripted-1-2026-01-01") == [inside, plain]
    assert await ids(client, f"/v1/responses?model={MODEL}") == [failed, inside, plain]
    assert await ids(client, "/v1/responses?model=other") == []


@pytest.mark.parametrize("kind", ["responses", "conversations"])
async def test_times_are_bounds_that_are_not_themselves_in(timed: Client, clock: SetClock, kind: str) -> None:
    """created_after and created_before leave out the very second that they name."""
    made: list[str] = []
    start = int(clock.now)
    for _ in range(3):
        made += [(await timed.respond("x"))["id"]] if kind == "responses" else await conversations(timed, {})
        clock.now += 10
    assert await ids(timed, f"/v1/{kind}?created_after={start}") == [made[2], made[1]]
    assert await ids(timed, f"/v1/{kind}?created_before={start + 10}") == [made[0]]
    assert await ids(timed, f"/v1/{kind}?created_after={start}&created_before={start + 20}") == [made[1]]


async def test_bulky_fields_are_shown_only_on_request(client: Client) -> None:
    """``include`` means in a list what it means in a retrieval."""
    completion: dict[str, Any] = whole("x")
    completion["choices"][0]["logprobs"] = {"content": [{"token": "x", "logprob": -0.5, "bytes": [120]}]}
    client.upstream.then(http_json(completion))
    turn = await client.respond("x", include=["message.output_text.logprobs"])
    shown = {}
    for query in ("", "?include=message.output_text.logprobs"):
        _, listed = await client.call("GET", f"/v1/responses{query}")
        assert listed["data"] == [(await client.call("GET", f"/v1/responses/{turn['id']}{query}"))[1]]
        shown[query != ""] = len(listed["data"][0]["output"][0]["content"][0]["logprobs"])
    assert shown == {False: 0, True: 1}


@pytest.mark.parametrize(
    ("path", "message", "param", "code"),
    [
        ("responses?statu=failed", "Unknown parameter: 'statu'. Did you mean 'status'?", "statu", "unknown_parameter"),
        ("conversations?status=failed", "Unknown parameter: 'status'.", "status", "unknown_parameter"),
        ("conversations?include=x", "Unknown parameter: 'include'.", "include", "unknown_parameter"),
        ("responses?limit=0", None, "limit", "integer_below_min_value"),
        ("responses?limit=101", None, "limit", "integer_above_max_value"),
        ("responses?limit=ten", None, "limit", "invalid_type"),
        ("responses?limit[]=5", "Unknown parameter: 'limit[]'. Did you mean 'limit'?", "limit[]", "unknown_parameter"),
        ("responses?order=up", None, "order", "invalid_value"),
        ("responses?status=done", None, "status", "invalid_value"),
        ("responses?created_after=yesterday", None, "created_after", "invalid_type"),
        ("responses?created_before=-1", None, "created_before", "integer_below_min_value"),
        ("responses?metadata=x", None, "metadata", "invalid_type"),
        ("responses?metadata=x&metadata[a]=b", None, "metadata", "invalid_type"),
        ("responses?metadata[a]=b&metadata[a]=c", None, "metadata[a]", "invalid_value"),
        (f"responses?metadata[a]={'x' * 513}", None, "metadata.a", "string_above_max_length"),
        (
            "responses?conversation=x",
            "Invalid 'conversation': 'x'. Expected an ID that begins with 'conv'.",
            "conversation",
            "invalid_value",
        ),
        ("prompts?order=asc", "Unknown parameter: 'order'.", "order", "unknown_parameter"),
    ],
    ids=lambda value: value if isinstance(value, str) and "?" in value and len(value) < 60 else "",
)
async def test_a_wrong_query_is_named(client: Client, path: str, message: str | None, param: str, code: str) -> None:
    """What a list does not know, or cannot read, is a 400 with the nearest name."""
    status, body = await client.call("GET", f"/v1/{path}")
    assert (status, body["error"]["param"], body["error"]["code"]) == (400, param, code)
    assert message is None or body["error"]["message"] == message


@pytest.mark.parametrize(
    ("kind", "after", "message"),
    [
        ("responses", "resp_x", "Response with id 'resp_x' not found."),
        ("conversations", "conv_x", "Conversation with id 'conv_x' not found."),
        ("prompts", "pmpt_x", "Prompt with id 'pmpt_x' not found."),
    ],
)
async def test_an_unknown_cursor_is_404(client: Client, kind: str, after: str, message: str) -> None:
    """A list that begins after nothing is not the list from its beginning."""
    status, body = await client.call("GET", f"/v1/{kind}?after={after}")
    assert (status, body["error"]["message"]) == (404, message)


async def test_what_was_deleted_is_in_no_list(client: Client) -> None:
    """A deletion takes effect at once."""
    turn = await client.respond("x", metadata={"a": "b"})
    (conversation_id,) = await conversations(client, {"a": "b"})
    await client.call("DELETE", f"/v1/responses/{turn['id']}")
    await client.call("DELETE", f"/v1/conversations/{conversation_id}")
    for kind in ("responses", "conversations"):
        assert await ids(client, f"/v1/{kind}") == []
        assert await ids(client, f"/v1/{kind}?metadata[a]=b") == []


async def test_lists_show_one_tenant_alone(client: Client) -> None:
    """Another tenant's objects are neither listed nor a cursor."""
    foreign = await client.gateway.respond({"model": MODEL, "input": "hi", "metadata": {"a": "b"}}, OTHER)
    made = await client.gateway.library.create_conversation(ConversationDraft(metadata={"a": "b"}), OTHER)
    for kind, foreign_id in (("responses", foreign["id"]), ("conversations", made["id"])):
        assert await ids(client, f"/v1/{kind}") == []
        assert await ids(client, f"/v1/{kind}?metadata[a]=b") == []
        assert (await client.call("GET", f"/v1/{kind}?after={foreign_id}"))[0] == 404


async def test_a_response_that_goes_meanwhile_is_left_out(client: Client) -> None:
    """A list that is read while responses are deleted answers those that are left."""
    made = [(await client.respond(str(number)))["id"] for number in range(6)]
    deletions = [client.call("DELETE", f"/v1/responses/{made_id}") for made_id in made[::2]]
    (status, listed), *_ = await asyncio.gather(client.call("GET", "/v1/responses"), *deletions)
    assert status == 200
    left = [entry["id"] for entry in listed["data"]]
    assert set(made[1::2]) <= set(left)
    assert left == [made_id for made_id in reversed(made) if made_id in left]


def test_a_term_tells_nothing_and_mixes_nothing() -> None:
    """It depends on the secret, the name and the value, and on where the one ends and the other begins."""
    terms = {
        term(secret, name, value)
        for secret in (b"a" * 32, b"b" * 32)
        for name, value in (("x", "yz"), ("xy", "z"), ("", "xyz"), ("xyz", ""), ("yz", "x"))
    }
    assert len(terms) == 10
    assert {len(made) for made in terms} == {16}
