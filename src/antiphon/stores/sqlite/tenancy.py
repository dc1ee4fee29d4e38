"""The row of a tenant: it exists before anything of the tenant is stored, and nothing is while the tenant goes."""

from __future__ import annotations

import apsw

from antiphon.hub.errors import StoreConflict
from antiphon.hub.ids import TenantId
from antiphon.stores.sqlite import directory_queries as queries
from antiphon.stores.sqlite.rows import rows_of

__all__ = ["admit", "stored_bytes_of", "tenant_is_going"]


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


def tenant_is_going(tenant: TenantId) -> StoreConflict:
    """The error of whatever would be stored for a tenant while it is erased."""
    return StoreConflict(f"The tenant '{tenant}' is being erased. Nothing was stored.")


def stored_bytes_of(connection: apsw.Connection, tenant: TenantId) -> int:
    """The lengths of all payloads of a tenant, as of now in this transaction."""
    rows = rows_of(connection, queries.READ_STORED_BYTES, tenant)
    return int(rows[0][0]) if rows else 0
