"""
Work that outlives a request: pending turns, idempotency keys and webhook deliveries, as a session store keeps them.

A *pending turn* is one row that is written before the upstream is asked: a background turn, or one with an idempotency
key. Whoever works on it holds a claim with a fencing epoch; a claim that is not renewed runs out, and then somebody
else may take the turn over. Its stream is kept in groups of events until the turn is committed, which removes both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, Protocol

from antiphon.hub.ids import Family, TenantId
from antiphon.sessions.kept import Kept
from antiphon.sessions.records import Claim, Record

__all__ = [
    "Delivery",
    "DeliveryStore",
    "EventGroup",
    "KeyClaim",
    "KeyRecord",
    "KeyStore",
    "NewPending",
    "Pending",
    "PendingStore",
    "Settle",
    "Settlement",
    "WorkStore",
]


class KeyClaim(Record, frozen=True, kw_only=True):
    """
    The right to carry out the request that an idempotency key names.

    Attributes:
        key: A keyed hash of what the client sent; the store never sees the key itself.
        attempts: How often the request was begun, this time included: more than one after a crash.
    """

    key: bytes
    holder: str
    epoch: int
    attempts: int = 1


class KeyRecord(Record, frozen=True, kw_only=True):
    """
    What is known of an idempotency key that somebody else has, or had.

    Attributes:
        fingerprint: A keyed hash of the request.
        response_id: The turn that was begun for it, once it is pending or stored.
        settled: The request was carried out.
        answer: The stored answer of a settled request that is not a stored turn; None if it was not kept.
    """

    fingerprint: bytes
    response_id: str | None
    settled: bool
    answer: bytes | None


class Settlement(Record, frozen=True, kw_only=True):
    """
    An idempotency key that is settled together with what its request creates, in the same transaction.

    Attributes:
        about: The response or conversation whose content is in the answer: when that goes, so does the answer. If it
            is gone already, neither stored nor pending, the key is settled without an answer.
    """

    claim: KeyClaim
    answer: bytes | None
    about: str | None = None


# Makes, of what a request created, what settles its key.
Settle = Callable[[Kept], Awaitable[Settlement]]


class NewPending(Record, frozen=True, kw_only=True):
    """
    A turn that is about to begin.

    Attributes:
        background: Whether clients may poll, follow and cancel it as a background response.
        payload: The request with its resolved input, sealed.
        key: The idempotency key that it is begun for; bound to it in the same transaction.
        model, alias, terms: What a background turn is found by in lists.
        seal, end_user: As of :class:`~antiphon.sessions.records.NewTurn`: a family lives while a pending turn is of it.
    """

    response_id: str
    family: Family
    seal: bytes = b""
    end_user: bytes | None = None
    background: bool
    created_at: int
    conversation_id: str | None = None
    previous_response_id: str | None = None
    expires_at: int | None = None
    payload: bytes
    key: KeyClaim | None = None
    model: str = ""
    alias: str = ""
    terms: tuple[bytes, ...] = ()


class Pending(Record, frozen=True, kw_only=True):
    """
    A pending turn as it stands.

    Attributes:
        attempts: How often work on it was begun, this time included: it grows when a turn that is in progress is taken
            over, and not when one that waits is.
        cancel_requested: A client asked for its end; whoever works on it sees this at the next renewal.
    """

    response_id: str
    family: Family
    background: bool
    created_at: int
    conversation_id: str | None
    previous_response_id: str | None
    expires_at: int | None
    status: Literal["queued", "in_progress"]
    attempts: int
    cancel_requested: bool
    payload: bytes


class EventGroup(Record, frozen=True, kw_only=True):
    """Consecutive events of a pending turn's stream; *first* is the sequence number of the first of them."""

    first: int
    count: int
    payload: bytes


class Delivery(Record, frozen=True, kw_only=True):
    """
    A webhook and how its delivery goes.

    Attributes:
        attempts: Tries that have ended.
        next_at: When it is tried next, in seconds since the epoch; None when it is not tried any more.
        delivered_at: When the receiver took it; None if it has not.
        outcome: How the last try went, in a few words that hold no content (``204``, ``timeout``); empty before it.
    """

    id: str
    response_id: str
    created_at: int
    payload: bytes
    attempts: int
    next_at: int | None
    delivered_at: int | None
    outcome: str


class PendingStore(Protocol):
    """Pending turns of one tenant."""

    async def open_turn(self, turn: NewPending, *, holder: str, ttl_s: float) -> Claim:
        """
        Write a pending turn (status ``queued``) and bind its idempotency key to it.

        A background turn is in lists from now on, and has the place there that it keeps when it is committed.

        Raises:
            StoreConflict: The response id is in use, by a stored or a pending turn.
            LeaseLost: The idempotency key passed to somebody else.
        """
        ...

    async def read_pending(self, response_id: str) -> Pending | None:
        """A pending turn, or None: unknown, or committed by now."""
        ...

    async def append_events(self, claim: Claim, group: EventGroup) -> bool:
        """
        Keep a group of events that are about to be shown; the turn's status becomes ``in_progress``.

        Returns:
            Whether a client asked for the turn's end.

        Raises:
            LeaseLost: The turn was taken over.
            StoreConflict: The group does not follow the last one without a gap.
        """
        ...

    async def read_events(self, response_id: str, *, first: int) -> tuple[EventGroup, ...]:
        """The groups that hold events from sequence number *first* on, in order; the first may begin before it."""
        ...

    async def request_cancel(self, response_id: str) -> bool:
        """Ask for a pending turn's end. False if there is no such turn (any more)."""
        ...

    async def drop_turn(self, claim: Claim) -> bool:
        """
        Remove a pending turn that ended without a response, with its events and the idempotency key bound to it.

        Returns:
            False if the claim is not in force.
        """
        ...


class KeyStore(Protocol):
    """Idempotency keys of one tenant. A key whose time is over is unknown, whether or not the sweeper was there."""

    async def take_key(
        self, key: bytes, fingerprint: bytes, *, holder: str, ttl_s: float, expires_at: int
    ) -> KeyClaim | KeyRecord:
        """
        Take a key, if nobody has it: it is new, or its holder's claim ran out before a turn was bound to it or an
        answer was settled.

        Returns:
            The claim; or, if somebody has or had it, what is known of it (whatever the fingerprint: the caller
            compares).
        """
        ...

    async def settle_key(self, settlement: Settlement) -> None:
        """
        Keep the answer of a request that was carried out.

        Raises:
            LeaseLost: The key passed to somebody else.
        """
        ...

    async def release_key(self, claim: KeyClaim) -> None:
        """Forget a key whose request came to nothing. A claim that is no longer ours is left alone."""
        ...


class DeliveryStore(Protocol):
    """Webhook deliveries of one tenant. They are created by :meth:`TenantStore.commit`."""

    async def record_delivery(
        self, delivery_id: str, *, outcome: str, next_at: int | None, delivered_at: int | None
    ) -> None:
        """Note how a try went, and when the next one is due."""
        ...

    async def list_deliveries(self, *, limit: int, after: str | None) -> tuple[Delivery, ...]:
        """Deliveries, newest first, from after the one named *after*; at most *limit*."""
        ...


class WorkStore(Protocol):
    """Work of all tenants, for whoever carries it out. Part of :class:`~antiphon.sessions.store.SessionStore`."""

    async def renew_claims(self, holder: str, ttl_s: float) -> Sequence[tuple[TenantId, str]]:
        """
        Keep every claim of *holder* on pending turns and on idempotency keys.

        Returns:
            Those of its pending turns (tenant, response id) whose end was asked for.
        """
        ...

    async def take_over(self, holder: str, ttl_s: float, limit: int) -> Sequence[tuple[TenantId, Pending, Claim]]:
        """Take pending turns whose claim has run out, oldest first; the attempts of those in progress grow by one."""
        ...

    async def take_deliveries(self, limit: int, *, ttl_s: float) -> Sequence[tuple[TenantId, Delivery]]:
        """Deliveries that are due, oldest first. None of them is due again for *ttl_s*."""
        ...
