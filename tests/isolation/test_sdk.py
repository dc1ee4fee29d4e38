"""The official client of one tenant, over real sockets, with every id of another one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.cli.running import finished
from tests.support.gateway_process import GatewayProcess
from tests.support.scripted_upstream import MODEL, ScriptedUpstream

_READS = (
    *("responses.retrieve", "conversations.retrieve", "items.retrieve", "responses.create, of"),
    *("chat.completions.retrieve", "chat.completions.messages.list"),
)
_UNKNOWN = (openai.NotFoundError, openai.BadRequestError)


async def _key(store: Path, tenant: str) -> str:
    at = ("--store", f"sqlite:///{store}")
    await finished("tenants", "create", tenant, *at, cwd=store.parent)
    made = await finished("keys", "create", "--tenant", tenant, *at, cwd=store.parent)
    assert made.code == 0, made.err
    return made.out.strip()


def _client(gateway: GatewayProcess, key: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=gateway.base_url, api_key=key, max_retries=0)


def _calls(client: openai.AsyncOpenAI, ids: dict[str, str]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every method of the client that takes an id, with these."""
    responses, conversations = client.responses, client.conversations
    response, conversation, item = ids["response"], ids["conversation"], ids["item"]
    message: Any = {"type": "message", "role": "user", "content": "x"}
    reference: Any = [{"type": "item_reference", "id": item}]
    yield "responses.retrieve", lambda: responses.retrieve(response)
    yield "responses.retrieve, stream", lambda: responses.retrieve(response, stream=True)
    yield "responses.retrieve, from", lambda: responses.retrieve(response, stream=True, starting_after=0)
    yield "responses.delete", lambda: responses.delete(response)
    yield "responses.cancel", lambda: responses.cancel(response)
    yield "responses.input_items.list", lambda: _listed(responses.input_items.list(response))
    yield "responses.create, after", lambda: responses.create(model=MODEL, input="x", previous_response_id=response)
    yield "responses.create, in", lambda: responses.create(model=MODEL, input="x", conversation=conversation)
    yield "responses.create, of", lambda: responses.create(model=MODEL, input=reference)
    yield "responses.create, prompt", lambda: responses.create(model=MODEL, input="x", prompt={"id": ids["prompt"]})
    yield (
        "responses.create, background",
        lambda: responses.create(model=MODEL, input="x", previous_response_id=response, background=True),
    )
    yield (
        "responses.stream",
        lambda: responses.create(model=MODEL, input="x", previous_response_id=response, stream=True),
    )
    yield "responses.parse", lambda: responses.parse(model=MODEL, input="x", previous_response_id=response)
    yield "responses.compact", lambda: responses.compact(model=MODEL, previous_response_id=response)
    yield (
        "responses.input_tokens.count",
        lambda: responses.input_tokens.count(model=MODEL, input="x", previous_response_id=response),
    )
    yield "conversations.retrieve", lambda: conversations.retrieve(conversation)
    yield "conversations.update", lambda: conversations.update(conversation, metadata={"a": "b"})
    yield "conversations.delete", lambda: conversations.delete(conversation)
    yield "conversations.create, of", lambda: conversations.create(items=reference)
    yield "items.list", lambda: _listed(conversations.items.list(conversation))
    yield "items.create", lambda: conversations.items.create(conversation, items=[message])
    yield "items.retrieve", lambda: conversations.items.retrieve(item, conversation_id=conversation)
    stored, completion = client.chat.completions, ids["completion"]
    yield "chat.completions.retrieve", lambda: stored.retrieve(completion)
    yield "chat.completions.update", lambda: stored.update(completion, metadata={"a": "b"})
    yield "chat.completions.delete", lambda: stored.delete(completion)
    yield "chat.completions.list, after", lambda: _listed(stored.list(after=completion))
    yield "chat.completions.messages.list", lambda: _listed(stored.messages.list(completion))
    yield "items.delete", lambda: conversations.items.delete(item, conversation_id=conversation)


async def _listed(page: Any) -> list[Any]:
    return [each async for each in page]


async def _refusal(call: Callable[[], Any]) -> str:
    with pytest.raises(_UNKNOWN) as refused:
        await call()
    return f"{refused.value.status_code} {refused.value.body}"


async def test_the_official_client_reaches_nothing_of_another_tenant(tmp_path: Path) -> None:
    """
    Every method refuses another tenant's ids as it refuses ids of nobody, and what that tenant has is as it was; with
    its own ids, the same calls go through.
    """
    store = tmp_path / "antiphon.db"
    async with ScriptedUpstream.serve() as scripted, contextlib.AsyncExitStack() as stack:
        keys = [await _key(store, tenant) for tenant in ("first", "second")]
        gateway = await stack.enter_async_context(GatewayProcess.serving(store, scripted.url))
        first, second = [await stack.enter_async_context(_client(gateway, key)) for key in keys]
        ids = await _made(second)
        before = await _all_of(second, ids)
        nobodys = {kind: an_id[:-20] + "0123456789abcdef0123" for kind, an_id in ids.items()}
        for (name, call), (_, reference) in zip(_calls(first, ids), _calls(first, nobodys), strict=True):
            refused, expected = await _refusal(call), await _refusal(reference)
            for kind, an_id in nobodys.items():
                expected = expected.replace(an_id, ids[kind])
            assert refused == expected, name
        assert await _all_of(second, ids) == before
        for name, call in _calls(second, ids):
            if name in _READS:
                assert await call() is not None


async def _made(client: openai.AsyncOpenAI) -> dict[str, str]:
    """One of everything."""
    conversation = await client.conversations.create(items=[{"type": "message", "role": "user", "content": "x"}])
    response = await client.responses.create(model=MODEL, input="x")
    items = await _listed(client.conversations.items.list(conversation.id))
    prompt: Any = await client.post("/prompts", body={"instructions": "x"}, cast_to=object)
    asked: Any = [{"role": "user", "content": "x"}]
    completion = await client.chat.completions.create(model=MODEL, messages=asked, store=True)
    return {
        "response": response.id,
        "conversation": conversation.id,
        "item": items[0].id,
        "prompt": prompt["id"],
        "completion": completion.id,
    }


async def _all_of(client: openai.AsyncOpenAI, ids: dict[str, str]) -> list[Any]:
    """What the tenant has, as it sees it."""
    return [
        await client.get("/responses", cast_to=object),
        await client.get("/conversations", cast_to=object),
        await client.get("/prompts", cast_to=object),
        await client.get("/chat/completions", cast_to=object),
        (await client.responses.retrieve(ids["response"])).to_dict(),
        [each.to_dict() for each in await _listed(client.conversations.items.list(ids["conversation"]))],
    ]
