"""What the stores have in common where they keep work. Pure."""

from __future__ import annotations

import math

from antiphon.hub.errors import LeaseLost, StoreConflict
from antiphon.sessions.records import NewTurn
from antiphon.sessions.work import EventGroup

__all__ = [
    "check_deliveries",
    "claim_lost",
    "claim_until_ms",
    "gap_in_stream",
    "is_own_claim",
    "key_lost",
    "put_off_until",
]


def claim_lost() -> LeaseLost:
    """The error of work on a pending turn whose claim is not in force any more."""
    return LeaseLost("The turn was taken over by another process, or it has ended. Nothing was stored.")


def key_lost() -> LeaseLost:
    """The error of a request whose claim on its idempotency key is not in force any more."""
    return LeaseLost("The idempotency key of this request passed to another one. Nothing was stored.")


def gap_in_stream(group: EventGroup) -> StoreConflict:
    """The error of a group of events that is empty, or does not follow the one before it."""
    return StoreConflict(
        f"The {group.count} events from sequence number {group.first} on do not follow the ones that are stored. "
        "Nothing was stored."
    )


def is_own_claim(turn: NewTurn) -> bool:
    """Whether a turn that has a claim is the one that the claim is for."""
    return turn.claim is not None and turn.claim.response_id == turn.response_id


def check_deliveries(turn: NewTurn) -> None:
    """
    Refuse a webhook that would outlive what it tells of.

    Raises:
        StoreConflict: A delivery of *turn* names another response, or two have one id.
    """
    if any(delivery.response_id != turn.response_id for delivery in turn.deliveries):
        raise StoreConflict(f"A delivery of the turn '{turn.response_id}' tells of another response.")
    if len({delivery.id for delivery in turn.deliveries}) != len(turn.deliveries):
        raise StoreConflict(f"Two deliveries of the turn '{turn.response_id}' have the same id.")


def claim_until_ms(now_s: float, ttl_s: float) -> int:
    """Until when a claim that is given or renewed now is in force, in milliseconds since the epoch."""
    return int(now_s * 1000) + int(ttl_s * 1000)


def put_off_until(now_s: float, ttl_s: float) -> int:
    """The whole second from which on a delivery that was taken now is due again: not before *ttl_s* have passed."""
    return math.ceil(now_s + ttl_s)
