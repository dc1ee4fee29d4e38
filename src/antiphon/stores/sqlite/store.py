"""
A session store in one SQLite file.

Any number of event loops' tasks write through one thread that groups what waits into one transaction; reads go
through connections of their own on the event loop's thread, where a short one costs less than a thread hop. Other
processes may open the same file.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TypeVar

import apsw

from antiphon.hub.errors import StoreUnavailable
from antiphon.hub.ids import TenantId
from antiphon.sessions.directory import Erasure
from antiphon.sessions.records import Claim
from antiphon.sessions.store import Swept
from antiphon.sessions.vault import RootKeyUse
from antiphon.sessions.work import Delivery, Pending
from antiphon.stores.sqlite import upkeep, work
from antiphon.stores.sqlite.access import Connections
from antiphon.stores.sqlite.checking import problems_of
from antiphon.stores.sqlite.checkpointer import Checkpointer
from antiphon.stores.sqlite.connection import connect, translated
from antiphon.stores.sqlite.library_writing import LibraryWriting
from antiphon.stores.sqlite.readers import Readers
from antiphon.stores.sqlite.schema import CURRENT, Schema, prepare
from antiphon.stores.sqlite.store_directory import StoreDirectory
from antiphon.stores.sqlite.sweeping import Begin, erase_tenant, sweep
from antiphon.stores.sqlite.tenant import SQLiteTenantStore
from antiphon.stores.sqlite.writer import Writer

__all__ = ["SQLiteSessionStore"]

T = TypeVar("T")

# How long a read waits for another process on the event loop's thread. In WAL mode readers wait only while another
# process recovers or truncates the log.
_READ_BUSY_TIMEOUT_MS = 250

# How often it is looked whether the file is still there: what is written a moment before it goes is lost either way.
_LOOK_EVERY_S = 0.02


class SQLiteSessionStore(StoreDirectory):
    """
    A :class:`~antiphon.sessions.store.SessionStore` in one file.

    Args:
        path: The file; it is created when missing. Must be on a local disk.
        clock: Seconds since the epoch, UTC.
        random_bytes: Source of log ids.
        busy_timeout_s: How long a write waits for another process that writes.
        schema: For tests of migrations.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        clock: Callable[[], float] = time.time,
        random_bytes: Callable[[int], bytes] = os.urandom,
        busy_timeout_s: float = 5.0,
        schema: Schema = CURRENT,
    ) -> None:
        self._path = Path(path).absolute()  # the process may go to another directory
        self._path_text = str(self._path)
        self._clock = clock
        self._random_bytes = random_bytes
        self._busy_timeout_ms = int(busy_timeout_s * 1000)
        self._schema = schema
        self._users = 0
        self._opening = Lock()  # two gateways may open or close the store at once, in threads of the executor
        self._identity: tuple[int, int] | None = None
        self._looked_at_s = -math.inf
        self._connections: Connections | None = None
        self._checkpointer: Checkpointer | None = None

    @property
    def path(self) -> Path:
        """Where the file is, whatever folder the process goes to."""
        return self._path

    async def open(self) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self._open_for_one_more)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self._close_for_one)

    async def ping(self) -> None:
        if self._open_connections().writer.is_failing:
            await self._run(lambda _: None)  # looks whether it still is
        with self._open_connections().readers.connection() as connection:
            connection.execute("SELECT count(*) FROM tenants WHERE tenant = ''").fetchall()

    def for_tenant(self, tenant: TenantId) -> SQLiteTenantStore:
        return SQLiteTenantStore(tenant, self._open_connections, clock=self._clock, random_bytes=self._random_bytes)

    async def sweep(self, limit: int = 500, *, dry_run: bool = False) -> Swept:
        now_s = int(self._clock())
        return await self._run(
            lambda connection: sweep(connection, self._begin(connection), now_s=now_s, limit=limit, dry_run=dry_run)
        )

    async def erase_tenant(self, tenant: TenantId, *, limit: int = 500) -> tuple[Erasure, bool]:
        return await self._run(
            lambda connection: erase_tenant(connection, self._begin(connection), tenant, limit=limit)
        )

    async def renew_claims(self, holder: str, ttl_s: float) -> list[tuple[TenantId, str]]:
        job = partial(work.renew_claims, holder=holder, ttl_s=ttl_s, now_s=self._clock())
        return await self._open_connections().writer.run(job)

    async def take_over(self, holder: str, ttl_s: float, limit: int) -> list[tuple[TenantId, Pending, Claim]]:
        job = partial(work.take_over, holder=holder, ttl_s=ttl_s, limit=limit, now_s=self._clock())
        return await self._open_connections().writer.run(job)

    async def take_deliveries(self, limit: int, *, ttl_s: float) -> list[tuple[TenantId, Delivery]]:
        job = partial(work.take_deliveries, limit=limit, ttl_s=ttl_s, now_s=self._clock())
        return await self._open_connections().writer.run(job)

    # The whole file.

    async def check(self) -> list[str]:
        return await self._beside(problems_of)

    async def list_tenants_with_data(self) -> tuple[TenantId, ...]:
        return await self._beside(upkeep.tenants_with_data)

    async def root_keys_in_use(self) -> tuple[RootKeyUse, ...]:
        return await self._beside(upkeep.root_keys_in_use)

    async def has_plain_payloads(self) -> bool:
        return await self._beside(upkeep.has_plain_payloads)

    async def backup(self, path: str) -> None:
        await self._beside(partial(upkeep.back_up, path=path))

    async def compact(self, *, progress: Callable[[str], None] | None = None) -> None:
        await self._beside(partial(upkeep.compact, progress=progress), read_only=False)

    async def checkpoint(self) -> bool:
        """
        Move everything from the write-ahead log into the file and empty the log, so that nothing erased is left in it.

        Returns:
            False if somebody was reading or writing meanwhile; try again.
        """
        return await self._beside(_checkpoint, read_only=False)

    async def _beside(self, work: Callable[[apsw.Connection], T], *, read_only: bool = True) -> T:
        """Do what takes long on a connection of its own, in a thread."""
        self._open_connections()
        return await asyncio.get_running_loop().run_in_executor(None, self._work_beside, work, read_only)

    def _work_beside(self, work: Callable[[apsw.Connection], T], read_only: bool) -> T:  # noqa: FBT001 - an executor passes no names
        connection = self._connect(read_only=read_only)
        try:
            with translated():
                return work(connection)
        finally:
            connection.close()

    def _begin(self, connection: apsw.Connection) -> Begin:
        """What writes for a tenant in the present transaction."""
        return lambda tenant: LibraryWriting(connection, tenant, now_s=self._clock(), random_bytes=self._random_bytes)

    def _open_connections(self) -> Connections:
        if self._connections is None:
            raise StoreUnavailable("The session store is not open.")
        now_s = time.monotonic()
        if now_s >= self._looked_at_s + _LOOK_EVERY_S:
            if _identity_of(self._path_text) != self._identity:
                # What is written now would be gone with the process, and nobody else could read it.
                raise StoreUnavailable(
                    "The store's file was deleted or replaced while it was open. Restart the gateway."
                )
            self._looked_at_s = now_s
        return self._connections

    def _connect(self, *, read_only: bool = False) -> apsw.Connection:
        timeout_ms = _READ_BUSY_TIMEOUT_MS if read_only else self._busy_timeout_ms
        return connect(self._path, busy_timeout_ms=timeout_ms, read_only=read_only)

    def _open_for_one_more(self) -> None:
        with self._opening:
            if self._connections is None:
                self._open()
            self._users += 1

    def _close_for_one(self) -> None:
        with self._opening:
            self._users = max(self._users - 1, 0)
            connections = self._connections
            if self._users == 0 and connections is not None:
                self._connections = None
                self._close(connections)

    def _open(self) -> None:
        connection = self._connect()
        try:
            with translated():
                prepare(connection, self._schema)
        finally:
            connection.close()
        self._identity = _identity_of(self._path_text)
        self._looked_at_s = -math.inf
        self._checkpointer = checkpointer = Checkpointer(self._connect())

        def connect_to_write() -> apsw.Connection:
            connection = self._connect()
            connection.set_wal_hook(checkpointer.on_commit)
            return connection

        self._connections = Connections(
            readers=Readers(partial(self._connect, read_only=True)), writer=Writer(connect_to_write)
        )

    def _close(self, connections: Connections) -> None:
        connections.readers.close()
        if self._checkpointer is not None:
            self._checkpointer.close()
        self._checkpointer = None
        connections.writer.close()


def _checkpoint(connection: apsw.Connection) -> bool:
    try:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except apsw.BusyError:
        return False
    return True


def _identity_of(path: str) -> tuple[int, int] | None:
    """Which file it is, whatever its name; None if there is none. A microsecond on a local disk."""
    try:
        found = os.stat(path)  # noqa: PTH116 - Path.stat takes twice as long, and every operation asks
    except OSError:
        return None
    return found.st_dev, found.st_ino
