"""What turns cost: where it is told, what is kept of it, and when nobody knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from tests.gateway.conftest import Client, serving
from tests.gateway.test_background import eventually
from tests.support.scripted_upstream import (
    MODEL,
    ScriptedUpstream,
    Wait,
    chunk,
    delta,
    http_json,
    http_stream_head,
    sse,
    whole,
)

from antiphon import Gateway, InMemorySessionStore, Target, upstream
from antiphon.app.prices import price_of
from antiphon.settings import PriceSettings
from antiphon.telemetry import Log

PRICE = price_of(PriceSettings(input=10, cached_input=1, output=100))
USED = {
    "prompt_tokens": 1000,
    "completion_tokens": 20,
    "total_tokens": 1020,
    "prompt_tokens_details": {"cached_tokens": 600},
}
COST = 0.0066  # 400 * 10 + 600 * 1 + 20 * 100 millionths


def answered(text: str = "Hello.", **usage: Any) -> dict[str, Any]:
    return {**whole(text), "usage": usage or USED}


@pytest.fixture
async def client(scripted: ScriptedUpstream) -> AsyncIterator[Client]:
    """A gateway before an upstream with prices, and the same one under a name without."""
    paid = upstream(scripted.url, name="paid", price=PRICE)
    free = upstream(scripted.url, name="free", models=["free-1"])
    half = Target(free, "free-1", price=price_of(PriceSettings(input=5, output=50)))
    gateway = Gateway([paid, free], aliases={"half": [half]}, store=InMemorySessionStore(), log=Log("info"))
    async with serving(gateway, scripted) as client:
        yield client


async def turn(client: Client, **fields: Any) -> tuple[int, Any, dict[str, str]]:
    return await client.full("POST", "/v1/responses", {"model": MODEL, "input": "hi", **fields})


async def test_a_turns_cost_is_in_its_header_and_kept_with_its_response(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cached input has its own price; the log's line has the cost, too."""
    client.upstream.then(http_json(answered()))
    _, made, headers = await turn(client)
    _, got = await client.call("GET", f"/v1/responses/{made['id']}")
    assert headers["x-antiphon-cost"] == "0.0066"
    assert made["usage"]["cost"] == got["usage"]["cost"] == COST
    assert "cost=0.0066" in next(line for line in capsys.readouterr().err.splitlines() if made["id"] in line)


async def test_openais_client_reads_it_as_a_further_field(client: Client) -> None:
    """Its types keep what they do not know."""
    client.upstream.then(http_json(answered()))
    async with openai.AsyncOpenAI(base_url=f"{client.base_url}/v1", api_key="none") as sdk:
        made = await sdk.responses.create(model=MODEL, input="hi")
    assert made.usage is not None
    assert (made.usage.input_tokens, made.usage.model_extra) == (1000, {"cost": COST})


async def test_a_streams_end_tells_it_also_when_it_is_said_again(client: Client) -> None:
    """Headers have left by then; what is replayed later is the same to the byte."""
    usage = sse({"id": "c", "object": "chat.completion.chunk", "model": MODEL, "choices": [], "usage": USED})
    end = sse({"id": "c", "model": MODEL, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    body = delta(content="Hi") + end + usage + b"data: [DONE]\n\n"
    client.upstream.then(http_stream_head() + chunk(body) + b"0\r\n\r\n")
    events, raw = await client.raw_stream(stream_options={"include_obfuscation": False})
    response = events[-1]["response"]
    url = f"{client.base_url}/v1/responses/{response['id']}?stream=true&include_obfuscation=false"
    async with client.http.get(url) as again:
        assert await again.read() == raw
        assert "x-antiphon-cost" not in again.headers
    assert response["usage"]["cost"] == COST


async def test_an_aliass_target_has_a_price_of_its_own(client: Client) -> None:
    """And an upstream without one has no cost: absent, and not zero."""
    client.upstream.then(http_json(answered()))
    _, half, _ = await turn(client, model="half")
    client.upstream.then(http_json(answered()))
    _, unknown, headers = await turn(client, model="free-1")
    assert half["usage"]["cost"] == 0.006
    assert "cost" not in unknown["usage"]
    assert "x-antiphon-cost" not in headers


async def test_a_price_of_nothing_is_known(client: Client, scripted: ScriptedUpstream) -> None:
    """A configured zero is a price."""
    nothing = upstream(scripted.url, name="own", price=price_of(PriceSettings(input=0, output=0)))
    async with serving(Gateway([nothing]), scripted) as own:
        scripted.then(http_json(answered()))
        _, made, headers = await turn(own)
    assert (made["usage"]["cost"], headers["x-antiphon-cost"]) == (0, "0")


async def test_what_used_nothing_that_was_counted_has_no_cost(client: Client) -> None:
    """An upstream that counts nothing leaves usage and cost unknown."""
    without = {name: value for name, value in whole("Hi").items() if name != "usage"}
    client.upstream.then(http_json(without))
    status, made, headers = await turn(client)
    assert (status, made["usage"]) == (200, None)
    assert "x-antiphon-cost" not in headers


async def test_a_cancelled_turn_costs_what_it_used(client: Client) -> None:
    """Here by an estimate, and it says so."""
    wait = Wait(asyncio.Event())
    client.upstream.then(http_stream_head(), chunk(delta(content="Some words. " * 10)), wait)
    _, begun = await client.call("POST", "/v1/responses", {"model": MODEL, "input": "hi", "background": True})
    await wait.reached.wait()
    await eventually(client, begun["id"], "in_progress")
    _, ended = await client.call("POST", f"/v1/responses/{begun['id']}/cancel")
    usage = ended["usage"]
    assert (ended["status"], usage["estimated"]) == ("cancelled", True)
    assert usage["cost"] == pytest.approx((usage["input_tokens"] * 10 + usage["output_tokens"] * 100) / 1e6)


async def test_a_failed_turn_costs_what_the_upstream_had_counted(client: Client) -> None:
    """It is on the error's header, and in the record that is kept."""
    counted = sse({"id": "c", "model": MODEL, "choices": [], "usage": USED})
    broken = delta(content="Hi") + counted + sse({"error": {"message": "out of order", "code": 500}})
    client.upstream.then(http_stream_head() + chunk(broken) + b"0\r\n\r\n")
    status, _, headers = await turn(client)
    _, kept = await client.call("GET", f"/v1/responses/{headers['x-antiphon-response-id']}")
    assert (status, kept["status"]) == (503, "failed")
    assert (headers["x-antiphon-cost"], kept["usage"]["cost"]) == ("0.0066", COST)


async def test_compaction_behind_an_answer_is_part_of_the_cost(client: Client) -> None:
    """The answer's tokens and those of the summary, each at the price of whoever was asked."""
    client.upstream.then(http_json(answered()))
    client.upstream.then(
        http_json(answered("They said hi.", prompt_tokens=100, completion_tokens=10, total_tokens=110))
    )
    _, made, headers = await turn(client, context_management=[{"type": "compaction", "compact_threshold": 1000}])
    assert [item["type"] for item in made["output"]] == ["message", "compaction"]
    assert made["usage"]["input_tokens"] == 1100
    assert made["usage"]["cost"] == pytest.approx(COST + 0.002)
    assert headers["x-antiphon-cost"] == "0.0086"


async def test_compacting_on_its_own_costs_as_well(client: Client) -> None:
    """As a turn that only compacts, and as the operation that stores nothing."""
    first = await client.respond()
    client.upstream.then(http_json(answered("They said hi.")))
    _, compacted = await client.call(
        "POST", "/v1/responses/compact", {"model": MODEL, "previous_response_id": first["id"]}
    )
    client.upstream.then(http_json(answered("They said hi.")))
    _, made, _ = await turn(client, previous_response_id=first["id"], input=[{"type": "compaction_trigger"}])
    assert compacted["usage"]["cost"] == COST
    assert ([item["type"] for item in made["output"]], made["usage"]["cost"]) == (["compaction"], COST)


async def test_an_end_users_export_has_the_cost(client: Client) -> None:
    """Responses stand there whole."""
    client.upstream.then(http_json(answered()))
    await turn(client, safety_identifier="ada")
    async with client.http.get(f"{client.base_url}/v1/end_users/ada/export") as export:
        assert b'"cost":0.0066' in await export.read()
