"""One log as it stands, with how far anything looks into it."""

from __future__ import annotations

import apsw
import msgspec

from antiphon.hub.ids import Family, LogId, TenantId
from antiphon.sessions.records import Head
from antiphon.stores.sqlite import queries

__all__ = ["Log", "read_log"]


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """
    A row of ``logs``.

    Attributes:
        first: The log's first position: the one after its base.
        top: Up to here everything that was not removed is kept, because something looks at it: a response, a fork,
            a conversation. None if nothing does.
        conversation_id: Of the conversation that owns the log, as long as that exists.
    """

    id: LogId
    is_chain: bool
    family: Family
    base: Head | None
    first: int
    length: int
    epoch: int
    top: int | None
    conversation_id: str | None


def read_log(connection: apsw.Connection, tenant: TenantId, log: int) -> Log | None:
    """The log, or None if it is gone."""
    row = connection.execute(queries.READ_LOG, (tenant, log)).fetchone()
    if row is None:
        return None
    kind, family, base_log, base_position, base_epoch, length, epoch, last_of_turns, last_of_forks, owner = row
    looked_at = [top for top in (last_of_turns, last_of_forks) if top is not None]
    return Log(
        id=LogId(log),
        is_chain=kind == "chain",
        family=family,
        base=None if base_log is None else Head(log=base_log, position=base_position, epoch=base_epoch),
        first=base_position + 1,
        length=length,
        epoch=epoch,
        top=length - 1 if owner is not None else max(looked_at, default=None),
        conversation_id=owner,
    )
