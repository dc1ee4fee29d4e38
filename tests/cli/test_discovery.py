"""Zero configuration: what is found, and what is taken for something that it is not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from antiphon.app import complete, provider_names
from antiphon.app.presets import PRESETS
from antiphon.cli.discovery import USUAL_SERVERS, Server, discover
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
    found = await discover({}, [Server(str(place), port) for place, port in enumerate(ports)])
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
    ("owner", "usual", "provider"),
    [
        ("llamacpp", None, "llamacpp"),
        ("vllm", None, "vllm"),
        ("sglang", None, "sglang"),
        ("vllm", "ollama", "vllm"),
        ("library", "ollama", "ollama"),
        ("library", None, None),
        (None, None, None),
        (7, None, None),
    ],
)
async def test_a_server_is_known_by_its_models(
    stack: AsyncExitStack, owner: object, usual: str | None, provider: str | None
) -> None:
    """What a server says of its models is believed before what its port suggests; one that says nothing is any."""
    models = json.dumps({"data": [{"id": "m", "owned_by": owner}]}).encode()
    port = (await stack.enter_async_context(serving(saying(reply(models))))).port

    found = await discover({}, [Server("found", port, PRESETS[usual] if usual else None)])

    expected: dict[str, object] = {"name": "found", "base_url": f"http://127.0.0.1:{port}/v1"}
    assert found == [expected if provider is None else {**expected, "provider": provider}]
    assert configured(found, {}).upstreams[0].base_url == expected["base_url"]


def test_the_usual_servers() -> None:
    """Each has a name and a port of its own, and only a port that nobody else uses says what listens there."""
    assert [(server.name, server.port, server.preset and server.preset.name) for server in USUAL_SERVERS] == [
        ("ollama", 11434, "ollama"),
        ("lm_studio", 1234, "lm_studio"),
        ("llamacpp", 8080, None),
        ("vllm", 8000, None),
        ("sglang", 30000, None),
        ("llamacpp-2", 8081, None),
    ]


async def test_nobody() -> None:
    """Nothing found is an empty list."""
    assert await discover({}, []) == []


def configured(found: list[dict[str, object]], environment: dict[str, str]) -> Settings:
    """The settings that what was found becomes."""
    return Settings.load(env=environment, overrides={"upstreams": found}, dialects=provider_names(), complete=complete)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"OPENAI_API_KEY": " sk-1 "}, {"name": "openai", "provider": "openai"}),
        (
            {"OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": "https://api.openai.com/v1/"},
            {"name": "openai", "provider": "openai"},
        ),
        (
            {"OPENAI_API_KEY": " sk-1 ", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1/"},
            {"name": "openai", "base_url": "http://127.0.0.1:9/v1", "api_key": "sk-1"},
        ),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, {"name": "openai", "base_url": "http://127.0.0.1:9/v1"}),
    ],
    ids=["key", "key and its own address", "key and address", "address"],
)
async def test_openai(environment: dict[str, str], expected: dict[str, object]) -> None:
    """A key means OpenAI, as its preset says; another address is another server. Both are valid settings."""
    found = await discover(environment, [])

    assert found == [expected]
    upstream = configured(found, environment).upstreams[0]
    assert upstream.base_url == expected.get("base_url", "https://api.openai.com/v1")
    assert (upstream.api_key.reveal() if upstream.api_key else None) == (
        "sk-1" if "OPENAI_API_KEY" in environment else None
    )


async def test_every_vendor_with_a_key() -> None:
    """Each key in its usual variable is a vendor, in the order of the presets; an empty one is none."""
    environment = {
        "XAI_API_KEY": "xai-1",
        "DEEPSEEK_API_KEY": "sk-2",
        "GROQ_API_KEY": " ",
        "MISTRAL_API_KEY": "m-3",
        "OPENROUTER_API_KEY": "sk-or-4",
        "SOME_API_KEY": "x",
    }

    found = await discover(environment, [])

    assert [upstream["name"] for upstream in found] == ["deepseek", "mistral", "xai", "openrouter"]
    keys = [upstream.api_key for upstream in configured(found, environment).upstreams]
    assert [key and key.reveal() for key in keys] == ["sk-2", "m-3", "xai-1", "sk-or-4"]


@pytest.mark.parametrize(
    ("variable", "provider"),
    [("OPENAI_API_KEY", "openai"), ("ANTHROPIC_API_KEY", "anthropic"), ("GEMINI_API_KEY", "gemini")],
)
async def test_one_way_to_each_vendor(variable: str, provider: str) -> None:
    """A key that a preset and a dialect have in common is one upstream; a dialect's own key is one too."""
    environment = {variable: "test-key"}

    found = await discover(environment, [])

    assert found == [{"name": provider, "provider": provider}]
    assert configured(found, environment).upstreams[0].base_url.startswith("https://")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"AZURE_OPENAI_API_KEY": "k"}, []),
        ({"AZURE_OPENAI_ENDPOINT": "https://name.openai.azure.com/"}, []),
        (
            {"AZURE_OPENAI_API_KEY": "k", "AZURE_OPENAI_ENDPOINT": "https://name.openai.azure.com/"},
            [{"name": "azure_openai", "provider": "azure_openai"}],
        ),
    ],
    ids=["a key alone", "an address alone", "both"],
)
async def test_a_vendor_whose_customers_have_addresses(
    environment: dict[str, str], expected: list[dict[str, object]]
) -> None:
    """Azure is served if both its key and the resource's address are in the environment."""
    found = await discover(environment, [])

    assert found == expected
    for upstream in configured(found, environment).upstreams:
        assert upstream.base_url == "https://name.openai.azure.com/openai/v1"
