"""What is kept with a family: founded by the first that is of it, destroyed with the last."""

from __future__ import annotations

import apsw

from antiphon.hub.ids import Family, TenantId
from antiphon.stores.families import seal_differs
from antiphon.stores.sqlite import queries
from antiphon.stores.sqlite.receipt import Receipt
from antiphon.stores.sqlite.rows import rows_of

__all__ = ["drop_unused_family", "found_family", "seal_of_family"]


def found_family(connection: apsw.Connection, tenant: TenantId, family: Family, seal: bytes) -> None:
    """
    Keep *seal* with a family that is new. Without a seal, one that is there already is left as it is.

    Raises:
        StoreConflict: It is there with another seal.
    """
    connection.execute(queries.ADD_FAMILY, (tenant, family, seal))
    if connection.changes() == 0 and seal and seal_of_family(connection, tenant, family) != seal:
        raise seal_differs(family)


def seal_of_family(connection: apsw.Connection, tenant: TenantId, family: Family) -> bytes:
    """What is kept with a family; nothing, if it is not there."""
    rows = rows_of(connection, queries.READ_SEAL, tenant, family)
    return bytes(rows[0][0]) if rows else b""


def drop_unused_family(connection: apsw.Connection, tenant: TenantId, family: Family, receipt: Receipt) -> None:
    """Destroy what is kept with a family of which there is no log and no pending turn any more."""
    was_sealed = seal_of_family(connection, tenant, family) != b""
    connection.execute(queries.DROP_UNUSED_FAMILY, (tenant, family))
    receipt.keys_destroyed += was_sealed and connection.changes()
