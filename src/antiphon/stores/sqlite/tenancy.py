"""The row of a tenant: it exists before anything of the tenant is stored, and nothing is while the tenant goes."""

from __future__ import annotations

import apsw

from antiphon.hub.errors import StoreConflict
from antiphon.hub.ids import TenantId
from antiphon.stores.sqlite import directory_queries as queries
from antiphon.stores.sqlite.queries import READ_INSERTION_INDEX, TAKE_INSERTION_INDEX
from antiphon.stores.sqlite.rows import rows_of

__all__ = ["admit", "stored_bytes_of", "take_place", "tenant_is_going"]


def admit(connection: apsw.Connection, tenant: TenantId) -> None:
    """
    See that a tenant has its row, before something is stored that does not make it anyway.

    Raises:
        StoreConflict: The tenant is being erased.
    """
    rows = rows_of(connection, queries.READ_STATE, tenant)
    if not rows:
        connection.execute(queries.ADD_ROW, (tenant,))
    elif rows[0][0] == "erasing":
        raise tenant_is_going(tenant)


def take_place(connection: apsw.Connection, tenant: TenantId, *, adding_bytes: int = 0) -> int:
    """
    The next place in a tenant's lists. In the same statement, *adding_bytes* are counted as stored.

    Raises:
        StoreConflict: The tenant is being erased.
    """
    rows = rows_of(connection, READ_INSERTION_INDEX, tenant)
    if not rows:
        connection.execute(queries.ADD_ROW, (tenant,))
    elif rows[0][1] == "erasing":
        raise tenant_is_going(tenant)
    connection.execute(TAKE_INSERTION_INDEX, (tenant, adding_bytes))
    return int(rows[0][0]) if rows else 1


def tenant_is_going(tenant: TenantId) -> StoreConflict:
    """The error of whatever would be stored for a tenant while it is erased."""
    return StoreConflict(f"The tenant '{tenant}' is being erased. Nothing was stored.")


def stored_bytes_of(connection: apsw.Connection, tenant: TenantId) -> int:
    """The lengths of all payloads of a tenant, as of now in this transaction."""
    rows = rows_of(connection, queries.READ_STORED_BYTES, tenant)
    return int(rows[0][0]) if rows else 0
