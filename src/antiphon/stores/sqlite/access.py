"""How operations reach the file: reads on the event loop's thread, writes through the writer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

import apsw
import msgspec

from antiphon.hub.ids import TenantId
from antiphon.stores.sqlite.library_writing import LibraryWriting
from antiphon.stores.sqlite.readers import Readers
from antiphon.stores.sqlite.rows import Row, rows_of
from antiphon.stores.sqlite.writer import Writer

__all__ = ["Connections", "StoreAccess", "TenantAccess"]

T = TypeVar("T")


class Connections(msgspec.Struct, frozen=True):
    """What an open store reads and writes with."""

    readers: Readers
    writer: Writer


class TenantAccess:
    """
    The root of a tenant's store: its parts add the operations.

    Args:
        connections: Gives what the store has open now, or raises StoreUnavailable.
    """

    def __init__(
        self,
        tenant: TenantId,
        connections: Callable[[], Connections],
        *,
        clock: Callable[[], float],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._tenant = tenant
        self._connections = connections
        self._clock = clock
        self._random_bytes = random_bytes

    async def _write(self, work: Callable[[LibraryWriting], T]) -> T:
        def job(connection: apsw.Connection) -> T:
            return work(LibraryWriting(connection, self._tenant, now_s=self._clock(), random_bytes=self._random_bytes))

        return await self._run(job)

    async def _run(self, job: Callable[[apsw.Connection], T]) -> T:
        return await self._connections().writer.run(job)

    def _read_all(self, statement: str, *parameters: object) -> list[Row]:
        with self._connections().readers.connection() as connection:
            return rows_of(connection, statement, self._tenant, *parameters)

    def _read_one(self, statement: str, *parameters: object) -> Row | None:
        rows = self._read_all(statement, *parameters)
        return rows[0] if rows else None


class StoreAccess(ABC):
    """The root of the store: its parts add the operations on all tenants."""

    @abstractmethod
    def _open_connections(self) -> Connections:
        """
        What the store has open now.

        Raises:
            StoreUnavailable: It is not open.
        """

    async def _run(self, job: Callable[[apsw.Connection], T]) -> T:
        return await self._open_connections().writer.run(job)

    def _read_all(self, statement: str, *parameters: object) -> list[Row]:
        with self._open_connections().readers.connection() as connection:
            return rows_of(connection, statement, *parameters)
