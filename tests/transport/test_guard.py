"""The guard, in the client that ``antiphon serve`` uses: nothing connects to where nobody may go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp
import pytest

from antiphon.app import build_application
from antiphon.hub.errors import UpstreamBroken, UpstreamUnreachable
from antiphon.hub.remote import ByteBudget, RemoteContent, Unfetchable
from antiphon.settings import ResponsesSettings, Settings
from antiphon.transport.addresses import is_reachable, names_private_address
from antiphon.transport.fetching import FetchTimes, GuardedFetcher, _next_url, fetch_document
from antiphon.transport.guard import GuardedConnector, GuardRules, Refused, guarded_session, parse_url

from .captive import PNG, PUBLIC, Captive, captive_network, whole
from .hostile_urls import CHAINS, HOSTILE, Chain

BOTH = frozenset({"http", "https"})
QUICK = FetchTimes(connect_s=0.05, total_s=5.0)


@pytest.fixture
async def captive(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Captive]:
    async with captive_network(monkeypatch) as network:
        yield network


@pytest.fixture
async def production(captive: Captive) -> AsyncIterator[GuardedFetcher]:
    """What a gateway fetches with that is built from settings."""
    responses = ResponsesSettings(remote_content="fetch", remote_http=True)
    application = build_application(Settings(store="memory:", responses=responses))
    remote = application.gateway.policy.remote
    assert remote is not None
    assert isinstance(remote.fetch, GuardedFetcher)
    yield remote.fetch
    await remote.close()


@pytest.fixture
async def fetcher(captive: Captive) -> AsyncIterator[GuardedFetcher]:
    """The same class, that tells at once that something cannot be reached."""
    fetcher = GuardedFetcher(GuardRules(schemes=BOTH), times=QUICK)
    yield fetcher
    await fetcher.close()


async def fetched(fetcher: GuardedFetcher, url: str, limit_bytes: int = 1000) -> RemoteContent:
    return await fetcher(url, "image", ByteBudget(limit_bytes))


async def reason(fetcher: GuardedFetcher, url: str, limit_bytes: int = 1000) -> str:
    """Why a URL gives nothing; empty if it gives something."""
    try:
        await fetched(fetcher, url, limit_bytes)
    except Unfetchable as error:
        return error.reason
    return ""


def resolve_hostile(captive: Captive) -> None:
    for hostile in HOSTILE:
        host = urlsplit(hostile.url).hostname if hostile.answers else None
        if host:
            captive.names[host] = [list(hostile.answers)]


def chains(captive: Captive) -> list[str]:
    """A public server with all redirects; where each of them begins."""
    answers = {"/circle": whole(b"", "location: /circle", status="302 Found")}
    for number, chain in enumerate(CHAINS):
        for hop in range(chain.hops + 1):
            here, onward = f"/{number}/{hop}", f"/{number}/{hop + 1}"
            location = chain.target if hop == chain.hops else onward
            answers[here] = redirect(chain, location)
    captive.answer = lambda path: answers.get(path, whole(PNG, "content-type: image/png"))
    captive.names["inside.example"] = [["10.0.0.1"]]
    return [f"http://public.example/{number}/0" for number in range(len(CHAINS))]


def redirect(chain: Chain, location: str) -> bytes:
    head = b"HTTP/1.1 %d Moved\r\ncontent-length: 0\r\nlocation: " % chain.status
    return head + location.encode() + b"\r\n\r\n"


class Unguarded(GuardedFetcher):
    """The planted bug: the fetcher's checks of URLs are there, and its client is not the guarded one."""

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(auto_decompress=False)
        return self._session


class TestHostileUrls:
    def test_there_are_enough_of_them(self) -> None:
        """Five hundred URLs, none of them twice, each with its reason; fifty redirects."""
        assert len({hostile.url for hostile in HOSTILE}) == len(HOSTILE) >= 500
        assert len({chain.reason for chain in CHAINS}) == len(CHAINS) >= 50
        assert all(hostile.reason for hostile in HOSTILE)

    async def test_the_production_client_has_the_guard(self, production: GuardedFetcher) -> None:
        """The session that asks has the guarded connector for public addresses, and trusts no environment."""
        connector = production.session.connector
        assert isinstance(connector, GuardedConnector)
        assert connector.rules == GuardRules(schemes=BOTH)
        assert not production.session.trust_env

    async def test_nothing_connects(self, production: GuardedFetcher, captive: Captive) -> None:
        """Each of them is unreachable, and no connection is even tried."""
        resolve_hostile(captive)
        reasons = await asyncio.gather(*(reason(production, hostile.url) for hostile in HOSTILE))

        reached = [hostile for hostile, why in zip(HOSTILE, reasons, strict=True) if why != "unreachable"]
        assert (reached, captive.attempts, captive.connections) == ([], [], 0)

    async def test_the_connector_alone_lets_nothing_through(self, captive: Captive) -> None:
        """Without the fetcher's checks, and with aiohttp following redirects, the connector refuses all the same."""
        resolve_hostile(captive)
        starts = chains(captive)
        timeout = aiohttp.ClientTimeout(total=5)
        async with guarded_session(GuardRules(schemes=BOTH)) as session:
            for url in [*(hostile.url for hostile in HOSTILE), *starts]:
                try:
                    await (await session.get(url, timeout=timeout)).read()
                except (Refused, aiohttp.ClientError, ValueError, OSError):
                    continue  # what was connected to is looked at below

        assert {address for address, _ in captive.attempts} <= {PUBLIC, "151.101.1.69"}
        assert {port for _, port in captive.attempts} <= {80, 443}

    async def test_a_client_without_the_guard_is_caught(self, captive: Captive) -> None:
        """The planted bug: with a client that has no guard, the same table connects to loopback."""
        resolve_hostile(captive)
        planted = Unguarded(GuardRules(schemes=BOTH), times=FetchTimes(connect_s=4.0))
        await asyncio.gather(*(reason(planted, hostile.url) for hostile in HOSTILE))
        await planted.close()

        assert {address for address, _ in captive.attempts} & {"127.0.0.1", "169.254.169.254", "10.1.2.3"}
        assert captive.connections


class TestRedirects:
    async def test_no_redirect_leads_inside(self, production: GuardedFetcher, captive: Captive) -> None:
        """Every hop is checked like the first: only public servers are connected to, and long chains have no end."""
        starts = chains(captive)
        reasons = await asyncio.gather(*(reason(production, url) for url in starts))

        assert set(reasons) == {"unreachable"}
        assert {address for address, _ in captive.attempts} <= {PUBLIC, "151.101.1.69"}
        assert {port for _, port in captive.attempts} == {80}
        assert "/end" not in captive.paths

    async def test_three_hops_are_followed(self, fetcher: GuardedFetcher, captive: Captive) -> None:
        """Within the limit a redirect between public servers is followed, without cookies or referrer."""
        hops = {
            "/a": whole(b"", "location: //other.example/b", "set-cookie: a=b", status="301 Moved"),
            "/b": whole(b"", "location: c?x=1", status="307 Moved"),
            "/c?x=1": whole(b"", "location: http://public.example/d", status="303 See"),
        }
        captive.answer = lambda path: hops.get(path, whole(PNG, "content-type: image/png"))

        assert (await fetched(fetcher, "http://public.example/a")).data == PNG
        assert captive.paths == ["/a", "/b", "/c?x=1", "/d"]
        sent = {line.split(":")[0].lower() for head in captive.requests for line in head.split("\r\n")[1:] if line}
        assert sent == {"host", "accept", "accept-encoding", "connection", "user-agent"}

    async def test_a_redirect_never_leaves_tls(self) -> None:
        """From https to http is refused, even if http is allowed."""
        with pytest.raises(Refused, match="scheme"):
            _next_url(parse_url("https://public.example/"), "http://public.example/")
        assert str(_next_url(parse_url("https://public.example/a/b"), "../c")) == "https://public.example/c"


class TestNames:
    async def test_the_address_that_was_checked_is_connected_to(
        self, fetcher: GuardedFetcher, captive: Captive
    ) -> None:
        """A name that changes its answer: the first is asked for once and used; the second is refused."""
        captive.names["rebinding.example"] = [[PUBLIC], ["127.0.0.1"]]

        assert await reason(fetcher, "http://rebinding.example/") == ""
        assert captive.lookups == ["rebinding.example"]
        assert await reason(fetcher, "http://rebinding.example/") == "unreachable"
        assert captive.lookups == ["rebinding.example"] * 2
        assert captive.attempts == [(PUBLIC, 80)]

    async def test_a_rebinding_between_two_hops_is_seen(self, fetcher: GuardedFetcher, captive: Captive) -> None:
        """A redirect to the same name resolves anew and is checked anew; no connection is used again for it."""
        captive.names["rebinding.example"] = [[PUBLIC], ["169.254.169.254"]]
        captive.answer = lambda _: whole(b"", "location: /latest/meta-data/", status="302 Found")

        assert await reason(fetcher, "http://rebinding.example/") == "unreachable"
        assert captive.attempts == [(PUBLIC, 80)]

    async def test_the_socket_refuses_what_the_resolver_let_through(self, captive: Captive) -> None:
        """The last check is of the very address that is connected to, should the ones before it ever fail."""

        class Lax(GuardRules, frozen=True, kw_only=True):
            def check_address(self, address: str) -> None:
                """The planted bug: it looks at nothing."""

        async with guarded_session(Lax(schemes=BOTH)) as session:
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get("http://inside.example/")
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get("http://127.0.0.1/")
        assert captive.attempts == []

    @pytest.mark.parametrize(
        "fault", ["refused", "unknown", "silent", "closed", "status", "loopback", "port", "spelling"]
    )
    async def test_all_that_cannot_be_reached_takes_the_same_time(self, captive: Captive, fault: str) -> None:
        """Refused by the guard or by the other side, unknown or silent: the same answer, no sooner and hardly later."""
        urls = {"loopback": "http://127.0.0.1/", "port": "http://public.example:22/", "spelling": "http://a b/"}
        captive.names["unknown.example"] = [[]]
        captive.refused, captive.silent = ({PUBLIC}, set()) if fault == "refused" else (set(), {PUBLIC})
        if fault in ("closed", "status"):
            captive.silent = set()
            captive.answer = lambda _: b"" if fault == "closed" else whole(PNG, status="404 Not Found")
        url = urls.get(fault, "http://unknown.example/" if fault == "unknown" else "http://public.example/")
        fetcher = GuardedFetcher(GuardRules(schemes=BOTH), times=FetchTimes(connect_s=0.5, total_s=5.0))
        loop = asyncio.get_running_loop()
        started_at = loop.time()
        why = await reason(fetcher, url)
        took_s = loop.time() - started_at
        await fetcher.close()

        assert why == "unreachable"
        assert 0.49 <= took_s < 1.5

    async def test_what_is_raised_holds_no_url(self, fetcher: GuardedFetcher, captive: Captive) -> None:
        """A signed URL is a credential: neither the error nor what stands behind it shows it."""
        captive.refused = {PUBLIC}
        with pytest.raises(Unfetchable) as caught:
            await fetched(fetcher, "http://public.example/a?signature=canary")
        assert "canary" not in repr(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None


class TestContent:
    async def test_an_image_is_what_its_bytes_say(self, fetcher: GuardedFetcher, captive: Captive) -> None:
        """The type is looked up in the bytes, whatever kind of image the header says."""
        captive.answer = lambda _: whole(PNG, "content-type: image/jpeg; x=y")
        content = await fetched(fetcher, "http://public.example/")
        assert (content.data, content.media_type) == (PNG, "image/png")

    @pytest.mark.parametrize(
        ("answer", "why"),
        [
            (whole(b"<html>", "content-type: text/html"), "wrong_type"),
            (whole(b"secret=1", "content-type: image/png"), "wrong_type"),
            (whole(b"", "content-type: image/png"), "wrong_type"),
            (whole(PNG, "content-type: application/json"), "wrong_type"),
            (whole(PNG, "content-type: image/png", "content-encoding: gzip"), "unreachable"),
            (whole(PNG + b"x" * 1000, "content-type: image/png"), "too_large"),
            (b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\n\r\n" + PNG + b"x" * 5000, "too_large"),
            (whole(PNG, "content-type: image/png", status="401 Unauthorized"), "unreachable"),
            (b"SSH-2.0-OpenSSH_9\r\n", "unreachable"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n" + PNG, "unreachable"),
            (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n", "unreachable"),
        ],
    )
    async def test_what_is_no_image_is_not_taken(
        self, fetcher: GuardedFetcher, captive: Captive, answer: bytes, why: str
    ) -> None:
        """Another type, no image by its bytes, compressed, too large with or without a length, not HTTP, cut short."""
        captive.answer = lambda _: answer
        assert await reason(fetcher, "http://public.example/") == why

    async def test_files_have_a_list_of_types(self, fetcher: GuardedFetcher, captive: Captive) -> None:
        """A document's type is taken from its header, and only if models read such."""
        captive.answer = lambda _: whole(b"%PDF-", "content-type: application/pdf; a=b")
        content = await fetcher("http://public.example/a.pdf", "file", ByteBudget(1000))
        assert content.media_type == "application/pdf"
        captive.answer = lambda _: whole(b"MZ", "content-type: application/x-msdownload")
        with pytest.raises(Unfetchable, match="wrong_type"):
            await fetcher("http://public.example/a.exe", "file", ByteBudget(1000))

    async def test_http_is_refused_unless_it_is_allowed(self, captive: Captive) -> None:
        """By default only https is fetched from."""
        fetcher = GuardedFetcher(times=QUICK)
        assert await reason(fetcher, "http://public.example/") == "unreachable"
        assert captive.attempts == []
        await reason(fetcher, "https://public.example/")  # the server has no TLS
        assert captive.attempts == [(PUBLIC, 443)]
        await fetcher.close()

    async def test_proxies_of_the_environment_are_not_used(
        self, fetcher: GuardedFetcher, captive: Captive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A proxy would connect where we do not see it: the environment's is not read, one by name is refused."""
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://10.0.0.1:80")
        assert await reason(fetcher, "http://public.example/") == ""
        assert captive.attempts == [(PUBLIC, 80)]
        with pytest.raises(Refused, match="proxy"):
            await fetcher.session.get("http://public.example/", proxy="http://public.example:80")


class TestDocuments:
    async def test_the_operators_documents_may_be_near(self, captive: Captive) -> None:
        """A key set may be in a private network; metadata services stay out of reach, and no redirect is followed."""
        captive.names |= {"keys.internal": [["10.0.0.7"]], "bad.internal": [["169.254.169.254"]]}
        captive.answer = lambda _: whole(b'{"keys":[]}')
        assert await fetch_document("http://keys.internal:8080/keys?a=b") == b'{"keys":[]}'
        with pytest.raises(UpstreamUnreachable) as caught:
            await fetch_document("http://bad.internal/keys?canary")
        assert "canary" not in repr(caught.value)
        captive.answer = lambda _: whole(b"", "location: /elsewhere", status="302 Found")
        with pytest.raises(UpstreamBroken):
            await fetch_document("http://keys.internal:8080/")
        captive.answer = lambda _: whole(b"x" * 101)
        with pytest.raises(UpstreamBroken):
            await fetch_document("http://keys.internal:8080/", limit_bytes=100)
        assert {address for address, _ in captive.attempts} == {"10.0.0.7"}


class TestAddresses:
    @pytest.mark.parametrize("address", [PUBLIC, "1.1.1.1", "8.8.8.8", "223.255.255.1", "2606:4700::1", "2a00:1450::1"])
    def test_public_ones_may_be_reached(self, address: str) -> None:
        """By everybody."""
        assert is_reachable(address, "public")
        assert is_reachable(address, "private")

    @pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.1", "192.168.0.1", "fd12::1", "100.64.0.1"])
    def test_private_ones_only_by_who_may(self, address: str) -> None:
        """For receivers of the operator's own."""
        assert not is_reachable(address, "public")
        assert is_reachable(address, "private")

    @pytest.mark.parametrize(
        "address",
        ["169.254.169.254", "fd00:ec2::254", "100.100.100.200", "0.0.0.0", "fe80::1", ""],  # noqa: S104
    )
    def test_some_never(self, address: str) -> None:
        """Metadata services and addresses of a link are for nobody."""
        assert not is_reachable(address, "private")

    @pytest.mark.parametrize(
        ("url", "private"),
        [
            ("http://127.0.0.1:9/hook", True),
            ("http://localhost:9/hook", True),
            ("http://[::1]/", True),
            ("https://10.0.0.1/", True),
            ("http://hooks.internal/", False),
            ("https://1.1.1.1/", False),
            ("http://169.254.169.254/", False),
            ("http://[", False),
        ],
    )
    def test_a_url_can_say_that_it_is_private(self, url: str, *, private: bool) -> None:
        """By a literal address or by ``localhost``; a name says nothing."""
        assert names_private_address(url) is private
