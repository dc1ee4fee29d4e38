"""The terms that responses and conversations are found by, inside the writer's transaction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import apsw

from antiphon.hub.ids import TenantId
from antiphon.stores.sqlite import library_queries as queries
from antiphon.stores.sqlite.rows import rows_of

__all__ = ["Kind", "add_terms", "drop_terms", "read_terms"]

Kind = Literal["response", "conversation"]


def add_terms(
    connection: apsw.Connection, tenant: TenantId, kind: Kind, object_id: str, *, ordinal: int, terms: Iterable[bytes]
) -> None:
    """Let an object be found by *terms*. *ordinal* is what lists of its kind are ordered by."""
    connection.executemany(queries.ADD_TERM, [(tenant, kind, object_id, ordinal, term) for term in terms])


def read_terms(connection: apsw.Connection, tenant: TenantId, kind: Kind, object_id: str) -> tuple[bytes, ...]:
    """What an object is found by."""
    return tuple(bytes(term) for (term,) in rows_of(connection, queries.READ_TERMS, tenant, kind, object_id))


def drop_terms(connection: apsw.Connection, tenant: TenantId, kind: Kind, object_id: str) -> int:
    """Let an object be found by nothing. Returns how many terms it was found by."""
    connection.execute(queries.DROP_TERMS, (tenant, kind, object_id))
    return connection.changes()
