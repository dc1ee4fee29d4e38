"""Where an upstream's credential goes: the header that the upstream wants, or a signature; and what goes beside it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from antiphon.hub.errors import UpstreamAuthentication
from antiphon.hub.upstream import KeyPlace, UpstreamRequest
from antiphon.settings import Secret, TimeoutSettings
from antiphon.transport import HttpTransport

from .servers import Server, reply, saying, serving

KEY = "test-key-0123456789"
TIMEOUTS = TimeoutSettings(connect_s=5, first_byte_s=5, idle_s=5)
ASK = UpstreamRequest(path="/chat", body=b'{"a":1}')


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving(saying(reply(b"{}"))) as server:
        yield server


async def head_of(server: Server, request: UpstreamRequest = ASK, **options: Any) -> tuple[str, dict[str, str]]:
    """The request line and the headers, in lower case, that a request arrives with."""
    transport = HttpTransport("vendor", server.base_url, timeouts=TIMEOUTS, **options)
    try:
        answer = await transport.send(request)
        await answer.read_all(100)
        await answer.close()
    finally:
        await transport.close()
    line, *lines = server.requests[-1].strip().split("\r\n")
    return line, {name.lower(): value for name, _, value in (text.partition(": ") for text in lines)}


@pytest.mark.parametrize(
    ("place", "header", "value"),
    [
        (KeyPlace(), "authorization", f"Bearer {KEY}"),
        (KeyPlace("api-key", ""), "api-key", KEY),
        (KeyPlace("x-api-key", ""), "x-api-key", KEY),
        (KeyPlace("authorization", "Token "), "authorization", f"Token {KEY}"),
    ],
    ids=["bearer", "Azure", "Anthropic", "another word"],
)
async def test_the_place_of_a_key(server: Server, place: KeyPlace, header: str, value: str) -> None:
    """A key is in its place with what stands before it there, and nowhere else."""
    line, headers = await head_of(server, credential=Secret(KEY), key_place=place)

    assert headers[header] == value
    assert [name for name, said in headers.items() if KEY in said] == [header]
    assert KEY not in line


@pytest.mark.parametrize("name", ["x-api-key", "X-Api-Key"])
async def test_nobody_takes_the_place_of_a_key(server: Server, name: str) -> None:
    """A header of a request or of the configuration does not replace the credential, however it is spelled."""
    request = UpstreamRequest(path="/chat", headers={name: "stolen"})

    _, headers = await head_of(
        server, request, credential=Secret(KEY), key_place=KeyPlace("x-api-key", ""), headers={name: "configured"}
    )

    assert headers["x-api-key"] == KEY
    assert "stolen" not in server.requests[-1]
    assert "configured" not in server.requests[-1]


async def test_headers_of_every_request(server: Server) -> None:
    """Configured headers are sent with every request; what the request itself says wins."""
    always = {"X-Title": "app", "Anthropic-Version": "2023-06-01"}

    _, plain = await head_of(server, headers=always)
    _, own = await head_of(server, UpstreamRequest(path="/a", headers={"anthropic-version": "new"}), headers=always)

    assert (plain["x-title"], plain["anthropic-version"]) == ("app", "2023-06-01")
    assert (own["x-title"], own["anthropic-version"]) == ("app", "new")


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "connection"])
def test_headers_that_are_not_to_be_configured(name: str) -> None:
    """What leads a request elsewhere, or cuts it in two, is refused before anything is sent, without its value."""
    with pytest.raises(ValueError, match="sets the header") as caught:
        HttpTransport("vendor", "http://127.0.0.1:1/v1", headers={name: "secret-value"})
    assert "secret-value" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/chat", "/v1/chat?api-version=2026-01-01"),
        ("/chat?alt=sse", "/v1/chat?alt=sse&api-version=2026-01-01"),
        ("/model/a%3Ab%2Fc/invoke", "/v1/model/a%3Ab%2Fc/invoke?api-version=2026-01-01"),
    ],
    ids=["alone", "beside the path's own", "behind an encoded path"],
)
async def test_the_query_of_every_request(server: Server, path: str, target: str) -> None:
    """A configured query is added to each request's own."""
    line, _ = await head_of(server, UpstreamRequest(path=path), query={"api-version": "2026-01-01"})

    assert line == f"POST {target} HTTP/1.1"


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/model/arn%3Aaws%3Abedrock%2Fx/converse", "/v1/model/arn%3Aaws%3Abedrock%2Fx/converse"),
        ("/models/a b", "/v1/models/a%20b"),
        ("/models/ä%3A", "/v1/models/%C3%A4:"),
    ],
    ids=["as it was written", "a space", "not ASCII"],
)
async def test_a_path_is_sent_as_it_was_written(server: Server, path: str, target: str) -> None:
    """What a provider has encoded stays so: a signature is made over the path. What cannot be sent is encoded."""
    line, _ = await head_of(server, UpstreamRequest(path=path))

    assert line == f"POST {target} HTTP/1.1"


@pytest.mark.parametrize(
    "path", ["/%2F%2F{evil}/", "/%40{evil}/", "/%5C{evil}", "//{evil}/%2e%2e", "/a%3F@{evil}", "/%23@{evil}"]
)
async def test_an_encoded_path_stays_at_its_place(server: Server, path: str) -> None:
    """However a path is encoded, it leads to the upstream's own host and port, credential and all."""
    async with serving(saying(reply(b"{}"))) as evil:
        line, _ = await head_of(
            server, UpstreamRequest(path=path.format(evil=f"127.0.0.1:{evil.port}")), credential=Secret(KEY)
        )

    assert evil.connections == 0
    assert line.startswith("POST /v1/")


class Recording:
    """A signer that notes what it signed."""

    def __init__(self) -> None:
        self.signed: list[tuple[str, str, dict[str, str], bytes]] = []

    async def sign(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        self.signed.append((method, url, dict(headers), body))
        return {"authorization": "SIGNED abc", "x-date": "today"}


async def test_a_signature(server: Server) -> None:
    """A signer is given the request as it is sent, and what it adds is sent with it."""
    signer = Recording()
    request = UpstreamRequest(path="/model/a%3Ab/converse", body=b"{}", headers={"X-One": "1"})

    line, headers = await head_of(server, request, signer=signer, headers={"x-two": "2"}, query={"v": "1"})

    ((method, url, given, body),) = signer.signed
    assert (method, body) == ("POST", b"{}")
    assert url == f"http://127.0.0.1:{server.port}{line.split()[1]}"
    assert re.fullmatch(r"POST /v1/model/a%3Ab/converse\?v=1 HTTP/1\.1", line)
    assert given == {name: value for name, value in headers.items() if name in given}
    assert {"x-one", "x-two", "content-type"} <= given.keys()
    assert (headers["authorization"], headers["x-date"]) == ("SIGNED abc", "today")


async def test_every_request_is_signed_anew(server: Server) -> None:
    """A signature is good for one request."""
    signer = Recording()
    transport = HttpTransport("vendor", server.base_url, timeouts=TIMEOUTS, signer=signer)
    for body in (b"1", b"2"):
        answer = await transport.send(UpstreamRequest(path="/chat", body=body))
        await answer.read_all(100)
        await answer.close()
    await transport.close()

    assert [signed[3] for signed in signer.signed] == [b"1", b"2"]


async def test_no_credentials_to_sign_with(server: Server) -> None:
    """Where there is nothing to sign with, the operator is told so and nothing is sent."""

    class Empty(Recording):
        async def sign(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
            raise UpstreamAuthentication("There are no credentials.")

    with pytest.raises(UpstreamAuthentication, match="no credentials"):
        await head_of(server, signer=Empty())
    assert server.requests == []
