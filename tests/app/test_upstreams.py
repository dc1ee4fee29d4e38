"""Upstreams that are reached over HTTP, built from a provider's name; and providers that nobody has registered."""

from __future__ import annotations

import json
import re
import runpy
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from antiphon import Gateway, providers, upstream
from antiphon.app import build_application, dialects, provider_names, usual_providers
from antiphon.engine.upstreams import Upstream
from antiphon.hub.errors import UpstreamAuthentication
from antiphon.hub.turn import ModelCall
from antiphon.hub.upstream import UpstreamRequest
from antiphon.providers.openai_chat import OpenAIChat
from antiphon.settings import Secret, Settings, UpstreamSettings
from tests.support.scripted_upstream import whole
from tests.transport.servers import Server, reply, saying, serving

KEY = "test-key-0123456789"
ANSWER = reply(orjson.dumps(whole("Hello.")), "content-type: application/json")


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving(saying(ANSWER)) as server:
        yield server


async def said_by(*upstreams: Upstream) -> str:
    """What a gateway in front of them answers."""
    async with Gateway(list(upstreams)) as gateway:
        response = await gateway.respond({"model": "m", "input": "hi"})
    text: str = response["output"][-1]["content"][0]["text"]
    return text


async def test_a_preset_in_front_of_a_server(server: Server) -> None:
    """A preset's way of writing goes to the address that was given, with the key in its own place."""
    azure = upstream(
        server.base_url, provider="azure_openai", api_key=KEY, models=["m"], query={"api-version": "preview"}
    )

    assert await said_by(azure) == "Hello."

    line, *headers = server.requests[-1].lower().strip().split("\r\n")
    assert line == "post /v1/chat/completions?api-version=preview http/1.1"
    assert f"api-key: {KEY}" in headers
    assert not [header for header in headers if header.startswith("authorization")]
    assert (azure.name, azure.base_url) == ("azure_openai", server.base_url)


async def test_settings_reach_the_wire(server: Server) -> None:
    """Headers, query, quirks and the key's variable of a configuration are what an upstream is asked with."""
    settings = Settings(
        store="memory:",
        upstreams=(
            UpstreamSettings(
                name="a",
                provider="mistral",
                base_url=server.base_url,
                api_key=Secret(KEY),
                headers={"X-Title": Secret("app")},
                query={"v": "1"},
                models=("m",),
                quirks={"drop": ["temperature"]},
            ),
        ),
    )
    application = build_application(settings)
    (built,) = application.upstreams
    answer = await built.transport.send(UpstreamRequest(path="/chat/completions", body=b"{}"))
    await answer.close()
    await application.shutdown()

    head = server.requests[-1].lower()
    assert head.startswith("post /v1/chat/completions?v=1 ")
    assert f"authorization: bearer {KEY}" in head
    assert "x-title: app" in head


async def test_no_key_shows_in_an_error() -> None:
    """An upstream that repeats its key, wherever it was sent, is quoted without it."""
    refusal = reply(json.dumps({"error": {"message": f"bad key {KEY}"}}).encode(), status="401 No")
    async with serving(saying(refusal)) as server:
        azure = upstream(server.base_url, provider="azure_openai", api_key=KEY)
        with pytest.raises(UpstreamAuthentication) as caught:
            await azure.probe()
        await azure.transport.close()
    assert KEY not in caught.value.message
    assert "***" in caught.value.message


def test_the_usual_key_of_the_environment() -> None:
    """A program names a preset; address, key and name are the usual ones. A missing key is told with its variable."""
    made = upstream(provider="groq", environment={"GROQ_API_KEY": KEY})

    assert (made.name, made.base_url) == ("groq", "https://api.groq.com/openai/v1")
    with pytest.raises(ValueError, match="GROQ_API_KEY"):
        upstream(provider="groq", environment={})
    with pytest.raises(ValueError, match="base_url: is missing"):
        upstream(environment={})
    with pytest.raises(ValueError, match=r"unknown provider 'grok'; known: .*groq"):
        upstream("http://127.0.0.1:1/v1", provider="grok", environment={})


async def test_requests_that_are_signed(server: Server) -> None:
    """Where a signature is asked for and there is no key, AWS credentials sign, in the region that somebody names."""
    environment = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "test-secret", "AWS_REGION": "eu-1"}
    signed = upstream(server.base_url, signing="sigv4", environment=environment)

    answer = await signed.transport.send(UpstreamRequest(path="/chat/completions", body=b"{}"))
    await answer.close()
    await signed.transport.close()

    head = server.requests[-1].lower()
    assert "authorization: aws4-hmac-sha256 credential=akidexample/" in head
    assert "/eu-1/bedrock/aws4_request" in head
    with pytest.raises(ValueError, match="AWS_REGION"):
        upstream("http://127.0.0.1:1/v1", signing="sigv4", environment={})


async def test_a_key_goes_before_a_signature(server: Server) -> None:
    """An upstream with a key is shown the key, whatever its provider usually does."""
    keyed = upstream(server.base_url, signing="sigv4", api_key=KEY, environment={})

    answer = await keyed.transport.send(UpstreamRequest(path="/chat/completions", body=b"{}"))
    await answer.close()
    await keyed.transport.close()

    assert f"authorization: Bearer {KEY}" in server.requests[-1].replace("Authorization", "authorization")


# Providers that nobody has registered.

PLANTED = '''
"""A dialect in one file."""

from antiphon.hub.upstream import KeyPlace, UpstreamDefaults
from antiphon.providers.openai_chat import OpenAIChat, Quirks


class Planted(OpenAIChat):
    dialect = "planted"
    defaults = UpstreamDefaults(key_variable="PLANTED_KEY", key_place=KeyPlace("x-planted", ""))


def provider(options):
    return Planted(Quirks(**options))
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that modules can be put into, and what was loaded from it forgotten in the end."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


async def test_one_file_is_a_provider(folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file among the providers is a dialect under its own name: listed, configurable, served. No more is needed."""
    (folder / "planted.py").write_text(PLANTED)
    monkeypatch.setattr(providers, "__path__", [*providers.__path__, str(folder)])

    made = upstream(server.base_url, provider="planted", models=["m"], environment={"PLANTED_KEY": KEY})

    assert await said_by(made) == "Hello."
    assert f"x-planted: {KEY}" in server.requests[-1].lower()
    assert "planted" in dialects()
    loaded = Settings.load(
        overrides={"upstreams": [f"{server.base_url}#planted"]}, dialects=provider_names(), env={"PLANTED_KEY": KEY}
    )
    assert loaded.upstreams[0].provider == "planted"


def test_a_planted_provider_is_looked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that says where it is, and whose key is in the environment, is served without a configuration."""
    home = PLANTED.replace("UpstreamDefaults(", 'UpstreamDefaults(base_url="https://planted.example/v1", ')
    (folder / "planted.py").write_text(home)
    (folder / "demanding.py").write_text("def provider(options):\n    raise ValueError('options are missing')\n")
    monkeypatch.setattr(providers, "__path__", [*providers.__path__, str(folder)])

    assert usual_providers({"PLANTED_KEY": KEY}) == ["planted"]
    assert usual_providers({}) == []
    assert "demanding" in dialects()


@pytest.mark.parametrize("value", ["elsewhere", "elsewhere:provider"])
async def test_a_distribution_adds_a_provider(folder: Path, server: Server, value: str) -> None:
    """An installed distribution's entry point is a dialect: a module with a function ``provider``, or the function."""
    (folder / "elsewhere.py").write_text(PLANTED)
    information = folder / "elsewhere-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1\n")
    (information / "entry_points.txt").write_text(f"[antiphon.providers]\nfar_away = {value}\n")

    made = upstream(server.base_url, provider="far_away", models=["m"], environment={"PLANTED_KEY": KEY})

    assert await said_by(made) == "Hello."
    assert "far_away" in dialects()


async def test_a_distribution_cannot_take_a_name_of_ours(folder: Path) -> None:
    """A dialect of this package stays what it is, whatever is installed beside it."""
    (folder / "elsewhere.py").write_text("raise AssertionError('loaded')")
    information = folder / "elsewhere-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1\n")
    (information / "entry_points.txt").write_text("[antiphon.providers]\nopenai_chat = elsewhere\ngroq = elsewhere\n")

    for name in ("openai_chat", "groq"):
        assert isinstance(upstream("http://127.0.0.1:1/v1", provider=name, environment={}).provider, OpenAIChat)


class Polite(OpenAIChat):
    """A program's own provider: chat completions, with a word before every question."""

    def encode(self, call: ModelCall) -> UpstreamRequest:
        request = super().encode(call)
        body: dict[str, Any] = orjson.loads(request.body)
        body["messages"].insert(0, {"role": "system", "content": "Say please."})
        return UpstreamRequest(path="/polite", body=orjson.dumps(body), stream=request.stream)


async def test_a_provider_of_ones_own(server: Server) -> None:
    """A program hands over an object of its own; nothing is known of it but the protocol."""
    assert await said_by(upstream(server.base_url, provider=Polite(), models=["m"], environment={})) == "Hello."

    assert server.requests[-1].startswith("POST /v1/polite ")
    assert orjson.loads(server.bodies[-1])["messages"][0] == {"role": "system", "content": "Say please."}


async def test_the_programs_of_the_page(tmp_path: Path, server: Server) -> None:
    """What docs/upstreams.md shows runs, and its own provider is served as it says."""
    page = (Path(__file__).parents[2] / "docs" / "upstreams.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^( *)```python\n(.*?)\n\1```", page, flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) == 2
    for number, (_, block) in enumerate(blocks):
        program = textwrap.dedent(block).replace("http://127.0.0.1:9000/v1", server.base_url)
        (tmp_path / f"program_{number}.py").write_text(program, encoding="utf-8")
        names = runpy.run_path(str(tmp_path / f"program_{number}.py"))
    async with names["gateway"] as gateway:
        await gateway.respond({"model": "acme-1", "input": "hi"})

    assert server.requests[-1].startswith("POST /v1/talk ")
    assert orjson.loads(server.bodies[-1])["house"] == "acme"
