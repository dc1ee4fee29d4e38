"""
Connections for reading.

A read that yields to the event loop keeps its snapshot; another read on the same connection would get that old
snapshot and miss what was committed since. So whoever reads has a connection alone, and a few are kept at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import apsw

from antiphon.hub.errors import StoreUnavailable
from antiphon.stores.sqlite.connection import snapshot, translated

__all__ = ["Readers"]

_KEPT = 4


class Readers:
    """
    Hands out connections that only read.

    Args:
        connect: Opens one more.
    """

    def __init__(self, connect: Callable[[], apsw.Connection]) -> None:
        self._connect = connect
        self._idle = [connect()]
        self._closed = False

    @contextmanager
    def connection(self) -> Iterator[apsw.Connection]:
        """
        A connection for one read. SQLite's errors come out as ours.

        Raises:
            StoreUnavailable: The store is closed, or the file cannot be read.
        """
        if self._closed:
            raise StoreUnavailable("The session store is not open.")
        with translated():
            connection = self._idle.pop() if self._idle else self._connect()
            try:
                yield connection
            finally:
                self._give_back(connection)

    @contextmanager
    def snapshot(self) -> Iterator[apsw.Connection]:
        """A connection whose statements all see the same state."""
        with self.connection() as connection, snapshot(connection):
            yield connection

    def close(self) -> None:
        """Close the idle connections now, the others when they come back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _give_back(self, connection: apsw.Connection) -> None:
        if self._closed or len(self._idle) >= _KEPT:
            connection.close()
        else:
            self._idle.append(connection)
