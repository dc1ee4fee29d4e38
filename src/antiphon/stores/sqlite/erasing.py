"""
Erasing what nothing reaches any more: incremental, by index, in the transaction of whatever made it unreachable.

Everything below the highest position that something looks at in a log is kept, except what was removed from all the
views that go there. So a log is settled by three cuts: the tail above that position goes; removed items that nobody
sees any more are blanked (their rows stay, so that positions have no gaps); a log that nothing looks into goes whole,
and its base is settled next. A log into which everything looks only below its own items looks no further into its base
than that. An item that is referred to stays in any case; its log is settled when the last reference goes.

Removals are made in conversations only. Whoever looks through a chain's log sees the same below it, so only the logs
of conversations need to be searched for removed items; a fork's removals may name items of the logs below it.
"""

from __future__ import annotations

from collections.abc import Iterable

import apsw

from antiphon.hub.ids import TenantId
from antiphon.sessions.records import Head
from antiphon.stores.sqlite import queries
from antiphon.stores.sqlite.families import drop_unused_family
from antiphon.stores.sqlite.logs import Log, read_log
from antiphon.stores.sqlite.receipt import Receipt
from antiphon.stores.sqlite.rows import rows_of

__all__ = ["settle"]

_NOTHING_HELD = (None, None, None)


def settle(
    connection: apsw.Connection, tenant: TenantId, logs: Iterable[int], receipt: Receipt, *, held: Head | None = None
) -> None:
    """
    Erase what cannot be reached any more in *logs* and in what they stood on or referred to.

    *held* is a view that is about to be stood on, and counts as looked at. What goes is added to *receipt*. Costs what
    is erased, plus the removals of the conversations among *logs*.
    """
    pending = list(logs)
    while pending:
        log = read_log(connection, tenant, pending.pop())
        if log is not None:
            pending += _settle(connection, tenant, log, receipt, held)


def _settle(connection: apsw.Connection, tenant: TenantId, log: Log, receipt: Receipt, held: Head | None) -> list[int]:
    """Settle one log. Returns the logs that lost something that stood on them."""
    held_here = held.position if held is not None and held.log == log.id else None
    tops = [top for top in (log.top, held_here) if top is not None]
    released = _trim(connection, tenant, log.id, max(tops, default=-1), receipt)
    if not tops:
        return released + _bury(connection, tenant, log, receipt)
    if log.base is not None and max(tops) < log.base.position:
        connection.execute(queries.SHORTEN_BASE, (tenant, log.id, max(tops)))
        released.append(log.base.log)
    if not log.is_chain:
        released += _blank(connection, tenant, log.id, receipt, held)
    return released


def _trim(connection: apsw.Connection, tenant: TenantId, log: int, top: int, receipt: Receipt) -> list[int]:
    # References first: they may be all that keeps an item of the same tail.
    dropped = rows_of(connection, queries.DROP_REFERENCES_ABOVE, tenant, log, top)
    [(count, size)] = rows_of(connection, queries.READ_ITEMS_ABOVE, tenant, log, top)
    receipt.items += count
    receipt.uncounted_bytes -= size or 0
    connection.execute(queries.DROP_ITEMS_ABOVE, (tenant, log, top))
    return [ref_log for (ref_log,) in dropped]


def _blank(connection: apsw.Connection, tenant: TenantId, log: int, receipt: Receipt, held: Head | None) -> list[int]:
    held_columns = _NOTHING_HELD if held is None else (held.log, held.position, held.epoch)
    unreached = rows_of(connection, queries.FIND_UNREACHED, tenant, log, *held_columns)
    for item_log, position, _ in unreached:
        connection.execute(queries.BLANK_ITEM, (tenant, item_log, position))
    receipt.items += sum(ref_log is None for _, _, ref_log in unreached)
    return [ref_log for _, _, ref_log in unreached if ref_log is not None]


def _bury(connection: apsw.Connection, tenant: TenantId, log: Log, receipt: Receipt) -> list[int]:
    """Let go of a log that nothing looks into: it stays only as the place of items that are referred to."""
    connection.execute(queries.DROP_REMOVALS, (tenant, log.id))
    if rows_of(connection, queries.FIND_ROW_OF_LOG, tenant, log.id):
        connection.execute(queries.DETACH_LOG, (tenant, log.id))
    else:
        connection.execute(queries.DROP_LOG, (tenant, log.id))
        drop_unused_family(connection, tenant, log.family, receipt)
    return [] if log.base is None else [log.base.log]
