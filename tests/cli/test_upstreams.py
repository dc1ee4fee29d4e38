"""Providers by name on the command line: what is served, what is missing, and where no key goes."""

from __future__ import annotations

import json
from pathlib import Path

from tests.transport.servers import reply, saying, serving

from .running import finished

MODELS = reply(json.dumps({"object": "list", "data": [{"id": "m", "object": "model"}]}).encode())
KEY = "test-key-0123456789"


async def test_a_server_that_speaks_like_a_vendor(tmp_path: Path) -> None:
    """A preset may stand behind a URL; the vendor's key in the environment does not go to that server."""
    async with serving(saying(MODELS)) as server:
        arguments = ("check", "--store", "memory:", "--upstream", f"{server.base_url}#groq")
        done = await finished(*arguments, cwd=tmp_path, env={"GROQ_API_KEY": KEY})

    assert done.code == 0, done.err
    assert f"127.0.0.1:{server.port} ({server.base_url})" in done.out
    assert KEY not in "".join(server.requests)
    assert KEY not in done.out + done.err


async def test_a_key_by_the_name_of_its_variable(tmp_path: Path) -> None:
    """A configuration names the variable of a key, which is sent where the preset has its place."""
    (tmp_path / "a.yaml").write_text("upstreams: [{name: az, provider: azure_openai, key_variable: WORK}]\n")
    async with serving(saying(MODELS)) as server:
        address = server.base_url.removesuffix("/v1")
        env = {"WORK": KEY, "AZURE_OPENAI_ENDPOINT": f"{address}/", "ANTIPHON_STORE": "memory:"}
        done = await finished("check", "--config", "a.yaml", cwd=tmp_path, env=env)

    assert done.code == 0, done.err
    assert f"az ({address}/openai/v1)" in done.out
    assert f"api-key: {KEY}" in server.requests[0].lower()


async def test_a_key_that_is_missing(tmp_path: Path) -> None:
    """A vendor without its key is a mistake that names the variable; nothing is asked."""
    done = await finished("check", "--store", "memory:", "--upstream", "deepseek", cwd=tmp_path)

    assert done.code == 2
    assert "upstreams[0].api_key: is missing: set the environment variable DEEPSEEK_API_KEY" in done.err


async def test_a_provider_that_there_is_not(tmp_path: Path) -> None:
    """An unknown name is told with those that there are."""
    done = await finished("check", "--store", "memory:", "--upstream", "deepsek", cwd=tmp_path)

    assert done.code == 2
    assert "there is no provider 'deepsek'" in done.err
    assert "deepseek" in done.err.partition("this version has")[2]
