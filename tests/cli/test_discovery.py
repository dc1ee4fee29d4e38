"""Zero configuration: what is found, and what is taken for something that it is not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from antiphon.cli.discovery import LLAMACPP_QUIRKS, OPENAI_QUIRKS, discover
from antiphon.providers.openai_chat.quirks import read_quirks
from antiphon.settings import Settings
from tests.transport.servers import Handler, reply, saying, serving, stalling

MODELS = b'{"object":"list","data":[{"id":"m"}]}'


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def found_with(stack: AsyncExitStack, *handlers: Handler) -> list[int]:
    """Which of some servers, by their place in the list, are taken for model servers."""
    ports = [(await stack.enter_async_context(serving(handler))).port for handler in handlers]
    found = await discover({}, [(str(place), port) for place, port in enumerate(ports)])
    return [int(str(upstream["name"])) for upstream in found]


async def test_model_servers_in_their_order(stack: AsyncExitStack) -> None:
    """Servers that list models are found, in the order in which they are looked for."""
    late = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await late.wait()
        writer.write(reply(MODELS))

    async def quick(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(MODELS))
        late.set()

    assert await found_with(stack, slow, quick) == [0, 1]


async def test_what_is_no_model_server(stack: AsyncExitStack) -> None:
    """Another service, a silent one, and another Antiphon are left alone."""
    handlers = [
        saying(reply(b"<html>hello</html>")),
        saying(reply(b'{"data":[{"name":"no id"}]}')),
        saying(reply(b'{"error":"who are you"}', status="401 Unauthorized")),
        saying(reply(MODELS, "x-antiphon-version: 1")),
        stalling,
        saying(b"nonsense\r\n\r\n"),
    ]

    assert await found_with(stack, *handlers) == []


@pytest.mark.parametrize(
    ("owner", "quirks"),
    [("llamacpp", {"quirks": dict(LLAMACPP_QUIRKS)}), ("library", {}), (None, {}), (7, {})],
)
async def test_llamacpp_is_known_by_its_models(stack: AsyncExitStack, owner: object, quirks: dict[str, object]) -> None:
    """A server that keeps the prompts that it has read is asked to count them."""
    models = json.dumps({"data": [{"id": "m", "owned_by": owner}]}).encode()
    port = (await stack.enter_async_context(serving(saying(reply(models))))).port
    assert await discover({}, [("found", port)]) == [
        {"name": "found", "base_url": f"http://127.0.0.1:{port}/v1", **quirks}
    ]


async def test_nobody() -> None:
    """Nothing found is an empty list."""
    assert await discover({}, []) == []


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (
            {"OPENAI_API_KEY": "sk-1"},
            {
                "name": "openai",
                "base_url": "https://api.openai.com/v1",
                "api_key": "sk-1",
                "quirks": dict(OPENAI_QUIRKS),
            },
        ),
        (
            {"OPENAI_API_KEY": " sk-1 ", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1/"},
            {"name": "openai", "base_url": "http://127.0.0.1:9/v1", "api_key": "sk-1"},
        ),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, {"name": "openai", "base_url": "http://127.0.0.1:9/v1"}),
    ],
    ids=["key", "key and address", "address"],
)
async def test_openai(environment: dict[str, str], expected: dict[str, object]) -> None:
    """A key means OpenAI with its quirks; another address is another server, without them. Both are valid settings."""
    found = await discover(environment, [])

    assert found == [expected]
    assert Settings.load(overrides={"upstreams": found}).upstreams[0].name == "openai"


def test_the_quirks_exist() -> None:
    """What discovery says of a server is what the provider understands."""
    assert read_quirks(OPENAI_QUIRKS).max_tokens_field == "max_completion_tokens"
    assert read_quirks(LLAMACPP_QUIRKS).counting == "completion"
