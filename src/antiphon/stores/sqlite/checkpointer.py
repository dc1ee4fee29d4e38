"""
Moves committed pages from the write-ahead log into the file, in a thread and a connection of its own.

SQLite's automatic checkpoint runs inside a commit and stalls it for 40-55 ms; a passive one beside it stalls nobody.
"""

from __future__ import annotations

from threading import Event, Thread

import apsw

__all__ = ["THRESHOLD_PAGES", "Checkpointer"]

THRESHOLD_PAGES = 1000

# Under steady load a passive checkpoint never finds the log quiet, so it would grow for ever. From this many thresholds
# on, writers are held for the few pages that a passive checkpoint has just left over; then the log begins anew.
_RESTART_AT = 16


class Checkpointer:
    """
    Checkpoints on *connection*, which nobody else uses, when :meth:`on_commit` has seen enough new pages.

    Args:
        threshold_pages: How many pages may wait in the write-ahead log.
    """

    def __init__(self, connection: apsw.Connection, *, threshold_pages: int = THRESHOLD_PAGES) -> None:
        self._connection = connection
        self._threshold_pages = threshold_pages
        self._due = Event()
        self._closed = False
        self._pages = 0  # in the log, as of the last commit
        self._moved = 0  # of these, checkpointed already
        self._thread = Thread(target=self._serve, name="antiphon-sqlite-checkpointer", daemon=True)
        self._thread.start()

    def on_commit(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        """The writer's wal hook: *pages* are in the write-ahead log."""
        if pages < self._moved:
            self._moved = 0  # the log has begun anew
        self._pages = pages
        if pages - self._moved > self._threshold_pages:
            self._due.set()
        return apsw.SQLITE_OK

    def close(self) -> None:
        """End the thread. Blocks."""
        self._closed = True
        self._due.set()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            self._due.wait()
            self._due.clear()
            if self._closed:
                return
            try:
                _, self._moved = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                if self._pages > _RESTART_AT * self._threshold_pages:
                    self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
            except apsw.Error:
                # Nothing is lost: the pages stay in the write-ahead log, and the next commit calls again. What ails
                # the disk is reported by that commit.
                continue
