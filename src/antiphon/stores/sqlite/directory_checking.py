"""What holds of tenants, families' seals and audit trails in a sound file."""

from __future__ import annotations

from typing import Final

from antiphon.stores.sqlite.schema import PAYLOADS

__all__ = ["DIRECTORY_CHECKS"]

_SIZES: Final = " UNION ALL ".join(
    f"SELECT tenant, length({column}) AS size FROM {table}"  # noqa: S608 - names of our own
    for table, column in PAYLOADS
)

# (what is wrong, what it is about), as in :mod:`antiphon.stores.sqlite.checking`.
DIRECTORY_CHECKS: Final[tuple[tuple[str, str], ...]] = (
    (
        "log {} is of a family that has no seal",
        "SELECT l.log FROM logs l LEFT JOIN families f USING (tenant, family) WHERE f.family IS NULL",
    ),
    (
        "the pending turn {} is of a family that has no seal",
        "SELECT p.response_id FROM pending p LEFT JOIN families f USING (tenant, family) WHERE f.family IS NULL",
    ),
    (
        "nothing is of family {} any more",
        """
        SELECT f.family FROM families f
        WHERE (f.tenant, f.family) NOT IN (SELECT tenant, family FROM logs UNION SELECT tenant, family FROM pending)
        """,
    ),
    (
        "the sum of tenant {}'s payloads is not what its row says",
        f"""
        SELECT tenant FROM (SELECT tenant, sum(size) AS size FROM ({_SIZES}) GROUP BY tenant) sizes
        LEFT JOIN tenants t USING (tenant) WHERE coalesce(sizes.size, 0) IS NOT t.stored_bytes
        """,  # noqa: S608 - names of our own
    ),
    (
        "tenant {} has keys and no row",
        "SELECT DISTINCT k.tenant FROM tenant_keys k LEFT JOIN tenants t USING (tenant) WHERE t.tenant IS NULL",
    ),
    (
        "the audit trail of tenant {} has gaps",
        "SELECT tenant FROM audit GROUP BY tenant HAVING min(idx) <> 1 OR max(idx) <> count(*)",
    ),
)
