"""
Reading a request's body: decoded, parsed as JSON, within limits that have names.

A body over 256 KiB is parsed in a worker thread, so that one long history does not hold up every other stream. The
parser holds the interpreter's lock all the while, so how much it may find is counted before: eleven million empty
arrays fit into 32 MiB, and parsing them takes ten seconds.

Of two members of one name in an object the last one counts, as with every parser in use. Nothing behind us can ever
see the other one: what is sent upstream is written anew from what was parsed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from antiphon.hub.errors import InvalidRequest, PayloadTooLarge, UnsupportedMediaType
from antiphon.hub.items import JsonObject
from antiphon.server.compression import coding_of, decompress
from antiphon.server.json_count import has_more_members

__all__ = [
    "BodyLimits",
    "ClientDisconnected",
    "Malformed",
    "Receive",
    "check_depth",
    "check_members",
    "malformed_body",
    "malformed_request",
    "parse_json",
    "read_bytes",
    "read_json",
]

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Malformed = Callable[[str], InvalidRequest]

_PARSE_IN_THREAD_BYTES = 256 * 1024
_DECOMPRESS_IN_THREAD_BYTES = 8 * 1024
_MAX_LENGTH_DIGITS = 20

_NAMES = {
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    type(None): "null",
}


class ClientDisconnected(Exception):
    """The client went away before it had sent its request; there is nobody to answer."""


class BodyLimits:
    """
    Args:
        max_body_bytes: The largest body, as it is sent and as it is when decompressed.
        max_json_depth: How deep objects and arrays may be nested.
        max_json_members: How many members all objects, and elements all arrays, may have together.
    """

    def __init__(
        self,
        *,
        max_body_bytes: int = 32 * 1024 * 1024,
        max_json_depth: int = 64,
        max_json_members: int = 100_000,
    ) -> None:
        self.max_body_bytes = max_body_bytes
        self.max_json_depth = max_json_depth
        self.max_json_members = max_json_members


def malformed_request(why: str) -> InvalidRequest:
    """What ``/v1/responses`` answers to a body that is not JSON, in OpenAI's words; *why* is the parser's."""
    return InvalidRequest(
        "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP "
        f"library correctly. The API expects a JSON payload, but what was sent was not valid JSON: {why}.)"
    )


def malformed_body(_: str) -> InvalidRequest:
    """What ``/v1/conversations`` answers to a body that is not JSON, in OpenAI's words, which are others there."""
    return InvalidRequest(
        "Invalid body: failed to parse JSON value. Please check the value to ensure it is valid JSON. (Common errors "
        "include trailing commas, missing closing brackets, missing quotation marks, etc.)",
        code="invalid_json",
    )


async def read_json(
    headers: Mapping[bytes, bytes],
    receive: Receive,
    limits: BodyLimits,
    *,
    empty: JsonObject | None = None,
    malformed: Malformed = malformed_request,
) -> JsonObject:
    """
    The body as a JSON object.

    Args:
        empty: What an empty body stands for; None if it stands for nothing.
        malformed: The error for a body that is not JSON, of what the parser says.

    Raises:
        PayloadTooLarge: Longer than ``max_body_bytes``.
        UnsupportedMediaType: Not JSON, or compressed in a way that is not supported.
        InvalidRequest: Not valid JSON, not an object, nested deeper than ``max_json_depth``, or of more than
            ``max_json_members``; or not what its ``Content-Encoding`` says.
        ClientDisconnected: The client has gone.
    """
    _check_type(headers)
    body = await read_bytes(headers, receive, limits)
    if not body and empty is not None:
        return empty
    return await parse_json(body, limits, malformed=malformed)


async def parse_json(body: bytes, limits: BodyLimits, *, malformed: Malformed = malformed_request) -> JsonObject:
    """
    Bytes as a JSON object.

    Raises:
        InvalidRequest: Not valid JSON, not an object, nested deeper than ``max_json_depth``, or of more than
            ``max_json_members``.
    """
    if len(body) > _PARSE_IN_THREAD_BYTES:
        return await asyncio.to_thread(_parse, body, limits, malformed)
    return _parse(body, limits, malformed)


async def read_bytes(headers: Mapping[bytes, bytes], receive: Receive, limits: BodyLimits) -> bytes:
    """
    The body as the client wrote it: without the compression that it may have been sent in.

    Raises:
        PayloadTooLarge: Longer than ``max_body_bytes``, as it comes or when decompressed.
        UnsupportedMediaType: Compressed in a way that is not supported.
        InvalidRequest: Not what its ``Content-Encoding`` says.
        ClientDisconnected: The client has gone.
    """
    coding = coding_of(headers)
    body = await _read(headers, receive, limits)
    if coding is None or not body:
        return body
    if len(body) > _DECOMPRESS_IN_THREAD_BYTES:
        return await asyncio.to_thread(decompress, coding, body, max_bytes=limits.max_body_bytes)
    return decompress(coding, body, max_bytes=limits.max_body_bytes)


async def _read(headers: Mapping[bytes, bytes], receive: Receive, limits: BodyLimits) -> bytes:
    announced = headers.get(b"content-length", b"")
    # Python reads no number of thousands of digits.
    if announced.isdigit() and (len(announced) > _MAX_LENGTH_DIGITS or int(announced) > limits.max_body_bytes):
        raise _too_large(limits)
    chunks = []
    size_bytes = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        chunk = message.get("body", b"")
        size_bytes += len(chunk)
        if size_bytes > limits.max_body_bytes:
            raise _too_large(limits)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _check_type(headers: Mapping[bytes, bytes]) -> None:
    kind = headers.get(b"content-type", b"application/json").partition(b";")[0].strip().lower()
    if kind != b"application/json" and not kind.endswith(b"+json"):
        raise UnsupportedMediaType(
            f"Content-Type '{kind.decode('latin-1')[:80]}' is not supported: send application/json."
        )


def _too_large(limits: BodyLimits) -> PayloadTooLarge:
    return PayloadTooLarge(f"The request body is larger than max_body_bytes ({limits.max_body_bytes} bytes).")


def _parse(body: bytes, limits: BodyLimits, malformed: Malformed) -> JsonObject:
    check_members(body, limits)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise malformed(str(error)) from error
    if not isinstance(value, dict):
        raise InvalidRequest(
            f"Invalid type for the request body: expected an object, but got {_NAMES[type(value)]} instead.",
            code="invalid_type",
        )
    check_depth(value, limits)
    return value


def check_members(text: bytes, limits: BodyLimits) -> None:
    """
    See whether a JSON text is too much for the parser, before it is asked.

    Raises:
        InvalidRequest: It has more than ``max_json_members``.
    """
    # A shorter text is parsed within milliseconds, whatever is in it; it is counted afterwards.
    if len(text) > _PARSE_IN_THREAD_BYTES and has_more_members(text, limits.max_json_members):
        raise _too_many(limits)


def check_depth(value: JsonObject, limits: BodyLimits) -> None:
    """
    See whether a value is nested deeper than it may be, or has more members.

    Raises:
        InvalidRequest: It is, or has.
    """
    level: list[Any] = [value]
    members = 0
    for _ in range(limits.max_json_depth):
        members += sum(map(len, level))
        if members > limits.max_json_members:
            raise _too_many(limits)
        level = [
            child
            for container in level
            for child in (container.values() if type(container) is dict else container)
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return
    raise InvalidRequest(
        f"The request body is nested deeper than max_json_depth ({limits.max_json_depth} levels).",
        code="request_too_deep",
    )


def _too_many(limits: BodyLimits) -> InvalidRequest:
    return InvalidRequest(
        f"The request body has more than max_json_members ({limits.max_json_members}) members of objects and elements "
        "of arrays.",
        code="request_too_complex",
    )
