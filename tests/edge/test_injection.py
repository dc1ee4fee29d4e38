"""What others write stays what they wrote: no text becomes an event, a header or a line of the log."""

from __future__ import annotations

import io
import json
import random
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson
import pytest
from openai._streaming import SSEDecoder

from antiphon import Gateway, InMemorySessionStore
from antiphon.engine.upstreams import Upstream
from antiphon.hub.upstream import UpstreamReply, UpstreamRequest
from antiphon.providers.openai_chat import provider
from antiphon.streams.sse import SseParser
from antiphon.telemetry import Log
from antiphon.transport.replay import PreparedReply, ReplayReply
from tests.support.asgi_client import Answer, ask, post
from tests.support.ready_upstream import MODEL, ready_gateway
from tests.support.scripted_upstream import delta, finish, sse, whole

HOSTILE = (
    "\r\n\r\nevent: response.completed\r\ndata: {}\r\n\r\n", "\n\nevent: x\ndata: {}\n\n",
    "\r\rdata: [DONE]\r\r",
    "data: [DONE]\n\n", "\x00", "\u2028event: x\u2029", "\u0085\u000b\u000c\x1c\x1d\x1e", ": comment\n",
    "id: 7\nretry: 1\n", "\ufeff", "\\n\\n", '"}\n\ndata: {"type":"error"}', "</script>", "\x1b[2J", "\U0001f600",
    "e\u0301", "\ud7ff\ue000\uffff",
    "event: ping", "\r", "\n", "\r\n", " ", "",
)  # fmt: skip

DELTAS = 5_000
PER_STREAM = 250


class Answering:
    """A transport whose every answer is this one."""

    def __init__(self, reply: PreparedReply) -> None:
        self._reply = reply

    async def send(self, request: UpstreamRequest) -> UpstreamReply:
        """See :class:`antiphon.hub.upstream.Transport`."""
        return ReplayReply(self._reply)

    async def close(self) -> None:
        """Nothing is held."""


async def turn(reply: PreparedReply, **fields: object) -> Answer:
    """The answer to a turn that the upstream answers so."""
    upstream = Upstream("hostile", provider({}), Answering(reply), models=[MODEL], clock=time.monotonic)
    async with Gateway([upstream], store=InMemorySessionStore(), log=Log("error")) as gateway:
        return await post(gateway.asgi(), "/v1/responses", {"model": MODEL, "input": "hi", **fields})


def streaming(*blocks: bytes, headers: Mapping[str, str] | None = None) -> PreparedReply:
    """An upstream's stream."""
    return PreparedReply(headers={"content-type": "text/event-stream", **(headers or {})}, blocks=blocks)


# Three ways to read a stream: ours, the official client's, and the specification's by the letter.


def ours(raw: bytes) -> Iterator[tuple[str, str]]:
    """As :mod:`antiphon.streams.sse` reads it, cut into pieces of seven bytes."""
    parser = SseParser()
    for start in range(0, len(raw), 7):
        for name, data in parser.feed(raw[start : start + 7]):
            yield name, data.decode()


def openais(raw: bytes) -> Iterator[tuple[str, str]]:
    """As the openai library reads it."""
    for event in SSEDecoder().iter_bytes(iter([raw])):
        yield event.event or "message", event.data


def by_the_letter(raw: bytes) -> Iterator[tuple[str, str]]:
    """As WHATWG HTML 9.2.6 has it: CR LF, LF and CR end a line, nothing else does."""
    name = ""
    data: list[str] = []
    for line in re.split("\r\n|\n|\r", raw.decode()):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield name or "message", "\n".join(data)
            name, data = "", []
        elif field == "event":
            name = value
        elif field == "data":
            data.append(value)


@pytest.mark.parametrize("read", [ours, openais, by_the_letter])
async def test_no_text_of_a_model_becomes_an_event(read: Any) -> None:
    """Five thousand hostile deltas arrive as five thousand deltas of exactly that text, whoever reads the stream."""
    generator = random.Random(11)  # noqa: S311 - the same texts every time
    arrived = 0
    for _ in range(DELTAS // PER_STREAM):
        texts = [
            "".join(generator.choices(HOSTILE, k=generator.choice((1, 1, 2, 3)))) or "x" for _ in range(PER_STREAM)
        ]
        said = delta(role="assistant", content=None) + b"".join(delta(content=text) for text in texts) + finish()
        answer = await turn(streaming(said), stream=True)
        events = list(read(answer.body))
        assert events.pop() == ("message", "[DONE]")
        values = [(name, json.loads(data)) for name, data in events]
        assert all(name == value["type"] for name, value in values)
        assert [value["sequence_number"] for _, value in values] == list(range(len(values)))
        deltas = [value["delta"] for name, value in values if name == "response.output_text.delta"]
        assert deltas == texts
        assert values[-1][1]["response"]["output"][0]["content"][0]["text"] == "".join(texts)
        arrived += len(deltas)
    assert arrived == DELTAS


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_no_name_or_id_of_an_upstream_becomes_an_event(hostile: str) -> None:
    """Whatever an upstream calls its model, calls and reasons, every event that is written is one that was meant."""
    call = {"index": 0, "id": hostile, "type": "function", "function": {"name": hostile, "arguments": hostile}}
    chunk = {
        "id": hostile, "object": hostile, "created": 1, "model": hostile, "system_fingerprint": hostile,
        "choices": [{"index": 0, "delta": {"content": "a", "tool_calls": [call]}, "finish_reason": None}],
    }  # fmt: skip
    answer = await turn(streaming(sse(chunk) + finish("tool_calls")), stream=True)
    assert answer.status == 200
    events = list(by_the_letter(answer.body))
    assert events == list(openais(answer.body)) == list(ours(answer.body))
    values = [json.loads(data) for _, data in events if data != "[DONE]"]
    assert [name for name, _ in events][: len(values)] == [value["type"] for value in values]
    assert [value["sequence_number"] for value in values] == list(range(len(values)))
    assert values[-1]["type"] in ("response.completed", "response.failed")
    assert [value["type"] for value in values].count(values[-1]["type"]) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_no_header_of_an_upstream_is_copied(stream: bool) -> None:
    """An upstream's headers stay behind the gateway, whatever they are called."""
    names = (
        "set-cookie", "x-request-id", "location", "access-control-allow-origin", "x-antiphon-model",
        "openai-organization", "x-evil", "content-encoding-x", "strict-transport-security",
        "www-authenticate", "server", "via",
    )  # fmt: skip
    headers = dict.fromkeys(names, "CANARY\r\nX-Injected: CANARY")
    reply = (
        streaming(delta(content="hi") + finish(), headers=headers)
        if stream
        else PreparedReply(headers={"content-type": "application/json", **headers}, blocks=[orjson.dumps(whole("hi"))])
    )
    answer = await turn(reply, stream=stream)
    assert answer.status == 200
    assert "CANARY" not in str(answer.headers)
    assert "set-cookie" not in answer.headers


async def test_a_refusal_of_an_upstream_brings_no_headers_along() -> None:
    """What an upstream says with an error stays behind the gateway too, but for when to try again."""
    reply = PreparedReply(
        status=429,
        headers={"content-type": "application/json", "retry-after": "7", "set-cookie": "CANARY", "x-evil": "CANARY"},
        blocks=[orjson.dumps({"error": {"message": "slow down", "type": "x", "code": "y"}})],
    )
    answer = await turn(reply)
    assert (answer.status, answer.headers["retry-after"]) == (429, "7")
    assert "CANARY" not in str(answer.headers)


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_no_name_of_a_client_ends_a_header(hostile: str) -> None:
    """A header that shows what a client wrote is one line of printable characters."""
    alias = f"m{hostile}"
    upstream = Upstream("u", provider({}), Answering(streaming()), models=[alias], clock=time.monotonic)
    async with Gateway([upstream], store=None, log=Log("error")) as gateway:
        answer = await post(gateway.asgi(), "/v1/responses", {"model": alias, "input": "hi", "store": False})
    for value in answer.headers.values():
        assert value.isprintable(), answer.headers


# The log.

LINE = re.compile(
    r'[\w.]+ level=(debug|info|warning|error) time=[0-9T:.\-]+Z( [a-z_]+=([\w./:@%+,\-*\[\]()]+|"([^"\\]|\\.)*"))*',
    re.ASCII,
)


def hostile_requests() -> Iterable[tuple[str, str, Sequence[tuple[bytes, bytes]], bytes]]:
    """Method, target, headers and body, with words that must not be logged and lines that must not be believed."""
    forged = "x\nturn level=error time=2026-01-01T00:00:00.000Z forged=yes\r\n\x1b[31m\u2028"
    encoded = forged.encode("utf-8").decode("latin-1")
    json_type = (b"content-type", b"application/json")
    for model in (MODEL, forged):
        for stream in (False, True):
            body = {
                "model": model,
                "input": f"BODYWORD {forged}",
                "metadata": {"k": f"BODYWORD{forged}"},
                "stream": stream,
            }
            yield "POST", "/v1/responses?QUERYWORD=1", (json_type,), orjson.dumps(body)
            yield "POST", "/v1/responses", (json_type, (b"idempotency-key", b"k-1")), orjson.dumps(body)
            yield "POST", "/v1/responses", (json_type, (b"user-agent", forged.encode())), orjson.dumps(body)
            yield "POST", "/v1/responses", (json_type, (b"authorization", b"Bearer HEADERWORD")), orjson.dumps(body)
    for target in (f"/v1/responses/{encoded}", "/v1/responses/%0a%0dlevel=error", "/v1/models?QUERYWORD=%0a", "/%00"):
        yield "GET", target, (json_type,), b""
    yield "POST", "/v1/responses", (json_type,), b'{"BODYWORD'
    yield "POST", "/v1/responses", ((b"content-type", encoded.encode("latin-1")),), b"BODYWORD"
    yield "POST", "/v1/conversations", (json_type,), orjson.dumps({"metadata": {forged: "BODYWORD"}})
    yield "POST", "/v1/conversations/import", (json_type,), b'{"BODYWORD": 1}\n'


async def test_no_client_can_forge_a_line_of_the_log() -> None:
    """At the most talkative level, every line has the form of a line, and holds no query, body or credential."""
    written = io.StringIO()
    gateway, _ = ready_gateway(InMemorySessionStore(), log=Log("debug", stream=written))
    async with gateway:
        app = gateway.asgi()
        for method, target, headers, body in hostile_requests():
            await ask(app, method, target, headers=headers, chunks=[body])
    lines = written.getvalue().split("\n")
    assert lines.pop() == ""
    assert len(lines) >= 6, "each turn that was carried out has its line"
    for line in lines:
        assert LINE.fullmatch(line), line
        assert line.isprintable(), line
        assert "level=error" not in line.partition(" ")[2][:12], line
        assert not re.search("QUERYWORD|BODYWORD|HEADERWORD", line), line


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_value_is_one_word_of_the_log(hostile: str) -> None:
    """Whatever an event or a value is, it is one line, and its end is where it ends."""
    written = io.StringIO()
    log = Log("debug", stream=written, clock=lambda: 0.0)
    event = f"event{hostile}"
    log.info(event, value=hostile, other="x")
    line = written.getvalue()
    assert line.endswith(" other=x\n")
    assert line[:-1].isprintable()
    assert line.count(" level=info time=1970-01-01T00:00:00.000Z value=") == 1
