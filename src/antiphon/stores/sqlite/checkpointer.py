"""
Moves committed pages from the write-ahead log into the file, in a thread and a connection of its own.

SQLite's automatic checkpoint runs inside a commit and stalls it for 40-55 ms; a passive one beside it stalls nobody.

What is erased is overwritten in the file, and stays in the log until that is written over. So that no content and no
destroyed key outlives its erasure there, the log is emptied some time after it was written to, however little is in it.
"""

from __future__ import annotations

import math
import time
from threading import Event, Thread

import apsw

__all__ = ["EMPTY_AFTER_S", "THRESHOLD_PAGES", "Checkpointer"]

THRESHOLD_PAGES = 1000

# So long after something was written the log is emptied: what was erased is in no file any more.
EMPTY_AFTER_S = 30.0

# If somebody is reading an older state, it is tried again; writers wait no longer than this for each try.
_RETRY_AFTER_S = 5.0
_LONGEST_STALL_MS = 100

# Under steady load a passive checkpoint never finds the log quiet, so it would grow for ever. From this many thresholds
# on, writers are held for the few pages that a passive checkpoint has just left over; then the log begins anew.
_RESTART_AT = 16


class Checkpointer:
    """
    Checkpoints on *connection*, which nobody else uses, when :meth:`on_commit` has seen enough new pages.

    Args:
        threshold_pages: How many pages may wait in the write-ahead log.
        empty_after_s: How long anything may stay in it.
        retry_after_s: When that is tried again, if somebody was reading.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        *,
        threshold_pages: int = THRESHOLD_PAGES,
        empty_after_s: float = EMPTY_AFTER_S,
        retry_after_s: float = _RETRY_AFTER_S,
    ) -> None:
        connection.set_busy_timeout(_LONGEST_STALL_MS)
        self._connection = connection
        self._threshold_pages = threshold_pages
        self._empty_after_s = empty_after_s
        self._retry_after_s = retry_after_s
        self._due = Event()
        self._closed = False
        self._holds_something = False  # since it was emptied
        self._empty_at_s = math.inf
        self._pages = 0  # in the log, as of the last commit
        self._moved = 0  # of these, checkpointed already
        self._thread = Thread(target=self._serve, name="antiphon-sqlite-checkpointer", daemon=True)
        self._thread.start()

    def on_commit(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        """The writer's wal hook: *pages* are in the write-ahead log."""
        if pages < self._moved:
            self._moved = 0  # the log has begun anew
        self._pages = pages
        if not self._holds_something or pages - self._moved > self._threshold_pages:
            self._holds_something = True
            self._due.set()
        return apsw.SQLITE_OK

    def close(self) -> None:
        """End the thread. Blocks."""
        self._closed = True
        self._due.set()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            self._due.wait(None if self._empty_at_s == math.inf else max(self._empty_at_s - time.monotonic(), 0))
            self._due.clear()
            if self._closed:
                return
            try:
                self._checkpoint()
            except apsw.Error:
                # Nothing is lost: the pages stay in the write-ahead log, and the next commit calls again. What ails
                # the disk is reported by that commit.
                self._empty_at_s = max(self._empty_at_s, time.monotonic() + self._retry_after_s)

    def _checkpoint(self) -> None:
        if self._holds_something and self._empty_at_s == math.inf:
            self._empty_at_s = time.monotonic() + self._empty_after_s
        if self._pages - self._moved > self._threshold_pages:
            _, self._moved = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            if self._pages > _RESTART_AT * self._threshold_pages:
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
        if time.monotonic() >= self._empty_at_s:
            self._empty()

    def _empty(self) -> None:
        """Move everything into the file, most of it while others write, and cut the log off."""
        self._holds_something = False  # what is written from now on is cut off another time
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.Error:
            self._holds_something = True
            raise
        self._empty_at_s = math.inf
