"""
The official SDKs as clients of every format, with the real model behind the gateway.

The model is tiny: what is asserted is what the gateway answers for. The prompt that reached the model is counted by
its own server and has to be that of exactly the messages that the client sent; what a stream says is what a whole
answer says, as the model is asked without chance.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import openai
import pytest
import pytest_asyncio
from anthropic import AsyncAnthropic, NotFoundError
from openai import AsyncOpenAI
from pydantic import BaseModel

from antiphon.local import LocalModel
from tests.support.gateway_process import GatewayProcess

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="session")]

NAMED: list[Any] = [
    {"role": "user", "content": "Hi, my name is Ada."},
    {"role": "assistant", "content": "Hello, Ada."},
    {"role": "user", "content": "Complete the sentence: The user's name is"},
]
SYSTEM = "Answer in one short sentence."


class Answer(BaseModel):
    """What a structured answer has to look like."""

    yes: bool


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(model_gateway: GatewayProcess) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=model_gateway.base_url, api_key="none", max_retries=0) as sdk:
        yield sdk


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def claude(model_gateway: GatewayProcess) -> AsyncIterator[AsyncAnthropic]:
    """Anthropic's client."""
    async with AsyncAnthropic(base_url=model_gateway.root, api_key="none", max_retries=0) as sdk:
        yield sdk


async def asked(model: LocalModel, path: str, body: object) -> Any:
    """What the model's server itself answers."""
    async with aiohttp.ClientSession(model.server_url) as engine, engine.post(path, json=body) as answer:
        assert answer.status == 200
        return await answer.json()


async def tokens(model: LocalModel, messages: list[Any]) -> int:
    """How many tokens the server makes of a list of messages."""
    prompt = (await asked(model, "/apply-template", {"messages": messages}))["prompt"]
    options = {"content": prompt, "add_special": True, "parse_special": True}
    return len((await asked(model, "/tokenize", options))["tokens"])


async def test_chat_whole_and_streamed(client: AsyncOpenAI, local_model: LocalModel) -> None:
    """A chat completion and its stream say the same, and both count the prompt that the messages make."""
    messages = [{"role": "system", "content": SYSTEM}, *NAMED]
    request: Any = {"model": local_model.name, "messages": messages, "temperature": 0, "max_tokens": 24}
    whole = await client.chat.completions.create(**request)
    async with client.chat.completions.stream(**request, stream_options={"include_usage": True}) as stream:
        streamed = await stream.get_final_completion()

    assert whole.usage is not None
    assert await tokens(local_model, messages) == whole.usage.prompt_tokens
    assert whole.usage == streamed.usage
    assert whole.choices[0].message.content == streamed.choices[0].message.content
    assert [whole.choices[0].finish_reason, streamed.choices[0].finish_reason] == ["stop", "stop"]


async def test_chat_in_the_form_of_a_schema(client: AsyncOpenAI, local_model: LocalModel) -> None:
    """An answer that has to fit a schema does, and the SDK reads it as the class that the schema is of."""
    parsed = await client.chat.completions.parse(
        model=local_model.name, messages=[{"role": "user", "content": "Is water wet?"}], response_format=Answer
    )

    assert isinstance(parsed.choices[0].message.parsed, Answer)


async def test_a_stored_completion_goes_on_as_a_response(client: AsyncOpenAI, local_model: LocalModel) -> None:
    """What began in chat is continued in Responses under the same digits, with the whole history and nothing else."""
    kept = await client.chat.completions.create(
        model=local_model.name, messages=NAMED, store=True, max_tokens=16, metadata={"topic": "names"}
    )
    response = await client.responses.create(
        model=local_model.name,
        input="Say bye.",
        previous_response_id=kept.id.replace("chatcmpl-", "resp_"),
        max_output_tokens=16,
    )

    answered = {"role": "assistant", "content": kept.choices[0].message.content}
    assert response.usage is not None
    assert (
        await tokens(local_model, [*NAMED, answered, {"role": "user", "content": "Say bye."}])
        == response.usage.input_tokens
    )
    found = [completion.id async for completion in client.chat.completions.list(metadata={"topic": "names"})]
    assert [kept.id] == found
    assert (await client.chat.completions.delete(kept.id)).deleted
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.retrieve(kept.id)


async def test_text_completions(client: AsyncOpenAI, local_model: LocalModel) -> None:
    """A prompt of the oldest API is asked as a message of the user; its stream says what the whole answer says."""
    request: Any = {"model": local_model.name, "prompt": "Say yes.", "max_tokens": 16, "temperature": 0}
    whole = await client.completions.create(**request)
    pieces = [chunk.choices[0].text async for chunk in await client.completions.create(**request, stream=True)]

    assert whole.usage is not None
    assert await tokens(local_model, [{"role": "user", "content": "Say yes."}]) == whole.usage.prompt_tokens
    assert whole.choices[0].text == "".join(pieces)
    assert whole.choices[0].text


async def test_embeddings(client: AsyncOpenAI, local_model: LocalModel) -> None:
    """Each text has the vector that the model's server gives it, in the order of the texts, and its tokens count."""
    texts = ["Cats sleep.", "Rivers flow to the sea."]
    answer = await client.embeddings.create(model=local_model.name, input=texts)
    plain = await client.embeddings.create(model=local_model.name, input=texts, encoding_format="float")
    expected = await asked(local_model, "/v1/embeddings", {"model": local_model.name, "input": texts})

    for one, other, own in zip(answer.data, plain.data, expected["data"], strict=True):
        assert own["embedding"] == pytest.approx(other.embedding)
        assert own["embedding"] == pytest.approx(one.embedding, rel=1e-5)  # base64 carries 32-bit floats
    assert expected["usage"]["prompt_tokens"] == answer.usage.prompt_tokens


async def test_messages_whole_and_streamed(claude: AsyncAnthropic, local_model: LocalModel) -> None:
    """A message and its stream say the same, and both count the prompt that system and messages make."""
    request: Any = {"model": local_model.name, "system": SYSTEM, "messages": NAMED, "max_tokens": 24}
    whole = await claude.messages.create(**request)
    async with claude.messages.stream(**request) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        streamed = await stream.get_final_message()

    assert await tokens(local_model, [{"role": "system", "content": SYSTEM}, *NAMED]) == whole.usage.input_tokens
    assert whole.usage.output_tokens == streamed.usage.output_tokens
    answers: list[Any] = [whole, streamed]
    assert [(text, "end_turn")] * 2 == [
        ("".join(block.text for block in message.content if block.type == "text"), message.stop_reason)
        for message in answers
    ]


async def test_each_client_reads_errors_of_its_own(
    client: AsyncOpenAI, claude: AsyncAnthropic, model_gateway: GatewayProcess
) -> None:
    """A model that nobody serves is the error that each SDK has a class for, with the words of its own API."""
    with pytest.raises(openai.NotFoundError) as chat:
        await client.chat.completions.create(model="nobody", messages=[{"role": "user", "content": "Hi."}])
    with pytest.raises(NotFoundError) as messages:
        await claude.messages.create(model="nobody", max_tokens=16, messages=[{"role": "user", "content": "Hi."}])

    assert chat.value.code == "model_not_found"
    body: Any = messages.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "not_found_error")
    assert "nobody" in json.dumps(body)
