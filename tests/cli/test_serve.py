"""``antiphon serve`` as a process: what it says, what it serves, how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.transport.servers import CHUNKED, END, chunk, reply, serving

from .running import ended, environment, finished, first_line, running

MODELS = reply(b'{"object":"list","data":[{"id":"m","object":"model"}]}', "content-type: application/json")
WHOLE = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


def delta(text: str | None, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return chunk(b"data: " + json.dumps(body).encode() + b"\n\n")


class ChatServer:
    """
    A chat server with one model.

    Attributes:
        asked: Set when a turn has come in.
        go_on: A streamed answer waits for it after its first word.
    """

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.heads: list[str] = []
        self.base_url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.heads[-1].startswith("GET"):
            writer.write(MODELS)
            return
        self.asked.set()
        writer.write(CHUNKED + delta("Hel"))
        await self.go_on.wait()
        writer.write(delta("lo.") + delta(None, "stop") + chunk(b"data: [DONE]\n\n") + END)


@pytest.fixture
async def upstream() -> AsyncIterator[ChatServer]:
    chat = ChatServer()
    async with serving(chat.answer) as server:
        chat.heads, chat.base_url = server.requests, server.base_url
        yield chat


async def listening(process: asyncio.subprocess.Process) -> str:
    """The address in the first line, which is exactly this line."""
    line = await first_line(process)
    match = re.fullmatch(r"listening on (http://127\.0\.0\.1:\d+)", line)
    assert match is not None, (line, await ended(process))
    return match.group(1)


async def streamed(base: str, body: dict[str, Any], seen: asyncio.Event) -> list[str]:
    """The types of a turn's events; *seen* is set at the first delta."""
    types: list[str] = []
    url = f"{base}/v1/responses"
    async with aiohttp.ClientSession() as session, session.post(url, json={**body, "stream": True}) as answer:
        assert answer.status == 200, await answer.text()
        async for line in answer.content:
            if line.startswith(b"event: "):
                types.append(line[7:].decode().strip())
                if types[-1] == "response.output_text.delta":
                    seen.set()
    return types


async def test_what_it_says(tmp_path: Path, upstream: ChatServer) -> None:
    """The first line names the address; then come the base URL, the models and two lines to paste."""
    async with running(
        "serve", "--upstream", upstream.base_url, "--port", "0", "--store", "memory:", cwd=tmp_path
    ) as process:
        base = await listening(process)
        told = [await first_line(process) for _ in range(7)]
        process.send_signal(signal.SIGTERM)
        rest = await ended(process)

    text = "\n".join(told)
    assert f"base URL   {base}/v1" in text
    assert f"upstream   127.0.0.1:{upstream.base_url[17:-3]} at {upstream.base_url}: m" in text
    assert f'openai.OpenAI(base_url="{base}/v1", api_key="none")' in text
    assert 'client.responses.create(model="m"' in text
    assert "\x1b" not in text
    assert (rest.code, rest.err) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_it_drains(tmp_path: Path, upstream: ChatServer, number: signal.Signals) -> None:
    """A running turn ends whole after the signal, no new connection is taken, and the exit code is 0."""
    upstream.go_on.clear()
    seen = asyncio.Event()
    async with (
        running("serve", "--upstream", upstream.base_url, "--port", "0", cwd=tmp_path) as process,
        asyncio.TaskGroup() as tasks,
    ):
        base = await listening(process)
        turn = tasks.create_task(streamed(base, {"model": "m", "input": "hi"}, seen))
        await asyncio.wait_for(seen.wait(), 30)
        process.send_signal(number)
        await refused(base)
        upstream.go_on.set()
        types = await asyncio.wait_for(turn, 30)
        done = await ended(process)

    assert types[-1] == "response.completed"
    assert (done.code, [line for line in done.err.splitlines() if "level=info" not in line]) == (0, [])
    assert (tmp_path / "antiphon.db").exists()


async def refused(base: str) -> None:
    """Return when nobody listens there any more."""
    host, _, port = base.removeprefix("http://").partition(":")
    while True:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except ConnectionRefusedError:
            return
        except ConnectionResetError:
            continue  # it stopped to listen while we were in its queue
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_drain_has_an_end(tmp_path: Path, upstream: ChatServer) -> None:
    """A turn that does not end within the drain time is cut off; the exit code is 0 all the same."""
    upstream.go_on.clear()
    seen = asyncio.Event()
    env = {"ANTIPHON_SERVER_DRAIN_TIMEOUT_S": "1"}
    async with running("serve", "--upstream", upstream.base_url, "--port", "0", cwd=tmp_path, env=env) as process:
        base = await listening(process)
        turn = asyncio.create_task(streamed(base, {"model": "m", "input": "hi"}, seen))
        await asyncio.wait_for(seen.wait(), 30)
        process.send_signal(signal.SIGTERM)
        done = await ended(process)
        with contextlib.suppress(aiohttp.ClientError):
            assert (await turn)[-1] != "response.completed"

    assert done.code == 0


async def test_a_port_that_is_taken(tmp_path: Path, upstream: ChatServer) -> None:
    """A port that somebody has is a mistake with a remedy, before anything is opened."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = await finished("serve", "--upstream", upstream.base_url, "--port", port, cwd=tmp_path)

    assert (done.code, done.out) == (2, "")
    assert f"cannot listen on 127.0.0.1:{port}: address already in use" in done.err
    assert "--port 0" in done.err
    assert list(tmp_path.iterdir()) == []


async def test_a_store_that_cannot_be_opened(tmp_path: Path, upstream: ChatServer) -> None:
    """A store that does not open ends with 1 and its reason; nothing is announced."""
    arguments = ["--upstream", upstream.base_url, "--port", "0", "--store", "sqlite:///nowhere/a.db"]

    done = await finished("serve", *arguments, cwd=tmp_path)

    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: ")
    assert "Traceback" not in done.err


async def test_an_upstream_that_is_down_is_told(tmp_path: Path) -> None:
    """The gateway serves although its upstream does not answer yet, and says so."""
    arguments = ["--upstream", "http://127.0.0.1:9/v1", "--port", "0", "--store", "memory:"]
    async with running("serve", *arguments, cwd=tmp_path) as process:
        await listening(process)
        told = [await first_line(process) for _ in range(3)]
        process.terminate()
        done = await ended(process)

    assert "connection refused (is it running?)" in told[2]
    assert done.code == 0


async def test_settings_from_everywhere(tmp_path: Path, upstream: ChatServer) -> None:
    """The file's upstream, the environment's store and the flag's port work together."""
    (tmp_path / "antiphon.yaml").write_text(
        f"server: {{port: 1}}\nstore: 'memory:'\nupstreams: [{{name: mine, base_url: '{upstream.base_url}'}}]\n"
    )
    env = {"ANTIPHON_CONFIG": "antiphon.yaml", "ANTIPHON_STORE": "sqlite:///env.db"}
    async with running("serve", "--port", "0", cwd=tmp_path, env=env) as process:
        base = await listening(process)
        await streamed(base, {"model": "m", "input": "hi"}, asyncio.Event())
        process.terminate()
        assert (await ended(process)).code == 0

    assert (tmp_path / "env.db").exists()


async def test_a_reader_that_has_gone(tmp_path: Path, upstream: ChatServer) -> None:
    """A supervisor that reads the first line and closes the pipe does not end the service."""
    async with running("serve", "--upstream", upstream.base_url, "--port", "0", cwd=tmp_path) as process:
        base = await listening(process)
        assert process.stdout is not None
        process.stdout._transport.close()  # type: ignore[attr-defined] # asyncio has no other way to close our end
        types = await streamed(base, {"model": "m", "input": "hi"}, asyncio.Event())
        process.terminate()
        code = await asyncio.wait_for(process.wait(), 30)

    assert (types[-1], code) == ("response.completed", 0)


def test_the_environment_of_these_tests_is_clean() -> None:
    """Nothing that configures a gateway leaks from the tester's environment into the tests."""
    assert not [name for name in environment() if name.startswith(("ANTIPHON_", "OPENAI_")) or "API_KEY" in name]
