"""
What requests ask of the store about tenants and API keys, held for half a second.

So whoever is revoked, suspended or limited anew is so within a second, in every process, and a busy key costs two
statements a second instead of two a request. What the store does not have is held too, apart and in small number:
guessing ids neither reaches the store twice nor crowds out who is known.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from antiphon.hub.errors import AntiphonError
from antiphon.hub.ids import TenantId
from antiphon.sessions.directory import ApiKeyRecord, TenantRecord
from antiphon.telemetry import Log

__all__ = ["DirectoryCache", "DirectoryReader"]

V = TypeVar("V")

_MAX_KNOWN = 10_000
_MAX_UNKNOWN = 1_000
_NOTE_EVERY_S = 60.0


class DirectoryReader(Protocol):
    """What is needed of a :class:`~antiphon.sessions.directory.Directory`."""

    async def read_tenant(self, tenant: TenantId) -> TenantRecord | None:
        """See :class:`~antiphon.sessions.directory.Directory`."""
        ...

    async def read_api_key(self, key_id: str) -> ApiKeyRecord | None:
        """See :class:`~antiphon.sessions.directory.Directory`."""
        ...

    async def list_api_keys(self, tenant: TenantId | None = None) -> tuple[ApiKeyRecord, ...]:
        """See :class:`~antiphon.sessions.directory.Directory`."""
        ...

    async def note_api_key_use(self, used_at: Mapping[str, int]) -> None:
        """See :class:`~antiphon.sessions.directory.Directory`."""
        ...


class DirectoryCache:
    """
    Args:
        has_made_keys: Whether there ever was an API key, asked where there is none now. None looks at those alone that
            there are.
        ready: Awaited before the store is asked: opens it, where nobody else has.
        clock: Seconds, monotonic.
        ttl_s: How long an answer is held, from the moment at which it was asked for.
        note_every_s: How often, at most, the store is told when keys were used.
    """

    def __init__(
        self,
        store: DirectoryReader,
        *,
        clock: Callable[[], float],
        has_made_keys: Callable[[], Awaitable[bool]] | None = None,
        ready: Callable[[], Awaitable[None]] | None = None,
        ttl_s: float = 0.5,
        note_every_s: float = _NOTE_EVERY_S,
        log: Log | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._log = log or Log()
        self._has_made_keys = has_made_keys
        self._ready = ready
        self._keys = _Held(self._read_key, clock, ttl_s)
        self._tenants = _Held(self._read_tenant, clock, ttl_s)
        self._any_keys = _Held(self._read_any_keys, clock, ttl_s)
        self._has_keys = False
        self._note_every_s = note_every_s
        self._noted_at = float("-inf")
        self._used: dict[str, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._noting: asyncio.Task[None] | None = None

    async def api_key(self, key_id: str) -> ApiKeyRecord | None:
        """
        An API key, as it was at most *ttl_s* ago; None if there is none.

        Raises:
            StoreUnavailable: It is not held and cannot be read: nobody is let in without a look.
        """
        return await self._keys.get(key_id)

    async def tenant(self, tenant: TenantId) -> TenantRecord | None:
        """A tenant, likewise."""
        return await self._tenants.get(tenant)

    async def has_api_keys(self) -> bool:
        """Whether there is, or was, any API key. One that is gone leaves nobody in whom it would have kept out."""
        if not self._has_keys:
            self._has_keys = await self._any_keys.get("") is not None
        return self._has_keys

    async def _read_key(self, key_id: str) -> ApiKeyRecord | None:
        await self._get_ready()
        return await self._store.read_api_key(key_id)

    async def _read_tenant(self, tenant: str) -> TenantRecord | None:
        await self._get_ready()
        return await self._store.read_tenant(TenantId(tenant))

    async def _read_any_keys(self, _: str) -> bool | None:
        await self._get_ready()
        if await self._store.list_api_keys():
            return True
        return (self._has_made_keys is not None and await self._has_made_keys()) or None

    async def _get_ready(self) -> None:
        if self._ready is not None:
            await self._ready()

    # Uses.

    def note_use(self, key_id: str, at_s: int) -> None:
        """
        A key was used, at *at_s* seconds since the epoch. The store is told soon, in a task of this object's own and
        for all keys at once.
        """
        self._used[key_id] = at_s
        if self._timer is None:
            wait_s = max(self._noted_at + self._note_every_s - self._clock(), 0.0)
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._begin_note)

    def _begin_note(self) -> None:
        self._noting = asyncio.get_running_loop().create_task(self._note(), name="antiphon-key-uses")

    async def _note(self) -> None:
        self._timer = None
        self._noted_at = self._clock()
        used, self._used = self._used, {}
        if not used:
            return
        try:
            await self._store.note_api_key_use(used)
        except AntiphonError as error:  # when a key was used last is worth a line, and no request
            self._log.warning("key_uses_not_noted", keys=len(used), error=error.message)

    async def close(self) -> None:
        """Tell the store what it has not been told yet. Call it before the store is closed."""
        if self._timer is not None:
            self._timer.cancel()
        if self._noting is not None:
            await asyncio.wait([self._noting])
        await self._note()


class _Held(Generic[V]):
    """Answers by id, each for a while. Whoever asks for what is being read waits for that."""

    def __init__(self, read: Callable[..., Awaitable[V | None]], clock: Callable[[], float], ttl_s: float) -> None:
        self._read = read
        self._clock = clock
        self._ttl_s = ttl_s
        self._known: OrderedDict[str, tuple[float, V]] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._reading: dict[str, asyncio.Task[V | None]] = {}

    async def get(self, name: str) -> V | None:
        now = self._clock()
        held = self._known.get(name)
        if held is not None and now < held[0]:
            return held[1]
        if now < self._unknown.get(name, now):
            return None
        reading = self._reading.get(name)
        if reading is None:
            reading = self._reading[name] = asyncio.get_running_loop().create_task(self._look(name, now))
            reading.add_done_callback(partial(self._looked, name))
        # The look goes on if whoever asked first leaves.
        return await asyncio.shield(reading)

    def _looked(self, name: str, reading: asyncio.Task[V | None]) -> None:
        del self._reading[name]
        if not reading.cancelled():
            reading.exception()  # retrieved: whoever asked may be gone

    async def _look(self, name: str, asked_at: float) -> V | None:
        value = await self._read(name)
        until = asked_at + self._ttl_s
        self._known.pop(name, None)
        self._unknown.pop(name, None)
        if value is not None:
            self._known[name] = (until, value)
            _drop_oldest(self._known, _MAX_KNOWN)
        else:
            self._unknown[name] = until
            _drop_oldest(self._unknown, _MAX_UNKNOWN)
        return value


def _drop_oldest(held: OrderedDict[str, Any], limit: int) -> None:
    while len(held) > limit:
        held.popitem(last=False)
