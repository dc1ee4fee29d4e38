"""The default session store: one SQLite file, no service."""

from antiphon.stores.sqlite.store import SQLiteSessionStore

__all__ = ["SQLiteSessionStore"]
