"""The HTTP transport against servers that behave, and against servers that do not."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from antiphon.hub.errors import UpstreamBroken, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from antiphon.hub.upstream import UpstreamReply, UpstreamRequest
from antiphon.settings import Secret, TimeoutSettings
from antiphon.transport import HttpTransport, new_session

from .servers import CHUNKED, END, chunk, closing, reply, saying, serving, stalling, stalling_after

ASK = UpstreamRequest(path="/chat/completions", body=b'{"model":"m"}', stream=True)
LIST = UpstreamRequest(method="GET", path="/models")
SHORT = TimeoutSettings(connect_s=5, first_byte_s=0.05, idle_s=0.05)
PATIENT = TimeoutSettings(connect_s=5, first_byte_s=5, idle_s=5)
CANARY = "sk-canary-1234567890"


@asynccontextmanager
async def transport_to(base_url: str, timeouts: TimeoutSettings = PATIENT) -> AsyncIterator[HttpTransport]:
    transport = HttpTransport("mock", base_url, credential=Secret(CANARY), timeouts=timeouts)
    try:
        yield transport
    finally:
        await transport.close()


async def asked(transport: HttpTransport, request: UpstreamRequest) -> bytes:
    return await (await transport.send(request)).read_all(1000)


async def blocks_of(answer: UpstreamReply) -> list[bytes]:
    blocks = []
    while block := await answer.read_block():
        blocks.append(block)
    return blocks


class TestAnswers:
    async def test_a_whole_reply(self) -> None:
        """A reply with a length arrives whole, with its status and its headers in lower case."""
        async with (
            serving(saying(reply(b'{"ok":1}', "X-Trace: a", "X-Trace: b"))) as server,
            transport_to(server.base_url) as transport,
        ):
            answer = await transport.send(ASK)
            body = await answer.read_all(1000)
            await answer.close()

        assert (answer.status, body, answer.headers["x-trace"]) == (200, b'{"ok":1}', "a, b")

    async def test_what_is_sent(self) -> None:
        """Path, body, type, the provider's headers and the credential are sent; nothing else is."""
        request = UpstreamRequest(
            path="/chat/completions", body=b'{"a":1}', headers={"X-Beta": "1", "Content-Type": "application/json"}
        )
        async with serving(saying(reply(b"{}"))) as server, transport_to(server.base_url + "/") as transport:
            await (await transport.send(request)).close()

        head = server.requests[0].lower()
        names = sorted(line.split(":")[0] for line in head.split("\r\n")[1:] if line)
        assert head.startswith("post /v1/chat/completions http/1.1\r\n")
        assert f"authorization: bearer {CANARY}" in head
        assert server.bodies == [b'{"a":1}']
        given = ["accept-encoding", "authorization", "content-length", "content-type", "host", "user-agent", "x-beta"]
        assert names == ["accept", *given]

    async def test_a_get_has_no_body_and_no_type(self) -> None:
        """A request without a body says nothing about one."""
        async with serving(saying(reply(b"{}"))) as server, transport_to(server.base_url) as transport:
            await (await transport.send(LIST)).close()

        head = server.requests[0].lower()
        assert head.startswith("get /v1/models ")
        assert "content-type" not in head

    async def test_a_stream_comes_as_it_arrives(self) -> None:
        """A block is handed over when it has come, not when the body has ended."""
        gate = asyncio.Event()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(CHUNKED + chunk(b"one"))
            await gate.wait()
            writer.write(chunk(b"two") + END)

        async with serving(answer) as server, transport_to(server.base_url) as transport:
            streamed = await transport.send(ASK)
            first = await streamed.read_block()
            gate.set()
            rest = await blocks_of(streamed)
            await streamed.close()

        assert (first, b"".join(rest)) == (b"one", b"two")

    async def test_the_end_stays_the_end(self) -> None:
        """After the body has ended, every further read says so again."""
        async with serving(saying(CHUNKED + chunk(b"x") + END)) as server, transport_to(server.base_url) as transport:
            answer = await transport.send(ASK)
            assert await blocks_of(answer) == [b"x"]
            assert await answer.read_block() == b""
            await answer.close()

    async def test_gzip_is_undone(self) -> None:
        """A server that compresses although it was asked not to is understood."""
        packed = gzip.compress(b'{"ok":1}')
        async with (
            serving(saying(reply(packed, "content-encoding: gzip"))) as server,
            transport_to(server.base_url) as transport,
        ):
            answer = await transport.send(ASK)
            assert await answer.read_all(1000) == b'{"ok":1}'
            await answer.close()

    async def test_html_is_an_answer_like_any_other(self) -> None:
        """What the body means is not the transport's business."""
        async with (
            serving(saying(reply(b"<html>", "content-type: text/html", status="502 Bad Gateway"))) as server,
            transport_to(server.base_url) as transport,
        ):
            answer = await transport.send(ASK)
            body = await answer.read_all(1000)
            await answer.close()

        assert (answer.status, body, answer.headers["content-type"]) == (502, b"<html>", "text/html")

    async def test_redirects_are_not_followed(self) -> None:
        """A redirect is answered as it came: the credential goes to the configured address only."""
        async with serving(closing) as elsewhere:
            away = reply(b"", f"location: {elsewhere.base_url}/models", status="307 Temporary Redirect")
            async with serving(saying(away)) as server, transport_to(server.base_url) as transport:
                answer = await transport.send(ASK)
                await answer.close()

        assert (answer.status, elsewhere.connections) == (307, 0)

    async def test_cookies_are_not_kept(self) -> None:
        """A cookie that an upstream sets is not sent back: requests of different people share this transport."""
        async with (
            serving(saying(reply(b"{}", "set-cookie: a=b; Path=/"))) as server,
            transport_to(server.base_url) as transport,
        ):
            for _ in range(2):
                answer = await transport.send(ASK)
                await answer.read_all(100)
                await answer.close()

        assert len(server.requests) == 2
        assert "cookie" not in server.requests[1].lower()

    async def test_a_proxy_in_the_environment_is_not_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where requests go is configured in one place only."""
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        async with serving(saying(reply(b"{}"))) as server, transport_to(server.base_url) as transport:
            await (await transport.send(ASK)).close()

        assert server.connections == 1


class TestConnections:
    async def test_a_finished_reply_gives_its_connection_back(self) -> None:
        """Two requests one after the other use one connection."""
        async with serving(saying(reply(b"{}"))) as server, transport_to(server.base_url) as transport:
            for _ in range(2):
                answer = await transport.send(ASK)
                await answer.read_all(100)
                await answer.close()

        assert (server.connections, len(server.requests)) == (1, 2)

    async def test_closing_in_the_middle_drops_the_connection(self) -> None:
        """An upstream whose reader has gone sees the connection close, so that it stops generating."""
        async with (
            serving(stalling_after(CHUNKED + chunk(b"one"))) as server,
            transport_to(server.base_url) as transport,
        ):
            answer = await transport.send(ASK)
            await answer.read_block()
            await answer.close()
            await asyncio.wait_for(server.gone.wait(), 5)
            await answer.close()

        assert server.connections == 1

    async def test_cancelling_a_request_drops_the_connection(self) -> None:
        """A turn that is cancelled before the answer begins leaves nothing running at the upstream."""
        async with serving(stalling) as server, transport_to(server.base_url) as transport:
            sending = asyncio.create_task(transport.send(ASK))
            while not server.requests:
                await asyncio.sleep(0)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            await asyncio.wait_for(server.gone.wait(), 5)

    async def test_a_shared_session_is_left_open(self) -> None:
        """Closing a transport does not close the session that others use too."""
        async with new_session() as session, serving(saying(reply(b"{}"))) as server:
            first = HttpTransport("a", server.base_url, session=session)
            second = HttpTransport("b", server.base_url, session=session)
            await first.close()
            answer = await second.send(ASK)
            await answer.close()

        assert answer.status == 200

    async def test_many_requests_at_once(self) -> None:
        """No limit of the transport makes one request wait for another."""
        everyone = asyncio.Barrier(150)

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await everyone.wait()
            writer.write(reply(b"{}"))

        async def ask(transport: HttpTransport) -> int:
            got = await transport.send(ASK)
            await got.close()
            return got.status

        async with serving(answer) as server, transport_to(server.base_url) as transport:
            statuses = await asyncio.gather(*(ask(transport) for _ in range(150)))

        assert statuses == [200] * 150


class TestFaultsBeforeTheAnswer:
    async def test_connection_refused(self) -> None:
        """A port where nobody listens is named as such."""
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
            async with transport_to(f"http://127.0.0.1:{port}/v1") as transport:
                with pytest.raises(UpstreamUnreachable, match=r"'mock' .*connection refused"):
                    await transport.send(ASK)

    @pytest.mark.parametrize("host", ["no-such-host.invalid", "x" * 64 + ".invalid"], ids=["unknown", "impossible"])
    async def test_unknown_host(self, host: str) -> None:
        """A host name that nobody knows, or that cannot be one, is named as such."""
        async with transport_to(f"http://{host}/v1") as transport:
            with pytest.raises(UpstreamUnreachable, match="host name is unknown"):
                await transport.send(ASK)

    async def test_tls_to_a_plain_server(self) -> None:
        """A server that does not speak TLS is suspected of it."""

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(reply(b"", status="400 Bad Request"))
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with transport_to(f"https://127.0.0.1:{port}/v1") as transport:
                with pytest.raises(UpstreamUnreachable, match="is it an http:// server"):
                    await transport.send(ASK)

    async def test_closed_before_the_answer(self) -> None:
        """A server that hangs up instead of answering can be tried again."""
        async with serving(closing) as server, transport_to(server.base_url) as transport:
            with pytest.raises(UpstreamUnreachable, match="closed the connection before it answered") as caught:
                await transport.send(ASK)

        assert caught.value.retryable

    async def test_closed_in_the_headers(self) -> None:
        """Half a status line is no answer."""
        async with (
            serving(saying(b"HTTP/1.1 200 OK\r\nx: y\r\n", then_close=True)) as server,
            transport_to(server.base_url) as transport,
        ):
            with pytest.raises(UpstreamUnreachable):
                await transport.send(ASK)

    async def test_no_first_byte(self) -> None:
        """A server that takes the request and stays silent is given up after the first byte's limit."""
        async with serving(stalling) as server, transport_to(server.base_url, SHORT) as transport:
            with pytest.raises(UpstreamTimeout, match=r"'mock' did not begin to answer within 0\.05 s"):
                await transport.send(ASK)

    @pytest.mark.parametrize(
        "said",
        [b"SSH-2.0-OpenSSH_9.6\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 100_000 + b"\r\n\r\n"],
        ids=["another protocol", "a huge header"],
    )
    async def test_not_http(self, said: bytes) -> None:
        """What cannot be read as HTTP is the upstream's fault and is not worth another try."""
        async with serving(saying(said)) as server, transport_to(server.base_url) as transport:
            with pytest.raises(UpstreamBroken, match="not HTTP") as caught:
                await transport.send(ASK)

        assert not caught.value.retryable

    async def test_tls_certificate_of_nobody(self, untrusted_tls: ssl.SSLContext) -> None:
        """A certificate that nobody trusts is refused, and the message says that it is the certificate."""
        async with (
            serving(saying(reply(b"{}")), tls=untrusted_tls) as server,
            transport_to(server.base_url.replace("http:", "https:")) as transport,
        ):
            with pytest.raises(UpstreamUnreachable, match="certificate"):
                await transport.send(ASK)


class TestFaultsWithinTheAnswer:
    @pytest.mark.parametrize(
        "said",
        [
            CHUNKED + chunk(b"one"),
            CHUNKED + chunk(b"one") + b"5\r\nab",
            b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\none",
        ],
        ids=["no last chunk", "half a chunk", "a short body"],
    )
    async def test_a_body_that_does_not_end_as_it_should(self, said: bytes) -> None:
        """A body that is cut or wrongly framed is broken; what came before the fault is handed over first."""
        async with serving(saying(said, then_close=True)) as server, transport_to(server.base_url) as transport:
            answer = await transport.send(ASK)
            got = await answer.read_block()
            for _ in range(2):
                with pytest.raises(UpstreamBroken, match="'mock' broke off"):
                    await blocks_of(answer)
            await answer.close()

        assert got.startswith(b"one")

    async def test_a_bad_chunk(self) -> None:
        """A chunk whose size is none is broken."""
        read = asyncio.Event()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(CHUNKED + chunk(b"one"))
            await read.wait()
            writer.write(b"zz\r\nnonsense\r\n")

        async with serving(answer) as server, transport_to(server.base_url) as transport:
            streamed = await transport.send(ASK)
            assert await streamed.read_block() == b"one"
            read.set()
            with pytest.raises(UpstreamBroken, match="cut short or wrongly encoded"):
                await streamed.read_block()
            await streamed.close()

    async def test_gzip_that_is_none(self) -> None:
        """A body that says it is compressed and is not is broken."""
        async with (
            serving(saying(reply(b"not gzip", "content-encoding: gzip"))) as server,
            transport_to(server.base_url) as transport,
        ):
            answer = await transport.send(ASK)
            with pytest.raises(UpstreamBroken):
                await answer.read_all(1000)
            await answer.close()

    async def test_silence_in_the_middle(self) -> None:
        """An answer that has begun and stops coming is given up after the idle limit."""
        async with (
            serving(stalling_after(CHUNKED + chunk(b"one"))) as server,
            transport_to(server.base_url, SHORT) as transport,
        ):
            answer = await transport.send(ASK)
            assert await answer.read_block() == b"one"
            with pytest.raises(UpstreamTimeout, match=r"'mock' sent nothing for 0\.05 s"):
                await answer.read_block()
            await answer.close()
            await asyncio.wait_for(server.gone.wait(), 5)

    async def test_the_first_byte_limit_ends_with_the_first_byte(self) -> None:
        """An answer may pause for longer than its first byte was allowed to take."""
        gate = asyncio.Event()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(CHUNKED)
            await gate.wait()
            writer.write(chunk(b"late") + END)

        limits = TimeoutSettings(connect_s=5, first_byte_s=0.05, idle_s=5)
        async with serving(answer) as server, transport_to(server.base_url, limits) as transport:
            streamed = await transport.send(ASK)
            asyncio.get_running_loop().call_later(3 * limits.first_byte_s, gate.set)
            assert b"".join(await blocks_of(streamed)) == b"late"
            await streamed.close()

    async def test_time_between_reads_is_not_the_upstreams(self) -> None:
        """A reader that takes its time does not make the upstream late."""
        paused = asyncio.Event()
        async with (
            serving(saying(CHUNKED + chunk(b"one"), chunk(b"two") + END)) as server,
            transport_to(server.base_url, TimeoutSettings(first_byte_s=5, idle_s=0.05)) as transport,
        ):
            answer = await transport.send(ASK)
            first = await answer.read_block()
            asyncio.get_running_loop().call_later(0.15, paused.set)
            await paused.wait()
            rest = await blocks_of(answer)
            await answer.close()

        assert first + b"".join(rest) == b"onetwo"

    async def test_a_body_over_the_limit(self) -> None:
        """Reading a body whole stops at the limit, whatever the upstream would still send."""
        async with serving(saying(reply(b"x" * 100_000))) as server, transport_to(server.base_url) as transport:
            answer = await transport.send(ASK)
            with pytest.raises(UpstreamBroken, match="more than 1000 bytes"):
                await answer.read_all(1000)
            await answer.close()


async def test_no_message_holds_the_credential_or_the_query() -> None:
    """Whatever goes wrong, neither the key nor the query of the address is in the message."""
    request = UpstreamRequest(path="/chat/completions?token=secret-query", body=b"{}")
    faults = [closing, stalling, saying(b"nonsense\r\n\r\n"), saying(CHUNKED + b"zz\r\n", then_close=True)]
    messages = []
    for fault in faults:
        async with serving(fault) as server, transport_to(server.base_url, SHORT) as transport:
            with pytest.raises(UpstreamError) as caught:
                await asked(transport, request)
            messages.append(str(caught.value))

    assert len(faults) == len(messages)
    assert not any(CANARY in message or "secret-query" in message for message in messages)
    assert "***" in repr(Secret(CANARY))
