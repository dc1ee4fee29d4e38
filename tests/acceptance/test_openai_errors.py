"""Every error of the API as the exception class that the official client has for it, with OpenAI's code and param."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from openai import (
    APIStatusError,
    AsyncOpenAI,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    RateLimitError,
)

from tests.support.gateway_process import GatewayProcess
from tests.support.scripted_upstream import MODEL, Drop, ScriptedUpstream, Wait, http_json, whole

pytestmark = pytest.mark.asyncio(loop_scope="session")

NO_RESPONSE = "resp_" + "0" * 50
NO_CONVERSATION = "conv_" + "0" * 50
CALL = {"id": "call_up", "type": "function", "function": {"name": "look", "arguments": "{}"}}
LOOK: Any = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": False}


@pytest_asyncio.fixture(loop_scope="session")
async def client(scripted_gateway: GatewayProcess, scripted: ScriptedUpstream) -> AsyncIterator[AsyncOpenAI]:
    async with _client(scripted_gateway) as client:
        yield client


def _client(gateway: GatewayProcess) -> AsyncOpenAI:
    return AsyncOpenAI(
        base_url=gateway.base_url, api_key="unused", max_retries=0, _strict_response_validation=True, timeout=60
    )


def _told(error: APIStatusError) -> tuple[int, str | None, str | None]:
    """What a program looks at."""
    assert error.request_id is not None
    assert error.message
    return error.status_code, error.code, error.param


async def _called(client: AsyncOpenAI, scripted: ScriptedUpstream) -> tuple[str, str]:
    """A response that waits for a tool's output, and the call's id."""
    scripted.then(http_json(whole(None, finish_reason="tool_calls", tool_calls=[CALL])))
    response = await client.responses.create(model=MODEL, input="Look!", tools=[LOOK])
    call = response.output[0]
    assert call.type == "function_call"
    return response.id, call.call_id


Ask = Callable[[AsyncOpenAI], Awaitable[object]]

# name: what is asked, the exception, the error's status, code and param.
REFUSALS: dict[str, tuple[Ask, type[APIStatusError], tuple[int, str | None, str | None]]] = {
    "unknown previous response": (
        lambda client: client.responses.create(model=MODEL, input="hi", previous_response_id=NO_RESPONSE),
        BadRequestError,
        (400, "previous_response_not_found", "previous_response_id"),
    ),
    "both ways of continuing": (
        lambda client: client.responses.create(
            model=MODEL, input="hi", previous_response_id=NO_RESPONSE, conversation=NO_CONVERSATION
        ),
        BadRequestError,
        (400, "mutually_exclusive_parameters", None),
    ),
    "turn in an unknown conversation": (
        lambda client: client.responses.create(model=MODEL, input="hi", conversation=NO_CONVERSATION),
        NotFoundError,
        (404, None, None),
    ),
    "conversation without its prefix": (
        lambda client: client.responses.create(model=MODEL, input="hi", conversation="x"),
        BadRequestError,
        (400, "invalid_value", "conversation"),
    ),
    "unknown conversation": (
        lambda client: client.conversations.retrieve(NO_CONVERSATION),
        NotFoundError,
        (404, None, None),
    ),
    "update of an unknown conversation": (
        lambda client: client.conversations.update(NO_CONVERSATION, metadata={}),
        NotFoundError,
        (404, None, None),
    ),
    "items of an unknown conversation": (
        lambda client: client.conversations.items.list(NO_CONVERSATION)._get_page(),
        NotFoundError,
        (404, None, None),
    ),
    "unknown response": (
        lambda client: client.responses.retrieve(NO_RESPONSE),
        NotFoundError,
        (404, None, None),
    ),
    "input items of an unknown response": (
        lambda client: client.responses.input_items.list(NO_RESPONSE)._get_page(),
        NotFoundError,
        (404, None, None),
    ),
    "deletion of an unknown response": (
        lambda client: client.responses.delete(NO_RESPONSE),
        NotFoundError,
        (404, None, None),
    ),
    "unknown item reference": (
        lambda client: client.responses.create(
            model=MODEL, input=[{"type": "item_reference", "id": "msg_" + "0" * 50}]
        ),
        NotFoundError,
        (404, None, "input"),
    ),
    "unknown model": (
        lambda client: client.responses.create(model="gpt-99", input="hi"),
        NotFoundError,
        (404, "model_not_found", None),
    ),
    "missing input": (
        lambda client: client.responses.create(model=MODEL),
        BadRequestError,
        (400, "missing_required_parameter", "input"),
    ),
    "wrong type": (
        lambda client: client.responses.create(model=MODEL, input="hi", max_output_tokens="many"),  # type: ignore[call-overload]  # what is tested
        BadRequestError,
        (400, "invalid_type", "max_output_tokens"),
    ),
    "out of range": (
        lambda client: client.responses.create(model=MODEL, input="hi", temperature=3),
        BadRequestError,
        (400, "decimal_above_max_value", "temperature"),
    ),
    "unknown value": (
        lambda client: client.responses.create(model=MODEL, input="hi", truncation="middle"),  # type: ignore[call-overload]  # what is tested
        BadRequestError,
        (400, "invalid_value", "truncation"),
    ),
    "unknown parameter": (
        lambda client: client.responses.create(model=MODEL, input="hi", extra_body={"surprise": 1}),
        BadRequestError,
        (400, "unknown_parameter", "surprise"),
    ),
    "chat's messages": (
        lambda client: client.responses.create(
            model=MODEL, extra_body={"messages": [{"role": "user", "content": "hi"}]}
        ),
        BadRequestError,
        (400, "unsupported_parameter", "messages"),
    ),
    "too much metadata": (
        lambda client: client.responses.create(
            model=MODEL, input="hi", metadata={str(number): "" for number in range(17)}
        ),
        BadRequestError,
        (400, "object_above_max_properties", "metadata"),
    ),
    "moderation": (
        lambda client: client.responses.create(model=MODEL, input="hi", extra_body={"moderation": {"model": "m"}}),
        BadRequestError,
        (400, "unsupported_parameter", "moderation"),
    ),
    "too many characters": (
        lambda client: client.responses.create(model=MODEL, input="x" * 10_485_761),
        BadRequestError,
        (400, "string_above_max_length", "input"),
    ),
    "too many bytes": (
        lambda client: client.responses.create(model=MODEL, input="x" * (33 * 1024 * 1024)),
        APIStatusError,
        (413, "request_too_large", None),
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_refusals(client: AsyncOpenAI, scripted: ScriptedUpstream, name: str) -> None:
    """A request that cannot be served is refused as the API does it, before the model is asked."""
    ask, kind, expected = REFUSALS[name]
    asked = len(scripted.turns)
    with pytest.raises(kind) as caught:
        await ask(client)
    assert expected == _told(caught.value)
    assert asked == len(scripted.turns)


@pytest.mark.parametrize("name", ["unknown previous response", "unknown model", "wrong type"])
async def test_refusals_of_streams(client: AsyncOpenAI, name: str) -> None:
    """A streamed request is refused with the same error, and not inside a stream."""
    fields: dict[str, Any] = {
        "unknown previous response": {"previous_response_id": NO_RESPONSE},
        "unknown model": {"model": "gpt-99"},
        "wrong type": {"max_output_tokens": "many"},
    }[name]
    _, kind, expected = REFUSALS[name]
    with pytest.raises(kind) as caught:
        await client.responses.create(**{"model": MODEL, "input": "hi", "stream": True, **fields})
    assert expected == _told(caught.value)


async def test_a_response_that_was_not_stored(client: AsyncOpenAI) -> None:
    """With ``store: false`` a response can be neither retrieved nor continued."""
    response = await client.responses.create(model=MODEL, input="hi", store=False)
    with pytest.raises(NotFoundError):
        await client.responses.retrieve(response.id)
    with pytest.raises(BadRequestError) as caught:
        await client.responses.create(model=MODEL, input="and?", previous_response_id=response.id)
    assert _told(caught.value) == (400, "previous_response_not_found", "previous_response_id")


async def test_a_missing_tool_output(client: AsyncOpenAI, scripted: ScriptedUpstream) -> None:
    """A turn that leaves a call unanswered is refused, with the call's id."""
    response_id, call_id = await _called(client, scripted)
    with pytest.raises(BadRequestError) as caught:
        await client.responses.create(model=MODEL, input="And?", previous_response_id=response_id)
    assert _told(caught.value) == (400, None, "input")
    assert f"No tool output found for function call {call_id}." in caught.value.message


async def test_a_surplus_tool_output(client: AsyncOpenAI, scripted: ScriptedUpstream) -> None:
    """An output that answers no call is refused, with its call's id."""
    response_id, call_id = await _called(client, scripted)
    outputs: Any = [
        {"type": "function_call_output", "call_id": known, "output": "seen"} for known in (call_id, "call_of_nobody")
    ]
    with pytest.raises(BadRequestError) as caught:
        await client.responses.create(model=MODEL, input=outputs, previous_response_id=response_id)
    assert _told(caught.value) == (400, None, "input")
    assert "No tool call found for function call output with call_id call_of_nobody." in caught.value.message


async def test_a_conversation_that_is_busy(client: AsyncOpenAI, scripted: ScriptedUpstream) -> None:
    """While a turn runs in a conversation another one is told to try again; afterwards it may."""
    conversation = await client.conversations.create()
    pause = Wait(asyncio.Event())
    scripted.then(pause, http_json(whole("At last.")))
    first = asyncio.ensure_future(
        client.responses.create(model=MODEL, input="Take your time.", conversation=conversation.id)
    )
    await asyncio.wait_for(pause.reached.wait(), timeout=30)
    with pytest.raises(BadRequestError) as caught:
        await client.responses.create(model=MODEL, input="Hurry!", conversation=conversation.id)
    assert _told(caught.value) == (400, "conversation_locked", "conversation")
    assert caught.value.response.headers["x-should-retry"] == "true"
    pause.event.set()
    assert (await first).output_text == "At last."
    assert (await client.responses.create(model=MODEL, input="Now?", conversation=conversation.id)).output_text


async def test_an_upstream_that_limits_the_rate(client: AsyncOpenAI, scripted: ScriptedUpstream) -> None:
    """The upstream's 429 is the client's, with the pause that it asked for."""
    body = {"error": {"message": "Slow down.", "type": "requests", "code": "rate_limit_exceeded"}}
    scripted.then(http_json(body, status=429, headers="retry-after: 30\r\n"))
    with pytest.raises(RateLimitError) as caught:
        await client.responses.create(model=MODEL, input="hi")
    assert _told(caught.value) == (429, "rate_limit_exceeded", None)
    assert caught.value.response.headers["retry-after"] == "30"


async def test_an_upstream_that_refuses(client: AsyncOpenAI, scripted: ScriptedUpstream) -> None:
    """What the upstream calls a bad request is one, with its reason."""
    scripted.then(http_json({"error": {"message": "I cannot sing.", "type": "invalid_request_error"}}, status=400))
    with pytest.raises(BadRequestError) as caught:
        await client.responses.create(model=MODEL, input="Sing!")
    assert "I cannot sing." in caught.value.message


async def test_an_upstream_that_breaks_off(client: AsyncOpenAI, scripted: ScriptedUpstream) -> None:
    """Half an answer is no answer."""
    scripted.then(http_json(whole("Half"))[:-20], Drop())
    with pytest.raises(InternalServerError) as caught:
        await client.responses.create(model=MODEL, input="hi")
    assert _told(caught.value) == (502, "upstream_broken", None)


async def test_an_upstream_that_is_down(tmp_path: Path) -> None:
    """Where nobody listens any more the gateway says so; what is stored stays readable."""
    async with ScriptedUpstream.serve() as upstream:
        gateway = GatewayProcess(tmp_path / "antiphon.db", upstream.url)
        await gateway.start()
        async with _client(gateway) as client:
            before = await client.responses.create(model=MODEL, input="hi")
    try:
        async with _client(gateway) as client:
            with pytest.raises(InternalServerError) as caught:
                await client.responses.create(model=MODEL, input="And?", previous_response_id=before.id)
            assert _told(caught.value) == (502, "upstream_unreachable", None)
            assert before == await client.responses.retrieve(before.id)
    finally:
        await gateway.stop()
