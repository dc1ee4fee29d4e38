"""Tenants and API keys of a SQLite store."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import apsw
import msgspec
import orjson

from antiphon.hub.ids import TenantId
from antiphon.hub.principal import Limits
from antiphon.sessions.directory import ApiKeyRecord, TenantRecord
from antiphon.stores.sqlite import directory_queries as queries
from antiphon.stores.sqlite.access import StoreAccess
from antiphon.stores.sqlite.rows import Row, rows_of

__all__ = ["StoreDirectory"]


class StoreDirectory(StoreAccess):
    """The plain part of :class:`~antiphon.sessions.directory.Directory`; erasing a tenant is not."""

    # Tenants.

    async def create_tenant(self, tenant: TenantRecord) -> bool:
        configured = (tenant.retention_days, tenant.max_stored_bytes, tenant.state)
        return await self._run(_changing(queries.CREATE_TENANT, tenant.id, tenant.created_at, *configured))

    async def read_tenant(self, tenant: TenantId) -> TenantRecord | None:
        rows = self._read_all(queries.READ_TENANT, tenant)
        return _tenant_of(rows[0]) if rows else None

    async def update_tenant(self, tenant: TenantRecord, *, was: TenantRecord | None = None) -> bool:
        configured = (tenant.retention_days, tenant.max_stored_bytes, tenant.state)
        if was is None:
            return await self._run(_changing(queries.UPDATE_TENANT, tenant.id, *configured))
        before = (was.created_at, was.retention_days, was.max_stored_bytes, was.state)
        return await self._run(_changing(queries.UPDATE_TENANT_THAT_WAS, tenant.id, *configured, *before))

    async def list_tenants(self) -> tuple[TenantRecord, ...]:
        return tuple(map(_tenant_of, self._read_all(queries.LIST_TENANTS)))

    # API keys.

    async def create_api_key(self, key: ApiKeyRecord) -> bool:
        return await self._run(_changing(queries.ADD_API_KEY, *_columns_of(key)))

    async def read_api_key(self, key_id: str) -> ApiKeyRecord | None:
        rows = self._read_all(queries.READ_API_KEY, key_id)
        return _api_key_of(rows[0]) if rows else None

    async def update_api_key(self, old: ApiKeyRecord, new: ApiKeyRecord) -> bool:
        return await self._run(lambda connection: _update_api_key(connection, old, new))

    async def list_api_keys(self, tenant: TenantId | None = None) -> tuple[ApiKeyRecord, ...]:
        if tenant is not None:
            return tuple(map(_api_key_of, self._read_all(queries.LIST_API_KEYS_OF, tenant)))
        keys = map(_api_key_of, self._read_all(queries.LIST_API_KEYS))
        return tuple(sorted(keys, key=lambda key: (key.created_at, key.key_id)))

    async def note_api_key_use(self, used_at: Mapping[str, int]) -> None:
        uses = sorted(used_at.items())
        if uses:
            await self._run(lambda connection: connection.executemany(queries.NOTE_API_KEY_USE, uses).fetchall())


def _changing(statement: str, *parameters: object) -> Callable[[apsw.Connection], bool]:
    """A job that runs one statement. Its answer is whether a row was changed."""

    def job(connection: apsw.Connection) -> bool:
        connection.execute(statement, parameters)
        return connection.changes() > 0

    return job


def _update_api_key(connection: apsw.Connection, old: ApiKeyRecord, new: ApiKeyRecord) -> bool:
    rows = rows_of(connection, queries.READ_API_KEY, old.key_id)
    if not rows or _without_use(_api_key_of(rows[0])) != _without_use(old):
        return False
    connection.execute(queries.UPDATE_API_KEY, (old.key_id, *_columns_of(new)[1:-1]))
    return True


def _without_use(key: ApiKeyRecord) -> ApiKeyRecord:
    return msgspec.structs.replace(key, last_used_at=None)


def _tenant_of(row: Row) -> TenantRecord:
    its_id, created_at, retention_days, max_stored_bytes, stored_bytes, state = row
    return TenantRecord(
        id=its_id,
        created_at=created_at,
        retention_days=retention_days,
        max_stored_bytes=max_stored_bytes,
        stored_bytes=stored_bytes,
        state=state,
    )


def _columns_of(key: ApiKeyRecord) -> tuple[object, ...]:
    return (
        key.key_id,
        key.tenant,
        key.mac,
        key.previous_mac,
        key.previous_until,
        key.hint,
        key.name,
        orjson.dumps(key.scopes).decode(),
        None if key.models is None else orjson.dumps(key.models).decode(),
        key.limits.requests_per_minute,
        key.limits.tokens_per_minute,
        key.limits.parallel_turns,
        key.created_at,
        key.created_by,
        key.expires_at,
        key.revoked_at,
        key.last_used_at,
    )


def _api_key_of(row: Row) -> ApiKeyRecord:
    return ApiKeyRecord(
        key_id=row[0],
        tenant=row[1],
        mac=row[2],
        previous_mac=row[3],
        previous_until=row[4],
        hint=row[5],
        name=row[6],
        scopes=tuple(orjson.loads(row[7])),
        models=None if row[8] is None else tuple(orjson.loads(row[8])),
        limits=Limits(requests_per_minute=row[9], tokens_per_minute=row[10], parallel_turns=row[11]),
        created_at=row[12],
        created_by=row[13],
        expires_at=row[14],
        revoked_at=row[15],
        last_used_at=row[16],
    )
