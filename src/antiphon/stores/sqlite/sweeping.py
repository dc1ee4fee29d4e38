"""Erasing what has expired, and all of a tenant: jobs of the writer, in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import apsw

from antiphon.hub.ids import TenantId
from antiphon.sessions.directory import Erasure
from antiphon.sessions.store import Swept
from antiphon.stores.sqlite import directory_queries, sweeping_queries, work_queries
from antiphon.stores.sqlite.library_writing import LibraryWriting
from antiphon.stores.sqlite.queries import READ_EXPIRED
from antiphon.stores.sqlite.rows import Row, rows_of

__all__ = ["erase_tenant", "sweep"]

Begin = Callable[[TenantId], LibraryWriting]
"""Gives what writes for a tenant in the present transaction."""


def sweep(connection: apsw.Connection, begin: Begin, *, now_s: int, limit: int, dry_run: bool) -> Swept:
    """See :meth:`antiphon.sessions.store.SessionStore.sweep`."""
    responses = rows_of(connection, READ_EXPIRED, now_s, limit)
    keys = rows_of(connection, work_queries.READ_EXPIRED_KEYS, now_s, limit - len(responses))
    erased: dict[TenantId, Erasure] = {}
    for tenant in sorted({TenantId(row[0]) for row in (*responses, *keys)}):
        writing = begin(tenant)
        expire = partial(_expire, writing, _of(tenant, responses), _of(tenant, keys))
        receipt = writing.erasing(expire, dry_run=dry_run)
        assert receipt is not None
        erased[tenant] = receipt
    return Swept(count=len(responses) + len(keys), erased=erased)


def _of(tenant: TenantId, rows: Iterable[Row]) -> list[Row]:
    return [row[1:] for row in rows if row[0] == tenant]


def _expire(writing: LibraryWriting, responses: Sequence[Row], keys: Sequence[Row]) -> bool:
    for (response_id,) in responses:
        writing.expire_response(response_id)
    for (key,) in keys:
        writing.work.drop_key(key)
    return True


def erase_tenant(connection: apsw.Connection, begin: Begin, tenant: TenantId, *, limit: int) -> tuple[Erasure, bool]:
    """See :meth:`antiphon.sessions.directory.Directory.erase_tenant`."""
    if not rows_of(connection, directory_queries.READ_STATE, tenant):
        return Erasure(), False
    writing = begin(tenant)
    receipt = writing.erasing(partial(_erase_some, connection, writing, tenant, limit))
    assert receipt is not None
    return receipt, bool(rows_of(connection, directory_queries.READ_STATE, tenant))


def _erase_some(connection: apsw.Connection, writing: LibraryWriting, tenant: TenantId, limit: int) -> bool:
    """Erase at most *limit* of a tenant's things, each with all that follows from it. Returns True."""
    for statement in (sweeping_queries.BEGIN_ERASING, sweeping_queries.DROP_TENANT_KEYS):
        connection.execute(statement, (tenant,))
    connection.execute(directory_queries.DROP_API_KEYS, (tenant,))
    left = limit
    for statement, erase in _things(writing):
        found = rows_of(connection, statement, tenant, left)
        for (name,) in found:
            erase(name)
        left -= len(found)
        if left == 0:
            return True
    connection.execute(sweeping_queries.DROP_TENANT, (tenant,))
    return True


def _things(writing: LibraryWriting) -> tuple[tuple[str, Callable[[Any], object]], ...]:
    """What a tenant has: what finds some of a kind, and what erases one. Locks are not looked at."""
    return (
        (sweeping_queries.READ_SOME_PENDING, writing.work.drop_any_turn),
        (sweeping_queries.READ_SOME_KEYS, writing.work.drop_key),
        (sweeping_queries.READ_SOME_PROMPTS, writing.delete_prompt),
        (sweeping_queries.READ_SOME_CONVERSATIONS, writing.delete_conversation),
        (sweeping_queries.READ_SOME_RESPONSES, writing.expire_response),
    )
