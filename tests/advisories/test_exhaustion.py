"""Advisories about a single request, or a single answer, that stopped a whole server."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.advisories.stage import Stage, application
from tests.support.gateway_process import GatewayProcess
from tests.support.raw_http import RawConnection, answers_in
from tests.support.scripted_upstream import MODEL, ScriptedUpstream, http_json

_SOON_S = 10.0


async def still_serves(stage: Stage) -> None:
    """A usual turn goes as usual."""
    assert (await stage.turn(stage.victim)).status == 200


@pytest.fixture
async def port(tmp_path: Path, scripted: ScriptedUpstream) -> AsyncIterator[int]:
    """Where a real server listens; in the end it has to have logged no fault."""
    gateway = GatewayProcess(tmp_path / "antiphon.db", scripted.url)
    await gateway.start()
    yield int(gateway.root.rpartition(":")[2])
    await gateway.stop()


async def answered(port: int, data: bytes) -> list[int]:
    """The statuses of the answers to bytes, up to the end of the connection."""
    async with RawConnection.open(port) as connection:
        await connection.send(data)
        return [answer.status for answer in answers_in(await connection.until_closed())]


async def test_cve_2025_48956_one_enormous_header(port: int) -> None:
    """
    CVE-2025-48956 (vLLM), CVE-2026-22815 (aiohttp): headers of any size were taken into memory.

    A head ends at 64 KiB, in one field or in many, and the one who sent it is told so and dropped.
    """
    start = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
    assert await answered(port, start + b"X-Big: " + b"a" * 4_000_000 + b"\r\n\r\n") == [431]
    many = b"".join(b"X-%d: a\r\n" % index for index in range(100_000))
    assert await answered(port, start + many + b"\r\n") == [431]
    assert await answered(port, start + b"Connection: close\r\n\r\n") == [200]


async def test_cve_2026_22815_endless_trailers(port: int) -> None:
    """
    CVE-2026-22815 (aiohttp): trailers behind a chunked body were not counted.

    A request with trailers without end costs its sender the connection, and nobody else anything.
    """
    head = b"POST /v1/responses HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += b"Transfer-Encoding: chunked\r\n\r\n"
    trailers = b"".join(b"X-%d: %s\r\n" % (index, b"a" * 100) for index in range(50_000))
    statuses = await answered(port, head + b"2\r\n{}\r\n0\r\n" + trailers + b"\r\n")
    assert set(statuses) <= {400, 431}
    assert len(statuses) <= 1
    assert await answered(port, b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n") == [200]


async def test_cve_2025_69229_a_body_of_tiny_chunks(port: int) -> None:
    """
    CVE-2025-69229 (aiohttp): a body of very many chunks took time that grew with their square, and everybody waited.

    A body of 200,000 chunks of a byte each is read in a moment.
    """
    text = b'{"model":"%s","input":"%s"}' % (MODEL.encode(), b"a" * 200_000)
    head = b"POST /v1/responses HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in text) + b"0\r\n\r\n"
    began = time.monotonic()
    assert await answered(port, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks) == [200]
    assert time.monotonic() - began < _SOON_S


async def test_cve_2026_34756_one_number_asks_for_a_million_answers(stage: Stage) -> None:
    """
    CVE-2026-34756 (vLLM): ``n`` had no bound, and a million copies of a request were made.

    Every number has a bound or is refused by its name, and nothing is multiplied by one.
    """
    for field, value in (
        ("n", 10**6), ("best_of", 10**6), ("top_logprobs", 10**9), ("max_tool_calls", -1), ("max_output_tokens", -1),
        ("temperature", 1e308), ("top_p", -1), ("max_output_tokens", 1.5),
    ):  # fmt: skip
        answer = await stage.turn(stage.attacker, **{field: value})
        assert (answer.status, answer.error["param"]) == (400, field)
    huge = f'{{"model":"{MODEL}","input":"hi","max_output_tokens":1{"0" * 5000}}}'.encode()
    assert (await stage.call("POST", "/v1/responses", huge, key=stage.attacker)).status == 400
    assert stage.upstream.turns == []
    await still_serves(stage)


async def test_cve_2026_5497_one_request_of_many_frames(stage: Stage) -> None:
    """
    CVE-2026-5497 (vLLM): a video was as many pictures as its sender wrote commas, and each was decoded.

    Nothing of a request is decoded here; its items, tools, members and depth are counted, and too many are refused.
    """
    item = {"role": "user", "content": "hi"}
    assert (await stage.turn(stage.attacker, [item] * 2001)).status == 400
    tool = {"type": "function", "name": "f", "parameters": None}
    assert (
        await stage.turn(stage.attacker, tools=[{**tool, "name": f"f{index}"} for index in range(129)])
    ).status == 400
    wide = b'{"model":"m","input":[' + b"[]," * 150_000 + b"[]]}"
    deep = b'{"model":"m","input":' + b"[" * 5000 + b"]" * 5000 + b"}"
    for body in (wide, deep):
        assert (await stage.call("POST", "/v1/responses", body, key=stage.attacker)).status in (400, 413)
    frames = "data:video/jpeg;base64," + ",".join(["/9j/4AAQ"] * 5000)
    content = [{"type": "input_image", "image_url": frames}]
    began = time.monotonic()
    assert (await stage.turn(stage.attacker, [{"role": "user", "content": content}])).status in (200, 400)
    assert time.monotonic() - began < _SOON_S
    await still_serves(stage)


async def test_cve_2025_62727_ranges_that_overlap(stage: Stage) -> None:
    """
    CVE-2025-62727 (Starlette): merging the ranges of a Range header took time that grew with their square.

    There is nothing to be had in ranges: the header means nothing, and the answer is whole.
    """
    ranges = b"bytes=" + b",".join(b"%d-%d" % (index, index + 9) for index in range(4000))
    made = (await stage.respond(stage.victim))["id"]
    for path in ("/docs", "/openapi.json", f"/v1/responses/{made}"):
        began = time.monotonic()
        whole = await stage.call("GET", path, key=stage.victim)
        answer = await stage.call("GET", path, key=stage.victim, headers=[(b"range", ranges)])
        assert (answer.status, answer.body) == (200, whole.body)
        assert time.monotonic() - began < _SOON_S


async def test_cve_2024_47874_a_form_without_end(stage: Stage) -> None:
    """
    CVE-2024-47874 (Starlette), CVE-2025-69228 (aiohttp): parts of a form were kept in memory without a bound, or
    each had a bound of its own.

    No operation reads forms, and a body of whatever kind has one bound for all of it.
    """
    part = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"a" * 100_000 + b"\r\n"
    form = [(b"content-type", b"multipart/form-data; boundary=x")]
    for size in (3, 400):
        answer = await stage.call("POST", "/v1/responses", part * size, key=stage.attacker, headers=form)
        assert answer.status in (400, 413, 415), answer.status
    assert answer.status in (400, 413)
    assert stage.upstream.turns == []
    await still_serves(stage)


async def test_cve_2026_31949_a_request_without_its_body(stage: Stage) -> None:
    """
    CVE-2026-31949 (LibreChat): a deletion without a body ended the process.

    Without a body, with a wrong one, or with one of another type, each operation answers, and none of them crashes.
    """
    bodies = (None, b"", b"null", b"[]", b"0", b'""', b"{}", b'{"arg":null}', b"\xff", b"NaN", b'{"a":"\\ud800"}')
    for route in stage.application.asgi.routes.routes:
        path = route.path.replace("{", "").replace("}", "")
        for body in bodies:
            answer = await stage.call(route.method, path, body, key=stage.attacker)
            assert answer.status < 500, (route.method, path, body, answer.body)
    await still_serves(stage)


async def test_cve_2025_48944_a_tools_schema_crashes_the_worker(stage: Stage) -> None:
    """
    CVE-2025-48944 (vLLM): an invalid pattern or type in a tool's schema ended the worker.

    A schema is the upstream's matter: nothing of it is compiled here, and whatever stands in it harms no one.
    """
    for schema in (
        {"type": "nonsense"}, {"type": "object", "properties": {"a": {"type": "string", "pattern": "((((("}}},
        {"pattern": "(a+)+$" * 500}, {"$ref": "#"}, {"$ref": "http://127.0.0.1:9/"}, {"allOf": [{"$ref": "#"}] * 100},
    ):  # fmt: skip
        tool = {"type": "function", "name": "f", "parameters": schema}
        text = {"format": {"type": "json_schema", "name": "f", "schema": schema}}
        began = time.monotonic()
        for about in ({"tools": [tool]}, {"text": text}):
            assert (await stage.turn(stage.attacker, **about)).status in (200, 400)
        assert time.monotonic() - began < _SOON_S
    await still_serves(stage)


async def test_cve_2026_22778_an_error_shows_an_address_in_memory(stage: Stage) -> None:
    """
    CVE-2026-22778 (vLLM): the error about an invalid image held an address of the server's memory.

    No error, whoever caused it, holds an address, a path of this machine, a traceback or the name of a class.
    """
    stage.upstream.then(http_json({"error": {"message": "<object at 0x7f00deadbeef>", "type": "x"}}, status=500))
    answers = [await stage.turn(stage.attacker)]
    image = [{"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]}]
    faulty = (b"\xff", b"{", b'{"model":1}', b'{"model":"m","input":{"a":1}}')
    answers += [await stage.call("POST", "/v1/responses", body, key=stage.attacker) for body in faulty]
    answers += [await stage.turn(stage.attacker, image), await stage.turn(stage.attacker, [{"type": "x"}])]
    for answer in answers:
        for secret in (b"object at 0x", b"Traceback", b'.py"', b"/src/", b"msgspec", b"orjson", b"aiohttp", b"apsw"):
            assert secret not in answer.body, answer.body
    assert sum(answer.status >= 400 for answer in answers) >= 5


async def test_cve_2025_66471_an_answer_that_expands(tmp_path: Path, scripted: ScriptedUpstream) -> None:
    """
    CVE-2025-66471, CVE-2026-21441, CVE-2026-44432 (urllib3): a small compressed answer, or a redirect's, was
    expanded whole, whatever part of it was asked for.

    An upstream's answer has a bound after it is expanded; beyond it the turn fails, and the next one goes as usual.
    """
    async with application(tmp_path, scripted, **{"responses.max_response_bytes": 1_000_000}) as stage:
        bomb = gzip.compress(b" " * 200_000_000, 6)
        head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n"
        head += f"content-length: {len(bomb)}\r\n\r\n"
        scripted.then(head.encode() + bomb)
        async with asyncio.timeout(60):
            answer = await stage.turn(stage.attacker)
        assert answer.status >= 500, answer.body[:200]
        await still_serves(stage)


async def test_cve_2025_66471_a_request_that_expands(stage: Stage) -> None:
    """
    CVE-2025-66471 (urllib3): what is small on the wire was taken to be small.

    A body in gzip that expands beyond the bound, or too far for its size, is 413 or 400, without being expanded first.
    """
    bomb = gzip.compress(b'{"model":"m","input":"' + b"a" * 200_000_000 + b'"}', 6)
    headers = [(b"content-encoding", b"gzip")]
    began = time.monotonic()
    answer = await stage.call("POST", "/v1/responses", bomb, key=stage.attacker, headers=headers)
    assert answer.status in (400, 413)
    assert time.monotonic() - began < _SOON_S
    await still_serves(stage)
