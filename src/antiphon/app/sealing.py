"""What stores are, what their payloads are sealed with, and who administers them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal
from weakref import WeakKeyDictionary

from antiphon.crypto.codec import SealingCodec, UnsealedCodec
from antiphon.crypto.resealing import seal_plain
from antiphon.crypto.rotation import rotate_root, rotate_tenant
from antiphon.crypto.services import EphemeralKeys, KeyFile, KeyService, open_service
from antiphon.crypto.verification import verify
from antiphon.engine.administration import Administration, RotatedRoot
from antiphon.engine.audit import AuditTrail
from antiphon.hub.errors import InvalidRequest
from antiphon.hub.ids import TenantId
from antiphon.sessions.sessions import Sessions
from antiphon.sessions.store import SessionStore
from antiphon.settings import (
    Settings,
)
from antiphon.stores.memory import InMemorySessionStore
from antiphon.stores.sqlite import SQLiteSessionStore
from antiphon.telemetry import Log

__all__ = ["StoreSealing", "administration_of", "codec_of", "key_service", "open_store", "seal_store"]

# The keys of a store in memory live as long as the store does: several gateways may share one.
_KEYS_IN_MEMORY: Final[WeakKeyDictionary[InMemorySessionStore, KeyService]] = WeakKeyDictionary()


def open_store(url: str) -> SessionStore:
    """
    The session store that a URL names, not opened yet: ``memory:`` or ``sqlite:///path``.

    Raises:
        ValueError: It names none.
    """
    if url == "memory:":
        return InMemorySessionStore()
    scheme, _, path = url.partition(":///")
    if scheme == "sqlite" and path:
        return SQLiteSessionStore(Path(path).expanduser())
    raise ValueError(f"unknown store '{url}'; known: memory: and sqlite:///path")


def codec_of(
    store: SessionStore,
    sealing: KeyService | Literal["none"] | None,
    *,
    clock: Callable[[], float] = time.time,
    log: Log | None = None,
) -> SealingCodec | UnsealedCodec:
    """
    What a store's payloads are written and read with.

    Args:
        sealing: As of :class:`Gateway`.

    Raises:
        ValueError: It cannot be told what the store is to be sealed with.
    """
    if sealing == "none":
        return UnsealedCodec(store)
    service = sealing or _service_beside(store)
    return SealingCodec(store, service, clock, log=log)


def _service_beside(store: SessionStore) -> KeyService:
    if isinstance(store, SQLiteSessionStore):
        return open_service(None, store.path)
    if isinstance(store, InMemorySessionStore):
        return _KEYS_IN_MEMORY.setdefault(store, EphemeralKeys())
    # A key that dies with the process would make what a store of somebody else's keeps unreadable.
    raise ValueError("say what this store is sealed with: sealing=KeyFile(path), another key service, or 'none'")


def key_service(settings: Settings) -> KeyService | Literal["none"] | None:
    """
    The key service that settings name, as :class:`Gateway` takes it.

    Raises:
        ValueError: They name none that there is.
    """
    key = settings.sealing.key
    if key == "none":
        return "none"
    return None if key is None else open_service(key, None)


async def seal_store(store: SessionStore, service: KeyService | None, *, progress: Callable[[str], None]) -> str | None:
    """
    Seal what is in the clear in an open store, and rewrite its file so that nothing of it is left.

    Returns:
        What the operator has to know about a root key that was made; None if none was.

    Raises:
        KeysUnavailable: The key service does not serve.
        StoreUnavailable: Another process is using the store.
    """
    codec = SealingCodec(store, service or _service_beside(store), time.time, takes_plain=True)
    await codec.open()
    await seal_plain(store, codec, progress=progress)
    return codec.notice


class StoreSealing:
    """
    The keys of a store, and what can be done with them; a :class:`~antiphon.engine.administration.Sealing`.

    Args:
        store: Open, as is *codec*.
    """

    def __init__(self, store: SessionStore, codec: SealingCodec | UnsealedCodec) -> None:
        self._store = store
        self._codec = codec

    @property
    def shortest_rotation_s(self) -> float:
        """How long a tenant's key takes to be changed at least: every process has to know each step before the next."""
        return 4 * self._sealed().lifetimes.settle_s

    async def rotate_tenant(self, tenant: TenantId) -> None:
        await rotate_tenant(self._store, self._sealed(), tenant)

    async def rotate_root(self) -> RotatedRoot:
        service = self._sealed().service
        is_new = isinstance(service, KeyFile)
        if isinstance(service, KeyFile):
            await service.add()
        count = await rotate_root(self._store, service)
        return RotatedRoot(ref=service.ref, place=service.place, is_new=is_new, count=count)

    async def verify(self) -> list[str]:
        """
        Open everything that is stored. One line for each problem; empty if there is none.

        Raises:
            InvalidRequest: Nothing in this store is sealed.
        """
        return await verify(self._store, self._sealed())

    def _sealed(self) -> SealingCodec:
        if isinstance(self._codec, UnsealedCodec):
            raise InvalidRequest("Nothing in this store is sealed (sealing.key is 'none').")
        return self._codec


def administration_of(
    sessions: Sessions, codec: SealingCodec | UnsealedCodec, *, clock: Callable[[], float] = time.time, log: Log
) -> Administration:
    """The use cases of administrators, on sessions that somebody else opens and closes."""
    return Administration(
        sessions,
        trail=AuditTrail(sessions, clock=clock, log=log),
        clock=clock,
        sealing=StoreSealing(sessions.store, codec),
        log=log,
    )
