"""What was made on behalf of an end user, by the keyed hash that its turns bear."""

from __future__ import annotations

from collections.abc import Iterable

import apsw
import orjson

from antiphon.hub.ids import TenantId
from antiphon.sessions.store import OfEndUser
from antiphon.stores.sqlite import library_queries as queries
from antiphon.stores.sqlite.rows import Row, rows_of

__all__ = ["end_user_of"]


def end_user_of(connection: apsw.Connection, tenant: TenantId, end_user: bytes, *, now_s: int) -> OfEndUser:
    """See :meth:`antiphon.sessions.store.TenantStore.list_of_end_user`; pending turns are among them."""
    turns = rows_of(connection, queries.READ_RESPONSES_OF_END_USER, tenant, end_user, now_s)
    turns += rows_of(connection, queries.READ_PENDING_OF_END_USER, tenant, end_user)
    named = sorted({conversation_id for _, _, conversation_id in turns if conversation_id is not None})
    known = rows_of(connection, queries.READ_AGE_OF_CONVERSATIONS, tenant, orjson.dumps(named).decode())
    return OfEndUser(responses=_oldest_first(row[:2] for row in turns), conversations=_oldest_first(known))


def _oldest_first(found: Iterable[Row]) -> tuple[str, ...]:
    return tuple(its_id for _, its_id in sorted((created_at, its_id) for its_id, created_at in found))
