"""
One conversation, three upstream dialects, one real model: what it is asked is the same, whoever asks it.

The model's server speaks Chat Completions, Messages and Responses of its own. A gateway has it as three upstreams. The
server counts the prompt of each turn, and the count has to be that of exactly the messages that were said, by the
test's own record of them: its own template, applied to the record, and its own tokenizer.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from openai.types.responses import Response, ResponseCompletedEvent, ResponseIncompleteEvent

from antiphon.local import LocalModel
from tests.support.gateway_process import GatewayProcess

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="session")]

Message = dict[str, Any]

PROVIDERS = {"chat": "openai_chat", "messages": "anthropic", "responses": "openai_responses"}
# Together, each dialect after each other one.
ORDERS = {
    "previous_response_id": ("chat", "messages", "responses", "chat"),
    "conversation": ("chat", "responses", "messages", "chat"),
}
TEXTS = ("Hi, my name is Ada.", "Say yes.", "Say no.", "Say bye.")
WEATHER: Message = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def gateway(local_model: LocalModel, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GatewayProcess]:
    """A gateway that has the same server as three upstreams, each of which has an alias of the model."""
    folder = tmp_path_factory.mktemp("three-dialects")
    upstreams = [
        {"name": name, "provider": provider, "base_url": local_model.base_url} for name, provider in PROVIDERS.items()
    ]
    aliases = [{"name": f"by-{name}", "targets": [{"upstream": name, "model": local_model.name}]} for name in PROVIDERS]
    file = folder / "antiphon.yaml"
    file.write_text(json.dumps({"upstreams": upstreams, "models": aliases}), encoding="utf-8")
    async with GatewayProcess.serving(folder / "antiphon.db", "", arguments=("--config", str(file))) as serving:
        yield serving


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(gateway: GatewayProcess) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=gateway.base_url, api_key="none", max_retries=0) as sdk:
        yield sdk


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def messages_client(gateway: GatewayProcess) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(base_url=gateway.root, api_key="none", max_retries=0) as sdk:
        yield sdk


async def tokens(model: LocalModel, messages: list[Message], **more: Any) -> int:
    """How many tokens the engine makes of a list of messages."""
    async with aiohttp.ClientSession(model.server_url) as engine:
        prompt = (await _posted(engine, "/apply-template", {"messages": messages, **more}))["prompt"]
        options = {"content": prompt, "add_special": True, "parse_special": True}
        return len((await _posted(engine, "/tokenize", options))["tokens"])


async def _posted(engine: aiohttp.ClientSession, path: str, body: object) -> Any:
    async with engine.post(path, json=body) as answer:
        assert answer.status == 200
        return await answer.json()


async def turn(
    client: AsyncOpenAI, upstream: str, *, stream: bool = False, limit: int = 16, **request: Any
) -> Response:
    """One turn at one upstream, which has to be the one that answered."""
    raw = await client.responses.with_raw_response.create(
        model=f"by-{upstream}", max_output_tokens=limit, temperature=0, stream=stream, **request
    )
    assert raw.headers["x-antiphon-upstream"] == upstream
    answer: Any = raw.parse()
    if not stream:
        assert isinstance(answer, Response)
        return answer
    ends = [event async for event in answer if isinstance(event, ResponseCompletedEvent | ResponseIncompleteEvent)]
    assert len(ends) == 1
    return ends[0].response


@pytest.mark.parametrize(("by", "order"), ORDERS.items(), ids=ORDERS)
async def test_a_conversation_across_the_dialects(
    by: str, order: tuple[str, ...], client: AsyncOpenAI, local_model: LocalModel
) -> None:
    """Whichever dialect asked before, the next one asks with the whole conversation and nothing else."""
    said: list[Message] = []
    place: dict[str, Any] = {"conversation": (await client.conversations.create()).id} if by == "conversation" else {}
    for number, (upstream, text) in enumerate(zip(order, TEXTS, strict=True)):
        said.append({"role": "user", "content": text})
        response = await turn(client, upstream, stream=number % 2 == 1, input=text, **place)

        assert response.usage is not None
        assert await tokens(local_model, said) == response.usage.input_tokens, (number, upstream)
        said.append({"role": "assistant", "content": response.output_text})
        if by == "previous_response_id":
            place = {"previous_response_id": response.id}


async def test_a_call_of_one_dialect_is_answered_in_another(client: AsyncOpenAI, local_model: LocalModel) -> None:
    """A tool that the model calls through one dialect gets its result through another, with the call before it."""
    question = "What is the weather in Rome?"
    tools: Any = [{"type": "function", "strict": False, **WEATHER}]
    offered = {"tools": [{"type": "function", "function": WEATHER}]}
    first = await turn(client, "responses", input=question, tools=tools, tool_choice="required", limit=48)
    (call,) = (item for item in first.output if item.type == "function_call")
    said: list[Message] = [{"role": "user", "content": question}]
    assert first.usage is not None
    assert await tokens(local_model, said, **offered) == first.usage.input_tokens
    assert json.loads(call.arguments) == {"city": "Rome"}

    function = {"name": call.name, "arguments": call.arguments}
    said += [
        {"role": "assistant", "content": "", "tool_calls": [{"id": "c1", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "c1", "content": "Sunny."},
    ]
    result: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "Sunny."}]
    second = await turn(client, "messages", input=result, tools=tools, previous_response_id=first.id)
    assert second.usage is not None
    assert await tokens(local_model, said, **offered) == second.usage.input_tokens


@pytest.mark.parametrize("upstream", PROVIDERS)
async def test_instructions_are_the_system_prompt_everywhere(
    upstream: str, client: AsyncOpenAI, local_model: LocalModel
) -> None:
    """What a client asks of the model as instructions stands where the server's template has the system prompt."""
    response = await turn(client, upstream, input="Hi.", instructions="Answer like a pirate.")

    said = [{"role": "system", "content": "Answer like a pirate."}, {"role": "user", "content": "Hi."}]
    assert response.usage is not None
    assert await tokens(local_model, said) == response.usage.input_tokens


@pytest.mark.parametrize("upstream", PROVIDERS)
async def test_every_format_in_front_of_every_dialect(
    upstream: str, client: AsyncOpenAI, messages_client: AsyncAnthropic, local_model: LocalModel
) -> None:
    """A chat client and a Messages client are answered alike by each upstream, and ask with the same prompt."""
    said: Any = [{"role": "user", "content": "Say yes."}]
    chat = await client.chat.completions.create(model=f"by-{upstream}", messages=said, max_tokens=16)
    message = await messages_client.messages.create(model=f"by-{upstream}", messages=said, max_tokens=16)

    assert chat.usage is not None
    expected = await tokens(local_model, said)
    assert [expected, expected] == [chat.usage.prompt_tokens, message.usage.input_tokens]
    assert chat.choices[0].message.content == "".join(block.text for block in message.content if block.type == "text")


async def test_counting_is_the_servers_own(
    client: AsyncOpenAI, messages_client: AsyncAnthropic, local_model: LocalModel
) -> None:
    """Where the upstream's dialect can count, both formats that ask for a count are told the number of the server's."""
    counted = await messages_client.messages.count_tokens(
        model="by-messages", system="Answer like a pirate.", messages=[{"role": "user", "content": "Hi."}]
    )
    also = await client.responses.input_tokens.count(
        model="by-messages", instructions="Answer like a pirate.", input="Hi."
    )

    said = [{"role": "system", "content": "Answer like a pirate."}, {"role": "user", "content": "Hi."}]
    expected = await tokens(local_model, said)
    assert [expected, expected] == [counted.input_tokens, also.input_tokens]
