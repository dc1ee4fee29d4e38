"""
Requests that two servers could read differently, byte by byte over a real socket.

Whatever is ambiguous is answered once or not at all, ends the connection, and never makes a second request out of what
came with it.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import pytest

from tests.support.raw_http import RawConnection, answers_in
from tests.support.scripted_upstream import MODEL, ScriptedUpstream

LIMITS = "server: {max_body_bytes: 2000000}"

HOST = b"Host: localhost\r\n"
JSON = b"Content-Type: application/json\r\n"


def body(text: str) -> bytes:
    """A turn's body."""
    return b'{"model":"%s","input":"%s","store":false}' % (MODEL.encode(), text.encode())


def post(text: str = "hi", fields: bytes = b"", *, version: bytes = b"HTTP/1.1") -> bytes:
    """A turn with a Content-Length."""
    length = b"Content-Length: %d\r\n" % len(body(text))
    return b"POST /v1/responses " + version + b"\r\n" + HOST + JSON + length + fields + b"\r\n" + body(text)


def get(fields: bytes = HOST, *, target: bytes = b"/v1/models", line: bytes | None = None) -> bytes:
    """A request without a body."""
    return (line or b"GET " + target + b" HTTP/1.1") + b"\r\n" + fields + b"\r\n"


SMUGGLED = post("smuggled")


def with_length(value: bytes) -> bytes:
    """A turn with this Content-Length, and another one behind it."""
    return (
        get(HOST + JSON + b"Content-Length: " + value + b"\r\n", line=b"POST /v1/responses HTTP/1.1")
        + body("hi")
        + SMUGGLED
    )


def with_coding(fields: bytes, *, version: bytes = b"HTTP/1.1") -> bytes:
    """A chunked turn with these fields about it, and another one behind it."""
    return get(HOST + JSON + fields, line=b"POST /v1/responses " + version) + chunked(body("hi")) + SMUGGLED


def chunked(*blocks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    """Blocks as chunks."""
    return b"".join(b"%x\r\n%b\r\n" % (len(block), block) for block in blocks) + end


def in_chunks(raw: bytes) -> bytes:
    """A turn whose chunks are these bytes."""
    return get(HOST + JSON + b"Transfer-Encoding: chunked\r\n", line=b"POST /v1/responses HTTP/1.1") + raw


ONE = b"%x\r\n" % len(body("hi"))


@dataclass(frozen=True)
class Raw:
    """
    Attributes:
        data: What is sent.
        statuses: Of the answers, in order.
        turns: How many turns may reach the upstream.
        closes: Whether the server ends the connection; else the client does.
    """

    data: bytes
    statuses: tuple[int, ...]
    _: KW_ONLY
    turns: int = 0
    closes: bool = True


CASES: dict[str, Raw] = {
    # Two lengths.
    "CL and TE": Raw(with_coding(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), (400,)),
    "TE and CL": Raw(with_coding(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), (400,)),
    "TE and CL 0": Raw(with_coding(b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"), (400,)),
    "two CL that differ": Raw(with_length(b"5\r\nContent-Length: 6"), (400,)),
    "two CL that agree": Raw(with_length(b"%d\r\nContent-Length: %d" % (len(body("hi")), len(body("hi")))), (400,)),
    "CL as a list": Raw(with_length(b"%d, %d" % (len(body("hi")), len(body("hi")))), (400,)),
    "CL with a plus": Raw(with_length(b"+5"), (400,)),
    "CL with a minus": Raw(with_length(b"-5"), (400,)),
    "CL in hex": Raw(with_length(b"0x2a"), (400,)),
    "CL with a blank": Raw(with_length(b"4 2"), (400,)),
    "CL with letters": Raw(with_length(b"42a"), (400,)),
    "CL with an underscore": Raw(with_length(b"4_2"), (400,)),
    "CL beyond 64 bits": Raw(with_length(b"18446744073709551658"), (400,)),
    "CL of nothing": Raw(with_length(b""), (400,)),
    # Transfer codings.
    "TE xchunked": Raw(with_coding(b"Transfer-Encoding: xchunked\r\n"), (400,)),
    "TE identity": Raw(with_coding(b"Transfer-Encoding: identity\r\n"), (400,)),
    "TE chunked, identity": Raw(with_coding(b"Transfer-Encoding: chunked, identity\r\n"), (400,)),
    "TE gzip, chunked": Raw(with_coding(b"Transfer-Encoding: gzip, chunked\r\n"), (400,)),
    "TE chunked, chunked": Raw(with_coding(b"Transfer-Encoding: chunked, chunked\r\n"), (400,)),
    "TE twice": Raw(with_coding(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), (400,)),
    "TE twice, the second none": Raw(with_coding(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n"), (400,)),
    "TE with a blank before its colon": Raw(with_coding(b"Transfer-Encoding : chunked\r\n"), (400,)),
    "TE behind a vertical tab": Raw(with_coding(b"Transfer-Encoding:\x0bchunked\r\n"), (400,)),
    "TE with a parameter": Raw(with_coding(b"Transfer-Encoding: chunked;q=1\r\n"), (400,)),
    "TE in quotes": Raw(with_coding(b'Transfer-Encoding: "chunked"\r\n'), (400,)),
    "TE in HTTP/1.0": Raw(with_coding(b"Transfer-Encoding: chunked\r\n", version=b"HTTP/1.0"), (400,)),
    "TE behind a NUL": Raw(with_coding(b"Transfer-Encoding: \x00chunked\r\n"), (400,)),
    # Lines.
    "a folded field": Raw(get(HOST + b"X: a\r\n b\r\n") + SMUGGLED, (400,)),
    "a folded TE": Raw(with_coding(b"Transfer-Encoding:\r\n chunked\r\n"), (400,)),
    "a field that begins with a blank": Raw(get(b" X: a\r\n" + HOST) + SMUGGLED, (400,)),
    "bare LF throughout": Raw(get(HOST).replace(b"\r\n", b"\n") + SMUGGLED, (400,)),
    "bare LF once": Raw(get(b"X: a\n" + HOST) + SMUGGLED, (400,)),
    "bare LF at the end": Raw(b"GET /v1/models HTTP/1.1\r\n" + HOST + b"\n" + SMUGGLED, (400,)),
    "bare CR in a value": Raw(get(b"X: a\rb\r\n" + HOST) + SMUGGLED, (400,)),
    "NUL in a value": Raw(get(b"X: a\x00b\r\n" + HOST) + SMUGGLED, (400,)),
    "a control character in a value": Raw(get(b"X: a\x01b\r\n" + HOST) + SMUGGLED, (400,)),
    "a blank in a name": Raw(get(b"X Y: a\r\n" + HOST) + SMUGGLED, (400,)),
    "a name of nothing": Raw(get(b": a\r\n" + HOST) + SMUGGLED, (400,)),
    "a name in brackets": Raw(get(b"(X): a\r\n" + HOST) + SMUGGLED, (400,)),
    "no colon": Raw(get(b"X\r\n" + HOST) + SMUGGLED, (400,)),
    # Chunks.
    "a chunk size that is no number": Raw(in_chunks(b"zz\r\nhi\r\n0\r\n\r\n") + SMUGGLED, (400,)),
    "a chunk size with 0x": Raw(in_chunks(b"0x2\r\nhi\r\n0\r\n\r\n") + SMUGGLED, (400,)),
    "a chunk size below zero": Raw(in_chunks(b"-2\r\nhi\r\n0\r\n\r\n") + SMUGGLED, (400,)),
    "a chunk size beyond 64 bits": Raw(in_chunks(b"10000000000000002\r\nhi\r\n0\r\n\r\n") + SMUGGLED, (400,)),
    "a chunk size with a blank": Raw(in_chunks(b" 2\r\nhi\r\n0\r\n\r\n") + SMUGGLED, (400,)),
    "a chunk that ends in LF": Raw(in_chunks(ONE + body("hi") + b"\n0\r\n\r\n") + SMUGGLED, (400,)),
    "a chunk longer than its size": Raw(in_chunks(b"2\r\nhello\r\n0\r\n\r\n") + SMUGGLED, (400,)),
    "a chunk size that ends in LF": Raw(in_chunks(b"2\nhi\r\n0\r\n\r\n") + SMUGGLED, (400,)),
    "an extension with LF": Raw(in_chunks(b"2;a\nb\r\nhi\r\n0\r\n\r\n") + SMUGGLED, (400,)),
    "an extension without an end": Raw(in_chunks(b"2;" + b"a" * 400_000), (400,)),
    "chunks of one byte with long extensions": Raw(in_chunks((b"1;" + b"a" * 1000 + b"\r\n{\r\n") * 400), (400,)),
    "a trailer that is a Host": Raw(
        in_chunks(chunked(body("hi"), end=b"0\r\nHost: evil.example\r\n\r\n")), (200,), turns=1, closes=False
    ),
    "a trailer that is a key": Raw(
        in_chunks(chunked(body("hi"), end=b"0\r\nAuthorization: Bearer x\r\nIdempotency-Key: k\r\n\r\n")),
        (200,), turns=1, closes=False,
    ),
    "trailers without an end": Raw(in_chunks(chunked(body("hi"), end=b"0\r\n" + b"X: a\r\n" * 20_000)), (431,)),
    # Targets and hosts.
    "no Host": Raw(get(b"") + SMUGGLED, (400,)),
    "two Hosts": Raw(get(HOST + b"Host: evil.example\r\n") + SMUGGLED, (400,)),
    "two Hosts that agree": Raw(get(HOST + HOST) + SMUGGLED, (400,)),
    "a foreign Host": Raw(get(b"Host: evil.example\r\n"), (403,), closes=False),
    "a Host with a path": Raw(get(b"Host: localhost/?\r\n"), (403,), closes=False),
    "no Host in HTTP/1.0": Raw(get(b"", line=b"GET /v1/models HTTP/1.0") + SMUGGLED, (400,)),
    "an absolute target of another host": Raw(get(target=b"http://evil.example/v1/models") + SMUGGLED, (400,)),
    "an absolute target of the Host": Raw(get(target=b"http://localhost/v1/models"), (200,), closes=False),
    "a target of another form": Raw(get(target=b"v1/models") + SMUGGLED, (400,)),
    "an asterisk for a target": Raw(get(line=b"OPTIONS * HTTP/1.1") + SMUGGLED, (400,)),
    "a raw byte in the target": Raw(get(target=b"/v1/models\xff") + SMUGGLED, (400,)),
    "a control character in the target": Raw(get(target=b"/v1/\x01models") + SMUGGLED, (400,)),
    "no target": Raw(get(line=b"GET  HTTP/1.1") + SMUGGLED, (400,)),
    "a long target": Raw(get(target=b"/v1/models?" + b"a" * 8192) + SMUGGLED, (431,)),
    # Methods and versions.
    "an unknown method": Raw(get(line=b"SMUGGLE /v1/models HTTP/1.1") + SMUGGLED, (400,)),
    "a method in lower case": Raw(get(line=b"get /v1/models HTTP/1.1") + SMUGGLED, (400,)),
    "TRACE": Raw(get(line=b"TRACE /v1/models HTTP/1.1"), (405,), closes=False),
    "CONNECT": Raw(get(line=b"CONNECT localhost:80 HTTP/1.1") + SMUGGLED, (400,)),
    "HTTP/0.9": Raw(b"GET /v1/models\r\n\r\n" + SMUGGLED, (400,)),
    "HTTP/0.9 by name": Raw(get(line=b"GET /v1/models HTTP/0.9") + SMUGGLED, (400,)),
    "HTTP/1.2": Raw(get(line=b"GET /v1/models HTTP/1.2") + SMUGGLED, (400,)),
    "HTTP/2.0 by name": Raw(get(line=b"GET /v1/models HTTP/2.0") + SMUGGLED, (400,)),
    "HTTP/2": Raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SMUGGLED, (400,)),
    "TLS": Raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200, (400,)),
    "a version of its own": Raw(get(line=b"GET /v1/models HTPT/1.1") + SMUGGLED, (400,)),
    # Upgrades.
    "h2c": Raw(
        get(HOST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n") + SMUGGLED,
        (200,),
    ),
    "h2c with a body": Raw(post("hi", b"Connection: Upgrade\r\nUpgrade: h2c\r\n") + SMUGGLED, (400,)),
    "a WebSocket by POST": Raw(post("hi", b"Connection: Upgrade\r\nUpgrade: websocket\r\n") + SMUGGLED, (400,)),
    "a WebSocket without its key": Raw(
        get(HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n") + SMUGGLED, (400,)
    ),
    "a WebSocket of another version": Raw(
        get(HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n") + SMUGGLED, (400,)
    ),
    # One behind the other.
    "two turns": Raw(post("one") + post("two"), (200, 200), turns=2, closes=False),
    "a turn in the body of another request": Raw(
        get(HOST + b"Content-Length: %d\r\n" % len(SMUGGLED)) + SMUGGLED, (200,), closes=False
    ),
    "a turn behind Connection: close": Raw(get(HOST + b"Connection: close\r\n") + SMUGGLED, (200,)),
    "garbage behind a turn": Raw(post("hi") + b"\x00garbage\r\n\r\n" + SMUGGLED, (200,), turns=1),
    "a head without an end behind a turn": Raw(post("hi") + b"GET / HTTP/1.1\r\nX: " + b"a" * 400_000, (200,), turns=1),
    "more than may wait": Raw(get() * 100 + SMUGGLED, (200,)),
    "a Content-Type twice": Raw(post("hi", JSON), (400,), closes=False),
    "101 fields": Raw(get(HOST + b"".join(b"X-%d: a\r\n" % number for number in range(100))) + SMUGGLED, (431,)),
    "a field of 200 KB": Raw(get(HOST + b"X: " + b"a" * 200_000 + b"\r\n") + SMUGGLED, (431,)),
    "a name of 200 KB": Raw(get(HOST + b"X" * 200_000 + b": a\r\n") + SMUGGLED, (431,)),
    "20 MB without a line's end": Raw(b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000_000, (431,)),
}  # fmt: skip


def pieces(name: str) -> tuple[int, ...]:
    """
    How long the pieces are that a case is sent in.

    Who says that a request is the last one in HTTP/1.1 and sends more all the same may find the connection reset.
    """
    whole = len(CASES[name].data)
    return (whole,) if whole > 4000 or name in ("a turn behind Connection: close", "h2c") else (whole, 7)


def test_the_table_is_as_long_as_it_is_said_to_be() -> None:
    """At least 45 cases."""
    assert len(CASES) >= 45


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("name", "piece_bytes"), [(name, size) for name in CASES for size in pieces(name)])
async def test_smuggling(port: int, scripted: ScriptedUpstream, name: str, piece_bytes: int) -> None:
    """Each case has exactly its answers, however it is cut; what was smuggled reached nobody."""
    case = CASES[name]
    async with RawConnection.open(port) as connection:
        for start in range(0, len(case.data), piece_bytes):
            await connection.send(case.data[start : start + piece_bytes])
        if case.closes:
            answers = answers_in(await connection.until_closed())
        else:
            answers = [await connection.answer() for _ in case.statuses]
    assert tuple(answer.status for answer in answers) == case.statuses
    for answer in answers:
        if answer.status >= 400:
            assert answer.error["message"]
            assert (answer.headers.get("connection") == "close") or not case.closes
    assert len(scripted.turns) == case.turns
    assert "smuggled" not in str([request.body for request in scripted.requests])
