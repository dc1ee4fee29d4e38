"""
Fetching what is at a URL, through the guard (:mod:`.guard`).

:class:`GuardedFetcher` gets what a client named: whoever can make the gateway fetch stands in its network, so it says
neither where it came nor why it could not. :func:`fetch_document` gets what the operator named.
"""

from __future__ import annotations

import asyncio

import aiohttp
import msgspec
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from antiphon.hub.errors import UpstreamBroken, UpstreamTimeout, UpstreamUnreachable
from antiphon.hub.remote import ByteBudget, RemoteContent, RemoteKind, Unfetchable
from antiphon.transport.guard import GuardRules, Refused, guarded_session, parse_url

__all__ = ["FetchTimes", "GuardedFetcher", "fetch_document"]

_FAULTS = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError, Refused)
"""What can go wrong on the way; a TimeoutError is an OSError, a name that cannot be one a ValueError."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 3
_MAX_HEADERS = 100
_BLOCK_BYTES = 64 * 1024

_ACCEPT = {"image": "image/png, image/jpeg, image/gif, image/webp", "file": "*/*"}
_UNSAID = frozenset({"", "application/octet-stream", "binary/octet-stream"})
_FILE_TYPES = frozenset(
    {
        "application/json",
        "application/msword",
        "application/pdf",
        "application/rtf",
        "application/vnd.ms-excel",
        "application/vnd.ms-powerpoint",
        "application/vnd.oasis.opendocument.text",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "application/xml",
        "application/yaml",
    }
)

_DOCUMENT_RULES = GuardRules(schemes=frozenset({"https", "http"}), ports=None, reach="private")
_DOCUMENT_TIMEOUT_S = 10.0


class FetchTimes(msgspec.Struct, frozen=True, kw_only=True):
    """
    How long a fetch may take.

    Attributes:
        connect_s: For a name's lookup and the connection. What cannot be reached is said to be so after this time and
            not before, so that the time tells nothing either.
        total_s: For everything, redirects included. Less than the time after which a turn's answer begins, so that a
            URL that gives nothing is the request's error.
    """

    connect_s: float = 3.0
    total_s: float = 8.0


class GuardedFetcher:
    """
    A :class:`~antiphon.hub.remote.Fetch` that goes to public addresses alone.

    Redirects are followed, three at most and never from https to http; each is a request of its own, and goes through
    the guard like the first. No credential, cookie or referrer is ever sent.

    Args:
        rules: Where it may go. Another reach than ``public`` is for nobody's URLs but the operator's.
    """

    def __init__(
        self, rules: GuardRules | None = None, *, times: FetchTimes | None = None, user_agent: str = "antiphon"
    ) -> None:
        self._rules = rules or GuardRules()
        self._times = times or FetchTimes()
        self._user_agent = user_agent
        self._session: aiohttp.ClientSession | None = None
        self._timeout = aiohttp.ClientTimeout(total=None, connect=self._times.connect_s)

    @property
    def session(self) -> aiohttp.ClientSession:
        """What it asks with, made when it is first needed."""
        if self._session is None:
            self._session = guarded_session(self._rules)
        return self._session

    async def __call__(self, url: str, kind: RemoteKind, budget: ByteBudget) -> RemoteContent:
        loop = asyncio.get_running_loop()
        told_at = loop.time() + self._times.connect_s
        try:
            async with asyncio.timeout(self._times.total_s):
                return await self._follow(parse_url(url), kind, budget)
        except _FAULTS:
            await asyncio.sleep(told_at - loop.time())
        # Outside of the handler: what aiohttp raised holds the URL, whose query may be a credential.
        raise Unfetchable("unreachable")

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _follow(self, url: URL, kind: RemoteKind, budget: ByteBudget) -> RemoteContent:
        headers = {"accept": _ACCEPT[kind], "accept-encoding": "identity", "user-agent": self._user_agent}
        for _ in range(1 + _MAX_REDIRECTS):
            self._rules.check(url)
            async with self.session.get(
                url, headers=headers, allow_redirects=False, max_headers=_MAX_HEADERS, timeout=self._timeout
            ) as answer:
                if answer.status not in _REDIRECTS:
                    return await _content(answer, kind, budget)
                url = _next_url(url, answer.headers.get("location", ""))
        raise Refused("redirects")


def _next_url(url: URL, location: str) -> URL:
    """Where a redirect leads."""
    given = parse_url(location)
    if given.scheme and not given.raw_host:  # "http:a/", which some take for a host and some for a path
        raise Refused("spelling")
    target = url.join(given)
    if url.scheme == "https" and target.scheme != "https":
        raise Refused("scheme")
    return target


async def _content(answer: aiohttp.ClientResponse, kind: RemoteKind, budget: ByteBudget) -> RemoteContent:
    if answer.status != 200:
        raise Refused("status")
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused("encoding")  # it was asked for none, and what it hides may be of any size
    said = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not _may_be(said, kind):
        raise Unfetchable("wrong_type")
    if (answer.content_length or 0) > budget.left_bytes:
        raise Unfetchable("too_large")
    data = await _read(answer, budget)
    media_type = said if kind == "file" else _image_type(data)
    if not media_type or not data:
        raise Unfetchable("wrong_type")
    return RemoteContent(data=data, media_type=media_type)


async def _read(answer: aiohttp.ClientResponse, budget: ByteBudget) -> bytes:
    blocks = []
    async for block in answer.content.iter_chunked(_BLOCK_BYTES):
        budget.spend(len(block))
        blocks.append(block)
    return b"".join(blocks)


def _may_be(said: str, kind: RemoteKind) -> bool:
    if kind == "image":
        return said.startswith("image/") or said in _UNSAID
    return said.startswith("text/") or said in _FILE_TYPES


def _image_type(data: bytes) -> str:
    """The type of an image by its first bytes; empty for none that models take."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else ""


async def fetch_document(url: str, *, limit_bytes: int = 1024 * 1024, user_agent: str = "antiphon") -> bytes:
    """
    What is at a URL of the operator's own settings. Private networks may be reached, as the operator chose the URL;
    metadata services may not. No redirect is followed.

    Raises:
        UpstreamError: It cannot be had.
    """
    session = guarded_session(_DOCUMENT_RULES)
    headers = {"accept-encoding": "identity", "user-agent": user_agent}
    fault: UpstreamUnreachable | UpstreamTimeout
    try:
        async with (
            asyncio.timeout(_DOCUMENT_TIMEOUT_S),
            session.get(parse_url(url), headers=headers, allow_redirects=False, max_headers=_MAX_HEADERS) as answer,
        ):
            return await _document(answer, ByteBudget(limit_bytes))
    except TimeoutError:
        fault = UpstreamTimeout("The document did not come in time.")
    except _FAULTS as error:
        fault = UpstreamUnreachable(f"The document cannot be had: {type(error).__name__}.")
    finally:
        await session.close()
    raise fault  # without the foreign exception, which holds the URL


async def _document(answer: aiohttp.ClientResponse, budget: ByteBudget) -> bytes:
    if answer.status != 200:
        raise UpstreamBroken(f"The document cannot be had: its server answered {answer.status}.")
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise UpstreamBroken("The document came compressed although it was not asked for like that.")
    try:
        return await _read(answer, budget)
    except Unfetchable as error:
        raise UpstreamBroken("The document is too large.") from error
