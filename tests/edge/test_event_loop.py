"""Large bodies do not hold up what else the process does."""

from __future__ import annotations

import asyncio
import time

import orjson

from antiphon import InMemorySessionStore
from antiphon.server.json_count import has_more_members
from tests.support.asgi_client import post
from tests.support.ready_upstream import MODEL, ready_gateway


async def test_half_a_million_keys_are_refused_without_being_parsed() -> None:
    """Others wait for much less than the parser would have taken: it holds the interpreter's lock in any thread."""
    body = b"{" + b",".join(b'"key%d":1' % number for number in range(500_000)) + b"}"
    began = time.perf_counter()
    orjson.loads(body)
    parsing_s = time.perf_counter() - began
    longest_s = 0.0

    async def others() -> None:
        nonlocal longest_s
        before = time.perf_counter()
        while True:
            await asyncio.sleep(0)
            now = time.perf_counter()
            longest_s, before = max(longest_s, now - before), now

    gateway, upstream = ready_gateway(None)
    async with gateway:
        beside = asyncio.get_running_loop().create_task(others())
        answer = await post(gateway.asgi(), "/v1/responses", body)
        beside.cancel()
    assert (answer.status, answer.error["code"], upstream.turns) == (400, "request_too_complex", 0)
    assert longest_s < parsing_s / 2


async def test_a_large_request_with_a_key_is_one_request() -> None:
    """A body of megabytes is recognised by its key and content like any other."""
    gateway, upstream = ready_gateway(InMemorySessionStore())
    key = (b"idempotency-key", b"k-1")
    async with gateway:
        app = gateway.asgi()
        said = {"model": MODEL, "input": "long " * 400_000}
        first, second = [await post(app, "/v1/responses", said, key) for _ in range(2)]
        other = await post(app, "/v1/responses", {**said, "input": said["input"] + "er"}, key)
    assert first.json["id"] == second.json["id"]
    assert second.headers["idempotent-replayed"] == "true"
    assert (other.status, other.error["code"]) == (422, "idempotency_key_reused")
    assert upstream.turns == 1


def test_what_stands_in_strings_is_not_counted() -> None:
    """Separators and brackets in strings, behind escapes and across slices, are text."""
    text = 'a, [b], {c}: "d" \\ \\\\ , ' * 40_000
    assert not has_more_members(orjson.dumps({"a": text, "b": [text, "\\", "\\\\", ","]}), 10)
    assert not has_more_members(orjson.dumps([text + "\\" * odd for odd in range(3)]), 10)


def test_what_stands_between_strings_is_counted() -> None:
    """However it is written, more than twice as many members as are allowed are seen."""
    escaped = orjson.dumps('\\",' * 100_000)
    for piece in (b"1,", b"[],", b'"",', b'"\\\\",', b'"a,b",'):
        text = b"[" + escaped + b"," + piece * 300 + b"1]"
        assert has_more_members(text, 100)
        assert not has_more_members(text, 1000)
