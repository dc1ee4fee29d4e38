"""The local model, started for real, and its ways of not starting."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from antiphon.local import MODEL_NAME, LocalModel, LocalModelError
from antiphon.local.model import _reason
from antiphon.local.server import EXIT_NO_ENGINE
from antiphon.local.weights import fetch_weights, weights_path

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather for a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


async def posted(url: str, body: dict[str, Any]) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as reply:
        answer: dict[str, Any] = await reply.json()
        assert reply.status == 200, answer
        return answer


async def chat(model: LocalModel, *messages: dict[str, Any], **options: Any) -> dict[str, Any]:
    body = {"model": model.name, "messages": list(messages), "temperature": 0, **options}
    return await posted(f"{model.base_url}/chat/completions", body)


async def text_of(model: LocalModel, *messages: dict[str, Any]) -> str:
    answer = await chat(model, *messages)
    text: str = answer["choices"][0]["message"]["content"]
    return text


async def _until_refused(port: int) -> None:
    """
    Until nobody listens any more.

    An open connection ends when the server's process does, or a moment before: that is what is waited for, not time.
    """
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            return
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.model
@pytest.mark.asyncio(loop_scope="session")
class TestRunning:
    async def test_it_uses_what_it_was_told(self, local_model: LocalModel) -> None:
        """Two turns about a name and about a word: with the first turn it knows, without it does not."""
        greeting = await text_of(local_model, user("Hi, my name is Ada."))
        question = user("Complete the sentence: The user's name is")
        secret = user("The secret word is pineapple. Say OK.")
        said = await text_of(local_model, secret)

        assert "Ada" in await text_of(local_model, user("Hi, my name is Ada."), assistant(greeting), question)
        assert "Ada" not in await text_of(local_model, question)
        assert "pineapple" in await text_of(local_model, secret, assistant(said), user("What is the secret word?"))
        assert "pineapple" not in await text_of(local_model, user("What is the secret word?"))

    async def test_it_says_the_same_every_time(self, local_model: LocalModel) -> None:
        """At temperature 0 a request has one answer, whatever was asked before it and beside it."""
        texts = await asyncio.gather(*(text_of(local_model, user("Name three colours.")) for _ in range(4)))

        assert len(set(texts)) == 1

    async def test_it_calls_a_tool(self, local_model: LocalModel) -> None:
        """A question that a tool answers becomes a call of that tool with its arguments."""
        answer = await chat(local_model, user("What is the weather in Paris?"), tools=[WEATHER])

        [choice] = answer["choices"]
        [call] = choice["message"]["tool_calls"]
        assert choice["finish_reason"] == "tool_calls"
        assert call["function"]["name"] == "get_weather"
        assert "Paris" in call["function"]["arguments"]

    async def test_it_takes_a_tools_answer(self, local_model: LocalModel) -> None:
        """After a tool has answered, the model speaks, and no example calls are put before it."""
        call = {
            "id": "call_1",
            "type": "function",
            "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'},
        }
        messages: list[dict[str, Any]] = [
            user("What is the weather in Paris?"),
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": '{"sky":"sunny"}'},
        ]

        answer = await chat(local_model, *messages, tools=[WEATHER])
        prompt = (await posted(f"{local_model.server_url}/apply-template", {"messages": messages, "tools": [WEATHER]}))[
            "prompt"
        ]

        assert answer["choices"][0]["message"]["content"]
        assert "penguins" not in prompt
        assert '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call><|im_end|>' in prompt

    async def test_the_prompt_is_what_was_said(self, local_model: LocalModel) -> None:
        """Without tools nothing is added but a neutral system prompt; a developer's message takes its place."""

        async def prompt(*messages: dict[str, Any]) -> str:
            answer = await posted(f"{local_model.server_url}/apply-template", {"messages": list(messages)})
            text: str = answer["prompt"]
            return text

        turn = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
        parts = {"role": "user", "content": [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}]}
        neutral = "You are a helpful assistant. Answer in one short sentence."

        assert await prompt(user("Hi")) == f"<|im_start|>system\n{neutral}<|im_end|>\n{turn}"
        assert await prompt({"role": "developer", "content": "Be brief."}, user("Hi")) == (
            f"<|im_start|>system\nBe brief.<|im_end|>\n{turn}"
        )
        assert await prompt(parts) == await prompt(user("Hi"))

    async def test_the_token_oracle(self, local_model: LocalModel) -> None:
        """The tokens of the rendered prompt are exactly those that the usage counts."""
        messages = [user("Hi, my name is Ada."), assistant("Hello Ada!"), user("Ünïcode 漢字 and <|im_end|> tags?")]

        answer = await chat(local_model, *messages, max_tokens=1)
        prompt = (await posted(f"{local_model.server_url}/apply-template", {"messages": messages}))["prompt"]
        tokens = await posted(
            f"{local_model.server_url}/tokenize", {"content": prompt, "add_special": True, "parse_special": True}
        )

        assert len(tokens["tokens"]) == answer["usage"]["prompt_tokens"]

    async def test_it_lists_itself(self, local_model: LocalModel) -> None:
        """The model is listed under its name."""
        async with aiohttp.ClientSession() as session, session.get(f"{local_model.base_url}/models") as reply:
            listed = await reply.json()

        assert [entry["id"] for entry in listed["data"]] == [MODEL_NAME]

    async def test_it_ends_with_its_context(self) -> None:
        """When the context has been left, the child is gone."""
        async with LocalModel(threads=1) as model:
            process_id = model.process_id

        with pytest.raises(ProcessLookupError):
            os.kill(process_id, 0)

    async def test_it_keeps_prefixes_if_it_is_told_to(self) -> None:
        """With a prefix cache, a request goes on from what was computed for the one before it."""
        asked = {"messages": [{"role": "user", "content": "Hi, my name is Ada."}], "max_tokens": 1}
        async with (
            LocalModel(threads=1, prefix_cache=True) as model,
            aiohttp.ClientSession(model.server_url) as session,
        ):
            cached = []
            for _ in range(2):
                async with session.post("/v1/chat/completions", json=asked) as reply:
                    cached.append((await reply.json())["usage"]["prompt_tokens_details"]["cached_tokens"])

        first, second = cached
        assert first == 0
        assert second > 0

    async def test_it_dies_with_its_parent(self) -> None:
        """When the process that started it is killed, the model ends too, although nobody told it."""
        script = (
            "import asyncio\nfrom antiphon.local import LocalModel\n"
            "async def main():\n"
            "    async with LocalModel(threads=1) as model:\n"
            "        print(model.server_url, flush=True)\n"
            "        await asyncio.Event().wait()\n"
            "asyncio.run(main())\n"
        )
        parent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
        assert parent.stdout is not None
        url = (await asyncio.wait_for(parent.stdout.readline(), 60)).decode().strip()
        port = int(url.rpartition(":")[2])
        parent.send_signal(signal.SIGKILL)
        await parent.wait()

        await asyncio.wait_for(_until_refused(port), 30)

    async def test_a_machine_that_is_too_busy(self) -> None:
        """A child that does not answer in time is ended, and the message says so."""
        model = LocalModel(start_timeout_s=0.01)

        with pytest.raises(LocalModelError, match="did not start within 0 s"):
            await model.start()

    async def test_two_processes_fetch_once(self, tmp_path: Path) -> None:
        """Two that need the weights at the same time get the same whole file, and one of them has waited."""
        arrivals: list[tuple[int, int]] = []
        paths = await asyncio.gather(
            *(
                asyncio.to_thread(fetch_weights, tmp_path, progress=lambda *sizes: arrivals.append(sizes))
                for _ in range(2)
            )
        )

        assert paths == [weights_path(tmp_path)] * 2
        assert [path.name for path in paths[0].parent.glob("*.gguf")] == [paths[0].name]
        assert arrivals


@pytest.mark.model
async def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    """An engine that refuses the weights is quoted."""
    path = weights_path(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a model")
    os.truncate(path, 98_362_432)

    with pytest.raises(LocalModelError, match="did not start"):
        await LocalModel(cache=tmp_path).start()


@pytest.mark.parametrize(
    ("code", "complaints", "expected"),
    [
        (EXIT_NO_ENGINE, (), "pip install 'antiphon[local]'"),
        (-signal.SIGILL, (), "AVX2"),
        (-signal.SIGKILL, (), "memory"),
        (1, ("", "the reason"), "exit code 1): the reason"),
        (1, (), "it said nothing"),
    ],
    ids=["no engine", "an old CPU", "no memory", "a complaint", "silence"],
)
def test_why_it_did_not_start(code: int, complaints: tuple[str, ...], expected: str) -> None:
    """Each way of ending early has its reason and, where there is one, its remedy."""
    assert expected in _reason(code, complaints)
