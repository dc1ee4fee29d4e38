"""Rows of pending turns, event groups and deliveries as records of the sessions layer."""

from __future__ import annotations

from antiphon.sessions.work import Delivery, EventGroup, Pending
from antiphon.stores.sqlite.rows import Row

__all__ = ["delivery_of", "group_of", "pending_of"]


def pending_of(row: Row) -> Pending:
    """A pending turn from the columns of ``READ_PENDING``."""
    return Pending(
        response_id=row[0],
        family=row[1],
        background=row[2] == 1,
        created_at=row[3],
        conversation_id=row[4],
        previous_response_id=row[5],
        expires_at=row[6],
        status=row[7],
        attempts=row[8],
        cancel_requested=row[9] == 1,
        payload=row[10],
    )


def group_of(row: Row) -> EventGroup:
    """A group of events from the columns of ``READ_EVENTS``."""
    return EventGroup(first=row[0], count=row[1], payload=row[2])


def delivery_of(row: Row) -> Delivery:
    """A delivery from the columns of ``LIST_DELIVERIES``."""
    return Delivery(
        id=row[0],
        response_id=row[1],
        created_at=row[2],
        payload=row[3],
        attempts=row[4],
        next_at=row[5],
        delivered_at=row[6],
        outcome=row[7],
    )
