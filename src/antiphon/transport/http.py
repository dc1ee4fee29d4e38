"""
The way to an upstream over HTTP/1.1: one aiohttp session, and one reply object per request.

The hot path is :meth:`HttpReply.read_block`: it takes what has arrived and awaits only if nothing has. Its idle
time-out costs one clock reading per block: a single timer per reply looks now and then how long the reader has been
waiting, instead of being set again for every block. Every exception of aiohttp and of the system is translated in one
place (:mod:`antiphon.transport.faults`).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from types import MappingProxyType

import aiohttp
from yarl import URL

from antiphon.hub.errors import UpstreamBroken, UpstreamTimeout
from antiphon.hub.upstream import KeyPlace, Signer, UpstreamReply, UpstreamRequest
from antiphon.settings import Secret, TimeoutSettings
from antiphon.transport.faults import FAULTS, Stage, translated

__all__ = ["HttpReply", "HttpTransport", "new_session"]

# A healthy upstream's status line and headers fit easily; OpenAI states 64 KiB for all of them.
_MAX_HEADER_BYTES = 32 * 1024
_MAX_HEADERS = 200
# What aiohttp holds back for a reader that is busy, before it stops reading from the socket.
_READ_BUFFER_BYTES = 256 * 1024
_KEEP_ALIVE_S = 30.0
# What leads a request elsewhere, or cuts it in two; a provider has no business with it.
_OWN_HEADERS = frozenset(
    {"connection", "content-length", "expect", "host", "proxy-authorization", "te", "transfer-encoding", "upgrade"}
)
_BEARER = KeyPlace()
_NOTHING: Mapping[str, str] = MappingProxyType({})
# What a path may be made of to be sent as it was written. Anything else is encoded first.
_WRITTEN_OUT = re.compile(r"[!-~]*\Z")


def new_session() -> aiohttp.ClientSession:
    """
    A session for any number of upstreams: no limit of its own, no cookies, nothing from the environment.

    Must be called in a running event loop. Whoever calls it closes it.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=True,
        raise_for_status=False,
        read_bufsize=_READ_BUFFER_BYTES,
        max_line_size=_MAX_HEADER_BYTES,
        max_field_size=_MAX_HEADER_BYTES,
        skip_auto_headers=("User-Agent", "Content-Type"),
        # Every wait is bounded in this module; aiohttp's own total would cut long streams.
        timeout=aiohttp.ClientTimeout(total=None),
    )


class HttpTransport:
    """
    The way to one upstream.

    Args:
        name: Of the upstream, for messages.
        base_url: Request paths are appended to it.
        credential: Sent in *key_place*, and to this base URL only.
        key_place: The header that takes the credential, and what stands before it there.
        signer: Signs each request, for upstreams that want no key but a signature.
        headers: Sent with every request. A request's own of the same name, and the credential, win.
        query: Added to the query of every request.
        timeouts: How long the upstream may be silent.
        session: Shared with other transports and closed by its owner; None makes one on first use and closes it.

    Raises:
        ValueError: One of *headers* belongs to HTTP itself.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        credential: Secret | None = None,
        key_place: KeyPlace = _BEARER,
        signer: Signer | None = None,
        headers: Mapping[str, str] = _NOTHING,
        query: Mapping[str, str] = _NOTHING,
        timeouts: TimeoutSettings | None = None,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        self._name = name
        self._base_url = base_url.rstrip("/")
        self._credential = credential
        self._key_place = key_place
        self._signer = signer
        self._always = self._allowed(headers, "The configuration of")
        self._query = dict(query)
        self._timeouts = timeouts if timeouts is not None else TimeoutSettings()
        self._session = session
        self._owns_session = session is None
        self._urls: dict[str, URL] = {}
        # The first byte is awaited by aiohttp's own timer, which begins when the request has been sent. A peer that
        # does not take the request has as long again, see `send`.
        self._aiohttp_timeout = aiohttp.ClientTimeout(
            total=None, connect=self._timeouts.connect_s, sock_read=self._timeouts.first_byte_s
        )

    async def send(self, request: UpstreamRequest) -> UpstreamReply:
        """See :class:`antiphon.hub.upstream.Transport`. Redirects are answers like any other."""
        stage = Stage(self._name, self._timeouts)
        limits = self._timeouts
        try:
            async with asyncio.timeout(limits.connect_s + 2 * limits.first_byte_s):
                url = self._url(request.path)
                answer = await self._live_session().request(
                    request.method,
                    url,
                    data=request.body or None,
                    headers=await self._signed(request, url),
                    allow_redirects=False,
                    max_headers=_MAX_HEADERS,
                    timeout=self._aiohttp_timeout,
                )
        except FAULTS as error:
            raise translated(error, stage) from error
        return HttpReply(answer, stage.answered())

    async def close(self) -> None:
        """Close the session, if it is our own."""
        if self._owns_session and self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def _live_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = new_session()
        return self._session

    def _url(self, path: str) -> URL:
        url = self._urls.get(path)
        if url is None:
            url = self._bound(path)
            if len(self._urls) < 64:  # a dialect has a handful of paths; one that builds them is not remembered
                self._urls[path] = url
        return url

    def _bound(self, path: str) -> URL:
        """
        The URL of a path. It is at the base URL's own scheme, host and port, where the credential may be sent.

        Raises:
            ValueError: It is not. A provider is at fault, not the upstream.
        """
        base, url = URL(self._base_url), URL(self._base_url + path)
        if "%" in path and _WRITTEN_OUT.match(path):
            # Encoded again, ``%3A`` would become ``:``, and a signature is made over what is sent.
            url = URL(str(base).rstrip("/") + path, encoded=True)
        if not path.startswith("/") or _place_of(url) != _place_of(base):
            raise ValueError(f"A request to upstream '{self._name}' leads away from its base_url.")
        return url.extend_query(self._query) if self._query else url

    async def _signed(self, request: UpstreamRequest, url: URL) -> dict[str, str]:
        headers = self._headers(request)
        if self._signer is not None:
            headers |= await self._signer.sign(request.method, str(url), headers, request.body)
        return headers

    def _headers(self, request: UpstreamRequest) -> dict[str, str]:
        # Compression would hold events back in the upstream's compressor; who compresses anyway is understood.
        headers = {"accept-encoding": "identity", "user-agent": "antiphon"}
        if request.body:
            headers["content-type"] = "application/json"
        headers |= self._always
        headers |= self._allowed(request.headers, "A request to")
        if self._credential is not None:
            headers[self._key_place.header] = f"{self._key_place.prefix}{self._credential.reveal()}"
        return headers

    def _allowed(self, headers: Mapping[str, str], whose: str) -> dict[str, str]:
        """*headers* with their names in lower case, none of which HTTP needs for itself."""
        lower = {name.lower(): value for name, value in headers.items()}
        for name in lower:
            if name in _OWN_HEADERS:
                raise ValueError(f"{whose} upstream '{self._name}' sets the header '{name}'.")
        return lower


class HttpReply:
    """An answer whose headers have come. Made by :meth:`HttpTransport.send`."""

    def __init__(self, answer: aiohttp.ClientResponse, stage: Stage) -> None:
        self._answer = answer
        self._stage = stage
        self._content = answer.content
        self._loop = asyncio.get_running_loop()
        self._idle_s = stage.timeouts.idle_s
        self._waiting_since: float | None = None
        self._bytes_before = 0
        self._timer: asyncio.TimerHandle | None = None
        self._closed: asyncio.Future[None] | None = None
        connection = answer.connection
        if connection is not None and connection.protocol is not None:  # None: the whole body has come already
            self._take_over(connection.protocol)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._answer.status

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case; of a header that came twice, both values with a comma between them."""
        headers: dict[str, str] = {}
        for name, value in self._answer.headers.items():
            key = name.lower()
            headers[key] = f"{headers[key]}, {value}" if key in headers else value
        return MappingProxyType(headers)

    async def read_block(self) -> bytes:
        """See :class:`antiphon.hub.upstream.UpstreamReply`."""
        self._waiting_since = self._loop.time()
        self._bytes_before = self._content.total_bytes
        if self._timer is None:
            self._timer = self._loop.call_later(self._idle_s, self._look_at_the_clock)
        try:
            block = await self._content.readany()
        except FAULTS as error:
            block = self._last_words(error)
        finally:
            self._waiting_since = None
        if not block:
            self._let_go()
        return block

    async def read_all(self, limit_bytes: int) -> bytes:
        """See :class:`antiphon.hub.upstream.UpstreamReply`."""
        blocks = []
        size_bytes = 0
        while block := await self.read_block():
            size_bytes += len(block)
            if size_bytes > limit_bytes:
                raise UpstreamBroken(
                    f"The upstream '{self._stage.upstream}' answered with more than {limit_bytes} bytes."
                )
            blocks.append(block)
        return b"".join(blocks)

    async def close(self) -> None:
        """Give the connection back if the body has ended, else drop it. May be called twice."""
        self._let_go()
        if self._content.at_eof():
            self._answer.release()
        else:
            self._answer.close()

    def _last_words(self, error: BaseException) -> bytes:
        """
        The bytes that came before a fault; the fault itself is raised at the next call.

        aiohttp raises a fault before it hands out what arrived ahead of it, so that the end of a reply would depend on
        how the packets fell. Clearing the stream's exception lets the bytes be read.
        """
        self._content.set_exception(None)  # type: ignore[arg-type] # aiohttp: absent and None are the same
        block = self._content.read_nowait()
        self._content.set_exception(error)
        if not block:
            raise translated(error, self._stage) from error
        return block

    def _take_over(self, protocol: aiohttp.client_proto.ResponseHandler) -> None:
        """Stop aiohttp's timer, which would measure the body by the first byte's limit, and watch the connection."""
        protocol.read_timeout = None
        protocol.start_timeout()
        self._closed = protocol.closed
        if self._closed is not None:
            self._closed.remove_done_callback(_retrieve)
            self._closed.add_done_callback(_retrieve)
            self._closed.add_done_callback(self._connection_lost)

    def _connection_lost(self, closed: asyncio.Future[None]) -> None:
        # aiohttp 3.14 closes the connection when a chunk cannot be parsed, but does not tell the body's reader, which
        # would wait for the idle limit. Can go when a test without it passes (test_a_bad_chunk).
        if not self._content.is_eof() and self._content.exception() is None:
            self._content.set_exception(aiohttp.ClientPayloadError("The connection was closed within the body"))

    def _look_at_the_clock(self) -> None:
        """Break off a wait that has lasted too long; otherwise look again when it could have."""
        # Bytes may have come in this very turn of the loop, before the reader could take them.
        waits = self._waiting_since is not None and self._content.total_bytes == self._bytes_before
        waited_s = self._loop.time() - self._waiting_since if waits and self._waiting_since is not None else 0.0
        if waited_s >= self._idle_s:
            self._timer = None
            self._content.set_exception(UpstreamTimeout(self._stage.silence()))
        else:
            self._timer = self._loop.call_later(self._idle_s - waited_s, self._look_at_the_clock)

    def _let_go(self) -> None:
        """Leave no timer and no callback behind: the connection may serve other replies for hours."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._closed is not None:
            self._closed.remove_done_callback(self._connection_lost)
            self._closed = None


def _place_of(url: URL) -> tuple[str, str]:
    """Whom a URL's requests go to, and as whom."""
    return url.scheme, url.raw_authority


def _retrieve(closed: asyncio.Future[None]) -> None:
    """Take the exception of a lost connection, which asyncio would otherwise report as never retrieved."""
    if not closed.cancelled():
        closed.exception()
