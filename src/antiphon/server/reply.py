"""Writing an answer that is sent in one piece: JSON bodies and errors, with the headers that every answer carries."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson

from antiphon.hub.errors import AntiphonError, AuthenticationRequired, MethodNotAllowed

__all__ = ["Headers", "Send", "error_headers", "send_body", "send_error", "send_json", "send_json_bytes"]

Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]

_JSON = (b"content-type", b"application/json")


async def send_json(send: Send, value: object, headers: Headers, *, status: int = 200) -> None:
    """Send a JSON value."""
    await send_json_bytes(send, orjson.dumps(value), headers, status=status)


async def send_json_bytes(send: Send, body: bytes, headers: Headers, *, status: int = 200) -> None:
    """Send a JSON value that is encoded already."""
    await send_body(send, body, (_JSON, *headers), status=status)


async def send_body(send: Send, body: bytes, headers: Headers, *, status: int = 200) -> None:
    """Send bytes; *headers* name their type."""
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})


async def send_error(send: Send, error: AntiphonError, headers: Headers) -> None:
    """Send an error as OpenAI's envelope, with what helps a client to retry."""
    await send_json(send, error.envelope(), (*error_headers(error), *headers), status=error.http_status)


def error_headers(error: AntiphonError) -> list[tuple[bytes, bytes]]:
    """
    Headers that say more of an error: those that official clients look at before they retry, and what else is allowed.

    A 400 is not retried by them unless ``x-should-retry`` says so, and a 429 always is: one that waiting does not mend
    has to say so. An upstream's refusal never gets better.
    """
    headers = []
    if isinstance(error, AuthenticationRequired):
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", ", ".join(error.allowed).encode()))
    if error.retryable and error.http_status < 429:
        headers.append((b"x-should-retry", b"true"))
    if error.http_status == 429 and not error.retryable:
        headers.append((b"x-should-retry", b"false"))
    if error.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after_s))))
        headers.append((b"retry-after-ms", b"%d" % round(error.retry_after_s * 1000)))
    return headers
