"""What one tenant keeps for sealing: its wrapped keys, the seals of its families, its secret, and every payload."""

from __future__ import annotations

from collections.abc import Sequence

import apsw
import orjson

from antiphon.hub.ids import Family, TenantId
from antiphon.sessions.vault import PayloadPage, Replacement, Scanned, TenantKey
from antiphon.stores.sqlite import vault_queries as queries
from antiphon.stores.sqlite.access import TenantAccess
from antiphon.stores.sqlite.rows import Row, rows_of
from antiphon.stores.sqlite.scanning import replace_payloads, scan_payloads
from antiphon.stores.sqlite.tenancy import admit

__all__ = ["TenantVault"]


class TenantVault(TenantAccess):
    """See :class:`~antiphon.sessions.vault.TenantVault`."""

    async def read_keys(self) -> tuple[TenantKey, ...]:
        return tuple(map(_key_of, self._read_all(queries.READ_KEYS)))

    async def add_key(self, key: TenantKey) -> tuple[TenantKey, ...]:
        return await self._run(lambda connection: _add_key(connection, self._tenant, key))

    async def change_key(self, old: TenantKey, new: TenantKey) -> bool:
        return await self._run(lambda connection: _change_key(connection, self._tenant, old, new))

    async def drop_key(self, key: TenantKey) -> bool:
        return await self._run(lambda connection: _drop_key(connection, self._tenant, key))

    async def read_families(self, families: Sequence[Family]) -> dict[Family, bytes]:
        rows = self._read_all(queries.READ_FAMILIES, orjson.dumps(list(families)).decode())
        return {Family(family): seal for family, seal in rows}

    async def secret(self, candidate: bytes) -> bytes:
        return await self._run(lambda connection: _keep_secret(connection, self._tenant, candidate))

    async def read_secret(self) -> bytes | None:
        row = self._read_one(queries.READ_SECRET)
        return None if row is None else row[0]

    async def scan(self, table: Scanned, *, after: bytes | None, limit: int) -> PayloadPage:
        with self._connections().readers.connection() as connection:
            return scan_payloads(connection, self._tenant, table, after=after, limit=limit)

    async def replace(self, replacements: Sequence[Replacement]) -> int:
        return await self._run(lambda connection: replace_payloads(connection, self._tenant, replacements))


def _key_of(row: Row) -> TenantKey:
    version, state, root_ref, wrapped, created_at = row
    return TenantKey(version=version, state=state, root_ref=root_ref, wrapped=wrapped, created_at=created_at)


def _is_there(connection: apsw.Connection, tenant: TenantId, key: TenantKey) -> bool:
    return [key] == list(map(_key_of, rows_of(connection, queries.READ_KEY, tenant, key.version)))


def _write(connection: apsw.Connection, tenant: TenantId, key: TenantKey) -> None:
    """Write a version. If it is to seal, the one that did so far only opens from now on."""
    if key.state == "active":
        connection.execute(queries.RETIRE_KEY, (tenant, key.version))
    row = (tenant, key.version, key.state, key.root_ref, key.wrapped, key.created_at)
    connection.execute(queries.ADD_KEY, row)


def _add_key(connection: apsw.Connection, tenant: TenantId, key: TenantKey) -> tuple[TenantKey, ...]:
    admit(connection, tenant)
    if not rows_of(connection, queries.READ_KEY, tenant, key.version):
        _write(connection, tenant, key)
    return tuple(map(_key_of, rows_of(connection, queries.READ_KEYS, tenant)))


def _change_key(connection: apsw.Connection, tenant: TenantId, old: TenantKey, new: TenantKey) -> bool:
    if not _drop_key(connection, tenant, old):
        return False
    _write(connection, tenant, new)
    return True


def _drop_key(connection: apsw.Connection, tenant: TenantId, key: TenantKey) -> bool:
    if not _is_there(connection, tenant, key):
        return False
    connection.execute(queries.DROP_KEY, (tenant, key.version))
    return True


def _keep_secret(connection: apsw.Connection, tenant: TenantId, candidate: bytes) -> bytes:
    admit(connection, tenant)
    connection.execute(queries.KEEP_SECRET, (tenant, candidate))
    return bytes(rows_of(connection, queries.READ_SECRET, tenant)[0][0])
