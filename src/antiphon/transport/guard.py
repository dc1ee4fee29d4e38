r"""
The guard between the gateway and addresses that somebody else chose: an aiohttp connector that checks them.

A check ahead of the client is worth nothing if the client parses or resolves once more: it may come to another host
(``http://a\@b/``), to another address (a name that resolves anew), or follow a redirect that nobody checked. So the
checks stand inside the connector, and there is no way around it:

    every request, redirected or not     GuardedConnector.connect     scheme, port, host, by the URL that aiohttp uses
    every name                           its resolver                 resolved once; each of its addresses is checked
    every socket                         its socket factory           the very address that is connected to

Literal addresses go the same way. A name of which one address may not be reached is refused as a whole: there is no
honest reason for such a name, and trying the others would depend on their order.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import AddrInfoType, Connection
from aiohttp.tracing import Trace
from yarl import URL

from antiphon.transport.addresses import Reach, is_reachable, is_written_as_address

__all__ = ["GuardRules", "GuardedConnector", "Refused", "guarded_session", "parse_url"]

_MAX_URL_CHARS = 8192
_MAX_HEADER_BYTES = 16 * 1024
_HOST_NAME = re.compile(r"[A-Za-z0-9._-]{1,253}\Z")
_LOOKUPS_AT_ONCE = 8


class Refused(Exception):
    """A URL leads where nobody may go. Says why, without the URL; for logs and tests, and for no client."""


class GuardRules(msgspec.Struct, frozen=True, kw_only=True):
    """
    Where a client may go.

    Attributes:
        ports: None for all of them.
    """

    schemes: frozenset[str] = frozenset({"https"})
    ports: frozenset[int] | None = frozenset({80, 443})
    reach: Reach = "public"

    def check(self, url: URL) -> None:
        """
        See whether a parsed URL may be asked. What its name resolves to is looked at when that is known.

        Raises:
            Refused: It may not.
        """
        if url.scheme not in self.schemes:
            raise Refused("scheme")
        if url.raw_user is not None or url.raw_password is not None:
            raise Refused("userinfo")
        if url.port is None or not (self.ports is None or url.port in self.ports):
            raise Refused("port")
        self._check_host(url.raw_host or "")

    def _check_host(self, host: str) -> None:
        if is_written_as_address(host):
            self.check_address(host)
        elif not _HOST_NAME.match(host):
            raise Refused("host")

    def check_address(self, address: str) -> None:
        """
        See whether an address may be connected to.

        Raises:
            Refused: It may not.
        """
        if not is_reachable(address, self.reach):
            raise Refused("address")


def parse_url(text: str) -> URL:
    """
    A URL as the client will use it. What parsers are known to disagree about is refused.

    Raises:
        Refused: It is no URL, or no plain one.
    """
    if not text or len(text) > _MAX_URL_CHARS or "\\" in text or not text.isprintable() or " " in text:
        raise Refused("spelling")
    try:
        return URL(text)
    except ValueError as error:  # UnicodeError, for a name that IDNA does not have, is one
        raise Refused("spelling") from error


class GuardedConnector(aiohttp.TCPConnector):
    """
    Connects to nothing that its rules do not allow.

    Args:
        max_connections: At the same time; further requests wait.
    """

    def __init__(self, rules: GuardRules, *, max_connections: int = 16) -> None:
        super().__init__(
            resolver=_CheckingResolver(rules),
            socket_factory=self._new_socket,
            # Each connection resolves anew and is checked anew. A cache would be one more place where names and
            # addresses meet.
            use_dns_cache=False,
            force_close=True,
            limit=max_connections,
        )
        self.rules = rules

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's
    ) -> Connection:
        """
        See the base class.

        Raises:
            Refused: The rules do not allow it.
        """
        if req.proxy is not None:
            raise Refused("proxy")
        self.rules.check(req.url)
        return await super().connect(req, traces, timeout)

    def _new_socket(self, info: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        # An OSError, as this stands within aiohttp's race of several addresses, which knows no other fault.
        if not is_reachable(str(address[0]), self.rules.reach) or (len(address) == 4 and address[3]):
            raise PermissionError("the address is refused")
        return socket.socket(family, kind, protocol)


class _CheckingResolver(AbstractResolver):
    """The system's resolver, in threads of its own: names that a stranger chose can be slow, and hold up nobody."""

    def __init__(self, rules: GuardRules) -> None:
        self._rules = rules
        self._threads = ThreadPoolExecutor(_LOOKUPS_AT_ONCE, thread_name_prefix="antiphon-guarded-lookup")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().run_in_executor(self._threads, _look_up, host, port, family)
        results = [self._checked(host, answer) for answer in found]
        if not results:
            raise OSError("the name has no address")
        return results

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _checked(self, host: str, answer: _Answer) -> ResolveResult:
        family, _, protocol, _, address = answer
        if len(address) == 4 and address[3]:  # a scope id: it belongs to a link
            raise Refused("address")
        self._rules.check_address(str(address[0]))
        return ResolveResult(
            hostname=host,
            host=str(address[0]),
            port=int(address[1]),
            family=family,
            proto=protocol,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )


_Answer = tuple[
    socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
]


def _look_up(host: str, port: int, family: int) -> Sequence[_Answer]:
    return socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)


def guarded_session(rules: GuardRules, *, max_connections: int = 16) -> aiohttp.ClientSession:
    """
    A session that goes nowhere that *rules* do not allow: no cookies, no proxies, nothing from the environment, and
    nothing decompressed. Must be called in a running event loop. Whoever calls it closes it.
    """
    return aiohttp.ClientSession(
        connector=GuardedConnector(rules, max_connections=max_connections),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        raise_for_status=False,
        max_line_size=_MAX_HEADER_BYTES,
        max_field_size=_MAX_HEADER_BYTES,
        skip_auto_headers=("User-Agent", "Content-Type"),
        timeout=aiohttp.ClientTimeout(total=None),
    )
