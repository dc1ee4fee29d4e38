"""
What concerns the whole file: whether it is sealed and by whom, copies of it, and leaving nothing in it that is gone.

Every function blocks for as long as it takes, and works on a connection of its own. The statements here read whole
tables, which those of the daily work never do.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import apsw

from antiphon.hub.errors import StoreCorrupt, StoreUnavailable
from antiphon.hub.ids import TenantId
from antiphon.sessions.vault import RootKeyUse
from antiphon.stores.sqlite.connection import open_file, snapshot, translated
from antiphon.stores.sqlite.rows import rows_of
from antiphon.stores.sqlite.schema import PAYLOADS

__all__ = ["back_up", "compact", "has_plain_payloads", "root_keys_in_use", "tenants_with_data"]

_TENANTS: Final = "SELECT tenant FROM tenants UNION SELECT tenant FROM tenant_keys UNION SELECT tenant FROM audit"

_ROOT_KEYS: Final = "SELECT root_ref, count(*) FROM tenant_keys GROUP BY root_ref ORDER BY root_ref"

_ANY_PLAIN: Final = " UNION ALL ".join(
    f"SELECT 1 FROM {table} WHERE substr({column}, 1, 1) = x'00'"  # noqa: S608 - names of our own
    for table, column in PAYLOADS
)

# The store's own checkpoints take milliseconds.
_CHECKPOINT_TRIES: Final = 5
_CHECKPOINT_PAUSE_S: Final = 0.05

# Pages that are copied at once: 4 MiB. The interpreter is free between, and while they are.
_STEP_PAGES: Final = 1024


def tenants_with_data(connection: apsw.Connection) -> tuple[TenantId, ...]:
    """See :meth:`antiphon.sessions.vault.Vault.list_tenants_with_data`."""
    return tuple(TenantId(tenant) for (tenant,) in rows_of(connection, _TENANTS + " ORDER BY 1"))


def root_keys_in_use(connection: apsw.Connection) -> tuple[RootKeyUse, ...]:
    """See :meth:`antiphon.sessions.vault.Vault.root_keys_in_use`."""
    return tuple(RootKeyUse(root_ref=ref, count=count) for ref, count in rows_of(connection, _ROOT_KEYS))


def has_plain_payloads(connection: apsw.Connection) -> bool:
    """See :meth:`antiphon.sessions.vault.Vault.has_plain_payloads`. Costs nothing: indexes know."""
    return bool(rows_of(connection, _ANY_PLAIN + " LIMIT 1"))


def compact(connection: apsw.Connection, *, progress: Callable[[str], None] | None) -> None:
    """
    See :meth:`antiphon.sessions.vault.Vault.compact`.

    Writers are held meanwhile. The new file is put together in the write-ahead log, so the disk needs room for another
    two of its size; sorting is done in files, as the whole of it would not fit into memory.
    """
    tell = progress or (lambda _: None)
    connection.pragma("temp_store", "file")
    try:
        tell("moving what is in the log into the file")
        _empty_log(connection)
        tell("rewriting the file")
        connection.execute("VACUUM")
        tell("emptying the log")
        _empty_log(connection)
    except (apsw.BusyError, apsw.LockedError) as error:
        raise StoreUnavailable(
            "Somebody else is using the store's file, so what was erased may still be in it. Nothing is lost; "
            "stop the other process and try again."
        ) from error


def _empty_log(connection: apsw.Connection) -> None:
    """
    Move all of the log into the file and cut it off.

    SQLite waits for those who read or write, but not for another checkpoint: that one is waited for here.
    """
    for _ in range(_CHECKPOINT_TRIES):
        with suppress(apsw.BusyError):
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            return
        time.sleep(_CHECKPOINT_PAUSE_S)
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def back_up(connection: apsw.Connection, path: str) -> None:
    """
    See :meth:`antiphon.sessions.store.SessionStore.backup`. *connection* holds no snapshot; it gets one.

    The copy is a file that only its owner may read, whole and on the disk when this returns. Until then it bears
    another name, so that half a copy is never taken for one.
    """
    target, partial = Path(path).absolute(), Path(f"{path}.partial").absolute()
    _create(target)
    try:
        _create(partial)
        try:
            with translated():
                _copy(connection, partial)
            _sync(partial)
            partial.replace(target)
            _sync(target.parent)
        finally:
            _remove(partial)
    except BaseException as error:
        _remove(target)
        if isinstance(error, OSError):
            raise _not_written(target, error) from error
        raise


def _create(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError as error:
        raise StoreUnavailable(f"There is a file at {path}. A backup never replaces one; remove it.") from error
    except OSError as error:
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> StoreUnavailable:
    return StoreUnavailable(f"The backup cannot be written to {path} ({error.strerror}).")


def _copy(connection: apsw.Connection, path: Path) -> None:
    copy = open_file(path)
    try:
        # One snapshot throughout: without it the copy would begin anew with every commit.
        with snapshot(connection):
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
            with copy.backup("main", connection, "main") as backup:
                while not backup.done:
                    backup.step(_STEP_PAGES)
        damage = [str(line) for (line,) in copy.execute("PRAGMA quick_check") if line != "ok"]
        if damage:
            raise StoreCorrupt(f"The copy is damaged, as the store's file may be: {damage[0]}. Run the store's check.")
    finally:
        copy.close()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    for each in (path, Path(f"{path}-wal"), Path(f"{path}-shm"), Path(f"{path}-journal")):
        with suppress(FileNotFoundError):
            each.unlink()
