"""WebSocket mode as the official Python client speaks it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from openai import AsyncOpenAI, OpenAI
from openai.resources.responses.responses import AsyncResponsesConnection, ResponsesConnection
from openai.types.responses import Response
from tests.gateway.conftest import Client
from tests.support.scripted_upstream import MODEL


@contextmanager
def _connection(client: Client) -> Iterator[ResponsesConnection]:
    with (
        OpenAI(base_url=client.base_url + "/v1", api_key="none") as openai,
        openai.responses.connect() as connection,
    ):
        yield connection


@asynccontextmanager
async def _async_connection(client: Client) -> AsyncIterator[AsyncResponsesConnection]:
    async with (
        AsyncOpenAI(base_url=client.base_url + "/v1", api_key="none") as openai,
        openai.responses.connect() as connection,
    ):
        yield connection


async def test_the_client_chains_turns(client: Client) -> None:
    """Three turns that are never stored, each on the one before, read as the client's own types."""
    texts = []
    async with _async_connection(client) as connection:
        previous = None
        for text in ("one", "two", "three"):
            await connection.response.create(model=MODEL, input=text, store=False, previous_response_id=previous)
            response = await _completed(connection)
            previous = response.id
            texts.append(response.output_text)
    assert texts == ["Hello there."] * 3
    assert len(client.upstream.last_messages) == 5


async def test_the_client_uses_lanes(client: Client) -> None:
    """The client finds its lane's name in every event."""
    async with _async_connection(client) as connection:
        await connection.response.create(model=MODEL, input="one", stream_id="a")
        event = await connection.recv()
        while event.type != "response.completed":
            assert getattr(event, "stream_id", None) == "a"
            event = await connection.recv()


async def test_the_client_prewarms(client: Client) -> None:
    """A response id for later, and no model asked."""
    async with _async_connection(client) as connection:
        await connection.response.create(model=MODEL, input="one", generate=False)
        response = await _completed(connection)
    assert (response.output, client.upstream.turns) == ([], [])


async def test_the_client_reads_errors(client: Client) -> None:
    """An error frame is an event of the client's, and the connection goes on."""
    async with _async_connection(client) as connection:
        await connection.response.create(model=MODEL, input="x", previous_response_id="resp_unknown")
        event = await connection.recv()
        assert event.type == "error"
        assert (event.error.code, event.status) == ("previous_response_not_found", 400)
        await connection.response.steer(previous_response_id="resp_x", input="Stop.")
        refused = await connection.recv()
        assert refused.type == "response.steer.failed"
        assert refused.error.code == "steering_not_supported"
        await connection.response.create(model=MODEL, input="x")
        assert (await _completed(connection)).output_text == "Hello there."


async def test_the_synchronous_client_works_too(client: Client) -> None:
    """In a thread of its own."""

    def turn() -> str:
        with _connection(client) as connection:
            connection.response.create(model=MODEL, input="one")
            for event in connection:
                if event.type == "response.completed":
                    return event.response.output_text
        raise AssertionError("the stream ended without its end")

    assert await asyncio.to_thread(turn) == "Hello there."


async def _completed(connection: AsyncResponsesConnection) -> Response:
    async for event in connection:
        assert event.type != "error", event
        if event.type == "response.completed":
            return event.response
    raise AssertionError("the stream ended without its end")
