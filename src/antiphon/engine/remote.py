"""
Content that a request names by its URL: refused, or fetched here and given to the upstream as data.

By default neither: a URL goes to the upstream as it is, and whoever runs that may fetch it. What is stored keeps the
client's URL in every case, so the images of a history are fetched again for each turn, but for a small memory of what
was fetched lately.
"""

from __future__ import annotations

import asyncio
import base64
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import Any, Final, Literal

import msgspec

from antiphon.hub.errors import InvalidRequest, UnsupportedParameter
from antiphon.hub.ids import TenantId
from antiphon.hub.items import Item
from antiphon.hub.remote import ByteBudget, Fetch, RemoteContent, RemoteKind, Unfetchable

__all__ = ["RemoteContents", "RemoteOfTurn", "of_turn"]

_FIELDS: Final[dict[str, tuple[str, RemoteKind]]] = {
    "input_image": ("image_url", "image"),
    "computer_screenshot": ("image_url", "image"),
    "input_file": ("file_url", "file"),
}
_HOLDERS = ("content", "output")
_ENCODE_IN_THREAD_BYTES = 1024 * 1024

_Reason = Literal["unreachable", "too_large", "wrong_type"]
_MESSAGES: Final[dict[tuple[RemoteKind, _Reason], tuple[str, str]]] = {
    ("image", "unreachable"): ("invalid_image_url", "Error while downloading the image. Check that its URL is public."),
    ("image", "too_large"): ("image_file_too_large", "The images are too large, or too many for one request."),
    ("image", "wrong_type"): (
        "unsupported_image_media_type",
        "The URL does not give an image of a supported type: png, jpeg, gif or webp.",
    ),
    ("file", "unreachable"): ("invalid_value", "Error while downloading the file. Check that its URL is public."),
    ("file", "too_large"): ("invalid_value", "The files are too large, or too many for one request."),
    ("file", "wrong_type"): ("invalid_value", "The URL does not give a file of a supported type."),
}


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """One URL: in which item, in which part, and how a client is told of it."""

    item: int
    path: str
    kind: RemoteKind
    url: str


class RemoteContents:
    """
    What is done with URLs of content.

    Args:
        fetch: Gets what is there; None refuses them all.
        max_count: The most different URLs in what one turn gives to a model.
        max_bytes: The most bytes that are fetched for one turn.
        cache_bytes: The most that is remembered of all turns, each tenant's apart.
        cache_s: How long it is remembered.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        fetch: Fetch | None,
        *,
        max_count: int = 16,
        max_bytes: int = 20 * 1024 * 1024,
        cache_bytes: int = 64 * 1024 * 1024,
        cache_s: float = 300.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.fetch = fetch
        self.max_count = max_count
        self.max_bytes = max_bytes
        self.cache = _Cache(cache_bytes, cache_s, clock)

    def check(self, items: Sequence[Item], *, input_start: int) -> None:
        """
        Look at a context before its turn begins.

        Raises:
            UnsupportedParameter: There is a URL in it, and they are refused.
        """
        if self.fetch is not None:
            return
        for place in _places(items):
            param, subject = _where(items, place, input_start)
            text = "URLs of content are not taken here: send the content itself, as a data: URL or as 'file_data'."
            raise UnsupportedParameter(subject + text, param=param)

    def of_turn(self, tenant: TenantId) -> RemoteOfTurn:
        """What fetches for one turn, with limits of its own."""
        return RemoteOfTurn(self, tenant)

    async def close(self) -> None:
        """Close connections, and forget what was fetched."""
        self.cache.clear()
        if self.fetch is not None:
            await self.fetch.close()


class RemoteOfTurn:
    """What one turn has fetched; a URL that is asked for again, or stands in the context twice, is fetched once."""

    def __init__(self, contents: RemoteContents, tenant: TenantId) -> None:
        self._contents = contents
        self._tenant = tenant
        self._budget = ByteBudget(contents.max_bytes)
        self._data: dict[tuple[RemoteKind, str], str] = {}

    async def as_data(self, items: Sequence[Item], *, input_start: int) -> tuple[Item, ...]:
        """
        The same items with data in the place of URLs.

        Args:
            input_start: See :class:`~antiphon.hub.turn.ModelCall`; it names the place of a URL that is at fault.

        Raises:
            InvalidRequest: One of them cannot be had, or they are too many.
        """
        fetch = self._contents.fetch
        places = list(_places(items))
        if fetch is None or not places:
            return tuple(items)
        missing: dict[tuple[RemoteKind, str], _Place] = {}
        for place in places:
            key = place.kind, place.url
            if key not in self._data:
                missing.setdefault(key, place)
            if len(self._data) + len(missing) > self._contents.max_count:
                raise _fault(items, place, input_start, "too_large")
        await self._fetch_all(fetch, items, missing, input_start)
        touched = {place.item for place in places}
        return tuple(self._item(item) if index in touched else item for index, item in enumerate(items))

    async def _fetch_all(
        self, fetch: Fetch, items: Sequence[Item], missing: dict[tuple[RemoteKind, str], _Place], input_start: int
    ) -> None:
        outcomes = await asyncio.gather(*(self._get(fetch, *key) for key in missing), return_exceptions=True)
        for (key, place), outcome in zip(missing.items(), outcomes, strict=True):
            if isinstance(outcome, Unfetchable):
                raise _fault(items, place, input_start, outcome.reason) from None
            if isinstance(outcome, BaseException):
                raise outcome
            self._data[key] = outcome

    async def _get(self, fetch: Fetch, kind: RemoteKind, url: str) -> str:
        cache, key = self._contents.cache, (self._tenant, kind, url)
        content = cache.get(key)
        if content is None:
            content = await fetch(url, kind, self._budget)
            cache.put(key, content)
        else:
            self._budget.spend(len(content.data))
        if len(content.data) < _ENCODE_IN_THREAD_BYTES:
            return _data_url(content)
        return await asyncio.to_thread(_data_url, content)  # would hold the event loop for milliseconds

    def _item(self, item: Item) -> Item:
        body = dict(item.body)
        for holder in _HOLDERS:
            held = body.get(holder)
            if isinstance(held, list):
                body[holder] = [self._part(part) for part in held]
            elif isinstance(held, dict):
                body[holder] = self._part(held)
        return msgspec.structs.replace(item, body=body)

    def _part(self, part: Any) -> Any:
        remote = _remote(part)
        if remote is None:
            return part
        field, kind, url = remote
        data = self._data[kind, url]
        if kind == "image":
            return {**part, field: data}
        named = {name: value for name, value in part.items() if name != field}
        return {"filename": _file_name(url), **named, "file_data": data}


_Key = tuple[TenantId, RemoteKind, str]


class _Cache:
    """The contents that were fetched last. By tenant: nobody can tell by the time what others have asked for."""

    def __init__(self, limit_bytes: int, keep_s: float, clock: Callable[[], float]) -> None:
        self._limit_bytes = limit_bytes
        self._keep_s = keep_s
        self._clock = clock
        self._kept: OrderedDict[_Key, tuple[float, RemoteContent]] = OrderedDict()
        self.size_bytes = 0

    def get(self, key: _Key) -> RemoteContent | None:
        self._drop_old()
        kept = self._kept.get(key)
        return None if kept is None else kept[1]

    def put(self, key: _Key, content: RemoteContent) -> None:
        if len(content.data) > self._limit_bytes // 4:
            return  # it would crowd out everything else
        if key in self._kept:
            self._drop(key)
        self._kept[key] = self._clock() + self._keep_s, content
        self.size_bytes += len(content.data)
        while self.size_bytes > self._limit_bytes:
            self._drop(next(iter(self._kept)))

    def clear(self) -> None:
        self._kept.clear()
        self.size_bytes = 0

    def _drop_old(self) -> None:
        now = self._clock()
        while self._kept and (key := next(iter(self._kept))) and self._kept[key][0] <= now:
            self._drop(key)

    def _drop(self, key: _Key) -> None:
        self.size_bytes -= len(self._kept.pop(key)[1].data)


def _places(items: Sequence[Item]) -> Iterator[_Place]:
    """Every URL in *items* that is not data itself."""
    for index, item in enumerate(items):
        for holder in _HOLDERS:
            held = item.body.get(holder)
            if isinstance(held, dict):
                yield from _place(held, index, holder)
            elif isinstance(held, list):
                for number, part in enumerate(held):
                    yield from _place(part, index, f"{holder}[{number}]")


def _place(part: Any, index: int, path: str) -> Iterator[_Place]:
    remote = _remote(part)
    if remote is not None:
        field, kind, url = remote
        yield _Place(item=index, path=f"{path}.{field}", kind=kind, url=url)


def _remote(part: Any) -> tuple[str, RemoteKind, str] | None:
    """The field, kind and URL of a part that names its content by one."""
    if not isinstance(part, dict):
        return None
    found = _FIELDS.get(part.get("type", ""))
    url = part.get(found[0]) if found is not None else None
    if found is None or not isinstance(url, str) or url[:5].lower() == "data:":
        return None
    return found[0], found[1], url


def _data_url(content: RemoteContent) -> str:
    return f"data:{content.media_type};base64,{base64.b64encode(content.data).decode()}"


def _file_name(url: str) -> str:
    """A name for a file that has none: the last word of its URL's path."""
    path = url.partition("#")[0].partition("?")[0].partition("://")[2].partition("/")[2]
    return path.rpartition("/")[2][:255] or "file"


def _fault(items: Sequence[Item], place: _Place, input_start: int, reason: _Reason) -> InvalidRequest:
    code, text = _MESSAGES[place.kind, reason]
    param, subject = _where(items, place, input_start)
    return InvalidRequest(subject + text, param=param, code=code)


def _where(items: Sequence[Item], place: _Place, input_start: int) -> tuple[str, str]:
    """
    How a client is told of a URL: the field, and what a message begins with.

    One of the request's own input is named by its place there, one of the history by its item's id.
    """
    if place.item < input_start:
        return "input", f"Item '{items[place.item].id}' of the history: "
    return f"input[{place.item - input_start}].{place.path}", ""


def of_turn(contents: RemoteContents | None, tenant: TenantId) -> RemoteOfTurn | None:
    """What fetches for a turn; None where URLs are not this gateway's business."""
    return None if contents is None else contents.of_turn(tenant)
