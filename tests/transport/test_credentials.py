"""A credential is sent to the scheme, host and port of its upstream's base URL, whoever tries to move it elsewhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from antiphon.hub.errors import UpstreamError
from antiphon.hub.upstream import UpstreamRequest
from antiphon.settings import Secret, TimeoutSettings
from antiphon.transport import HttpTransport
from antiphon.transport.faults import Stage, translated

from .servers import Server, closing, reply, saying, serving

CANARY = "sk-canary-0123456789abcdef"
TIMEOUTS = TimeoutSettings(connect_s=5, first_byte_s=5, idle_s=5)


@dataclass(frozen=True, kw_only=True)
class Attack:
    """
    One way to move a credential. In every text ``{evil}`` is the other server's host and port.

    Attributes:
        base: Takes the place of the upstream's base URL, whose own host and port are ``{good}``.
        answers: The status and header lines of what the upstream says.
        refused: Whether the request is not even made.
    """

    path: str = "/models"
    base: str = "http://{good}/v1"
    headers: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    answers: tuple[str, tuple[str, ...]] = ("200 OK", ())
    refused: bool = False


def _redirects() -> dict[str, Attack]:
    targets = {
        "to another host": "http://{evil}/v1/models",
        "without a scheme": "//{evil}/v1/models",
        "with userinfo": "http://{good}@{evil}/",
        "with a backslash": "http:\\\\{evil}\\v1",
        "over TLS": "https://{evil}/v1/models",
    }
    return {
        f"a {status} {name}": Attack(answers=(f"{status} Moved", (f"location: {target}",)))
        for status in (300, 301, 302, 303, 307, 308)
        for name, target in targets.items()
    }


ATTACKS: dict[str, Attack] = {
    **_redirects(),
    "refresh": Attack(answers=("200 OK", ("refresh: 0; url=http://{evil}/",))),
    "content-location": Attack(answers=("200 OK", ("content-location: http://{evil}/",))),
    "alt-svc": Attack(answers=("200 OK", ('alt-svc: h2="{evil}"; ma=1, http/1.1="{evil}"',))),
    "link": Attack(answers=("200 OK", ("link: <http://{evil}/>; rel=preload",))),
    "use proxy": Attack(answers=("305 Use Proxy", ("location: http://{evil}/",))),
    "proxy authentication": Attack(answers=("407 Proxy", ("proxy-authenticate: basic", "location: http://{evil}/"))),
    "another authentication": Attack(
        answers=("401 No", ('www-authenticate: bearer resource_metadata="http://{evil}/"',))
    ),
    "a cookie of another host": Attack(answers=("200 OK", ("set-cookie: a=b; domain={evil}",))),
    "an upgrade": Attack(answers=("426 Upgrade", ("upgrade: http/2", "location: http://{evil}/"))),
    "created elsewhere": Attack(answers=("201 Created", ("location: http://{evil}/",))),
    "HTTP_PROXY": Attack(env={"HTTP_PROXY": "http://{evil}", "http_proxy": "http://{evil}"}),
    "HTTPS_PROXY": Attack(env={"HTTPS_PROXY": "http://{evil}", "https_proxy": "http://{evil}"}),
    "ALL_PROXY": Attack(env={"ALL_PROXY": "http://{evil}", "all_proxy": "http://{evil}"}),
    "userinfo of a path": Attack(base="http://{good}", path="@{evil}/v1", refused=True),
    "userinfo and a password": Attack(base="http://{good}", path=":x@{evil}/v1", refused=True),
    "the end of a host": Attack(base="http://127.0.0", path=".1:9/v1", refused=True),
    "the end of a port": Attack(base="http://{good}", path="0/v1", refused=True),
    "a path without a slash": Attack(path="models", refused=True),
    "a whole URL as a path": Attack(path="http://{evil}/v1", refused=True),
    "a backslash in a path": Attack(base="http://{good}", path="\\@{evil}/v1", refused=True),
    "a query as a path": Attack(base="http://{good}", path="?@{evil}/", refused=True),
    "an empty path": Attack(path="", refused=True),
    "two slashes": Attack(base="http://{good}", path="//{evil}/v1"),
    "an @ behind the slash": Attack(path="/@{evil}/v1"),
    "dots": Attack(path="/../../{evil}/"),
    "a fragment": Attack(path="/#@{evil}/"),
    "the host header": Attack(headers={"Host": "{evil}"}, refused=True),
    "proxy-authorization": Attack(headers={"Proxy-Authorization": "x"}, refused=True),
    "transfer-encoding": Attack(headers={"transfer-encoding": "chunked"}, refused=True),
    "content-length": Attack(headers={"Content-Length": "0"}, refused=True),
    "upgrade": Attack(headers={"upgrade": "websocket"}, refused=True),
    "another authorization": Attack(headers={"Authorization": "Bearer stolen"}),
    "forwarded": Attack(headers={"x-forwarded-host": "{evil}", "forwarded": "host={evil}"}),
}


@pytest.fixture
async def evil() -> AsyncIterator[Server]:
    async with serving(closing) as server:
        yield server


def test_there_are_enough_of_them() -> None:
    """Fifty ways, none of them twice."""
    assert len(ATTACKS) >= 50
    assert len({repr(attack) for attack in ATTACKS.values()}) == len(ATTACKS)


@pytest.mark.parametrize("name", ATTACKS)
async def test_a_credential_stays_with_its_upstream(name: str, evil: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing connects to the other server; the upstream is sent its own credential, or nothing at all."""
    attack, other = ATTACKS[name], f"127.0.0.1:{evil.port}"
    for variable, value in attack.env.items():
        monkeypatch.setenv(variable, value.format(evil=other))
    status, lines = attack.answers
    said = [line.format(evil=other, good="127.0.0.1") for line in lines]
    async with serving(saying(reply(b"{}", *said, status=status))) as server:
        place = f"127.0.0.1:{server.port}"
        base = attack.base.format(good=place)
        request = UpstreamRequest(
            method="GET",
            path=attack.path.format(evil=other),
            headers={key: value.format(evil=other) for key, value in attack.headers.items()},
        )
        transport = HttpTransport("mock", base, credential=Secret(CANARY), timeouts=TIMEOUTS)
        try:
            if attack.refused:
                with pytest.raises(ValueError) as caught:  # ours, or the URL parser's
                    await transport.send(request)
                assert CANARY not in str(caught.value)
            else:
                answer = await transport.send(request)
                await answer.read_all(1000)
                await answer.close()
                assert f"authorization: bearer {CANARY}" in server.requests[0].lower()
                assert "stolen" not in server.requests[0]
        finally:
            await transport.close()

    assert evil.connections == 0
    assert len(server.requests) == (0 if attack.refused else 1)


async def test_netrc_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has no credential is not given one of the user's own."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login canary password canary\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    async with serving(saying(reply(b"{}"))) as server:
        transport = HttpTransport("mock", server.base_url, timeouts=TIMEOUTS)
        await (await transport.send(UpstreamRequest(method="GET", path="/models"))).close()
        await transport.close()
    assert "authorization" not in server.requests[0].lower()


async def test_a_transport_without_the_binding_is_caught(evil: Server) -> None:
    """The planted bug: put together without a check, a path leads the credential to the other server."""

    class Unbound(HttpTransport):
        def _bound(self, path: str) -> URL:
            return URL(self._base_url + path)

    transport = Unbound("mock", "http://127.0.0.1", credential=None, timeouts=TIMEOUTS)
    with pytest.raises(UpstreamError):
        await transport.send(UpstreamRequest(method="GET", path=f"@127.0.0.1:{evil.port}/v1"))
    await transport.close()
    assert evil.connections


class TestWhatIsShown:
    def test_a_secret_shows_itself_nowhere(self) -> None:
        """Not as text, not formatted, not in a structure, and JSON does not take it."""
        secret = Secret(CANARY)
        shown = f"{secret} {secret!r} {secret:>10} {[secret]} { ({'a': secret}) } %s" % secret
        assert "canary" not in shown
        with pytest.raises(TypeError):
            json.dumps(secret)

    @pytest.mark.parametrize(
        "error",
        [
            aiohttp.InvalidURL(f"http://a/?key={CANARY}"),
            aiohttp.NonHttpUrlClientError(f"x://a/?key={CANARY}"),
            aiohttp.ClientPayloadError(CANARY),
            aiohttp.ServerDisconnectedError(CANARY),
            OSError(111, CANARY),
            UnicodeError(CANARY),
            asyncio.IncompleteReadError(CANARY.encode(), 5),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_a_foreign_exception_is_told_without_its_text(self, error: Exception) -> None:
        """The words of aiohttp may hold a URL with its query, or what was sent."""
        for stage in (Stage("mock", TIMEOUTS), Stage("mock", TIMEOUTS).answered()):
            assert CANARY not in repr(translated(error, stage).envelope())
