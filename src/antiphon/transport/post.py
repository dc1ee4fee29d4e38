"""
Sending one body to an address that the operator configured: webhooks.

The operator chose the URL, but not what its name will resolve to tomorrow. So a name leads to public addresses alone,
unless the operator says that this receiver is private, or wrote ``localhost`` or a private address into the URL.
"""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp

from antiphon.hub.errors import UpstreamError, UpstreamTimeout, UpstreamUnreachable
from antiphon.transport.addresses import Reach, names_private_address
from antiphon.transport.guard import GuardRules, Refused, guarded_session, parse_url

__all__ = ["HttpPost"]

_MAX_CONNECTIONS = 64


class HttpPost:
    """
    Posts over HTTP, through the guard; redirects are not followed and answers not read.

    Args:
        timeout_s: For the whole try.
        allow_private: By URL, whether it may lead into a private network or to this machine. One that is not named may
            if it says so by itself, as ``http://127.0.0.1:9000/hook`` does.
    """

    def __init__(
        self,
        *,
        timeout_s: float = 15.0,
        user_agent: str = "antiphon",
        allow_private: Mapping[str, bool] | None = None,
    ) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._user_agent = user_agent
        self._allow_private = dict(allow_private or {})
        self._sessions: dict[Reach, aiohttp.ClientSession] = {}

    async def __call__(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        sent = {"user-agent": self._user_agent, **headers}
        fault: UpstreamError
        try:
            async with self.session(self.reach(url)).post(
                parse_url(url), data=body, headers=sent, timeout=self._timeout, allow_redirects=False
            ) as answer:
                return answer.status
        except TimeoutError:
            fault = UpstreamTimeout("The receiver did not answer in time.")
        except Refused:
            fault = UpstreamUnreachable(
                "The receiver's address is refused; say 'allow_private: true' if it is meant.", code="address_refused"
            )
        except (aiohttp.ClientError, OSError):
            fault = UpstreamUnreachable("The receiver could not be reached.")
        # Without the foreign exception: it holds the URL, whose query may be a credential.
        raise fault

    def reach(self, url: str) -> Reach:
        """How far a receiver may be away."""
        allowed = self._allow_private.get(url)
        return "private" if (names_private_address(url) if allowed is None else allowed) else "public"

    def session(self, reach: Reach) -> aiohttp.ClientSession:
        """What is asked with, made when it is first needed."""
        session = self._sessions.get(reach)
        if session is None:
            rules = GuardRules(schemes=frozenset({"https", "http"}), ports=None, reach=reach)
            session = self._sessions[reach] = guarded_session(rules, max_connections=_MAX_CONNECTIONS)
        return session

    async def close(self) -> None:
        while self._sessions:
            _, session = self._sessions.popitem()
            await session.close()
