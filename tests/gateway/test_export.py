"""Conversations as files: exported a page at a time, imported as new ones."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import orjson
import pytest
from tests.gateway.conftest import Client, serving
from tests.support.scripted_upstream import ScriptedUpstream

from antiphon import Gateway, upstream
from antiphon.hub.errors import ItemNotFound
from antiphon.hub.format import ConversationDraft
from antiphon.server.body import BodyLimits

CALL = {"type": "function_call", "call_id": "call_kept", "name": "f", "arguments": "{}", "status": "completed"}
OUTPUT = {"type": "function_call_output", "call_id": "call_kept", "output": "42", "status": "completed"}


def jsonl(*values: object) -> bytes:
    return b"".join(orjson.dumps(value) + b"\n" for value in values)


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


async def export(client: Client, conversation_id: str) -> tuple[bytes, list[Any]]:
    async with client.http.get(f"{client.base_url}/v1/conversations/{conversation_id}/export") as answer:
        raw = await answer.read()
        assert (answer.status, answer.headers["content-type"]) == (200, "application/jsonl"), raw
        assert answer.headers["x-request-id"]
    return raw, [orjson.loads(line) for line in raw.splitlines()]


async def send(client: Client, body: bytes, **headers: str) -> tuple[int, Any]:
    status, answer, _ = await send_full(client, body, **headers)
    return status, answer


async def send_full(client: Client, body: bytes, **headers: str) -> tuple[int, Any, Any]:
    sent = {"content-type": "application/jsonl", **headers}
    url = f"{client.base_url}/v1/conversations/import"
    async with client.http.post(url, data=body, headers=sent) as answer:
        return answer.status, orjson.loads(await answer.read()), dict(answer.headers)


async def texts(client: Client, conversation_id: str) -> list[str]:
    _, lines = await export(client, conversation_id)
    return [line["content"][0]["text"] for line in lines[1:]]


def without_ids(lines: list[Any]) -> list[Any]:
    return [{name: value for name, value in line.items() if name != "id"} for line in lines]


async def test_an_export_has_a_line_about_the_conversation_then_its_items(client: Client) -> None:
    """Oldest first, each item whole: also what a list would leave out."""
    image = {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "auto"}
    _, made = await client.call(
        "POST",
        "/v1/conversations",
        {"items": [user("one"), {"role": "user", "content": [image]}], "metadata": {"a": "b"}},
    )
    await client.respond("two", conversation=made["id"])
    raw, lines = await export(client, made["id"])
    assert raw.endswith(b"\n")
    assert lines[0] == {
        "id": made["id"],
        "object": "conversation.export",
        "created_at": made["created_at"],
        "metadata": {"a": "b"},
        "version": 1,
    }
    _, listed = await client.call(
        "GET", f"/v1/conversations/{made['id']}/items?order=asc&include=message.input_image.image_url"
    )
    assert lines[1:] == listed["data"]
    assert lines[2]["content"] == [image]


async def test_an_empty_conversation_is_one_line(client: Client) -> None:
    """And that line is enough to import it."""
    _, made = await client.call("POST", "/v1/conversations", {"metadata": {"a": "b"}})
    raw, lines = await export(client, made["id"])
    assert len(lines) == 1
    status, again = await send(client, raw)
    assert (status, again["metadata"]) == (200, {"a": "b"})
    assert again["id"] != made["id"]


async def test_an_import_of_an_export_is_the_same_conversation(client: Client) -> None:
    """With new ids; calls and their outputs still belong together, and it can be continued."""
    body = {"items": [user("one"), CALL, OUTPUT], "metadata": {"a": "b"}}
    _, origin = await client.call("POST", "/v1/conversations", body)
    await client.respond("two", conversation=origin["id"])
    raw, lines = await export(client, origin["id"])

    status, made = await send(client, raw)

    assert status == 200
    assert made["object"] == "conversation"
    _, again = await export(client, made["id"])
    assert again[0]["metadata"] == {"a": "b"}
    assert without_ids(again[1:]) == without_ids(lines[1:])
    assert {line["id"] for line in again}.isdisjoint({line["id"] for line in lines})
    await client.respond("three", conversation=made["id"])
    sent = client.upstream.last_messages
    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "user", "assistant", "user"]
    assert sent[2]["tool_call_id"] == sent[1]["tool_calls"][0]["id"]


async def test_items_alone_can_be_imported(client: Client) -> None:
    """Without the first line, blank lines and Windows' line ends included."""
    status, made = await send(client, b'{"role":"user","content":"one"}\r\n\n{"role":"user","content":"two"}')
    assert (status, made["metadata"]) == (200, {})
    assert await texts(client, made["id"]) == ["one", "two"]


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (b"", "The body is empty: send the lines of an export, or at least one item.", None),
        (b"\n \n", "The body is empty: send the lines of an export, or at least one item.", None),
        (jsonl(user("a")) + b"{", "Line 2: not valid JSON: ", "invalid_json"),
        (jsonl(user("a"), 7), "Line 2: expected a JSON object.", "invalid_type"),
        (b"\n" + jsonl({"role": "x", "content": "y"}), "Line 2: Invalid value: 'x'.", "invalid_value"),
        (jsonl({"object": "conversation.export", "version": 2}), "Line 1: Invalid 'version': ", None),
        (jsonl({"object": "conversation.export"}), "Line 1: Missing required parameter: 'version'.", None),
        (jsonl({"object": "list", "version": 1}), "Line 1: Invalid value: 'list'.", "invalid_value"),
        (jsonl(user("a"), {"object": "conversation.export", "version": 1}), "Line 2: Invalid value: ", None),
        (
            jsonl({"object": "conversation.export", "version": 1, "metadata": {"a": 7}}),
            "Line 1: Invalid type for 'metadata.a': expected a string, but got an integer instead.",
            "invalid_type",
        ),
        (jsonl({"type": "item_reference", "id": "msg_x"}), "Line 1: Invalid value: 'item_reference'.", "invalid_value"),
        (b'{"role":"user","content":"a","x":' + b"[" * 70 + b"]" * 70 + b"}", "Line 1: The request body is", None),
    ],
    ids=[
        *("empty", "blank", "cut", "number", "item", "version", "no-version", "other-object", "header-later"),
        *("metadata", "reference", "deep"),
    ],
)
async def test_what_is_wrong_is_said_with_its_line(client: Client, body: bytes, message: str, code: str | None) -> None:
    """And nothing is made of the rest."""
    status, answer = await send(client, body)
    assert status == 400
    assert answer["error"]["message"].startswith(message)
    assert code is None or answer["error"]["code"] == code
    assert (await client.call("GET", "/v1/conversations"))[1]["data"] == []


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/jsonl; charset=utf-8", "text/plain"])
async def test_the_usual_names_of_the_format_are_taken(client: Client, kind: str) -> None:
    """There is no registered one."""
    assert (await send(client, jsonl(user("a")), **{"content-type": kind}))[0] == 200


async def test_another_format_is_refused(client: Client) -> None:
    """By its media type, before anything is read into it; so are other query parameters."""
    status, answer = await send(client, b"[]", **{"content-type": "application/json"})
    assert status == 415
    assert "application/jsonl" in answer["error"]["message"]
    status, answer = await send(client, jsonl(user("a")), **{"content-encoding": "br"})
    assert status == 415
    status, answer = await client.call("GET", "/v1/conversations/conv_x/export?format=csv")
    assert (status, answer["error"]["param"]) == (400, "format")


async def test_an_unknown_conversation_is_404(client: Client) -> None:
    """Not an empty file."""
    status, answer = await client.call("GET", "/v1/conversations/conv_x/export")
    assert (status, answer["error"]["message"]) == (404, "Conversation with id 'conv_x' not found.")


async def test_an_import_with_a_key_happens_once(client: Client) -> None:
    """The same lines with the same key are the same conversation; other lines are refused."""
    body = jsonl(user("a"))
    first = await send_full(client, body, **{"idempotency-key": "k"})
    second = await send_full(client, body, **{"idempotency-key": "k"})
    assert first[:2] == second[:2]
    assert second[2]["idempotent-replayed"] == "true"
    status, _ = await send(client, jsonl(user("b")), **{"idempotency-key": "k"})
    assert status in (409, 422)
    assert len((await client.call("GET", "/v1/conversations"))[1]["data"]) == 1


async def test_the_body_limit_holds(scripted: ScriptedUpstream, store: Any) -> None:
    """It is the only limit on how many items an import has."""
    gateway = Gateway([upstream(scripted.url)]).with_session_store(store)
    async with serving(gateway, scripted, body_limits=BodyLimits(max_body_bytes=10_000)) as client:
        status, _ = await send(client, jsonl(*[user("x")] * 100))
        assert status == 200
        status, answer = await send(client, jsonl(*[user("x")] * 1000))
        assert (status, answer["error"]["code"]) == (413, "request_too_large")


@pytest.fixture
def no_collection() -> Iterator[None]:
    """No pause of the garbage collector's, which looks through everything that the tests before have left."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
async def test_thousands_of_items_do_not_hold_up_the_others(client: Client) -> None:
    """While a long conversation comes in and goes out again, the gateway goes on answering."""
    numbers = [str(number) for number in range(3000)]
    body = jsonl(*[user(number) for number in numbers])
    pauses = []
    ended = asyncio.Event()

    async def look() -> None:
        # The server runs in this very event loop: what it does in one go is a pause of ours. Measured is what this
        # thread works, so that a busy machine changes nothing.
        while not ended.is_set():
            before = time.thread_time()
            await asyncio.sleep(0)
            pauses.append(time.thread_time() - before)

    _, warm = await send(client, jsonl(user("what is done once is done by now")))
    await export(client, warm["id"])
    looking = asyncio.ensure_future(look())
    began = time.thread_time()
    status, made = await send(client, body)
    _, lines = await export(client, made["id"])
    took_s = time.thread_time() - began
    ended.set()
    await looking
    assert status == 200
    assert [line["content"][0]["text"] for line in lines[1:]] == numbers
    assert max(pauses) < took_s / 4


async def test_items_are_exported_once_across_pages(client: Client) -> None:
    """The pages that an export is read in join without gaps or repeats."""
    numbers = [str(number) for number in range(1001)]
    _, made = await send(client, jsonl(*[user(number) for number in numbers]))
    assert await texts(client, made["id"]) == numbers


async def test_an_export_whose_place_is_lost_is_an_error(client: Client) -> None:
    """If the item that was read last is taken out before the next page is read, nothing is passed over in silence."""
    _, made = await send(client, jsonl(*[user(str(number)) for number in range(501)]))
    groups = client.gateway.library.export_conversation(made["id"])
    _, first_page = await anext(groups), await anext(groups)
    await client.call("DELETE", f"/v1/conversations/{made['id']}/items/{first_page[-1]['id']}")
    with pytest.raises(ItemNotFound):
        await anext(groups)


async def test_a_broken_export_is_seen_by_its_reader(client: Client) -> None:
    """The connection closes without the end that HTTP needs."""
    part = {"type": "input_text", "text": "x" * 50_000}
    item = {"type": "message", "role": "user", "status": "completed", "content": [part]}
    made = await client.gateway.library.create_conversation(ConversationDraft(items=(item,) * 1001))
    url = f"{client.base_url}/v1/conversations/{made['id']}/export"
    async with client.http.get(url) as answer:
        await answer.content.readline()
        await client.call("DELETE", f"/v1/conversations/{made['id']}")
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
