"""What a tenant has in the file, seen from outside: whether a single row of it changed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import apsw

__all__ = ["Observer"]

# When a key was last used is noted up to a minute after its use.
_LATE = {"api_keys": ("last_used_at",)}


class Observer:
    """Reads every row of one tenant with a connection of its own."""

    def __init__(self, path: Path, tenant: str) -> None:
        self._connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        self._connection.pragma("query_only", "on")
        self._tenant = tenant
        self._statements = dict(self._reads())
        self._version = -1
        self._rows: dict[str, bytes] = {}
        self.before = self.rows()

    @property
    def tables(self) -> frozenset[str]:
        """Those that have rows of tenants."""
        return frozenset(self._statements)

    def rows(self) -> dict[str, bytes]:
        """A hash of the tenant's rows, by table. While nobody commits anything, no row is read again."""
        version = self._connection.pragma("data_version")
        if version != self._version:
            self._version = version
            self._rows = {table: self._hash(statement) for table, statement in self._statements.items()}
        return self._rows

    def changed(self) -> list[str]:
        """The tables in which the tenant's rows are not what they were before."""
        now = self.rows()
        return [table for table, rows in self.before.items() if now[table] != rows]

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _reads(self) -> list[tuple[str, str]]:
        found = []
        for row in self._connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            table = str(row[0])
            columns = [str(about[1]) for about in self._connection.execute(f"PRAGMA table_info({table})")]
            if "tenant" in columns:
                read = ", ".join(f'"{column}"' for column in columns if column not in _LATE.get(table, ()))
                found.append((table, f"SELECT {read} FROM {table} WHERE tenant = ? ORDER BY {read}"))  # noqa: S608
        return found

    def _hash(self, statement: str) -> bytes:
        digest = hashlib.sha256()
        for row in self._connection.execute(statement, (self._tenant,)):
            digest.update(repr(row).encode())
        return digest.digest()
