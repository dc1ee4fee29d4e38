"""
Foreign exceptions as ours: the one table of what can go wrong between the gateway and an upstream.

Messages name the upstream and the fault. They never hold the credential, and of the address only what the system itself
says; the URL with its query stays out, because a foreign exception's own text may hold it.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from typing import Self

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from antiphon.hub.errors import UpstreamBroken, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from antiphon.settings import TimeoutSettings

__all__ = ["FAULTS", "Stage", "translated"]

FAULTS = (aiohttp.ClientError, HttpProcessingError, OSError, asyncio.IncompleteReadError, UnicodeError)
"""
What aiohttp and the system raise. ``OSError`` includes time-outs and TLS; ``UnicodeError`` is what the system's name
lookup says of a host name that cannot be one. An :class:`UpstreamError` is none of these and passes as it is.
"""


class Stage:
    """
    How far a request has come: the same broken connection means something else before an answer and within one.

    Args:
        upstream: The upstream's name.
    """

    __slots__ = ("has_answer", "timeouts", "upstream")

    def __init__(self, upstream: str, timeouts: TimeoutSettings) -> None:
        self.upstream = upstream
        self.timeouts = timeouts
        self.has_answer = False

    def answered(self) -> Self:
        """From here on, the answer has begun."""
        self.has_answer = True
        return self

    def silence(self) -> str:
        """The message of a time-out at this stage."""
        if self.has_answer:
            return f"The upstream '{self.upstream}' sent nothing for {self.timeouts.idle_s:g} s within its answer."
        return f"The upstream '{self.upstream}' did not begin to answer within {self.timeouts.first_byte_s:g} s."


def translated(error: BaseException, stage: Stage) -> UpstreamError:
    """The error of our tree for a foreign one. Raise it ``from`` the foreign one."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return UpstreamTimeout(
            f"The upstream '{stage.upstream}' could not be connected to within {stage.timeouts.connect_s:g} s."
        )
    if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientConnectorError):
        return UpstreamTimeout(stage.silence())
    if stage.has_answer:
        return _broken_answer(error, stage.upstream)
    if isinstance(error, aiohttp.ClientResponseError | HttpProcessingError | aiohttp.ClientPayloadError):
        return UpstreamBroken(f"The upstream '{stage.upstream}' answered with something that is not HTTP.")
    return UpstreamUnreachable(f"The upstream '{stage.upstream}' cannot be reached: {_no_connection(error)}.")


def _broken_answer(error: BaseException, upstream: str) -> UpstreamError:
    if isinstance(error, aiohttp.ClientPayloadError | HttpProcessingError | asyncio.IncompleteReadError):
        reason = "its body is cut short or wrongly encoded"
    else:
        reason = "the connection was closed"
    return UpstreamBroken(f"The upstream '{upstream}' broke off in the middle of its answer: {reason}.")


def _no_connection(error: BaseException) -> str:
    """Why there is no connection, in the words of somebody who has to mend it."""
    if isinstance(error, aiohttp.ClientConnectorDNSError | socket.gaierror | UnicodeError):
        return "its host name is unknown"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its TLS certificate is not valid ({_certificate_fault(error.certificate_error)})"
    if isinstance(error, aiohttp.ServerFingerprintMismatch):
        return "its TLS certificate is not the expected one"
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return "TLS could not be agreed on; is it an http:// server?"
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientConnectionResetError | ConnectionResetError):
        return "it closed the connection before it answered"
    if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
        return "its base_url is not a usable URL"
    return _system_fault(error)


def _certificate_fault(error: BaseException) -> str:
    # OpenSSL's own words, such as "self-signed certificate"; only errors that OpenSSL raised have them.
    return str(getattr(error, "verify_message", "verification failed"))


def _system_fault(error: BaseException) -> str:
    """The system's own word for an error number, which holds no address."""
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ECONNREFUSED:
        return "connection refused (is it running?)"
    if number in {errno.EPIPE, errno.ECONNRESET, errno.ECONNABORTED}:
        return "it closed the connection before it answered"
    if number is not None and number > 0:
        return os.strerror(number).lower()
    return "the connection failed"
