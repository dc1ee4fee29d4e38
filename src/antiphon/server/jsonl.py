"""
JSON Lines: one JSON object per line, read within the limits of a body and written a group of lines at a time.

A body is parsed in a worker thread, as it may have thousands of lines.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

import orjson

from antiphon.hub.errors import InvalidRequest, UnsupportedMediaType
from antiphon.hub.items import JsonObject
from antiphon.hub.library import ItemLine
from antiphon.server.body import BodyLimits, check_depth, check_members

__all__ = ["MEDIA_TYPE", "check_media_type", "parse_lines", "written_lines"]

MEDIA_TYPE = b"application/jsonl"

# Nobody has registered one: these are what people send.
_MEDIA_TYPES = (MEDIA_TYPE, b"application/x-ndjson", b"application/ndjson", b"application/x-jsonlines", b"text/plain")


def check_media_type(headers: Mapping[bytes, bytes]) -> None:
    """
    See whether a body calls itself JSON Lines; one that says nothing is taken for it.

    Raises:
        UnsupportedMediaType: It calls itself something else.
    """
    kind = headers.get(b"content-type", MEDIA_TYPE).partition(b";")[0].strip().lower()
    if kind not in _MEDIA_TYPES:
        raise UnsupportedMediaType(
            f"Content-Type '{kind.decode('latin-1')[:80]}' is not supported: send {MEDIA_TYPE.decode()}."
        )


async def parse_lines(body: bytes, limits: BodyLimits) -> Sequence[ItemLine]:
    """
    The objects of a body, each with the number of its line; blank lines are passed over.

    Raises:
        InvalidRequest: More lines than ``max_json_members``; or names the first line that is not a JSON object,
            is nested deeper than ``max_json_depth`` or has more than ``max_json_members``.
    """
    if body.count(b"\n") > limits.max_json_members:
        raise InvalidRequest(
            f"The body has more lines than max_json_members ({limits.max_json_members}).", code="request_too_complex"
        )
    return await asyncio.to_thread(lambda: [_parse(number, line, limits) for number, line in _numbered(body)])


def written_lines(values: Iterable[object]) -> bytes:
    """Values as lines, each with its end."""
    return b"".join([orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE) for value in values])


def _numbered(body: bytes) -> Iterable[tuple[int, bytes]]:
    return ((number, line) for number, line in enumerate(body.split(b"\n"), 1) if line.strip())


def _parse(number: int, line: bytes, limits: BodyLimits) -> tuple[int, JsonObject]:
    try:
        check_members(line, limits)
        value = orjson.loads(line)
    except InvalidRequest as error:
        raise InvalidRequest(f"Line {number}: {error.message}", code=error.code) from None
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"Line {number}: not valid JSON: {error}.", code="invalid_json") from error
    if not isinstance(value, dict):
        raise InvalidRequest(f"Line {number}: expected a JSON object.", code="invalid_type")
    try:
        check_depth(value, limits)
    except InvalidRequest as error:
        raise InvalidRequest(f"Line {number}: {error.message}", code=error.code) from None
    return number, value
