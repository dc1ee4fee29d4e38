"""The programs in the documents run as they are printed, in front of an upstream of this machine."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import openai
import pytest
from tests.support.gateway_process import GatewayProcess
from tests.support.scripted_upstream import MODEL, ScriptedUpstream

from antiphon.engine.webhooks import signed_headers

DOCS = Path(__file__).parents[2] / "docs"


def program_of(document: str) -> str:
    """All Python of a document as one program: a later block may go on with what an earlier one has."""
    return "\n".join(re.findall(r"```python\n(.*?)```", (DOCS / document).read_text(encoding="utf-8"), flags=re.DOTALL))


async def run(program: str, gateway: GatewayProcess, folder: Path, **variables: str) -> str:
    """What a program prints; it has to end well."""
    program = program.replace("http://127.0.0.1:8080/v1", gateway.base_url).replace("smollm2-135m", MODEL)
    (folder / "program.py").write_text(program, encoding="utf-8")
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "program.py"),
        cwd=folder,
        env={**os.environ, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await child.communicate()
    assert child.returncode == 0, output.decode()
    return output.decode()


async def test_the_programs_about_background_responses(
    scripted: ScriptedUpstream, gateway: GatewayProcess, tmp_path: Path
) -> None:
    """The first is polled to its end; the second is read on from the event after the one where it was left."""
    printed = await run(program_of("background.md"), gateway, tmp_path)
    assert printed.splitlines()[0] == f"completed {scripted.text}"
    assert printed.splitlines()[1].split()[0] == "4"
    assert printed.splitlines()[-1].endswith("response.completed")


async def test_the_program_about_idempotency(
    scripted: ScriptedUpstream, gateway: GatewayProcess, tmp_path: Path
) -> None:
    """Both requests have one answer, for which the model was asked once."""
    await run(program_of("idempotency.md"), gateway, tmp_path)
    assert len(scripted.turns) == 1


async def test_the_programs_about_long_contexts(
    scripted: ScriptedUpstream, gateway: GatewayProcess, tmp_path: Path
) -> None:
    """What follows a compaction is given the summary; the count is a number."""
    scripted.text = "A summary about Ada."
    printed = await run(program_of("long-contexts.md"), gateway, tmp_path)
    after_compact, after_trigger = scripted.turns[2].body["messages"], scripted.turns[4].body["messages"]
    assert [scripted.text in message["content"] for message in after_compact] == [False, True, False]
    assert [scripted.text in message["content"] for message in after_trigger] == [True, False]
    assert int(printed) > 0


async def test_the_program_about_webhooks(gateway: GatewayProcess, scripted: ScriptedUpstream, tmp_path: Path) -> None:
    """A webhook that we signed passes the official client's check; one that was altered does not."""
    key = b"0123456789abcdef"
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key="none") as client:
        response = await client.responses.create(model=MODEL, input="hi")
    event = {"id": "evt_1", "object": "event", "created_at": 1, "type": "response.completed"}
    body = str({**event, "data": {"id": response.id}}).replace("'", '"').encode()
    headers = signed_headers("evt_1", body, secret=key, now_s=int(time.time()))
    called = (
        f"\nprint(receive({body!r}, {headers!r}))"
        f"\ntry:\n    receive({body + b' '!r}, {headers!r})"
        "\nexcept Exception as error:\n    print(type(error).__name__)\n"
    )
    secret = "whsec_" + base64.b64encode(key).decode()
    printed = await run(program_of("webhooks.md") + called, gateway, tmp_path, HOOK_SECRET=secret)
    assert printed.splitlines() == [scripted.text, "InvalidWebhookSignatureError"]


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream.serve() as server:
        yield server


@pytest.fixture
async def gateway(scripted: ScriptedUpstream, tmp_path: Path) -> AsyncIterator[GatewayProcess]:
    async with GatewayProcess.serving(tmp_path / "documents.db", scripted.url) as serving:
        yield serving
