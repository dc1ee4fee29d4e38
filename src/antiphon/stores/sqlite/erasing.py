"""
Erasing what nothing reaches any more: incremental, by index, in the transaction of whatever made it unreachable.

Everything below the highest position that something looks at in a log is kept, except what was removed from it
before all who look were born. So a log is settled by three cuts: the tail above that position goes; removed items
that nobody sees any more are blanked (their rows stay, so that positions have no gaps); a log that nothing looks into
goes whole, and its base is settled next. An item that is referred to stays in any case; its log is settled when the
last reference goes.
"""

from __future__ import annotations

from collections.abc import Iterable

import apsw

from antiphon.hub.ids import TenantId
from antiphon.sessions.records import Head
from antiphon.stores.sqlite import queries
from antiphon.stores.sqlite.logs import Log, read_log
from antiphon.stores.sqlite.rows import rows_of

__all__ = ["settle"]

_NOTHING_HELD = (-2, 0)


def settle(connection: apsw.Connection, tenant: TenantId, logs: Iterable[int], *, held: Head | None = None) -> None:
    """
    Erase what cannot be reached any more in *logs* and in what they stood on or referred to.

    *held* is a view that is about to be stood on, and counts as looked at. Costs what is erased, plus the removals of
    the conversations among *logs*.
    """
    pending = list(logs)
    while pending:
        log = read_log(connection, tenant, pending.pop())
        if log is not None:
            pending += _settle(connection, tenant, log, held if held is not None and held.log == log.id else None)


def _settle(connection: apsw.Connection, tenant: TenantId, log: Log, held: Head | None) -> list[int]:
    """Settle one log. Returns the logs that lost something that stood on them."""
    tops = [top for top in (log.top, None if held is None else held.position) if top is not None]
    released = _trim(connection, tenant, log.id, max(tops, default=-1))
    if not tops:
        return released + _bury(connection, tenant, log)
    if log.epoch > 0:
        released += _blank(connection, tenant, log.id, _NOTHING_HELD if held is None else (held.position, held.epoch))
    return released


def _trim(connection: apsw.Connection, tenant: TenantId, log: int, top: int) -> list[int]:
    # References first: they may be all that keeps an item of the same tail.
    dropped = rows_of(connection, queries.DROP_REFERENCES_ABOVE, tenant, log, top)
    connection.execute(queries.DROP_ITEMS_ABOVE, (tenant, log, top))
    return [ref_log for (ref_log,) in dropped]


def _blank(connection: apsw.Connection, tenant: TenantId, log: int, held: tuple[int, int]) -> list[int]:
    unreached = rows_of(connection, queries.FIND_UNREACHED, tenant, log, *held)
    for position, _ in unreached:
        connection.execute(queries.BLANK_ITEM, (tenant, log, position))
    return [ref_log for _, ref_log in unreached if ref_log is not None]


def _bury(connection: apsw.Connection, tenant: TenantId, log: Log) -> list[int]:
    """Let go of a log that nothing looks into: it stays only as the place of items that are referred to."""
    connection.execute(queries.DROP_REMOVALS, (tenant, log.id))
    if rows_of(connection, queries.FIND_ROW_OF_LOG, tenant, log.id):
        connection.execute(queries.DETACH_LOG, (tenant, log.id))
    else:
        connection.execute(queries.DROP_LOG, (tenant, log.id))
        connection.execute(queries.DROP_UNUSED_FAMILY, (tenant, log.family))
    return [] if log.base is None else [log.base.log]
