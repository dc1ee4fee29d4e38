"""Opening a SQLite file the way this store needs it, and the one place where SQLite's errors become ours."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Final

import apsw
import apsw.sqlite_extra

from antiphon.hub.errors import AntiphonError, StoreConflict, StoreCorrupt, StoreUnavailable

__all__ = [
    "CHECKSUM_BYTES",
    "connect",
    "is_damage",
    "load_checksums",
    "open_file",
    "snapshot",
    "translate",
    "translated",
]

# Each page of a file ends with its checksum, which this file layer of SQLite's own writes and verifies.
VFS = "cksmvfs"
CHECKSUM_BYTES: Final = 8


def connect(path: Path, *, busy_timeout_ms: int, read_only: bool = False) -> apsw.Connection:
    """
    A connection with this store's settings.

    Every COMMIT is on the disk when it returns (synchronous FULL). A page that is not what was written is an error when
    it is read. Pages that lose content are overwritten (secure_delete). Nobody checkpoints inside a commit
    (wal_autocheckpoint 0): that stalls it for tens of milliseconds.

    Raises:
        StoreUnavailable: The file cannot be opened.
    """
    _create(path)
    with translated():
        connection = open_file(path)
        connection.set_busy_timeout(busy_timeout_ms)
        if not connection.pragma("page_count"):
            connection.reserve_bytes(reserve=CHECKSUM_BYTES)
        # Without it SQLite plans a statement anew for every value that is bound near a partial index: 400 µs for the
        # reading of a history instead of 11.
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "full")
        connection.pragma("secure_delete", "on")
        # So that REPLACE is a deletion to the triggers that keep the audit trail.
        connection.pragma("recursive_triggers", "on")
        # What a savepoint keeps to undo it stays out of the file system: it would be a copy of content in /var/tmp.
        connection.pragma("temp_store", "memory")
        connection.pragma("query_only", "on" if read_only else "off")
        connection.wal_autocheckpoint(0)
    return connection


def open_file(path: Path) -> apsw.Connection:
    """A bare connection to a file, whose pages have checksums."""
    load_checksums()
    return apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE, vfs=VFS)


@cache
def load_checksums() -> None:
    """
    Register :data:`VFS` in this process, where it stays. Files without checksums are read and written through it as
    they are.

    Raises:
        StoreUnavailable: apsw was built without it.
    """
    try:
        with closing(apsw.Connection(":memory:")) as connection:
            apsw.sqlite_extra.load(connection, "cksumvfs")
    except (apsw.sqlite_extra.NotAvailable, LookupError, OSError, apsw.Error) as error:
        raise StoreUnavailable(
            f"SQLite's page checksums cannot be loaded ({error}). This build of apsw lacks them; its wheels from PyPI "
            "have them: pip install --force-reinstall --only-binary apsw apsw"
        ) from error


@contextmanager
def snapshot(connection: apsw.Connection) -> Iterator[None]:
    """All statements see the same state."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:  # SQLite ends it by itself when a page cannot be read
            connection.execute("COMMIT")


def is_damage(error: BaseException) -> bool:
    """Whether a page is not what was written, which says nothing about the disk as it is now."""
    return isinstance(error, apsw.IOError) and getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_DATA


def _create(path: Path) -> None:
    """Make the file, if there is none, so that only its owner may read it; SQLite's files beside it take after it."""
    with suppress(OSError):  # it is there, or SQLite will say why it cannot be
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


@contextmanager
def translated() -> Iterator[None]:
    """Raise SQLite's errors as ours."""
    try:
        yield
    except (apsw.Error, UnicodeDecodeError) as error:
        raise translate(error) from error


def translate(error: apsw.Error | UnicodeDecodeError) -> AntiphonError:
    """What an error of SQLite means to a caller. Its text names tables and system calls, never content."""
    match error:
        case UnicodeDecodeError():
            return StoreCorrupt("The store's file is damaged (a text in it is none). Restore a backup.")
        case apsw.ConstraintError():
            return StoreConflict("An id is in use. Nothing was stored.")
        case apsw.CorruptError() | apsw.NotADBError() | apsw.FormatError():
            return StoreCorrupt(f"The store's file is damaged ({error}). Restore a backup.")
        case _ if is_damage(error):
            return StoreCorrupt(
                "The store's file is damaged (a page's checksum is wrong: its bytes have changed, or another program "
                "wrote to the file). Restore a backup."
            )
        case apsw.FullError():
            return StoreUnavailable("The store's disk is full. Nothing was stored; free some space.")
        case apsw.ReadOnlyError() | apsw.CantOpenError() | apsw.PermissionsError():
            return StoreUnavailable(
                f"The store's file cannot be opened for writing ({error}). "
                "Check that its folder exists, and the permissions of both."
            )
        case apsw.BusyError() | apsw.LockedError():
            return StoreUnavailable("Another process holds the store's file. Nothing was stored; try again.")
        case _:
            return StoreUnavailable(f"The store failed ({type(error).__name__}: {error}). Nothing was stored.")
