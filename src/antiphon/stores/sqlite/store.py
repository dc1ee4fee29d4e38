"""
A session store in one SQLite file.

Any number of event loops' tasks write through one thread that groups what waits into one transaction; reads go
through connections of their own on the event loop's thread, where a short one costs less than a thread hop. Other
processes may open the same file.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Lock

import apsw

from antiphon.hub.errors import StoreUnavailable
from antiphon.hub.ids import TenantId
from antiphon.sessions.records import Claim
from antiphon.sessions.work import Delivery, Pending
from antiphon.stores.sqlite import queries, work, work_queries
from antiphon.stores.sqlite.access import Connections
from antiphon.stores.sqlite.checking import problems_of
from antiphon.stores.sqlite.checkpointer import Checkpointer
from antiphon.stores.sqlite.connection import connect, translated
from antiphon.stores.sqlite.erasing import settle
from antiphon.stores.sqlite.readers import Readers
from antiphon.stores.sqlite.rows import rows_of
from antiphon.stores.sqlite.schema import CURRENT, Schema, prepare
from antiphon.stores.sqlite.tenant import SQLiteTenantStore
from antiphon.stores.sqlite.terms import drop_terms
from antiphon.stores.sqlite.writer import Writer

__all__ = ["SQLiteSessionStore"]

# How long a read waits for another process on the event loop's thread. In WAL mode readers wait only while another
# process recovers or truncates the log.
_READ_BUSY_TIMEOUT_MS = 250


class SQLiteSessionStore:
    """
    A :class:`~antiphon.sessions.store.SessionStore` in one file.

    Args:
        path: The file; it is created when missing. Must be on a local disk.
        clock: Seconds since the epoch, UTC.
        random_bytes: Source of log ids and salts.
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
        self._connections: Connections | None = None
        self._write_connection: apsw.Connection | None = None
        self._checkpointer: Checkpointer | None = None

    async def open(self) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self._open_for_one_more)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self._close_for_one)

    async def ping(self) -> None:
        with self._open_connections().readers.connection() as connection:
            connection.execute("SELECT count(*) FROM tenants WHERE tenant = ''").fetchall()

    def for_tenant(self, tenant: TenantId) -> SQLiteTenantStore:
        return SQLiteTenantStore(tenant, self._open_connections, clock=self._clock, random_bytes=self._random_bytes)

    async def sweep(self, limit: int = 500) -> int:
        return await self._open_connections().writer.run(partial(_sweep, now_s=int(self._clock()), limit=limit))

    async def renew_claims(self, holder: str, ttl_s: float) -> list[tuple[TenantId, str]]:
        job = partial(work.renew_claims, holder=holder, ttl_s=ttl_s, now_s=self._clock())
        return await self._open_connections().writer.run(job)

    async def take_over(self, holder: str, ttl_s: float, limit: int) -> list[tuple[TenantId, Pending, Claim]]:
        job = partial(work.take_over, holder=holder, ttl_s=ttl_s, limit=limit, now_s=self._clock())
        return await self._open_connections().writer.run(job)

    async def take_deliveries(self, limit: int, *, ttl_s: float) -> list[tuple[TenantId, Delivery]]:
        job = partial(work.take_deliveries, limit=limit, ttl_s=ttl_s, now_s=self._clock())
        return await self._open_connections().writer.run(job)

    async def check(self) -> list[str]:
        self._open_connections()
        return await asyncio.get_running_loop().run_in_executor(None, self._check)

    async def checkpoint(self) -> bool:
        """
        Move everything from the write-ahead log into the file and empty the log, so that nothing erased is left in it.

        Returns:
            False if somebody was reading or writing meanwhile; try again.
        """
        self._open_connections()
        return await asyncio.get_running_loop().run_in_executor(None, self._checkpoint)

    def _open_connections(self) -> Connections:
        if self._connections is None:
            raise StoreUnavailable("The session store is not open.")
        if _identity_of(self._path_text) != self._identity:
            # What is written now would be gone with the process, and nobody else could read it.
            raise StoreUnavailable("The store's file was deleted or replaced while it was open. Restart the gateway.")
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
        write_connection = self._connect()
        try:
            with translated():
                prepare(write_connection, self._schema)
        except BaseException:
            write_connection.close()
            raise
        self._identity = _identity_of(self._path_text)
        checkpointer = Checkpointer(self._connect())
        write_connection.set_wal_hook(checkpointer.on_commit)
        self._checkpointer = checkpointer
        self._write_connection = write_connection
        self._connections = Connections(
            readers=Readers(partial(self._connect, read_only=True)), writer=Writer(write_connection)
        )

    def _close(self, connections: Connections) -> None:
        connections.writer.close()
        connections.readers.close()
        if self._checkpointer is not None:
            self._checkpointer.close()
        if self._write_connection is not None:
            # Another process may be reading; then the log is left to it, or to whoever opens the file next.
            with suppress(apsw.BusyError):
                self._write_connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            self._write_connection.close()
        self._checkpointer = self._write_connection = None

    def _check(self) -> list[str]:
        connection = self._connect(read_only=True)
        try:
            with translated():
                return problems_of(connection)
        finally:
            connection.close()

    def _checkpoint(self) -> bool:
        connection = self._connect()
        try:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.BusyError:
            return False
        finally:
            connection.close()
        return True


def _identity_of(path: str) -> tuple[int, int] | None:
    """Which file it is, whatever its name; None if there is none. A microsecond on a local disk."""
    try:
        found = os.stat(path)  # noqa: PTH116 - Path.stat takes twice as long, and every operation asks
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _sweep(connection: apsw.Connection, *, now_s: int, limit: int) -> int:
    expired = rows_of(connection, queries.READ_EXPIRED, now_s, limit)
    for tenant, response_id in expired:
        logs = rows_of(connection, queries.DROP_RESPONSE, tenant, response_id)
        connection.execute(work_queries.DROP_DELIVERIES, (tenant, response_id))
        drop_terms(connection, tenant, "response", response_id)
        settle(connection, tenant, [log for (log,) in logs])
    return len(expired) + work.drop_expired_keys(connection, now_s=now_s, limit=limit - len(expired))
