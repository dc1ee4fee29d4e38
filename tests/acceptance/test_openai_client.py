"""
The official OpenAI client with strict response validation, as its examples use it, in front of the real local model.

Nothing here knows that the server is not OpenAI's, except for its address.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from openai import AsyncOpenAI, NotFoundError, OpenAI
from openai.types.conversations import Message
from openai.types.responses import Response, ResponseFunctionToolCall
from pydantic import BaseModel

from antiphon.local import LocalModel
from tests.support.gateway_process import GatewayProcess

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="session")]

MODEL = LocalModel.name
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


@pytest_asyncio.fixture(loop_scope="session")
async def client(model_gateway: GatewayProcess) -> AsyncIterator[AsyncOpenAI]:
    """Every answer has to be exactly of the type that the client declares."""
    async with AsyncOpenAI(
        base_url=model_gateway.base_url, api_key="unused", max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


async def _said(client: AsyncOpenAI, text: str = "Hi, my name is Ada.", **fields: Any) -> Response:
    response: Response = await client.responses.create(model=MODEL, input=text, max_output_tokens=16, **fields)
    return response


# Turns.


async def test_create(client: AsyncOpenAI) -> None:
    """A response has text, usage that adds up, and the settings that were asked for."""
    response = await client.responses.create(
        model=MODEL,
        instructions="Answer in one word.",
        input="What is the capital of France?",
        temperature=0,
        metadata={"purpose": "test"},
    )
    assert (response.status, response.object) == ("completed", "response")
    assert response.output_text
    assert (
        response.instructions,
        response.temperature,
        response.metadata,
    ) == ("Answer in one word.", 0, {"purpose": "test"})
    assert response.usage is not None
    assert response.usage.input_tokens + response.usage.output_tokens == response.usage.total_tokens


async def test_create_with_the_synchronous_client(model_gateway: GatewayProcess) -> None:
    """The synchronous client gets the same."""

    def two_turns() -> str:
        with OpenAI(base_url=model_gateway.base_url, api_key="unused", _strict_response_validation=True) as client:
            first = client.responses.create(model=MODEL, input="Hi, my name is Ada.")
            second = client.responses.create(
                model=MODEL, input="Complete the sentence: The user's name is", previous_response_id=first.id
            )
            return second.output_text

    assert "Ada" in await asyncio.to_thread(two_turns)


async def test_the_second_turn_remembers_the_first(client: AsyncOpenAI) -> None:
    """A turn that names the one before it is answered from its memory."""
    first = await client.responses.create(model=MODEL, input="Hi, my name is Ada.", temperature=0)
    second = await client.responses.create(
        model=MODEL,
        input="Complete the sentence: The user's name is",
        previous_response_id=first.id,
        temperature=0,
    )
    assert "Ada" in second.output_text
    assert first.id == second.previous_response_id


async def test_stream(client: AsyncOpenAI) -> None:
    """The pieces of a stream are the text of its last event, and the response is stored by then."""
    pieces, numbers = [], []
    last: Response | None = None
    stream = await client.responses.create(model=MODEL, input="Say hello.", stream=True, temperature=0)
    async for event in stream:
        numbers.append(event.sequence_number)
        if event.type == "response.output_text.delta":
            pieces.append(event.delta)
        elif event.type == "response.completed":
            last = event.response
            assert last == await client.responses.retrieve(last.id)
    assert last is not None
    assert "".join(pieces) == last.output_text
    assert list(range(len(numbers))) == numbers
    assert len(pieces) > 1


async def test_stream_helper(client: AsyncOpenAI) -> None:
    """The stream helper follows a turn and has its final response."""
    async with client.responses.stream(model=MODEL, input="Say hello.") as stream:
        kinds = [event.type async for event in stream]
        response = await stream.get_final_response()
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    assert "response.output_text.done" in kinds
    assert response.output_text
    assert response.output_text == (await client.responses.retrieve(response.id)).output_text


async def test_structured_output(client: AsyncOpenAI) -> None:
    """An answer that was asked for as a model of pydantic's is one."""

    class Person(BaseModel):
        name: str
        age: int

    response = await client.responses.parse(
        model=MODEL, input="Ada is 36 years old. Describe her as JSON.", text_format=Person, temperature=0
    )
    assert isinstance(response.output_parsed, Person)
    assert response.text is not None
    assert response.text.format is not None
    assert response.text.format.type == "json_schema"


async def test_structured_output_as_a_stream(client: AsyncOpenAI) -> None:
    """The stream helper parses as well."""

    class Answer(BaseModel):
        yes: bool

    async with client.responses.stream(model=MODEL, input="Is water wet?", text_format=Answer) as stream:
        response = await stream.get_final_response()
    assert isinstance(response.output_parsed, Answer)


async def test_function_call_loop(client: AsyncOpenAI) -> None:
    """A call, its output and a further question, over three turns that each name only the one before."""
    asked = await client.responses.create(
        model=MODEL,
        input="What is the weather in Paris?",
        tools=[WEATHER],
        tool_choice="required",
        temperature=0,
    )
    calls = [item for item in asked.output if item.type == "function_call"]
    assert calls
    assert all(call.name == "get_weather" and set(json.loads(call.arguments)) == {"city"} for call in calls)
    answered = await client.responses.create(
        model=MODEL,
        previous_response_id=asked.id,
        input=[
            {"type": "function_call_output", "call_id": call.call_id, "output": "It is sunny, 23 degrees."}
            for call in calls
        ],
        tools=[WEATHER],
        tool_choice="none",
        max_output_tokens=32,
    )
    assert answered.output_text
    further = await client.responses.create(
        model=MODEL, previous_response_id=answered.id, input="Thank you. And good bye!", max_output_tokens=32
    )
    assert further.output_text
    listed = [item async for item in client.responses.input_items.list(further.id, order="asc")]
    outputs = ["function_call"] * len(calls) + ["function_call_output"] * len(calls)
    assert ["message", *outputs, "message", "message"] == [item.type for item in listed]


async def test_function_call_as_a_stream(client: AsyncOpenAI) -> None:
    """The arguments of a streamed call arrive in pieces that add up to the call."""
    pieces = []
    stream = await client.responses.create(
        model=MODEL, input="What is the weather in Rome?", tools=[WEATHER], tool_choice="required", stream=True
    )
    call: ResponseFunctionToolCall | None = None
    async for event in stream:
        if event.type == "response.function_call_arguments.delta" and event.output_index == 0:
            pieces.append(event.delta)
        elif event.type == "response.completed":
            first = event.response.output[0]
            assert isinstance(first, ResponseFunctionToolCall)
            call = first
    assert call is not None
    assert "".join(pieces) == call.arguments


async def test_an_answer_that_was_cut_short(client: AsyncOpenAI) -> None:
    """Where the limit ends an answer the response is incomplete and says why, and it can be continued."""
    short = await client.responses.create(model=MODEL, input="Tell me a long story.", max_output_tokens=16)
    assert short.status == "incomplete"
    assert short.incomplete_details is not None
    assert short.incomplete_details.reason == "max_output_tokens"
    assert (
        await client.responses.create(
            model=MODEL, input="Say OK.", previous_response_id=short.id, max_output_tokens=400
        )
    ).status == "completed"


# Stored responses.


async def test_retrieve(client: AsyncOpenAI) -> None:
    """What is retrieved is what was answered."""
    response = await _said(client)
    assert response == await client.responses.retrieve(response.id)


async def test_input_items(client: AsyncOpenAI) -> None:
    """The items that the model saw are listed in both orders, whatever the size of a page."""
    first = await _said(client)
    second = await client.responses.create(
        model=MODEL,
        previous_response_id=first.id,
        input=[{"role": "user", "content": "One."}, {"role": "user", "content": "Two."}],
        max_output_tokens=16,
    )
    everything = [item async for item in client.responses.input_items.list(second.id, order="asc")]
    assert ["Hi, my name is Ada.", first.output_text, "One.", "Two."] == [_text(item) for item in everything]
    for limit in (1, 2, 3, 100):
        ascending = [item async for item in client.responses.input_items.list(second.id, order="asc", limit=limit)]
        descending = [item async for item in client.responses.input_items.list(second.id, limit=limit)]
        assert everything == ascending
        assert everything == descending[::-1]
    page = await client.responses.input_items.list(second.id, order="asc", after=everything[1].id or "")
    assert everything[2:] == page.data


async def test_delete(client: AsyncOpenAI) -> None:
    """A deleted response is gone, and what was said after it still stands."""
    first = await _said(client)
    second = await _said(client, "And now?", previous_response_id=first.id)
    await client.responses.delete(first.id)
    with pytest.raises(NotFoundError):
        await client.responses.retrieve(first.id)
    with pytest.raises(NotFoundError):
        await client.responses.delete(first.id)
    assert len([item async for item in client.responses.input_items.list(second.id)]) == 3


# Conversations.


async def test_conversation(client: AsyncOpenAI) -> None:
    """A conversation is made with items, filled by turns, listed in pages, renamed and deleted."""
    conversation = await client.conversations.create(
        metadata={"topic": "names"},
        items=[
            {"type": "message", "role": "user", "content": "Hi, my name is Ada."},
            {"type": "message", "role": "assistant", "content": "Hello Ada."},
        ],
    )
    references: list[Any] = [conversation.id, {"id": conversation.id}, conversation.id]
    said = ["Complete the sentence: The user's name is", "Thank you.", "Good bye."]
    answers = [
        await client.responses.create(model=MODEL, input=text, conversation=reference, max_output_tokens=16)
        for text, reference in zip(said, references, strict=True)
    ]
    assert "Ada" in answers[0].output_text
    assert all(answer.conversation is not None and conversation.id == answer.conversation.id for answer in answers)
    expected = ["Hi, my name is Ada.", "Hello Ada."]
    for text, answer in zip(said, answers, strict=True):
        expected += [text, answer.output_text]
    for limit in (1, 3, 100):
        ascending = client.conversations.items.list(conversation.id, order="asc", limit=limit)
        descending = client.conversations.items.list(conversation.id, order="desc", limit=limit)
        assert expected == [_text(item) async for item in ascending]
        assert expected[::-1] == [_text(item) async for item in descending]
    renamed = await client.conversations.update(conversation.id, metadata={"topic": "farewells"})
    assert renamed.metadata == {"topic": "farewells"}
    assert renamed == await client.conversations.retrieve(conversation.id)
    deleted = await client.conversations.delete(conversation.id)
    assert (conversation.id, True) == (deleted.id, deleted.deleted)
    with pytest.raises(NotFoundError):
        await client.conversations.retrieve(conversation.id)
    assert answers[0] == await client.responses.retrieve(answers[0].id)


async def test_models(client: AsyncOpenAI) -> None:
    """The upstream's models are listed under their own names."""
    assert [model.id async for model in client.models.list()] == [MODEL]
    assert (await client.models.retrieve(MODEL)).id == MODEL


def _text(item: Any) -> str:
    assert isinstance(item, Message) or item.type == "message"
    return "".join(part.text for part in item.content)
