"""
The upstream's answer cut and split at byte offsets, over real sockets, in front of a gateway process.

Whatever happens to the bytes, a client sees the same events as if nothing had happened, or one clean failure: no hang,
no wrong success, no fault in the gateway's log. ``ANTIPHON_LONG=1`` takes every offset instead of every seventh.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
import pytest_asyncio

from tests.support.gateway_process import GatewayProcess
from tests.support.scripted_upstream import MODEL, Drop, ScriptedUpstream, Wait, chunk, http_stream, http_stream_head

pytestmark = pytest.mark.asyncio(loop_scope="session")

_TRANSCRIPTS = Path(__file__).parents[1] / "transcripts" / "openai_chat"
_STEP = 1 if os.environ.get("ANTIPHON_LONG") else 7
_HANG_S = 30.0
_STREAMS = ("openai_text", "openai_parallel_tools", "deepseek_reasoning")
_BODIES = ("openai_text", "openai_parallel_tools")
_TOOLS = [
    {"type": "function", "name": name, "parameters": {"type": "object"}, "strict": False}
    for name in ("get_weather", "get_time")
]
# What differs from turn to turn, or from upstream address to upstream address.
_OWN = frozenset({"id", "item_id", "call_id", "created_at", "completed_at", "obfuscation"})


class Caller:
    """Asks the gateway for streamed and whole turns."""

    def __init__(self, root: str, upstream: ScriptedUpstream) -> None:
        self._root = root
        self._upstream = upstream
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_HANG_S))

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.close()

    async def stream(self) -> list[Any]:
        """The events of a streamed turn that ends as HTTP says it should."""
        async with self._http.post(f"{self._root}/v1/responses", json={**_request(), "stream": True}) as answer:
            raw = await answer.read()
            assert answer.status == 200, raw
        frames = raw.decode().split("\n\n")
        assert frames[-2:] == ["data: [DONE]", ""]
        return [orjson.loads(frame.split("\ndata: ", 1)[1]) for frame in frames[:-2] if not frame.startswith(":")]

    async def whole(self) -> tuple[int, Any]:
        """The status and body of a turn without a stream."""
        async with self._http.post(f"{self._root}/v1/responses", json=_request()) as answer:
            return answer.status, orjson.loads(await answer.read())

    async def retrieve(self, response_id: str) -> Any:
        """A stored response."""
        async with self._http.get(f"{self._root}/v1/responses/{response_id}") as answer:
            assert answer.status == 200
            return orjson.loads(await answer.read())

    async def round_trip(self) -> None:
        """Return when the gateway has answered something else: it has read what its upstream had sent before that."""
        async with self._http.get(f"{self._root}/livez") as answer:
            assert answer.status == 200


@pytest_asyncio.fixture(loop_scope="session")
async def caller(scripted_gateway: GatewayProcess, scripted: ScriptedUpstream) -> AsyncIterator[Caller]:
    caller = Caller(scripted_gateway.root, scripted)
    yield caller
    await caller.close()


def _request() -> dict[str, Any]:
    return {"model": MODEL, "input": "hi", "tools": _TOOLS}


def _transcript(name: str) -> bytes:
    return (_TRANSCRIPTS / name).read_bytes()


def _offsets(length: int, *, start: int = 0) -> Sequence[int]:
    return range(start, length, _STEP)


def _without_own(value: Any) -> Any:
    """A value without what is minted anew for each turn."""
    if isinstance(value, dict):
        return {key: _without_own(part) for key, part in value.items() if key not in _OWN}
    return [_without_own(part) for part in value] if isinstance(value, list) else value


def _assert_clean_failure(events: list[Any], whole: list[Any]) -> None:
    """A failure after a part of what the whole stream says: no gap in the numbers, one terminal event, an error."""
    assert list(range(len(events))) == [event["sequence_number"] for event in events]
    response = events[-1]["response"]
    assert (events[-1]["type"], response["status"]) == ("response.failed", "failed")
    assert response["error"]["message"]
    assert response["usage"] is None or response["usage"] == whole[-1]["response"]["usage"]
    terminal = [event for event in events if event["type"].split(".")[1] in ("completed", "incomplete", "failed")]
    assert [events[-1]] == terminal
    said = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    all_said = "".join(event["delta"] for event in whole if event["type"] == "response.output_text.delta")
    assert all_said.startswith(said)


async def _check_cut(caller: Caller, whole: list[Any], offset: int) -> None:
    events = await caller.stream()
    if _without_own(events) == _without_own(whole):
        return
    assert events[-1]["type"] != "response.completed", f"a wrong success after a cut at byte {offset}"
    _assert_clean_failure(events, whole)
    assert events[-1]["response"] == await caller.retrieve(events[-1]["response"]["id"])


@pytest.mark.parametrize("name", _STREAMS)
@pytest.mark.parametrize("end", ["dropped", "ended"])
async def test_a_cut_stream_fails_cleanly(caller: Caller, scripted: ScriptedUpstream, name: str, end: str) -> None:
    """A stream that breaks off, or ends as HTTP allows but its dialect does not, is a failure and never a success."""
    data = _transcript(f"{name}.sse")
    scripted.then(http_stream(data))
    whole = await caller.stream()
    assert whole[-1]["type"] == "response.completed"
    for offset in _offsets(len(data), start=0 if end == "dropped" else 3):
        if end == "dropped":
            scripted.then(http_stream_head(), *([chunk(data[:offset])] if offset else []), Drop())
        else:
            scripted.then(http_stream(data[:offset]))
        await _check_cut(caller, whole, offset)


@pytest.mark.parametrize("name", _STREAMS)
async def test_a_split_stream_says_the_same(caller: Caller, scripted: ScriptedUpstream, name: str) -> None:
    """A stream that arrives in two pieces, wherever the border is, gives the same events as one that comes at once."""
    data = _transcript(f"{name}.sse")
    scripted.then(http_stream(data))
    whole = _without_own(await caller.stream())
    for offset in _offsets(len(data), start=1):
        border = Wait(asyncio.Event())
        scripted.then(http_stream_head() + chunk(data[:offset]), border, chunk(data[offset:]) + b"0\r\n\r\n")
        streaming = asyncio.ensure_future(caller.stream())
        await asyncio.wait_for(border.reached.wait(), _HANG_S)
        await caller.round_trip()
        border.event.set()
        assert whole == _without_own(await streaming), f"split at byte {offset}"


@pytest.mark.parametrize("name", _STREAMS)
async def test_a_stream_of_single_bytes_says_the_same(caller: Caller, scripted: ScriptedUpstream, name: str) -> None:
    """A stream whose every byte is a chunk of its own gives the same events as one that comes at once."""
    data = _transcript(f"{name}.sse")
    scripted.then(http_stream(data))
    whole = await caller.stream()
    scripted.then(http_stream_head(), *(chunk(data[at : at + 1]) for at in range(len(data))), b"0\r\n\r\n")
    assert _without_own(whole) == _without_own(await caller.stream())


@pytest.mark.parametrize("name", _BODIES)
async def test_a_cut_body_is_a_bad_gateway(caller: Caller, scripted: ScriptedUpstream, name: str) -> None:
    """A whole answer that breaks off is a 502 that names the fault, wherever it was cut."""
    data = _transcript(f"{name}.json").strip()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    for offset in _offsets(len(data)):
        scripted.then(head % len(data) + data[:offset], Drop())
        status, body = await caller.whole()
        assert (status, body["error"]["code"]) == (502, "upstream_broken"), f"cut at byte {offset}"
        scripted.then(head % offset + data[:offset])
        status, body = await caller.whole()
        assert (status, body["error"]["code"]) == (502, "upstream_broken"), f"shortened to {offset} bytes"
