"""The table of foreign exceptions: it is total, and it says the same of the same."""

from __future__ import annotations

import asyncio
import errno
import inspect
import os
import socket
import ssl
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import client_exceptions, http_exceptions
from aiohttp.client_reqrep import ConnectionKey

from antiphon.hub.errors import UpstreamBroken, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from antiphon.settings import TimeoutSettings
from antiphon.transport.faults import FAULTS, Stage, translated

KEY = ConnectionKey("127.0.0.1", 1, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None)

# Only a websocket raises it, and this transport opens none.
NEVER_RAISED = {aiohttp.WSMessageTypeError}


def foreign_classes() -> list[type[Exception]]:
    """Every exception class that aiohttp's client and its HTTP parser define."""
    return sorted(
        {
            member
            for module in (client_exceptions, http_exceptions)
            for _, member in inspect.getmembers(module, inspect.isclass)
            if issubclass(member, Exception) and member.__module__.startswith("aiohttp")
        },
        key=lambda kind: kind.__name__,
    )


def made(kind: type[Exception]) -> Exception:
    """An instance with arguments of the kind that aiohttp gives it."""
    refused = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
    arguments: dict[type[Exception], tuple[Any, ...]] = {
        client_exceptions.UnixClientConnectorError: ("/path", KEY, refused),
        aiohttp.ClientConnectorCertificateError: (KEY, ssl.SSLCertVerificationError(1, "self-signed")),
        aiohttp.ServerFingerprintMismatch: (b"a", b"b", "host", 1),
        aiohttp.InvalidURL: ("http://",),
        http_exceptions.LineTooLong: ("line", b"1"),
        http_exceptions.InvalidHeader: (b"x",),
        http_exceptions.BadHttpMethod: ("GET",),
        http_exceptions.BadStatusLine: ("x",),
        http_exceptions.BadHttpMessage: ("x",),
    }
    for known in kind.__mro__:
        if known in arguments:
            return kind(*arguments[known])
    if issubclass(kind, aiohttp.ClientConnectorError):
        return kind(KEY, refused)
    if issubclass(kind, aiohttp.ClientResponseError):
        info = cast("aiohttp.RequestInfo", SimpleNamespace(real_url="http://host/v1?key=secret"))
        return kind(info, ())
    if issubclass(kind, http_exceptions.BadHttpMessage):
        return kind("message")
    return kind()


def stages() -> Iterator[Stage]:
    yield Stage("mock", TimeoutSettings())
    yield Stage("mock", TimeoutSettings()).answered()


@pytest.mark.parametrize("kind", foreign_classes(), ids=lambda kind: kind.__name__)
def test_every_exception_of_aiohttp_is_translated(kind: type[Exception]) -> None:
    """Each exception class of aiohttp's client is caught and becomes an upstream error, at every stage."""
    if kind in NEVER_RAISED:
        assert not issubclass(kind, aiohttp.ClientError)
        return
    error = made(kind)

    assert isinstance(error, FAULTS)
    for stage in stages():
        result = translated(error, stage)
        assert isinstance(result, UpstreamError)
        assert "'mock'" in result.message
        assert "secret" not in result.message


@pytest.mark.parametrize(
    ("error", "before", "within"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), UpstreamUnreachable, UpstreamBroken),
        (ConnectionResetError(errno.ECONNRESET, "x"), UpstreamUnreachable, UpstreamBroken),
        (BrokenPipeError(errno.EPIPE, "x"), UpstreamUnreachable, UpstreamBroken),
        (OSError(errno.ENETUNREACH, "x"), UpstreamUnreachable, UpstreamBroken),
        (OSError("no number"), UpstreamUnreachable, UpstreamBroken),
        (socket.gaierror(socket.EAI_NONAME, "x"), UpstreamUnreachable, UpstreamBroken),
        (ssl.SSLError(1, "x"), UpstreamUnreachable, UpstreamBroken),
        (UnicodeError("label too long"), UpstreamUnreachable, UpstreamBroken),
        (asyncio.IncompleteReadError(b"", 1), UpstreamUnreachable, UpstreamBroken),
        (TimeoutError(), UpstreamTimeout, UpstreamTimeout),
        (aiohttp.SocketTimeoutError(), UpstreamTimeout, UpstreamTimeout),
        (aiohttp.ConnectionTimeoutError(), UpstreamTimeout, UpstreamTimeout),
        (aiohttp.ServerDisconnectedError(), UpstreamUnreachable, UpstreamBroken),
        (aiohttp.ClientPayloadError(), UpstreamBroken, UpstreamBroken),
        (http_exceptions.BadStatusLine("x"), UpstreamBroken, UpstreamBroken),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_which_error_it_becomes(error: Exception, before: type[UpstreamError], within: type[UpstreamError]) -> None:
    """A fault before the answer can be tried again elsewhere; one within it means that the answer is broken."""
    assert isinstance(error, FAULTS)
    assert [before, within] == [type(translated(error, stage)) for stage in stages()]


def test_a_system_fault_is_told_in_the_systems_words() -> None:
    """An error number without words of our own is told by its name, without the address in the foreign text."""
    error = OSError(errno.EHOSTUNREACH, "Connect call failed ('10.0.0.1', 443)")

    message = translated(error, Stage("mock", TimeoutSettings())).message

    assert os.strerror(errno.EHOSTUNREACH).lower() in message
    assert "10.0.0.1" not in message
