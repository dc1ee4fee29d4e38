"""Reading a view: everything that a head shows, across forks, in one statement."""

from __future__ import annotations

import asyncio
from itertools import islice

import apsw
import msgspec

from antiphon.hub.errors import StoreCorrupt
from antiphon.sessions.records import Head, History, StoredItem
from antiphon.stores.sqlite.rows import Row, dangling

__all__ = ["read_view"]

# Rows between two looks at the event loop: under a millisecond of work.
_SLICE = 256

_HEAD, _REMOVAL = 0, 1


async def read_view(connection: apsw.Connection, statement: str, parameters: tuple[object, ...]) -> History | None:
    """
    Run ``READ_HISTORY_AFTER`` or ``READ_HISTORY_OF``.

    A long history is read in slices between which the event loop goes on; the statement keeps its snapshot.

    Returns:
        None if what was asked for is unknown.

    Raises:
        StoreCorrupt: The history has a gap, or a reference points at nothing.
    """
    cursor = connection.execute(statement, parameters)
    reading = _Reading()
    try:
        while block := list(islice(cursor, _SLICE)):
            reading.feed(block)
            if len(block) == _SLICE:
                await asyncio.sleep(0)
    finally:
        cursor.close(force=True)
    return reading.finish()


class _Reading:
    """Puts the rows of a view together."""

    def __init__(self) -> None:
        self._head: Row | None = None
        self._hidden: set[tuple[int, int]] = set()
        self._items: list[StoredItem] = []

    def feed(self, block: list[Row]) -> None:
        add = self._items.append
        for row in block:
            kind, log, position, item_id, item_type, payload, left_out, ref_log, _ = row
            if kind == _HEAD:
                self._head = row[1:]
            elif kind == _REMOVAL:
                self._hidden.add((log, position))
            elif item_id is None and ref_log is not None:
                raise dangling(log, position)
            else:
                add(
                    StoredItem(
                        log=log,
                        position=position,
                        id=item_id,
                        type=item_type or "",
                        payload=payload,
                        left_out=left_out == 1,
                    )
                )

    def finish(self) -> History | None:
        if self._head is None:
            return None
        log, position, epoch, family, status, conversation_id, last_created_at, ephemeral = self._head
        items = sorted(self._items, key=lambda item: item.position)
        if family is None or [item.position for item in items] != list(range(position + 1)):
            raise StoreCorrupt(
                f"The history up to position {position} of log {log} has a gap: {len(items)} of {position + 1} items "
                "are there. Run the store's check, and restore a backup if it reports problems."
            )
        return History(
            head=Head(log=log, position=position, epoch=epoch),
            family=family,
            status=status,
            items=tuple(map(self._marked, items)) if self._hidden else tuple(items),
            conversation_id=conversation_id,
            last_created_at=last_created_at,
            ephemeral=ephemeral == 1,
        )

    def _marked(self, item: StoredItem) -> StoredItem:
        if (item.log, item.position) not in self._hidden:
            return item
        return msgspec.structs.replace(item, removed=True)
