"""Rows of this store's tables as records of the sessions layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw

from antiphon.hub.errors import StoreCorrupt
from antiphon.hub.usage import Usage
from antiphon.sessions.library import StoredPrompt
from antiphon.sessions.records import Conversation, Head, ResponseHead, StoredItem, StoredSession

__all__ = [
    "Row",
    "conversation_of",
    "dangling",
    "input_end_of",
    "item_of",
    "prompt_of",
    "response_head_of",
    "rows_of",
    "session_of",
    "usage_columns",
]

# What apsw calls a row: a tuple whose types are those of the statement's columns.
Row = tuple[Any, ...]


def rows_of(connection: apsw.Connection, statement: str, *parameters: Any) -> list[Row]:
    """All rows that *statement* gives."""
    rows: list[Row] = connection.execute(statement, parameters).fetchall()
    return rows


def dangling(log: int, position: int) -> StoreCorrupt:
    """The error of a reference whose target is not there."""
    return StoreCorrupt(f"The reference at position {position} of log {log} points at nothing. Run the store's check.")


def item_of(row: Row) -> StoredItem:
    """
    An item from the columns that all reads of items give.

    Raises:
        StoreCorrupt: It is a reference and points at nothing.
    """
    log, position, item_id, item_type, payload, left_out, ref_log = row
    if item_id is None and ref_log is not None:
        raise dangling(log, position)
    return StoredItem(
        log=log, position=position, id=item_id, type=item_type or "", payload=payload, left_out=left_out == 1
    )


def session_of(row: Row, own: Sequence[StoredItem]) -> StoredSession:
    """
    A stored turn from the columns of ``READ_RESPONSE`` and its own items.

    Raises:
        StoreCorrupt: The turn is not whole.
    """
    first_position, output_position, last_position = row[21], row[22], row[19]
    if row[17] is None or len(own) != last_position + 1 - first_position:
        raise _not_whole(row[0])
    return StoredSession(
        response_id=row[0],
        conversation_id=row[1],
        previous_response_id=row[2],
        messages=tuple(item for item in own if item.payload is not None),
        output_index=sum(item.payload is not None for item in own if item.position < output_position),
        model=row[3],
        alias=row[4],
        provider=row[5],
        status=row[6],
        created_at=row[7],
        completed_at=row[8],
        insertion_index=row[9],
        expires_at=row[10],
        usage=_usage_of(row[11:16]),
        payload=row[16],
        family=row[17],
        head=Head(log=row[18], position=last_position, epoch=row[20]),
        first_position=first_position,
        ephemeral=row[23] == 1,
    )


def response_head_of(response_id: str, row: Row) -> ResponseHead:
    """A response's head from the columns of ``READ_HEAD``."""
    log, position, epoch, status, conversation_id, family, ephemeral = row
    if family is None:
        raise StoreCorrupt(f"The log of the response '{response_id}' is missing. Run the store's check.")
    head = Head(log=log, position=position, epoch=epoch)
    return ResponseHead(
        response_id=response_id,
        family=family,
        head=head,
        status=status,
        conversation_id=conversation_id,
        ephemeral=ephemeral == 1,
    )


def input_end_of(response_id: str, row: Row) -> Head:
    """
    Where a turn's input ends, from the columns of ``READ_INPUT_END``.

    Raises:
        StoreCorrupt: The turn is not whole.
    """
    log, position, epoch, missing = row
    if missing:
        raise _not_whole(response_id)
    return Head(log=log, position=position, epoch=epoch)


def conversation_of(row: Row) -> Conversation:
    """A conversation from the columns of ``READ_CONVERSATION``."""
    conversation_id, family, created_at, payload, log, length, epoch = row[:7]
    head = Head(log=log, position=length - 1, epoch=epoch)
    return Conversation(id=conversation_id, family=family, created_at=created_at, payload=payload, head=head)


def prompt_of(row: Row) -> StoredPrompt:
    """A version of a prompt from the columns that all reads of prompts give."""
    prompt_id, version, latest, created_at, payload = row
    return StoredPrompt(id=prompt_id, version=version, latest=latest, created_at=created_at, payload=payload)


def usage_columns(usage: Usage | None) -> tuple[int | None, ...]:
    """The five columns of a usage; all NULL where nothing was reported."""
    if usage is None:
        return (None,) * 5
    return (
        usage.input_tokens,
        usage.cached_tokens,
        usage.cache_write_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
    )


def _not_whole(response_id: str) -> StoreCorrupt:
    return StoreCorrupt(f"The stored turn '{response_id}' is not whole. Run the store's check.")


def _usage_of(columns: Sequence[Any]) -> Usage | None:
    if columns[0] is None:
        return None
    return Usage(
        input_tokens=columns[0],
        cached_tokens=columns[1],
        cache_write_tokens=columns[2],
        output_tokens=columns[3],
        reasoning_tokens=columns[4],
    )
