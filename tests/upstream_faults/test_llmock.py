"""
A gateway process in front of llmock, which misbehaves and then says whether the gateway did anything wrong.

The client does what an application does: a turn that has failed is asked for again, and whatever llmock broke, its
verdict on the whole must be without an error and without a warning.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest
import pytest_asyncio

from tests.support.gateway_process import GatewayProcess
from tests.upstream_faults.llmock import LLMock, environment

pytestmark = pytest.mark.asyncio(loop_scope="module")

_CONFIG = """
upstreams:
  - name: llmock
    base_url: {base_url}
    models: [gpt-4o]
    timeouts: {{connect_s: 10, first_byte_s: 10, idle_s: 0.7}}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mock(request: pytest.FixtureRequest) -> AsyncIterator[LLMock]:
    cache = request.config.cache
    assert cache is not None
    async with LLMock.serve(await environment(cache.mkdir("llmock"))) as mock:
        yield mock


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(mock: LLMock, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("llmock")
    config = folder / "antiphon.yaml"
    config.write_text(_CONFIG.format(base_url=mock.base_url))
    async with GatewayProcess.serving(folder / "antiphon.db", "", arguments=["--config", str(config)]) as gateway:
        yield gateway


def _fail(status: int, **more: Any) -> dict[str, Any]:
    return {"type": "fail", "status": status, **more}


def _fault(kind: str, after_chunks: int, **more: Any) -> dict[str, Any]:
    return {"type": "stream_fault", "kind": kind, "after_chunks": after_chunks, **more}


# What is ordered, and how the turns end that the client asks for one after the other until one succeeds.
ORDERS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing": ({"type": "delay", "seconds": 0.01}, ["completed"]),
    "429 that passes": (_fail(429, retry_after=1), ["completed"]),
    "503 that passes": (_fail(503), ["completed"]),
    "503 twice": (_fail(503, times=2), ["completed"]),
    "500": (_fail(500), ["completed"]),
    "529": (_fail(529), ["completed"]),
    "slow first token": ({"type": "slow_first_token", "seconds": 0.3}, ["completed"]),
    **{
        f"{kind} after {after} chunks": (_fault(kind, after, **more), ["failed", "completed"])
        for kind, more in (("truncate", {}), ("disconnect", {}), ("malformed", {}), ("stall", {"stall_seconds": 3}))
        for after in (1, 2, 4)
    },
}


@pytest.mark.parametrize(("order", "ends"), ORDERS.values(), ids=ORDERS.keys())
async def test_a_broken_stream(mock: LLMock, gateway: GatewayProcess, order: dict[str, Any], ends: list[str]) -> None:
    """What llmock breaks is repeated by us before the first byte, told to the client after it, and never accepted."""
    await mock.reset()
    await mock.order(order)
    async with aiohttp.ClientSession() as http:
        for number, end in enumerate(ends, 1):
            assert await _streamed(http, gateway.root, f"{order} {ends}") == end
            await _has_seen_the_end(mock, number)

    await _assert_praised(mock)


REFUSALS = {
    "400": (_fail(400), 400, "invalid_request_error"),
    "401": (_fail(401), 502, "server_error"),
    "403": (_fail(403), 502, "server_error"),
    "422": (_fail(422), 400, "invalid_request_error"),
}


@pytest.mark.parametrize(("order", "status", "kind"), REFUSALS.values(), ids=REFUSALS.keys())
async def test_a_refusal(mock: LLMock, gateway: GatewayProcess, order: dict[str, Any], status: int, kind: str) -> None:
    """What no second try can mend is told to the client at once."""
    await mock.reset()
    await mock.order(order)
    async with aiohttp.ClientSession() as http:
        body = {"model": "gpt-4o", "input": "hi"}
        async with http.post(f"{gateway.root}/v1/responses", json=body) as answer:
            assert (answer.status, (await answer.json())["error"]["type"]) == (status, kind)

    assert (await mock.verdict())["attempts"] == 1
    await _assert_praised(mock)


async def test_llmock_sees_what_is_wrong(mock: LLMock) -> None:
    """The verdict finds a client that takes half an answer for a whole one: it is worth asking."""
    await mock.reset()
    await mock.order(_fault("truncate", 1))
    async with aiohttp.ClientSession() as http:
        question = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "stream": True}
        async with http.post(f"{mock.base_url}/chat/completions", json=question) as answer:
            await answer.read()

    assert [finding["code"] for finding in (await mock.verdict())["findings"]] == ["truncated_stream_accepted"]


async def _streamed(http: aiohttp.ClientSession, root: str, text: str) -> str:
    """How a streamed turn ends; the stream has to be one, to its end."""
    async with http.post(f"{root}/v1/responses", json={"model": "gpt-4o", "input": text, "stream": True}) as answer:
        raw = await answer.read()
        assert answer.status == 200, raw
        assert answer.headers["x-antiphon-upstream"] == "llmock"
    *frames, done, rest = raw.decode().split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    status: str = orjson.loads(frames[-1].split("\ndata: ", 1)[1])["response"]["status"]
    return status


async def _has_seen_the_end(mock: LLMock, number: int) -> None:
    """Wait until it knows that so many requests are over: only then does it take the next for another try."""
    async with asyncio.timeout(20):
        while (await mock.verdict())["attempts"] < number:
            await asyncio.sleep(0.01)


async def _assert_praised(mock: LLMock) -> None:
    verdict = await mock.verdict()
    assert (verdict["passed"], verdict["findings"]) == (True, []), verdict
