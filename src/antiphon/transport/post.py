"""Sending one body to an address that the operator configured: webhooks."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp

from antiphon.hub.errors import UpstreamTimeout, UpstreamUnreachable
from antiphon.transport.http import new_session

__all__ = ["HttpPost"]


class HttpPost:
    """
    Posts over HTTP; redirects are not followed and answers not read.

    Args:
        timeout_s: For the whole try.
    """

    def __init__(self, *, timeout_s: float = 15.0, user_agent: str = "antiphon") -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._user_agent = user_agent
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        if self._session is None:
            self._session = new_session()
        sent = {"user-agent": self._user_agent, **headers}
        try:
            async with self._session.post(
                url, data=body, headers=sent, timeout=self._timeout, allow_redirects=False
            ) as answer:
                return answer.status
        except TimeoutError as error:
            raise UpstreamTimeout("The receiver did not answer in time.") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamUnreachable("The receiver could not be reached.") from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
